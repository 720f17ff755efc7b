"""Chapter "The number and what it hides"."""

from __future__ import annotations

import numpy as np

from lsfa_book.checking import Exercise


def pairs(scores: np.ndarray, labels: np.ndarray) -> float:
    """The share of (defective, good) pairs in the right order; a draw is half a pair."""
    bad, good = scores[labels == 1][:, None], scores[labels == 0][None, :]
    return float(((bad > good) + 0.5 * (bad == good)).mean())


def strict(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores[labels == 1][:, None] > scores[labels == 0][None, :]).mean())


def generous(scores: np.ndarray, labels: np.ndarray) -> float:
    return float((scores[labels == 1][:, None] >= scores[labels == 0][None, :]).mean())


def of_all_pairs(scores: np.ndarray, labels: np.ndarray) -> float:
    right = (labels == 1).sum() * (labels == 0).sum()
    return pairs(scores, labels) * float(right / len(labels) ** 2)


def overlap(anomaly_map: np.ndarray, regions: np.ndarray, threshold: float) -> float:
    """The mean over regions 1, 2, ... of the share of each that scores at least the threshold."""
    called = anomaly_map >= threshold
    return float(np.mean([called[regions == n].mean() for n in range(1, regions.max() + 1)]))


def over_pixels(anomaly_map: np.ndarray, regions: np.ndarray, threshold: float) -> float:
    return float((anomaly_map >= threshold)[regions > 0].mean())


def without_ties(anomaly_map: np.ndarray, regions: np.ndarray, threshold: float) -> float:
    return overlap(-anomaly_map, regions, -threshold) * -1 + 1


def background_too(anomaly_map: np.ndarray, regions: np.ndarray, threshold: float) -> float:
    return overlap(anomaly_map, regions + 1, threshold)


RNG = np.random.default_rng(0)
REGIONS = np.array([[1, 1, 0, 0, 2], [1, 1, 0, 0, 0], [1, 1, 0, 3, 3]])


def drawn_pairs(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    return ((rng.integers(0, 7, 30) / 4, np.arange(30) % 3 % 2),)  # one part in three is bad


def drawn_overlap(seed: int) -> tuple[tuple[np.ndarray, np.ndarray, float], ...]:
    rng = np.random.default_rng(seed)
    maps = [rng.integers(0, 5, REGIONS.shape).astype(float) for _ in range(3)]
    return tuple((m, regions, 2.0) for m in maps for regions in (REGIONS, REGIONS[::-1].copy()))


EXERCISES = {
    "pairs": Exercise(
        cases=(
            (np.array([3, 2, 2, 1]), np.array([1, 1, 0, 0])),
            (RNG.integers(0, 9, 40) / 3, RNG.integers(0, 2, 40)),
        ),
        solution=pairs,
        drawn=drawn_pairs,
        mistakes={
            "a draw counts nothing here; it is half a pair.": strict,
            "a draw counts as a win here; it is half a pair.": generous,
            "this is 1 minus the AUROC: the good parts win. Look at the order.": lambda s, y: (
                1 - pairs(s, y)
            ),
            "divide by the pairs of a defective with a good part, not by all pairs.": of_all_pairs,
        },
    ),
    "overlap": Exercise(
        cases=(
            (RNG.integers(0, 5, REGIONS.shape).astype(float), REGIONS, 2.0),
            (RNG.integers(0, 5, REGIONS.shape).astype(float), REGIONS, 3.0),
        ),
        solution=overlap,
        drawn=drawn_overlap,
        mistakes={
            "this is one vote per pixel. Take the mean in each region first.": over_pixels,
            "a pixel at the threshold counts as called: >=, not >.": without_ties,
            "region 0 is the good pixels; start at 1.": background_too,
        },
    ),
}
