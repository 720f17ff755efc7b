"""One source, three editions of a chapter: to read, to be filled in, and to teach from."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lsfa_book.checking import chapters, find
from lsfa_book.teaching import notebook, plans
from lsfa_book.teaching.notebook import FOLDED, Cell, markdown, source
from lsfa_lite.errors import LSFAError

Notebook = dict[str, Any]
BLANK = "*Your answer:*\n"


def write_editions(book: Path, out: Path, names: list[str]) -> list[Path]:
    """OUT/EDITION/CHAPTER.ipynb for each edition that is named; returns the files."""
    written = []
    for chapter in sources(book):
        whole = notebook.read(book / f"{chapter}.ipynb")
        for name in names:
            path = out / name / f"{chapter}.ipynb"
            notebook.write(path, EDITIONS[name](copy.deepcopy(whole), chapter))
            written.append(path)
    return written


def sources(book: Path) -> list[str]:
    """The chapters whose notebooks lie in a folder. Raises ValueError if there is none."""
    found = [name for name in chapters() if (book / f"{name}.ipynb").is_file()]
    if not found:
        raise LSFAError(
            f"{book}: no chapter of the book is here, such as {chapters()[0]}.ipynb; "
            "give the folder `book` of the repository with --book"
        )
    return found


def reading(whole: Notebook, chapter: str) -> Notebook:
    return whole


def student(whole: Notebook, chapter: str) -> Notebook:
    """Folded solutions become room for an answer; outputs go; nbgrader knows what to collect."""
    whole["cells"] = [part for cell in whole["cells"] for part in _blanked(cell, chapter)]
    seen = dict[str, int]()
    for cell in whole["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
            for ask in notebook.asks(source(cell)):
                cell["metadata"]["nbgrader"] = _collected(
                    ask.name.replace("/", "-"), "code", plans.points(ask.name)
                )
        elif source(cell) == BLANK:
            seen[chapter] = seen.get(chapter, 0) + 1
            name = f"{chapter}-answer-{seen[chapter]}"
            cell["metadata"]["nbgrader"] = _collected(name, "markdown", 2.0)
    return _numbered(whole)


def _blanked(cell: Cell, chapter: str) -> Iterator[Cell]:
    """A cell without its folds: below a question in words stands a cell to answer in."""
    text = source(cell)
    if cell["cell_type"] != "markdown" or not FOLDED.search(text):
        yield cell
        return
    rest = 0
    for fold in FOLDED.finditer(text):
        before = text[rest : fold.start()]
        if before.strip():
            yield markdown(before.rstrip() + "\n")
        if "```python" not in fold[0]:  # code is answered in the cell above
            yield markdown(BLANK)
        rest = fold.end()
    if text[rest:].strip():
        yield markdown(text[rest:])


def instructor(whole: Notebook, chapter: str) -> Notebook:
    """Solutions open, usual mistakes and points below each *Make*, the plan of the hour on top."""
    plan, cells = plans.plan(chapter), list[Cell]()
    for cell in whole["cells"]:
        if cell["cell_type"] == "markdown":
            text = source(cell).replace("<details>", "<details open>")
            for heading, words in plan.get("talking", {}).items():
                text = _below(text, heading, f"> **Say.** {words.strip()}")
            cell["source"] = text.splitlines(keepends=True)
        cells.append(cell)
        if cell["cell_type"] == "code":
            for ask in notebook.asks(source(cell)):
                cells.append(markdown(mistakes(ask.name)))
    whole["cells"] = [cells[0], markdown(front(chapter)), *cells[1:]]
    return _numbered(whole)


def front(chapter: str) -> str:
    """The teacher's page of a chapter, in Markdown."""
    return f"## For whoever teaches this chapter\n\n{plans.lesson(chapter)}"


def mistakes(exercise: str) -> str:
    """What the check calls by name, for the teacher's eyes."""
    points = plans.points(exercise)
    lines = [f"> **{points:g} points.** The check knows these mistakes by what they return:\n>"]
    lines += [f"> - {hint}" for hint in find(exercise).mistakes]
    return "\n".join(lines) + "\n"


def _below(text: str, heading: str, words: str) -> str:
    """Words under the line of a heading, where it is."""
    place = re.search(rf"^#+ {re.escape(heading)}[ \t]*$", text, re.MULTILINE)
    return text if place is None else f"{text[: place.end()]}\n\n{words}\n{text[place.end() :]}"


def _collected(name: str, kind: str, points: float) -> dict[str, Any]:
    """As nbgrader marks a cell that is answered by hand or by code, and is graded."""
    return {
        **{"grade": True, "solution": True, "locked": False, "task": False},
        **{"grade_id": name, "points": points, "schema_version": 3, "cell_type": kind},
    }


def _numbered(whole: Notebook) -> Notebook:
    for number, cell in enumerate(whole["cells"]):
        cell["id"] = f"cell-{number:02d}"
    return whole


EDITIONS: dict[str, Callable[[Notebook, str], Notebook]] = {
    "reading": reading,
    "student": student,
    "instructor": instructor,
}
