"""The grader on honest, careless and hostile notebooks. Each of these runs in a real sandbox."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from lsfa_book.checking import RIGHT, Outcome, find
from lsfa_book.teaching import marks, needed, plans
from lsfa_book.teaching.exchange import decode, encode
from lsfa_book.teaching.grade import _mark, grade, whose
from lsfa_book.teaching.sandbox import Limits
from lsfa_lite.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the grader needs Linux or macOS")

LINE = """
def line_at(scores, rate):
    rank = int(np.ceil((len(scores) + 1) * (1 - rate) - 1e-9))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])
"""
CHECK = '\ncheck("on-your-own-bench/line", line_at)'
QUICK = Limits(seconds=40, cell=10, output=1 << 18, memory=3 << 30)
BRIEF = replace(QUICK, seconds=6, cell=1)


def written(path, *cells):
    """A notebook of code cells."""
    empty = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    whole = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps({"cells": [{**empty, "source": c} for c in cells], **whole}))
    return path


def graded(path, *cells, seed=None, limits=QUICK, whole=False):
    row = grade(written(path / "on-your-own-bench_ann.ipynb", *cells), seed, limits, whole)
    assert row.assignment == "on-your-own-bench"
    assert row.max_score == 7
    return row


def words(row, short="line"):
    return {mark.exercise: mark.words for mark in row.marks}[f"on-your-own-bench/{short}"]


def test_right_answers_get_their_points_and_what_they_need_runs_alone(tmp_path):
    row = graded(
        tmp_path,
        "%pip install something\nimport numpy as np\nraise RuntimeError('never run')",
        "from time import sleep",
        "for _ in range(9): sleep(60)",  # the chapter's own work: no exercise needs it
        "if True:\n    !ls\nhelper = lambda n, rate: int(np.ceil((n + 1) * (1 - rate) - 1e-9))",
        "def line_at(scores, rate):\n    rank = helper(len(scores), rate)\n"
        "    return np.sort(scores)[min(rank, len(scores)) - 1]" + CHECK,
        "def broken(:",
        "line_at = None",  # what comes after the exercise does not matter
        seed=3,
    )
    assert words(row) == RIGHT
    assert words(row, "cloud").startswith("It raised NameError")
    assert row.score == plans.points("on-your-own-bench/line")
    assert [number for number, _ in row.errors] == [6]
    assert row.incidents == []
    assert row.walls


def test_an_answer_that_knows_the_printed_cases_fails_on_the_teachers_seed(tmp_path):
    exercise = find("on-your-own-bench/line")
    known = {len(scores): exercise.solution(scores, rate) for scores, rate in exercise.cases}
    cells = (
        f"import numpy as np\nline_at = lambda scores, rate: {known}.get(len(scores), 0)" + CHECK
    )
    assert words(graded(tmp_path, cells)) == RIGHT
    row = graded(tmp_path, cells, seed=11)
    assert row.score == 0
    assert "Right on the printed cases, not on the hidden ones" in words(row)


def test_a_usual_mistake_gets_its_hint(tmp_path):
    wrong = "import numpy as np\nline_at = lambda s, a: float(np.quantile(s, 1 - a))" + CHECK
    assert "quantile with interpolation" in words(graded(tmp_path, wrong, seed=1))


@pytest.mark.parametrize(
    ("attack", "incident"),
    [
        ("while True: pass", "endless"),
        (
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
            "endless",
        ),
        ("import os\nwhile True: os.fork()", "processes"),
        ("while True: print('x' * 10000)", "output"),
        ("import socket\nsocket.create_connection(('192.0.2.1', 80), 5)", "network: 192.0.2.1"),
        ("import os\nos.remove(VICTIM)", "deletion"),
        ("import shutil, os\nshutil.rmtree(os.path.dirname(VICTIM))", "deletion"),
        ("open(VICTIM, 'w').write('x')", "writing outside its folder"),
        ("import os\nos.symlink(VICTIM, 'in')\nopen('in', 'w')", "writing outside its folder"),
        ("import os, signal\nos.kill(1 if os.getpid() > 1 else 2, 9)", "signals"),
        ("waste = bytearray(64 << 30)", "memory"),
        ("import os\nos._exit(0)", "ended early"),
        ("from lsfa_book.chapters.on_your_own_bench import EXERCISES", "looks up solutions"),
        (
            'import os\nfor fd in range(3, 64):\n    try: os.write(fd, b\'{"answer": '
            '["on-your-own-bench/line", 0, 3.5, "", false]}\\n\')\n    except OSError: pass',
            "tampering",
        ),
    ],
)
def test_hostile_code_is_held_and_named(tmp_path, attack, incident):
    victim = tmp_path / "home" / "gradebook.db"
    victim.parent.mkdir()
    victim.write_text("precious")
    attack = attack.replace("VICTIM", repr(str(victim)))
    limits = BRIEF if "BaseException" in attack else replace(QUICK, cell=3)
    row = graded(tmp_path, f"import numpy as np\n{LINE}\n{attack}" + CHECK, limits=limits)
    assert any(told.startswith(incident) for told in row.incidents), row
    assert victim.read_text() == "precious"
    assert row.seconds < limits.seconds + 5


def test_what_python_cannot_forbid_the_kernel_does(tmp_path):
    """C code and programs pass Python's guard."""
    victim = tmp_path / "gradebook.db"
    victim.write_text("precious")
    victim.chmod(0o666)
    tmp_path.chmod(0o777)
    attack = f"""
import ctypes, subprocess
libc = ctypes.CDLL(None, use_errno=True)
path = {str(victim)!r}
gone = libc.unlink(path.encode())
program = subprocess.run(["sh", "-c", f"rm -f {{path}}; echo x > {{path}}"], capture_output=True)
moved = libc.mount(b"none", b"/", None, 32, None)  # to make the disks writable again
address = (ctypes.c_ubyte * 16)(2, 0, 0, 80, 192, 0, 2, 1)
route = libc.connect(libc.socket(2, 1, 0), address, 16), ctypes.get_errno()
raise RuntimeError(f"{{gone}} {{program.returncode}} {{moved}} {{route}}")
"""
    row = graded(tmp_path, f"import numpy as np\n{LINE}\n{attack}" + CHECK)
    if "files" not in row.walls:
        pytest.skip(f"the kernel refuses its walls: {row.walls}")
    assert victim.read_text() == "precious"
    assert dict(row.errors)[1] == "RuntimeError: -1 2 -1 (-1, 101)"  # no network to be reached
    assert words(row) == RIGHT


def test_forks_made_by_c_code_are_counted(tmp_path):
    attack = "import ctypes\nfork = ctypes.CDLL(None).fork\nwhile True: fork()"
    row = graded(tmp_path, f"import numpy as np\n{LINE}\n{attack}" + CHECK)
    if "processes" not in row.walls:
        pytest.skip(f"the kernel refuses its walls: {row.walls}")
    assert any(told.split(":")[0] in ("processes", "endless") for told in row.incidents)
    assert row.seconds < QUICK.seconds + 5


def test_without_the_kernels_walls_pythons_guard_stands_alone_and_says_so(tmp_path):
    victim = tmp_path / "gradebook.db"
    victim.write_text("precious")
    attack = f"import subprocess\nsubprocess.run(['rm', {str(victim)!r}])"
    cell = f"import numpy as np\n{LINE}\n{attack}" + CHECK
    row = graded(tmp_path, cell, limits=replace(QUICK, namespaces=False))
    assert row.incidents == ["not run: the kernel gives no walls"]
    assert row.score == 0
    row = graded(tmp_path, cell, limits=replace(QUICK, namespaces=False, trust_python=True))
    assert {"network", "files", "processes"}.isdisjoint(row.walls)
    assert row.incidents == ["processes: subprocess.Popen"]
    assert victim.read_text() == "precious"
    assert words(row) == RIGHT


def test_a_notebook_cannot_judge_itself(tmp_path):
    row = graded(
        tmp_path,
        """
import numpy as np
np.allclose = np.isclose = lambda *_, **__: True
check = lambda *_: "Right."
class Anything(float):
    def __eq__(self, other): return True
def line_at(scores, rate):
    return Anything(0)
"""
        + CHECK,
    )
    assert row.score == 0
    assert words(row).startswith("Not yet: it returns 0")


def test_an_answer_has_no_need_of_the_book_s_solutions(tmp_path):
    cheat = "from lsfa_book.chapters.on_your_own_bench import line as line_at" + CHECK
    row = graded(tmp_path, cheat)
    if "files" not in row.walls:
        pytest.skip(f"the kernel refuses its walls: {row.walls}")
    assert row.score == 0
    assert "No module named 'lsfa_book.chapters" in words(row)


def test_nothing_of_the_teachers_environment_is_in_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "1234")
    told = "import os\nraise RuntimeError(str(os.environ) + os.getcwd())" + CHECK
    ((_, error),) = graded(tmp_path, told).errors
    assert "1234" not in error
    assert str(tmp_path) not in error


def test_a_lost_check_and_a_cell_with_an_error_cost_nothing_more(tmp_path):
    row = graded(tmp_path, "import numpy as np\n1 / 0", "import numpy as np" + LINE, whole=True)
    assert words(row) == RIGHT
    assert row.errors == [(1, "ZeroDivisionError: division by zero")]


def test_the_command_marks_a_class_and_a_bad_file_does_not_stop_it(tmp_path, capsys):
    good = written(tmp_path / "on-your-own-bench_ann.ipynb", "import numpy as np" + LINE + CHECK)
    folder = tmp_path / "submitted" / "=cmd()" / "on-your-own-bench"
    folder.mkdir(parents=True)
    (folder / "timestamp.txt").write_text("2026-11-28 10:00:00 UTC\n")
    bob = written(folder / "on-your-own-bench.ipynb", "line_at = 3" + CHECK)
    torn = tmp_path / "torn.ipynb"
    torn.write_text("{")
    out, told = tmp_path / "marks.csv", tmp_path / "marks.json"
    command = ["grade", *map(str, (good, bob, torn)), "--out", str(out), "--json", str(told)]
    assert main([*command, "--seed", "5", "--due", "2026-12-01"]) in (0, None)
    rows = list(csv.DictReader(out.open()))
    assert list(rows[0]) == list(marks.COLUMNS)
    assert [row["student_id"] for row in rows] == ["ann", "'=cmd()", "torn"]
    assert [row["score"] for row in rows] == ["3.0", "0.0", "0"]
    assert rows[1]["timestamp"] == "2026-11-28 10:00:00 UTC"
    assert rows[2]["incidents"].startswith("unreadable")
    ann, bob, _ = json.loads(told.read_text())["notebooks"]
    assert ann["marks"][0] == {
        **{"exercise": "on-your-own-bench/line", "words": RIGHT},
        **{"score": 3.0, "max_score": 3.0},
    }
    assert bob["marks"][0]["words"].startswith("It raised TypeError: 'int' object is not callable")
    assert "ann" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["none.ipynb", "--out", "marks.csv"], "no such notebook: none.ipynb"),
        (["none.ipynb", "--out", "no/marks.csv"], "there is no such folder"),
        (["none.ipynb", "--out", "marks.csv", "--seconds", "0"], "--seconds 0.0: expected more"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_options(
    tmp_path, monkeypatch, capsys, options, wrong
):
    monkeypatch.chdir(tmp_path)
    assert main(["grade", *options]) != 0
    assert wrong in capsys.readouterr().err


@pytest.mark.parametrize(
    "value",
    [
        *("'x' * 100_000", "[[[[1]], 2]]", "{1: 2}", "10 ** 4000", "object()", "np.array(['a'])"),
        *("np.full((3,), np.nan)", "np.zeros((0, 3))", "1j", "'\\x1b[2J'", "b'x'", "lambda: 0"),
    ],
)
def test_odd_values_are_told_in_words(tmp_path, value):
    """Through the exchange, as they come out of a sandbox."""
    exercise = find("on-your-own-bench/line")
    odd = json.loads(json.dumps(encode(eval(value, {"np": np}))))
    cases = exercise.cases
    mark = _mark("on-your-own-bench/line", cases, [Outcome(decode(odd))] * len(cases), [])
    assert mark.score == 0
    assert mark.words.startswith("Not yet")
    assert mark.words.isprintable()
    assert len(mark.words) <= 600


def test_students_are_told_from_their_paths(tmp_path):
    chapter = "adaptors"
    for path, student in (
        ("submitted/bob/adaptors/adaptors.ipynb", "bob"),
        ("bob/adaptors.ipynb", "bob"),
        ("adaptors-bob.ipynb", "bob"),
        ("bob smith_adaptors (1).ipynb", "bob smith_adaptors (1"),
    ):
        assert whose(tmp_path / path, chapter).startswith(student.split("_")[0])


@pytest.mark.parametrize("value", [1, 2.5, None, "text", True, (1, [2.0, {"a": (3,)}]), {"k": 1}])
def test_plain_values_survive_the_exchange(value):
    assert decode(json.loads(json.dumps(encode(value)))) == value


@pytest.mark.parametrize(
    "text", ['{"array": ["O", [1], ""]}', '{"array": 3}', '{"code": "x"}', "{}"]
)
def test_the_exchange_reads_nothing_else(text):
    with pytest.raises(ValueError, match="not in the form"):
        decode(json.loads(text))


def test_only_needed_cells_are_steps():
    code = ["import a, b", "x = b.y", "z = 1", "def f():\n    return x\ncheck('c/f', f)"]
    steps = needed.steps([{"cell_type": "code", "source": text} for text in code])
    assert [step.code for step in steps] == ["import a, b", "x = b.y", "def f():\n    return x"]
