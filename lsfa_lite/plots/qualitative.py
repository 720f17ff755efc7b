"""Fig. 5: one part and what several detectors say about it, flat and to turn."""

from __future__ import annotations

import matplotlib as mpl
import plotly.graph_objects as go
from matplotlib.figure import Figure

from lsfa_lite.experiments.qualitative import Example
from lsfa_lite.plots.charts import panels
from lsfa_lite.plots.clouds import clouds
from lsfa_lite.plots.pictures import SHOW, anomaly_overlay
from lsfa_lite.plots.style import ANOMALY, INK

LIMITS = (0.5, 1.5)  # in thresholds of a map: half the colour is where a good part may just be


def verdicts(example: Example) -> Figure:
    """Picture, label and every detector's map on one scale, with its bar."""
    columns = 2 + len(example.maps)
    titles = ["picture", "label", *example.maps]
    figure, axes = panels(columns, width=2.2 * columns, height=2.6, titles=titles, pictures=True)
    SHOW["picture"](axes[0], example.sample)
    SHOW["defect"](axes[1], example.sample)
    for axis, values in zip(axes[2:], example.maps.values(), strict=True):
        if example.sample.colour is None:
            axis.imshow(values, cmap=ANOMALY, vmin=LIMITS[0], vmax=LIMITS[1])
        else:
            axis.imshow(anomaly_overlay(example.sample.colour, values, LIMITS))
    norm = mpl.colors.Normalize(*LIMITS)
    scale = mpl.cm.ScalarMappable(norm, mpl.colormaps[ANOMALY])
    bar = figure.colorbar(scale, ax=list(axes), fraction=0.02, pad=0.01)
    bar.set_label("score / threshold", color=INK)
    bar.ax.tick_params(colors=INK, labelsize=8)
    return figure


def turning(example: Example, points: int = 5000) -> go.Figure:
    """The detectors' maps on the part's cloud, side by side; turning one turns all."""
    names = ", ".join(example.maps)
    return clouds(
        [example.sample] * len(example.maps),
        "anomaly",
        [values.clip(*LIMITS) for values in example.maps.values()],
        points=points,
        titles=list(example.maps),
        alt=f"the same defective part as clouds under the anomaly maps of {names}",
    )
