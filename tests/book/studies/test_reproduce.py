"""Tables as runs: planned once, recorded, resumed, compared."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from lsfa_book.mini3d import Mini3DConfig
from lsfa_book.studies import records as recorded
from lsfa_book.studies.engines import in_processes, on_ray
from lsfa_book.studies.methods import CannotRun
from lsfa_book.studies.reproduce import Parts, few, plan, reproduce, run_of
from lsfa_book.studies.tables import AUDIT, TABLES, Row, rows_of
from lsfa_lite.checked import differences
from lsfa_lite.cli import main
from lsfa_lite.config import FIRST, PAPER, PAPER_LITERAL, PRESETS

FAST = FIRST.change(adaptation__steps=2, adaptation__batch_size=2)
SMALL = Mini3DConfig(train=4, validation=2, test_good=2, test_per_defect=1)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def parts(work) -> Parts:
    return Parts(work / "data", SMALL)


def do(tables, parts: Parts, records: Path, **options) -> list:
    return list(reproduce(tables, FAST, parts, ["ring"], [0], records, **options))


@pytest.fixture(scope="module")
def run_once(parts, work) -> Path:
    do(["table4"], parts, work / "records")
    return work / "records"


@pytest.fixture
def records(run_once, tmp_path) -> Path:
    """Table 4's records in a folder of the test's own: what it breaks there, no other test sees."""
    return shutil.copytree(run_once, tmp_path / "records")


def measured(records: Path, table: str, metric: str = "i_auroc") -> dict:
    return recorded.measured(TABLES[table], recorded.load(records).values(), FAST, metric)


def test_a_table_runs_and_is_not_run_twice(parts: Parts, tmp_path: Path):
    records = tmp_path / "records"
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
    values = measured(records, "table4")
    assert list(values) == [row.name for row in TABLES["table4"]]
    assert all(list(v) == [("ring", 0)] for v in values.values())


def test_a_lost_record_alone_is_made_again_and_says_the_same(parts: Parts, records: Path):
    path = sorted(records.glob("*.json"))[2]
    before = json.loads(path.read_text())
    path.unlink()
    (again,) = do(["table4"], parts, records)
    assert again["metrics"] == before["metrics"]


def test_a_failed_run_is_recorded_and_tried_again(parts: Parts, tmp_path: Path, monkeypatch):
    rows = (Row("no adaptation", {"adaptation__steps": 0}), Row("one part", shots=1))
    monkeypatch.setitem(TABLES, "odd", rows)
    records = tmp_path / "odd"
    for expected in (2, 1):  # the good one is kept, the failed one tried again
        done = do(["odd"], parts, records)
        assert len(done) == expected
        assert "1 training samples" in done[-1]["error"]
        assert "Traceback" in done[-1]["traceback"]
    assert measured(records, "odd")["one part"] == {}


def test_a_row_runs_on_all_data_sets_before_the_next_and_seeds_mean_what_they_should():
    made, files = Parts(Path("x"), SMALL), Parts(Path("x"))
    runs = list(plan(["table3", "table6"], FAST, made, ["ring", "handle"], [0, 1]))
    sets = [("ring", 0), ("ring", 1), ("handle", 0), ("handle", 1)]
    assert [(r.category, r.seed) for r in runs] == sets * (5 + 6)
    assert len({r.row for r in runs[:4]}) == 1
    assert {r.config.seed for r in runs} == {FAST.seed}  # the generator's seed moves, not this
    seeds = {r.config.seed for r in plan(["table3"], FAST, files, ["ring"], [0, 7])}
    assert seeds == {0, 7}


def test_every_row_is_a_valid_configuration_with_a_name_of_its_own():
    parts = Parts(Path("x"), SMALL)
    for name, rows in (TABLES | AUDIT).items():
        assert len({row.name for row in rows}) == len(rows)
        runs = [(run_of(row, "ring", 0, FIRST, parts).name, row.view) for row in rows]
        assert len(set(runs)) >= len(rows) - 1  # a row may be the preset itself
        assert all(row.against in {r.name for r in rows} for row in rows), name


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_all_losses_are_the_preset_and_each_keeps_its_weight(preset):
    rows = {row.name: preset.change(**row.changes) for row in TABLES["table4"]}
    assert rows["IFC + CLC"] == preset
    off = {"adaptation.local_alignment": 0.0, "adaptation.global_alignment": 0.0}
    assert differences(preset, rows["IFC"]) == off


def test_the_last_step_from_the_letter_is_the_codes_preset():
    """But for networks, sizes and steps, which stay LITE's."""
    rows = {row.name: FIRST.change(**row.changes) for row in rows_of("code-or-letter")}
    kept = {"steps", "local_bank", "global_bank", "min_fill"}
    for name, preset in (("the letter", PAPER_LITERAL), ("the code", PAPER)):
        frozen = rows[f"frozen: {name}"]
        for part in (rows[name], frozen.change(adaptation=rows[name].adaptation)):
            differs = differences(preset.adaptation, part.adaptation)
            assert set(differs) <= kept, name
            assert part.scoring == preset.scoring
            for field in ("backbone", "neighbours", "power", "point_norm", "batch_norm"):
                given = getattr(part.features.points, field)
                assert given == getattr(preset.features.points, field)
        assert frozen.adaptation.steps == 0
    banks = rows["the code"].adaptation
    assert banks.min_fill == banks.local_bank
    sizes = {name: len(differences(rows["the letter"], row)) for name, row in rows.items()}
    assert sizes["the letter"] == 0
    assert sizes["updates in turn"] == sizes["unit sphere"] == 1


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
    with pytest.raises(CannotRun, match="50 shots of 40 training parts"):
        few(parts, 50, 0)


def test_unknown_table_is_named():
    with pytest.raises(ValueError, match=r"table12; there are table1, table2"):
        list(plan(["table12"], FAST, Parts(Path("x")), ["ring"], [0]))


def test_command_does_not_overwrite(tmp_path: Path, capsys):
    (tmp_path / "records").mkdir()
    assert main(["reproduce", "table4", "--out", str(tmp_path)]) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_row_that_cannot_run_here_is_skipped_and_said(parts: Parts, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(TABLES, "odd", (Row("50 shots", shots=50), Row("x", method="nail")))
    few_parts, unknown = do(["odd"], parts, tmp_path)
    assert few_parts["skipped"] == "50 shots of 4 training parts"
    assert "error" not in few_parts
    assert "no method 'nail'; there are lsfa" in unknown["error"]


def test_a_damaged_record_is_done_again(parts: Parts, records: Path):
    path = sorted(records.glob("*.json"))[0]
    whole = json.loads(path.read_text())
    path.write_text(path.read_text()[:40])
    (again,) = do(["table4"], parts, records)
    assert again["metrics"] == json.loads(path.read_text())["metrics"] == whole["metrics"]


def test_records_gathered_say_the_same_as_the_folder(records: Path):
    small = json.loads(recorded.gather(recorded.load(records).values()))
    assert small["machines"][0]["torch"]
    again = recorded.measured(TABLES["table4"], small["records"], FAST)
    whole = measured(records, "table4")
    assert again.keys() == whole.keys()
    for name, values in whole.items():
        assert again[name] == pytest.approx(values, abs=6e-5)


def test_two_processes_say_what_one_says(parts: Parts, records: Path, tmp_path: Path):
    two = tmp_path / "two"
    do(["table4"], parts, two, engine=in_processes(2))
    assert measured(two, "table4", "aupro_30") == measured(records, "table4", "aupro_30")


def killed_once(marker: Path) -> str:
    """The first time, this process dies as if the machine had run out of memory."""
    if not marker.exists():
        marker.write_text("here died a worker")
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def test_ray_goes_on_when_a_worker_is_killed(parts: Parts, records: Path, tmp_path: Path):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    try:
        engine = on_ray()
        answers = dict(engine([(killed_once, tmp_path / "mark"), (str, 1), (str, 2)]))
        assert answers == {0: "done", 1: "1", 2: "2"}
        do(["table4"], parts, tmp_path / "ray", engine=engine)
    finally:
        ray.shutdown()
    assert measured(tmp_path / "ray", "table4") == measured(records, "table4")


def test_ray_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"lsfa-lite\[ray\]"):
        on_ray()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table12", "fig5"], "no table table12; there are table1, "),
        (["table4", "--seeds", "0"], "--seeds 0: how many"),
        (["table4", "--seeds", "-3"], "--seeds -3: how many"),
        (["table4", "--categories", "ring", "teapot"], "mini3d: no category 'teapot'; there are"),
        (["table4", "--data", "empty"], "empty: no category; expected folders with train/good"),
        (["table4", "--out", "file"], "--out file: file/records cannot be made: Not a directory"),
        (["table4", "--device", "banana"], "--device banana: "),
        (["table4", "--set", "adaptation=3"], "Config.adaptation = 3: expected"),
    ],
)
def test_a_wrong_call_is_one_line_before_any_run(
    arguments: list[str], words: str, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert main(["reproduce", "--out", "out", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_gathering_nothing_leaves_the_shipped_records_alone(tmp_path: Path):
    script = ROOT / "book/scripts/gather_records.py"
    out, empty = tmp_path / "reproduction.json", tmp_path / "empty"
    out.write_text("before")
    empty.mkdir()
    for folder, words in ((tmp_path / "nowhere", "no such folder"), (empty, "nothing was written")):
        command = [sys.executable, script, "reproduction", folder, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert words in done.stderr
    assert out.read_text() == "before"


def test_records_as_lines_say_what_the_table_says():
    metrics = {"all": {"i_auroc": 0.5}, "modalities": {"3d": {"i_auroc": 0.6}}}
    there, failed, other = [
        {"row": recorded.row_key(row, FAST), "category": "ring", "seed": 3, "data": "x"}
        for row in (TABLES["table4"][0], TABLES["table4"][1], Row("x", {"adaptation__steps": 7}))
    ]
    found = [there | {"metrics": metrics}, failed | {"error": "x"}, other | {"metrics": metrics}]
    (line,) = recorded.lines_of("table4", found, FAST)
    assert json.loads(json.dumps(line)) == {
        "table": "table4",
        "row": TABLES["table4"][0].name,
        "paper": list(TABLES["table4"][0].paper),
        "category": "ring",
        "seed": 3,
        "metrics": {"i_auroc": 0.5},
    }


def test_the_shipped_looks_are_printed_as_lines_of_json(tmp_path: Path, capsys):
    call = ["reproduce", "first-real-category", "--out", str(tmp_path / "out"), "--json"]
    assert main(call) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) > 10
    assert {(line["table"], line["category"]) for line in lines} == {
        ("first-real-category", "cable_gland")
    }
    assert all(0 <= line["metrics"]["all"]["i_auroc"] <= 1 for line in lines)
    assert "to run the table on real parts that you have" in err
