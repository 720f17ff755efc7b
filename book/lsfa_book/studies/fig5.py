"""Fig. 5 of the paper: one defective part of each kind, its mask, and what each detector says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import torch
from matplotlib.figure import Figure

from lsfa_book.figures.charts import panels
from lsfa_book.figures.clouds import clouds
from lsfa_book.figures.pictures import SHOW, anomaly_overlay
from lsfa_book.figures.style import ANOMALY, INK
from lsfa_book.studies.tables import THREE
from lsfa_lite.config import Config
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector


class Splits(Protocol):
    """A category: `data.mvtec3d.MVTec3D` or `experiments.workshop.Workshop`."""

    @property
    def train(self) -> Sequence[Sample]: ...

    @property
    def validation(self) -> Sequence[Sample]: ...

    @property
    def test(self) -> Sequence[Sample]: ...


@dataclass(frozen=True)
class Example:
    """sample; maps: detector's name -> (H, W) anomaly map in units of its threshold (1 is called
    anomalous), so that detectors with different scales share one colour bar.
    """

    sample: Sample
    maps: dict[str, np.ndarray]


def compare(
    preset: Config, data: Splits, device: str | torch.device = "cpu"
) -> Iterator[tuple[str, Example]]:
    """(defect, example) of each kind of defect: the middle part of its folder, not a picked one."""
    detectors = {}
    for row in THREE:
        config = preset.change(**row.changes)
        detectors[row.name] = LSFADetector(config, device).fit(data.train, data.validation)
    kinds: dict[str, list[Sample]] = {}
    for sample in data.test:
        if sample.label == 1:
            kinds.setdefault(sample.defect, []).append(sample)
    for defect, samples in kinds.items():
        sample = samples[len(samples) // 2]
        maps = {}
        for name, detector in detectors.items():
            scored = detector.score([sample])[0]
            maps[name] = scored.anomaly_map / scored.map_threshold
        yield defect, Example(sample, maps)


# --- drawn ------------------------------------------------------------------------------

LIMITS = (0.5, 1.5)  # in thresholds of a map: half the colour is where a good part may just be
UNIT = "score / threshold"


def verdicts(*examples: Example, size: float = 2.2) -> Figure:
    """Picture, label and every detector's map on one scale, with its bar; one row per example.

    size    the side of a picture, inches.
    """
    names = list(examples[0].maps)
    rows, columns = len(examples), 2 + len(names)
    titles, height = ["picture", "label", *names], (size - 0.2) * rows + 0.6
    figure, axes = panels(columns, rows, size * columns, height, titles, pictures=True)
    for row, example in zip(axes.reshape(rows, columns), examples, strict=True):
        SHOW["picture"](row[0], example.sample)
        SHOW["defect"](row[1], example.sample)
        for axis, values in zip(row[2:], example.maps.values(), strict=True):
            if example.sample.colour is None:
                axis.imshow(values, cmap=ANOMALY, vmin=LIMITS[0], vmax=LIMITS[1])
            else:
                axis.imshow(anomaly_overlay(example.sample.colour, values, LIMITS))
        if rows > 1:
            row[0].set_ylabel(example.sample.defect.replace("_", " "))
    norm = mpl.colors.Normalize(*LIMITS)
    scale = mpl.cm.ScalarMappable(norm, mpl.colormaps[ANOMALY])
    bar = figure.colorbar(scale, ax=list(axes), fraction=0.02, pad=0.01)
    bar.set_label(UNIT, color=INK)
    bar.ax.tick_params(colors=INK, labelsize=8)
    return figure


def turning(example: Example, points: int = 5000) -> go.Figure:
    """The detectors' maps on the part's cloud, side by side; turning one turns all."""
    names = ", ".join(example.maps)
    figure = clouds(
        [example.sample] * len(example.maps),
        "anomaly",
        [values.clip(*LIMITS) for values in example.maps.values()],
        points=points,
        titles=[name.replace(" ", "<br>") for name in example.maps],
        alt=f"the same defective part as clouds under the anomaly maps of {names}",
    )
    figure.data[-1].marker.colorbar.title.text = UNIT
    figure.layout.margin.t = 48  # a title of two words takes two lines, for narrow screens
    eye = figure.layout.scene.camera.eye
    figure.update_scenes(camera_eye={"x": 0, "y": 1.25 * eye.y, "z": 1.25 * eye.z})
    return figure
