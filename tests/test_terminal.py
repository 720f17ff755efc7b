"""Bars and messages on a terminal: whoever looks at it never finds both on one line."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from tqdm import tqdm

from lsfa_lite.terminal import say, whole_lines

BAR = re.compile(r"\d+%\||it/s|s/it")


def screen(text: str) -> list[str]:
    """What is seen in the end of all that was written: a small terminal."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
        if token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            column = 0
        elif token.endswith("A") and token.startswith("\x1b"):
            row -= int(token[2:-1] or 1)
        elif token == "\x1b[K":
            lines[row] = lines[row][:column]
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + token + line[column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in lines]


@contextmanager
def terminal() -> Iterator[io.StringIO]:
    """stdout and stderr on one screen."""
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    with redirect_stdout(stream), redirect_stderr(stream):
        yield stream


@pytest.mark.parametrize("leave", [True, False])
def test_what_is_said_beside_a_bar_has_a_line_of_its_own(leave):
    with terminal() as written, whole_lines():
        for i in tqdm(range(6), "work", mininterval=0, leave=leave):
            if i == 1:
                say("a row of the table")
            if i == 2:
                warnings.warn("one sense alone", UserWarning, stacklevel=1)
            if i == 3:
                logging.getLogger("lsfa_lite.data.files").warning("%s: a lossy mask", "a.jpg")
            if i == 4:
                say("an error", error=True)
        say("done")
    lines = [line for line in screen(written.getvalue()) if line]
    told = [line for line in lines if not BAR.search(line)]
    assert told == [
        *("a row of the table", "UserWarning: one sense alone", "a.jpg: a lossy mask"),
        *("an error", "done"),
    ]
    assert len(lines) - len(told) == leave  # the bar, whole, once
    assert written.getvalue().count("work: ") > 6  # it was there


def test_without_it_they_would_share_a_line():
    """The test's own terminal can tell the difference."""
    with terminal() as written:
        for i in tqdm(range(3), "work", mininterval=0):
            if i == 1:
                sys.stderr.write("a.jpg: a lossy mask\n")
    lines = screen(written.getvalue())
    assert any("lossy" in line and BAR.search(line) for line in lines)


def test_afterwards_all_is_as_it_was():
    show, handlers = warnings.showwarning, list(logging.getLogger("lsfa_lite").handlers)
    with pytest.raises(KeyError), whole_lines():
        raise KeyError
    assert warnings.showwarning is show
    assert logging.getLogger("lsfa_lite").handlers == handlers


@pytest.mark.parametrize("seen", [True, False])
def test_a_worker_clears_the_bar_of_the_process_that_asked(seen):
    """A worker has no bar, but the same screen."""
    code = (
        "import logging, os, signal, sys\n"
        "from lsfa_lite.data import processes\n"
        f"sys.stderr.isatty = lambda: {seen}\n"
        "processes._end_with_parent = lambda: None\n"
        "sys.stderr.write('\\rclean:  10%|#  | 1/10 [00:01<00:09,  1.00it/s]')\n"
        "processes._begin(1)\n"
        "logging.getLogger('lsfa_lite.data').warning('a lossy mask')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    shown = screen(done.stderr.decode())  # as text, \\r would be \\n
    assert "a lossy mask" in shown
    assert len([line for line in shown if BAR.search(line)]) == (not seen)
