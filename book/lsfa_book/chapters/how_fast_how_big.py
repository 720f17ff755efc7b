"""Chapter "How fast, how big". The lazy loop and the sums, its figures, then its exercises.

Bars of a record, growth on two logarithmic axes, a shortlist at work, and who waits for whom.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lsfa_book.checking import Exercise
from lsfa_book.figures.charts import GRID, panels, positions
from lsfa_book.figures.style import INK, MODALITY

COLOURS = {
    "table removed": "#8f8c88",
    "colour": MODALITY["rgb"],
    "shape": MODALITY["3d"],
    "search and map": "#c9a227",
    "adaptation": MODALITY["both"],
    "banks": "#3a9d6e",
    "calibration": "#b79bd0",
}
LINES = (MODALITY["both"], MODALITY["rgb"], MODALITY["3d"], "#3a9d6e", "#c9a227")
INSET = {"x": 0.05, "len": 0.9}  # of a slider, so that its last label is not cut
QUIET = {
    **{"template": None, "font": {"color": INK}},
    **{"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"},
}


# --- the shortlist --------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """One look at all rows, and what was chosen before the next one.

    rows (Q,): the shortlist, the farthest first. then (Q,): how far each was, squared. least: how
    far the farthest of all others was. picked: rows, in order.
    """

    rows: Tensor
    then: Tensor
    least: float
    picked: list[int]


def squared(points: Tensor, others: Tensor) -> Tensor:
    """(Q, D), (K, D) -> (Q,) squared distance to the nearest of the others."""
    return (points[:, None] - others).square().sum(2).amin(1)


def lazy_k_centres(points: Tensor, count: int, room: int) -> list[Look]:
    """points (M, D) -> the looks by which row 0 and the greedy choice of `count` rows are made."""
    points = points.double()
    far, looks, missing = squared(points, points[:1]), [], count - 1
    while missing:
        order = far.sort(descending=True, stable=True)
        rows, then = order.indices[:room], order.values[:room]
        least = float(order.values[room]) if room < len(far) else -1.0
        now, picked = then, list[int]()
        while missing and now.max() >= least:  # no row that is not listed can be farther
            newest = rows[now.argmax()]
            picked.append(int(newest))
            now = torch.minimum(now, squared(points[rows], points[newest][None]))
            missing -= 1
        looks.append(Look(rows, then, least, picked))
        for row in picked:  # the others hear of it now
            far = torch.minimum(far, squared(points, points[row : row + 1]))
    return looks


def chosen(looks: Iterable[Look]) -> list[int]:
    return [0, *(row for look in looks for row in look.picked)]


def tally(looks: Sequence[Look], rows: int) -> dict[str, tuple[int, int]]:
    """What the plain loop does and what the lazy one does: how often, and how many of each."""
    count = len(chosen(looks))
    listed = sum(len(look.rows) * len(look.picked) for look in looks)
    return {
        "choices": (count, count),
        "looks at all rows": (count, len(looks) + 1),
        "distances to all rows": (count * rows, count * rows),
        "distances to a shortlist": (0, listed),
    }


# --- sums -----------------------------------------------------------------------------------


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """p of seconds = a * sizes ** p, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def per_thousand(seconds: float, busy: float, price: float) -> float:
    """Price of a thousand parts: seconds for one, share of the hour that is used, price an hour."""
    return 1000 * seconds / 3600 / busy * price


def thousand_on_a_line(seconds: float, parts_per_hour: float, price: float) -> float:
    """The same on a line that brings so many parts: whole machines are paid, busy or not."""
    machines = math.ceil(parts_per_hour * seconds / 3600)
    return machines * price / parts_per_hour * 1000


def makespan(times: Sequence[float], workers: int) -> float:
    """When the last of independent runs ends; the longest first, each to whoever is free."""
    free = [0.0] * workers
    for time in sorted(times, reverse=True):
        heapq.heapreplace(free, free[0] + time)
    return max(free)


# --- figures --------------------------------------------------------------------------------


def stage_bars(bars: Mapping[str, Mapping[str, float]], alt: str) -> go.Figure:
    """One bar of full length per entry, cut into its parts; the seconds stand behind it."""
    figure = go.Figure()
    for name in dict.fromkeys(name for parts in bars.values() for name in parts):
        seconds = [parts.get(name, 0.0) for parts in bars.values()]
        whole = [sum(parts.values()) for parts in bars.values()]
        figure.add_bar(
            y=list(bars),
            x=[100 * s / w for s, w in zip(seconds, whole, strict=True)],
            name=name,
            orientation="h",
            marker={"color": COLOURS.get(name, MODALITY["both"])},
            customdata=[clock(s) for s in seconds],
            hovertemplate=f"{name}: %{{customdata}}, %{{x:.0f}} %<extra></extra>",
        )
    for label, parts in bars.items():
        figure.add_annotation(
            **{"x": 1.01, "xref": "paper", "y": label, "text": clock(sum(parts.values()))},
            **{"showarrow": False, "xanchor": "left"},
        )
    figure.update_layout(
        QUIET,
        barmode="stack",
        height=120 + 50 * len(bars),
        margin={"l": 90, "r": 60, "t": 20, "b": 50},
        xaxis={"title": {"text": "% of the time"}, "range": [0, 100], "gridcolor": GRID},
        yaxis={"autorange": "reversed"},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        meta={"alt": alt},
    )
    return figure


def clock(seconds: float) -> str:
    """In a unit that suits it."""
    for unit, length in (("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 2 * length or (unit == "s" and seconds >= 1):
            return f"{seconds / length:.1f} {unit}"
    return f"{1000 * seconds:.0f} ms"


@dataclass(frozen=True)
class Sweep:
    """What something costs at several sizes, in seconds or FLOPs; measured, or by arithmetic."""

    name: str
    sizes: Sequence[float]
    costs: Sequence[float]
    measured: bool = True


def growth(steps: Mapping[str, Sequence[Sweep]], alt: str) -> go.Figure:
    """A slider over what grows; both axes logarithmic and in multiples of the smallest size."""
    figure, owner = go.Figure(), []
    most = max(sweep.sizes[-1] / sweep.sizes[0] for some in steps.values() for sweep in some)
    high = max(max(sweep.costs) / sweep.costs[0] for some in steps.values() for sweep in some)
    for index, some in enumerate(steps.values()):
        for sweep, colour in zip(some, LINES, strict=False):
            x = np.array(sweep.sizes, dtype=float) / sweep.sizes[0]
            y = np.array(sweep.costs, dtype=float) / sweep.costs[0]
            words = f"{sweep.name}: {exponent(sweep.sizes, sweep.costs):.2f}"
            source = "measured now" if sweep.measured else "arithmetic"
            figure.add_scatter(
                **{"x": x, "y": y, "mode": "lines+markers", "visible": index == 0},
                name=f"{words}, {source}",
                line={"color": colour, "dash": "solid" if sweep.measured else "dot"},
                marker={"size": 9, "symbol": "circle" if sweep.measured else "diamond-open"},
                customdata=[f"{size:,.0f}" for size in sweep.sizes],
                hovertemplate="%{customdata}: x %{y:.1f}<extra>" + sweep.name + "</extra>",
            )
            owner.append(index)
    for power in (1, 2):  # rulers, at every position
        figure.add_scatter(
            **{"x": [1, most], "y": [1, most**power], "mode": "lines", "hoverinfo": "skip"},
            **{"line": {"color": INK, "width": 1, "dash": "dash"}, "showlegend": False},
        )
        owner.append(-1)
    slides = positions(list(steps), owner)
    for slide in slides:
        slide["args"][0]["visible"][-2:] = [True, True]
    axis = {"type": "log", "gridcolor": GRID, "dtick": 1, "zeroline": False}
    figure.update_layout(
        QUIET,
        height=460,
        margin={"l": 60, "r": 10, "t": 20, "b": 50},
        xaxis={"title": {"text": "size, in multiples of the smallest"}, **axis},
        yaxis={
            **{"title": {"text": "cost, in multiples of its smallest"}, **axis},
            "range": [-0.2, math.log10(max(high, 2)) + 0.2],
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        sliders=[
            {"active": 0, "currentvalue": {"prefix": "what grows: "}, "pad": {"t": 55}}
            | {"steps": slides, **INSET}
        ],
        meta={"alt": alt},
    )
    return figure


def film(points: np.ndarray, looks: Sequence[Look], alt: str) -> go.Figure:
    """points (M, 2) and the looks at them, choice by choice: the plane, and the list as stairs."""
    plane, figure, owner = points.astype(np.float32), go.Figure(), [-1]
    figure.add_scatter(
        **{"x": plane[:, 0], "y": plane[:, 1], "mode": "markers", "hoverinfo": "skip"},
        **{"marker": {"color": INK, "size": 4, "opacity": 0.5}, "name": "all rows"},
    )
    before, labels = [0], []
    for number, look in enumerate(looks, 1):
        for step in range(len(look.picked) + 1):
            taken = look.picked[:step]
            labels.append(f"{number}: {step}")
            for trace in _frame(plane, look, before, taken):
                figure.add_trace(trace.update(visible=len(labels) == 1))
                owner.append(len(labels) - 1)
        before += look.picked
    slides = positions(labels, owner)
    for slide in slides:
        slide["args"][0]["visible"][0] = True
    highest = float(looks[0].then[0]) ** 0.5
    axis = {"gridcolor": GRID, "zeroline": False}
    figure.update_layout(
        QUIET,
        height=460,
        margin={"l": 10, "r": 10, "t": 20, "b": 40},
        xaxis={"domain": [0, 0.46], "visible": False},
        yaxis={"visible": False, "scaleanchor": "x"},
        xaxis2={
            "domain": [0.56, 1],
            "title": {"text": "place in the list"},
            "anchor": "y2",
            **axis,
        },
        yaxis2={
            **{"title": {"text": "distance to the nearest chosen"}, "anchor": "x2", **axis},
            "range": [0, 1.05 * highest],
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        sliders=[
            {"currentvalue": {"prefix": "look, and choices out of it, "}, "pad": {"t": 45}}
            | {"steps": slides, **INSET}
        ],
        meta={"alt": alt},
    )
    return figure


def _frame(
    plane: np.ndarray, look: Look, before: Sequence[int], taken: Sequence[int]
) -> list[go.Scatter]:
    """The list in the plane, what is chosen, then how far the list was and is, and the line."""
    rows, then = look.rows.numpy(), look.then.sqrt().numpy()
    now = then
    for row in taken:
        now = np.minimum(now, np.linalg.norm(plane[rows] - plane[row], axis=1))
    centres, place = [*before, *taken], np.arange(1, len(rows) + 1)
    line, right = max(look.least, 0.0) ** 0.5, {"xaxis": "x2", "yaxis": "y2"}
    listed, star = MODALITY["rgb"], MODALITY["3d"]
    dots = {"mode": "markers", "hoverinfo": "skip"}
    return [
        go.Scatter(
            **{"x": plane[rows, 0], "y": plane[rows, 1], **dots, "name": "on the list"},
            marker={"color": listed, "size": 8},
        ),
        go.Scatter(
            **{"x": plane[centres, 0], "y": plane[centres, 1], **dots, "name": "chosen"},
            marker={"color": star, "size": 11, "symbol": "star"},
        ),
        go.Scatter(
            **{"x": place, "y": then.astype(np.float32), "mode": "lines", **right},
            **{"line": {"color": INK, "shape": "hvh"}, "hoverinfo": "skip"},
            name="when the list was made",
        ),
        go.Scatter(
            **{"x": place, "y": now.astype(np.float32), **right, "mode": "markers"},
            **{"marker": {"color": listed, "size": 8}, "showlegend": False},
            hovertemplate="%{y:.2f}<extra></extra>",
        ),
        go.Scatter(
            **{"x": [0.5, len(rows) + 0.5], "y": [line, line], "mode": "lines", **right},
            **{"line": {"color": star, "dash": "dash"}, "hoverinfo": "skip"},
            name="all others are nearer",
        ),
    ]


def lanes(launches: int, launch: float, work: float, waits: Sequence[int]) -> Figure:
    """Who works when: a host that starts `launches` pieces of work, and a device that does them.

    launch, work: seconds of one, on the host and on the device. Above without a wait, below with
    one after each piece in `waits`.
    """
    figure, axes = panels(1, 2, width=6.8, height=2.6)
    ends = []
    for axis, stops, title in zip(axes, ((), waits), ("no wait", "waits"), strict=True):
        host, device = schedule(launches, launch, work, stops)
        tops = {"height": 0.8, "edgecolor": "white", "linewidth": 0.4}
        for y, spans, colour in ((1, host, MODALITY["rgb"]), (0, device, MODALITY["3d"])):
            left, width = 1e6 * np.array(spans).T
            axis.barh([y] * len(left), width - left, left=left, color=colour, **tops)
        axis.set_yticks([0, 1], ["device", "host"])
        axis.set_title(title, fontsize=9, color=INK, loc="left")
        ends.append(1e6 * device[-1][1])
    for axis in axes:
        axis.set_xlim(0, 1.02 * max(ends))
    axes[-1].set_xlabel("microseconds")
    return figure


def schedule(
    launches: int, launch: float, work: float, waits: Sequence[int] = ()
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(start, end) of each piece on the host and on the device; after a wait the host goes on
    when the device has done all that it was given.
    """
    host: list[tuple[float, float]] = []
    device: list[tuple[float, float]] = []
    ready = done = 0.0
    for number in range(launches):
        host.append((ready, ready + launch))
        begin = max(ready + launch, done)
        done = begin + work
        device.append((begin, done))
        ready = done if number in waits else ready + launch
    return host, device


def line_figure(
    seconds: Mapping[str, tuple[float, bool]], prices: Sequence[float], alt: str
) -> go.Figure:
    """Price of a thousand parts against the pace of a line; a slider over the price of an hour.

    seconds: machine -> seconds of a part, and whether they were measured.
    """
    pace = np.geomspace(10, 20_000, 120)
    figure, owner = go.Figure(), []
    for index, price in enumerate(prices):
        for (name, (time, measured)), colour in zip(seconds.items(), LINES, strict=False):
            figure.add_scatter(
                x=pace.round(1),
                y=np.array([thousand_on_a_line(time, p, price) for p in pace]).astype(np.float32),
                **{"mode": "lines", "name": name, "visible": index == 0},
                line={"color": colour, "dash": "solid" if measured else "dot"},
                hovertemplate="%{x:.0f} an hour: %{y:.2f}<extra>" + name + "</extra>",
            )
            owner.append(index)
    axis = {"type": "log", "gridcolor": GRID, "dtick": 1, "zeroline": False}
    figure.update_layout(
        QUIET,
        height=430,
        margin={"l": 60, "r": 10, "t": 20, "b": 50},
        xaxis={"title": {"text": "parts that the line brings in an hour"}, **axis},
        yaxis={"title": {"text": "a thousand parts, in your money"}, **axis},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        sliders=[
            {"active": 0, "currentvalue": {"prefix": "a machine's hour costs "}, "pad": {"t": 55}}
            | {"steps": positions([f"{price:g}" for price in prices], owner), **INSET}
        ],
        meta={"alt": alt},
    )
    return figure


# --- exercises ------------------------------------------------------------------------------


def from_the_list(points: Tensor, then: Tensor, least: float) -> list[int]:
    """points (Q, D) of a list, then (Q,) their distances, least: of the farthest other row ->
    places in the list, in the order in which they are chosen before a new look is needed.
    """
    return walk(points, then, least)


def walk(
    points: Tensor,
    then: Tensor,
    least: float,
    *,
    update: bool = True,
    square: bool = False,
    forget: bool = False,
    late: bool = False,
) -> list[int]:
    """`from_the_list`, and its usual wrong versions."""
    now, picked = then.clone(), list[int]()
    while float(now.max()) >= least and len(picked) < len(points):
        place = int(now.argmax())
        picked.append(place)
        new = (points - points[place]).norm(dim=1)
        new = new.square() if square else new
        if update:
            now = new if forget else torch.minimum(now, new)
        else:
            now[place] = -1.0
    return [*picked, int(now.argmax())] if late else picked


def cloud(seed: int, rows: int, width: int) -> Tensor:
    return torch.rand(rows, width, generator=torch.Generator().manual_seed(seed))


def listed(
    seed: int, rows: int, width: int, room: int, scale: float = 1.0
) -> tuple[Tensor, Tensor, float]:
    """A list as the loop makes it after three choices."""
    points = scale * cloud(seed, rows, width)
    far = (points[:, None] - points[:3]).norm(dim=2).amin(1)
    order = far.sort(descending=True)
    return points[order.indices[:room]], order.values[:room], float(order.values[room])


LINE = torch.tensor([[10.0], [0.0], [9.0], [4.5]]), torch.tensor([5.0, 4.5, 4.0, 3.0]), 2.0
TIMES = (
    ((1000.0, 2000.0, 4000.0), (0.1, 0.4, 1.6)),
    ((100.0, 300.0, 1000.0, 3000.0), (0.02, 0.05, 0.21, 0.58)),
    ((196.0, 784.0, 3136.0), (0.004, 0.03, 0.42)),
)


def drawn_times(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    sizes = np.sort(rng.uniform(100, 5000, 6))
    power, noise = rng.uniform(0.7, 2.2), np.exp(rng.normal(0, 0.1, 6))
    return ((sizes, 1e-5 * sizes**power * noise),)


EXERCISES = {
    "exponent": Exercise(
        cases=tuple((np.array(sizes), np.array(times)) for sizes, times in TIMES),
        solution=exponent,
        drawn=drawn_times,
        mistakes={
            "this is the slope of seconds against sizes, without logarithms.": lambda n, t: (
                np.polyfit(n, t, 1)[0]
            ),
            "only the seconds are logarithms yet. Both must be.": lambda n, t: np.polyfit(
                n, np.log(t), 1
            )[0],
            "this is the logarithm of a, where the line begins. The exponent is its slope: polyfit "
            "gives the slope first.": lambda n, t: np.polyfit(np.log(n), np.log(t), 1)[1],
            "the axes are swapped: this is the exponent of the size against the time.": (
                lambda n, t: np.polyfit(np.log(t), np.log(n), 1)[0]
            ),
            "this is how many times longer the last takes than the first. How many times larger "
            "was it?": lambda n, t: t[-1] / t[0],
            "this uses the first and the last alone. It is the slope of a line through two points; "
            "fit one to all of them.": lambda n, t: np.log(t[-1] / t[0]) / np.log(n[-1] / n[0]),
        },
    ),
    "from-the-list": Exercise(
        cases=(LINE, listed(0, 200, 2, 60), listed(1, 200, 2, 60, 9.0), listed(2, 300, 3, 90)),
        solution=from_the_list,
        drawn=lambda seed: (listed(seed, 250, 2, 70), listed(seed + 1, 250, 3, 80, 9.0)),
        mistakes={
            "a choice must bring its neighbours in the list nearer: after each, take the minimum "
            "of the old distances and those to it.": lambda p, t, least: walk(
                p, t, least, update=False
            ),
            "you forget the earlier choices: the new distances replace the old ones. A distance "
            "only ever shrinks; take the minimum.": lambda p, t, least: walk(
                p, t, least, forget=True
            ),
            "these are squared distances beside plain ones.": lambda p, t, least: walk(
                p, t, least, square=True
            ),
            "the last one is too much: when it was chosen, a row outside the list may have been "
            "farther.": lambda p, t, least: walk(p, t, least, late=True),
        },
    ),
    "per-thousand": Exercise(
        cases=((0.7, 0.8, 0.5), (7.5, 0.5, 3.0), (3600.0, 1.0, 1.0)),
        solution=per_thousand,
        drawn=lambda seed: tuple(
            np.random.default_rng(seed).uniform((0.2, 0.2, 0.5), (20, 0.95, 5), (3, 3)).tolist()
        ),
        mistakes={
            "this is one part. A thousand were asked for.": lambda s, b, p: (
                per_thousand(s, b, p) / 1000
            ),
            "the price is for an hour, and an hour has 3600 seconds.": lambda s, b, p: (
                3600 * per_thousand(s, b, p)
            ),
            "an hour has 3600 seconds, not 60.": lambda s, b, p: 60 * per_thousand(s, b, p),
            "an idle machine is paid as well: divide by the share of the hour that is used, do not "
            "multiply.": lambda s, b, p: per_thousand(s, 1 / b, p),
            "an idle machine is paid as well: where is the share of the hour that is used?": (
                lambda s, b, p: per_thousand(s, 1.0, p)
            ),
        },
    ),
}
