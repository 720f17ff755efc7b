"""The first cell of every chapter: `python book/scripts/first_cell.py` writes it into all of them.

Its version is pyproject.toml's, its address that of the pages (_config.yml, html.baseurl), beside
which `make book` puts the wheel (book/build.py).
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]

CELL = """\
# Brings the package where it is missing, as on Colab; where it is there, this does nothing.
from importlib.util import find_spec

if not find_spec("lsfa_lite"):
    import importlib
    import subprocess
    import sys

    WHEEL = "{pages}wheels/lsfa_lite-{version}-py3-none-any.whl"
    PIP = [sys.executable, "-m", "pip", "install", "-q", "--retries", "2"]
    for source in ("lsfa-lite=={version}", WHEEL):
        subprocess.run([*PIP, source], capture_output=True)
        importlib.invalidate_caches()
        if find_spec("lsfa_lite"):
            break
    try:
        from lsfa_lite import __version__ as found
    except ImportError:
        found = "none"
    if found != "{version}":

        class NotInstalled(ImportError):
            def _render_traceback_(self):  # one sentence in place of a traceback
                return [str(self)]

        raise NotInstalled(
            "lsfa-lite {version} could not be installed (there is " + found + "): see that this "
            "machine reaches the internet and run this cell again, or read what "
            "`!pip install " + WHEEL + "` says."
        )

import torch"""


def source(version: str, pages: str) -> str:
    """pages: the address of the book's pages, with a slash at its end."""
    return CELL.format(version=version, pages=pages)


def ours() -> str:
    """The cell of this checkout."""
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return source(found[1], yaml.safe_load((ROOT / "_config.yml").read_text())["html"]["baseurl"])


def put(notebook: NotebookNode) -> None:
    """Replace the first cell of code; it prints nothing, and is folded on the page."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    cell.source, cell.outputs = ours(), []
    cell.metadata["tags"] = ["hide-input"]


def main() -> None:
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        put(notebook)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
