"""Sampling, projection and both networks on a GPU give the CPU's numbers."""

from __future__ import annotations

import pytest
import torch
from on_device import CONVOLUTIONS, MARKS, agrees, both, close, normal, same

from lsfa_lite.config import ImageConfig, PointConfig
from lsfa_lite.features.extract import FeatureExtractor
from lsfa_lite.features.fpfh import fpfh
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.nearest import nearest
from lsfa_lite.features.points import describe_points, load_point_mae
from lsfa_lite.features.projection import average_into_patches, interpolate
from lsfa_lite.features.sampling import (
    farthest_point_sampling,
    farthest_points,
    nearest_groups,
    nearest_points,
)

pytestmark = MARKS
CLOUD = normal(2000, 3) * 0.01 + torch.tensor([0.0, 0.0, 0.5])  # metres, half a metre away


def test_farthest_points_are_the_same(device):
    same(lambda points: farthest_point_sampling(points, 200), device, CLOUD)
    same(lambda points: farthest_points(points[None], 200), device, CLOUD)


@pytest.mark.parametrize(
    "search", [nearest_groups, lambda p, c, k: nearest_points(p[None], c[None], k)[0]]
)
def test_groups_hold_the_same_points(search, device):
    centres = CLOUD[:60]
    found, expected = both(lambda p, c: search(p, c, 32), device, CLOUD, centres)
    assert (found.cpu() == expected).float().mean() > 0.99  # of equally near ones, any
    distance = [(CLOUD[rows.cpu()] - centres[:, None]).norm(dim=2) for rows in (found, expected)]
    close(*distance)


@pytest.mark.parametrize(("k", "power"), [(None, 1.0), (3, 1.0), (3, 2.0)])
def test_interpolation(k, power, device):
    agrees(
        lambda p, c, f: interpolate(p, c, f, k, power), device, CLOUD, CLOUD[::20], normal(100, 24)
    )


def test_a_mean_over_patches(device):
    pixels = torch.randperm(112 * 112, generator=torch.Generator().manual_seed(0))[:2000]
    for part in (0, 1):  # features, and the share of each patch
        agrees(
            lambda values, where, part=part: average_into_patches(values, where, 112, 14)[part],
            *(device, normal(2000, 24), pixels),
        )


@pytest.mark.parametrize("neighbours", [None, 30])
def test_histograms_of_points(neighbours, device):
    found, expected = both(lambda points: fpfh(points, 0.004, neighbours), device, CLOUD)
    # a value on the edge of a bin may fall to its other side
    assert ((found.cpu() - expected).abs() > 1e-6).float().mean() < 1e-3


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_the_nearest_row(offset, device):
    queries, bank = normal(300, 200) + offset, normal(900, 200, seed=1) + offset
    agrees(lambda q, b: nearest(q, b, 128)[0], device, queries, bank)
    same(lambda q, b: nearest(q, b, 128)[1], device, queries, bank)
    agrees(lambda q, b: nearest(b[:50], b)[0] + q[0, 0], device, queries, bank)  # at exactly zero


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_the_image_network(backbone, device):
    network = ImageBackbone(ImageConfig(backbone=backbone, weights="random"), 112, 14)
    colour = normal(2, 3, 112, 112).sigmoid()
    expected = network(colour)
    close(network.to(device)(colour.to(device)), expected, CONVOLUTIONS)


@pytest.mark.parametrize("batch_norm", ["running", "batch"])
def test_the_point_network(batch_norm, device):
    config = PointConfig(backbone="point_mae", batch_norm=batch_norm)  # the weights of the package
    expected = describe_points(load_point_mae(config), CLOUD, config)
    found = describe_points(load_point_mae(config, device), CLOUD.to(device), config)
    for one, other in zip(found, expected, strict=True):  # centres, features
        assert one.device.type == device.type
        close(one, other, 1e-3)


def test_a_scan_is_described_alike(rings, quick, device):
    config = quick.change(
        features__points__backbone="point_mae",
        features__image__weights="random",
        features__cache=False,
    ).features
    expected = FeatureExtractor(config)(rings["test"][2])
    found = FeatureExtractor(config).to(device)(rings["test"][2])
    assert torch.equal(found.foreground, expected.foreground)
    for name, values in expected.features.items():
        close(found.features[name], values, CONVOLUTIONS)
