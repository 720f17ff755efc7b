"""The records that the book shows: of rows that exist, complete, and true today."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lsfa_book.mini3d import CATEGORIES, Mini3DConfig
from lsfa_book.studies.records import row_key, shipped, shipped_machines, shipped_table
from lsfa_book.studies.reproduce import Parts, perform, run_of
from lsfa_book.studies.tables import ON_MINI3D, TABLES
from lsfa_lite.config import LITE

# what another processor or another version of torch may change: a bound, not a wish
TOLERANCE = {"i_auroc": 0.03, "p_auroc": 0.01, "aupro_30": 0.02, "aupro_1": 0.03}


def test_every_record_belongs_to_a_row_of_today():
    """A changed default or preset makes all its records strangers: run them again."""
    known = {row_key(row, LITE) for rows in TABLES.values() for row in rows}
    strangers = Counter(r["row"] for r in shipped() if r["row"] not in known)
    assert not strangers, "lsfa-lite reproduce all --out DIR, then book/scripts/gather_records.py"


def test_no_run_is_counted_twice():
    runs = Counter((r["category"], r["seed"], r["row"]) for r in shipped())
    assert set(runs.values()) == {1}


@pytest.mark.parametrize("table", ON_MINI3D)
def test_every_row_ran_on_every_category_with_three_seeds(table: str):
    everything = {(category, seed) for category in CATEGORIES for seed in range(3)}
    for row in TABLES[table]:
        enough = (row.shots or 0) <= Mini3DConfig().train
        assert set(shipped_table(table)[row.name]) == (everything if enough else set()), row.name


def test_a_confirmation_has_seeds_of_its_own():
    fresh = {(category, seed) for category in CATEGORIES for seed in (3, 4, 5)}
    assert not fresh & {(r["category"], r["seed"]) for r in shipped()}
    table = shipped_table("table7", study="confirmation")
    for row in TABLES["table7"]:
        assert set(table[row.name]) == (fresh if row.shots in (5, 10) else set()), row.name
    (data,) = {machine["data"] for machine in shipped_machines("confirmation")}
    assert data == f"mini3d {Mini3DConfig()}"


def test_records_say_where_and_with_what_they_were_made():
    for machine in shipped_machines():
        assert machine["device"]
        assert machine["torch"]
        assert machine["data"] == f"mini3d {Mini3DConfig()}"
    assert all(r["seconds"] > 0 and r["peak_mb"] > 0 and r["date"] for r in shipped())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no adaptation", "IFC + CLC"])
def test_a_run_of_today_says_what_its_record_says(
    name: str, tmp_path_factory: pytest.TempPathFactory
):
    """The whole way again: parts made, cleaned, described, adapted, scored, measured."""
    folder: Path = tmp_path_factory.getbasetemp() / "records-again"
    parts = Parts(folder, Mini3DConfig())
    (row,) = [row for row in TABLES["table4"] if row.name == name]
    run = run_of(row, "ring", 0, LITE, parts)
    (shown,) = [
        r for r in shipped() if (r["category"], r["seed"], r["row"]) == ("ring", 0, run.row)
    ]
    again = perform(run, parts, "cpu")
    assert "error" not in again, again.get("traceback")
    for view in ("all", *shown["metrics"]["modalities"]):
        before, now = shown["metrics"], again["metrics"]
        if view != "all":
            before, now = ({"all": m["modalities"][view]} for m in (before, now))
        for metric, bound in TOLERANCE.items():
            assert now["all"][metric] == pytest.approx(before["all"][metric], abs=bound), (
                view,
                metric,
            )
