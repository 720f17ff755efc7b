"""Rows of an ablation side by side: intervals in groups, and tables of coloured tiles.

Both change with a menu, which needs no kernel. Values are shares; what is shown are points (1/100).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from lsfa_lite.experiments.effect import Difference
from lsfa_lite.plots.charts import GRID, positions
from lsfa_lite.plots.style import DEFECT, INK

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
