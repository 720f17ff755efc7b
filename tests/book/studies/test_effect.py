"""The study of chapter 13, as rows and records of the one engine."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book import mini3d
from lsfa_book.mini3d import CATEGORIES
from lsfa_book.studies import effect
from lsfa_book.studies.records import USUAL, row_key
from lsfa_book.studies.tables import STUDY, TABLES
from lsfa_lite.config import FIRST


def record(row: str, category: str, seed: int, value: float, **more: float) -> dict:
    metrics = {"all": {"i_auroc": value}, "modalities": {"rgb": {"i_auroc": value / 2}}}
    key = row_key(effect.row_of(row), FIRST)
    return {"category": category, "seed": seed, "row": key, "metrics": metrics} | more


RECORDS = [
    record("LSFA", "ring", 0, 0.6),
    record("LSFA", "ring", 1, 0.9),
    record("LSFA, 30 steps", "ring", 0, 0.8),
    record("LSFA", "ring", 0, 0.7, nuisance=1.0),
    record("whitening", "ring", 0, 0.5),
]


def test_values_are_those_of_one_row_one_view_and_one_nuisance():
    assert effect.values(RECORDS, "i_auroc", "all", "LSFA") == {("ring", 0): 0.6, ("ring", 1): 0.9}
    assert effect.values(RECORDS, "i_auroc", "rgb", "whitening") == {("ring", 0): 0.25}
    assert effect.values(RECORDS, "i_auroc", "all", "LSFA", nuisance=1.0) == {("ring", 0): 0.7}
    assert effect.values(RECORDS, "i_auroc", "all", "LSFA", steps=30) == {("ring", 0): 0.8}
    assert effect.values(RECORDS, "i_auroc", "all", "LSFA", steps=10) == {}
    with pytest.raises(ValueError, match="no row 'LFSA'; there are no adaptation"):
        effect.values(RECORDS, "i_auroc", "all", "LFSA")


def test_every_shipped_record_belongs_to_a_row_of_the_study():
    known = {row_key(row, FIRST) for table in STUDY.values() for row in table}
    assert {r["row"] for r in effect.shipped()} == known
    assert not set(STUDY) & set(TABLES)


@pytest.mark.parametrize(
    ("table", "seeds", "nuisances"),
    [
        ("effect", 3, [USUAL]),
        ("coreset", 3, [USUAL]),
        ("length", 1, [USUAL]),
        ("shape", 1, [USUAL]),
        ("dial", 1, [0.0, 0.2, USUAL, 0.7, 1.0]),
    ],
)
def test_every_row_ran_where_its_table_says(table, seeds, nuisances):
    for row in STUDY[table]:
        for nuisance in nuisances:
            found = effect.values(effect.shipped(), "i_auroc", "all", row.name, nuisance)
            assert found.keys() >= {(c, s) for c in CATEGORIES for s in range(seeds)}, row.name


def test_the_shipped_records_hold_what_the_book_promises():
    """mini3d is neither hopeless nor solved, and two senses beat each alone."""
    records = effect.shipped()

    def mean(view: str) -> float:
        found = effect.values(
            records,
            "i_auroc",
            view,
            variant="no adaptation",
            nuisance=mini3d.Mini3DConfig(0).nuisance,
        )
        assert len(found) == 12  # four categories, three seeds
        return float(np.mean(list(found.values())))

    assert 0.80 < mean("all") < 0.95
    assert 0.65 < mean("rgb") < mean("all")
    assert 0.65 < mean("3d") < mean("all")
