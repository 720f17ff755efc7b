"""Pictures of the interactive figures into the notebooks: `python book/scripts/still_pictures.py`.

GitHub draws no plotly figure; it shows the picture that lies beside it in the same output. Chromium
draws them (CHROMIUM, else the one on the path). A notebook keeps to its limit: with smaller ones if
need be, then with narrower ones of its other pictures, and at last without.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import plotly
from nbformat import NotebookNode
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 500_000  # bytes of one notebook in git
AIR = 4_000  # of them that stills leave to the next sentence
WIDTH, HEIGHT = 640, 420  # pixels, of a figure that does not say
SIZES = [(600, 64), (480, 32), (400, 16), (320, 16)]  # pixels wide, colours: the first that fits
NARROW = (480, 96)  # the other pictures where nothing fits
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
MIME = "application/vnd.plotly.v1+json"


@contextmanager
def page() -> Iterator[Any]:
    """A browser's page with plotly.js in it, from the installed package."""
    path = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        tab = browser.new_page()
        tab.add_script_tag(path=Path(plotly.__file__).parent / "package_data/plotly.min.js")
        yield tab
        browser.close()


def draw(tab: Any, figure: dict[str, Any]) -> Image.Image:
    """As it is before a reader touches it; clear where the page is seen."""
    size = {"width": WIDTH, "height": figure["layout"].get("height", HEIGHT)}
    address = tab.evaluate(
        "([figure, size]) => Plotly.toImage(figure, {format: 'png', ...size})", [figure, size]
    )
    return decoded(address.split(",")[1])


def decoded(png: str) -> Image.Image:
    """base64 PNG -> RGBA."""
    return Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")


def shrunk(picture: Image.Image, width: int, colours: int) -> str:
    """base64 PNG, at most that wide and in that many colours."""
    scale = min(1.0, width / picture.width)
    size = (round(picture.width * scale), round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(colours, method=Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode() + "\n"


def add(notebook: NotebookNode, tab: Any) -> str:
    """A still beside each plotly figure, the largest that the notebook holds; says which."""
    shown = [o.data for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    moving = [data for data in shown if MIME in data]
    stills = [draw(tab, json.loads(json.dumps(data[MIME]))) for data in moving]
    others = [data for data in shown if "image/png" in data and MIME not in data]
    for size in [*SIZES, None, *SIZES[1:]]:
        if size is None:
            for data in others:
                data["image/png"] = shrunk(decoded(data["image/png"]), *NARROW)
            continue
        for data, still in zip(moving, stills, strict=True):
            data["image/png"] = shrunk(still, *size)
        if len(nbformat.writes(notebook)) < LARGEST - AIR:
            return f"{len(stills)} stills, {size[0]} pixels, {size[1]} colours"
    for data in moving:
        del data["image/png"]
    return "no stills: too large"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="chapters, without .ipynb; all if none is given")
    names = parser.parse_args().names
    with page() as tab:
        for path in sorted((ROOT / "book").glob("*.ipynb")):
            if not names or path.stem in names:
                notebook = nbformat.read(path, as_version=4)
                said = add(notebook, tab)
                path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
                print(f"{path.name}: {said}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
