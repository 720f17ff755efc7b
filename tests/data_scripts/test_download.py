"""The download scripts against a server that drops, lies and hands out hostile archives."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from conftest import ROOT

from lsfa_lite.features.point_weights import find_weights

SCRIPTS = ROOT / "data_scripts"
BODY = bytes(range(256)) * 4000  # 1 MB: several blocks
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()
YES = "--accept-licence"


# ---- the server ----


class Server(ThreadingHTTPServer):
    """Hands out `files`; `drops`: how many answers end half-way; `ranges`: heeds Range or not."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.drops, self.ranges, self.length, self.etag = 0, True, True, '"first"'
        self.errors: list[int] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.server.asked.append((self.path, None))
        self.send_error(404)

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((self.path, wanted))
        body = server.files.get(self.path.lstrip("/"))
        if body is None or server.errors:
            self.send_error(server.errors.pop(0) if server.errors else 404)
            return
        same = self.headers.get("If-Range") in (None, server.etag)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and same else 0
        start = start if server.ranges else 0
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.length:
            self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", server.etag)
        self.end_headers()
        stop = len(body)
        if server.drops:
            server.drops, stop = server.drops - 1, start + (len(body) - start) // 2
        self.wfile.write(body[start:stop])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """script("weights") -> the module data_scripts/download_weights.py."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(importlib.import_module("transfer"), "WAIT", 0)

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"download_{name}")

    return load


@pytest.fixture
def weights(script, server, tmp_path):
    """Point-MAE's script, told to fetch BODY from the server; returns the exit code."""

    def run(*more: str, name: str = "pretrain.pth", checksum: str = SHA256) -> int:
        place = ["--out", str(tmp_path), "--url", server.url(name), "--checksum", checksum]
        return script("weights").main(["point-mae", *place, *more])

    server.files["pretrain.pth"] = BODY
    return run


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ---- one file ----


def test_a_dropped_connection_is_taken_up_where_it_ended(weights, server, tmp_path) -> None:
    server.drops = 2
    assert weights(YES) == 0
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY
    assert names(tmp_path) == ["pretrain.pth"]
    assert [wanted for _, wanted in server.asked] == [
        None,
        f"bytes={len(BODY) // 2}-",
        f"bytes={len(BODY) * 3 // 4}-",
    ]


def test_the_next_call_goes_on_and_the_one_after_does_nothing(weights, server, tmp_path, capsys):
    server.files["pretrain.pth"], server.drops, server.ranges = BODY, 100, False
    assert weights(YES) == 4  # no progress: it gives up, with what it has
    assert "the same command goes on from there" in capsys.readouterr().err
    assert names(tmp_path) == ["pretrain.pth.part", "pretrain.pth.part.from"]
    server.drops, server.ranges = 0, True
    server.asked.clear()
    assert weights(YES) == 0
    assert server.asked == [("/pretrain.pth", f"bytes={len(BODY) // 2}-")]
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY
    server.asked.clear()
    assert weights() == 0  # nothing to fetch: nothing to accept
    assert server.asked == []
    assert "already there" in capsys.readouterr().out


def test_a_server_that_ignores_range_is_read_from_the_start(weights, server, tmp_path) -> None:
    server.drops, server.ranges = 2, False
    assert weights(YES) == 0
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY
    assert server.asked[1][1] is not None


def part_of(tmp_path: Path, start: bytes, note: str) -> None:
    (tmp_path / "pretrain.pth.part").write_bytes(start)
    (tmp_path / "pretrain.pth.part.from").write_text(note)


def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old(weights, server, tmp_path):
    part_of(tmp_path, b"old" * 1000, server.url("pretrain.pth") + '\n"older"')
    assert weights(YES) == 0
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY


def test_a_part_from_another_address_is_not_used(weights, server, tmp_path) -> None:
    part_of(tmp_path, b"other" * 1000, server.url("elsewhere") + '\n"first"')
    assert weights(YES) == 0
    assert server.asked == [("/pretrain.pth", None)]
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY


def test_a_part_that_is_complete_is_only_checked(weights, server, tmp_path) -> None:
    part_of(tmp_path, BODY, server.url("pretrain.pth") + '\n"first"')
    assert weights(YES) == 0
    assert names(tmp_path) == ["pretrain.pth"]
    assert server.asked == [("/pretrain.pth", f"bytes={len(BODY)}-")]


def test_a_part_that_is_too_long_is_fetched_anew(weights, server, tmp_path) -> None:
    part_of(tmp_path, BODY + b"more", server.url("pretrain.pth") + '\n"first"')
    assert weights(YES) == 0
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY


def test_a_wrong_file_is_named_with_both_sums_and_never_finished(weights, server, tmp_path, capsys):
    page = b"<html>please log in</html>"
    server.files["pretrain.pth"] = page
    assert weights(YES) == 5
    error = capsys.readouterr().err
    assert SHA256.removeprefix("sha256:") in error
    assert hashlib.sha256(page).hexdigest() in error
    assert "looks like a web page" in error
    assert names(tmp_path) == ["pretrain.pth.wrong"]


def test_a_wrong_file_that_is_there_already_is_left_and_reported(weights, server, tmp_path, capsys):
    (tmp_path / "pretrain.pth").write_bytes(b"mine")
    assert weights(YES) == 5
    assert hashlib.sha256(b"mine").hexdigest() in capsys.readouterr().err
    assert names(tmp_path) == ["pretrain.pth"]
    assert server.asked == []


def test_without_a_known_checksum_the_sum_is_printed(weights, server, tmp_path, capsys) -> None:
    assert weights(YES, checksum="none") == 0
    printed = capsys.readouterr().out
    assert "none is known, so nothing was compared" in printed
    assert SHA256.removeprefix("sha256:") in printed


def test_without_length_only_a_known_checksum_tells_that_it_is_complete(
    weights, server, tmp_path, capsys
) -> None:
    server.length = False
    assert weights(YES, checksum="none") == 4
    assert "a cut file goes unseen" in capsys.readouterr().err
    assert names(tmp_path) == []
    assert weights(YES) == 0
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY


def test_a_length_that_is_no_number_is_no_length(script) -> None:
    answer = SimpleNamespace(status=200, headers={"Content-Length": "abc"})
    assert importlib.import_module("transfer").span(answer, 0, Path("x")) == (0, None)


def test_a_note_that_is_damaged_is_no_note(weights, tmp_path) -> None:
    (tmp_path / "pretrain.pth.part").write_bytes(BODY[:1000])
    (tmp_path / "pretrain.pth.part.from").write_bytes(b"\xff\xfe\n\xff")
    assert weights(YES) == 0
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY


def test_an_unreadable_address_of_an_archive_is_named(script, tmp_path, capsys) -> None:
    assert script("mvtec3d").main(["--out", str(tmp_path), "--url", "http://[a", YES]) == 2
    assert "http://[a: no address" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_is_refused(bagel, server, tmp_path, kind, capsys) -> None:
    buffer, entry = io.BytesIO(), tarfile.TarInfo("top/bagel/train/device")
    entry.type = kind
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(entry)
    server.files["bagel.tar"] = buffer.getvalue()
    assert bagel("bagel.tar") == 7
    assert "is a link or device" in capsys.readouterr().err
    assert not (tmp_path / "safe" / "data" / "bagel").exists()


def test_404_is_an_error_at_once(weights, server, tmp_path, capsys) -> None:
    assert weights(YES, name="missing.pth") == 4
    error = capsys.readouterr().err
    assert "missing.pth" in error
    assert "404" in error
    assert "--url" in error
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_a_busy_server_is_asked_again(weights, server, tmp_path) -> None:
    server.errors = [503, 429]
    assert weights(YES) == 0
    assert len(server.asked) == 3
    assert (tmp_path / "pretrain.pth").read_bytes() == BODY


def test_a_server_that_is_not_there(script, tmp_path, capsys) -> None:
    place = ["--out", str(tmp_path), "--url", "http://127.0.0.1:1/pretrain.pth"]
    assert script("weights").main(["point-mae", *place, YES]) == 4
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://a/b", "pretrain.pth", "http://a b", "http://[a"]
)
def test_only_http_addresses(script, tmp_path, url: str) -> None:
    assert script("weights").main(["point-mae", "--out", str(tmp_path), "--url", url, YES]) == 2
    assert names(tmp_path) == []


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, free))


def test_a_full_disk_is_seen_before_the_first_byte(weights, tmp_path, monkeypatch, capsys) -> None:
    disk(monkeypatch, 256 * 2**20 + len(BODY) - 1)
    assert weights(YES) == 6
    error = capsys.readouterr().err
    assert str(tmp_path) in error
    assert "MB are free" in error
    assert names(tmp_path) == []
    disk(monkeypatch, 256 * 2**20 + len(BODY))
    assert weights(YES) == 0


def test_dry_run_writes_nothing_and_asks_nobody(weights, server, tmp_path, capsys) -> None:
    assert weights("--dry-run", YES) == 0
    printed = capsys.readouterr().out
    assert "MIT" in printed
    assert SHA256 in printed
    assert server.url("pretrain.pth") in printed
    assert server.asked == []
    assert names(tmp_path) == []


def test_the_network_goes_where_the_package_looks_for_it(
    script, server, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("LSFA_WEIGHTS", str(tmp_path / "mine"))
    server.files["pretrain.pth"] = BODY
    place = ["--url", server.url("pretrain.pth"), "--checksum", SHA256]
    assert script("weights").main(["point-mae", *place, YES]) == 0
    monkeypatch.chdir(tmp_path)
    assert find_weights("pretrain.pth").read_bytes() == BODY
    assert names(tmp_path / "mine") == ["pretrain.pth"]


def test_no_licence_no_download(weights, server, tmp_path, capsys) -> None:
    assert weights() == 3
    printed = capsys.readouterr()
    assert "licence:  MIT" in printed.out
    assert "--accept-licence" in printed.err
    assert server.asked == []
    assert names(tmp_path) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("yes\n", 0), ("no\n", 3), ("y\n", 3), ("", 3)])
def test_yes_may_be_typed_on_a_terminal(weights, server, monkeypatch, typed, code) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert weights() == code
    assert len(server.asked) == (code == 0)


# ---- archives ----

GOOD = {
    "top/bagel/train/good/rgb/000.png": b"picture",
    "top/bagel/validation/good/rgb/000.png": b"picture",
    "top/bagel/test/hole/gt/000.png": b"mask",
    "top/bagel/calibration/camera_parameters.json": b"{}",
    "top/readme.txt": b"read me",
}


def pack_tar(files: dict[str, bytes], mode: str, links: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return buffer.getvalue()


def pack_zip(files: dict[str, bytes], links: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, body in files.items():
            zipped.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
        for name, target in links.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            zipped.writestr(entry, target)
    return buffer.getvalue()


def pack(kind: str, files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    if kind == "zip":
        return pack_zip(files, links or {})
    return pack_tar(files, {"tar": "w", "tar.xz": "w:xz", "tar.gz": "w:gz"}[kind], links or {})


@pytest.fixture
def bagel(script, server, tmp_path):
    """MVTec's script for one category; the folder it may write in is tmp_path/safe/data."""

    def run(name: str, *more: str, checksum: str = "none") -> int:
        what = ["--categories", "bagel", "--url", server.url(name), "--checksum", checksum]
        out = ["--out", str(tmp_path / "safe" / "data")]
        return script("mvtec3d").main([*what, *out, YES, *more])

    return run


@pytest.mark.parametrize("kind", ["tar", "tar.xz", "tar.gz", "zip"])
def test_a_good_archive_ends_in_the_layout_and_a_second_call_does_nothing(
    bagel, server, tmp_path, kind, capsys
) -> None:
    name = f"bagel.{kind}"
    server.files[name] = pack(kind, GOOD)
    server.drops = 1
    known = "md5:" + hashlib.md5(server.files[name]).hexdigest()
    assert bagel(name, checksum=known) == 0
    data = tmp_path / "safe" / "data"
    found = {p.relative_to(data).as_posix(): p.read_bytes() for p in data.rglob("*") if p.is_file()}
    assert found == {key.removeprefix("top/"): body for key, body in GOOD.items()}
    server.asked.clear()
    capsys.readouterr()
    assert bagel(name, checksum=known) == 0
    assert server.asked == []
    assert "already there" in capsys.readouterr().out


HOSTILE = {
    "escape": ("../../evil.txt", "leaves the folder"),
    "hidden": ("top/bagel/../../../../evil.txt", "leaves the folder"),
    "windows": ("..\\..\\evil.txt", "leaves the folder"),
    "drive": ("C:\\evil.txt", "absolute path"),
}


@pytest.mark.parametrize("kind", ["tar", "tar.xz", "zip"])
@pytest.mark.parametrize("way", [*HOSTILE, "absolute", "link"])
def test_a_hostile_archive_is_refused_and_nothing_is_written(
    bagel, server, tmp_path, kind, way, capsys
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    files, links = dict(GOOD), {}
    if way == "link":
        links, problem = {"top/bagel/train/door": str(outside)}, "is a link"
    elif way == "absolute":
        files[str(outside / "evil.txt")], problem = b"evil", "absolute path"
    else:
        entry, problem = HOSTILE[way]
        files[entry] = b"evil"
    name = f"bagel.{kind}"
    server.files[name] = pack(kind, files, links)
    assert bagel(name) == 7
    error = capsys.readouterr().err
    assert problem in error
    assert name in error
    assert names(tmp_path) == ["outside", "safe", "safe/data", f"safe/data/{name}"]


def test_a_python_without_tarfile_s_filter_is_told_so(
    bagel, server, tmp_path, monkeypatch, capsys
) -> None:
    server.files["bagel.tar"] = pack("tar", GOOD)
    monkeypatch.delattr(tarfile, "data_filter")
    assert bagel("bagel.tar") == 2
    assert "update to Python 3.10.12" in capsys.readouterr().err
    assert names(tmp_path / "safe" / "data") == ["bagel.tar"]


def test_a_hard_link_is_refused(bagel, server, tmp_path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        door = tarfile.TarInfo("bagel/door")
        door.type, door.linkname = tarfile.LNKTYPE, "/etc/hostname"
        tar.addfile(door)
    server.files["hard.tar"] = buffer.getvalue()
    assert bagel("hard.tar") == 7
    assert names(tmp_path / "safe" / "data") == ["hard.tar"]


@pytest.mark.parametrize("kind", ["tar.xz", "zip"])
def test_an_archive_that_swells_beyond_the_disk_is_refused(
    bagel, server, tmp_path, kind, monkeypatch, capsys
) -> None:
    bomb = {**GOOD, "top/bagel/zeros": bytes(20_000_000)}
    name = f"bagel.{kind}"
    server.files[name] = pack(kind, bomb)
    assert len(server.files[name]) < 100_000
    disk(monkeypatch, 256 * 2**20 + 10_000_000)
    assert bagel(name) == 6
    assert "unpacked" in capsys.readouterr().err
    assert names(tmp_path / "safe" / "data") == [name]


def test_the_space_for_unpacking_is_asked_before_the_download(
    bagel, server, tmp_path, monkeypatch
) -> None:
    server.files["bagel.tar"] = pack("tar", GOOD)
    disk(monkeypatch, 256 * 2**20 + int(1.5 * len(server.files["bagel.tar"])))
    assert bagel("bagel.tar") == 6
    assert names(tmp_path / "safe" / "data") == []


@pytest.mark.parametrize("kind", ["tar.xz", "tar.gz", "zip"])
def test_a_cut_archive_leaves_no_folder(bagel, server, tmp_path, kind, capsys) -> None:
    noise = {"top/bagel/train/noise": os.urandom(50_000), **GOOD}
    server.files[f"bagel.{kind}"] = pack(kind, noise)[:20_000]
    assert bagel(f"bagel.{kind}") == 7
    assert "broken archive" in capsys.readouterr().err
    assert names(tmp_path / "safe" / "data") == [f"bagel.{kind}"]


def test_a_damaged_zip_is_seen_by_its_own_sum(bagel, server, tmp_path) -> None:
    body = bytearray(pack("zip", {**GOOD, "top/bagel/noise": os.urandom(50_000)}))
    body[len(body) // 2] ^= 1
    server.files["bagel.zip"] = bytes(body)
    assert bagel("bagel.zip") == 7
    assert names(tmp_path / "safe" / "data") == ["bagel.zip"]


def test_a_page_instead_of_an_archive(bagel, server, capsys) -> None:
    server.files["bagel.tar.xz"] = b"<!doctype html><p>Fill in this form"
    assert bagel("bagel.tar.xz") == 7
    assert "looks like a web page" in capsys.readouterr().err


def test_another_layout_is_named(bagel, server, tmp_path, capsys) -> None:
    server.files["x.zip"] = pack("zip", {"top/carrot/train/a": b"", "top/tire/train/a": b""})
    assert bagel("x.zip") == 7
    error = capsys.readouterr().err
    assert "expected bagel, each with train, validation, test; found carrot, tire" in error
    assert names(tmp_path / "safe" / "data") == ["x.zip"]


def test_what_lies_in_the_folder_is_not_overwritten(bagel, server, tmp_path, capsys) -> None:
    data = tmp_path / "safe" / "data"
    (data / "bagel" / "train").mkdir(parents=True)
    server.files["bagel.zip"] = pack("zip", GOOD)
    assert bagel("bagel.zip") == 7
    assert "move it away first" in capsys.readouterr().err
    assert server.asked == []
    shutil.rmtree(data / "bagel")
    (data / "readme.txt").write_text("mine")
    assert bagel("bagel.zip") == 0
    assert (data / "readme.txt").read_text() == "mine"


def test_what_a_killed_unpacking_left_is_cleared(bagel, server, tmp_path) -> None:
    left = tmp_path / "safe" / "data" / ".unpacking" / "bagel"
    left.mkdir(parents=True)
    server.files["bagel.zip"] = pack("zip", GOOD)
    assert bagel("bagel.zip") == 0
    assert not left.parent.exists()


# ---- the three scripts ----


def test_mvtec_asks_for_an_address_and_holds_the_archive_to_its_md5(
    script, server, tmp_path, capsys
) -> None:
    main = script("mvtec3d").main
    assert main(["--out", str(tmp_path), YES]) == 2
    printed = capsys.readouterr()
    assert "CC BY-NC-SA 4.0" in printed.out
    assert "address is not known" in printed.err
    assert "--url" in printed.err
    server.files["a.tar.xz"] = pack("tar.xz", GOOD)
    assert main(["--out", str(tmp_path), YES, "--url", server.url("a.tar.xz")]) == 5
    assert "expected d8bb2800fbf3ac88e798da6ae10dc819" in capsys.readouterr().err
    assert names(tmp_path) == ["a.tar.xz.wrong"]


def test_eyecandies_knows_neither_address_nor_checksum_nor_licence(
    script, server, tmp_path, capsys
) -> None:
    main = script("eyecandies").main
    assert main(["--out", str(tmp_path), YES]) == 2
    printed = capsys.readouterr()
    assert "licence:  not recorded here" in printed.out
    assert "checksum: none is known" in printed.out
    assert "address is not known" in printed.err
    splits = [f"Lollipop/{split}/data/00_depth.png" for split in ("train", "val", "test_public")]
    server.files["sweets.zip"] = pack("zip", dict.fromkeys(splits, b"depth"))
    here = ["--out", str(tmp_path), "--categories", "Lollipop"]
    assert main([*here, "--url", server.url("sweets.zip"), YES]) == 0
    found = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.png"))]
    assert found == sorted(splits)
    assert main(here) == 0  # already there


def test_an_archive_of_your_own_is_unpacked_and_kept(script, tmp_path) -> None:
    mine = tmp_path / "mine.tar.gz"
    mine.write_bytes(pack("tar.gz", GOOD))
    one = ["--out", str(tmp_path / "data"), "--archive", str(mine), "--categories", "bagel"]
    assert script("mvtec3d").main([*one, YES]) == 5  # the known md5 is of the whole archive
    assert script("mvtec3d").main([*one, "--checksum", "none", YES]) == 0
    assert mine.exists()
    assert (tmp_path / "data/bagel/test/hole/gt/000.png").read_bytes() == b"mask"
    missing = ["--out", str(tmp_path / "more"), "--archive", str(tmp_path / "none.zip")]
    assert script("mvtec3d").main([*missing, YES]) == 2


def test_the_published_point_weights_are_the_ones_the_package_names(script, capsys) -> None:
    from lsfa_lite.features.point_weights import PUBLISHED, PUBLISHED_SHA256

    assert script("weights").main(["point-mae", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert PUBLISHED in printed
    assert f"sha256:{PUBLISHED_SHA256}" in printed


@pytest.mark.parametrize("text", ["sha256:abc", "d8bb2800fbf3ac88e798da6ae10dc819", "crc:00"])
def test_a_checksum_that_is_none_is_refused(script, text, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        script("mvtec3d").main(["--checksum", text])
    assert stop.value.code == 2
    assert "expected md5:HEX, sha256:HEX, or none" in capsys.readouterr().err


def test_dino_asks_first_and_a_hub_without_it_is_one_clear_error(server, tmp_path) -> None:
    """In a process of its own: the hub's client reads its address once, when it is imported."""
    here = {
        "HF_HOME": str(tmp_path / "hub"),
        "PYTHONPATH": f"{SCRIPTS}{os.pathsep}{SCRIPTS.parent}",
    }
    program = (
        "import sys, download_weights as script\n"
        "call = ['dino', '--url', sys.argv[1]]\n"
        "for more in ['--dry-run'], [], ['--accept-licence']:\n"
        "    print('code', script.main(call + more), flush=True)"
    )
    hub = server.url("hub")
    done = subprocess.run(
        [sys.executable, "-c", program, hub],
        env={**os.environ, **here},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert re.findall(r"code (\d)", done.stdout) == ["0", "3", "4"], done.stderr
    assert "Apache-2.0" in done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: DINO")]
    assert len(errors) == 2  # not accepted; not found
    assert "nothing fetched" in errors[0]
    assert any(path.startswith("/hub/timm/vit_base_patch8_224.dino/") for path, _ in server.asked)
