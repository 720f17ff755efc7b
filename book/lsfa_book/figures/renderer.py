"""How an interactive figure gets into a page of the book: as data, drawn when it is seen.

The build of the book sets LSFA_BOOK; the page's script (book/static/lazyplot.js) reads what is
written here. In Jupyter and on Colab plotly's own renderers are right and stay; a few lines of
script (outside.js) give their figures the alternative text and let linked clouds turn together.
"""

from __future__ import annotations

import html
import json
import os
from importlib.resources import files
from typing import Any

import plotly.io as pio
from plotly.io._base_renderers import ExternalRenderer, MimetypeRenderer

HEIGHT = 420  # pixels, of a figure that does not say
OUTSIDE = (files(__package__) / "outside.js").read_text(encoding="utf-8")
UNSEEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"

# The plot above this script, once it is drawn: waits for 30 s.
FIND = """{
  const here = document.currentScript, words = here.previousElementSibling;
  const look = left => {
    const above = plot => here.compareDocumentPosition(plot) & Node.DOCUMENT_POSITION_PRECEDING;
    const plot = [...document.querySelectorAll(".js-plotly-plot")].filter(above).pop();
    if (plot?._fullLayout && plot.layout.meta?.alt === ALT) {
      words.remove();
      (OUTSIDE)(plot);
    } else if (left) setTimeout(look, 250, left - 1);
  };
  look(120);
}"""


class BookRenderer(MimetypeRenderer):
    """Figure -> a box with the figure's JSON and its alternative text; no script library."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        layout = fig_dict.get("layout", {})
        alt = html.escape(alt_of(fig_dict) or "Interactive figure", quote=True)
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


class Beside(ExternalRenderer):
    """Under a figure that the front end draws from its JSON (JupyterLab): its words, its link."""

    def render(self, fig_dict: dict[str, Any]) -> None:
        from IPython.display import display  # there is a notebook then; the package does without

        if alt := alt_of(fig_dict):
            display({"text/html": beside(alt)}, raw=True)


def alt_of(fig_dict: dict[str, Any]) -> str:
    return (fig_dict.get("layout", {}).get("meta") or {}).get("alt", "")


def beside(alt: str) -> str:
    """The words, unseen, until the script has found the plot above and given them to it."""
    script = FIND.replace("OUTSIDE", OUTSIDE).replace(
        "ALT", json.dumps(alt).replace("<", "\\u003c")
    )
    return f'<p style="{UNSEEN}">{html.escape(alt)}</p><script>{script}</script>'


def register() -> None:
    """The book's renderer in its build; elsewhere plotly's own, which get the script."""
    if os.environ.get("LSFA_BOOK"):
        pio.renderers["book"] = BookRenderer()
        pio.renderers.default = "book"
        return
    for _, renderer in pio.renderers.items():
        if hasattr(renderer, "post_script"):
            renderer.post_script = f'({OUTSIDE})(document.getElementById("{{plot_id}}"));'
    pio.renderers["beside"] = Beside()
    if pio.renderers.default == "plotly_mimetype" and "PLOTLY_RENDERER" not in os.environ:
        pio.renderers.default = "plotly_mimetype+beside"
