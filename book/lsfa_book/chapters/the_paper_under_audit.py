"""Chapter "The paper under audit". Its figure, then its exercises."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from lsfa_book.checking import Exercise
from lsfa_book.figures.charts import legend, panels
from lsfa_book.figures.style import INK, MODALITY
from lsfa_book.literature.gains import Gain, mean, shares


def split_gains(found: Mapping[str, Gain]) -> Figure:
    """The fused gain of each category, largest first, and the mean: the larger of the two single
    gains, in that sense's colour, and the rest, gained or lost where the two are put together.
    """
    rows = {name: found[name] for name in shares(found)} | {"mean": mean(found.values())}
    points = 100 * np.array([*rows.values()])  # (R, 8)
    rgb, _, fused, single, rest, *_, m3dm = points.T  # (R,) each
    figure, (axis,) = panels(width=7.2, height=3.6)
    x = np.arange(len(rows))
    last = x == len(rows) - 1  # a mean of maxima is no one sense's
    colour = (rgb == single) & ~last
    for what, seen, words in (
        ("rgb", colour, "the larger single gain: colour"),
        ("3d", ~colour & ~last, "the larger single gain: shape"),
    ):
        axis.bar(x[seen], single[seen], 0.7, color=MODALITY[what], alpha=0.45, label=words)
    axis.bar(
        x[last], single[last], 0.7, color=INK, alpha=0.45, label="the larger single gain, mean"
    )
    purple = MODALITY["both"]
    for seen, fill, words in (
        (rest > 0, purple, "beyond it: gained in fusion"),
        (rest <= 0, "none", "short of it: lost in fusion"),
    ):
        bar = {"bottom": single[seen], "color": fill, "edgecolor": purple, "label": words}
        axis.bar(x[seen], rest[seen], 0.3, **bar)
    axis.plot(x, fused, "D", color=purple, ms=5, label="both senses: LSFA's gain")
    axis.plot(x, m3dm, "o", color=INK, mfc="white", ms=5, label="both senses: M3DM's gain")
    axis.axhline(0, color=INK, linewidth=0.8, linestyle=":")
    axis.set_xticks(x, [name.replace("_", " ") for name in rows], rotation=40)
    axis.use_sticky_edges = False  # air above the longest bar
    axis.set_ylabel("gain in image AUROC, points")
    legend(axis, loc="upper right")
    return figure


def wrong_means(values: np.ndarray, printed: np.ndarray) -> np.ndarray:
    """Rows of a table whose printed mean no rounding to three decimals explains.

    values (R, C), printed (R,) -> (R,) bool.
    """
    return np.abs(values.mean(axis=1) - printed) > 0.0005 + 1e-9


def best_time(spread: np.ndarray) -> float:
    """When exp(-2 t c) comes nearest to a constant over c, in logarithms and up to a factor.

    spread (D,) > 0 the eigenvalues c of the neighbour differences, not all equal.
    """
    centred = spread - spread.mean()
    return float((centred * np.log(spread)).sum() / (2 * (centred**2).sum()))


def uncentred(spread: np.ndarray) -> float:
    return float((spread * np.log(spread)).sum() / (2 * (spread**2).sum()))


def by_the_ends(spread: np.ndarray) -> float:
    low, high = spread.min(), spread.max()
    return float(np.log(high / low) / (2 * (high - low)))


RNG = np.random.default_rng(0)
VALUES = RNG.uniform(0.4, 1.0, (8, 10)).round(3)
PRINTED = VALUES.mean(axis=1).round(3)
# a slip upwards, one downwards, a mean cut off instead of rounded; the others are right
SLIPS = np.array([0, 0.005, 0, -0.004, 0, 0, 0, 0])
CUT = np.floor(VALUES.mean(axis=1) * 1000 + 1e-9) / 1000
CLAIMED = np.where(np.arange(8) >= 6, CUT, PRINTED + SLIPS)


def drawn_table(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.4, 1.0, (12, 10)).round(3)
    slips = rng.permutation([0.004, -0.003, 0.0009, *np.zeros(9)])
    return ((values, (values.mean(axis=1) + slips).round(3)),)


def drawn_spread(seed: int) -> tuple[tuple[np.ndarray], ...]:
    return ((np.random.default_rng(seed).uniform(0.1, 4.0, 12),),)


EXERCISES = {
    "wrong_means": Exercise(
        cases=((VALUES, CLAIMED), (VALUES[:3, :4], VALUES[:3, :4].mean(axis=1).round(3))),
        solution=wrong_means,
        drawn=drawn_table,
        mistakes={
            "a mean of values with three decimals has more than three; allow half a unit of the "
            "last one.": lambda v, p: np.abs(v.mean(axis=1) - p) > 1e-9,
            "a whole unit is too generous: rounding moves a number by half a unit at most.": (
                lambda v, p: np.abs(v.mean(axis=1) - p) > 0.001 + 1e-9
            ),
            "slips go both ways: take the absolute difference.": (
                lambda v, p: p - v.mean(axis=1) > 0.0005 + 1e-9
            ),
            "this marks the rows that are right.": (
                lambda v, p: np.abs(v.mean(axis=1) - p) <= 0.0005 + 1e-9
            ),
            "these are medians; the table prints means.": (
                lambda v, p: np.abs(np.median(v, axis=1) - p) > 0.0005 + 1e-9
            ),
        },
    ),
    "best_time": Exercise(
        cases=(
            (np.array([2.0, 1.0]),),
            (np.array([3.0, 1.0, 0.5, 0.1]),),
            (RNG.uniform(0.1, 4.0, 20),),
        ),
        solution=best_time,
        drawn=drawn_spread,
        mistakes={
            "W shrinks by exp(-tc), but squared lengths by exp(-2tc): half of that.": (
                lambda c: 2 * best_time(c)
            ),
            "a common factor is free, so take the mean away from c first.": uncentred,
            "this flattens the two ends and forgets the directions between them.": by_the_ends,
            "natural logarithms, please.": lambda c: best_time(c) / np.log(10),
            "the sign is wrong: the walk goes towards smaller lengths, t is positive.": (
                lambda c: -best_time(c)
            ),
        },
    ),
}
