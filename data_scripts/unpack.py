"""Safe unpacking: in OUT/.unpacking; the folders move to OUT when all of it was found good."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from tqdm.auto import tqdm
from transfer import ARCHIVE, RESERVE, SPACE, USAGE, FetchError, web_page

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
    if not hasattr(tarfile, "data_filter"):
        cure = "update to Python 3.10.12, 3.11.4, or later"
        raise FetchError(USAGE, f"this Python's tarfile cannot unpack safely; {cure}")
    folder.mkdir()
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive, "r|*") as tar:  # going back in an .xz takes minutes
                tar.extractall(folder, plain(archive, tar, folder), filter="data")
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as pack:
                pack.extractall(folder, plain(archive, pack.infolist(), folder))
        else:
            raise EOFError(f"neither tar nor zip{web_page(archive)}")
    except BROKEN as error:
        message = f"{archive}: broken archive ({error}); delete it and download it again"
        raise FetchError(ARCHIVE, message) from error


def plain(archive: Path, entries: Iterable[Any], folder: Path) -> Iterator[Any]:
    """The entries one by one, as long as they are what a data set holds and fit on the disk.

    What tarfile's filter and zipfile would mend in silence, or allow inside the folder, is refused:
    an honest archive has neither links nor names that lead elsewhere, on any system.
    """
    limit, total = shutil.disk_usage(folder).free - RESERVE, 0
    for entry in tqdm(entries, unit=" files", disable=None):
        if isinstance(entry, tarfile.TarInfo):
            name, size, usual = entry.name, entry.size, entry.isreg() or entry.isdir()
        else:
            name, size = entry.filename, entry.file_size
            usual = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
        path = PurePosixPath(name.replace("\\", "/"))
        absolute = path.is_absolute() or PureWindowsPath(name).drive
        problem = "has an absolute path" if absolute else "leaves the folder" * (".." in path.parts)
        if problem or not usual:
            cure = "nothing was unpacked; get the archive from its publisher"
            problem = problem or "is a link or device"
            raise FetchError(ARCHIVE, f"{archive}: entry {name!r} {problem}; {cure}")
        total += size
        if total > limit:
            cure = "free some space, or choose another --out"
            raise FetchError(SPACE, f"{archive}: unpacked, over {limit / 1e6:.0f} MB; {cure}")
        yield entry
