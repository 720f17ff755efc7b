"""The book's tables as text: before stays before, ours stays ours, the paper's the paper's."""

from __future__ import annotations

import re
from typing import Any

from lsfa_book.studies import records
from lsfa_book.studies.tables import Row
from lsfa_book.tables import category_table, demo_table, reproduction_table
from lsfa_lite.config import FIRST

METRICS = ("i_auroc", "p_auroc", "aupro_30", "aupro_1")
HEAD = ["I-AUROC", "P-AUROC", "AUPRO@30%", "AUPRO@1%"]


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def numbers(start: float) -> dict[str, float]:
    return {metric: start + 0.01 * i for i, metric in enumerate(METRICS)}


def test_demo_table_says_before_then_after_for_every_view():
    def variant(start: float) -> dict[str, Any]:
        modalities = {"rgb": numbers(start + 0.1), "3d": numbers(start + 0.2)}
        return {"all": numbers(start), "modalities": modalities}

    variants = {"no adaptation": variant(0.1), "LSFA": variant(0.5)}
    row = {"category": "ring", "seconds": 12.4, "variants": variants}

    def line(before: int, after: int) -> list[str]:
        return [f"0.{before + i:03d} -> 0.{after + i:03d}" for i in range(0, 40, 10)]

    assert cells(demo_table([row])) == [
        ["category", "modality", *HEAD, "seconds"],
        ["ring", "rgb+3d", *line(100, 500), "12"],
        ["ring", "rgb", *line(200, 600)],
        ["ring", "3d", *line(300, 700)],
        ["(without adaptation -> with LSFA)"],
    ]


def test_a_reproduction_has_our_numbers_then_the_change_then_the_papers():
    bare, ours = (
        Row("no adaptation", paper=(0.81, 0.82, 0.83)),
        Row("IFC", paper=(0.91, 0.92, 0.93)),
    )
    keys = [("ring", 0), ("ring", 1), ("handle", 0)]
    before = dict(zip(keys, [0.2, 0.1, 0.3], strict=True))
    measured = {
        metric: {
            "no adaptation": {key: value + 0.01 * i for key, value in before.items()},
            "IFC": {key: value + 0.1 + 0.02 * i for key, value in before.items()},
            "CLC": {},
        }
        for i, metric in enumerate(METRICS)
    }
    assert cells(reproduction_table("table4", [bare, ours, Row("CLC")], measured)) == [
        ["table4"],
        ["runs", *HEAD, "I-AUROC, change", "paper: I-AUROC", "AUPRO@30%"],
        ["no adaptation", "3", "0.200", "0.210", "0.220", "0.230", "0.810", "0.820"],
        [
            *("IFC", "3", "0.300", "0.320", "0.340", "0.360"),
            *("+0.100 (+0.100 to +0.100)", "0.910", "0.920"),
        ],
        ["CLC", "0", *["not run"] * 4],
    ]


def test_a_change_needs_two_runs_in_common():
    rows = [Row("one"), Row("two"), Row("lost", against="nowhere")]
    bare = {("ring", 0): 0.2, ("ring", 1): 0.2}
    runs = {"one": {("ring", 0): 0.3}, "two": {("ring", 0): 0.3, ("ring", 1): 0.3}}
    measured = {"no adaptation": bare, **runs, "lost": bare}
    _, _, one, two, lost = cells(reproduction_table("t", rows, dict.fromkeys(METRICS, measured)))
    assert one == ["one", "1", *["0.300"] * 4]
    assert two == ["two", "2", *["0.300"] * 4, "+0.100 (+0.100 to +0.100)"]
    assert lost == ["lost", "2", *["0.200"] * 4]


def test_tables_1_and_2_have_a_column_per_category_and_a_view_per_modality():
    rows = (Row("RGB: LSFA", view="rgb", paper=(0.99, 0.99, 0.99)), Row("LSFA"))
    key = records.row_key(rows[0], FIRST)
    found = [
        {
            "row": key,
            "category": category,
            "seed": seed,
            "metrics": {"all": {"i_auroc": 0.9}, "modalities": {"rgb": {"i_auroc": value}}},
        }
        for category, seed, value in (("ring", 0, 0.6), ("ring", 1, 0.7), ("handle", 0, 0.2))
    ]
    values = records.measured(rows, found)
    assert values["RGB: LSFA"] == {("ring", 0): 0.6, ("ring", 1): 0.7, ("handle", 0): 0.2}
    assert cells(category_table("table1", rows, values | {"LSFA": {("ring", 0): 0.8}})) == [
        ["table1, by category"],
        ["handle", "ring", "mean"],
        ["RGB: LSFA", "0.200", "0.650", "0.500"],
        ["LSFA", "not run", "0.800", "0.800"],
    ]
