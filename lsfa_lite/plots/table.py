"""A scan from the side: one column of pixels, the table below, the camera above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import border_plane, plane_distance
from lsfa_lite.data.sample import Sample
from lsfa_lite.plots.charts import colours_of, legend, slider
from lsfa_lite.plots.style import INK, MODALITY

ACROSS, AWAY = "across the table (y), mm", "distance from the camera (z), mm"
STYLES = ("-", "--", "-.", ":")  # of up to four planes in one side view


def along_rays(points: np.ndarray, plane: np.ndarray, height: float = 0.0) -> np.ndarray:
    """Move points (P, 3) along their camera rays to `height` metres above the plane (4,).

    A pixel sees along one ray through the origin, so a moved point is still what it sees.
    """
    points = np.asarray(points, dtype=np.float64)
    stretch = (height - plane[3]) / (points @ plane[:3])  # (P,)
    return (points * stretch[:, None]).astype(np.float32)


def side_view(
    axis: Axes,
    sample: Sample,
    column: int,
    planes: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Draw what one column of pixels saw, and planes (4,) by name as lines, camera at the top."""
    points = _column(sample, column)  # (P, 3)
    y, z = 1000 * points[:, 1], 1000 * points[:, 2]
    axis.plot(y, z, ".", color=INK, markersize=3, label="points of the scan")
    planes = planes or {}
    colours = colours_of(np.arange(len(planes)), "viridis", -0.5, max(len(planes), 2) - 0.3) / 255
    for (name, plane), colour, style in zip(planes.items(), colours, STYLES, strict=False):
        on = 1000 * along_rays(points, plane)
        axis.plot(on[:, 1], on[:, 2], style, color=colour, linewidth=2, label=name)
    axis.invert_yaxis()
    axis.set_xlabel(ACROSS)
    axis.set_ylabel(AWAY)
    legend(axis, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)


def ransac_slider(
    sample: Sample,
    column: int,
    millimetres: Sequence[float],
    config: BackgroundConfig | None = None,
    active: int = 0,
    alt: str = "",
) -> go.Figure:
    """RANSAC anew at each inlier band (mm): which points of one column count as table then.

    The label of a step gives the band and the share of the whole scan inside it. Raises
    ValueError where no plane is found at all.
    """
    assert sample.xyz is not None
    config, steps = config or BackgroundConfig(), []
    points = _column(sample, column)[::2]  # every second one: the page stays light
    for band in millimetres:
        plane = border_plane(sample.xyz, replace(config, ransac_distance=band / 1000))
        if plane is None:
            raise ValueError(f"no plane holds enough of the border at {band} mm")
        share = (np.abs(plane_distance(sample.xyz[sample.valid], plane)) < band / 1000).mean()
        inside = np.abs(plane_distance(points, plane)) < band / 1000  # (P,)
        ends = points[[0, -1]]
        band_ends = [along_rays(ends, plane, side * band / 1000) for side in (1, -1)]
        traces = [
            _dots(points[inside], "counted as table", MODALITY["3d"], "circle"),
            _dots(points[~inside], "not counted", MODALITY["rgb"], "x"),
            _line(along_rays(ends, plane), "the plane", INK, "solid"),
            _line(band_ends[0], "edge of the band", INK, "dot"),
            _line(band_ends[1], "", INK, "dot"),
        ]
        steps.append((f"{band:g} mm, {share:.0%}", traces))
    figure = slider(steps, "band, share of the scan inside it", ACROSS, AWAY, alt, active)
    seen = 1000 * points[:, 2]
    figure.layout.yaxis.range = [float(seen.max() + 12), float(seen.min() - 12)]  # camera on top
    return figure


def _column(sample: Sample, column: int) -> np.ndarray:
    """(P, 3) metres: what the sensor saw in one column of pixels, from top to bottom."""
    if sample.xyz is None:
        raise ValueError(f"{sample.path}: no xyz; a side view needs the depth sensor's file")
    return sample.xyz[sample.valid[:, column], column]


def _dots(points: np.ndarray, name: str, colour: str, symbol: str) -> go.Scatter:
    y, z = (1000 * points[:, 1:]).astype(np.float32).T
    marker = {"color": colour, "size": 5, "symbol": symbol}
    return go.Scatter(x=y, y=z, mode="markers", name=name, marker=marker)


def _line(ends: np.ndarray, name: str, colour: str, dash: str) -> go.Scatter:
    y, z = (1000 * ends[:, 1:]).astype(np.float32).T
    line = {"color": colour, "dash": dash, "width": 1.5}
    return go.Scatter(x=y, y=z, mode="lines", name=name, line=line, showlegend=bool(name))
