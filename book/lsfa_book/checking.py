"""How an answer is judged: by what it returns, beside the right answer and the usual mistakes.

A module of `chapters` belongs to one notebook and holds EXERCISES: name -> Exercise. There is
nothing hidden in it: a reader who looks here finds a solution, as at the end of a textbook.
"""

from __future__ import annotations

import copy
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

RIGHT = "Right."
Function = Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """cases    the arguments of each call by which the answer is judged
    solution  the right function
    mistakes  hint -> the function that one writes by this mistake; each differs from `solution`
              in at least one case, and the hint names what went wrong
    tolerance relative; the absolute one is a hundredth of it
    """

    cases: tuple[tuple[Any, ...], ...]
    solution: Function
    mistakes: Mapping[str, Function] = field(default_factory=dict)
    tolerance: float = 1e-4


def check(name: str, answer: Function) -> str:
    """ "Right.", or what is wrong with the answer to the exercise "chapter/name".

    Raises ValueError for a name that no chapter has.
    """
    chapter, _, short = name.partition("/")
    known = of_chapter(chapter) if chapter in chapters() else {}
    if short not in known:
        names = ", ".join(name for name, _ in exercises())
        raise ValueError(f"no exercise {name!r}; there are {names}")
    return judge(known[short], answer)


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


def judge(exercise: Exercise, answer: Function) -> str:
    """Compare with the solution on every case; then ask which mistake explains the difference."""
    wrong = ""
    for case in exercise.cases:
        expected = exercise.solution(*copy.deepcopy(case))
        given = copy.deepcopy(case)
        try:
            got = answer(*given)
        except Exception as error:  # whatever the reader's code raises is told, not thrown
            return f"It raised {type(error).__name__}: {error}"
        if not all(same(before, after) for before, after in zip(case, given, strict=True)):
            return "It changes its arguments. Work on a copy."
        wrong = wrong or difference(got, expected, exercise.tolerance)
    if not wrong:
        return RIGHT
    for hint, mistake in exercise.mistakes.items():
        if agrees(exercise, answer, mistake):
            return f"Not yet: {hint}"
    return f"Not yet: {wrong}"


def agrees(exercise: Exercise, answer: Function, mistake: Function) -> bool:
    """Does the answer return what this mistake returns, in every case?"""
    return not any(
        difference(answer(*copy.deepcopy(case)), mistake(*copy.deepcopy(case)), exercise.tolerance)
        for case in exercise.cases
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
