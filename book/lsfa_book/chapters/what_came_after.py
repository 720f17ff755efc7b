"""Chapter "What came after". Its figures, then its exercises.

The methods of the field as a tree: years from left to right, one lane per idea.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor

from lsfa_book.checking import Exercise
from lsfa_book.figures.charts import slider
from lsfa_book.figures.style import DEFECT, INK
from lsfa_book.literature.published import LANES, Claim, Method, shown

CHECKED, OPEN = "#2a7fbf", "rgba(128,128,128,0.35)"
SHOWN: dict[str, Callable[[Method], str]] = {
    "image AUROC": lambda m: shown(m.claim.i_auroc),
    "AUPRO": lambda m: shown(m.claim.aupro),
    "pixel AUROC": lambda m: shown(m.claim.p_auroc),
    "licence": lambda m: m.licence,
}
KNOWN: dict[str, Callable[[Claim], float | None]] = {
    "image AUROC": lambda c: c.i_auroc,
    "AUPRO": lambda c: c.aupro,
    "pixel AUROC": lambda c: c.p_auroc,
}


def family_tree(methods: Sequence[Method], alt: str, mark: str = "LSFA") -> go.Figure:
    """A dot per method, a line to the method it builds on; a slider picks what stands below a name.

    Pointing at a dot tells idea, cost, claims and source. A method whose number was not read at
    its source is a pale dot. `mark` is drawn in the colour of the ground truth.
    """
    lanes = [lane for lane in LANES if any(m.lane == lane for m in methods)][::-1]
    places = _places(methods, lanes)
    steps = [
        (words, [_lines(methods, places), _dots(methods, places, words, mark)]) for words in SHOWN
    ]
    figure = slider(steps, "below the names", "year", "", alt, height=110 + 74 * len(lanes))
    years = range(min(m.year for m in methods), max(m.year for m in methods) + 1)
    ticks = ["<br>".join(textwrap.wrap(lane, 14)) for lane in lanes]
    figure.update_xaxes(range=[years[0] - 0.45, years[-1] + 0.55], tickvals=list(years), title=None)
    figure.update_yaxes(
        range=[-0.7, len(lanes) - 0.4], tickvals=list(range(len(lanes))), ticktext=ticks, title=None
    )
    figure.update_layout(
        showlegend=False, margin={"l": 105, "r": 30, "t": 10, "b": 40}, hovermode="closest"
    )
    # on a phone the four words need the room below the lanes' names, too
    figure.layout.sliders[0].update(x=-0.12, len=1.12, font={"size": 10})
    return figure


def _places(methods: Sequence[Method], lanes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(year, height) of each; those of one year and lane stand one below the other."""
    places = {}
    for m in methods:
        same = [o.method for o in methods if (o.lane, o.year) == (m.lane, m.year)]
        shift = (len(same) - 1) / 2 - same.index(m.method)
        places[m.method] = (float(m.year), lanes.index(m.lane) + 0.64 * shift)
    return places


def _lines(methods: Sequence[Method], places: dict[str, tuple[float, float]]) -> go.Scatter:
    x: list[float | None] = []
    y: list[float | None] = []
    for m in methods:
        if m.parent in places:
            (left, start), (right, end) = places[m.parent], places[m.method]
            x += [left, left + 0.5, left + 0.5, right, None]  # None lifts the pen
            y += [start, start, end, end, None]
    line = {"color": INK, "width": 1.5}
    return go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name="builds on")


def _dots(
    methods: Sequence[Method], places: dict[str, tuple[float, float]], words: str, mark: str
) -> go.Scatter:
    known = KNOWN.get(words, lambda _: 1.0)
    colours = [OPEN if known(m.claim) is None else CHECKED for m in methods]
    rims = [DEFECT if m.method == mark else INK for m in methods]
    return go.Scatter(
        x=[places[m.method][0] for m in methods],
        y=[places[m.method][1] for m in methods],
        mode="markers+text",
        text=[f"<b>{named(m)}</b><br>{SHOWN[words](m)}" for m in methods],
        textposition="bottom center",
        textfont={"size": 11, "color": INK},
        marker={"size": 13, "color": colours, "line": {"color": rims, "width": 2}},
        hovertext=[told(m) for m in methods],
        hoverinfo="text",
        hoverlabel={"align": "left"},
        cliponaxis=False,  # the names at the right end may hang over
        name="methods",
    )


def named(m: Method) -> str:
    """With its modality where it is not both."""
    return m.method if m.modalities == "RGB + 3D" else f"{m.method} ({m.modalities})"


def told(m: Method) -> str:
    """What a dot says when one points at it: one fact a line."""
    numbers = "not checked"
    if m.claim.how != "not checked":
        i_auroc, aupro, p_auroc = map(shown, (m.claim.i_auroc, m.claim.aupro, m.claim.p_auroc))
        numbers = f"image AUROC {i_auroc}, AUPRO {aupro}, pixel AUROC {p_auroc}"
    lines = [f"<b>{m.method}</b>, {m.venue} {m.year}, {m.modalities}", *textwrap.wrap(m.idea, 60)]
    lines += [f"cost: {m.cost}", f"claimed: {numbers}"]
    if m.claim.source:
        lines += [f"read in: {m.claim.how}", m.claim.source]
    if m.parent:
        lines += textwrap.wrap(f"after {m.parent}: {m.link}", 60)
    return "<br>".join([*lines, *textwrap.wrap(m.note, 60)])


# --- exercises ------------------------------------------------------------------------------


def distance(seen: Tensor, guessed: Tensor) -> Tensor:
    """(Q, D) twice -> (Q,), over sqrt(D)."""
    return (seen - guessed).norm(dim=1) / seen.shape[1] ** 0.5


def product(rgb: Tensor, rgb_guess: Tensor, points: Tensor, points_guess: Tensor) -> Tensor:
    return distance(rgb, rgb_guess) * distance(points, points_guess)


def summed(rgb: Tensor, rgb_guess: Tensor, points: Tensor, points_guess: Tensor) -> Tensor:
    return distance(rgb, rgb_guess) + distance(points, points_guess)


def by_width(rgb: Tensor, rgb_guess: Tensor, points: Tensor, points_guess: Tensor) -> Tensor:
    widths = (rgb.shape[1] * points.shape[1]) ** 0.5
    return product(rgb, rgb_guess, points, points_guess) / widths


def variances(aurocs: np.ndarray, good: np.ndarray, defective: np.ndarray) -> np.ndarray:
    """Of the AUROC of each category, after Hanley and McNeil."""
    q1, q2 = aurocs / (2 - aurocs), 2 * aurocs**2 / (1 + aurocs)
    spread = aurocs * (1 - aurocs)
    spread = spread + (defective - 1) * (q1 - aurocs**2) + (good - 1) * (q2 - aurocs**2)
    return spread / (good * defective)


def error_of_mean(aurocs: np.ndarray, good: np.ndarray, defective: np.ndarray) -> float:
    return float(np.sqrt(variances(aurocs, good, defective).sum()) / len(aurocs))


def mean_of_errors(aurocs: np.ndarray, good: np.ndarray, defective: np.ndarray) -> float:
    return float(np.sqrt(variances(aurocs, good, defective)).mean())


def root_of_mean(aurocs: np.ndarray, good: np.ndarray, defective: np.ndarray) -> float:
    return float(np.sqrt(variances(aurocs, good, defective).mean()))


def senses(rows: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both senses and their guesses, of different widths."""
    draw = torch.Generator().manual_seed(seed)
    rgb, points = torch.randn(rows, 6, generator=draw), torch.randn(rows, 3, generator=draw)
    return (
        rgb,
        rgb + 0.3 * torch.randn(rows, 6, generator=draw),
        points,
        0.5 * points + 0.1 * torch.randn(rows, 3, generator=draw),
    )


def drawn_results(seed: int) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    return ((rng.uniform(0.7, 0.99, 5), rng.integers(15, 30, 5), rng.integers(50, 140, 5)),)


EXERCISES = {
    "product": Exercise(
        cases=(senses(5, 0), senses(40, 1)),
        solution=product,
        drawn=lambda seed: (senses(8, seed), senses(30, seed + 1)),
        mistakes={
            "this adds the two surprises; both must be large: multiply.": summed,
            "these are squared distances: take the root of each.": (
                lambda a, b, c, d: product(a, b, c, d) ** 2
            ),
            "divide each distance by sqrt(D) of its sense, or the wider sense counts more.": (
                lambda a, b, c, d: (a - b).norm(dim=1) * (c - d).norm(dim=1)
            ),
            "you divided by D, not by its root.": by_width,
            "this takes the mean over the patches (axis 0); one number per patch is wanted.": (
                lambda a, b, c, d: (a - b).square().mean(0).sqrt()
            ),
        },
    ),
    "error": Exercise(
        cases=(
            (np.array([0.97, 0.9, 0.99]), np.array([22, 21, 27]), np.array([88, 87, 132])),
            (np.array([0.8, 0.95]), np.array([10, 40]), np.array([30, 5])),
        ),
        solution=error_of_mean,
        drawn=drawn_results,
        mistakes={
            "independent errors add as squares: sum the variances, then take the root.": (
                mean_of_errors
            ),
            "the root of the mean variance is the error of one category, not of the mean.": (
                root_of_mean
            ),
            "this is the variance; take the root at the end.": (
                lambda a, g, d: error_of_mean(a, g, d) ** 2
            ),
            "good and defective parts are swapped: (defective - 1) goes with Q1.": (
                lambda a, g, d: error_of_mean(a, d, g)
            ),
        },
    ),
}
