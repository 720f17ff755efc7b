"""The first cell of the chapters, run as on Colab: an empty Python, pip, a server nearby."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pip
import pytest
import yaml
from conftest import ROOT, load

import lsfa_lite

VERSION = lsfa_lite.__version__
WHEEL = f"lsfa_lite-{VERSION}-py3-none-any.whl"
DEAD = "http://127.0.0.1:9/"  # the port of `discard`: nobody answers
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))


first_cell = load(ROOT / "book/scripts/first_cell.py")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_chapter_starts_with_this_cell_and_asks_for_no_gpu(notebook: Path):
    content = json.loads(notebook.read_text())
    cell = next(c for c in content["cells"] if c["cell_type"] == "code")
    assert "".join(cell["source"]) == first_cell.ours(), "run book/scripts/first_cell.py"
    assert cell["outputs"] == []
    assert cell["metadata"]["tags"] == ["hide-input"]  # nobody reads an installation
    assert content["metadata"]["colab"] == {"provenance": []}
    assert "accelerator" not in content["metadata"]


def test_the_cell_is_made_of_the_two_settings():
    pages = yaml.safe_load((ROOT / "_config.yml").read_text())["html"]["baseurl"]
    assert f'"{pages}wheels/{WHEEL}"' in first_cell.ours()
    assert f'"lsfa-lite=={VERSION}"' in first_cell.ours()
    assert not re.search(r"git\+|@main|install[^\n]*torch", first_cell.ours())


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The wheel as `make book` publishes it, over http."""
    folder = tmp_path_factory.mktemp("pages")
    assert load(ROOT / "book/build.py").publish_wheel(folder).name == WHEEL
    with served(folder) as address:
        yield address


class served:
    """A folder over http, on this machine only."""

    def __init__(self, folder: Path) -> None:
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()


JUPYTER = """
import sys
try:
    exec(CELL)
    import lsfa_lite
except ImportError as error:
    sys.exit("".join(error._render_traceback_()))  # what IPython shows in place of a traceback
"""
Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The cell in a Python that has pip and a torch of no lines; then a look at the package."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (site / "pip").symlink_to(Path(pip.__file__).parent)
    target = tmp_path / "target"
    target.mkdir()
    (target / "torch.py").touch()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_DEPS": "1", "PIP_NO_COMPILE": "1"}
    environment |= {"PIP_TARGET": str(target), "PYTHONPATH": str(target)}

    def cell(pages: str, index: str = DEAD, prepare: str = "") -> subprocess.CompletedProcess:
        if prepare:
            (target / "lsfa_lite.py").write_text(prepare)
        code = JUPYTER.replace("CELL", repr(first_cell.source(VERSION, pages)))
        return subprocess.run(
            [tmp_path / "env/bin/python", "-c", code],
            env={**environment, "PIP_INDEX_URL": index},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return cell


def outcome(done: subprocess.CompletedProcess) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def test_the_wheel_beside_the_pages_is_taken_where_the_index_has_none(
    run: Run, pages: str, tmp_path: Path
):
    (tmp_path / "index").mkdir()
    with served(tmp_path / "index") as index:  # it answers, and knows no such package
        assert outcome(run(pages, index)) == (0, "", "")
    assert (tmp_path / "target/lsfa_lite/__init__.py").is_file()
    assert (tmp_path / "target/lsfa_book/__init__.py").is_file()


def test_the_list_beside_the_wheel_is_one_that_pip_reads(pages: str, tmp_path: Path):
    command = [sys.executable, "-m", "pip", "--isolated", "download", "-q", "--no-index"]
    command += ["--no-deps", "-f", f"{pages}wheels/", "-d", str(tmp_path), f"lsfa-lite=={VERSION}"]
    subprocess.run(command, check=True, env={**os.environ, "PIP_CONFIG_FILE": os.devnull})
    assert (tmp_path / WHEEL).is_file()


def stand_in(folder: Path, says: str) -> None:
    """A wheel with the right name, whose package says that it is version `says`."""
    folder.mkdir(parents=True)
    info = f"lsfa_lite-{VERSION}.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("lsfa_lite/__init__.py", f'__version__ = "{says}"\n')
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: lsfa-lite\nVersion: {VERSION}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def test_the_index_comes_first(run: Run, tmp_path: Path):
    stand_in(tmp_path / "served/lsfa-lite", VERSION)
    with served(tmp_path / "served") as index:
        assert outcome(run(DEAD, index)) == (0, "", "")


@pytest.mark.parametrize("there", ["none", "9.9"])
def test_where_nothing_came_one_sentence_says_what_to_do(run: Run, tmp_path: Path, there: str):
    """No server answers; or the wheel holds another version than its name says."""
    stand_in(tmp_path / "served/wheels", there)
    with served(tmp_path / "served") as address:
        pages = DEAD if there == "none" else address
        code, out, err = outcome(run(pages))
    assert (code, out) == (1, "")
    assert err.startswith(f"lsfa-lite {VERSION} could not be installed (there is {there}): ")
    assert "run this cell again" in err
    assert f"`!pip install {pages}wheels/{WHEEL}`" in err
    assert err.count("\n") == 1


def test_where_it_is_there_nothing_is_asked_and_nothing_said(run: Run):
    assert outcome(run(DEAD, prepare="here = True")) == (0, "", "")
