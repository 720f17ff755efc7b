"""The cards tell what the code does, and one version stands in all places."""

from __future__ import annotations

import json
import re

import yaml
from conftest import ROOT
from safetensors import safe_open

from lsfa_book.mini3d.config import CATEGORIES, DEFECTS, Mini3DConfig, folders
from lsfa_book.mini3d.scene import NUISANCE
from lsfa_book.mini3d.sensor import DEPTH_NOISE
from lsfa_lite.config import LITE

CARDS = " ".join((ROOT / "book/cards.md").read_text().split())
WEIGHTS = ROOT / "lsfa_lite/features/weights/point_mae_lite"


def test_data_set_card():
    for kind, defects in DEFECTS.items():
        assert f"| {kind} | {', '.join(defects)} |" in CARDS
    config = Mini3DConfig()
    scans = sum(count for _, count in folders("ring", config))
    told = (
        f"{config.train} good parts to train, {config.validation} to validate, "
        f"{config.test_good} to test, and {config.test_per_defect} of each defect: {scans} scans"
    )
    assert told in CARDS
    assert f"{config.size} x {config.size}" in CARDS
    assert len(NUISANCE) == 17
    assert f"({config.nuisance})" in CARDS
    assert f"from {config.strength[0]}, barely visible, to {config.strength[1]:g}" in CARDS
    assert f"noise is {DEPTH_NOISE} mm" in CARDS
    assert f"{', '.join(CATEGORIES[:-1])} and {CATEGORIES[-1]};" in CARDS


def test_model_card():
    record = json.loads(WEIGHTS.with_suffix(".json").read_text())
    with safe_open(WEIGHTS.with_suffix(".safetensors"), "np") as file:
        sizes = {name: file.get_tensor(name).size for name in file.keys()}  # noqa: SIM118
    weights = sum(n for name, n in sizes.items() if "running" not in name and "num_" not in name)
    assert f"{weights:,} numbers" in CARDS
    shape = record["architecture"]
    assert f"{shape['groups']} groups of {shape['group_size']} points" in CARDS
    assert (shape["depth"], shape["width"], shape["heads"]) == (6, 96, 6)
    assert "six blocks of width 96 with six heads" in CARDS
    assert f"{record['shapes']} one-sided views" in CARDS
    assert f"{record['steps']} steps of batch {record['batch']}" in CARDS
    assert f"rate {record['lr']}" in CARDS
    assert f"{record['mask']:.0%}".replace("%", " %") + " of the groups hidden" in CARDS
    assert (record["stretch"], record["visible_weight"]) == (3.0, 0.5)
    assert f"{record['seconds']} seconds" in CARDS
    curve = record["curve"]["rows"]
    assert f"from {curve[0][1]:.2f} (mean up to step 100) to {curve[-1][1]:.2f}" in CARDS
    assert f"torch {record['torch'].partition('+')[0]}" in CARDS
    assert LITE.features.points.backbone == "fpfh"


def test_model_card_quotes_chapter_3():
    cells = json.loads((ROOT / "book/two-frozen-networks.ipynb").read_text())["cells"]
    said = "".join("".join(o.get("text", "")) for c in cells for o in c.get("outputs", []))
    dents = dict(re.findall(r"^(FPFH|Point-MAE|Point-MAE, random) +([\d.]+) +[\d.]+$", said, re.M))
    assert dents == {"FPFH": "6.9", "Point-MAE": "1.4", "Point-MAE, random": "0.5"}
    assert (
        "1.4 times the nuisance, that of FPFH 6.9 times, of the same network untrained 0.5" in CARDS
    )


def test_one_version_in_all_places():
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert str(yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]) == version
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] == version
