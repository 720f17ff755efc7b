"""Chapter "Which part of the method matters?". Its figures, then its exercises.

Rows of an ablation side by side: intervals in groups, and tables of coloured tiles.

Both change with a menu, which needs no kernel. Values are shares; what is shown are points (1/100).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from scipy import stats

from lsfa_book.checking import Exercise
from lsfa_book.figures.charts import GRID, positions
from lsfa_book.figures.style import DEFECT, INK
from lsfa_book.studies.comparison import Difference

LOSS, NOTHING, GAIN = "#d1660a", "#ececec", "#2a7fbf"
LETTERS = "#333333"  # on tiles and menus, which have a light ground on every page
WIDEST = 15  # points; the intervals of two or three data sets would hide all others

Step = tuple[str, Mapping[str, Difference], Mapping[str, float]]  # label, measured, printed


def forest(steps: Sequence[Step], groups: Mapping[str, Sequence[str]], alt: str) -> go.Figure:
    """Every row of several tables as a mean with its interval, in groups; one step per metric.

    steps   (label, row -> Difference, row -> the paper's difference); a row may lack either.
    groups  heading -> its rows, from top to bottom; a row's name occurs in one group only.
    """
    rows = [name for names in groups.values() for name in names]
    if len(set(rows)) != len(rows):
        raise ValueError("a row stands in two groups, or twice in one")
    words = [line for g, names in groups.items() for line in (f"<b>{g}</b>", *names)]
    height = {word: -i for i, word in enumerate(words)}
    figure, owner = go.Figure(), []
    for index, (_, found, printed) in enumerate(steps):
        for trace in (_intervals(found, rows, height), _diamonds(printed, rows, height)):
            figure.add_trace(trace.update(visible=index == 0))
            owner.append(index)
    ends = [100 * x for _, found, _ in steps for d in found.values() for x in (d.low, d.high)]
    ends += [100 * x for _, _, printed in steps for x in printed.values()]
    tall = 18 * len(words)  # pixels of the plot itself; the legend stands above the menu
    dressed(figure, tall + 150, alt)
    figure.update_layout(
        margin={"l": 175, "r": 10, "t": 100, "b": 50},
        legend={"y": 1 + 45 / tall, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        updatemenus=[menu([label for label, *_ in steps], owner)],
    )
    low, high = min(ends, default=0) - 0.5, max(ends, default=0) + 0.5
    figure.update_xaxes(range=[max(low, -WIDEST), min(high, WIDEST)], title="change, points")
    figure.update_yaxes(tickvals=list(height.values()), ticktext=words, showgrid=False)
    figure.add_vline(0, line={"color": INK, "width": 1})
    return figure


def _intervals(
    found: Mapping[str, Difference], rows: Sequence[str], height: Mapping[str, int]
) -> go.Scatter:
    there = [(name, found[name]) for name in rows if name in found]
    return go.Scatter(
        x=[100 * d.mean for _, d in there],
        y=[height[name] for name, _ in there],
        error_x={
            "symmetric": False,
            "array": [100 * (d.high - d.mean) for _, d in there],
            "arrayminus": [100 * (d.mean - d.low) for _, d in there],
            "width": 3,
        },
        customdata=[[name, 100 * d.low, 100 * d.high, d.n] for name, d in there],
        hovertemplate="%{customdata[0]}: %{x:+.1f} (%{customdata[1]:+.1f} to "
        "%{customdata[2]:+.1f}), %{customdata[3]} data sets<extra></extra>",
        mode="markers",
        marker={"color": GAIN, "size": 7},
        name="mini3d, mean and 95 % interval",
    )


def _diamonds(
    printed: Mapping[str, float], rows: Sequence[str], height: Mapping[str, int]
) -> go.Scatter:
    there = [name for name in rows if name in printed]
    return go.Scatter(
        x=[100 * printed[name] for name in there],
        y=[height[name] for name in there],
        customdata=there,
        hovertemplate="%{customdata}, the paper's: %{x:+.1f}<extra></extra>",
        mode="markers",
        marker={"color": DEFECT, "size": 8, "symbol": "diamond-open"},
        name="the paper's, on MVTec 3D-AD",
    )


def tiles(
    steps: Sequence[tuple[str, np.ndarray, Sequence[Sequence[str]]]],
    rows: Sequence[str],
    columns: Sequence[str],
    limit: float,
    alt: str,
    height: int = 420,
    left: int = 110,
) -> go.Figure:
    """A table of values as coloured tiles, from -limit to +limit points; one step per menu entry.

    steps are (label, values (R, C), words (R, C) to write on the tiles); a NaN is an empty place.
    Raises ValueError where the values do not fit the rows and columns.
    """
    figure = go.Figure()
    for index, (label, values, words) in enumerate(steps):
        if values.shape != (len(rows), len(columns)):
            raise ValueError(f"{label}: values {values.shape}, not {(len(rows), len(columns))}")
        figure.add_trace(
            go.Heatmap(
                z=np.round(100 * values, 2).tolist(),
                x=list(range(len(columns))),
                y=list(range(len(rows))),
                text=[list(line) for line in words],
                texttemplate="%{text}",
                textfont={"color": LETTERS},
                customdata=[[f"{row}, {column}" for column in columns] for row in rows],
                hovertemplate="%{customdata}: %{z:+.1f}<extra></extra>",
                hoverongaps=False,
                colorscale=[[0, LOSS], [0.5, NOTHING], [1, GAIN]],
                zmin=-100 * limit,
                zmax=100 * limit,
                xgap=2,
                ygap=2,
                colorbar={"title": {"text": "points", "side": "right"}, "thickness": 12},
                showscale=not any(any(line) for line in words),  # a written value needs no bar
                visible=index == 0,
            )
        )
    dressed(figure, height, alt)
    figure.update_layout(
        margin={"l": left, "r": 10, "t": 60, "b": 90},
        updatemenus=[menu([label for label, *_ in steps], range(len(steps)))],
    )
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=list(columns), showgrid=False)
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=list(rows), showgrid=False, autorange="reversed"
    )
    return figure


def dressed(figure: go.Figure, height: int, alt: str) -> None:
    """The book's look: clear ground, grey words, thin lines."""
    axis = {"gridcolor": GRID, "zeroline": False, "color": INK}
    figure.update_layout(
        template=None,
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
        xaxis=axis,
        yaxis=axis,
        meta={"alt": alt},
    )


def menu(labels: Sequence[str], owner: Sequence[int]) -> dict[str, Any]:
    """A drop-down above the figure: entry i shows the traces whose owner is i."""
    return {
        "buttons": positions(labels, owner),
        "direction": "down",
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "bottom",
        "pad": {"b": 8},
        "bgcolor": NOTHING,
        "bordercolor": GRID,
        "font": {"color": LETTERS},
    }


# --- exercises ------------------------------------------------------------------------------


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


def drawn_four(seed: int) -> tuple[tuple[np.ndarray, ...], ...]:
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.6, 0.9, 9)
    return (tuple(level + c + rng.normal(0, 0.01, 9) for c in rng.uniform(0, 0.05, 4)),)


def drawn_p(seed: int) -> tuple[tuple[np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    return ((rng.permutation([*rng.uniform(0.001, 0.03, 5), 0.0301, 0.5, 0.8]),),)


def drawn_plan(seed: int) -> tuple[tuple[float, float], ...]:
    rng = np.random.default_rng(seed)
    return tuple((float(s), float(s / r)) for s, r in rng.uniform((0.01, 0.8), (0.05, 4), (4, 2)))


EXERCISES = {
    "interaction": Exercise(
        cases=(FOUR, tuple(values[:4] for values in FOUR)),
        solution=interaction,
        drawn=drawn_four,
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
        drawn=drawn_p,
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
        drawn=drawn_plan,
        mistakes={
            "1.96 is for many data sets; with few, the t-factor of n - 1 is larger.": with_normal,
            "the half-width falls with the square root of n.": without_root,
            "one too few or too many: the smallest n for which the half-width is small enough.": (
                lambda spread, effect: data_sets(spread, effect) - 1
            ),
        },
    ),
}
