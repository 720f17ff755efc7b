"""Greedy k-centre against a slow NumPy version, in blocks against plain; projection; devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.scoring import coreset
from lsfa_lite.scoring.coreset import (
    Shortlist,
    greedy_coreset,
    greedy_steps,
    k_centres,
    k_centres_in_blocks,
    on_a_grid,
    project,
)


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


def tables():
    """Name -> rows: what lies evenly, in heaps, on a lattice, twice, on one spot, far away."""
    rng = np.random.default_rng(5)
    even = rng.normal(size=(400, 9))
    heaps = rng.normal(size=(20, 9))[rng.integers(20, size=400)] + 0.01 * even
    return {
        "even": even,
        "heaps": heaps,
        "a lattice, full of ties": rng.integers(3, size=(400, 4)).astype(float),
        "each row three times": np.tile(even[:130], (3, 1)),
        "shuffled copies": even[rng.integers(100, size=400)],
        "one spot": np.ones((200, 5)),
        "one column": rng.normal(size=(300, 1)),
        "two rows": even[:2],
        "one row": even[:1],
        "far from the origin": even + 1e4,
        "one outlier": np.concatenate([even, np.full((1, 9), 1e5)]),
        "tiny numbers": even * 1e-30,
        "heavy tails": rng.standard_cauchy(size=(400, 6)),
    }


@pytest.mark.parametrize("name", tables())
@pytest.mark.parametrize("sizes", [(16, 4, 10, 3), (64, 64, 512, 512), (1, 1, 1, 1)])
def test_blocks_choose_the_rows_of_the_plain_loop(name, sizes, monkeypatch):
    """For any size of shortlist, block and tile; up to the last row that there is."""
    for constant, size in zip(("SHORTLIST", "STEPS", "TILE", "CENTRES"), sizes, strict=True):
        monkeypatch.setattr(coreset, constant, size)
    points = torch.tensor(tables()[name], dtype=torch.float32)
    if sizes[0] == 1:
        points = points[:60]
    for count in {1, len(points) // 10 or 1, len(points)}:
        assert torch.equal(k_centres_in_blocks(points, count), k_centres(points, count))


def test_the_shipped_sizes_choose_the_rows_of_the_plain_loop():
    """Beyond one shortlist, with the constants as they are."""
    points = torch.tensor(np.random.default_rng(6).normal(size=(4000, 12)), dtype=torch.float32)
    points[::7] = points[0]
    assert torch.equal(k_centres_in_blocks(points, 700), k_centres(points, 700))


def test_squared_distances_on_the_grid_are_whole_and_exact():
    """The formula of both loops, in any order of the columns, against Python's integers."""
    points = 1e3 * np.random.default_rng(7).standard_cauchy(size=(40, 128)).astype(np.float32)
    grid = on_a_grid(torch.tensor(points))
    squares = grid.square().sum(dim=1)
    product = squares[:, None] - 2 * grid @ grid.T + squares
    flipped = grid.flip(1).contiguous()
    assert torch.equal(product, squares[:, None] - 2 * flipped @ flipped.T + squares)
    whole = [[int(x) for x in row] for row in grid.tolist()]
    for i, j in [(0, 1), (5, 30), (39, 2), (8, 8)]:
        assert int(product[i, j]) == sum(
            (a - b) ** 2 for a, b in zip(whole[i], whole[j], strict=True)
        )
    ratio = torch.pdist(grid) / torch.pdist(torch.tensor(points).double())
    assert (ratio / ratio.mean() - 1).abs().max() < 1e-5


def test_the_shortlist_stays_in_its_buffers(monkeypatch):
    """A CUDA graph writes to the addresses that it was recorded with."""
    made = []

    class Watched(Shortlist):
        def __init__(self, points, size):
            super().__init__(points, size)
            made.append((self, self.addresses()))

        def addresses(self):
            held = self.points, self.squares, self.distance, self.picked, self.far
            return [t.data_ptr() for t in held]

    monkeypatch.setattr(coreset, "Shortlist", Watched)
    monkeypatch.setattr(coreset, "SHORTLIST", 32)
    k_centres_in_blocks(torch.tensor(tables()["even"], dtype=torch.float32), 200)
    [(shortlist, before)] = made
    assert shortlist.addresses() == before


def test_progress_counts_the_rows(capsys):
    for choose in (k_centres, k_centres_in_blocks):
        choose(torch.tensor(tables()["even"]), 90, progress=True)
        assert "90/90" in capsys.readouterr().err


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
        buffers = [torch.empty(50, *more, device="cuda") for more in [(64,), (), ()]]
        picked = torch.zeros(4, dtype=torch.long, device="cuda")
        greedy_steps(*buffers, picked, torch.empty(4, device="cuda"))
        assert picked.device.type == "cuda"
