"""The built book as one file to take along: `make zip`; unpack it and open index.html, no network.

The same pages give the same bytes: files in order, one date for all of them.
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "lsfa-step-by-step"
LEFT_OUT = {".buildinfo", ".nojekyll", "objects.inv"}  # for builders and servers


# browsers refuse to fetch a font ahead from the disk, and load it all the same when it is used
PRELOAD = re.compile(rb'<link rel="preload"[^>]*>')


def from_disk(path: Path) -> bytes:
    content = path.read_bytes()
    return PRELOAD.sub(b"", content) if path.suffix == ".html" else content


def pack(html: Path, target: Path) -> int:
    """Write the pages of `html` to the zip `target`; how many files it holds."""
    files = [
        path
        for path in sorted(html.rglob("*"))
        if path.is_file() and path.name not in LEFT_OUT and "reports" not in path.parts
    ]
    part = target.with_name(target.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as book:
        for path in files:
            entry = zipfile.ZipInfo(f"{NAME}/{path.relative_to(html).as_posix()}")
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            book.writestr(entry, from_disk(path))
    part.replace(target)
    return len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / f"{NAME}.zip")
    arguments = parser.parse_args()
    if not (arguments.html / "index.html").is_file():
        sys.exit(f"{arguments.html}: no index.html there; build the book first: make book")
    if not arguments.out.parent.is_dir():
        sys.exit(f"{arguments.out.parent}: no such folder to write {arguments.out.name} to")
    count = pack(arguments.html, arguments.out)
    print(f"{arguments.out}: {count} files, {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
