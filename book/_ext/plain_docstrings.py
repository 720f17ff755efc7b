"""API pages show a docstring as it stands in the source: its first line, the rest as it is set."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def as_it_stands(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list) -> None:
    first, rest = lines[:1], lines[1:]
    while rest and not rest[0].strip():
        rest.pop(0)
    if not any(line.strip() for line in rest):
        rest = []
    body = ["", ".. code-block:: text", "", *(f"   {line}" for line in rest), ""] if rest else [""]
    lines[:] = [line.replace("*", r"\*").replace("`", "``") for line in first] + body


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", as_it_stands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
