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


def table(chapter: str, minutes: int) -> str:
    """The plan of a lesson of 45 or 90 minutes, in Markdown."""
    rows = [f"| {step[0]} | {str(step[1]).strip()} |" for step in plan(chapter)[f"plan{minutes}"]]
    return "\n".join(["| min | |", "|--:|:--|", *rows]) + "\n"
