"""The rows of a memory bank in a plane, step by step: how old they are and how far they drifted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from lsfa_lite.plots.charts import slider
from lsfa_lite.plots.style import DEPTH, INK

Frame = tuple[str, np.ndarray, np.ndarray, np.ndarray]


def bank_slider(frames: Sequence[Frame], alt: str, title: str = "step") -> go.Figure:
    """One position of a slider per state of the bank: rows as dots, coloured by age.

    frames  (label, stored (M, 2), present (M, 2), ages (M,)): where each row was stored in the
            plane, where the same input lies now, and how many steps ago it was stored. A line
            leads from each row to where it belongs now. M may differ between frames; the oldest
            rows are yellow.
    Raises ValueError for arrays that do not fit each other.
    """
    oldest = max(float(ages.max()) for *_, ages in frames)
    steps = [
        (label, _traces(stored, present, ages, oldest)) for label, stored, present, ages in frames
    ]
    figure = slider(steps, title, "first direction", "second direction", alt, height=440)
    figure.layout.margin.r = 90  # the bar of ages
    return figure


def _traces(
    stored: np.ndarray, present: np.ndarray, ages: np.ndarray, oldest: float
) -> list[go.Scatter]:
    if stored.shape != present.shape or stored.shape != (len(ages), 2):
        raise ValueError(
            f"stored {stored.shape}, present {present.shape} and ages {ages.shape}: "
            "expected (M, 2), (M, 2) and (M,)"
        )
    gap = np.full_like(stored, np.nan)  # lifts the pen between two lines
    lines = np.stack([stored, present, gap], axis=1).reshape(-1, 2).astype(np.float32)
    bar = {"title": {"text": "age, steps", "side": "right"}, "thickness": 12, "len": 0.8}
    bar["dtick"] = max(1, round(oldest / 5))  # whole steps
    return [
        go.Scatter(
            x=lines[:, 0],
            y=lines[:, 1],
            mode="lines",
            line={"color": INK, "width": 1},
            name="from where it was stored to where it belongs now",
            hoverinfo="skip",
        ),
        go.Scatter(
            x=stored[:, 0].astype(np.float32),
            y=stored[:, 1].astype(np.float32),
            mode="markers",
            marker={
                "color": ages.astype(np.int16),
                "colorscale": DEPTH,
                "cmin": 0,
                "cmax": max(oldest, 1.0),
                "size": 7,
                "line": {"color": INK, "width": 0.6},
                "colorbar": bar,
            },
            hovertemplate="%{marker.color} steps old<extra></extra>",
            showlegend=False,
        ),
    ]
