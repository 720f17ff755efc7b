"""FPFH on surfaces whose histograms are known."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, Pretend
from scipy.spatial.transform import Rotation

from lsfa_lite.features.fpfh import _least, fpfh


def surface(count: int = 40, spacing: float = 0.001, height: str = "flat") -> np.ndarray:
    """A square piece seen from the origin, 0.5 m away: (count * count, 3) metres."""
    side = (np.arange(count) - count / 2) * spacing
    x, y = np.meshgrid(side, side)
    bump = 0.004 * np.exp(-(x**2 + y**2) / (2 * 0.006**2))
    rise = {"flat": 0.0, "bump": -1.0, "dent": 1.0}[height]  # z grows away from the camera
    return np.stack([x, y, 0.5 + rise * bump], axis=-1).reshape(-1, 3)


def test_a_plane_has_all_its_mass_in_the_middle_bins() -> None:
    """Parallel normals: all three angles are zero, which is the middle one of 11 bins."""
    features = fpfh(surface(), radius=0.005)
    expected = np.zeros((1600, 33), dtype=np.float32)
    expected[:, [5, 16, 27]] = 1
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_each_histogram_sums_to_one() -> None:
    noisy = surface(height="bump") + np.random.default_rng(0).normal(0, 2e-4, (1600, 3))
    features = fpfh(noisy, radius=0.004)
    assert features.min() >= 0
    np.testing.assert_allclose(features.reshape(-1, 3, 11).sum(axis=-1), 1, atol=1e-5)


def test_a_bump_is_not_a_dent_and_neither_is_a_plane() -> None:
    top = 40 * 20 + 20
    rows = {h: fpfh(surface(height=h), radius=0.005)[top] for h in ("flat", "bump", "dent")}
    assert np.abs(rows["bump"] - rows["flat"]).sum() > 0.5
    assert np.abs(rows["dent"] - rows["flat"]).sum() > 0.5
    assert np.abs(rows["bump"] - rows["dent"]).sum() > 0.5


@pytest.mark.parametrize(("side", "convex"), [(-1, True), (1, False)])
def test_normals_look_at_the_camera(side: int, convex: bool) -> None:
    """The near half of a ball curves away from its normals, the far half (a bowl) towards them.

    The third histogram holds the cosine n_1 . (p_2 - p_1) / d: negative on the ball (bins 0 to 4),
    positive in the bowl (bins 6 to 10). With normals turned round it would be the other way.
    """
    azimuth, height = np.meshgrid(np.linspace(0, 2 * np.pi, 60), np.linspace(0.4, 0.95, 30))
    width = np.sqrt(1 - height**2)
    unit = [width * np.cos(azimuth), width * np.sin(azimuth), side * height]
    points = 0.02 * np.stack(unit, axis=-1).reshape(-1, 3) + [0, 0, 0.5]
    third = fpfh(points, radius=0.015)[:, 22:]
    away, towards = third[:, :5].sum(), third[:, 6:].sum()
    assert (away > 10 * towards) if convex else (towards > 10 * away)


def test_turning_around_the_camera_changes_nothing() -> None:
    points = surface(height="bump") + np.random.default_rng(0).normal(0, 1e-4, (1600, 3))
    turned = points @ Rotation.from_euler("xyz", [20, -30, 50], degrees=True).as_matrix().T
    difference = np.abs(fpfh(points, 0.004) - fpfh(turned, 0.004))
    assert np.quantile(difference, 0.999) < 1e-3  # a value on the edge of a bin may change bins


def test_the_radius_scales_with_the_cloud() -> None:
    points = surface(height="bump") + np.random.default_rng(0).normal(0, 1e-4, (1600, 3))
    difference = np.abs(fpfh(points, 0.0045) - fpfh(points * 2, 0.009))
    assert np.quantile(difference, 0.999) < 1e-3


def test_same_points_same_bytes() -> None:
    points = surface(height="dent")
    before = points.copy()
    assert fpfh(points, 0.004).tobytes() == fpfh(points, 0.004).tobytes()
    assert np.array_equal(points, before)


def test_an_isolated_point_is_a_row_of_zeros() -> None:
    features = fpfh(np.vstack([surface(), [[0.3, 0.3, 0.5]]]), radius=0.004)
    assert not features[-1].any()
    assert features[:-1].any(axis=1).all()


def test_doubled_points_stay_finite() -> None:
    points = surface(count=12)
    assert np.isfinite(fpfh(np.vstack([points, points]), radius=0.004)).all()


def test_a_cap_of_neighbours_makes_the_radius_shrink() -> None:
    points = surface(height="bump") + np.random.default_rng(0).normal(0, 1e-4, (1600, 3))
    capped, whole = fpfh(points, 0.006, neighbours=20), fpfh(points, 0.006)
    assert np.abs(capped - whole).max() > 0.05
    np.testing.assert_array_equal(fpfh(points, 0.006, neighbours=1600), whole)


def test_names_what_is_wrong() -> None:
    points = surface(count=10)
    with pytest.raises(ValueError, match="3 points: FPFH needs at least 4"):
        fpfh(points[:3], 0.004)
    with pytest.raises(ValueError, match=r"expected \(P, 3\)"):
        fpfh(points[:, :2], 0.004)
    with pytest.raises(ValueError, match="NaN or Inf"):
        fpfh(np.where(points == points[0], np.nan, points), 0.004)
    with pytest.raises(ValueError, match="larger than 0"):
        fpfh(points, 0.0)
    with pytest.raises(ValueError, match="in metres"):
        fpfh(points * 1000, 0.004)
    with pytest.raises(ValueError, match="in metres"):
        fpfh(points * 1000, 0.004, neighbours=20)
    with pytest.raises(ValueError, match="neighbours = 1: expected 2 or more"):
        fpfh(points, 0.004, neighbours=1)


@pytest.mark.parametrize("neighbours", [None, 30])
@pytest.mark.parametrize("height", ["bump", "dent"])
def test_the_numbers_are_those_of_open3d(height: str, neighbours: int | None) -> None:
    """A piece with noise, an isolated point, a pair of points, and points that lie there twice."""
    o3d = pytest.importorskip("open3d")
    noise = np.random.default_rng(0).normal(0, 2e-4, (1600, 3))
    apart = [[0.3, 0.3, 0.5], [0.2, 0.2, 0.5], [0.2, 0.201, 0.5]]
    points = np.vstack([surface(height=height) + noise, apart])
    points = np.vstack([points, points[:100]])
    search = (
        o3d.geometry.KDTreeSearchParamRadius(0.004)
        if neighbours is None
        else o3d.geometry.KDTreeSearchParamHybrid(0.004, neighbours)
    )
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.estimate_normals(search)
    cloud.orient_normals_towards_camera_location(np.zeros(3))
    raw = o3d.pipelines.registration.compute_fpfh_feature(cloud, search).data  # (33, P)
    expected = raw.T.reshape(-1, 3, 11)
    sums = expected.sum(axis=2, keepdims=True)
    expected = np.divide(expected, sums, out=np.zeros_like(expected), where=sums > 0)
    found = fpfh(points, 0.004, neighbours).reshape(-1, 3, 11)
    different = np.abs(found - expected) > 1e-6
    # of equal normals, and of neighbours equally far, open3d takes the one that rounding favours
    assert different.mean() < 0.005


def test_a_tensor_is_described_on_its_device() -> None:
    points = surface(height="bump") + np.random.default_rng(0).normal(0, 1e-4, (1600, 3))
    for neighbours, waits in ((30, 1), (None, 2)):
        expected = fpfh(points, 0.004, neighbours)
        assert torch.equal(
            fpfh(torch.from_numpy(points), 0.004, neighbours), torch.from_numpy(expected)
        )
        with Pretend() as device:
            moved = torch.from_numpy(points).to(DEVICE)
            device.forget()
            found = fpfh(moved, 0.004, neighbours)
            assert device.counts() == {"waits": waits, "there": 0, "back": 1}
            assert (found.device.type, found.dtype) == (DEVICE.type, torch.float32)
            np.testing.assert_allclose(found.cpu().numpy(), expected, atol=1e-6)


def test_normals_are_eigenvectors() -> None:
    """Of the smallest eigenvalue, for flat, round, long and equal spreads; never NaN."""
    turns = torch.linalg.qr(torch.randn(40, 3, 3, generator=torch.Generator().manual_seed(0)))[0]
    for spread in ([1, 1, 0], [3, 2, 1], [5, 1, 0.5], [1, 1e-3, 1e-6], [1, 1, 0.999]):
        matrices = (turns * torch.tensor(spread)) @ turns.mT
        found = _least(matrices.double())
        expected = torch.linalg.eigh(matrices.double()).eigenvectors[:, :, 0]
        torch.testing.assert_close((found * expected).sum(1).abs(), torch.ones(40).double())
    assert torch.isfinite(
        _least(torch.eye(3)[None] * torch.tensor([0.0, 1.0])[:, None, None])
    ).all()


def test_a_whole_part_takes_under_three_seconds_of_one_core() -> None:
    points = surface(count=122, spacing=0.0008, height="bump")  # 14,884 points
    fpfh(points[:100], 0.006)
    start = time.process_time()  # CPU time, since other work may share the machine
    fpfh(points, 0.006)
    assert time.process_time() - start < 3
