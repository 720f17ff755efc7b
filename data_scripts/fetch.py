"""What the download scripts do, in this order: show, ask, download, check, unpack."""

from __future__ import annotations

import argparse
import errno
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from transfer import (
    ARCHIVE,
    LICENCE,
    NETWORK,
    SPACE,
    USAGE,
    FetchError,
    digest,
    download,
    need_space,
    parts_of,
    verify,
)
from unpack import absent, unpack

INTERRUPTED = 130
EPILOG = (
    "Exit codes: 0 done, 2 wrong call or address missing, 3 licence not accepted, 4 network, "
    "5 checksum, 6 not enough space, 7 archive refused or broken, 1 anything else of the system."
)

__all__ = ["NETWORK", "FetchError", "Source", "digest", "fetch", "guarded", "need_space", "parser"]


@dataclass(frozen=True)
class Source:
    """Something to download. With `folders` it is an archive that holds them, else one file."""

    name: str
    licence: str
    file: str = ""
    url: str | None = None
    checksum: str | None = None  # "md5:..." or "sha256:..."
    folders: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()  # what every one of the folders holds


def fetch(source: Source, options: argparse.Namespace) -> None:
    """Show, ask, download, check, unpack. What is there already is left alone."""
    url, out = options.url or source.url or "", options.out
    checksum = {None: source.checksum, "none": None}.get(options.checksum, options.checksum)
    show(source, url, out, checksum)
    if options.dry_run:
        print("dry run: nothing was fetched, nothing was written")
        return
    path = options.archive or out / (source.file or file_name(url))
    if there(source, path, checksum, out):
        print(f"already there: {out if source.folders else path}")
        return
    if options.archive and not path.is_file():
        raise FetchError(USAGE, f"{path}: no such file; correct --archive")
    if not url and not path.is_file():
        raise FetchError(USAGE, no_address(source))
    accept(source, options.accept_licence)
    out.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        verify(path, checksum)
    else:
        # an archive and what it holds; its exact size is known, and asked for, at unpacking
        download(url, path, checksum, copies=2 if source.folders else 1)
    if source.folders:
        unpack(path, out, source.folders, source.splits)
        if not options.archive:
            path.unlink()  # unpacked; an archive of your own stays
    print(f"done: {out if source.folders else path}")


def show(source: Source, url: str, out: Path, checksum: str | None) -> None:
    print(f"{source.name}\nlicence:  {source.licence}")
    print(f"address:  {url or 'not known to this script; give it with --url'}")
    print(f"checksum: {checksum or 'none is known; the sha256 of what arrives will be printed'}")
    print(f"folder:   {out}" + (f" ({', '.join(source.folders)})" if source.folders else ""))


def accept(source: Source, accepted: bool) -> None:
    if not accepted and sys.stdin.isatty():
        print(f'Do you accept the licence of {source.name}? Type "yes": ', end="", flush=True)
        accepted = sys.stdin.readline().strip().lower() == "yes"
    if not accepted:
        cure = "read it (above), then call again with --accept-licence"
        raise FetchError(LICENCE, f"{source.name}: licence not accepted, nothing fetched; {cure}")


def there(source: Source, path: Path, checksum: str | None, out: Path) -> bool:
    if not source.folders:
        return path.is_file() and verify(path, checksum)
    missing = absent(out, source.folders, source.splits)
    for name in missing:
        if (out / name).exists():
            splits = ", ".join(source.splits)
            raise FetchError(ARCHIVE, f"{out / name}: not complete ({splits}); move it away first")
    return not missing


def no_address(source: Source) -> str:
    return (
        f"{source.name}: the address is not known to this script; give the one that its publisher "
        "gives you with --url" + (", or a file that you have with --archive" * bool(source.folders))
    )


def file_name(url: str) -> str:
    """The last part of an address as a file name; never a path."""
    last = unquote(parts_of(url).path).rsplit("/", 1)[-1]
    name = re.sub(r"[^\w.+-]", "_", last)
    return name.lstrip(".") or "download"


def parser(description: str, out: str) -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=description, epilog=EPILOG)
    result.add_argument("--out", type=Path, default=Path(out), help=f"folder (default {out})")
    result.add_argument("--url", help="another address: a mirror, or where none is known")
    result.add_argument("--checksum", type=checksum_text, help="md5:HEX, sha256:HEX, or none")
    result.add_argument("--accept-licence", action="store_true", help="you have read and accept it")
    result.add_argument("--dry-run", action="store_true", help="show what would be done, and stop")
    result.set_defaults(archive=None)
    return result


def checksum_text(text: str) -> str:
    if not re.fullmatch(r"none|md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", text.lower()):
        raise argparse.ArgumentTypeError(f"{text!r}: expected md5:HEX, sha256:HEX, or none")
    return text.lower()


def guarded(job: Callable[[], None]) -> int:
    """Run it; errors become one line and an exit code."""
    try:
        job()
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return SPACE if error.errno == errno.ENOSPC else 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    return 0
