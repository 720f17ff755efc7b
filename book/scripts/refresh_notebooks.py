"""Run the chapters and keep what they print: `python book/scripts/refresh_notebooks.py [NAME ...]`.

The outputs are those of plain Jupyter (LSFA_BOOK is not set) and must come out the same twice:
counts from 1, no timings, no versions. A chapter runs in an empty folder, as it does on Colab.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
import tempfile
from pathlib import Path

import first_cell
import nbformat
import still_pictures
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
    "colab": {"provenance": []},  # no accelerator: LITE's networks are small, a GPU's hours are few
}


def run(notebook: NotebookNode) -> None:
    """Execute in place; CellExecutionError for a cell that fails."""
    os.environ.pop("LSFA_BOOK", None)
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"  # the figure, and no script under it
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "book")])
    os.environ["OMP_NUM_THREADS"] = "1"  # sums in the same order everywhere
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    with tempfile.TemporaryDirectory() as empty:
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": empty}}
        ).execute()


def normalise(notebook: NotebookNode) -> None:
    """Take out what differs from run to run, and what a reader does not need."""
    notebook.metadata = nbformat.from_dict(METADATA)
    count = 0
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.metadata.pop("execution", None)
        cell.outputs = join_streams(cell.outputs)
        for output in cell.outputs:
            if output.get("name") == "stderr":
                sys.exit(f"cell {number} writes to stderr: {output.text}\n{cell.source}")
            output.pop("transient", None)
            if output.output_type == "execute_result":
                output.execution_count = count
            if "image/png" in output.get("data", {}):
                output.data.pop("text/plain", None)  # <Figure size ...>
                output.data["image/png"] = shrink(output.data["image/png"])


def join_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What a cell prints comes in pieces, cut by the clock: one piece is the same every time."""
    joined: list[NotebookNode] = []
    for output in outputs:
        before = joined[-1] if joined else {}
        if output.output_type == "stream" and before.get("name") == output.name:
            before.text += output.text
        else:
            joined.append(output)
    return joined


def shrink(png: str, width: int = 600) -> str:
    """base64 PNG -> the same, narrower and in 96 colours: a preview; the book draws its own."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    small = io.BytesIO()
    picture.quantize(96, method=Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode() + "\n"


def refresh(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    first_cell.put(notebook)
    run(notebook)
    normalise(notebook)
    with still_pictures.page() as tab:
        still_pictures.add(notebook, tab)
    text = nbformat.writes(notebook) + "\n"
    if len(text) > still_pictures.LARGEST:
        sys.exit(f"{path.name}: {len(text)} bytes with its outputs; thin the figures")
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {len(text) / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="chapters, without .ipynb; all if none is given")
    names = parser.parse_args().names
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        if not names or path.stem in names:
            refresh(path)


if __name__ == "__main__":
    main()
