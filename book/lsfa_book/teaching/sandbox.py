"""A notebook's code in a process of its own, walled in, and what came out of it."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lsfa_book.checking import Cases, Outcome
from lsfa_book.teaching.exchange import decode, encode
from lsfa_book.teaching.needed import Step
from lsfa_book.teaching.walls import CROWD, OPEN
from lsfa_lite.errors import LSFAError

BLOCK = 1 << 16


@dataclass(frozen=True)
class Limits:
    """Of one notebook: seconds of clock (all, and of one cell or call), seconds of CPU, bytes"""

    seconds: float = 120
    cell: float = 20
    cpu: float = 120
    memory: int = 6 << 30  # of addresses: torch alone maps two gigabytes
    processes: int = 32
    output: int = 4 << 20
    answers: int = 64 << 20
    disk: int = 256 << 20
    hidden: tuple[str, ...] = ()  # folders that it need not see
    namespaces: bool = True  # False: as where the kernel refuses
    trust_python: bool = False  # run even so, behind Python's guard alone


@dataclass
class Ran:
    """What a notebook did: outcomes by exercise, errors by cell, incidents in words, walls"""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    errors: list[tuple[int, str]] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    walls: dict[str, str] = field(default_factory=dict)
    output: str = ""
    seconds: float = 0.0


def run(steps: list[Step], cases: Mapping[str, Cases], limits: Limits) -> Ran:
    """Run the steps and ask each exercise on `cases[name]`; nothing that the code does raises."""
    ran, begun = Ran(), time.monotonic()
    ran.errors = [(step.number, step.error) for step in steps if step.error]
    with (
        tempfile.TemporaryDirectory(prefix="lsfa-grade-") as folder,
        _orders(steps, cases) as orders,
    ):
        told = _told(limits)
        if told["nobody"]:
            os.chown(folder, 65534, 65534)
        mouth, ear = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "lsfa_book.teaching.walls", str(ear), folder, json.dumps(told)],
            stdin=orders,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(ear,),
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        )
        os.close(ear)
        try:
            _listen(process, mouth, ran, begun + limits.seconds, limits)
        finally:
            os.close(mouth)
            _end(process)
    ran.seconds = time.monotonic() - begun
    return ran


def _orders(steps: list[Step], cases: Mapping[str, Cases]) -> Any:
    """What the process reads: code, and arguments without the answers."""
    orders = [
        {
            "number": step.number,
            "code": step.code,
            "asks": [
                {"name": a.name, "answer": a.answer, "cases": [_given(c) for c in cases[a.name]]}
                for a in step.asks
                if a.name in cases
            ],
        }
        for step in steps
        if not step.error
    ]
    file = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by who asked
    json.dump(orders, file)
    file.seek(0)
    return file


def _given(case: tuple[Any, ...]) -> Any:
    return encode(case)


def _told(limits: Limits) -> dict[str, Any]:
    root = sys.platform == "linux" and os.getuid() == 0
    places = [sys.executable, os.path.dirname(os.__file__), *filter(None, sys.path)]
    return {**asdict(limits), "nobody": root and all(map(_open_to_all, places))}


def _open_to_all(place: str) -> bool:
    """May nobody read it? Places that do not exist hinder nobody."""
    path = Path(os.path.realpath(place))
    return not path.exists() or all(p.stat().st_mode & 0o5 == 5 for p in (path, *path.parents))


def _environment(folder: str) -> dict[str, str]:
    """Nothing of the teacher's: no tokens, no home."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ
    }
    return {
        **kept,
        **dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "IPYTHONDIR"), folder),
        "PYTHONPATH": os.pathsep.join(os.path.abspath(p) for p in sys.path if p),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _listen(
    process: subprocess.Popen[bytes], mouth: int, ran: Ran, until: float, limits: Limits
) -> None:
    """Until the process ends, or goes too far."""
    assert process.stdout is not None
    ears, said, told = selectors.DefaultSelector(), bytearray(), bytearray()
    ears.register(process.stdout, selectors.EVENT_READ, (said, limits.output))
    ears.register(mouth, selectors.EVENT_READ, (told, limits.answers))
    ended, why = False, ""
    while ears.get_map() and not ended and not why:
        left = until - time.monotonic()
        ready = ears.select(max(left, 0))
        if not ready and left <= 0:
            why = f"endless: stopped after {limits.seconds:g} seconds"
        for key, _ in ready:
            heap, most = key.data
            block = os.read(key.fd, BLOCK)
            heap += block
            if not block:
                ears.unregister(key.fileobj)
                ended = heap is told  # its children may hold the other pipe open for ever
            elif len(heap) > most:
                why = f"output: stopped after {most / 1e6:.1f} MB"
    if why:
        ran.incidents.append(why)
    ran.output = bytes(said[: 1 << 14]).decode(errors="replace")
    done = _understand(bytes(told), ran)
    if not done and not why:
        ran.incidents.append(_death(process))


def _understand(told: bytes, ran: Ran) -> bool:
    """The lines that came, which the notebook may have written itself. Did it come to its end?"""
    done = False
    for line in told.splitlines():
        try:
            ((kind, content),) = json.loads(line).items()
            if kind == "answer":
                name, number, value, error, changed = content
                outcomes = ran.outcomes.setdefault(str(name), [])
                if number != len(outcomes):
                    raise LSFAError("a case twice")
                outcomes.append(Outcome(decode(value), printable(error, 500), bool(changed)))
                _notice_memory(str(error), ran)
            elif kind == "error":
                ran.errors.append((int(content[0]), printable(content[1], 500)))
                _notice_memory(str(content[1]), ran)
            elif kind == "incident":
                ran.incidents.append(printable(f"{content[0]!s:.60}: {content[1]!s}", 260))
            elif kind == "walls":
                ran.walls = {str(key): printable(value, 100) for key, value in content.items()}
            done = done or kind == "done"
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
            ran.incidents.append("tampering: wrote among the answers")
            ran.outcomes.clear()
            break
    return done


def printable(text: object, most: int) -> str:
    """What a notebook says, fit for a terminal and a table."""
    return "".join(c if c.isprintable() else " " for c in str(text)[:most])


def _notice_memory(error: str, ran: Ran) -> None:
    if "MemoryError" in error or "allocate memory" in error:
        ran.incidents.append("memory: asked for more than it may have")
    if error.startswith("TooLong"):
        ran.incidents.append(f"endless: {error.removeprefix('TooLong: ')}")


def _death(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(1)
    except subprocess.TimeoutExpired:
        return "ended early: it closed its channel"
    if code == OPEN:
        return "not run: the kernel gives no walls"
    if code == CROWD:
        return "processes: more at once than it may have"
    if code in (256 - signal.SIGKILL, -signal.SIGKILL, 256 - signal.SIGXCPU):
        return "ended early: killed for its CPU time, or for memory"
    return f"ended early: it left by itself, with status {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started: the walls' process is the parent of their world."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
