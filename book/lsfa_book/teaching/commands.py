"""The teacher's sub-commands of `lsfa-lite`. Imports are inside: help must not wait for torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from lsfa_lite.errors import LSFAError, MissingFile

BOOK = "folder with the chapters' notebooks (default: book, where there is one, else here)"
EDITIONS = ("reading", "student", "instructor")


def add_teaching(command: Callable[..., argparse.ArgumentParser]) -> None:
    text = "mark students' notebooks, each within walls"
    marking = command("grade", text, "grade inbox/*.ipynb --out marks.csv --seed 7")
    marking.add_argument(
        "notebooks",
        type=Path,
        nargs="+",
        metavar="NOTEBOOK.ipynb",
        help="submitted/STUDENT/ASSIGNMENT/CHAPTER.ipynb, as nbgrader has them, or "
        "CHAPTER_STUDENT.ipynb",
    )
    marking.add_argument(
        "--out", type=Path, required=True, help="marks.csv, with the columns of nbgrader's export"
    )
    marking.add_argument("--json", type=Path, help="each exercise with the check's words")
    marking.add_argument(
        "--seed", type=int, help="of the teacher: draws hidden cases beside the printed ones"
    )
    marking.add_argument("--due", default="", help="for the column duedate; no penalty is computed")
    marking.add_argument(
        "--whole", action="store_true", help="run every cell, not only what the exercises need"
    )
    marking.add_argument(
        "--seconds", type=float, default=120, help="of the clock for one notebook (default: 120)"
    )
    marking.add_argument(
        "--cell", type=float, default=20, help="seconds for one cell or call (default: 20)"
    )
    marking.add_argument(
        "--memory", type=float, default=6, help="GB of addresses for one notebook (default: 6)"
    )
    marking.add_argument(
        "--processes", type=int, default=32, help="at once, in one notebook (default: 32)"
    )
    marking.add_argument(
        "--trust-python",
        action="store_true",
        help="go on where the kernel gives no walls: Python's guard alone, which C code passes",
    )
    marking.set_defaults(run=grade)

    making = command(
        "editions",
        "the chapters to read, to fill in, to teach from",
        "editions course --edition student --edition instructor",
    )
    making.add_argument("out", type=Path, metavar="OUT", help="OUT/EDITION/CHAPTER.ipynb")
    making.add_argument(
        "--edition",
        choices=EDITIONS,
        action="append",
        help="student: solutions blanked, checks in place; instructor: solutions, plans, points, "
        "usual mistakes; may be given more than once (default: all three)",
    )
    making.add_argument("--book", type=Path, help=BOOK)
    making.set_defaults(run=editions)

    showing = command("slides", "each chapter as slides that need no network", "slides slides")
    showing.add_argument("out", type=Path, metavar="OUT", help="OUT/CHAPTER.html, OUT/index.html")
    showing.add_argument("--book", type=Path, help=BOOK)
    showing.set_defaults(run=slides)


def grade(arguments: argparse.Namespace) -> None:
    from lsfa_book.teaching import marks
    from lsfa_book.teaching.grade import grade
    from lsfa_book.teaching.sandbox import Limits

    limits = Limits(
        seconds=arguments.seconds,
        cell=arguments.cell,
        cpu=arguments.seconds,
        memory=int(arguments.memory * 2**30),
        processes=arguments.processes,
        trust_python=arguments.trust_python,
    )
    for name in ("seconds", "cell", "memory", "processes"):
        if not getattr(arguments, name) > 0:
            raise LSFAError(f"--{name} {getattr(arguments, name)}: expected more than 0")
    for path in filter(None, (arguments.out, arguments.json)):
        if not path.resolve().parent.is_dir():
            raise LSFAError(f"{path}: there is no such folder; make it first")
    missing = [str(path) for path in arguments.notebooks if not path.is_file()]
    if missing:
        raise MissingFile(f"no such notebook: {', '.join(missing)}")
    rows = []
    for path in arguments.notebooks:
        row = grade(path, arguments.seed, limits, arguments.whole)
        if row.walls and "files" not in row.walls and not arguments.trust_python:
            reason = row.walls.get("refused", "not Linux")
            raise LSFAError(
                f"the kernel gives no walls here ({reason}); run the grader in a container or a "
                "virtual machine of its own, with --trust-python"
            )
        rows.append(row)
        told = f"{row.student_id:20} {row.assignment:30} {row.score:5g} of {row.max_score:g}"
        print(f"{told}   {'; '.join(row.incidents)}".rstrip(), flush=True)
    marks.write_csv(arguments.out, rows, arguments.due)
    if arguments.json:
        marks.write_json(arguments.json, rows, arguments.seed)


def editions(arguments: argparse.Namespace) -> None:
    from lsfa_book.teaching.editions import write_editions

    names = list(dict.fromkeys(arguments.edition or EDITIONS))
    written = write_editions(_book(arguments.book), arguments.out, names)
    print(f"{len(written)} notebooks in {arguments.out}: {', '.join(names)}")


def slides(arguments: argparse.Namespace) -> None:
    from lsfa_book.teaching.slides import write_slides

    written = write_slides(_book(arguments.book), arguments.out)
    print(f"{len(written)} decks; open {arguments.out / 'index.html'}")


def _book(given: Path | None) -> Path:
    return given or (Path("book") if Path("book").is_dir() else Path())
