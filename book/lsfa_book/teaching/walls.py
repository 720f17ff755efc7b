"""The kernel's walls around a notebook: `python -m lsfa_book.teaching.walls FD FOLDER LIMITS`.

Where Linux allows it: no network, no process outside is seen, every disk is read-only but a small
one in memory, and from root the user becomes nobody. Then limits of time, memory, processes and
files, which macOS has as well; then `inside` takes over. Standard library only. Which walls stand
is told, not assumed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from typing import Any

USER, MOUNT, PIDS, NETWORK, IPC = 0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000
PRIVATE, RECURSIVE, BIND = 0x40000, 0x4000, 0x1000  # mount(2)
MOUNT_SETATTR, HERE, ALL_BELOW = 442, -100, 0x8000
READ_ONLY, NO_SETUID = 1, 2
DIE_WITH_PARENT, NO_NEW_RIGHTS = 1, 38  # prctl(2)
NOBODY = 65534
CROWD = 201  # the status of an end for too many processes
OPEN = 202  # of one for want of walls: nothing was run


def main() -> None:
    channel, folder, limits = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    haste(-20)  # who guards must come to speak among a thousand forks; root alone may
    walls = build(folder, limits)
    if "files" not in walls and not limits["trust_python"]:
        os.write(channel, json.dumps({"walls": walls}).encode() + b"\n")
        os._exit(OPEN)
    here = os.getpid()
    child = os.fork()  # the first process of its own world, where there is one
    if child:
        os.close(channel)
        os._exit(guard(child, limits["processes"]) if "processes" in walls else wait(child))
    haste(0)
    walls["user"] = step_down(limits["nobody"], walls)
    limit(limits)
    if sys.platform == "linux":
        libc().prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        libc().prctl(NO_NEW_RIGHTS, 1, 0, 0, 0)
        if "processes" not in walls and os.getppid() != here:
            os._exit(1)  # the parent went before the line above
    told = json.dumps({"walls": walls, **limits})
    program = [sys.executable, "-m", "lsfa_book.teaching.inside", str(channel), folder, told]
    os.execv(sys.executable, program)


def build(folder: str, limits: dict[str, Any]) -> dict[str, str]:
    """Leave the world that can be seen from here: wall -> how it stands. Empty where refused."""
    walls = dict[str, str]()
    if sys.platform != "linux" or not limits["namespaces"]:
        return walls
    user, group = os.getuid(), os.getgid()
    try:
        call("unshare", (0 if limits["nobody"] else USER) | MOUNT | PIDS | NETWORK | IPC)
        if not limits["nobody"]:  # a world of one, not root in it: `exec` leaves it no powers
            for name, line in (
                ("setgroups", "deny"),
                ("uid_map", f"{user or NOBODY} {user} 1"),
                ("gid_map", f"{group or NOBODY} {group} 1"),
            ):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(line)
        walls |= {"network": "namespace", "processes": "namespace"}
        call("mount", b"none", b"/", None, PRIVATE | RECURSIVE, None)
        attributes = (ctypes.c_uint64 * 4)(READ_ONLY | NO_SETUID, 0, 0, 0)
        call("syscall", MOUNT_SETATTR, HERE, b"/", ALL_BELOW, attributes, ctypes.sizeof(attributes))
        owner = user or NOBODY
        options = f"size={limits['disk']},nr_inodes=10000,mode=700,uid={owner}".encode()
        call("mount", b"none", folder.encode(), b"tmpfs", 6, options)  # 6: no setuid, no devices
        hide(folder, limits["hidden"])
        os.chdir(folder)
        walls["files"] = "read-only"
    except OSError as error:
        walls["refused"] = str(error)
    return walls


def hide(folder: str, others: list[str]) -> None:
    """Of the devices four harmless ones are left, of the services' sockets none; nor the others."""
    devices = os.path.join(folder, ".dev")
    os.mkdir(devices)
    for name in ("null", "zero", "random", "urandom"):
        place = os.path.join(devices, name)
        open(place, "w").close()
        call("mount", f"/dev/{name}".encode(), place.encode(), None, BIND, None)
    call("mount", devices.encode(), b"/dev", None, BIND | RECURSIVE, None)
    if not any(p.startswith("/run/") for p in (folder, *sys.path)):
        others = ["/run", *others]
    for place in filter(os.path.isdir, others):
        call("mount", b"none", place.encode(), b"tmpfs", 7, b"size=4k")  # 7: and read-only


def step_down(nobody: bool, walls: dict[str, str]) -> str:
    """root -> nobody: root ignores limits of processes, and owns the devices."""
    if not nobody:
        root = not os.getuid() or os.getuid() == NOBODY
        return ("root without powers" if walls else "root") if root else "the teacher's"
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    return "nobody"


def wait(child: int) -> int:
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) % 256


def guard(child: int, most: int) -> int:
    """Wait for the first process of a world; end it if that has more than `most` of them."""
    ends, before = os.pidfd_open(child), threads()
    while not select.select([ends], [], [], 0.02)[0]:
        before, now = min(before, threads()), threads()
        if now > before + most // 2 and population(child) > most + 1:  # itself, too
            os.kill(child, signal.SIGKILL)
            wait(child)
            return CROWD
    return wait(child)


def threads() -> int:
    """Of the whole machine: cheap to ask, and a flood of forks shows in it."""
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].partition("/")[2])


def population(child: int) -> int:
    """How many processes live in the same world as this one."""
    world = os.stat(f"/proc/{child}/ns/pid").st_ino
    return sum(_lives_in(name, world) for name in os.listdir("/proc") if name.isdigit())


def _lives_in(process: str, world: int) -> bool:
    try:
        return os.stat(f"/proc/{process}/ns/pid").st_ino == world
    except OSError:  # gone meanwhile
        return False


def haste(nice: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def limit(limits: dict[str, Any]) -> None:
    """Of this process and all that it starts."""
    import resource  # Unix has it, Windows has not, and there nobody gets here

    for name, most in (
        ("CPU", int(limits["cpu"])),
        ("AS", limits["memory"]),
        ("NPROC", limits["processes"]),
        ("FSIZE", limits["disk"]),
        ("NOFILE", 256),
        ("CORE", 0),
    ):
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            ceiling = resource.getrlimit(kind)[1]
            most = most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)
            resource.setrlimit(kind, (most, most))


def libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> None:
    """A function of the C library; raises OSError."""
    if getattr(libc(), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
