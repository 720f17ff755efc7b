"""Point clouds that the reader turns by hand: small enough for a page, drawn with plotly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from lsfa_book.figures.relief import relief
from lsfa_book.figures.style import ANOMALY, DEPTH, INK, SHAPE
from lsfa_lite.data.sample import Sample

Colour = Literal["rgb", "depth", "shape", "anomaly"]
MAX_POINTS = 5000  # in one figure: about 80 kB of the page
WIDTH = 640  # pixels, of a figure in a page
PALETTE = 64  # colours kept of a picture


def cloud(
    sample: Sample,
    colour: Colour = "rgb",
    values: np.ndarray | None = None,
    *,
    keep: np.ndarray | None = None,
    points: int = MAX_POINTS,
    title: str = "",
    alt: str = "",
    height: int = 420,
    seed: int = 0,
) -> go.Figure:
    """One scan as a cloud to turn; the view starts where the camera stood.

    colour  "rgb" from the picture, "depth" from z, "shape" shaded by its surface alone,
            "anomaly" from `values` (H, W).
    keep    (H, W) bool, the pixels to draw; None is every pixel that the sensor saw.
    points  the cloud is thinned to this many, by a draw with `seed`; at most MAX_POINTS.
    alt     what the figure shows, for a reader who cannot see it.
    Raises ValueError for a sample without xyz, or a colour whose source is missing.
    """
    return clouds(
        [sample],
        colour,
        None if values is None else [values],
        keep=None if keep is None else [keep],
        points=points,
        titles=[title],
        alt=alt or title,
        height=height,
        seed=seed,
    )


def clouds(
    samples: Sequence[Sample],
    colour: Colour = "rgb",
    values: Sequence[np.ndarray] | None = None,
    *,
    keep: Sequence[np.ndarray] | None = None,
    points: int = MAX_POINTS,
    titles: Sequence[str] = (),
    alt: str = "",
    height: int = 420,
    seed: int = 0,
) -> go.Figure:
    """Scans side by side, on one colour scale; turning one turns all.

    `points` is the number in the whole figure. The other arguments are those of `cloud`, one
    entry per sample.
    """
    share = min(points, MAX_POINTS) // len(samples)
    rng = np.random.default_rng(seed)
    figure = go.Figure()
    for i, sample in enumerate(samples):
        pixels = _thin(sample, None if keep is None else keep[i], share, rng)
        marker = _marker(sample, colour, None if values is None else values[i], pixels)
        figure.add_trace(_trace(sample, pixels, marker, f"scene{i + 1 if i else ''}"))
    if colour in ("depth", "anomaly"):
        _share_scale(figure, "depth, mm" if colour == "depth" else "anomaly")
    _arrange(figure, len(samples), titles, height)
    figure.layout.meta = {"alt": alt or "Point cloud", "linked": len(samples) > 1}
    return figure


def _thin(
    sample: Sample, keep: np.ndarray | None, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Flat indices of at most `count` pixels that the sensor saw: one at random per square."""
    if sample.xyz is None:
        raise ValueError(f"{sample.path}: no xyz; a cloud needs the depth sensor's file")
    pixels = rng.permutation(np.flatnonzero(sample.valid if keep is None else sample.valid & keep))
    side, chosen = 1, pixels
    while len(chosen) > count:
        side += 1  # pixels
        row, column = np.divmod(pixels, sample.shape[1])
        square = row // side * sample.shape[1] + column // side
        chosen = pixels[np.unique(square, return_index=True)[1]]
    return np.sort(chosen)


def _marker(
    sample: Sample, colour: Colour, values: np.ndarray | None, pixels: np.ndarray
) -> dict[str, Any]:
    if colour == "rgb":
        return _picture_colours(sample, pixels)
    if colour == "shape":
        grey = (relief(sample).reshape(-1)[pixels] * 255).astype(np.uint8)
        return {"color": grey, "colorscale": list(SHAPE), "cmin": 0, "cmax": 255}
    if colour == "depth":
        assert sample.xyz is not None  # _thin() has made sure
        values = sample.xyz[..., 2] * 1000
    if values is None or values.shape != sample.shape:
        raise ValueError(f'{sample.path}: colour="anomaly" needs values of shape {sample.shape}')
    scale = DEPTH if colour == "depth" else ANOMALY
    return {"color": values.reshape(-1)[pixels].astype(np.float32), "colorscale": scale}


def _picture_colours(sample: Sample, pixels: np.ndarray) -> dict[str, Any]:
    """One byte per point instead of a word such as rgb(1,2,3): an index into a small palette."""
    if sample.colour is None:
        raise ValueError(f'{sample.path}: no picture; use colour="depth"')
    rgb = (sample.colour.reshape(-1, 3)[pixels] * 255).round().astype(np.uint8)  # (P, 3)
    indexed = Image.fromarray(rgb[None]).quantize(PALETTE, method=Image.Quantize.MEDIANCUT)
    palette = np.asarray(indexed.getpalette(), dtype=int).reshape(-1, 3)
    index = np.asarray(indexed, dtype=np.uint8).reshape(-1)  # (P,)
    last = max(int(index.max()), 1)
    stops = [[i / last, f"rgb({r},{g},{b})"] for i, (r, g, b) in enumerate(palette[: last + 1])]
    if len(stops) == 1:  # a picture of one colour
        stops.append([1.0, stops[0][1]])
    return {"color": index, "colorscale": stops, "cmin": 0, "cmax": last}


def _trace(sample: Sample, pixels: np.ndarray, marker: dict[str, Any], scene: str) -> go.Scatter3d:
    assert sample.xyz is not None  # _thin() has made sure
    x, y, z = (sample.xyz.reshape(-1, 3)[pixels] * 1000).astype(np.float32).T  # millimetres
    hover = "x %{x:.1f} mm<br>y %{y:.1f} mm<br>z %{z:.1f} mm"
    if "cmin" not in marker:
        hover += "<br>%{marker.color:.2f}"
    return go.Scatter3d(
        x=x,
        y=y,
        z=z,
        mode="markers",
        marker={"size": 4, **marker},
        hovertemplate=hover + "<extra></extra>",
        scene=scene,
        showlegend=False,
    )


def _share_scale(figure: go.Figure, title: str) -> None:
    """The same colour for the same value in every cloud, and one bar in words."""
    numbers = np.concatenate([trace.marker.color for trace in figure.data])
    low, high = (float(q) for q in np.quantile(numbers, [0.001, 0.999]))
    figure.update_traces(marker={"cmin": low, "cmax": max(high, low + 1e-6)})
    bar = {"title": {"text": title, "side": "right"}, "thickness": 12, "len": 0.7}
    figure.data[-1].marker.update(showscale=True, colorbar=bar)


def _arrange(figure: go.Figure, count: int, titles: Sequence[str], height: int) -> None:
    axis = {"showbackground": False, "gridcolor": "rgba(128,128,128,0.25)", "zeroline": False}
    axis |= {"nticks": 4, "color": INK, "tickfont": {"size": 10}, "showspikes": False}
    far = max(1.0, count * height / WIDTH)  # narrow scenes are seen from farther away
    for i in range(count):
        left, right = i / count, (i + 1) / count
        scene = {
            "domain": {"x": [left, right], "y": [0, 1]},
            "aspectmode": "data",
            # the camera frame: x to the right, y down, z away from the camera
            "camera": {
                "eye": {"x": 0.0, "y": -0.7 * far, "z": -1.5 * far},
                "up": {"x": 0, "y": -1, "z": 0},
            },
            **{f"{name}axis": {"title": {"text": f"{name}, mm"}, **axis} for name in "xyz"},
        }
        figure.update_layout({f"scene{i + 1 if i else ''}": scene})
        if i < len(titles) and titles[i]:
            place = {"x": (left + right) / 2, "y": 1.0, "xref": "paper", "yref": "paper"}
            figure.add_annotation(
                text=titles[i], showarrow=False, yanchor="bottom", font={"size": 14}, **place
            )
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
    )
