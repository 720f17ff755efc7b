"""Curves, heat maps and small pictures in the book's look, and sliders that need no kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsfa_book.figures.pictures import anomaly_overlay
from lsfa_book.figures.style import DEFECT, INK
from lsfa_lite.data.sample import Sample

GRID = "rgba(128,128,128,0.25)"


def panels(
    columns: int = 1,
    rows: int = 1,
    width: float = 6.4,
    height: float = 3.2,
    titles: Sequence[str] = (),
    pictures: bool = False,
) -> tuple[Figure, np.ndarray]:
    """An empty figure (inches) and its axes, flat, on a transparent ground.

    pictures=True is for images: no ticks, no frame. End the cell with the figure to show it.
    """
    figure, grid = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained", dpi=100
    )
    plt.close(figure)  # shown once, as the value of the cell
    figure.patch.set_alpha(0)
    for axis, title in zip(grid.flat, [*titles, *[""] * grid.size], strict=False):
        _plain(axis, pictures)
        axis.set_title(title, fontsize=10, color=INK)
    return figure, grid.ravel()


def _plain(axis: Axes, pictures: bool) -> None:
    axis.patch.set_alpha(0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(INK)
    axis.tick_params(colors=INK, labelsize=8)
    axis.xaxis.label.set_color(INK)
    axis.yaxis.label.set_color(INK)
    axis.xaxis.label.set_fontsize(9)
    axis.yaxis.label.set_fontsize(9)
    if pictures:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)


def legend(axis: Axes, **options: Any) -> None:
    """A legend without a box, in the ink of the page."""
    axis.legend(frameon=False, fontsize=8, labelcolor=INK, **options)


def strip(
    riddles: dict[str, Sample],
    maps: dict[str, np.ndarray],
    verdicts: dict[str, str] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """The three riddles of the workshop in a row: picture under anomaly map, label outlined.

    maps: name -> (H, W), all on one colour scale from limits[0] to limits[1], by default from the
    median on the parts to the largest value. verdicts: name -> a word under the picture.
    """
    figure, axes = panels(len(riddles), width=2.5 * len(riddles), height=2.9, pictures=True)
    if limits is None:
        on_parts = np.concatenate([values[values > 0] for values in maps.values()])
        limits = (float(np.median(on_parts)), float(on_parts.max())) if len(on_parts) else (0, 1)
    for axis, (name, sample) in zip(axes, riddles.items(), strict=True):
        assert sample.rgb is not None
        axis.imshow(anomaly_overlay(sample.rgb, maps[name], limits))
        if sample.mask is not None and sample.mask.any():
            axis.contour(sample.mask, [0.5], colors=[DEFECT], linewidths=1)
        axis.set_title(name, fontsize=10, color=INK)
        if verdicts:
            axis.set_xlabel(verdicts[name], color=INK)
    return figure


def colours_of(values: np.ndarray, name: str, low: float, high: float) -> np.ndarray:
    """Numbers -> (..., 3) uint8 of a colour map, for pictures and clouds."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return (mpl.colormaps[name](share)[..., :3] * 255).round().astype(np.uint8)


def slider(
    steps: Sequence[tuple[str, Sequence[go.Scatter]]],
    title: str,
    x: str,
    y: str,
    alt: str,
    active: int = 0,
    height: int = 380,
) -> go.Figure:
    """One set of curves per position of a slider: [(label, traces), ...]; the axes stay fixed.

    title stands before the slider's value; x and y name the axes. No kernel is needed to move it.
    """
    figure = go.Figure()
    owner: list[int] = []
    for index, (_, traces) in enumerate(steps):
        for trace in traces:
            figure.add_trace(trace.update(visible=index == active))
            owner.append(index)
    axis = {"gridcolor": GRID, "zeroline": False, "color": INK}
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": 60, "r": 10, "t": 30, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
        xaxis={"title": {"text": x}, "range": limits(figure, "x"), **axis},
        yaxis={"title": {"text": y}, "range": limits(figure, "y"), **axis},
        legend={"orientation": "h", "y": 1.12},
        sliders=[
            {
                "active": active,
                "currentvalue": {"prefix": f"{title}: "},
                "steps": positions([label for label, _ in steps], owner),
                "pad": {"t": 40},
            }
        ],
        meta={"alt": alt},
    )
    return figure


def positions(labels: Sequence[str], owner: Sequence[int]) -> list[dict[str, Any]]:
    """Steps of a slider: position i shows the traces whose owner is i, and hides the others."""
    return [
        {"label": label, "method": "restyle", "args": [{"visible": [o == i for o in owner]}]}
        for i, label in enumerate(labels)
    ]


def limits(figure: go.Figure, axis: str) -> list[float]:
    """Ends of all curves together, with a little air, so that the slider moves only the curves."""
    values = np.concatenate([np.asarray(trace[axis], dtype=float) for trace in figure.data])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    air = 0.05 * (high - low or 1.0)
    return [low - air, high + air]
