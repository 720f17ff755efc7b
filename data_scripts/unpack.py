"""Safe unpacking: in OUT/.unpacking; the folders move to OUT when all of it was found good."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from tqdm.auto import tqdm
from transfer import ARCHIVE, CHUNK, RESERVE, SPACE, FetchError, web_page

BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError),
    *(FileExistsError, NotADirectoryError, IsADirectoryError, RuntimeError, UnicodeError),
)


def unpack(archive: Path, out: Path, folders: tuple[str, ...], splits: tuple[str, ...]) -> None:
    """Move the archive's folders to `out`, all of them checked first; nothing is overwritten."""
    staging = out / ".unpacking"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        extract(archive, staging)
        top = staging
        while len(inner := list(top.iterdir())) == 1 and inner[0].name not in folders:
            if not inner[0].is_dir():
                break
            top = inner[0]
        if missing := absent(top, folders, splits):
            found = ", ".join(sorted(item.name for item in inner)[:20]) or "nothing"
            wanted = f"{', '.join(missing)}, each with {', '.join(splits)}"
            cure = "is it another archive? if so delete it, and see --categories"
            raise FetchError(ARCHIVE, f"{archive}: expected {wanted}; found {found}; {cure}")
        for item in inner:
            if not (out / item.name).exists():
                os.replace(item, out / item.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def absent(root: Path, folders: tuple[str, ...], splits: tuple[str, ...]) -> list[str]:
    """The folders that are not in `root`, or lack one of their splits."""
    return [name for name in folders if not all((root / name / split).is_dir() for split in splits)]


def extract(archive: Path, folder: Path) -> None:
    """Every entry below `folder`, or FetchError at the first that is not a plain file or folder."""
    folder.mkdir()
    limit, total = shutil.disk_usage(folder).free - RESERVE, 0
    try:
        for name, kind, size, opened in tqdm(entries(archive), unit=" files", disable=None):
            path = folder / inside(archive, name, kind)
            total += size
            if total > limit:
                cure = "free some space, or choose another --out"
                raise FetchError(SPACE, f"{archive}: unpacked, over {limit / 1e6:.0f} MB; {cure}")
            if kind == "folder":
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with opened() as source, path.open("xb") as file:
                shutil.copyfileobj(source, file, CHUNK)
                if file.tell() != size:
                    raise EOFError(f"{name} is cut")
    except BROKEN as error:
        message = f"{archive}: broken archive ({error}); delete it and download it again"
        raise FetchError(ARCHIVE, message) from error


def entries(archive: Path) -> Iterator[tuple[str, str, int, Callable[[], Any]]]:
    """(name, "folder" | "file" | other, size, how to open it), in the archive's order."""
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive, "r|*") as tar:  # one pass: going back in an .xz takes minutes
            for item in tar:
                kind = "folder" if item.isdir() else "file" if item.isreg() else "a link or device"
                yield item.name, kind, item.size, partial(tar.extractfile, item)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as pack:
            for entry in pack.infolist():
                kind = "folder" if entry.is_dir() else "file"
                if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    kind = "a link or device"
                yield entry.filename, kind, entry.file_size, partial(pack.open, entry)
    else:
        raise EOFError(f"neither tar nor zip{web_page(archive)}")


def inside(archive: Path, name: str, kind: str) -> PurePosixPath:
    """The entry's name as a path that stays inside the folder it is put in."""
    path = PurePosixPath(name.replace("\\", "/"))
    absolute = path.is_absolute() or PureWindowsPath(name).drive
    problem = "has an absolute path" if absolute else "leaves the folder" * (".." in path.parts)
    if problem or kind not in ("folder", "file"):
        cure = "nothing was unpacked; get the archive from its publisher"
        raise FetchError(ARCHIVE, f"{archive}: entry {name!r} {problem or 'is ' + kind}; {cure}")
    return path
