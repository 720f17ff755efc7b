"""Scans that arrive in a folder one by one: told once each, when they are whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event

from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import CLOUDS, PICTURES, ROLES, Entry, read_scan, role_and_stem
from lsfa_lite.errors import FileError

Found = dict[str, dict[str, list[Path]]]  # stem -> role -> files


def arrivals(
    folder: Path,
    roles: Sequence[str] = ("rgb", "xyz"),
    stop: Event | None = None,
    read: Callable[[Entry], Sample] = read_scan,
    *,
    every: float = 0.5,
    settle: float = 1.0,
    patience: float = 10.0,
) -> Iterator[tuple[Path, Sample | Exception]]:
    """Yields a path and its sample, or why there is none, until `stop` is set; bad files too.

    What lies in the folder at the start comes first. A scan is read when it has a file for each of
    `roles` and none of them has changed for `settle` seconds; one that cannot be read then, or
    lacks a file, is tried again until nothing has changed for `patience` seconds, and then told as
    it is. A scan whose files change afterwards comes again. The folder is looked at every `every`
    seconds.
    """
    stop = stop or Event()
    known: dict[str, tuple[object, float]] = {}  # stem -> its files as last seen, since when
    told: dict[str, object] = {}
    while not stop.is_set():
        scans = look(folder)
        for stem, files in scans.items():
            if stop.is_set():
                return
            now, state = time.monotonic(), state_of(files)
            if state is None or told.get(stem) == state:
                continue
            if stem not in known or known[stem][0] != state:
                known[stem] = state, now
            quiet = now - known[stem][1]
            if quiet < settle:
                continue
            answer = attempt(stem, files, roles, read)
            if isinstance(answer, Exception) and quiet < patience:
                continue
            told[stem] = state
            yield next(iter(files.values()))[0], answer
        known = {stem: known[stem] for stem in scans if stem in known}  # what has gone is forgotten
        told = {stem: told[stem] for stem in scans if stem in told}
        stop.wait(every)


def look(folder: Path) -> Found:
    """All scans of a folder and its subfolders by role, as `scans.collect`, in order of names."""
    found: Found = {}
    inside = [p for p in folder.glob("*") if p.name.lower() in ROLES]
    for place in (folder, *sorted(inside)):
        said = ROLES[place.name.lower()] if place != folder else None
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.suffix.lower() in PICTURES + CLOUDS and not path.name.startswith("."):
                role, stem = role_and_stem(path, said)
                found.setdefault(stem, {}).setdefault(role, []).append(path)
    return {stem: files for stem, files in sorted(found.items()) if set(files) != {"gt"}}


def state_of(files: dict[str, list[Path]]) -> object:
    """Names, sizes and times of a scan's files; None if one has gone meanwhile."""
    try:
        stats = [(path, path.stat()) for some in files.values() for path in some]
    except OSError:
        return None
    return [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]


def attempt(
    stem: str,
    files: dict[str, list[Path]],
    roles: Sequence[str],
    read: Callable[[Entry], Sample],
) -> Sample | Exception:
    for role, some in files.items():
        if len(some) > 1:
            return FileError(f"{some[1]}: {some[0].name} of the same stem is {role} too")
    if lacking := [role for role in roles if role not in files]:
        return FileError(f"{stem}: no {' and no '.join(lacking)} file of this stem has come")
    one = {role: some[0] for role, some in files.items()}
    try:
        return read(Entry(one.get("rgb"), one.get("xyz"), one.get("gt")))
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return error
