"""Maps over the patches of a part, one set per position of a slider."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from lsfa_lite.plots.charts import positions
from lsfa_lite.plots.style import DEFECT, INK, LIKENESS


def patch_maps(
    steps: Sequence[tuple[str, Sequence[np.ndarray]]],
    titles: Sequence[str],
    marks: Sequence[int],
    scale: str,
    alt: str,
    limits: tuple[float, float],
    title: str = "patch",
    height: int = 330,
) -> go.Figure:
    """[(label, one (grid, grid) map per title), ...] -> panels that a slider changes together.

    NaN is left empty. marks: the flat index of the patch that each step is about, outlined in
    every panel. scale: what the colours mean, in words; limits: their ends. title stands before
    the slider's value. Raises ValueError when the maps of a step do not fit the titles.
    """
    figure = go.Figure()
    count = len(titles)
    for index, ((label, maps), mark) in enumerate(zip(steps, marks, strict=True)):
        if len(maps) != count:
            raise ValueError(f"step {label!r} has {len(maps)} maps for {count} titles")
        for panel, values in enumerate(maps):
            grid = np.asarray(values, dtype=np.float32)
            axes = {"xaxis": _axis("x", panel), "yaxis": _axis("y", panel)}
            figure.add_trace(
                go.Heatmap(
                    z=grid,
                    coloraxis="coloraxis",
                    hovertemplate="%{z:.2f}<extra></extra>",
                    visible=index == 0,
                    **axes,
                )
            )
            row, column = divmod(mark, grid.shape[1])
            frame = {"size": 11, "symbol": "square-open", "color": DEFECT, "line": {"width": 2}}
            figure.add_trace(
                go.Scatter(
                    x=[column],
                    y=[row],
                    mode="markers",
                    marker=frame,
                    hoverinfo="skip",
                    showlegend=False,
                    visible=index == 0,
                    **axes,
                )
            )
    owner = [trace // (2 * count) for trace in range(len(figure.data))]
    buttons = positions([label for label, _ in steps], owner)
    bar = {"title": {"text": scale, "side": "right"}, "thickness": 12}
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": 5, "r": 5, "t": 30, "b": 20},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
        coloraxis={
            "colorscale": LIKENESS,
            "cmin": limits[0],
            "cmax": limits[1],
            "colorbar": bar,
        },
        sliders=[{"currentvalue": {"prefix": f"{title}: "}, "steps": buttons, "pad": {"t": 10}}],
        meta={"alt": alt},
    )
    for panel, words in enumerate(titles):
        _place(figure, panel, count, words, np.shape(steps[0][1][panel]))
    return figure


def _axis(letter: str, panel: int) -> str:
    return f"{letter}{panel + 1 if panel else ''}"


def _place(figure: go.Figure, panel: int, count: int, words: str, shape: tuple[int, ...]) -> None:
    """Panel number `panel` of a row: square patches, row 0 on top, no ticks, its title above."""
    rows, columns = shape
    left, right = panel / count, (panel + 0.96) / count
    name = str(panel + 1) if panel else ""
    hidden = {"visible": False, "constrain": "domain"}
    across = {"domain": [left, right], "range": [-0.5, columns - 0.5], **hidden}
    down = {"range": [rows - 0.5, -0.5], "scaleanchor": f"x{name}", **hidden}
    figure.update_layout({f"xaxis{name}": across, f"yaxis{name}": down})
    place = {"x": (left + right) / 2, "y": 1.0, "xref": "paper", "yref": "paper"}
    anchor = {"xanchor": "center", "yanchor": "bottom"}
    figure.add_annotation(text=words, showarrow=False, **anchor, **place)
