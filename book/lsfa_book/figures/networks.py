"""Features as colours, and whom a patch resembles: what a frozen network tells apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor

from lsfa_book.figures.charts import positions
from lsfa_book.figures.style import DEFECT, DEPTH, INK
from lsfa_lite.data.sample import Sample

# light against dark, yellow against blue, red against green: the first two are safe for
# colour-blind readers, and the third carries the least
OPPONENTS = torch.tensor([[0.22, 0.22, 0.22], [0.15, 0.1, -0.26], [0.17, -0.17, 0.0]])


@dataclass(frozen=True)
class FeatureColours:
    """The three directions in which features vary most, as colours.

    mean (D,), axes (D,3), scale (3,): the spread along each axis; share: of the variance, in 0..1.
    """

    mean: Tensor
    axes: Tensor
    scale: Tensor
    share: float

    @classmethod
    def fit(cls, rows: Tensor) -> FeatureColours:
        """Rows (Q,D) of all that is to be compared -> one basis for them (PCA)."""
        rows = rows.double()
        mean = rows.mean(dim=0)
        variances, axes = torch.linalg.eigh(torch.cov(rows.T))  # (D,) ascending, (D,D)
        axes = axes[:, -3:].flip(1)  # (D,3)
        largest = axes.abs().argmax(dim=0)
        axes = axes * axes[largest, torch.arange(3)].sign()  # else the sign is the machine's choice
        scale = ((rows - mean) @ axes).abs().quantile(0.95, dim=0).clamp_min(1e-12)
        return cls(mean, axes, scale, float(variances[-3:].sum() / variances.sum()))

    def __call__(self, rows: Tensor) -> np.ndarray:
        """(Q,D) -> (Q,3) uint8. Rows with the same features have the same colour."""
        place = ((rows.double() - self.mean) @ self.axes / self.scale).clamp(-1, 1)  # (Q,3)
        colours = (0.54 + place.float() @ OPPONENTS).clamp(0, 1)
        return (255 * colours).round().to(torch.uint8).numpy()


def patch_picture(colours: np.ndarray, foreground: Tensor) -> np.ndarray:
    """(N,3) uint8 and (N,) bool on a square grid -> (grid, grid, 4), clear off the part."""
    grid = round(len(colours) ** 0.5)
    clear = 255 * foreground.numpy().astype(np.uint8)[:, None]
    return np.concatenate([colours, clear], axis=1).reshape(grid, grid, 4)


def painted(xyz: np.ndarray, colours: np.ndarray) -> Sample:
    """An organised cloud (H,W,3) in metres, its P points in `colours` (P,3), to give to `clouds`.

    The points are the pixels in which the sensor saw something, row by row.
    """
    rgb = np.zeros(xyz.shape, dtype=np.uint8)
    rgb[np.any(xyz != 0, axis=-1)] = colours
    return Sample(rgb, xyz)


def likeness(
    features: Mapping[str, Tensor],
    foreground: Tensor,
    queries: Sequence[tuple[str, int]],
    titles: Sequence[str],
    alt: str,
    height: int = 520,
) -> go.Figure:
    """How near every patch is to a chosen one, in feature space; a slider over chosen patches.

    features: name of a network -> (B,N,D), one column of maps each; foreground (B,N) bool; queries:
    (label, patch of the first sample). The ring is the chosen patch; a cross the nearest one on
    each other sample. One colour scale per network and position: from the chosen patch's nearest
    patch (bright) to its farthest.
    """
    samples, patches = foreground.shape
    grid = round(patches**0.5)
    box = _box(foreground, grid)
    figure = make_subplots(
        samples, len(features), column_titles=list(features), row_titles=list(titles),
        horizontal_spacing=0.02, vertical_spacing=0.02,
    )  # fmt: skip
    owner: list[int] = []
    for step, (_, query) in enumerate(queries):
        for column, values in enumerate(features.values()):
            distance = torch.cdist(values[0, query][None, None], values)[:, 0]  # (B,N)
            distance = distance.masked_fill(~foreground, torch.nan)
            low, high = distance[1:].nan_to_num(torch.inf).min(), distance.nan_to_num(0).max()
            level = (1 + 254 * ((high - distance) / (high - low)).clamp(0, 1)).round()
            for row in range(samples):
                image = level[row].nan_to_num(0).to(torch.uint8).reshape(grid, grid).numpy()
                best = query if row == 0 else int(_nearest(distance[row]))
                where = {"row": row + 1, "col": column + 1}
                figure.add_trace(_heat(image, box), **where)
                figure.add_trace(_mark(best, grid, row == 0), **where)
                owner += [step, step]
    for trace, step in zip(figure.data, owner, strict=True):
        trace.visible = step == 0
    _arrange(figure, queries, owner, box, height, alt)
    return figure


def _nearest(distance: Tensor) -> Tensor:
    """The nearest patch, NaN left out."""
    return distance.nan_to_num(torch.inf).argmin()


def _box(foreground: Tensor, grid: int) -> tuple[int, int, int, int]:
    """The rows and the columns that any part covers: top, bottom, left, right; ends excluded."""
    rows, columns = foreground.any(dim=0).reshape(grid, grid).nonzero().T
    top, left = int(rows.min()), int(columns.min())
    return top, int(rows.max()) + 1, left, int(columns.max()) + 1


def _heat(image: np.ndarray, box: tuple[int, int, int, int]) -> go.Heatmap:
    top, bottom, left, right = box
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    return go.Heatmap(z=crop, x0=left, y0=top, coloraxis="coloraxis", hoverinfo="skip")


def _scale() -> list[list[float | str]]:
    """Bytes: 0 is clear, 1 (far) to 255 (near) are the colours of DEPTH."""
    stops: list[list[float | str]] = [[0.0, "rgba(0,0,0,0)"], [0.5 / 255, "rgba(0,0,0,0)"]]
    for share in np.linspace(0, 1, 9):
        red, green, blue = (int(255 * part) for part in mpl.colormaps[DEPTH](share)[:3])
        stops.append([max(0.6 / 255, float(share)), f"rgb({red},{green},{blue})"])
    return stops


def _mark(patch: int, grid: int, chosen: bool) -> go.Scatter:
    row, column = divmod(patch, grid)
    symbol = "circle-open" if chosen else "x-thin-open"
    return go.Scatter(
        x=[column],
        y=[row],
        mode="markers",
        marker={"symbol": symbol, "size": 13, "color": DEFECT, "line": {"width": 3}},
        hovertemplate=f"row {row}, column {column}<extra></extra>",
        showlegend=False,
    )


def _arrange(
    figure: go.Figure,
    queries: Sequence[tuple[str, int]],
    owner: list[int],
    box: tuple[int, int, int, int],
    height: int,
    alt: str,
) -> None:
    top, bottom, left, right = box
    hidden = {"visible": False, "fixedrange": True}
    figure.update_xaxes(range=[left - 0.5, right - 0.5], **hidden)
    figure.update_yaxes(range=[bottom - 0.5, top - 0.5], **hidden)  # rows grow downwards
    for trace in figure.data[::2]:  # square patches, on a phone as well
        figure.layout[trace.yaxis.replace("y", "yaxis")].scaleanchor = trace.xaxis
    steps = positions([label for label, _ in queries], owner)
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": 30, "r": 25, "t": 30, "b": 80},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
        coloraxis={"cmin": 0, "cmax": 255, "colorscale": _scale(), "showscale": False},
        sliders=[{"active": 0, "currentvalue": {"prefix": "chosen patch: "}, "steps": steps}],
        meta={"alt": alt},
    )
