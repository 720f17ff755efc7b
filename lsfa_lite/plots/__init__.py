"""The figures of the book, in one visual language (see `style`)."""

from __future__ import annotations

from lsfa_lite.plots import renderer
from lsfa_lite.plots.charts import colours_of, legend, panels, slider, strip
from lsfa_lite.plots.clouds import cloud, clouds
from lsfa_lite.plots.linked import linked_patches
from lsfa_lite.plots.listing import source
from lsfa_lite.plots.pictures import anomaly_overlay, contact_sheet, show_sample
from lsfa_lite.plots.relief import relief
from lsfa_lite.plots.style import ANOMALY, DEFECT, DEPTH, INK, MODALITY

renderer.register()

__all__ = [
    "ANOMALY",
    "DEFECT",
    "DEPTH",
    "INK",
    "MODALITY",
    "anomaly_overlay",
    "cloud",
    "clouds",
    "colours_of",
    "contact_sheet",
    "legend",
    "linked_patches",
    "panels",
    "relief",
    "show_sample",
    "slider",
    "source",
    "strip",
]
