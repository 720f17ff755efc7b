"""Chapter "Does adaptation help?"."""

from __future__ import annotations

import numpy as np
from scipy import stats

from lsfa_book.checking import Exercise


def interval(change: np.ndarray, ddof: int = 1, root: bool = True) -> tuple[float, float, float]:
    """Mean and ends of the 95 % t-interval of one value per data set."""
    n = len(change)
    half = stats.t.ppf(0.975, n - 1) * change.std(ddof=ddof) / (np.sqrt(n) if root else 1)
    return change.mean(), change.mean() - half, change.mean() + half


def paired(after: np.ndarray, before: np.ndarray) -> tuple[float, float, float]:
    return interval(after - before)


def unpaired(after: np.ndarray, before: np.ndarray) -> tuple[float, float, float]:
    n, mean = len(after), after.mean() - before.mean()
    spread = np.sqrt((after.var(ddof=1) + before.var(ddof=1)) / n)
    half = stats.t.ppf(0.975, n - 1) * spread
    return mean, mean - half, mean + half


RNG = np.random.default_rng(0)
LEVEL = RNG.uniform(0.6, 1.0, 12)  # categories differ more than the two methods do

EXERCISES = {
    "paired": Exercise(
        cases=(
            (LEVEL + RNG.normal(0.02, 0.01, 12), LEVEL),
            (LEVEL[:5] + RNG.normal(0, 0.03, 5), LEVEL[:5]),
        ),
        solution=paired,
        mistakes={
            "this treats the two as unrelated; take the difference on each data set first.": (
                unpaired
            ),
            "this is the spread of single differences, not of their mean: divide by sqrt(n).": (
                lambda a, b: interval(a - b, root=False)
            ),
            "divide by n - 1 in the standard deviation: ddof=1.": (
                lambda a, b: interval(a - b, ddof=0)
            ),
            "this is before minus after.": lambda a, b: interval(b - a),
        },
    )
}
