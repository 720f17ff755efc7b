"""How an answer is judged: by what it returns, beside the right answer and the usual mistakes.

A module of `chapters` belongs to one notebook and holds EXERCISES: name -> Exercise. There is
nothing hidden in it: a reader who looks here finds a solution, as at the end of a textbook. What a
class cannot know is the teacher's seed, by which further cases are drawn.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

RIGHT = "Right."
Function = Callable[..., Any]
Cases = tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Exercise:
    """cases    the arguments of each call by which the answer is judged
    solution  the right function
    mistakes  hint -> the function that one writes by this mistake; each differs from `solution`
              in at least one case, and the hint names what went wrong
    tolerance relative; the absolute one is a hundredth of it
    drawn     number -> cases of the same kind: whoever knows `cases` by heart fails on these
    """

    cases: Cases
    solution: Function
    mistakes: Mapping[str, Function] = field(default_factory=dict)
    tolerance: float = 1e-4
    drawn: Callable[[int], Cases] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one call: a value, or an error in words; and whether it touched its arguments"""

    value: Any = None
    error: str = ""
    changed: bool = False


def check(name: str, answer: Function, seed: int | None = None) -> str:
    """ "Right.", or what is wrong with the answer to the exercise "chapter/name".

    seed  of a teacher: then the answer must also be right on cases drawn by it.
    Raises ValueError for a name that no chapter has.
    """
    exercise = find(name)
    return judge(exercise, answer, exercise.cases + hidden(name, seed))


def find(name: str) -> Exercise:
    """The exercise "chapter/name". Raises ValueError for a name that no chapter has."""
    chapter, _, short = name.partition("/")
    known = of_chapter(chapter) if chapter in chapters() else {}
    if short not in known:
        names = ", ".join(name for name, _ in exercises())
        raise ValueError(f"no exercise {name!r}; there are {names}")
    return known[short]


def hidden(name: str, seed: int | None) -> Cases:
    """The cases that a teacher's seed draws; each exercise has a stream of its own."""
    drawn = find(name).drawn
    if seed is None or drawn is None:
        return ()
    return drawn(int.from_bytes(hashlib.sha256(f"{name} {seed}".encode()).digest()[:4], "big"))


def exercises() -> Iterator[tuple[str, Exercise]]:
    """All exercises by name, "memory-that-forgets/coverage" and so on."""
    for chapter in chapters():
        for name, exercise in of_chapter(chapter).items():
            yield f"{chapter}/{name}", exercise


def chapters() -> list[str]:
    """The names of the notebooks; each has its module in `chapters`."""
    package = importlib.import_module("lsfa_book.chapters")
    return [m.name.replace("_", "-") for m in pkgutil.iter_modules(package.__path__)]


def of_chapter(chapter: str) -> dict[str, Exercise]:
    return importlib.import_module(f"lsfa_book.chapters.{chapter.replace('-', '_')}").EXERCISES


def judge(exercise: Exercise, answer: Function, cases: Cases | None = None) -> str:
    """Compare with the solution on every case; then ask which mistake explains the difference."""
    cases = exercise.cases if cases is None else cases
    return verdict(exercise, cases, ask(answer, cases))


def ask(answer: Function, cases: Cases) -> list[Outcome]:
    """What the answer does, case by case; the first that fails is the last."""
    outcomes = list[Outcome]()
    for case in cases:
        given = copy.deepcopy(case)
        try:
            value = answer(*given)
        except Exception as error:  # whatever the reader's code raises is told, not thrown
            return [*outcomes, Outcome(error=f"{type(error).__name__}: {error}")]
        kept = all(same(before, after) for before, after in zip(case, given, strict=True))
        outcomes.append(Outcome(value, changed=not kept))
        if not kept:
            break
    return outcomes


def verdict(exercise: Exercise, cases: Cases, outcomes: Sequence[Outcome]) -> str:
    """The check's words on outcomes, wherever they were made; the solution runs here."""
    wrong = ""
    for case, outcome in zip(cases, outcomes, strict=False):
        if outcome.error:
            return f"It raised {outcome.error}"
        if outcome.changed:
            return "It changes its arguments. Work on a copy."
        expected = exercise.solution(*copy.deepcopy(case))
        wrong = wrong or difference(outcome.value, expected, exercise.tolerance)
    if len(outcomes) < len(cases):
        return f"It ended in case {len(outcomes) + 1} of {len(cases)}."
    if not wrong:
        return RIGHT
    for hint, mistake in exercise.mistakes.items():
        if explained(exercise, cases, outcomes, mistake):
            return f"Not yet: {hint}"
    return f"Not yet: {wrong}"


def explained(
    exercise: Exercise, cases: Cases, outcomes: Sequence[Outcome], mistake: Function
) -> bool:
    """Is what came out what this mistake returns, in every case?"""
    return not any(
        difference(outcome.value, mistake(*copy.deepcopy(case)), exercise.tolerance)
        for case, outcome in zip(cases, outcomes, strict=True)
    )


def difference(got: Any, expected: Any, tolerance: float) -> str:
    """What is wrong in words, or "" when the two are the same within the tolerance."""
    if got is None:
        return "it returns nothing."
    got, expected = as_array(got), as_array(expected)
    if got.dtype == object or got.dtype.kind in "SU":
        return f"it returns {got.item() if got.ndim == 0 else 'a list of objects'!r}, not numbers."
    if got.shape != expected.shape:
        return f"the shape is {got.shape}, expected {expected.shape}."
    if not np.isfinite(got.astype(float)).all():
        return "there is a NaN or an infinity in it."
    if np.allclose(got.astype(float), expected.astype(float), tolerance, tolerance / 100):
        return ""
    if got.ndim == 0:
        return f"it returns {float(got):.4g}, expected {float(expected):.4g}."
    share = np.isclose(got.astype(float), expected.astype(float), tolerance, tolerance / 100).mean()
    return f"the shape is right, but only {share:.0%} of the values are."


def as_array(value: Any) -> np.ndarray:
    """Tensors, numbers, lists and tuples of numbers -> array."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, (tuple, list)) and any(isinstance(v, torch.Tensor) for v in value):
        value = [as_array(v) for v in value]
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        return np.array("a ragged list")


def same(before: Any, after: Any) -> bool:
    """Is an argument still what it was? Other things than numbers are not looked into."""
    if isinstance(before, (torch.Tensor, np.ndarray)):
        return bool(np.array_equal(as_array(before), as_array(after), equal_nan=True))
    return True
