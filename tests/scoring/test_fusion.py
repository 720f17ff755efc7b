"""Normalisation by a modality's own scores, and fusion."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.config import ScoringConfig
from lsfa_lite.scoring.fusion import Fusion, Normaliser, Scale, combine, learn_weights
from lsfa_lite.scoring.threshold import threshold


def calibration(seed=0):
    """Good samples: RGB scores around 15, 3D around 5, as M3DM's features give them."""
    rng = np.random.default_rng(seed)
    images = {"rgb": rng.normal(15, 2, 40), "3d": rng.normal(5, 0.4, 40)}
    patches = {"rgb": rng.gamma(9, 1.0, 4000), "3d": rng.gamma(4, 0.3, 4000)}
    return images, patches


def fitted(**values):
    return Fusion.fit(*calibration(), ScoringConfig(**values))


def test_each_modality_is_normalised_by_its_own_scores():
    images, patches = calibration()
    fusion = fitted(normalise="zscore")
    for name in images:
        normaliser = fusion.normalisers[name]
        assert normaliser.image.centre == pytest.approx(np.mean(images[name]))
        assert normaliser.image.spread == pytest.approx(np.std(images[name]))
        assert normaliser.map.centre == pytest.approx(np.mean(patches[name]))
        assert normaliser.map.spread == pytest.approx(np.std(patches[name]))
        np.testing.assert_allclose(
            normaliser.image(images[name]),
            (images[name] - images[name].mean()) / images[name].std(),
        )


def test_quantile_and_none():
    values = np.arange(101.0)
    assert Scale.fit(values, "quantile", "x") == Scale(50.0, 50.0)
    assert Scale.fit(values, "none", "x") == Scale(0.0, 1.0)
    outlier = np.append(values, 1e6)
    assert Scale.fit(outlier, "quantile", "x").spread == pytest.approx(50.5)


@pytest.mark.parametrize(
    ("how", "expected"), [("mean", 1.0), ("sum", 2.0), ("max", 3.0), ("ocsvm", 0.25 * 3 - 0.75)]
)
def test_combine(how, expected):
    values = {"rgb": torch.tensor([3.0]), "3d": torch.tensor([-1.0])}
    assert combine(values, how, {"rgb": 0.25, "3d": 0.75}).item() == pytest.approx(expected)


def test_an_unknown_fusion_is_named():
    with pytest.raises(ValueError, match="median"):
        combine({"rgb": torch.ones(1), "3d": torch.ones(1)}, "median", {})


def test_fused_image_score_by_hand():
    images, _ = calibration()
    fused = fitted(fusion="mean").fuse_images({"rgb": 21.0, "3d": 5.5})
    by_hand = np.mean(
        [
            (21.0 - images["rgb"].mean()) / images["rgb"].std(),
            (5.5 - images["3d"].mean()) / images["3d"].std(),
        ]
    )
    assert float(fused) == pytest.approx(by_hand, rel=1e-5)


RULES = [
    *product(["mean", "sum", "max", "ocsvm"], ["none", "zscore", "quantile"]),
    *product(["mean", "sum", "max"], ["tail"]),  # the config refuses the fourth
]


@pytest.mark.parametrize(("how", "normalise"), RULES)
def test_maps_keep_a_zero_background_as_the_lowest_value(how, normalise):
    rng = np.random.default_rng(3)
    part = rng.random((12, 9)) < 0.6
    maps = {
        name: torch.tensor(rng.gamma(4, 1, (12, 9)) * part, dtype=torch.float32)
        for name in ("rgb", "3d")
    }
    fused = fitted(fusion=how, normalise=normalise).fuse_maps(maps)
    assert fused.shape == (12, 9)
    assert fused.dtype == torch.float32
    assert (fused[~torch.tensor(part)] == 0).all()
    assert (fused[torch.tensor(part)] > 0).all()


@pytest.mark.parametrize("how", ["mean", "sum", "max", "ocsvm"])
def test_more_anomalous_in_a_modality_is_never_less_anomalous_fused(how):
    fusion = fitted(fusion=how)
    low = {"rgb": torch.linspace(1, 20, 50), "3d": torch.linspace(8, 0.1, 50)}
    high = {"rgb": low["rgb"] + 1, "3d": low["3d"] + 0.5}
    assert (fusion.fuse_maps(high) > fusion.fuse_maps(low)).all()
    assert (fusion.fuse_images(high) > fusion.fuse_images(low)).all()


@pytest.mark.parametrize("how", ["mean", "sum", "max", "ocsvm"])
def test_one_modality_passes_through(how):
    fusion = fitted(fusion=how)
    scores = torch.tensor([14.0, 19.0])
    assert torch.equal(fusion.fuse_images({"rgb": scores}), fusion.normalisers["rgb"].image(scores))
    images, patches = calibration()
    alone = Fusion.fit({"3d": images["3d"]}, {"3d": patches["3d"]}, ScoringConfig(fusion=how))
    assert alone.image_weights == {}
    np.testing.assert_allclose(
        alone.fuse_images({"3d": images["3d"]}), alone.normalisers["3d"].image(images["3d"])
    )


def test_without_normalisation_the_louder_modality_decides_with_it_both_do():
    """The reason to normalise: a 3D defect of ten deviations drowns in the noise of RGB."""
    rng = np.random.default_rng(5)
    good = {"rgb": rng.normal(15, 2, 200), "3d": rng.normal(5, 0.1, 200)}
    bad = {"rgb": rng.normal(15, 2, 200), "3d": rng.normal(6, 0.1, 200)}
    patches = {name: np.abs(v) for name, v in good.items()}

    def share_found(normalise):
        fusion = Fusion.fit(good, patches, ScoringConfig(normalise=normalise))
        limit = threshold(fusion.fuse_images(good), 0.05).value
        return float((fusion.fuse_images(bad) > limit).double().mean())

    assert share_found("zscore") > 0.95
    assert share_found("none") < 0.3


def test_one_class_svm_weights():
    images, patches = calibration()
    scaled = {name: torch.tensor(v / v.std()) for name, v in patches.items()}
    weights = learn_weights(scaled, seed=0)
    assert weights == learn_weights(scaled, seed=0)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert all(w > 0 for w in weights.values())

    fusion = fitted(fusion="ocsvm")
    assert all(n.image.centre == 0 and n.map.centre == 0 for n in fusion.normalisers.values())
    by_hand = sum(
        fusion.image_weights[name] * value / images[name].std()
        for name, value in (("rgb", 21.0), ("3d", 5.5))
    )
    assert float(fusion.fuse_images({"rgb": 21.0, "3d": 5.5})) == pytest.approx(by_hand, rel=1e-5)


def test_one_class_svm_without_a_plane():
    with pytest.raises(ValueError, match="no plane"):
        learn_weights({"rgb": torch.zeros(20), "3d": torch.zeros(20)}, seed=0)


@pytest.mark.parametrize("how", ["mean", "ocsvm"])
def test_state_is_plain_json(how):
    fusion = fitted(fusion=how)
    again = Fusion.from_state(json.loads(json.dumps(fusion.state())))
    assert again == fusion
    scores = {"rgb": 17.3, "3d": 4.9}
    assert torch.equal(again.fuse_images(scores), fusion.fuse_images(scores))


def test_calibration_that_cannot_be_used():
    with pytest.raises(ValueError, match="3d image scores: 1 calibration"):
        Normaliser.fit([5.0], [1.0, 2.0], "zscore", "3d")
    with pytest.raises(ValueError, match="rgb patch distances"):
        Normaliser.fit([5.0, 6.0], [0.0, 0.0, 0.0], "quantile", "rgb")
    with pytest.raises(ValueError, match="finite"):
        Normaliser.fit([5.0, np.nan], [1.0, 2.0], "none", "rgb")
    with pytest.raises(ValueError, match="same modalities"):
        Fusion.fit({"rgb": [1.0, 2.0]}, {"3d": [1.0, 2.0]}, ScoringConfig())
    with pytest.raises(ValueError, match="same modalities"):
        Fusion.fit({}, {}, ScoringConfig())
    images, patches = calibration()
    alone = Fusion.fit({"rgb": images["rgb"]}, {"rgb": patches["rgb"]}, ScoringConfig())
    with pytest.raises(ValueError, match="3d"):
        alone.fuse_images({"rgb": 1.0, "3d": 2.0})
    with pytest.raises(ValueError, match="calibrated"):
        alone.fuse_maps({})


def test_stays_on_its_device():
    fusions = [fitted(fusion=how) for how in ("mean", "sum", "max", "ocsvm")]
    with FakeTensorMode(allow_non_fake_inputs=False):
        maps = {name: torch.empty(30, 40, device="cuda") for name in ("rgb", "3d")}
        for fusion in fusions:
            assert fusion.fuse_maps(maps).device.type == "cuda"
            assert fusion.fuse_images(maps).device.type == "cuda"
