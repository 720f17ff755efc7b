"""Chapter "Which part of the method matters?"."""

from __future__ import annotations

import numpy as np
from scipy import stats

from lsfa_lite.exercises.checking import Exercise

Interval = tuple[float, float, float]


def interval(change: np.ndarray) -> Interval:
    """Mean and ends of the 95 % t-interval of one value per data set."""
    n = len(change)
    half = stats.t.ppf(0.975, n - 1) * change.std(ddof=1) / np.sqrt(n)
    return change.mean(), change.mean() - half, change.mean() + half


def interaction(
    neither: np.ndarray, first: np.ndarray, second: np.ndarray, both: np.ndarray
) -> Interval:
    return interval(both - first - second + neither)


def from_means(
    neither: np.ndarray, first: np.ndarray, second: np.ndarray, both: np.ndarray
) -> Interval:
    mean = interaction(neither, first, second, both)[0]
    variance = sum(x.var(ddof=1) for x in (neither, first, second, both))
    half = stats.t.ppf(0.975, len(both) - 1) * np.sqrt(variance / len(both))
    return mean, mean - half, mean + half


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values: a row is told apart from zero at level a where its value is <= a."""
    m, order = len(p), np.argsort(p)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * (m - np.arange(m))), 1)
    return adjusted


def no_running_maximum(p: np.ndarray) -> np.ndarray:
    m, order = len(p), np.argsort(p)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(p[order] * (m - np.arange(m)), 1)
    return adjusted


def beyond_one(p: np.ndarray) -> np.ndarray:
    m, order = len(p), np.argsort(p)
    adjusted = np.empty(m)
    adjusted[order] = np.maximum.accumulate(p[order] * (m - np.arange(m)))
    return adjusted


def data_sets(spread: float, effect: float, limit: int = 100_000) -> int:
    """The smallest n whose half-width is at most `effect`."""
    n = np.arange(2, limit)
    return int(n[stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n) <= effect][0])


def with_normal(spread: float, effect: float) -> int:
    return int(np.ceil((stats.norm.ppf(0.975) * spread / effect) ** 2))


def without_root(spread: float, effect: float) -> int:
    n = np.arange(2, 100_000)
    return int(n[stats.t.ppf(0.975, n - 1) * spread / n <= effect][0])


RNG = np.random.default_rng(0)
LEVEL = RNG.uniform(0.6, 0.9, 12)  # categories differ more than the methods do
FOUR = tuple(LEVEL + change + RNG.normal(0, 0.01, 12) for change in (0, 0.03, 0.02, 0.035))

EXERCISES = {
    "interaction": Exercise(
        cases=(FOUR, tuple(values[:4] for values in FOUR)),
        solution=interaction,
        mistakes={
            "neither is missing: it was taken away twice, add it once.": (
                lambda n, a, b, both: interval(both - a - b)
            ),
            "this is the gain of both together, not what is left of it beside the two gains.": (
                lambda n, a, b, both: interval(both - n)
            ),
            "the sign is turned: a positive interaction means that both together gain more.": (
                lambda n, a, b, both: interval(a + b - both - n)
            ),
            "the spread of the four is not paired: combine them on each data set first.": (
                from_means
            ),
            "do not divide by two here: the difference of two changes is asked for.": (
                lambda n, a, b, both: interval((both - a - b + n) / 2)
            ),
        },
    ),
    "holm": Exercise(
        cases=(
            (np.array([0.2, 0.003, 0.02, 0.015]),),
            (np.array([0.04, 0.035, 0.6, 0.0001, 0.03, 0.7]),),
        ),
        solution=holm,
        mistakes={
            "this is Bonferroni's: the factor shrinks from one sorted value to the next.": (
                lambda p: np.minimum(len(p) * p, 1)
            ),
            "a larger p-value must not end below a smaller one: take the running maximum.": (
                no_running_maximum
            ),
            "a p-value is at most 1.": beyond_one,
            "these are sorted; give them back in the rows' order.": lambda p: np.sort(holm(p)),
            "the factors run the wrong way: the smallest p-value gets the largest.": (
                lambda p: np.minimum(p * stats.rankdata(p), 1)
            ),
        },
    ),
    "data_sets": Exercise(
        cases=((0.03, 0.019), (0.03, 0.002), (0.02, 0.02)),
        solution=data_sets,
        mistakes={
            "1.96 is for many data sets; with few, the t-factor of n - 1 is larger.": with_normal,
            "the half-width falls with the square root of n.": without_root,
            "one too few or too many: the smallest n for which the half-width is small enough.": (
                lambda spread, effect: data_sets(spread, effect) - 1
            ),
        },
    ),
}
