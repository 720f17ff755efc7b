"""Resumable download and checksum: url -> NAME.part -> NAME, once it is complete and fits."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import ssl
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import Request, urlopen

from tqdm.auto import tqdm

# exit codes of the scripts; 2 is argparse's too
USAGE, LICENCE, NETWORK, CHECKSUM, SPACE, ARCHIVE = 2, 3, 4, 5, 6, 7
TRIES, WAIT, TIMEOUT = 5, 2.0, 30.0  # tries without progress; seconds between them; per answer
CHUNK = 2**17  # bytes
RESERVE = 256 * 2**20  # bytes of the disk that stay free
DROPPED = (URLError, ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)


class FetchError(Exception):
    """What went wrong, where, and the cure; `code` is the exit code of the script."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


def download(url: str, path: Path, checksum: str | None, copies: int = 1) -> None:
    """url -> path, through path.part. Space is asked for `copies` of the file."""
    if parts_of(url).scheme not in ("http", "https") or re.search(r"\s", url):
        raise FetchError(USAGE, f"{url}: not an http(s) address; correct --url")
    part, best, left, complete = path.with_name(path.name + ".part"), 0, TRIES, False
    while not complete:
        try:
            complete = receive(url, part, copies, checksum is not None)
            reason = "the connection was closed early"
        except DROPPED as error:
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
        size = part.stat().st_size if part.exists() else 0
        left = TRIES if size > best else left - 1
        best = max(best, size)
        if not complete and not left:
            cure = f"{size} bytes are kept; the same command goes on from there, later"
            raise FetchError(NETWORK, f"{url}: {reason}; {cure}, or give another --url")
        if not complete:
            print(f"{reason}; going on at byte {size} in {WAIT:g} s", file=sys.stderr)
            time.sleep(WAIT)
    try:
        verify(part, checksum, wrong=path.with_name(path.name + ".wrong"))
        os.replace(part, path)
    finally:
        if not part.exists():  # else it was interrupted, and the part can still be used
            note_of(part).unlink(missing_ok=True)


def parts_of(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise FetchError(USAGE, f"{url}: no address ({error}); correct --url") from error


def receive(url: str, part: Path, copies: int, checked: bool) -> bool:
    """One request that goes on where `part` ends; True if the file is complete then."""
    headers = {"User-Agent": "lsfa-lite data_scripts"}
    have, version = resume_point(url, part)
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": version} if version else {})
    response = ask(Request(url, headers=headers), part, have)
    if response is None:
        return True
    with response:
        start, total = span(response, have, part)
        if total is None and not checked:
            cure = "give its --checksum, or another --url"
            raise FetchError(NETWORK, f"{url}: without a length, a cut file goes unseen; {cure}")
        need_space(part.parent, (total or 0) * copies - start, part.stem)
        if start == 0:
            tag, date = response.headers.get("ETag", "W/"), response.headers.get("Last-Modified")
            note_of(part).write_text(f"{url}\n{(date or '') if tag.startswith('W/') else tag}")
        bar = progress(part.stem, total, start)
        with bar, part.open("ab" if start else "wb") as file:
            while block := response.read(CHUNK):
                bar.update(file.write(block))
            return total is None or file.tell() == total


def note_of(part: Path) -> Path:
    """Holds the address and the version (ETag or date) that `part` comes from."""
    return part.with_name(part.name + ".from")


def resume_point(url: str, part: Path) -> tuple[int, str]:
    """Bytes at hand from this address, and their version. Never mixes two addresses."""
    note = note_of(part)
    if not part.is_file() or not note.is_file():
        return 0, ""
    address, _, version = note.read_text(errors="replace").partition("\n")
    return (part.stat().st_size, version) if address == url else (0, "")


def ask(request: Request, part: Path, have: int) -> Any:
    """The server's answer; None if it says that `have` bytes are all there is."""
    try:
        return urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{have}":
            return None
        if error.code == 416:
            part.unlink(missing_ok=True)
        if error.code in (408, 416, 429) or error.code >= 500:  # may go away by itself
            raise ConnectionError(f"the server answers {error.code} {error.reason}") from error
        cure = "check the address, or give another with --url"
        message = f"{request.full_url}: the server answers {error.code} {error.reason}; {cure}"
        raise FetchError(NETWORK, message) from error


def span(response: Any, have: int, part: Path) -> tuple[int, int | None]:
    """First byte of the answer (0 if the server ignores Range) and the length of the whole file."""
    if response.status != 206:
        length = response.headers.get("Content-Length")
        return 0, int(length) if length and length.isdecimal() else None
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != have:
        part.unlink(missing_ok=True)
        raise ConnectionError("the server sends another range than was asked")
    return have, int(found[2])


def need_space(folder: Path, size: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if size + RESERVE > free:
        needs = f"{what} needs {size / 1e6:.0f} MB and {RESERVE / 1e6:.0f} MB to spare"
        cure = "free some space, or choose another --out"
        raise FetchError(SPACE, f"{folder}: {needs}, {free / 1e6:.0f} MB are free; {cure}")


def progress(name: str, total: int | None, initial: int = 0) -> tqdm:
    """A bar in bytes; silent where there is no terminal."""
    return tqdm(desc=name, total=total, initial=initial, unit="B", unit_scale=True, disable=None)


def digest(path: Path, algorithm: str) -> str:
    total = hashlib.new(algorithm, usedforsecurity=False)
    with progress(algorithm, path.stat().st_size) as bar, path.open("rb") as file:
        while block := file.read(CHUNK):
            total.update(block)
            bar.update(len(block))
    return total.hexdigest()


def verify(path: Path, checksum: str | None, wrong: Path | None = None) -> bool:
    """True if the sum fits, or if none is known. A file that does not fit is renamed to `wrong`."""
    algorithm, _, expected = (checksum or "sha256:").partition(":")
    found = digest(path, algorithm)
    if not expected:
        print(f"checksum: none is known, so nothing was compared; sha256 of {path.name}: {found}")
        return True
    if found == expected:
        print(f"checksum: {algorithm} fits")
        return True
    if wrong:
        os.replace(path, wrong)
    cure = "delete it and fetch it elsewhere; if you trust it, give its sum with --checksum"
    message = f"{algorithm} is {found}, expected {expected}{web_page(wrong or path)}; {cure}"
    raise FetchError(CHECKSUM, f"{wrong or path}: wrong file: {message}")


def web_page(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(200).lstrip()
    return " (it looks like a web page, not like the file)" if start.startswith(b"<") else ""
