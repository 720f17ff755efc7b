"""Chapter "Does adaptation help?". Its figure, then its exercises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure
from scipy import stats

from lsfa_book.checking import Exercise
from lsfa_book.figures import switches
from lsfa_book.figures.charts import GRID, panels
from lsfa_book.figures.style import DEFECT, INK
from lsfa_book.mini3d import KINDS
from lsfa_book.studies import grain
from lsfa_book.studies.senses import distance, together
from lsfa_book.studies.why import Cell, Row, by_kind, table

# The study as switches: a button of "fusion" is a way to one score (studies/why.py)
FUSIONS = {
    "plain mean": "plain",
    "z-scores": "z-scores",
    "one-class SVM": "one-class SVM",
    "tails of the top 10": "sound",
}
SWITCHES: dict[str, tuple[str, ...]] = {
    "normalisation": ("raw", "one number", "LayerNorm", "length 1", "whitening"),
    "losses": ("off", "on"),
    "grid": ("28", "40", "56"),
    "fusion": tuple(FUSIONS),
}
REFERENCE = ("raw", "off", "28", "plain mean")  # the paper's scoring, nothing trained


def setting(normalisation: str, losses: str, grid: str) -> str:
    """The name of the study's setting, whether it was run or not."""
    name = "none" if normalisation == "one number" else normalisation
    if losses == "on":
        name = "LSFA" if name == "none" else f"LSFA on {name}"
    return f"{grid}, {name}"


def switchboard(rows: Iterable[Row]) -> go.Figure:
    """records/why.json as a figure to turn: normalisation, losses, grid and fusion.

    A change is that of the seeds which a combination and the reference share, a level the
    reference's and the change. A category that is not of mini3d is real: a marker of its own, in
    no mean. Raises ValueError if the reference was not run.
    """
    found = table(rows)
    reference = (setting(*REFERENCE[:3]), FUSIONS[REFERENCE[3]], "both")
    if reference not in found:
        raise ValueError(f"{reference[0]!r}, the reference, was not run; there are {sorted(found)}")
    start = by_kind([(1, reference)], found)
    runs = {}
    for choices in product(*SWITCHES.values()):
        cell = (setting(*choices[:3]), FUSIONS[choices[3]], "both")
        if cell in found:
            changes = by_kind([(1, cell), (-1, reference)], found)
            runs[choices] = {_word(k): start[k] + change for k, change in changes.items()}
    return switches(
        [*SWITCHES.items()],
        runs,
        REFERENCE,
        apart={_word(kind) for kind in start} - {*KINDS},
        alt="Change of image AUROC of each kind, with mean and 95 % interval, for the chosen "
        "normalisation, losses, grid and fusion; some combinations were not run",
    )


def _word(category: str) -> str:
    return category if category in KINDS else f"{category.replace('_', ' ')} (real)"


Table = Mapping[Cell, Mapping[tuple[str, int], float]]


def told_by_one(
    found: Table, setting: str, way: str = "z-scores"
) -> dict[str, tuple[float, float]]:
    """{kind: (AUROC of both foretold from each sense alone, seen)}, means over seeds."""
    colour, shape, both = (
        by_kind([(1, (setting, way, view))], found) for view in ("rgb", "3d", "both")
    )
    return {kind: (float(together(colour[kind], shape[kind])), both[kind]) for kind in both}


def line(groups: Mapping[str, Mapping[str, tuple[float, float]]], alt: str) -> go.Figure:
    """Foretold against seen, a dot for each kind; groups: name -> `told_by_one`."""
    figure = go.Figure()
    for (name, points), colour, symbol in zip(
        groups.items(), ("#2a7fbf", DEFECT), ("circle", "diamond"), strict=False
    ):
        figure.add_scatter(
            x=[round(x, 4) for x, _ in points.values()],
            y=[round(y, 4) for _, y in points.values()],
            mode="markers",
            name=name,
            customdata=list(points),
            marker={"color": colour, "symbol": symbol, "size": 10},
            hovertemplate="%{customdata}: foretold %{x:.3f}, seen %{y:.3f}<extra></extra>",
        )
    ends = [0.7, 1.0]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", name="as foretold", line={"color": INK, "dash": "dot"}
    )
    axis = {"gridcolor": GRID, "zeroline": False, "color": INK, "range": ends}
    figure.update_layout(
        template=None,
        height=380,
        margin={"l": 60, "r": 10, "t": 30, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
        legend={"orientation": "h", "y": 1.12},
        xaxis={"title": {"text": "both senses, foretold from each alone"}, **axis},
        yaxis={"title": {"text": "both senses, seen"}, **axis},
        meta={"alt": alt},
    )
    return figure


def sizes(rows: Iterable[Row]) -> Figure:
    """What the finer grid gains for each defect, against its size in coarse patches (log)."""
    known = list(rows)
    figure, axes = panels(2, width=7.2, height=2.9, titles=["colour", "shape"])
    for axis, sense in zip(axes, ("rgb", "3d"), strict=True):
        found = grain.gains(known, sense)
        real = [pair for (kind, _), pair in found.items() if kind not in KINDS]
        made = [pair for (kind, _), pair in found.items() if kind in KINDS]
        axis.scatter(*zip(*made, strict=True), s=22, color="#2a7fbf", label="made kinds")
        axis.scatter(*zip(*real, strict=True), s=40, color=DEFECT, marker="D", label="cable gland")
        axis.axhline(0, color=INK, linewidth=0.6)
        axis.set(xscale="log", xlabel="size of the defect, in patches of 28 x 28")
    axes[0].set_ylabel("AUROC at 56 minus at 28")
    named = axes[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)
    return figure


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


def drawn_paired(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.6, 1.0, 15)
    after = level + rng.normal(0.01, 0.02, 15)
    return (after, level), (after[:6], level[:6])


EXERCISES = {
    "paired": Exercise(
        cases=(
            (LEVEL + RNG.normal(0.02, 0.01, 12), LEVEL),
            (LEVEL[:5] + RNG.normal(0, 0.03, 5), LEVEL[:5]),
        ),
        solution=paired,
        drawn=drawn_paired,
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
    ),
    "together": Exercise(
        cases=((0.9, 0.6), (0.75, 0.8), (0.9, 0.5)),
        solution=together,
        drawn=lambda seed: tuple(np.random.default_rng(seed).uniform(0.55, 0.98, (3, 2)).tolist()),
        mistakes={
            "the variances add up too: the sum of both is sqrt(2) wide.": (
                lambda a, b: stats.norm.cdf((distance(a) + distance(b)) / np.sqrt(2))
            ),
            "an AUROC is Phi(d / sqrt(2)), not Phi(d): undo it first.": (
                lambda a, b: stats.norm.cdf((stats.norm.ppf(a) + stats.norm.ppf(b)) / 2)
            ),
            "this is the mean of two AUROCs; distances add up, areas do not.": (
                lambda a, b: (a + b) / 2
            ),
        },
    ),
}
