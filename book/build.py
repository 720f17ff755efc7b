"""Build the book: `python book/build.py`; the pages lie in _build/html.

Three things that `jupyter-book build` alone would get wrong: its cache does not notice changes
in the package and would publish old numbers; a page may be missing although the build ended well;
the error of a failing cell hides in a report file. And beside the pages goes the wheel that the
first cell of every chapter installs where the package is missing (book/scripts/first_cell.py).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
STRICT = ["-W", "-n", "--keep-going"]  # warnings as errors, missing links too, all of them at once


def pages(node: Any) -> Iterator[str]:
    """Every page of _toc.yml, in order."""
    if isinstance(node, list):
        for item in node:
            yield from pages(item)
    elif isinstance(node, dict):
        for key in ("root", "file"):
            if key in node:
                yield node[key]
        for key in ("parts", "chapters", "sections"):
            yield from pages(node.get(key, []))


def fingerprint(files: list[Path]) -> str:
    """One hash over the names and contents of `files`, and over every installed package."""
    digest = hashlib.sha256()
    for path in sorted(files):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    installed = {f"{d.metadata['Name']}=={d.version}" for d in distributions()}
    digest.update("\n".join(sorted(installed)).encode())
    return digest.hexdigest()


def drop_stale_caches() -> None:
    """Outputs depend on the package; pages also on the tests that they name and on our scripts."""
    package = [*(ROOT / "lsfa_lite").rglob("*"), *(ROOT / "book" / "lsfa_book").rglob("*")]
    frame = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "book" / "_ext").glob("*.py")]
    for folder, files in ((".jupyter_cache", package), (".doctrees", package + frame)):
        mark, now = BUILD / f"{folder[1:]}.sha256", fingerprint(files)
        if not mark.is_file() or mark.read_text() != now:
            shutil.rmtree(BUILD / folder, ignore_errors=True)
            BUILD.mkdir(exist_ok=True)
            mark.write_text(now)


def build() -> int:
    paths = [str(ROOT), str(ROOT / "book"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "LSFA_BOOK": "1",  # lsfa_book.figures draws for the book
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    start = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "build", "book"]
    command += ["--config", "_config.yml", "--path-output", ".", *STRICT]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def report_failures() -> None:
    for log in sorted((BUILD / "html" / "reports").rglob("*.log")):
        sys.stderr.write(f"\n--- {log.name}\n{log.read_text()}\n")


def missing_pages() -> list[str]:
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    return [page for page in pages(toc) if not (BUILD / "html" / f"{page}.html").is_file()]


def publish_wheel(pages: Path) -> Path:
    """The package, built into wheels/ beside the pages; a list for `pip --find-links` with it."""
    folder = pages / "wheels"
    for stale in (folder, ROOT / "build"):  # setuptools would pack what lies in an old build/
        shutil.rmtree(stale, ignore_errors=True)
    command = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    (wheel,) = folder.glob("lsfa_lite-*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    link = f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>'
    (folder / "index.html").write_text(f"<!doctype html><title>Wheels</title>{link}\n")
    return wheel


def main() -> int:
    drop_stale_caches()
    shutil.rmtree(BUILD / "html" / "reports", ignore_errors=True)
    code = build()
    report_failures()
    missing = missing_pages()
    if missing:
        sys.stderr.write(f"not in the built book: {', '.join(missing)}\n")
    if code or missing:
        # without this, the next build would skip the pages that warned, and pass
        shutil.rmtree(BUILD / ".doctrees", ignore_errors=True)
        return code or 1
    publish_wheel(BUILD / "html")
    sys.stdout.write(f"The book is in {BUILD / 'html' / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
