"""Switches that redraw a figure without a kernel: what was run, for every choice of a reader."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import plotly.graph_objects as go
from scipy import stats

from lsfa_book.figures.charts import GRID
from lsfa_book.figures.style import INK, MODALITY

Run = Mapping[str, float]  # kind -> value
BETWEEN = " · "  # the choices of a combination, in one line: its name in the menu and in the page
CLEAR = "rgba(0,0,0,0)"
MEAN = "<b>mean</b>"


def switches(
    rows: Sequence[tuple[str, Sequence[str]]],
    runs: Mapping[tuple[str, ...], Run],
    reference: tuple[str, ...],
    *,
    alt: str,
    start: tuple[str, ...] | None = None,
    apart: Collection[str] = (),
    value: str = "image AUROC",
) -> go.Figure:
    """A dot for each kind, their mean and its 95 % t-interval, as changes from a reference.

    In the book rows of buttons choose the combination, and levels instead of changes:
    book/static/lazyplot.js does it by layout.meta.switches and by the menu, which holds each number
    once and is what notebooks show. A combination that is not in `runs` was not run.

    rows       (name, its choices), one a row of buttons
    runs       one choice of each row -> kind -> value, kept to four digits
    reference  a key of runs; kinds that it lacks have no change, and are not shown
    start      the combination shown first, by default the reference
    apart      kinds shown by a marker of their own, and in no mean

    Raises ValueError for a key of runs that no buttons spell, or a reference or start not in runs.
    """
    start = start or reference
    spelled = [key for key in product(*(choices for _, choices in rows)) if key in runs]
    if unknown := sorted(runs.keys() - set(spelled)):
        raise ValueError(f"runs: {unknown[0]} is no choice of {[name for name, _ in rows]}")
    for name, key in {"reference": reference, "start": start}.items():
        if key not in runs:
            raise ValueError(f"{name} {key} is not in runs; give a combination that was run")
    base = {kind: round(level, 4) for kind, level in runs[reference].items()}
    kinds = [kind for kind in base if kind not in apart]
    others = [kind for kind in base if kind in apart]
    buttons = [_button(key, _changes(runs[key], base), kinds, others) for key in spelled]
    moved, title, _ = buttons[spelled.index(start)]["args"]
    views = _views(runs, base, BETWEEN.join(reference), value)
    figure = go.Figure(_traces(kinds, others, moved["x"]), _layout([*kinds, MEAN, *others]))
    figure.update_layout(
        title={"text": title["title.text"], "font": {"size": 13}},
        xaxis={"title": {"text": views["change"][0]}, "range": views["change"][1]},
        updatemenus=[
            {
                "buttons": buttons,
                "active": spelled.index(start),
                **{"x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
                **{"bgcolor": "#f4f4f4", "font": {"color": "#333333"}},  # it covers the plot
            }
        ],
        meta={
            "alt": alt,
            "switches": {
                "rows": [[name, list(choices)] for name, choices in rows],
                "between": BETWEEN,
                "start": list(start),
                "levels": [[base[k] for k in kinds], [base[k] for k in others]],  # of the reference
                "apart": others,
                "t": [round(float(stats.t.ppf(0.975, n - 1)), 5) for n in range(2, len(kinds) + 1)],
                "views": views,
            },
        },
    )
    return figure


def _views(
    runs: Mapping[tuple[str, ...], Run], base: Run, against: str, value: str
) -> dict[str, list[Any]]:
    """The axis of each view: its title, and ends with a little air around all that can be shown."""
    levels = [run[kind] for run in runs.values() for kind in run.keys() & base.keys()]
    changes = [x for run in runs.values() for x in _changes(run, base).values() if x is not None]
    views: dict[str, list[Any]] = {}
    for name, numbers, title in (
        ("change", changes, f"{value}, change from<br>{against}"),
        ("level", levels, f"{value}; in grey:<br>{against}"),
    ):
        air = 0.05 * (max(numbers) - min(numbers) or 1.0)
        views[name] = [title, [round(min(numbers) - air, 4), round(max(numbers) + air, 4)]]
    return views


def _changes(run: Run, base: Run) -> dict[str, float | None]:
    return {k: round(round(run[k], 4) - base[k], 4) if k in run else None for k in base}


def interval(values: Sequence[float]) -> tuple[float, list[float]]:
    """The mean and the ends of its 95 % t-interval; no ends for a single value."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, []
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, [mean - half, mean + half]


def _button(
    key: Sequence[str],
    changes: Mapping[str, float | None],
    kinds: Sequence[str],
    others: Sequence[str],
) -> dict[str, Any]:
    """What the menu does for one combination: dots, interval, mean, and the sentence above."""
    dots = [changes[k] for k in kinds]
    seen = [x for x in dots if x is not None]
    mean, ends = interval(seen) if seen else (0.0, [])
    said = "No kind was run here"
    if seen:
        inside = f"95 % interval {ends[0]:+.3f} to {ends[1]:+.3f}, " if ends else ""
        said = f"Mean change {mean:+.3f} ({inside}n = {len(seen)} kind{'s' * (len(seen) > 1)})"
    for kind in others:
        if changes[kind] is not None:
            said += f"; {kind} {changes[kind]:+.3f}"
    x = [dots, [round(end, 4) for end in ends], [round(mean, 4)] * bool(seen)]
    args = [{"x": [*x, [changes[k] for k in others]]}, {"title.text": said}, [0, 1, 2, 3]]
    return {"label": BETWEEN.join(key), "method": "update", "args": args}


def _traces(kinds: Sequence[str], others: Sequence[str], x: Sequence[Any]) -> list[go.Scatter]:
    """Kinds, interval, mean, kinds that stand apart; grey strokes: the reference, among levels."""
    colour = MODALITY["both"]
    rows = [kinds, [MEAN, MEAN], [MEAN], others, [*kinds, *others]]
    marks: list[dict[str, Any]] = [
        {"marker": {"color": colour, "size": 9}},
        {"mode": "lines", "line": {"color": colour, "width": 3}},
        {"marker": {"color": colour, "size": 13, "symbol": "diamond"}},
        {"marker": {"color": colour, "size": 10, "symbol": "square-open", "line": {"width": 2.5}}},
        {"marker": {"color": INK, "size": 12, "symbol": "line-ns-open", "line": {"width": 2}}},
    ]
    common = {"mode": "markers", "showlegend": False, "cliponaxis": False}
    words = {"hovertemplate": "%{y}: %{x:.3f}<extra></extra>"}
    return [
        go.Scatter(x=values, y=names, **(common | words | mark))
        for names, values, mark in zip(rows, [*x, []], marks, strict=True)
    ]


def _layout(names: Sequence[str]) -> dict[str, Any]:
    axis = {"gridcolor": GRID, "zeroline": False, "color": INK, "fixedrange": True}
    return {
        "template": None,
        "height": 180 + 26 * len(names),
        "margin": {"l": 10, "r": 14, "t": 100, "b": 60},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"color": INK},
        "xaxis": {**axis, "zeroline": True, "zerolinecolor": INK},
        "yaxis": {
            **axis,
            **{"type": "category", "categoryorder": "array", "categoryarray": names},
            **{"range": [len(names) - 0.5, -0.5], "automargin": True, "dtick": 1},
        },
    }
