"""One scan under several lights: a cloud to turn, and a slider that changes the lamp."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from lsfa_lite.data.sample import Sample
from lsfa_lite.plots.clouds import MAX_POINTS, PALETTE, cloud


def under_lights(
    pictures: Mapping[str, Sample],
    *,
    keep: np.ndarray | None = None,
    points: int = 2400,
    alt: str = "",
    height: int = 480,
) -> go.Figure:
    """Light -> the same scan in that light; only the colours change with the slider.

    keep    (H, W) bool, the pixels to draw; None is every pixel that the sensor saw.
    points  the cloud is thinned to at most this many, evenly over the picture; or to MAX_POINTS.
    Raises ValueError where a scan has no picture or no cloud, or the clouds differ.
    """
    first = next(iter(pictures.values()))
    for name, sample in pictures.items():
        if sample.rgb is None or sample.xyz is None or first.xyz is None:
            raise ValueError(f"{name}: {sample.path} lacks the picture or the cloud")
        if not np.array_equal(sample.xyz, first.xyz):
            raise ValueError(f"{name}: another cloud; only the light may differ")
    thin = _every_so_many(first.valid if keep is None else first.valid & keep, points)  # (H, W)
    figure = cloud(first, "rgb", keep=thin, height=height)
    colours, palette = _shared_palette(list(pictures.values()), np.flatnonzero(thin))
    last = max(len(palette) - 1, 1)
    stops = [[i / last, f"rgb({r},{g},{b})"] for i, (r, g, b) in enumerate(palette)]
    if len(stops) == 1:  # pictures of one colour
        stops.append([1.0, stops[0][1]])
    marker = {"color": _packed(colours[0]), "colorscale": stops, "cmin": 0, "cmax": last}
    figure.data[0].marker.update(marker)
    steps = [
        {"label": name, "method": "restyle", "args": [{"marker.color": [_packed(colour)]}, [0]]}
        for name, colour in zip(pictures, colours, strict=True)
    ]
    slider = {"steps": steps, "currentvalue": {"prefix": "light: "}, "x": 0.05, "len": 0.9}
    figure.update_layout(sliders=[slider], margin={"l": 0, "r": 0, "t": 28, "b": 110})
    figure.layout.meta = {"alt": alt or "A cloud under several lights"}
    return figure


def _every_so_many(wanted: np.ndarray, points: int) -> np.ndarray:
    """(H, W) bool -> every n-th of its rows and columns, n as small as `points` allows."""
    step, thin = 1, wanted
    while thin.sum() > min(points, MAX_POINTS):
        step += 1
        thin = np.zeros_like(wanted)
        thin[step // 2 :: step, step // 2 :: step] = wanted[step // 2 :: step, step // 2 :: step]
    return thin


def _shared_palette(samples: list[Sample], pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lights, P) uint8 indices into (colours, 3), one palette for all lights."""
    rows = []
    for sample in samples:
        assert sample.colour is not None  # under_lights has made sure
        rows.append((255 * sample.colour.reshape(-1, 3)[pixels]).round())
    rgb = np.stack(rows).astype(np.uint8)  # (lights, P, 3)
    indexed = Image.fromarray(rgb).quantize(PALETTE, method=Image.Quantize.MEDIANCUT)
    index = np.asarray(indexed, dtype=np.uint8)  # (lights, P)
    palette = np.asarray(indexed.getpalette(), dtype=int).reshape(-1, 3)
    return index, palette[: int(index.max()) + 1]


def _packed(values: np.ndarray) -> dict[str, str]:
    """uint8 as plotly.js reads it; in a slider's list each number would take a line of its own."""
    return {"dtype": "u1", "bdata": base64.b64encode(values.tobytes()).decode()}
