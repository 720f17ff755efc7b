"""Nothing of a licensed data set is in git: no scan, no picture, no feature, no map, no path.

What can leak, and by which rule it is found: a file copied as it is (its suffix, or that it is no
text), also one removed again (the history), also as a link; arrays written as text (base64, or long
rows of numbers); a picture in a notebook, which is as good as the files that its code opens; and
the name of a folder on somebody's machine, in a record or an output.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

# The files that are no text. One that changed is looked at by a person, who then changes its hash.
BINARY = {
    "book/static/contact-sheet.png": "8f2bd61df45ed5e5",
    "book/static/result.png": "c88fd8f14925da93",
    "lsfa_lite/features/weights/point_mae_lite.safetensors": "8079c5f5748267a2",
}
TEXT = {
    *(".py", ".pyi", ".ipynb", ".md", ".json", ".yml", ".yaml", ".toml", ".cff", ".bib", ".typed"),
    *(".txt", ".lock", ".sh", ".html", ".css", ".js", ".svg", ""),
}
MOST = {".ipynb": 500_000, ".json": 1_000_000, ".lock": 500_000}  # bytes; of any other file 100,000
DRAWN = "book/static/turning.json"  # a figure of mini3d, its points in base64

FOLDER = re.compile(r"real_(?:data|scans)|LSFA_REAL|/(?:home|mnt|media|root|Users)/\w")
BASE64 = re.compile(r"[A-Za-z0-9+/=]{1000}")
NUMBERS = re.compile(r"(?:-?\d[\d.e+-]*,\s*){100}")
# a path that the notebook did not make
OUTSIDE = re.compile(r"""["'](?:~|\.\./|/\w|[A-Za-z]:[\\/])|environ\b|getenv|Path\.home""")
EMBEDDED = re.compile(r";base64,[A-Za-z0-9+/]{100}")


def git(root: Path, *words: str) -> list[str]:
    quiet = ["git", "-C", str(root), "-c", "core.quotePath=false", *words]
    return subprocess.run(quiet, capture_output=True, text=True, check=True).stdout.splitlines()


def leaks(root: Path) -> list[str]:
    """ "path: why" for all that git holds in `root` and should not, also in its history."""
    tracked = git(root, "ls-files")
    found = [f"{name}: {why}" for name in tracked for why in faults(root / name, name)]
    for line in git(root, "rev-list", "--objects", "HEAD"):
        name = line[41:]
        if "." in Path(name).name and suffix(name) not in TEXT and name not in BINARY:
            found.append(f"{name}: in the history")
    return found


def suffix(name: str) -> str:
    return Path(name).suffix.lower()


def faults(path: Path, name: str) -> Iterator[str]:
    if path.is_symlink():
        yield "a link"
        return
    content = path.read_bytes()
    if name in BINARY:
        if hashlib.sha256(content).hexdigest()[:16] != BINARY[name]:
            yield "changed: look at it; if code of ours made it, its hash belongs in BINARY"
        return
    kind = suffix(name)
    if kind not in TEXT:
        yield f"no file of the kind {kind} belongs here"
    if len(content) > MOST.get(kind, 100_000):
        yield f"{len(content)} bytes of text"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        yield "no text"
        return
    if "\0" in text:
        yield "no text"
    # tests say where they look for real scans
    if not name.startswith("tests/") and (said := FOLDER.search(BASE64.sub("", text))):
        yield f"names {said[0]}"
    if kind == ".ipynb":
        yield from notebook(json.loads(text))
    elif name != DRAWN:
        if BASE64.search(text) or EMBEDDED.search(text):
            yield "an array or a picture in base64"
        if NUMBERS.search(text):
            yield "an array in figures"


def notebook(content: dict[str, Any]) -> Iterator[str]:
    """Its outputs are pictures and points; they are ours if its code opens what it made itself."""
    for number, cell in enumerate(content["cells"]):
        source = "".join(cell["source"])
        if cell.get("attachments") or EMBEDDED.search(source) or BASE64.search(source):
            yield f"cell {number}: a picture that no code has drawn"
        if cell["cell_type"] == "code" and (there := OUTSIDE.search(source)):
            yield f"cell {number}: opens {there[0]}..., which it has not made"
        if cell.get("outputs") and not source.strip():
            yield f"cell {number}: an output of no code"


def test_git_holds_nothing_of_a_real_part():
    try:
        (top,) = git(ROOT, "rev-parse", "--show-toplevel")
    except (OSError, subprocess.CalledProcessError, ValueError):
        pytest.skip("no checkout")
    if Path(top).resolve() != ROOT:
        pytest.skip("a copy inside another checkout")
    assert leaks(ROOT) == []


@pytest.mark.parametrize("name", [p.name for p in (ROOT / "book/lsfa_book/records").glob("*.json")])
def test_a_shipped_record_names_no_file(name: str):
    """Numbers, settings, machines; no word that could be the path of a part."""

    def words(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (word for item in node.items() for part in item for word in words(part))
        elif isinstance(node, list):
            yield from (word for part in node for word in words(part))
        elif isinstance(node, str):
            yield node

    text = (ROOT / "book/lsfa_book/records" / name).read_text()
    paths = re.compile(r"^/|\w/\w.*/\w|\.(?:png|tiff?|ply|pcd|npy)\b", re.IGNORECASE)
    assert [word for word in words(json.loads(text)) if paths.search(word)] == []


TIFF = b"II*\0\x08\0\0\0" + bytes(range(256))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PLY = b"ply\nformat ascii 1.0\nelement vertex 1\nend_header\n0.1 0.2 0.3\n"
BLOB = "QUJD" * 300


def cell(source: str, kind: str = "code", **more: Any) -> bytes:
    return json.dumps({"cells": [{"cell_type": kind, "source": [source], **more}]}).encode()


SHOWN = [{"output_type": "display_data", "data": {"image/png": BLOB}}]
PLANTS: dict[str, tuple[str, bytes, str]] = {
    "a cloud": ("000.tiff", TIFF, "no file of the kind .tiff"),
    "in capitals": ("000.TIFF", TIFF, "no file of the kind .tiff"),
    "a cloud under another name": ("notes.txt", TIFF, "no text"),
    "a cloud without a suffix": ("part", TIFF, "no text"),
    "a cloud as text": ("part.ply", PLY, "no file of the kind .ply"),
    "cached features": ("cache/1f.npy", b"\x93NUMPY" + TIFF, "no file of the kind .npy"),
    "a detector's folder": ("model/bank.safetensors", TIFF, "no file of the kind .safetensors"),
    "a list of scores": ("scores.csv", b"name,image_score\n000,1.2\n", "no file of the kind .csv"),
    "a picture in the place of ours": ("book/static/result.png", PNG, "changed: look at it"),
    "features in base64": ("rows.json", json.dumps([BLOB]).encode(), "in base64"),
    "a small picture in a page": (
        "page.md",
        f"![](data:image/png;base64,{BLOB[:200]})".encode(),
        "in base64",
    ),
    "a map in figures": ("map.json", json.dumps([0.25] * 200).encode(), "an array in figures"),
    "a large text": ("a.txt", b"0 1\n" * 30_000, "120000 bytes of text"),
    "a record with its folder": ("r.json", b'{"data": "/home/me/gland"}', "names /home/m"),
    "an output with its folder": (
        "b.ipynb",
        cell("root", outputs=[{"output_type": "stream", "text": ["/media/me/scans"]}]),
        "names /media/m",
    ),
    "a figure of the real folder": (
        "b.ipynb",
        cell("show(MVTec3D(here / 'real_data', 'gland').test[0])", outputs=SHOWN),
        "names real_data",
    ),
    "a figure of a folder elsewhere": (
        "b.ipynb",
        cell("show(MVTec3D('/data/mvtec', 'gland').test[0])", outputs=SHOWN),
        "cell 0: opens '/d",
    ),
    "a figure of a folder above": ("b.ipynb", cell("MVTec3D('../mvtec', 'x')"), "opens '../"),
    "a figure of a folder from outside": (
        "b.ipynb",
        cell("MVTec3D(os.environ['DATA'], 'x')"),
        "opens environ",
    ),
    "a picture pasted into a notebook": (
        "b.ipynb",
        cell("![a](attachment:a.png)", "markdown", attachments={"a.png": {"image/png": BLOB}}),
        "no code has drawn",
    ),
    "a picture whose code is gone": ("b.ipynb", cell("", outputs=SHOWN), "an output of no code"),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a page, a chapter and its figure, in which nothing is wrong."""
    (tmp_path / "README.md").write_text("A page.\n")
    (tmp_path / "fine.ipynb").write_bytes(cell("show(parts[0])", outputs=SHOWN))
    git(tmp_path, "init", "--quiet")
    return commit(tmp_path)


def commit(root: Path) -> Path:
    git(root, "add", "--all", "--force")
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    git(root, *who, "commit", "--quiet", "--no-verify", "--message", "a")
    return root


def test_a_clean_checkout_is_clean(checkout: Path):
    assert leaks(checkout) == []


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_planted_is_found(plant: str, checkout: Path):
    name, content, words = PLANTS[plant]
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_bytes(content)
    found = leaks(commit(checkout))
    assert {line.split(": ")[0] for line in found} == {name}
    assert any(words in line for line in found), found


def test_what_was_removed_again_is_found_in_the_history(checkout: Path):
    (checkout / "000.tiff").write_bytes(TIFF)
    commit(checkout)
    (checkout / "000.tiff").unlink()
    assert leaks(commit(checkout)) == ["000.tiff: in the history"]


def test_a_link_to_the_data_is_found(checkout: Path, tmp_path_factory: pytest.TempPathFactory):
    (checkout / "parts").symlink_to(tmp_path_factory.mktemp("real"))
    assert leaks(commit(checkout)) == ["parts: a link"]
