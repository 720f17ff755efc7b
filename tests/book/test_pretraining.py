"""The masked-autoencoding objective against its definition, and the shapes made by code."""

from __future__ import annotations

import dataclasses
import importlib.util
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import ROOT

from lsfa_book.pretraining import (
    MaskedAutoencoder,
    chamfer,
    reconstruction_loss,
    stretch,
)
from lsfa_lite.config import PointConfig
from lsfa_lite.features.point_network import PointMAE

TINY = dataclasses.replace(
    PointConfig(), groups=6, group_size=5, width=8, token_hidden=4, depth=2, heads=2, layers=(1,)
)


def slow_chamfer(a: np.ndarray, b: np.ndarray) -> float:
    forth = np.mean([min(((p - q) ** 2).sum() for q in b) for p in a])
    back = np.mean([min(((p - q) ** 2).sum() for p in a) for q in b])
    return float(forth + back)


def test_chamfer_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4, 3)), rng.normal(size=(2, 3, 7, 3))
    got = chamfer(torch.from_numpy(a), torch.from_numpy(b))
    expected = [[slow_chamfer(a[i, j], b[i, j]) for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(got, expected, rtol=1e-8)


def test_chamfer_has_a_finite_gradient_where_the_points_agree() -> None:
    points = torch.rand(4, 3, requires_grad=True)
    chamfer(points, points.detach()).backward()
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()


def test_stretch_lengthens_the_normal_direction_only() -> None:
    normal = torch.tensor([0.0, 0.6, 0.8])
    along, across = 2 * normal, torch.tensor([3.0, 0.8, -0.6])
    points = torch.stack([along, across, along + across])
    got = stretch(points, normal, 4.0)
    torch.testing.assert_close(got, torch.stack([4 * along, across, 4 * along + across]))
    torch.testing.assert_close(stretch(points, normal, 1.0), points)


def test_losses_are_means_over_hidden_and_over_visible_groups() -> None:
    rng = np.random.default_rng(1)
    predicted, target = rng.normal(size=(2, 6, 5, 3)), rng.normal(size=(2, 6, 4, 3))
    visible = np.array([[0, 4], [5, 1]])
    normals = np.tile([0.0, 0.0, 1.0], (2, 6, 1))
    hidden, seen = reconstruction_loss(
        *map(torch.from_numpy, (predicted, target, normals, visible)), factor=3.0
    )
    scale = np.array([1.0, 1.0, 3.0])
    each = np.array(
        [
            [slow_chamfer(predicted[i, j] * scale, target[i, j] * scale) for j in range(6)]
            for i in (0, 1)
        ]
    )
    shown = np.zeros((2, 6), dtype=bool)
    shown[[0, 0, 1, 1], [0, 4, 5, 1]] = True
    np.testing.assert_allclose([hidden, seen], [each[~shown].mean(), each[shown].mean()], rtol=1e-8)


def test_of_hidden_groups_the_network_sees_the_centre_only() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(PointMAE(TINY), TINY).eval()
    groups, centres, visible = torch.randn(1, 6, 5, 3), torch.randn(1, 6, 3), torch.tensor([[4, 0]])
    before = model(groups, centres, visible)
    assert before.shape == (1, 6, 5, 3)
    hidden, shown, moved = groups.clone(), groups.clone(), centres.clone()
    hidden[0, [1, 2, 3, 5]] += 1
    shown[0, 4] += 1
    moved[0, 2] += 1
    torch.testing.assert_close(model(hidden, centres, visible), before)
    assert not torch.allclose(model(shown, centres, visible), before)
    assert not torch.allclose(model(groups, moved, visible), before)


def test_every_parameter_of_the_network_learns() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(PointMAE(TINY), TINY)
    groups, centres = torch.randn(2, 6, 5, 3), torch.randn(2, 6, 3)
    visible = torch.tensor([[4, 0], [1, 2]])
    normals = torch.tensor([0.0, 0.0, 1.0]).expand(2, 6, 3)
    hidden, seen = reconstruction_loss(
        model(groups, centres, visible), groups, normals, visible, 2.0
    )
    (hidden + seen).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert [
        n for n in silent if not n.endswith("conv.0.bias")
    ] == []  # the norm after it removes it


# ---- shapes ----


@pytest.fixture(scope="module")
def shapes() -> ModuleType:
    path = ROOT / "data_scripts" / "point_shapes.py"
    spec = importlib.util.spec_from_file_location("point_shapes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_scan_sees_the_front_of_a_sphere_and_nothing_else(shapes: ModuleType) -> None:
    sphere = shapes.superquadric(np.full(3, 0.8), 1.0, 1.0)
    seen = shapes.scan(sphere, 3000, 24, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 0.8, atol=2e-3)
    assert (seen[:, 2] <= 1e-3).all()
    share = np.pi * 0.8**2 / (2 * shapes.REACH) ** 2
    assert len(seen) / 3000 == pytest.approx(share, rel=0.12)


def test_a_scan_sees_a_ring_with_its_hole_and_a_cut(shapes: ModuleType) -> None:
    ring = shapes.torus(0.7, 0.2, 1.0)
    seen = shapes.scan(ring, 4000, 24, np.random.default_rng(0))
    distance = np.hypot(np.hypot(seen[:, 0], seen[:, 1]) - 0.7, seen[:, 2])
    np.testing.assert_allclose(distance, 0.2, atol=2e-3)
    half = shapes.cut(ring, lambda p: -p[..., 0])  # the tool fills x > 0
    assert shapes.scan(half, 4000, 24, np.random.default_rng(0))[:, 0].max() < 0.01


def test_a_shape_belongs_to_its_seed(shapes: ModuleType) -> None:
    first, again, other = (shapes.make_scan(seed, 256) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:100], other[:100])
    assert np.isfinite(first).all()
    assert 128 <= len(first) <= 256


def test_details_change_the_depth_and_never_the_place(shapes: ModuleType) -> None:
    flat = np.random.default_rng(0).uniform(-1, 1, (3000, 3)).astype(np.float32) * [1, 1, 0]
    places = {tuple(p) for p in flat[:, :2]}
    heights, counts = [], []
    for seed in range(12):
        changed = shapes.add_details(flat, np.random.default_rng(seed))
        assert {tuple(p) for p in changed[:, :2]} <= places
        heights.append(np.abs(changed[:, 2]).max())
        counts.append(len(changed))
    assert (flat[:, 2] == 0).all()  # the input is left alone
    assert max(heights) > 0.02
    assert 1500 < min(counts) < 3000
