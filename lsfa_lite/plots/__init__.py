"""The figures of the book, in one visual language (see `style`)."""

from __future__ import annotations

from lsfa_lite.plots import renderer
from lsfa_lite.plots.clouds import cloud, clouds
from lsfa_lite.plots.pictures import anomaly_overlay, contact_sheet, show_sample
from lsfa_lite.plots.relief import relief
from lsfa_lite.plots.style import ANOMALY, DEPTH, MODALITY

renderer.register()

__all__ = [
    "ANOMALY",
    "DEPTH",
    "MODALITY",
    "anomaly_overlay",
    "cloud",
    "clouds",
    "contact_sheet",
    "relief",
    "show_sample",
]
