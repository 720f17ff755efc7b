"""Tables as runs: planned once, recorded, resumed, compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lsfa_lite.cli import main
from lsfa_lite.config import LITE
from lsfa_lite.data.mini3d import Mini3DConfig
from lsfa_lite.experiments import reproduce as module
from lsfa_lite.experiments.reproduce import Parts, few, measured, plan, reproduce, run_of
from lsfa_lite.experiments.tables import TABLES, Row
from lsfa_lite.reports import reproduction_table

FAST = LITE.change(adaptation__steps=2, adaptation__batch_size=2)
SMALL = Mini3DConfig(train=4, validation=2, test_good=2, test_per_defect=1)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def parts(work) -> Parts:
    return Parts(work / "data", SMALL)


def do(tables, parts: Parts, records: Path) -> list:
    return list(reproduce(tables, FAST, parts, ["ring"], [0], records))


def test_a_table_runs_and_is_not_run_twice(parts: Parts, work: Path):
    records = work / "records"
    first = do(["table4"], parts, records)
    assert [r.get("error") for r in first] == [None] * 5
    for record in first:
        assert 0 <= record["metrics"]["all"]["i_auroc"] <= 1
        assert record["seconds"] > 0
        assert record["peak_mb"] > 50
        assert record["machine"]["torch"]
        assert record["config"]["adaptation"]["batch_size"] == 2
    assert do(["table4"], parts, records) == []
    # the row with all losses off but compactness stands in tables 4 and 5: one run for both
    assert len(do(["table5"], parts, records)) == 2
    values = measured("table4", FAST, parts, ["ring"], [0], records)
    assert list(values) == [row.name for row in TABLES["table4"]]
    assert all(list(v) == [("ring", 0)] for v in values.values())


def test_a_lost_record_alone_is_made_again_and_says_the_same(parts: Parts, work: Path):
    records = work / "records"
    do(["table4"], parts, records)
    path = sorted(records.glob("*.json"))[2]
    before = json.loads(path.read_text())
    path.unlink()
    (again,) = [*do(["table4"], parts, records), *do(["table5"], parts, records)]
    assert again["metrics"] == before["metrics"]


def test_a_failed_run_is_recorded_and_tried_again(parts: Parts, work: Path, monkeypatch):
    rows = (Row("no adaptation", {"adaptation__steps": 0}), Row("one part", shots=1))
    monkeypatch.setitem(module.TABLES, "odd", rows)
    records = work / "odd"
    for expected in (2, 1):  # the good one is kept, the failed one tried again
        done = do(["odd"], parts, records)
        assert len(done) == expected
        assert "1 training samples" in done[-1]["error"]
        assert "Traceback" in done[-1]["traceback"]
    assert measured("odd", FAST, parts, ["ring"], [0], records)["one part"] == {}


def test_runs_of_a_data_set_are_together_and_seeds_mean_what_they_should():
    made, files = Parts(Path("x"), SMALL), Parts(Path("x"))
    runs = list(plan(["table3", "table6"], FAST, made, ["ring", "handle"], [0, 1]))
    order = [(r.category, r.seed) for r in runs]
    assert order == sorted(order, key=[*dict.fromkeys(order)].index)
    assert {r.config.seed for r in runs} == {FAST.seed}  # the generator's seed moves, not this
    seeds = {r.config.seed for r in plan(["table3"], FAST, files, ["ring"], [0, 7])}
    assert seeds == {0, 7}


def test_every_row_is_a_valid_configuration_with_a_name_of_its_own():
    parts = Parts(Path("x"), SMALL)
    for name, rows in TABLES.items():
        assert len({row.name for row in rows}) == len(rows)
        runs = [run_of(row, "ring", 0, LITE, parts) for row in rows]
        assert len({run.name for run in runs}) >= len(rows) - 1  # a row may be the preset itself
        assert all(row.against in {r.name for r in rows} for row in rows), name


def test_the_papers_numbers_are_the_papers():
    """Two cells of each table, read from the paper once more."""
    printed = {(t, r.name): r.paper for t, rows in TABLES.items() for r in rows}
    assert printed["table3", "L_GA"] == (0.952, 0.961, 0.990)
    assert printed["table4", "IFC + CLC"] == (0.971, 0.968, 0.993)
    assert printed["table5", "L_LC"] == (0.952, 0.960, 0.989)
    assert printed["table6", "two encoder layers"] == (0.954, 0.963, 0.984)
    assert printed["table7", "5 shots"] == (0.834, 0.936, 0.984)
    assert printed["table4", "whitening"] is None


def test_few_shots_are_drawn_by_the_seed():
    parts = list(range(40))
    assert few(parts, 5, 0) == few(parts, 5, 0) != few(parts, 5, 1)
    assert len(set(few(parts, 5, 0))) == 5
    assert few(parts, 40, 0) == few(parts, None, 0) == parts
    with pytest.raises(ValueError, match="50 shots of 40 training parts"):
        few(parts, 50, 0)


def test_table_says_what_ran_what_changed_and_what_the_paper_prints():
    keys = [("ring", 0), ("ring", 1), ("handle", 0)]
    values = {row.name: {} for row in TABLES["table4"]}
    values["no adaptation"] = dict(zip(keys, [0.8, 0.7, 0.9], strict=True))
    values["IFC"] = {k: v + 0.1 for k, v in values["no adaptation"].items()}
    metrics = ("i_auroc", "p_auroc", "aupro_30", "aupro_1")
    text = reproduction_table("table4", dict.fromkeys(metrics, values))
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert f"{np.mean([0.9, 0.8, 1.0]):.3f}" in lines["IFC"]
    assert "+0.100 (+0.100 to +0.100)" in lines["IFC"]
    assert "0.959" in lines["IFC"]
    assert "not run" in lines["CLC"]


def test_unknown_table_is_named():
    with pytest.raises(ValueError, match=r"table12; there are table3, table4"):
        list(plan(["table12"], FAST, Parts(Path("x")), ["ring"], [0]))


def test_command_does_not_overwrite(tmp_path: Path, capsys):
    (tmp_path / "records").mkdir()
    assert main(["reproduce", "table4", "--out", str(tmp_path)]) == 2
    assert "--resume" in capsys.readouterr().err
