"""Three editions of a chapter, plans that add up, and made pages that are up to date."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ROOT

from lsfa_book.checking import chapters, exercises, of_chapter
from lsfa_book.teaching import notebook, pages, plans
from lsfa_book.teaching.editions import EDITIONS, instructor, student, write_editions
from lsfa_book.teaching.notebook import source
from lsfa_lite.cli import main

BOOK = ROOT / "book"
CHAPTERS = chapters()


def cells(whole, kind):
    return [source(cell) for cell in whole["cells"] if cell["cell_type"] == kind]


def chapter(name):
    return notebook.read(BOOK / f"{name}.ipynb")


@pytest.mark.parametrize("name", CHAPTERS)
def test_student_edition_has_every_check_and_no_solution(name):
    before, after = chapter(name), student(chapter(name), name)
    text = "\n".join(cells(after, "markdown"))
    assert "<details" not in text
    assert "<summary" not in text
    folded = re.findall(r"<details>.*?</details>", "\n".join(cells(before, "markdown")), re.DOTALL)
    for fold in folded:
        for line in fold.splitlines():
            if len(line) > 60:
                assert line not in text
    asked = [ask.name for code in cells(after, "code") for ask in notebook.asks(code)]
    assert sorted(asked) == sorted(f"{name}/{short}" for short in of_chapter(name))
    assert cells(after, "code") == cells(before, "code")  # the stubs stand in the source
    assert not any(cell.get("outputs") for cell in after["cells"])
    kept = re.sub(r"\s+", "", text.replace("*Your answer:*", ""))
    without = re.sub(r"(?s)<details>.*?</details>", "", "\n".join(cells(before, "markdown")))
    assert kept == re.sub(r"\s+", "", without)


@pytest.mark.parametrize("name", CHAPTERS)
def test_student_edition_says_to_nbgrader_what_to_collect(name):
    after = student(chapter(name), name)
    marked = [
        cell["metadata"]["nbgrader"] for cell in after["cells"] if "nbgrader" in cell["metadata"]
    ]
    assert len({mark["grade_id"] for mark in marked}) == len(marked)
    code = [mark["points"] for mark in marked if mark["cell_type"] == "code"]
    assert sorted(code) == sorted(plans.points(f"{name}/{short}") for short in of_chapter(name))
    assert all(re.fullmatch(r"[\w-]+", mark["grade_id"]) for mark in marked)  # nbgrader's rule
    assert len({cell["id"] for cell in after["cells"]}) == len(after["cells"])


@pytest.mark.parametrize("name", CHAPTERS)
def test_instructor_edition_opens_solutions_and_names_mistakes(name):
    text = "\n".join(cells(instructor(chapter(name), name), "markdown"))
    assert "<details>" not in text
    for exercise in of_chapter(name).values():
        assert all(hint in text for hint in exercise.mistakes)
    own = plans.plan(name)
    for words in (own["aim"], *own["mistakes"], *own["talking"].values(), own["exam"][0]["a"]):
        assert words in text


@pytest.mark.parametrize("name", CHAPTERS)
def test_plan_adds_up_and_fits_its_chapter(name):
    own, markdown = plans.plan(name), "\n".join(cells(chapter(name), "markdown"))
    for minutes in (45, 90):
        assert sum(step[0] for step in own[f"plan{minutes}"]) == minutes
    for item in own["exam"]:
        marks = re.findall(r"(?<!\w)\((\d)\)", item["a"])
        assert sum(map(int, marks)) == item["marks"], item["q"]
    for heading in own["talking"]:
        assert re.search(rf"^#+ {re.escape(heading)}\s*$", markdown, re.MULTILINE), heading
    assert len(own["mistakes"]) >= 3
    assert len(own["board"]) >= 2
    assert len(own["exam"]) >= 3
    code = "\n".join(cells(chapter(name), "code"))
    assert {(ask.name, ask.answer) for ask in notebook.asks(_checks(code))} == {
        (f"{name}/{short}", make["answer"]) for short, make in own["make"].items()
    }


def _checks(code):
    return "\n".join(re.findall(r"^check\(.*\)$", code, re.MULTILINE))


def test_every_make_has_points():
    assert all(plans.points(name) > 0 for name, _ in exercises())


def test_editions_are_written_by_the_command(tmp_path, capsys):
    assert main(["editions", str(tmp_path), "--book", str(BOOK), "--edition", "student"]) in (
        0,
        None,
    )
    assert sorted(p.stem for p in (tmp_path / "student").iterdir()) == sorted(CHAPTERS)
    assert [p.name for p in tmp_path.iterdir()] == ["student"]
    assert "20 notebooks" in capsys.readouterr().out


def test_reading_edition_is_the_source(tmp_path):
    small = tmp_path / "book"
    small.mkdir()
    (small / "adaptors.ipynb").write_text((BOOK / "adaptors.ipynb").read_text())
    write_editions(small, tmp_path, list(EDITIONS))
    assert json.loads((tmp_path / "reading/adaptors.ipynb").read_text()) == chapter("adaptors")


def test_a_folder_without_chapters_is_named(tmp_path, capsys):
    for command in ("editions", "slides"):
        assert main([command, str(tmp_path / "out"), "--book", str(tmp_path)]) != 0
        assert "no chapter of the book is here" in capsys.readouterr().err


@pytest.mark.parametrize("name", pages.PAGES)
def test_made_page_is_what_the_script_makes(name):
    made = pages.PAGES[name](BOOK)
    assert (BOOK / f"{name}.md").read_text() == made, "run python book/scripts/write_teaching.py"


def test_exercises_are_numbered_and_each_check_stands_once():
    order = pages.in_order(BOOK)
    assert sorted(order) == sorted(CHAPTERS)
    found = [n for place, c in enumerate(order, 1) for n in pages.numbered(BOOK, c, place)]
    assert sorted(n.check for n in found if n.kind == "Make") == sorted(n for n, _ in exercises())
    assert len({n.number for n in found}) == len(found)
    assert {n.kind for n in found} == {"Predict", "Make", "Argue"}
