"""A detector that moves between devices, one that is made twice, and the whole way on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import SMALL
from on_device import GPU, MARKS, normal

from lsfa_book import mini3d
from lsfa_lite import LSFADetector
from lsfa_lite.adaptation.train import train
from lsfa_lite.data.background import clean_folder
from lsfa_lite.data.mvtec3d import MVTec3D
from lsfa_lite.evaluation import evaluate
from lsfa_lite.features.extract import FeatureExtractor
from lsfa_lite.features.projection import average_into_patches
from lsfa_lite.scoring.coreset import greedy_coreset
from lsfa_lite.scoring.maps import anomaly_map

pytestmark = MARKS


@pytest.fixture(scope="module")
def config(quick):
    """Without open3d and without a wheel of weights: what a bare machine has."""
    return quick.change(
        features__points__backbone="point_mae",
        features__image__weights="random",
        features__cache=False,
    )


@pytest.fixture(scope="module")
def fitted(config, rings):
    return LSFADetector(config).fit(rings["train"], rings["validation"])


def alike(one, other, share: float = 0.02) -> None:
    """Features of two devices differ by the rounding of convolutions; scores by little more."""
    assert one.image_score == pytest.approx(other.image_score, rel=share, abs=share)
    for name, value in other.modality_scores.items():
        assert one.modality_scores[name] == pytest.approx(value, rel=share)
    apart = np.abs(one.anomaly_map - other.anomaly_map).max()
    assert apart <= share * other.anomaly_map.max()


def test_a_saved_detector_is_loaded_there_and_moved_back(fitted, rings, tmp_path, device):
    fitted.save(tmp_path / "model")
    expected = fitted.score(rings["test"])
    there = LSFADetector.load(tmp_path / "model", device=device)
    assert {core.bank.device.type for core in there.banks.values()} == {device.type}
    for one, other in zip(there.score(rings["test"]), expected, strict=True):
        alike(one, other)
    there.to("cpu")
    for one, other in zip(there.score(rings["test"]), expected, strict=True):
        assert one.image_score == other.image_score
        assert np.array_equal(one.anomaly_map, other.anomaly_map)


def test_a_detector_is_moved_there(fitted, rings, tmp_path, device):
    fitted.save(tmp_path / "model")
    moved = LSFADetector.load(tmp_path / "model").to(device)
    there = LSFADetector.load(tmp_path / "model", device=device)
    one, other = moved.score(rings["test"][2]), there.score(rings["test"][2])
    assert one.image_score == other.image_score
    assert np.array_equal(one.anomaly_map, other.anomaly_map)


def test_two_runs_are_equal_to_the_last_bit(rings, config, device):
    """Step by step, so that the one that is not has a name."""
    features = {"rgb": normal(6, 60, 24), "3d": normal(6, 60, 36, seed=1)}
    seen = torch.arange(6 * 60).reshape(6, 60) % 2 == 0
    rows, pixels = normal(4000, 96).to(device), torch.arange(4000, device=device)
    how = config.change(adaptation__local_bank=200).adaptation

    def extract(modality):
        extractor = FeatureExtractor(config.features, device)
        return extractor(rings["test"][0], [modality]).features[modality]

    def adapt():
        made = train(features, seen, how, device=device)
        return torch.cat([p.detach().flatten() for p in made.parameters()])

    def fit():
        detector = LSFADetector(config, device).fit(rings["train"], rings["validation"])
        return torch.from_numpy(detector.score(rings["test"][2]).anomaly_map)

    steps = {
        "image network": lambda: extract("rgb"),
        "point network": lambda: extract("3d"),
        "mean over patches": lambda: average_into_patches(rows, pixels, 112, 14)[0],
        "adaptation": adapt,
        "coreset": lambda: greedy_coreset(rows, 100),
        "map": lambda: anomaly_map(rows[:144, 0].abs(), rows[:144, 1] > 0, 112),
        "fit and score": fit,
    }
    different = [name for name, run in steps.items() if not torch.equal(run(), run())]
    assert different == []


def test_one_category_from_files_to_metrics(config, tmp_path, device):
    mini3d.write(tmp_path / "raw", SMALL, ["ring"])
    clean_folder(tmp_path / "raw", tmp_path / "clean")
    data = MVTec3D(tmp_path / "clean", "ring")
    tables = []
    for where in (device, torch.device("cpu")) if GPU else (device,):
        detector = LSFADetector(config, where).fit(data.train, data.validation)
        tables.append(evaluate(detector.score(data.test), data.test))
    for metric, value in tables[-1]["all"].items():
        assert 0 <= value <= 1
        coarse = 0.13 if metric == "i_auroc" else 0.05  # one pair of two good and four bad parts
        assert tables[0]["all"][metric] == pytest.approx(value, abs=coarse)
