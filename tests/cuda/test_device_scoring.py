"""Coreset, scores, maps, fusion and metrics on a GPU give the CPU's numbers."""

from __future__ import annotations

import pytest
import torch
from on_device import CONVOLUTIONS, MARKS, agrees, close, normal, same

from lsfa_lite.config import ScoringConfig
from lsfa_lite.scoring.calibration import cross_fitted
from lsfa_lite.scoring.coreset import greedy_coreset
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.maps import anomaly_map, unsquare
from lsfa_lite.scoring.metrics import aupro, image_auroc, pixel_auroc
from lsfa_lite.scoring.patchcore import PatchCore, reweight

pytestmark = MARKS
PARTS, SEEN = normal(5, 144, 200), torch.arange(5 * 144).reshape(5, 144) % 3 != 0


@pytest.mark.parametrize("width", [64, 200])
def test_the_coreset_is_the_same_rows(width, device):
    """Through a projection, as wide features go, and as they are."""
    same(lambda rows: greedy_coreset(rows, 60, projection=width), device, normal(600, 200))


@pytest.mark.parametrize("scale", ["sqrt_width", "none"])
def test_weights(scale, device):
    rows = torch.arange(7)
    agrees(
        lambda *x: reweight(*x, scale=scale), device, normal(7, 30), rows, normal(90, 30, seed=1)
    )


@pytest.mark.parametrize("image_score", ["max", "top"])
def test_patchcore(image_score, device):
    config = ScoringConfig(coreset=0.2, image_score=image_score)
    expected = PatchCore.fit(PARTS, SEEN, config)
    found = PatchCore.fit(PARTS.to(device), SEEN.to(device), config)
    assert torch.equal(found.bank.cpu(), expected.bank)
    assert torch.equal(found.samples.cpu(), expected.samples)
    assert found.to("cpu").bank.device.type == "cpu"
    pairs = [
        (found.score(PARTS[1].to(device), SEEN[1].to(device)), expected.score(PARTS[1], SEEN[1]))
    ]
    alone = found.leave_one_out(PARTS.to(device), SEEN.to(device))
    pairs += zip(alone, expected.leave_one_out(PARTS, SEEN), strict=True)
    folds = cross_fitted(PARTS.to(device), SEEN.to(device), config)
    pairs += zip(folds, cross_fitted(PARTS, SEEN, config), strict=True)
    for one, other in pairs:
        assert one.image_score == pytest.approx(other.image_score, rel=1e-4)
        close(one.distances, other.distances)


def test_maps(device):
    distances, seen = normal(144).abs(), SEEN[0]
    agrees(lambda *x: anomaly_map(*x, 112), device, distances, seen, tolerance=CONVOLUTIONS)
    agrees(lambda square: unsquare(square, (90, 120)), device, normal(112, 112))


@pytest.mark.parametrize("how", ["mean", "max", "ocsvm"])
def test_fusion(how, device):
    scores = {"rgb": normal(40).abs() + 1, "3d": normal(40, seed=1).abs() + 2}
    fusion = Fusion.fit(scores, scores, ScoringConfig(fusion=how))
    rgb, points = normal(30, 40).abs(), normal(30, 40, seed=1).abs()
    agrees(lambda a, b: fusion.fuse_maps({"rgb": a, "3d": b}), device, rgb, points)


def test_metrics_take_maps_from_anywhere(device):
    maps, masks = normal(6, 40, 50), normal(6, 40, 50, seed=1) > 1
    scores, labels = maps.amax(dim=(1, 2)), torch.tensor([0, 1, 0, 1, 1, 0])
    for metric in (aupro, pixel_auroc):
        assert metric(maps.to(device), masks.to(device)) == metric(maps, masks)
    assert image_auroc(scores.to(device), labels.to(device)) == image_auroc(scores, labels)
