"""Every exercise tells its solution from the usual mistakes, and the chapters use it rightly."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
import torch
from conftest import ROOT

from lsfa_book.checking import RIGHT, Exercise, ask, check, exercises, hidden, judge, verdict

BOOK = ROOT / "book"
EXERCISES = dict(exercises())
DOUBLE = Exercise(
    cases=((torch.tensor([1.0, 2.0]),), (torch.tensor([-3.0, 0.5]),)),
    solution=lambda x: 2 * x,
    mistakes={"this squares.": lambda x: x * x},
)


@pytest.mark.parametrize("name", EXERCISES)
def test_solution_is_right_and_each_mistake_gets_its_hint(name):
    exercise = EXERCISES[name]
    assert judge(exercise, exercise.solution) == RIGHT
    assert exercise.mistakes, "say at least one usual mistake by name"
    for hint, mistake in exercise.mistakes.items():
        assert judge(exercise, mistake) == f"Not yet: {hint}"


@pytest.mark.parametrize("name", EXERCISES)
def test_nothing_returned_is_not_right(name):
    assert judge(EXERCISES[name], lambda *_: None) == "Not yet: it returns nothing."


def blanks():
    """(notebook, name of the exercise, stub, solution in the folded text below it)."""
    for path in sorted(BOOK.glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        for number, cell in enumerate(cells):
            code = "".join(cell["source"])
            for name in re.findall(r'^(?:print\()?check\("([\w/-]+)"', code, re.MULTILINE):
                below = "".join("".join(c["source"]) for c in cells[number + 1 : number + 2])
                yield pytest.param(code, below, id=f"{path.stem}:{name}")


@pytest.mark.parametrize(("code", "below"), blanks())
def test_blank_fails_and_folded_solution_passes(code, below):
    """The stub as it stands in the chapter, then the code of the solution folded under it."""
    name, function = re.search(r'check\("([\w/-]+)", (\w+)\)', code).groups()
    stub = re.sub(r"^(print\()?check\(.*$", "", code, flags=re.MULTILINE)
    assert check(name, defined(stub, function)).startswith("Not yet")
    folded = re.search(r"<details>.*?```python\n(.*?)```.*?</details>", below, re.DOTALL)
    assert folded, "the solution stands folded in the cell below"
    assert check(name, defined(folded[1], function)) == RIGHT


def defined(code: str, function: str):
    """Run code with what every chapter has imported by then."""
    names = {"np": np, "torch": torch, "F": torch.nn.functional}
    exec(code, names)
    return names[function]


def test_every_exercise_stands_in_a_chapter():
    text = "".join(path.read_text() for path in BOOK.glob("*.ipynb"))
    assert [name for name in EXERCISES if f'check(\\"{name}\\"' not in text] == []


def change(x):
    x += 1
    return x


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (lambda x: x + x, RIGHT),
        (lambda x: (2 * x).tolist(), RIGHT),
        (lambda x: x * x, "Not yet: this squares."),
        (lambda x: x[:1], "Not yet: the shape is (1,), expected (2,)."),
        (lambda x: x / 0, "Not yet: there is a NaN or an infinity in it."),
        (lambda x: "2x", "Not yet: it returns '2x', not numbers."),
        (lambda x: torch.stack([2 * x[0], x[1]]), "Not yet: the shape is right, but only 50% "),
        (lambda x: x.missing, "It raised AttributeError: 'Tensor' object has no attribute"),
        (lambda: 0, "It raised TypeError"),
        (change, "It changes its arguments. Work on a copy."),
    ],
)
def test_verdict_says_what_is_wrong(answer, verdict):
    assert judge(DOUBLE, answer).startswith(verdict)


def test_unknown_exercise_names_those_there_are():
    with pytest.raises(ValueError, match="parts-you-can-turn-around/pitch"):
        check("parts-you-can-turn-around/none", lambda: 0)


@pytest.mark.parametrize("name", EXERCISES)
def test_whoever_knows_the_printed_cases_by_heart_fails_on_a_seed(name):
    exercise, seed = EXERCISES[name], 1
    cases = hidden(name, seed)
    memory = iter([exercise.solution(*copy.deepcopy(case)) for case in exercise.cases])
    assert check(name, exercise.solution, seed) == RIGHT
    assert check(name, lambda *_: next(memory, 0), seed) != RIGHT
    for hint, mistake in exercise.mistakes.items():
        assert check(name, mistake, seed) == f"Not yet: {hint}"
    seen = [judge(exercise, mistake, cases) != RIGHT for mistake in exercise.mistakes.values()]
    assert np.mean(seen) > 0.7, "the drawn cases alone must tell most mistakes"


def test_a_seed_draws_the_same_cases_again_and_another_seed_others():
    (one,), (again,), (other,) = (hidden("pull-normal-together/pull", s) for s in (1, 1, 2))
    assert torch.equal(one[0], again[0])
    assert not torch.equal(one[0], other[0])
    assert hidden("pull-normal-together/pull", None) == ()


def test_an_answer_that_ends_too_early_is_not_right():
    outcomes = ask(DOUBLE.solution, DOUBLE.cases)
    assert verdict(DOUBLE, DOUBLE.cases, outcomes) == RIGHT
    assert verdict(DOUBLE, DOUBLE.cases, outcomes[:1]) == "It ended in case 2 of 2."
    assert verdict(DOUBLE, DOUBLE.cases, []) == "It ended in case 1 of 2."
