"""A chapter as slides: its questions, formulas, pictures and take-aways; the talk is the teacher's.

What follows a picture in the chapter goes into the speaker's notes (key S).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lsfa_book.teaching.notebook import FOLDED, Cell, source

PLOTLY = "application/vnd.plotly.v1+json"
PICTURE = "image/png"
LINES, COLUMNS = 16, 84  # of what a cell printed, to be read from the last row
WORDS = 75  # on a slide of text
BULLETS = 4
GUESS = re.compile(r"^\*\*Your guess first[.:]?\*\*:?\s*(.+(?:\n.+)*)", re.MULTILINE)
FORMULA = re.compile(r"^\$\$\n?(.*?)\$\$ *(\([\w-]+\))?", re.MULTILINE | re.DOTALL)
TAKEAWAY = re.compile(
    r"^## What you take away\s*\n(.*?)(?=\n\n(?!- )|\Z)", re.MULTILINE | re.DOTALL
)
EXERCISE = re.compile(
    r"^### ((?:Predict|Make|Argue)[^\n]*)\n(.*?)(?=\n#|\Z)", re.MULTILINE | re.DOTALL
)
AIM = re.compile(r"^\*\*You will\*\*\s*(.+(?:\n.+)*)", re.MULTILINE)


@dataclass(frozen=True)
class Slide:
    """kind: title, section, guess, formula, figure, picture, printed, exercise or takeaway.
    body: Markdown; of a figure its JSON, of a picture base64, of what was printed the text"""

    kind: str
    title: str
    body: Any = ""
    notes: str = ""


def deck(cells: list[Cell]) -> list[Slide]:
    """In the chapter's order; a section is left out if nothing of it is shown."""
    slides, heading = list[Slide](), ""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text = FOLDED.sub("", source(cell))
            slides = _noted(slides, text)
            for part in re.split(r"(?=^##? )", text, flags=re.MULTILINE):
                heading = _heading(part) or heading
                slides += _of_text(part, heading)
        else:
            slides += _of_code(cell, heading)
    return _without_empty_sections(slides)


def _of_text(part: str, heading: str) -> Iterator[Slide]:
    if part.startswith("# "):
        aim = AIM.search(part)
        yield Slide("title", heading, _short(aim[1]) if aim else "")
    elif "What you take away" in heading and (found := TAKEAWAY.search(part)):
        yield from _takeaways(found[1])
        return
    elif heading == "Exercises":
        for title, words in EXERCISE.findall(part):
            yield Slide("exercise", title, _short(words))
        return
    elif part.startswith("## "):
        yield Slide("section", heading)
    places = [(m.start(), Slide("guess", heading, _short(m[1]))) for m in GUESS.finditer(part)]
    places += [(m.start(), Slide("formula", heading, m[0])) for m in FORMULA.finditer(part)]
    yield from (slide for _, slide in sorted(places, key=lambda place: place[0]))


def _of_code(cell: Cell, heading: str) -> Iterator[Slide]:
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if PLOTLY in data:
            yield Slide("figure", heading, data[PLOTLY])
        elif PICTURE in data:
            yield Slide("picture", heading, "".join(data[PICTURE]).strip())
        elif output["output_type"] == "stream" and heading:
            text = "".join(output["text"]).rstrip()
            lines = text.splitlines()
            if 1 < len(lines) <= LINES and max(map(len, lines)) <= COLUMNS:
                yield Slide("printed", heading, text)


def _takeaways(text: str) -> Iterator[Slide]:
    bullets = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    page = list[str]()
    for bullet in bullets:
        words = sum(len(line.split()) for line in [*page, bullet])
        if page and (len(page) == BULLETS or words > 1.6 * WORDS):
            yield Slide("takeaway", "What you take away", "".join(page))
            page = []
        page.append("- " + " ".join(bullet.split()) + "\n")
    if page:
        yield Slide("takeaway", "What you take away", "".join(page))


def _noted(slides: list[Slide], text: str) -> list[Slide]:
    """The first paragraph after a picture says what is seen: to be spoken, not read."""
    shown = ("figure", "picture", "printed")
    first = text.split("\n\n")[0]
    if slides and slides[-1].kind in shown and not first.startswith(("#", "**Your guess")):
        return [*slides[:-1], replace(slides[-1], notes=first)]
    return slides


def _short(text: str) -> str:
    """Whole sentences up to WORDS words; of a paragraph with a list, the list stays a list."""
    kept, count = list[str](), 0
    for paragraph in re.split(r"\n\n+", text.strip()):
        if paragraph.startswith(("|", "```", "![")):
            break
        for sentence in re.split(r"(?<=[.?!:])\s+(?=[A-Z*`$\[(\"])", " ".join(paragraph.split())):
            count += len(sentence.split())
            if kept and count > WORDS:
                return " ".join(kept).rstrip() + " ..."
            kept.append(sentence)
        kept.append("\n\n")
    return " ".join(kept).strip()


def _heading(part: str) -> str:
    found = re.match(r"##? (.+)", part)
    return found[1].strip() if found else ""


def _without_empty_sections(slides: list[Slide]) -> list[Slide]:
    after = [*slides[1:], Slide("section", "")]
    return [s for s, n in zip(slides, after, strict=True) if (s.kind, n.kind) != ("section",) * 2]
