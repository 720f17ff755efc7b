"""A student's notebook -> marks, on the chapter's cases and on those of the teacher's seed.

The notebook's own `check` is never asked: its code runs within walls (`sandbox`), its answers are
called there, and what they return is judged here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from lsfa_book import chapters as rooms
from lsfa_book.checking import RIGHT, Cases, Outcome, chapters, find, hidden, of_chapter, verdict
from lsfa_book.teaching import needed, notebook, plans, sandbox
from lsfa_book.teaching.needed import Step
from lsfa_book.teaching.notebook import Ask
from lsfa_book.teaching.sandbox import Limits

LOOKS_UP = re.compile(
    r"\bEXERCISES\b|\bof_chapter\b|\.solution\b|\blsfa_book\.checking\b.*\bfind\b"
)


@dataclass(frozen=True)
class Mark:
    """One exercise: the check's words, and the points of it"""

    exercise: str
    words: str
    score: float
    max_score: float


@dataclass(frozen=True)
class Marked:
    """One notebook. incidents: what its code tried or ran into; walls: what held it"""

    path: str
    assignment: str
    student_id: str
    timestamp: str
    marks: list[Mark] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    walls: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def score(self) -> float:
        return sum(mark.score for mark in self.marks)

    @property
    def max_score(self) -> float:
        return sum(mark.max_score for mark in self.marks)


def grade(path: Path, seed: int | None, limits: Limits, whole: bool = False) -> Marked:
    """Marks of one notebook. One that cannot be read gets a row that says so, and no marks.

    whole  run every cell, not only what the exercises need
    """
    try:
        cells = notebook.read(path)["cells"]
    except ValueError as error:
        return Marked(str(path), "", path.stem, _when(path), incidents=[f"unreadable: {error}"])
    code = [notebook.source(cell) for cell in cells if cell["cell_type"] == "code"]
    found = {ask.name for text in code for ask in notebook.asks(text)}
    about = _about(found, path)
    if not about:
        wrong = "no exercise of the book is in it"
        return Marked(str(path), "", path.stem, _when(path), incidents=[f"unreadable: {wrong}"])
    names = [f"{chapter}/{short}" for chapter in about for short in of_chapter(chapter)]
    lost = [Ask(name, plans.answer(name)) for name in names if name not in found]
    steps = needed.steps(cells, whole, [ask.answer for ask in lost])
    steps.append(Step(0, "pass", lost))  # without their checks: asked after the last cell
    cases = {name: find(name).cases + hidden(name, seed) for name in names}
    if not whole:  # an answer has no need to look at the solutions
        limits = replace(limits, hidden=tuple(rooms.__path__))
    ran = sandbox.run(steps, cases, limits)
    marks = [_mark(name, cases[name], ran.outcomes.get(name, []), ran.errors) for name in names]
    looked = sorted({m for step in steps for m in LOOKS_UP.findall(step.code)})
    incidents = [*ran.incidents, *(f"looks up solutions: {word}" for word in looked)]
    return Marked(
        str(path),
        "+".join(about),
        whose(path, about[0]),
        _when(path),
        marks,
        list(dict.fromkeys(incidents)),
        ran.errors,
        ran.walls,
        round(ran.seconds, 2),
    )


def _about(found: Iterable[str], path: Path) -> list[str]:
    """The chapters whose exercises are in a notebook; else the one that its path names."""
    known = chapters()
    asked = {name.partition("/")[0] for name in found}
    return [c for c in known if c in asked] or [c for c in known if c in str(path)][:1]


def _mark(name: str, cases: Cases, outcomes: list[Outcome], errors: list[tuple[int, str]]) -> Mark:
    exercise, points = find(name), plans.points(name)
    printed = len(exercise.cases)
    try:
        words = verdict(exercise, cases, outcomes)
    except Exception as error:  # a value that nobody thought of must not stop the class
        words = f"Not yet: it returns what cannot be compared ({type(error).__name__})."
    if not outcomes:
        words = "No answer: the notebook ended before, or has none."
    elif words != RIGHT and verdict(exercise, exercise.cases, outcomes[:printed]) == RIGHT:
        words += " (Right on the printed cases, not on the hidden ones.)"
    elif "is not defined" in outcomes[0].error and errors:
        words += f" (Cell {errors[0][0]}: {errors[0][1]})"
    return Mark(name, sandbox.printable(words, 600), points if words == RIGHT else 0.0, points)


def whose(path: Path, chapter: str) -> str:
    """nbgrader's submitted/STUDENT/ASSIGNMENT/x.ipynb, or the file's name without the chapter."""
    own = path.stem.replace(chapter, "").strip(" -_.()")
    if own:
        return own
    folder = path.resolve().parent
    return folder.parent.name if folder.name == chapter else folder.name


def _when(path: Path) -> str:
    """Of nbgrader's timestamp.txt beside the notebook, else of the file; UTC."""
    try:
        beside = path.with_name("timestamp.txt")
        if beside.is_file():
            return beside.read_text()[:40].strip()
        return str(datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).replace(tzinfo=None))
    except (OSError, UnicodeDecodeError):
        return ""
