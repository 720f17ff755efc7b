"""What the library tells those who ask: where weights came from, what was kept, what was mended."""

from __future__ import annotations

import logging

import pytest
import torch

from lsfa_lite import LSFADetector
from lsfa_lite.features import cache, point_weights
from lsfa_lite.features.points import thin


@pytest.fixture
def told(caplog):
    """told(level) -> the package's messages of that level, each with the module that said it."""
    caplog.set_level(logging.DEBUG, "lsfa_lite")

    def of(level: str) -> list[str]:
        records = [r for r in caplog.records if r.levelname == level]
        return [f"{r.name.removeprefix('lsfa_lite.')}: {r.getMessage()}" for r in records]

    return of


def test_fit_says_what_it_made(told, rings, quick, tmp_path, monkeypatch):
    monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
    file = tmp_path / "training.safetensors"
    detector = LSFADetector(quick)
    detector.fit(rings["train"], checkpoint=file)
    assert len([m for m in told("DEBUG") if "cache: features made" in m]) == 8
    image, *banks, alone, _, thresholds = told("INFO")
    assert image == "features.image: tf_efficientnet_lite0 with the weights 'package'"
    for modality, message in zip(detector.modalities, banks, strict=True):
        rows = len(detector.banks[modality].bank)
        assert message.startswith(f"scoring.patchcore: bank: {rows} of ")
        assert message.endswith(" patches")
    assert alone.endswith("4 training samples scored, each without its own bank rows")
    value = detector.calibration.thresholds["rgb+3d"].value
    assert thresholds.startswith("scoring.calibration: from 4 good samples: ")
    assert f"'rgb+3d': Threshold(value={value}" in thresholds
    LSFADetector(quick).fit(rings["train"], checkpoint=file)
    assert len([m for m in told("DEBUG") if "cache: features read" in m]) == 8
    assert f"adaptation.checkpoint: the training of {file} goes on after step 4" in told("INFO")
    assert told("WARNING") == []


def test_a_damaged_file_of_the_cache_is_named(told, tmp_path, monkeypatch):
    monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
    for _ in range(2):
        cache.cached("abcd", lambda: {"features": torch.zeros(3)})
        next(tmp_path.rglob("*.safetensors")).write_bytes(b"half a fi")
    (message,) = told("INFO")
    assert "abcd.safetensors: damaged (" in message
    assert message.endswith("made anew")


def test_weights_and_thinning_are_told(told, quick):
    points = quick.change(features__points__backbone="point_mae").features.points
    point_weights.load_point_mae(points)
    assert told("INFO")[0].endswith(f"the weights of {point_weights.PACKAGE_WEIGHTS}")
    thin(torch.zeros(9, 3), 0)
    assert told("DEBUG") == []
    thin(torch.zeros(9, 3), 5, seed=2)
    assert told("DEBUG") == ["features.points: a cloud of 9 points thinned to 5 by seed 2"]


def test_nobody_who_does_not_ask_is_told(rings, quick, capfd):
    LSFADetector(quick).fit(rings["train"])
    assert capfd.readouterr() == ("", "")
