"""What a teacher has to a chapter: points, minutes, questions. One YAML per chapter in `plans/`."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def plan(chapter: str) -> dict[str, Any]:
    """The plan of a chapter, "memory-that-forgets" and so on."""
    file = resources.files("lsfa_book.teaching") / "plans" / f"{chapter}.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def points(exercise: str) -> float:
    return float(_make(exercise)["points"])


def answer(exercise: str) -> str:
    """The name of the function that an exercise asks for."""
    return str(_make(exercise)["answer"])


def _make(exercise: str) -> dict[str, Any]:
    chapter, _, short = exercise.partition("/")
    return plan(chapter)["make"][short]


def lesson(chapter: str, folded: bool = False) -> str:
    """Both plans of a chapter, where students go wrong, questions for the board and an exam.

    folded  the answers are to be opened first, as the book's solutions
    """
    own = plan(chapter)
    lines = [own["aim"], ""]
    for minutes, title in ((45, "Forty-five minutes"), (90, "Ninety minutes")):
        rows = [f"| {step[0]} | {step[1]} |" for step in own[f"plan{minutes}"]]
        lines += [f"### {title}", "", "| min | |", "|--:|:--|", *rows, ""]
    lines += ["### Where students go wrong", "", *(f"- {m}" for m in own["mistakes"]), ""]
    lines += ["### For the board", ""]
    for item in own["board"]:
        lines += [item["q"], "", _answer(item["a"], folded), ""]
    lines += ["### For an exam", ""]
    for item in own["exam"]:
        lines += [f"({item['marks']}) {item['q']}", "", _answer(item["a"], folded), ""]
    return "\n".join(lines)


def _answer(text: str, folded: bool) -> str:
    if not folded:
        return f"> {text}"
    return f"<details>\n<summary>Answer</summary>\n\n{text}\n\n</details>"
