"""The figures of the book, in one visual language (see `style`)."""

from __future__ import annotations

from lsfa_book.figures import renderer
from lsfa_book.figures.charts import colours_of, legend, panels, slider, strip
from lsfa_book.figures.clouds import cloud, clouds
from lsfa_book.figures.linked import linked_patches
from lsfa_book.figures.listing import source
from lsfa_book.figures.pictures import anomaly_overlay, contact_sheet, pairs, show_sample
from lsfa_book.figures.relief import relief
from lsfa_book.figures.style import ANOMALY, DEFECT, DEPTH, INK, MODALITY
from lsfa_book.figures.switches import switches

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
    "pairs",
    "panels",
    "relief",
    "show_sample",
    "slider",
    "source",
    "strip",
    "switches",
]
