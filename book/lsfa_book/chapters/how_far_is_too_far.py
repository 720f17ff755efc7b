"""Chapter "How far is too far?"."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lsfa_book.checking import Exercise


def kcentre(points: Tensor, count: int) -> list[int]:
    """points (M, D) -> `count` row numbers: row 0, then always the row farthest from them."""
    chosen = [0]
    while len(chosen) < count:
        nearest = torch.cdist(points, points[chosen]).amin(dim=1)  # (M,)
        chosen.append(int(nearest.argmax()))
    return chosen


def from_the_last(points: Tensor, count: int) -> list[int]:
    chosen = [0]
    while len(chosen) < count:
        chosen.append(int(torch.cdist(points, points[chosen[-1:]])[:, 0].argmax()))
    return chosen


def summed(points: Tensor, count: int) -> list[int]:
    chosen = [0]
    while len(chosen) < count:
        total = torch.cdist(points, points[chosen]).sum(dim=1)
        total[chosen] = -1
        chosen.append(int(total.argmax()))
    return chosen


def nearest_first(points: Tensor, count: int) -> list[int]:
    chosen = [0]
    while len(chosen) < count:
        nearest = torch.cdist(points, points[chosen]).amin(dim=1)
        nearest[chosen] = torch.inf
        chosen.append(int(nearest.argmin()))
    return chosen


def from_the_middle(points: Tensor, count: int) -> list[int]:
    middle = int((points - points.mean(dim=0)).norm(dim=1).argmin())
    order = torch.cat([torch.tensor([middle]), torch.arange(len(points))])
    return [int(order[i]) for i in kcentre(points[order], count)]


def distances(query: Tensor, rows: Tensor) -> Tensor:
    return (rows - query).norm(dim=1)


def crowd(query: Tensor, bank: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Distance from the query to its nearest row m*, and to the `count` rows nearest to m*."""
    to_bank = distances(query, bank)
    near = distances(bank[to_bank.argmin()], bank).argsort()[:count]
    return to_bank.amin(), to_bank[near]


def weight(query: Tensor, bank: Tensor, count: int) -> float:
    """query (D,), bank (M, D) -> w of the printed formula, with b = count rows around m*."""
    own, others = crowd(query, bank, count)
    return float(1 - own.exp() / others.exp().sum())


def around_the_query(query: Tensor, bank: Tensor, count: int) -> float:
    near = distances(query, bank).sort().values[:count]
    return float(1 - near[0].exp() / near.exp().sum())


def without_own(query: Tensor, bank: Tensor, count: int) -> float:
    own, others = crowd(query, bank, count)
    return float(1 - own.exp() / others[1:].exp().sum())


def without_exp(query: Tensor, bank: Tensor, count: int) -> float:
    own, others = crowd(query, bank, count)
    return float(1 - own / others.sum())


def ratio(query: Tensor, bank: Tensor, count: int) -> float:
    return 1 - weight(query, bank, count)


def fuse(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Columns are modalities: z-scores by the validation parts (B, 2), then their mean (T,)."""
    scaled = (test - validation.mean(axis=0)) / validation.std(axis=0)
    return np.asarray(scaled.mean(axis=1))


def by_the_test_parts(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    return fuse(test, test)


def swapped(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    scaled = (test - validation.mean(axis=0)) / validation.std(axis=0)[::-1]
    return np.asarray(scaled.mean(axis=1))


def one_scale(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    return np.asarray(((test - validation.mean()) / validation.std()).mean(axis=1))


def fuse_sum(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    return 2 * fuse(validation, test)


def per_part(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    scaled = (test - validation.mean(axis=0)) / validation.std(axis=0)
    return np.asarray(scaled.mean(axis=0))


def unscaled(validation: np.ndarray, test: np.ndarray) -> np.ndarray:
    return np.asarray(test.mean(axis=1))


def cloud(seed: int, rows: int, width: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


LINE = torch.tensor([[0.0], [1.0], [2.0], [6.0], [7.0], [10.0]])
RNG = np.random.default_rng(0)
UNITS = np.array([10.0, 0.1])
VALIDATION = (5 + RNG.normal(size=(12, 2))) * UNITS
TEST = (6 + 2 * RNG.normal(size=(24, 2))) * UNITS


def drawn_fuse(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    units = rng.uniform(0.1, 20, 2)
    return (((3 + rng.normal(size=(15, 2))) * units, (4 + 2 * rng.normal(size=(9, 2))) * units),)


EXERCISES = {
    "kcentre": Exercise(
        cases=((LINE, 4), (cloud(0, 40, 2), 6), (cloud(1, 60, 5), 12)),
        solution=kcentre,
        drawn=lambda seed: ((cloud(seed, 50, 3), 8), (cloud(seed + 1, 30, 2), 5)),
        mistakes={
            "you measure from the last chosen row alone. A row counts as covered by the nearest "
            "of all chosen ones.": from_the_last,
            "you add the distances up. A row needs one chosen row nearby, not all of them: take "
            "the minimum.": summed,
            "this takes the nearest row each time. It must be the farthest.": nearest_first,
            "this starts in the middle. Start from row 0.": from_the_middle,
        },
    ),
    "weight": Exercise(
        cases=tuple((1.5 * cloud(seed, 1, 3)[0], cloud(seed + 50, 30, 3), 3) for seed in range(4)),
        solution=weight,
        drawn=lambda seed: tuple(
            (cloud(seed + i, 1, 3)[0], cloud(seed + i + 50, 40, 3), 4) for i in range(3)
        ),
        mistakes={
            "the neighbours are those of the query. They must be those of m*, its nearest row: "
            "the formula asks whether m* stands in a crowd.": around_the_query,
            "m* is missing from the sum. It is its own nearest neighbour, and in the formula of "
            "Roth et al. it counts.": without_own,
            "the exponential is missing.": without_exp,
            "this is the ratio. The weight is 1 minus it.": ratio,
        },
    ),
    "fuse": Exercise(
        cases=((VALIDATION, TEST), (VALIDATION, VALIDATION[:5])),
        solution=fuse,
        drawn=drawn_fuse,
        mistakes={
            "the scale comes from the test parts. In the factory there is one part at a time, and "
            "a batch of bad ones would look normal.": by_the_test_parts,
            "each sense is divided by the deviation of the other one. Published code did "
            "that too.": swapped,
            "one mean and one deviation for both senses. Each column needs its own: "
            "axis=0.": one_scale,
            "this is the sum. Take the mean.": fuse_sum,
            "the mean runs over the parts. It must run over the senses: axis=1.": per_part,
            "nothing is normalised yet.": unscaled,
        },
    ),
}
