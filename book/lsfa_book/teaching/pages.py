"""Pages of the book for teachers that are made, not written: exercises by number, lessons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lsfa_book.checking import chapters
from lsfa_book.teaching import notebook, plans
from lsfa_book.teaching.notebook import FOLDED, source

HEADING = re.compile(r"^### (Predict|Make|Argue)\b:?[ \t]*(.*)$\n+(.+(?:\n.+)*)", re.MULTILINE)
MADE = "<!-- made by book/scripts/write_teaching.py -->"


@dataclass(frozen=True)
class Numbered:
    """An exercise of the book: "6.3", Predict, Make or Argue, and what it is about"""

    number: str
    kind: str
    title: str
    check: str = ""


def in_order(book: Path) -> list[str]:
    """The chapters as the table of contents has them; the tour before them has no exercises."""
    contents = (book / "_toc.yml").read_text(encoding="utf-8")
    files = re.findall(r"- file: ([\w-]+)", contents)
    known = set(chapters())
    return [name for name in files if name in known and (book / f"{name}.ipynb").is_file()]


def title(book: Path, chapter: str) -> str:
    text = source(notebook.read(book / f"{chapter}.ipynb")["cells"][0])
    return text.splitlines()[0].removeprefix("# ")


def numbered(book: Path, chapter: str, place: int) -> Iterator[Numbered]:
    """The exercises of a chapter in the order in which they stand there."""
    cells = notebook.read(book / f"{chapter}.ipynb")["cells"]
    checks = [a.name for c in cells if c["cell_type"] == "code" for a in notebook.asks(source(c))]
    texts = [FOLDED.sub("", source(c)) for c in cells if c["cell_type"] == "markdown"]
    start = next(
        i for i, text in enumerate(texts) if re.search(r"^## Exercises", text, re.MULTILINE)
    )
    found = [match for text in texts[start:] for match in HEADING.findall(text)]
    made = iter(checks)
    for count, (kind, name, words) in enumerate(found, start=1):
        check = next(made, "") if kind == "Make" else ""
        name = name.strip(" ,").removeprefix("again") or _first(words)
        yield Numbered(f"{place}.{count}", kind, name[:1].upper() + name[1:], check)


def exercises_page(book: Path) -> str:
    lines = ["# All exercises", "", MADE, ""]
    lines += ["*Predict* before you run, *Make* a function that is checked, *Argue* in words.", ""]
    lines += ["Points are those of `lsfa-lite grade`; the others are marked by hand.", ""]
    for place, chapter in enumerate(in_order(book), start=1):
        lines += [
            f"## {place}. {title(book, chapter)}",
            "",
            f"{{doc}}`To the chapter <{chapter}>`",
            "",
        ]
        lines += ["| | | | points |", "|:--|:--|:--|--:|"]
        for one in numbered(book, chapter, place):
            points = f"{plans.points(one.check):g}" if one.check else ""
            check = f" `{one.check.partition('/')[2]}`" if one.check else ""
            lines.append(f"| {one.number} | {one.kind} | {one.title}{check} | {points} |")
        lines.append("")
    return "\n".join(lines)


def lessons_page(book: Path) -> str:
    lines = ["# Lessons, chapter by chapter", "", MADE, ""]
    lines += [
        "Plans for 45 and 90 minutes, where students go wrong, questions for board and exam.",
        "Whoever takes them for a real exam changes the numbers: your students can read, too.",
        "",
    ]
    for place, chapter in enumerate(in_order(book), start=1):
        lines += [f"## {place}. {title(book, chapter)}", "", plans.lesson(chapter, folded=True)]
    return "\n".join(lines)


PAGES = {"exercises": exercises_page, "lessons": lessons_page}


def _first(words: str) -> str:
    """At most fourteen words, in one line, without what a cell of a table cannot hold."""
    line = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(words.split())).replace("|", "\\|")
    few = line.split()
    return line if len(few) <= 14 else _closed(" ".join(few[:14])).rstrip(",;:.") + " ..."


def _closed(text: str) -> str:
    """Cut before a formula, or a piece of code, that does not end."""
    for mark in "`$":
        if text.count(mark) % 2:
            text = text[: text.rindex(mark)].rstrip()
    return text
