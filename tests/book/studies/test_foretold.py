"""What is said of the tables names rows that there are, and is judged on their own numbers."""

from __future__ import annotations

import pytest

from lsfa_book.studies import foretold, records, why
from lsfa_book.studies.foretold import TOLD_OF_TABLES
from lsfa_book.studies.tables import TABLES
from lsfa_lite.config import FIRST

ROWS = {row.name: row for rows in TABLES.values() for row in rows}


def record(row, category, value):
    view = {"i_auroc": value}
    return {
        "category": category,
        "seed": 0,
        "row": records.row_key(ROWS[row], FIRST),
        "metrics": {"all": view, "modalities": {"rgb": view, "3d": view}},
    }


def test_every_cell_is_a_row_of_a_table():
    known = foretold.cells([])
    for prediction in TOLD_OF_TABLES:
        assert sum(sign for sign, _ in prediction.cells) == 0
        assert all(cell in known for _, cell in prediction.cells)
    assert len({p.key for p in TOLD_OF_TABLES}) == len(TOLD_OF_TABLES)


@pytest.mark.parametrize(("gain", "verdict"), [(0.001, "stands"), (0.1, "failed")])
def test_a_gain_that_was_denied_fails_and_none_stands(gain, verdict):
    kinds = enumerate("abcdefghij")
    pairs = [(kind, 0.7 + gain + i * 1e-4) for i, kind in kinds]
    seen = [record("L_LA", kind, value) for kind, value in pairs]
    seen += [record("no adaptation", kind, 0.7) for kind, _ in pairs]
    judged = why.judged(foretold.cells(seen), TOLD_OF_TABLES)
    assert list(judged) == ["t1"]  # nothing else was run
    assert judged["t1"][1] == verdict
