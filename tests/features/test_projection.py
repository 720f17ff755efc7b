"""Eq. 1 and the way from points to patches, against slow NumPy written from the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.features.projection import (
    average_into_patches,
    interpolate,
    inverse_distance_weights,
    patch_area,
    patch_index,
)


def cloud(
    points: int = 40, groups: int = 9, width: int = 5, seed: int = 0
) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(n, d, generator=generator) for n, d in ((points, 3), (groups, 3))]
    return draw[0], draw[1], torch.randn(groups, width, generator=generator)


def equation_1(
    points: np.ndarray, centres: np.ndarray, features: np.ndarray, k: int, power: float
) -> np.ndarray:
    """Eq. 1, one point, one group, one number at a time, in float64."""
    out = np.zeros((len(points), features.shape[1]))
    for p, point in enumerate(points):
        distances = [float(np.sqrt(sum((c - point) ** 2))) for c in centres]
        chosen = sorted(range(len(centres)), key=lambda i: distances[i])[:k]
        denominator = sum(1 / distances[j] ** power for j in chosen)
        for i in chosen:
            out[p] += (1 / distances[i] ** power) / denominator * features[i]
    return out


@pytest.mark.equation("eq-1")
@pytest.mark.parametrize("k", [None, 1, 3, 9])
@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_interpolate_is_equation_1(k: int | None, power: float, chunk: int) -> None:
    points, centres, features = cloud()
    got = interpolate(points, centres, features, k=k, power=power, chunk=chunk)
    arrays = [t.double().numpy() for t in (points, centres, features)]
    expected = equation_1(*arrays, k=k or len(centres), power=power)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_all_centres_is_k_equal_to_their_number() -> None:
    points, centres, features = cloud()
    torch.testing.assert_close(
        interpolate(points, centres, features), interpolate(points, centres, features, k=9)
    )


def test_hand_example() -> None:
    """Distances 1 and 3 along a line: weights 3/4 and 1/4; squared: 9/10 and 1/10."""
    points = torch.tensor([[1.0, 0, 0]])
    centres = torch.tensor([[0.0, 0, 0], [4.0, 0, 0]])
    features = torch.tensor([[0.0], [100.0]])
    assert interpolate(points, centres, features).item() == pytest.approx(25.0)
    assert interpolate(points, centres, features, power=2.0).item() == pytest.approx(10.0)


@pytest.mark.parametrize("k", [None, 3])
def test_a_point_on_a_centre_has_exactly_its_feature(k: int | None) -> None:
    _, centres, features = cloud(groups=60)  # beyond 25 rows cdist would switch to the inexact form
    got = interpolate(centres + 0.6, centres + 0.6, features, k=k)
    assert torch.equal(got, features)


def test_several_centres_on_the_point_are_averaged() -> None:
    points, centres, features = cloud()
    centres[[2, 5]] = points[0]
    got = interpolate(points, centres, features)
    torch.testing.assert_close(got[0], features[[2, 5]].mean(dim=0))
    assert got.isfinite().all()


@pytest.mark.parametrize("power", [1.0, 2.0, 8.0])
def test_weights_of_tiny_and_huge_distances_stay_finite(power: float) -> None:
    distances = torch.tensor([[1e-30, 2e-30, 1.0], [1e25, 2e25, 3e25], [0.0, 1e-38, 1.0]])
    weights = inverse_distance_weights(distances, power)
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
    torch.testing.assert_close(weights[0, 0] / weights[0, 1], torch.tensor(2.0**power))
    assert weights[2].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("k", [None, 3])
def test_unit_and_place_do_not_matter(k: int | None) -> None:
    points, centres, features = cloud()
    points, centres = points.double(), centres.double()
    expected = interpolate(points, centres, features, k=k)
    moved = interpolate(points * 1e-3 + 0.5, centres * 1e-3 + 0.5, features, k=k)
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)
    assert moved.dtype == features.dtype


@pytest.mark.parametrize("k", [None, 2])
def test_equal_features_come_back_and_nothing_leaves_their_range(k: int | None) -> None:
    points, centres, features = cloud()
    same = interpolate(points, centres, torch.full((9, 2), 3.5), k=k)
    torch.testing.assert_close(same, torch.full((40, 2), 3.5))
    got = interpolate(points, centres, features, k=k)
    assert (got <= features.amax(dim=0) + 1e-5).all()
    assert (got >= features.amin(dim=0) - 1e-5).all()


def test_no_points_give_no_rows() -> None:
    _, centres, features = cloud()
    assert interpolate(torch.zeros(0, 3), centres, features).shape == (0, 5)


def test_interpolate_names_what_is_wrong() -> None:
    points, centres, features = cloud()
    with pytest.raises(ValueError, match=r"k = 10: expected 1 to 9"):
        interpolate(points, centres, features, k=10)
    with pytest.raises(ValueError, match=r"k = 0"):
        interpolate(points, centres, features, k=0)
    with pytest.raises(ValueError, match=r"one row for each of the 9 centres"):
        interpolate(points, centres, features[:-1])
    with pytest.raises(ValueError, match=r"expected \(P, 3\)"):
        interpolate(points[:, :2], centres, features)
    with pytest.raises(ValueError, match="at least one centre"):
        interpolate(points, torch.zeros(0, 3), torch.zeros(0, 5))


@pytest.mark.parametrize(("size", "grid"), [(12, 4), (10, 4), (7, 7), (9, 2), (6, 1)])
def test_average_is_the_double_loop(size: int, grid: int) -> None:
    rng = np.random.default_rng(size)
    seen = np.zeros((size, size), dtype=bool)
    seen[1 : size - 2, 2:size] = rng.random((size - 3, size - 2)) < 0.6
    picture = rng.normal(size=(size, size, 3)).astype(np.float32)
    values, pixels = torch.from_numpy(picture[seen]), torch.from_numpy(np.flatnonzero(seen))
    features, share = average_into_patches(values, pixels, size, grid)

    for row in range(grid):
        for column in range(grid):
            inside, area = [], 0
            for v in range(size):
                for u in range(size):
                    if v * grid // size == row and u * grid // size == column:
                        area += 1
                        if seen[v, u]:
                            inside.append(picture[v, u])
            patch = row * grid + column
            expected = np.mean(inside, axis=0) if inside else np.zeros(3)
            np.testing.assert_allclose(features[patch].numpy(), expected, rtol=1e-5, atol=1e-6)
            assert share[patch].item() == pytest.approx(len(inside) / area)


def test_silhouette_keeps_the_length_of_its_features() -> None:
    """One pixel of sixteen on the part: its value, not a sixteenth of it."""
    features, share = average_into_patches(torch.tensor([[8.0]]), torch.tensor([0]), 8, 2)
    assert features.tolist() == [[8.0], [0.0], [0.0], [0.0]]
    assert share.tolist() == [1 / 16, 0.0, 0.0, 0.0]  # share 0 marks the patches without a part


@pytest.mark.parametrize(("size", "grid"), [(224, 28), (224, 56), (15, 4)])
def test_every_pixel_lands_in_its_own_patch(size: int, grid: int) -> None:
    """A feature at (v, u) must lie in the patch that the picture's network gives to (v, u)."""
    position = torch.arange(size * size)
    v, u = position // size, position % size
    expected = torch.div(v * grid, size, rounding_mode="floor") * grid + torch.div(
        u * grid, size, rounding_mode="floor"
    )
    assert torch.equal(patch_index(position, size, grid), expected)
    if size % grid == 0:  # the picture itself, cut into blocks, says where each pixel belongs
        side = size // grid
        blocks = torch.arange(grid * grid).reshape(grid, grid)
        blocks = blocks.repeat_interleave(side, 0).repeat_interleave(side, 1)
        assert torch.equal(patch_index(position, size, grid), blocks.flatten())


def test_colour_and_depth_meet_in_the_same_patch() -> None:
    """One bright pixel: pooling the picture and projecting the point must choose one patch."""
    size, grid = 24, 6
    for v, u in [(0, 0), (3, 22), (22, 3), (13, 8)]:
        picture = torch.zeros(1, 1, size, size)
        picture[0, 0, v, u] = 1
        pooled = torch.nn.functional.adaptive_avg_pool2d(picture, grid).flatten()
        _, share = average_into_patches(torch.ones(1, 1), torch.tensor([v * size + u]), size, grid)
        assert pooled.argmax() == share.argmax() == (v * grid // size) * grid + u * grid // size


@pytest.mark.parametrize(("size", "grid"), [(12, 4), (10, 4), (224, 56), (9, 7)])
def test_area_counts_the_pixels_of_each_patch(size: int, grid: int) -> None:
    counted = torch.bincount(
        patch_index(torch.arange(size * size), size, grid), minlength=grid * grid
    )
    assert torch.equal(patch_area(size, grid), counted.float())


def test_average_names_what_is_wrong() -> None:
    values, pixels = torch.ones(2, 3), torch.tensor([0, 5])
    for grid in (0, 9):
        with pytest.raises(ValueError, match=f"grid = {grid}"):
            average_into_patches(values, pixels, 8, grid)
    with pytest.raises(ValueError, match="one pixel for each point"):
        average_into_patches(values, pixels[:1], 8, 2)
    with pytest.raises(ValueError, match=r"torch\.long"):
        average_into_patches(values, pixels.float(), 8, 2)
    for outside in (-1, 64):
        with pytest.raises(ValueError, match=r"pixels leave 0\.\.63"):
            average_into_patches(values, torch.tensor([0, outside]), 8, 2)


@pytest.mark.parametrize("k", [None, 3])
def test_stays_on_its_device(k: int | None) -> None:
    with FakeTensorMode(allow_non_fake_inputs=False):
        points, centres = (torch.empty(n, 3, device="cuda") for n in (100, 10))
        values = interpolate(points, centres, torch.empty(10, 8, device="cuda"), k=k)
        pixels = torch.empty(100, dtype=torch.long, device="cuda")
        features, share = average_into_patches(values, pixels, 32, 4)
    assert features.shape == (16, 8)
    assert features.device.type == share.device.type == "cuda"


def test_gradients_reach_the_features() -> None:
    points, centres, features = cloud()
    features.requires_grad_()
    values = interpolate(points, centres, features, k=3)
    average_into_patches(values, torch.arange(40), 8, 2)[0].sum().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() > 0
