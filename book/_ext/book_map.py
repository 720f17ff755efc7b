"""The directive `book-map`: which chapter needs which, drawn from map.yml beside the contents.

Chapters stand below one another in the order of _toc.yml; a line leads to each from those that it
needs. Every name is a link, and the same is said in words below, folded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROW, LEFT, WIDTH = 26, 92, 400  # pixels: a line of the list, where names start, the whole


class Chapter(NamedTuple):
    number: int
    name: str  # of its file
    title: str
    part: str
    needs: list[str]


def chapters(book: Path) -> list[Chapter]:
    """The numbered chapters of _toc.yml with what map.yml says of them, in order.

    Raises ValueError for a chapter that map.yml leaves out, one too many, or a need of a later one.
    """
    needs = yaml.safe_load((book / "map.yml").read_text(encoding="utf-8"))
    toc = yaml.safe_load((book / "_toc.yml").read_text(encoding="utf-8"))
    parts = [part for part in toc["parts"] if part.get("numbered")]
    order = [(entry["file"], part["caption"]) for part in parts for entry in part["chapters"]]
    names = [name for name, _ in order]
    if set(names) != set(needs):
        wrong = ", ".join(sorted(set(names) ^ set(needs)))
        raise ValueError(f"map.yml and the numbered parts of _toc.yml differ in {wrong}")
    for place, name in enumerate(names):
        for need in needs[name]:
            if need not in names[:place]:
                raise ValueError(f"map.yml: {name} needs {need}, which does not come before it")
    return [
        Chapter(number, name, title(book / f"{name}.ipynb"), part, needs[name])
        for number, (name, part) in enumerate(order, 1)
    ]


def title(notebook: Path) -> str:
    first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).split("\n")[0].removeprefix("# ")


def drawing(listed: list[Chapter]) -> str:
    """SVG; an arc leaves the circle of a chapter and comes in at that of one that needs it."""
    rows = dict(heights(listed))
    number = {chapter.name: chapter.number for chapter in listed}
    lines, last = [], ""
    for chapter in listed:
        y = rows[chapter.name]
        if chapter.part != last:
            last = chapter.part
            lines.append(
                f'<text class="part" x="{LEFT - 22}" y="{y - ROW + 5}">{escape(last)}</text>'
            )
        arcs = "".join(arc(rows[need], y) for need in chapter.needs)
        told = ", ".join(str(number[need]) for need in chapter.needs) or "no other chapter"
        lines.append(
            f'<g>{arcs}<a href="{chapter.name}.html" '
            f'aria-label="{chapter.number} {escape(chapter.title)}; needs {told}">'
            f'<circle cx="{LEFT - 15}" cy="{y}" r="5"/>'
            f'<text x="{LEFT}" y="{y + 5}">{chapter.number} {escape(chapter.title)}</text></a></g>'
        )
    height = max(rows.values()) + ROW // 2
    return (
        f'<svg class="book-map" viewBox="0 0 {WIDTH} {height}" role="group" '
        f'aria-label="Map of the book: which chapter needs which">{"".join(lines)}</svg>'
    )


def heights(listed: list[Chapter]) -> Iterator[tuple[str, int]]:
    """Name and height of each chapter's line; a part's caption takes a line of its own."""
    y, last = 0, ""
    for chapter in listed:
        y += ROW * (1 + (chapter.part != last))
        last = chapter.part
        yield chapter.name, y


def arc(start: int, end: int) -> str:
    """The farther apart two chapters are, the farther to the left it swings."""
    x = LEFT - 20
    bow = x - min(14 + (end - start) // 5, x - 4) * 4 // 3
    return f'<path d="M{x} {start}C{bow} {start} {bow} {end} {x} {end}"/>'


def words(listed: list[Chapter]) -> str:
    link = {c.name: f'<a href="{c.name}.html">{c.number} {escape(c.title)}</a>' for c in listed}
    needs = {c.name: ", ".join(link[n] for n in c.needs) or "no other chapter" for c in listed}
    items = "".join(f"<li>{link[c.name]} needs {needs[c.name]}.</li>" for c in listed)
    return f"<details><summary>The map in words</summary><ul>{items}</ul></details>"


class BookMap(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        book = Path(self.env.srcdir)
        listed = chapters(book)
        for name in ("map.yml", "_toc.yml", *(f"{chapter.name}.ipynb" for chapter in listed)):
            self.env.note_dependency(str(book / name))
        return [nodes.raw("", drawing(listed) + words(listed), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("book-map", BookMap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
