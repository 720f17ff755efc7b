"""Still pictures of scans, drawn with matplotlib on a transparent ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lsfa_book.figures.relief import relief
from lsfa_book.figures.style import ANOMALY, DEFECT, DEPTH, EMPTY, INK, SHAPE
from lsfa_lite.data.sample import Sample

PANELS = ("picture", "depth", "defect")


def show_sample(sample: Sample, title: str = "", panels: Sequence[str] = PANELS) -> Figure:
    """One scan in a row: the picture, the depth in millimetres, the labelled defect.

    panels may name "shape" too: the surface in one colour under a raking light.
    """
    figure, axes = _blank(1, len(panels), width=3 * len(panels), height=3.2)
    for axis, panel in zip(axes[0], panels, strict=True):
        image = SHOW[panel](axis, sample)
        axis.set_title(panel, fontsize=10, color=INK)
        if panel == "depth" and image is not None:
            scale = figure.colorbar(image, ax=axis, fraction=0.046, pad=0.02)
            scale.set_label("mm", color=INK)
            scale.ax.tick_params(colors=INK, labelsize=8)
            scale.ax.spines["outline"].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    return figure


def contact_sheet(
    samples: Mapping[str, Sequence[Sample]],
    panels: Sequence[str] = ("picture", "shape", "defect"),
    size: float = 1.25,
    names: Sequence[str] = (),
) -> Figure:
    """Category -> its samples: one column per sample, one row per panel (see `show_sample`).

    `size` is the side of a tile in inches. Above a column stands its name in `names`, or else
    the sample's defect.
    """
    columns = max(len(row) for row in samples.values())
    rows = len(panels) * len(samples)
    figure, axes = _blank(rows, columns, width=columns * size, height=rows * size + 0.2)
    for block, (category, row) in enumerate(samples.items()):
        tiles = axes[block * len(panels) : (block + 1) * len(panels)]
        for column, sample in enumerate(row):
            for axis, panel in zip(tiles[:, column], panels, strict=True):
                SHOW[panel](axis, sample)
            name = names[column] if names else _words(sample.defect)
            tiles[0, column].set_title(name, fontsize=8, color=INK, pad=3)
        for axis, name in zip(tiles[:, 0], (category, *panels[1:]), strict=True):
            weight = "bold" if name == category else "normal"
            axis.set_ylabel(_words(name), fontsize=8, color=INK, fontweight=weight)
    return figure


def pairs(
    samples: Mapping[str, tuple[Sample, Sample]], columns: int = 5, size: float = 1.5
) -> Figure:
    """Name -> two scans as pictures, one above the other: above them the name, then the defect.

    `size` is the side of a tile in inches.
    """
    blocks = -(-len(samples) // columns)
    figure, axes = _blank(2 * blocks, columns, columns * size, 2 * blocks * (size + 0.2))
    for number, (name, pair) in enumerate(samples.items()):
        block, column = divmod(number, columns)
        for row, (sample, words) in enumerate(zip(pair, (name, pair[1].defect), strict=True)):
            axis = axes[2 * block + row, column]
            _show_picture(axis, sample)
            axis.set_title(_words(words), fontsize=8, color=INK, pad=3)
            axis.title.set_fontweight("normal" if row else "bold")
    return figure


def _words(name: str) -> str:
    return name.replace("_", " ")


def anomaly_overlay(
    rgb: np.ndarray, anomaly: np.ndarray, limits: tuple[float, float] | None = None
) -> np.ndarray:
    """Picture (H, W, 3) and anomaly map (H, W) -> (H, W, 3) float32 in 0..1, to `imshow`.

    The higher the score, the more of the map's colour and the less of the picture. `limits` are
    the scores of "nothing to see" and of "all colour"; None takes the map's own ends.
    Raises ValueError when the two differ in size.
    """
    if rgb.shape[:2] != anomaly.shape:
        raise ValueError(f"picture is {rgb.shape[:2]} but the anomaly map is {anomaly.shape}")
    picture = rgb.astype(np.float32) / (255.0 if rgb.dtype == np.uint8 else 1.0)
    low, high = limits or (float(anomaly.min()), float(anomaly.max()))
    share = np.clip((anomaly - low) / max(high - low, 1e-12), 0, 1)[..., None]  # (H, W, 1)
    colour = mpl.colormaps[ANOMALY](share[..., 0])[..., :3]  # (H, W, 3)
    return ((1 - 0.8 * share) * picture + 0.8 * share * colour).astype(np.float32)


def _blank(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained", dpi=100
    )
    plt.close(figure)  # shown once, as the value of the cell
    figure.patch.set_alpha(0)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=0.02, h_pad=0.02, hspace=0.01, wspace=0.01)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.patch.set_alpha(0)
        axis.spines[:].set_visible(False)
    return figure, axes


def _show_picture(axis: Axes, sample: Sample) -> None:
    if sample.colour is not None:
        axis.imshow(sample.colour)


def _show_depth(axis: Axes, sample: Sample) -> ScalarMappable | None:
    if sample.xyz is None:
        return None
    depth = np.ma.masked_where(~sample.valid, sample.xyz[..., 2] * 1000)  # (H, W) millimetres
    low, high = np.percentile(depth.compressed(), [1, 99])
    colours = mpl.colormaps[DEPTH].with_extremes(bad=EMPTY)
    return axis.imshow(depth, cmap=colours, vmin=low, vmax=high)


def _show_shape(axis: Axes, sample: Sample) -> None:
    if sample.xyz is not None:
        shade = np.ma.masked_where(~sample.valid, relief(sample))  # (H, W)
        colours = LinearSegmentedColormap.from_list("shape", SHAPE).with_extremes(bad=EMPTY)
        axis.imshow(shade, cmap=colours, vmin=0, vmax=1)


def _show_defect(axis: Axes, sample: Sample) -> None:
    """The label in one colour on the darkened picture, so that the eye finds the place."""
    if sample.colour is not None:
        axis.imshow(0.25 * sample.colour)
    if sample.mask is not None:
        colour = to_rgb(DEFECT)
        axis.imshow(np.dstack([np.broadcast_to(colour, (*sample.shape, 3)), sample.mask]))


SHOW: dict[str, Callable[[Axes, Sample], ScalarMappable | None]] = {
    "picture": _show_picture,
    "depth": _show_depth,
    "shape": _show_shape,
    "defect": _show_defect,
}
