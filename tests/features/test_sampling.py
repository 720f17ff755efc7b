"""Farthest point sampling and grouping against slow versions written from their definitions."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.features.sampling import (
    farthest_point_sampling,
    farthest_points,
    nearest_groups,
    nearest_points,
)


def slow_sampling(points: np.ndarray, count: int, start: int) -> list[int]:
    """The point whose distance to its nearest chosen point is the largest comes next."""
    chosen = [start]
    while len(chosen) < count:
        to_chosen = [min(np.linalg.norm(p - points[c]) for c in chosen) for p in points]
        chosen.append(int(np.argmax(to_chosen)))
    return chosen


@pytest.mark.parametrize("start", [0, 17])
def test_sampling_agrees_with_the_definition(start: int) -> None:
    points = np.random.default_rng(1).normal(size=(60, 3))
    chosen = farthest_point_sampling(torch.from_numpy(points), 20, start)
    assert chosen.dtype == torch.long
    assert chosen.tolist() == slow_sampling(points, 20, start)


def test_sampling_far_from_the_origin_keeps_its_precision() -> None:
    """Metres with a part half a metre away and points 0.1 mm apart."""
    points = 1e-4 * np.random.default_rng(2).normal(size=(80, 3)) + [0.0, 0.0, 0.5]
    points = points.astype(np.float32)
    chosen = farthest_point_sampling(torch.from_numpy(points), 12)
    assert chosen.tolist() == slow_sampling(points.astype(np.float64), 12, 0)


def test_all_points_can_be_chosen_and_none_twice() -> None:
    points = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
    assert sorted(farthest_point_sampling(points, 30).tolist()) == list(range(30))


def test_one_is_enough() -> None:
    points = torch.arange(9.0).reshape(3, 3)
    assert farthest_point_sampling(points[:1], 1).tolist() == [0]
    assert nearest_groups(points, points[1:2], 1).tolist() == [[1]]


def test_input_is_left_alone() -> None:
    points = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
    before = points.clone()
    farthest_point_sampling(points, 5)
    nearest_groups(points, points[:2], 4)
    assert torch.equal(points, before)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_groups_agree_with_brute_force(chunk: int) -> None:
    rng = np.random.default_rng(3)
    points, centres = rng.normal(size=(50, 3)), rng.normal(size=(7, 3))
    found = nearest_groups(torch.from_numpy(points), torch.from_numpy(centres), 6, chunk)
    distance = np.array([[np.sqrt(((p - c) ** 2).sum()) for p in points] for c in centres])
    assert found.tolist() == np.argsort(distance, axis=1)[:, :6].tolist()


def test_groups_far_from_the_origin_keep_their_precision() -> None:
    points = 1e-4 * np.random.default_rng(4).normal(size=(2000, 3)) + [0.0, 0.0, 0.5]
    points = points.astype(np.float32)
    found = nearest_groups(torch.from_numpy(points), torch.from_numpy(points[:40]), 5)
    exact = points.astype(np.float64)
    distance = np.linalg.norm(exact[:40, None] - exact[None], axis=-1)
    assert found.tolist() == np.argsort(distance, axis=1)[:, :5].tolist()
    assert found[:, 0].tolist() == list(range(40))  # a centre is its own first neighbour


def grid(side: int) -> np.ndarray:
    """A scan without relief: each point has several others at exactly the same distance."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)


def test_sampling_takes_the_first_of_equals() -> None:
    points = grid(7)
    chosen = farthest_point_sampling(torch.from_numpy(points), 20, 3)
    assert chosen.tolist() == slow_sampling(points, 20, 3)


@pytest.mark.parametrize("size", [1, 3, 17, 64])
def test_the_smaller_index_comes_first_among_equals(size: int) -> None:
    points = np.concatenate([grid(8), grid(8), grid(8)])  # each thrice: 12 equals and more
    found = nearest_groups(torch.from_numpy(points), torch.from_numpy(points), size)
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=-1)  # whole numbers: exact
    assert found.tolist() == np.argsort(squared, axis=1, kind="stable")[:, :size].tolist()


def test_one_point_many_times() -> None:
    points = torch.ones(40, 3)
    assert farthest_point_sampling(points, 4, start=7).tolist() == [7, 0, 0, 0]
    assert nearest_groups(points, points[:2], 5).tolist() == [list(range(5))] * 2
    assert nearest_groups(points, points[:1], 40).tolist() == [list(range(40))]


@pytest.mark.parametrize("start", [0, 5])
def test_a_batch_gives_what_its_clouds_give_alone(start: int) -> None:
    """Clouds of three lengths; the fillers lie anywhere in the rows and far away, or on a point."""
    rng = np.random.default_rng(6)
    clouds = [rng.normal(size=(n, 3)).astype(np.float32) for n in (90, 40, 64)]
    clouds[2] = grid(8)
    points = np.full((3, 90, 3), 1e3, np.float32)
    points[1] = clouds[1][0]
    valid = np.zeros((3, 90), bool)
    for b, cloud in enumerate(clouds):
        valid[b, np.sort(rng.permutation(90)[: len(cloud)])] = True
        points[b, valid[b]] = cloud
    batch, inside = torch.from_numpy(points), torch.from_numpy(valid)
    chosen = farthest_points(batch, 12, inside, start)
    assert chosen.dtype == torch.long
    centres = torch.gather(batch, 1, chosen[..., None].expand(-1, -1, 3))
    nearest = nearest_points(batch, centres, 9, inside, chunk=5)
    for b, cloud in enumerate(clouds):
        places, alone = np.flatnonzero(valid[b]), torch.from_numpy(cloud)
        expected = farthest_point_sampling(alone, 12, start)
        assert chosen[b].tolist() == places[expected].tolist()
        groups = nearest_groups(alone, alone[expected], 9)
        if b < 2:  # no two distances are equal
            assert nearest[b].tolist() == places[groups].tolist()
        squared = (batch[b][nearest[b]] - centres[b][:, None]).square().sum(dim=-1)
        torch.testing.assert_close(
            squared, (alone[groups] - alone[expected][:, None]).square().sum(dim=-1)
        )
        assert valid[b][nearest[b]].all()


def test_a_batch_without_fillers() -> None:
    clouds = torch.rand(2, 50, 3, generator=torch.Generator().manual_seed(0))
    chosen = farthest_points(clouds, 8)
    nearest = nearest_points(clouds, clouds[:, :4], 6)
    for b, cloud in enumerate(clouds):
        assert torch.equal(chosen[b], farthest_point_sampling(cloud, 8))
        assert torch.equal(nearest[b], nearest_groups(cloud, cloud[:4], 6))


def test_a_batch_names_what_is_wrong_with_it() -> None:
    clouds, valid = torch.rand(2, 9, 3), torch.ones(2, 9, dtype=torch.bool)
    valid[1, 4:] = False
    with pytest.raises(ValueError, match="4 points cannot give 5 centres"):
        farthest_points(clouds, 5, valid)
    with pytest.raises(ValueError, match="4 points cannot give 5 neighbours"):
        nearest_points(clouds, clouds, 5, valid)
    with pytest.raises(ValueError, match=r"shape \(9, 3\), expected \(B, P, 3\)"):
        farthest_points(clouds[0], 5)
    with pytest.raises(ValueError, match=r"torch.int64 \(2, 9\), expected bool \(B, P\)"):
        nearest_points(clouds, clouds, 5, valid.long())


def test_a_cloud_of_a_usual_size_is_quick() -> None:
    """Against all distances at once, and not against a clock: other programs slow both alike."""
    points = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
    farthest_point_sampling(points, 4)
    begin = time.process_time()
    chosen = farthest_point_sampling(points, 256)
    sampled = time.process_time()
    torch.cdist(points[chosen], points, compute_mode="donot_use_mm_for_euclid_dist").sort(dim=1)
    compared = time.process_time()
    nearest_groups(points, points[chosen], 64)
    assert sampled - begin < 0.5 * (compared - sampled)  # a tenth
    assert time.process_time() - compared < 0.5 * (compared - sampled)


def test_too_few_points_say_how_many() -> None:
    points = torch.zeros(5, 3)
    with pytest.raises(ValueError, match="5 points cannot give 8 centres") as error:
        farthest_point_sampling(points, 8)
    assert "background removal" in str(error.value)
    with pytest.raises(ValueError, match="5 points cannot give 6 neighbours"):
        nearest_groups(points, points[:1], 6)


def test_odd_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 5\), expected \(P, 3\)"):
        farthest_point_sampling(torch.zeros(3, 5), 2)
    with pytest.raises(ValueError, match="0 centres asked for"):
        farthest_point_sampling(torch.zeros(5, 3), 0)


def test_everything_stays_on_the_device_of_the_points() -> None:
    with FakeTensorMode(allow_non_fake_inputs=False):
        points = torch.empty(100, 3, device="cuda")
        chosen = farthest_point_sampling(points, 8)
        groups = nearest_groups(points, points[chosen], 4, chunk=3)
        assert farthest_points(points[None], 8).device.type == "cuda"
        assert chosen.device.type == groups.device.type == "cuda"
        assert groups.shape == (8, 4)
