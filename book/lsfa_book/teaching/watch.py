"""The watchman inside Python: it notes what a notebook tries, and forbids it.

An audit hook of the interpreter, which no Python code can take away. Code that goes to the C
library by itself passes it: then the kernel's walls must hold, and where they are refused there
are none.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

NETWORK = {
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"),
    *("socket.sendto", "socket.sendmsg", "socket.gethostbyaddr"),
}
DELETION = {"os.remove", "os.rmdir", "shutil.rmtree", "os.rename", "os.truncate"}
WRITING = {"os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.utime", "shutil.move"}
PROCESSES = {
    *("os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.exec"),
    "subprocess.Popen",
}
SIGNALS = {"os.kill", "os.killpg"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
HARMLESS = {"/dev/null", "/dev/tty"}
NOTES = 3  # of a kind: a loop must not fill the report


def watch(folder: str, tell: Callable[[str, str], None], processes: int) -> None:
    """From now on: `tell(kind, what)` for each attempt, and PermissionError where it was made.

    folder     the only one that may be written to
    processes  how many may be started, by all descendants together; 0 where no wall holds them
    """
    home = os.path.realpath(folder) + os.sep
    started, noted = mmap.mmap(-1, 8), Counter[str]()  # the memory is shared with what is forked
    where, owner = os.path.realpath, os.getpid()

    def forbid(kind: str, what: Any) -> None:
        noted[kind] += 1
        if noted[kind] <= NOTES and os.getpid() == owner:
            tell(kind, str(what)[:200])
        raise PermissionError(f"not in the grader: {kind} ({what!r:.100})")

    def outside(path: Any, folder: Any = -1) -> bool:
        if isinstance(path, int):
            return False
        path = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0:
            path = os.path.join(f"/proc/self/fd/{folder}", path)
        above, name = os.path.split(os.path.abspath(path))
        real = os.path.join(where(above), name)  # a link is removed itself, not what it names
        return real not in HARMLESS and not (real + os.sep).startswith(home)

    def count(event: str) -> None:
        number = int.from_bytes(started[:], "little") + 1
        started[:] = number.to_bytes(8, "little")
        if number > processes:
            forbid("processes", event)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if (
                flags & WRITES
                and path is not None
                and outside(where(path) if _is_path(path) else path)
            ):
                forbid("writing outside its folder", path)
        elif event in DELETION or event in WRITING:
            kind = "deletion" if event in DELETION else "writing outside its folder"
            last = arguments[-1] if event in ("os.remove", "os.rmdir", "shutil.rmtree") else -1
            paths = (
                arguments[:2] if event in ("os.rename", "os.link", "shutil.move") else arguments[:1]
            )
            if event == "os.symlink":
                paths = arguments[1:2]  # where it lies; what it names is resolved when it is used
            for path in paths:
                if _is_path(path) and outside(path, last):
                    forbid(kind, os.fsdecode(path))
        elif event in NETWORK:
            forbid("network", arguments[1] if event.startswith("socket.c") else arguments[0])
        elif event in PROCESSES:
            count(event)
        elif event in SIGNALS and arguments[0] not in (0, os.getpid()):
            forbid("signals to other processes", arguments[0])

    sys.addaudithook(hook)


def _is_path(path: Any) -> bool:
    return isinstance(path, (str, bytes, os.PathLike))
