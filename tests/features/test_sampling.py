"""Farthest point sampling and grouping against slow versions written from their definitions."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.features.sampling import farthest_point_sampling, nearest_groups


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


def test_a_cloud_of_a_usual_size_is_quick() -> None:
    points = torch.rand(15_000, 3, generator=torch.Generator().manual_seed(0))
    farthest_point_sampling(points, 4)
    begin = time.process_time()
    farthest_point_sampling(points, 256)
    assert time.process_time() - begin < 0.5  # 0.01 s on one free core


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
        assert chosen.device.type == groups.device.type == "cuda"
        assert groups.shape == (8, 4)
