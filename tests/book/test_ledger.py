"""The ledger has every number of the paper once, and says of ours only what records say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lsfa_book.ledger import NO_CODE, NOT_RUN, OURS, claims, ledger
from lsfa_book.literature.paper import compared, numbers, printed, row_of, tuned
from lsfa_book.studies.records import row_key, shipped_table
from lsfa_book.studies.tables import COMPARISON, TABLES
from lsfa_lite.config import PAPER


@pytest.fixture(scope="module")
def entries():
    return ledger()


def test_every_number_of_tables_1_and_2_is_there_once(entries):
    for table, title in (("table1", "Table 1"), ("table2", "Table 2")):
        expected = [
            value
            for line in printed()[table]
            for value in [line["mean"], *line["categories"].values()]
        ]
        assert [e.paper for e in entries if e.where == title] == expected


@pytest.mark.parametrize(
    ("title", "count"),
    # rows times metrics; the paper's bare rows of Tables 3 to 6 and 8 are one yardstick each
    [("Table 3", 12), ("Table 4", 12), ("Table 5", 12), ("Table 6", 15), ("Table 7", 15)],
)
def test_every_number_of_the_ablations_is_there(entries, title: str, count: int):
    assert len([e for e in entries if e.where == title]) == count


def test_table_9_is_in_shares_and_in_every_modality(entries):
    lora = [e for e in entries if e.where == "Table 9" and "LoRA" in e.row]
    assert len(lora) == 2 * 3 * 2
    assert {e.paper for e in lora} >= {0.9106, 0.8543, 0.9391, 0.9217, 0.9398}


def test_ours_is_what_the_records_say(entries):
    (entry,) = [e for e in entries if (e.where, e.row, e.metric) == ("Table 4", "IFC", "aupro_30")]
    values = list(shipped_table("table4", "aupro_30")["IFC"].values())
    (ours,) = entry.ours
    assert ours.mean == pytest.approx(np.mean(values))
    assert ours.n == len(values)
    assert ours.low < ours.mean < ours.high
    assert ours.hardware
    assert entry.command == "lsfa-lite reproduce table4"


def test_what_was_not_run_says_so(entries):
    by_row = {(e.where, e.row, e.category): e for e in entries}
    assert by_row["Table 1", "RGB+3D: AST", "mean"].status == NO_CODE
    real = by_row["Table 1", "RGB+3D: LSFA", "bagel"]
    assert real.status == NOT_RUN
    assert real.ours == ()  # a category of MVTec 3D-AD never gets a number from mini3d


def test_a_readers_records_appear(tmp_path: Path):
    row = next(r for r in COMPARISON if r.name == "LSFA")
    for category, value in (("bagel", 0.99), ("tire", 0.95)):
        metrics = {"i_auroc": value, "aupro_30": 0.97, "p_auroc": 0.99, "aupro_1": 0.4}
        record = {
            "category": category,
            "seed": 0,
            "row": row_key(row, PAPER),
            "data": "/data/mvtec3d",
            "date": "2030-01-02T03:04:05",
            "machine": {"device": "A GPU"},
            "metrics": {"all": metrics, "modalities": {"rgb": metrics, "3d": metrics}},
        }
        (tmp_path / f"{category}.json").write_text(json.dumps(record))
    (tmp_path / "failed.json").write_text(json.dumps({"error": "x", "data": "/data/mvtec3d"}))
    by_row = {(e.where, e.row, e.category): e for e in ledger(tmp_path)}
    (bagel,) = by_row["Table 1", "RGB+3D: LSFA", "bagel"].ours
    assert (bagel.mean, bagel.n, bagel.low) == (0.99, 1, None)
    assert (bagel.scale, bagel.hardware, bagel.date) == ("mvtec3d, paper", "A GPU", "2030-01-02")
    assert by_row["Table 1", "RGB+3D: LSFA", "mean"].ours[-1].mean == pytest.approx(0.97)
    assert by_row["Table 1", "RGB+3D: LSFA", "carrot"].ours == ()
    assert "0.970 (0.716 to 1.000; mvtec3d, paper, n = 2)" in claims(tmp_path)[0].ours


def test_the_abstracts_gains_are_differences_of_the_papers_own_table():
    best, earlier, gain, _ = claims()
    assert best.paper == "0.971"
    assert earlier.paper == "+0.034"
    assert gain.paper == "+0.042"


def test_every_method_with_code_has_its_row():
    names = {row.name for row in COMPARISON}
    methods = {(line["modality"], line["method"]) for line in printed()["table1"]}
    assert set(OURS.values()) <= names
    assert set(OURS) <= methods


def test_the_papers_numbers_are_found_or_refused():
    assert numbers("table4_components", ifc=True, clc=True) == (0.971, 0.968, 0.993)
    assert numbers("table8_unfrozen_blocks", trained="all") == (0.8457, 0.9015, None)
    assert tuned("adalora", "rgb") == (0.8572, 0.9415, None)
    assert compared("rgb", "CS-Flow") == (0.83, None, None)
    with pytest.raises(KeyError, match="0 rows"):
        row_of("table6_adaptor", adaptor="three layers")
    with pytest.raises(KeyError, match="no AST for sound"):
        compared("sound", "AST")


def test_every_row_of_the_ablations_that_the_paper_prints_is_in_a_table():
    for name, key in (("table3", "table3_clc_losses"), ("table6", "table6_adaptor")):
        ours = {row.paper for row in TABLES[name] if row.paper}
        theirs = {(r["i_auroc"], r["aupro"], r["p_auroc"]) for r in printed()[key]}
        assert theirs <= ours
