"""How an interactive figure gets into a page of the book: as data, drawn when it is seen.

In Jupyter and Colab plotly's own renderer is right and is left alone; the build of the book sets
LSFA_BOOK. The page's script (book/static/lazyplot.js) reads what is written here.
"""

from __future__ import annotations

import html
import os
from typing import Any

import plotly.io as pio
from plotly.io._base_renderers import MimetypeRenderer

HEIGHT = 420  # pixels, of a figure that does not say


class BookRenderer(MimetypeRenderer):
    """Figure -> a box with the figure's JSON and its alternative text; no script library."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        layout = fig_dict.get("layout", {})
        alt = html.escape((layout.get("meta") or {}).get("alt", "Interactive figure"), quote=True)
        height = layout.get("height", HEIGHT)
        figure = pio.to_json(fig_dict, validate=False).replace("</", "<\\/")
        return {
            "text/html": (
                f'<div class="lazyplot" role="figure" aria-label="{alt}">'
                f'<div class="lazyplot-canvas" style="min-height:{height}px"></div>'
                f'<script type="application/json">{figure}</script>'
                f"<noscript>{alt}</noscript></div>"
            )
        }


def register() -> None:
    """Make the book's renderer the default one, in the book's build only."""
    if os.environ.get("LSFA_BOOK"):
        pio.renderers["book"] = BookRenderer()
        pio.renderers.default = "book"
