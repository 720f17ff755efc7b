"""Chapter "On your own bench"."""

from __future__ import annotations

import numpy as np

from lsfa_book.checking import Exercise


def line(scores: np.ndarray, rate: float) -> float:
    """The ceil((n + 1)(1 - rate))-th smallest of n scores, or the largest if n is too small."""
    rank = int(np.ceil((len(scores) + 1) * (1 - rate) - 1e-9))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def without_the_next(scores: np.ndarray, rate: float) -> float:
    rank = int(np.ceil(len(scores) * (1 - rate) - 1e-9))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def from_above(scores: np.ndarray, rate: float) -> float:
    return -line(-scores, rate)


def off_by_one(scores: np.ndarray, rate: float) -> float:
    rank = int(np.ceil((len(scores) + 1) * (1 - rate) - 1e-9))
    return float(np.sort(scores)[min(rank, len(scores) - 1)])


def cloud(depth: np.ndarray, f: float, unit: float) -> np.ndarray:
    """Depth (H, W) in steps of `unit` metres -> (H, W, 3) metres, axis through the middle."""
    v, u = np.indices(depth.shape)
    z = depth * unit
    height, width = depth.shape
    return np.stack([(u - width / 2) / f * z, (v - height / 2) / f * z, z], axis=-1)


def swapped(depth: np.ndarray, f: float, unit: float) -> np.ndarray:
    height, width = depth.shape
    v, u = np.indices(depth.shape)
    z = depth * unit
    return np.stack([(v - height / 2) / f * z, (u - width / 2) / f * z, z], axis=-1)


def not_centred(depth: np.ndarray, f: float, unit: float) -> np.ndarray:
    v, u = np.indices(depth.shape)
    z = depth * unit
    return np.stack([u / f * z, v / f * z, z], axis=-1)


RNG = np.random.default_rng(0)
DEPTH = RNG.integers(4000, 6000, (4, 6)) * (RNG.random((4, 6)) > 0.2)


def drawn_line(seed: int) -> tuple[tuple[np.ndarray, float], ...]:
    rng = np.random.default_rng(seed)
    return tuple((rng.normal(size=n), rate) for n, rate in ((9, 0.15), (14, 0.04), (50, 0.1)))


def drawn_cloud(seed: int) -> tuple[tuple[np.ndarray, float, float], ...]:
    rng = np.random.default_rng(seed)
    return ((rng.integers(3000, 9000, (5, 8)), rng.uniform(400, 900), 0.0005),)


EXERCISES = {
    "line": Exercise(
        cases=(
            (RNG.permutation(9).astype(float), 0.15),
            (RNG.normal(size=12), 0.05),
            (RNG.normal(size=40), 0.1),
        ),
        solution=line,
        drawn=drawn_line,
        mistakes={
            "the next part takes one of n + 1 places, not of n.": without_the_next,
            "this is the line for the rate's other side: count from the smallest.": from_above,
            "the rank counts from 1, NumPy's index from 0.": off_by_one,
            "this is a quantile with interpolation; it promises less than it says.": lambda s, a: (
                float(np.quantile(s, 1 - a))
            ),
        },
    ),
    "cloud": Exercise(
        cases=((DEPTH, 1000.0, 0.0001), (DEPTH[:, :5], 500.0, 0.001)),
        solution=cloud,
        drawn=drawn_cloud,
        mistakes={
            "z is right, x and y are swapped: u is the column, v the row.": swapped,
            "the axis goes through the middle of the picture: subtract W/2 and H/2.": not_centred,
            "this is in the file's steps; multiply by the unit.": lambda d, f, unit: (
                cloud(d, f, unit) / unit
            ),
            "y points down, as rows do.": lambda d, f, unit: (
                cloud(d, f, unit) * np.array([1, -1, 1])
            ),
        },
    ),
}
