"""Records are found by what was run; those that the book shows are complete and true today."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lsfa_book.mini3d import CATEGORIES, Mini3DConfig
from lsfa_book.studies import rules, why
from lsfa_book.studies.records import (
    gather,
    key_of,
    load,
    measured,
    row_key,
    shipped,
    shipped_machines,
    shipped_table,
    write,
)
from lsfa_book.studies.reproduce import Parts, perform, run_of
from lsfa_book.studies.tables import AUDIT, ON_MINI3D, TABLES, Row
from lsfa_lite.config import FIRST

# what another processor or another version of torch may change: a bound, not a wish
TOLERANCE = {"i_auroc": 0.03, "p_auroc": 0.01, "aupro_30": 0.02, "aupro_1": 0.03}


def test_every_record_belongs_to_a_row_of_today():
    """A changed default or preset makes all its records strangers: run them again."""
    rows = [row for table in (TABLES | AUDIT).values() for row in table]
    known = {row_key(row, FIRST) for row in rows}
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


def test_a_weight_of_one_written_in_two_ways_is_one_row():
    whole, preset = Row("a", {"adaptation__local_alignment": 1}), Row("b")
    assert FIRST.adaptation.local_alignment == 1.0
    assert row_key(whole, FIRST) == row_key(preset, FIRST)
    other = Row("c", {"adaptation__local_alignment": 2})
    assert row_key(other, FIRST) != row_key(preset, FIRST)


@pytest.mark.parametrize("text", ["3", "[1]", '{"metrics": null}', '{"hello": 1}'])
def test_json_that_is_no_record_is_passed_over(tmp_path: Path, text: str):
    (tmp_path / "foreign.json").write_text(text)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "broken-link.json").symlink_to(tmp_path / "nowhere")
    assert load(tmp_path) == {}


def record(row: Row, category: str, **more: Any) -> dict[str, Any]:
    return {"category": category, "seed": 0, "row": row_key(row, FIRST), "data": "made"} | more


def numbers(fused: float, rgb: float) -> dict[str, Any]:
    return {"all": {"i_auroc": fused, "aupro_1": 0.5}, "modalities": {"rgb": {"i_auroc": rgb}}}


def test_a_key_is_all_that_is_run_but_the_seed():
    config = FIRST.change(adaptation__steps=3)
    keys = [
        key_of(FIRST, None, "lsfa"),
        key_of(config, None, "lsfa"),
        key_of(FIRST, 5, "lsfa"),
        key_of(FIRST, None, "joined"),
    ]
    assert len(set(keys)) == 4
    assert key_of(FIRST.change(seed=3), None, "lsfa") == keys[0]
    assert row_key(Row("x", {"adaptation__steps": 3}, shots=5, method="m"), FIRST) == key_of(
        config, 5, "m"
    )


def test_measured_finds_each_rows_own_numbers():
    fused, alone, never = Row("a"), Row("a, RGB", view="rgb"), Row("b", shots=5)
    found = [
        record(fused, "ring", metrics=numbers(0.9, 0.6)),
        record(fused, "handle", metrics=numbers(0.8, 0.7)),
        record(fused, "plate", error="no memory"),
    ]
    rows = (fused, alone, never)
    assert measured(rows, found) == {
        "a": {("ring", 0): 0.9, ("handle", 0): 0.8},
        "a, RGB": {("ring", 0): 0.6, ("handle", 0): 0.7},
        "b": {},
    }
    assert measured([fused], found[:1], metric="aupro_1") == {"a": {("ring", 0): 0.5}}


def test_what_is_written_is_loaded_and_gathered_without_the_failed(tmp_path: Path):
    row, machine = Row("a"), {"device": "cpu", "torch": "2"}
    common = {"seconds": 1.5, "peak_mb": 70, "date": "2026-01-02T03:04", "machine": machine}
    good = [
        record(row, name, metrics=numbers(0.123456, 0.5), **common) for name in ("ring", "handle")
    ]
    for number, one in enumerate([*good, record(row, "plate", error="no memory", **common)]):
        write(tmp_path, f"run{number}", one)
    loaded = load(tmp_path)
    assert list(loaded) == ["run0", "run1", "run2"]
    assert list(loaded.values())[:2] == good
    shown = json.loads(gather(loaded.values()))
    assert shown["machines"] == [machine | {"data": "made"}]
    assert [r["category"] for r in shown["records"]] == ["ring", "handle"]
    assert shown["records"][0] == {
        "category": "ring",
        "seed": 0,
        "row": row_key(row, FIRST),
        "seconds": 1.5,
        "peak_mb": 70,
        "metrics": numbers(0.1235, 0.5),
        "date": "2026-01-02",
    }
    assert load(tmp_path / "nowhere") == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no adaptation", "IFC + CLC"])
def test_a_run_of_today_says_what_its_record_says(
    name: str, tmp_path_factory: pytest.TempPathFactory
):
    """The whole way again: parts made, cleaned, described, adapted, scored, measured."""
    folder: Path = tmp_path_factory.getbasetemp() / "records-again"
    parts = Parts(folder, Mini3DConfig())
    (row,) = [row for row in TABLES["table4"] if row.name == name]
    run = run_of(row, "ring", 0, FIRST, parts)
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


@pytest.mark.slow
def test_a_fit_of_today_says_what_chapter_13_shows(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    folder: Path = tmp_path_factory.getbasetemp() / "records-again"
    parts = Parts(folder, Mini3DConfig()).category("ring", 0)
    setting, path = "28, none", tmp_path / "ring-0-28, none.npz"
    rules.measure(rules.splits(parts), {path: why.PARTS["main"][setting]})
    now = {" | ".join(key): value for key, value in rules.judge(rules.load(path)).items()}
    (shown,) = [
        row["i_auroc"]
        for row in why.shipped()
        if (row["category"], row["seed"], row["setting"]) == ("ring", 0, setting)
    ]
    bound = TOLERANCE["i_auroc"]
    assert {key: now[key] for key in why.KEYS} == pytest.approx(shown, abs=bound)
