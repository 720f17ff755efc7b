"""The directive `interactive`: a plotly figure from a JSON file of the book, in a page of text."""

from __future__ import annotations

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lsfa_book.figures.renderer import BookRenderer


class Interactive(SphinxDirective):
    """`{interactive} static/figure.json`, relative to the book; its alt text is in the file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / self.arguments[0]
        self.env.note_dependency(str(path))
        figure = json.loads(path.read_text(encoding="utf-8"))
        box = BookRenderer().to_mimebundle(figure)["text/html"]
        return [nodes.raw("", box, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("interactive", Interactive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
