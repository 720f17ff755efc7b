"""Greedy k-centre against a slow NumPy version; the random projection; devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.scoring.coreset import greedy_coreset, k_centres, project


def slow_k_centres(points, count):
    """Every distance to every chosen row, again in each step, in double precision."""
    chosen = [0]
    while len(chosen) < count:
        to_chosen = [min(np.linalg.norm(p - points[c]) for c in chosen) for p in points]
        for c in chosen:
            to_chosen[c] = -1.0
        chosen.append(int(np.argmax(to_chosen)))
    return chosen


def covering_radius(points, chosen):
    return max(min(np.linalg.norm(p - points[c]) for c in chosen) for p in points)


@pytest.mark.parametrize("offset", [0.0, 2000.0])
def test_equals_the_slow_version(offset):
    points = (np.random.default_rng(0).normal(size=(120, 6)) + offset).astype(np.float32)
    slow = slow_k_centres(points.astype(np.float64), 25)
    assert greedy_coreset(torch.tensor(points), 25).tolist() == slow


def test_covers_better_than_chance():
    """Dense middle, thin outskirts: a random choice misses the outskirts."""
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(300, 5)), 8 * rng.normal(size=(20, 5))])
    chosen = greedy_coreset(torch.tensor(points, dtype=torch.float32), 20).tolist()
    chance = [covering_radius(points, rng.choice(320, 20, replace=False)) for _ in range(5)]
    assert covering_radius(points, chosen) < 0.5 * min(chance)


def test_projection_keeps_distances_and_the_choice_still_covers():
    rng = np.random.default_rng(2)
    features = torch.tensor(rng.normal(size=(200, 600)), dtype=torch.float32)
    narrow = project(features, 128, seed=0)
    assert narrow.shape == (200, 128)
    ratio = torch.pdist(narrow) / torch.pdist(features)
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)
    assert ratio.std() < 0.1
    assert torch.equal(project(features, 600, seed=0), features)  # wide enough already

    assert torch.equal(
        greedy_coreset(features, 9, 64, seed=3), greedy_coreset(features, 9, 64, seed=3)
    )
    assert not torch.equal(
        greedy_coreset(features, 9, 64, seed=3), greedy_coreset(features, 9, 64, seed=4)
    )


def test_seed_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    greedy_coreset(torch.rand(50, 300), 5, projection=8)  # torch.rand itself moves it once
    torch.set_rng_state(before)
    first = torch.rand(50, 300)
    state = torch.get_rng_state()
    greedy_coreset(first, 5, projection=8)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_row_twice_even_among_equal_rows():
    features = torch.ones(12, 4)
    assert sorted(greedy_coreset(features, 11).tolist()) == sorted(set(range(12)) - {11})
    two_places = torch.cat([torch.zeros(6, 3), torch.ones(6, 3)])
    chosen = greedy_coreset(two_places, 7).tolist()
    assert chosen[:2] == [0, 6]
    assert len(set(chosen)) == 7


def test_count_at_least_m_returns_all():
    features = torch.rand(7, 3)
    assert greedy_coreset(features, 7).tolist() == list(range(7))
    assert greedy_coreset(features, 100).tolist() == list(range(7))
    assert greedy_coreset(features[:1], 1).tolist() == [0]


def test_half_precision_input_is_accepted():
    features = torch.rand(40, 200, generator=torch.Generator().manual_seed(0))
    assert len(greedy_coreset(features.half(), 4).unique()) == 4


def test_bad_input():
    with pytest.raises(ValueError, match="count"):
        greedy_coreset(torch.rand(5, 2), 0)
    with pytest.raises(ValueError, match=r"\(M, D\)"):
        greedy_coreset(torch.rand(5), 2)
    with pytest.raises(ValueError, match="NaN"):
        greedy_coreset(torch.tensor([[0.0], [float("nan")]]), 1)


def test_stays_on_its_device():
    """The loop and the projection; greedy_coreset looks for NaN, and fakes have no values."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        features = torch.empty(50, 300, device="cuda")
        chosen = k_centres(project(features, 64, seed=0), 5)
        assert chosen.device.type == "cuda"
        assert chosen.shape == (5,)
