"""A picture and its cloud side by side, tied together patch by patch."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from PIL import Image

from lsfa_book.figures.charts import GRID
from lsfa_book.figures.clouds import cloud
from lsfa_book.figures.style import INK
from lsfa_lite.data.sample import Sample
from lsfa_lite.features.extract import square_pixels
from lsfa_lite.features.projection import patch_index

POINTS = 2400  # of a cloud: several in every patch, and light enough to redraw under the pointer
SIZE, CHOSEN_SIZE = 4, 10  # pixels, of a point
CHOSEN = "#12c2d6"  # seen on the browns and greys of parts, on a white and on a dark page
VEIL = "rgba(128,128,128,0.15)"  # over patches without a point
EYE = {"x": 0.35, "y": -1.05, "z": -1.75}  # a little beside the camera: the part has a height
CLEAR = "rgba(128,128,128,0)"


def linked_patches(
    sample: Sample,
    grid: int,
    *,
    image_size: int = 224,
    patch: int | None = None,
    points: int = POINTS,
    alt: str = "",
    height: int = 360,
    seed: int = 0,
) -> go.Figure:
    """The picture under its grid x grid patches, and the cloud whose points know their patch.

    In the book, pointing at a patch lights up its points, and pointing at a point frames its
    patch: book/static/lazyplot.js does it by layout.meta.patches. Without that script both sides
    name the patch under the pointer. Patches count from 0, row by row.

    patch   the one that is marked at first; None is the fullest one.
    points  at most this many are drawn, as many of each patch, by a draw with `seed`.
    Raises ValueError for a sample without picture or cloud.
    """
    colour, xyz = square_pixels(sample, image_size)
    if colour is None or xyz is None:
        raise ValueError(f"{sample.path}: a linked view needs both picture and cloud")
    square = Sample(colour.clip(0, 1), xyz, path=sample.path)
    pixels = np.flatnonzero(square.valid)
    patches = patch_index(torch.from_numpy(pixels), image_size, grid).numpy()  # (P,)
    chosen = _some_of_each(patches, points, np.random.default_rng(seed))
    keep = np.zeros(square.shape, dtype=bool)
    keep.flat[pixels[chosen]] = True

    counts = np.bincount(patches, minlength=grid * grid)  # (N,) points of each patch
    marked = int(counts.argmax()) if patch is None else patch
    figure = cloud(square, keep=keep, height=height)
    colours = _light_up(figure, patches[chosen], marked)
    _add_picture(figure, square, counts, marked, grid)
    figure.layout.meta = {
        "alt": alt or "A picture cut into patches, beside its cloud of points",
        "patches": {
            "grid": grid,
            "cloud": 0,  # which trace; the other is the picture
            "patch": _words(patches[chosen]),  # of each point
            "colour": _words(colours),  # of each point while its patch is not marked
            "size": [SIZE, CHOSEN_SIZE],
            "marked": int(figure.data[0].marker.cmax),  # the colour of a marked point
        },
    }
    return figure


def _some_of_each(patches: np.ndarray, points: int, rng: np.random.Generator) -> np.ndarray:
    """Indices, in order, of at most `points` points: the same number of every patch, or all."""
    order = rng.permutation(len(patches))
    order = order[np.argsort(patches[order], kind="stable")]  # by patch, drawn at random inside
    _, first, counts = np.unique(patches[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, counts)  # 0, 1, 2, ... inside each patch
    return np.sort(order[rank < max(points // len(first), 1)][:points])


def _light_up(figure: go.Figure, patches: np.ndarray, marked: int) -> np.ndarray:
    """Name the patch of each point and mark one patch; returns the colours of all unmarked."""
    trace = figure.data[0]
    last = int(trace.marker.cmax) + 1  # the next free place in the palette
    stops = [[place * (last - 1) / last, word] for place, word in trace.marker.colorscale]
    stops[-1][0] = (last - 1) / last
    colours = np.asarray(trace.marker.color)
    inside = patches == marked
    trace.update(
        customdata=patches.astype(np.int16),
        hovertemplate="patch %{customdata}<extra></extra>",
        marker={
            "color": np.where(inside, last, colours).astype(np.uint8),
            "size": np.where(inside, CHOSEN_SIZE, SIZE).astype(np.uint8),
            "colorscale": [*stops, [1.0, CHOSEN]],
            "cmax": last,
            "line": {"width": 0},
        },
    )
    return colours


def _words(numbers: np.ndarray) -> str:
    """One line instead of one per number: a notebook keeps figures as indented JSON."""
    return " ".join(map(str, numbers.tolist()))


def _add_picture(
    figure: go.Figure, square: Sample, counts: np.ndarray, marked: int, grid: int
) -> None:
    """The picture on the left, a patch being one unit wide; the cloud moves to the right."""
    nothing = 0.5 / max(counts.max(), 1)
    figure.add_trace(
        go.Heatmap(
            z=counts.reshape(grid, grid).astype(np.int16),
            text=np.arange(grid * grid).reshape(grid, grid).tolist(),
            zmin=0,
            zmax=int(counts.max()),
            colorscale=[[0, VEIL], [nothing, VEIL], [nothing, CLEAR], [1, CLEAR]],
            showscale=False,
            hovertemplate="patch %{text}<br>row %{y}, column %{x}<br>%{z} points<extra></extra>",
        )
    )
    axis: dict[str, Any] = {
        "showticklabels": False,
        "ticks": "",
        "dtick": 1,
        "tick0": -0.5,
        "gridcolor": GRID,
        "zeroline": False,
        "fixedrange": True,
        "constrain": "domain",
    }
    end = grid - 0.5
    figure.update_layout(
        xaxis={**axis, "domain": [0, 0.47], "range": [-0.5, end]},
        yaxis={**axis, "range": [end, -0.5], "scaleanchor": "x"},
        images=[
            {
                "source": _address(square),
                **{"xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": grid, "sizey": grid},
                **{"sizing": "stretch", "layer": "below"},
            }
        ],
        shapes=[{"type": "rect", "line": {"color": CHOSEN, "width": 3}, **_frame(marked, grid)}],
        scene={
            "domain": {"x": [0.5, 1], "y": [0, 1]},
            "camera": {"eye": EYE},
            **{f"{name}axis": {"visible": False} for name in "xyz"},
        },
        plot_bgcolor=CLEAR,
        hovermode="closest",
        hoverlabel={"bgcolor": CHOSEN, "font": {"color": "#06262b"}, "bordercolor": INK},
    )


def _frame(patch: int, grid: int) -> dict[str, float]:
    row, column = divmod(patch, grid)
    return {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}


def _address(square: Sample) -> str:
    """The picture as a data address, clear where the sensor saw nothing."""
    assert square.colour is not None
    both = np.dstack([square.colour, square.valid])  # (H, W, 4)
    picture = Image.fromarray((both * 255).round().astype(np.uint8))
    file = io.BytesIO()
    picture.quantize(64, method=Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
