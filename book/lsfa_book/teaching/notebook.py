"""A notebook as data: its cells, the exercises in them, and the file it came from."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsfa_lite.data.files import written_beside
from lsfa_lite.errors import LSFAError

Cell = dict[str, Any]
LARGEST = 50_000_000  # bytes of a file
FOLDED = re.compile(r"<details>.*?</details>\n*", re.DOTALL)


@dataclass(frozen=True)
class Ask:
    """An exercise in a cell: its name, "chapter/short", and the Python expression of the answer"""

    name: str
    answer: str


def read(path: Path) -> dict[str, Any]:
    """A notebook of format 4. Raises ValueError that names the file and says what is wrong."""
    try:
        if path.stat().st_size > LARGEST:
            raise OSError(f"it has more than {LARGEST / 1e6:g} MB")
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise LSFAError(f"{path}: not a notebook that can be read ({error})") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(_is_cell(cell) for cell in cells):
        raise LSFAError(f"{path}: expected a notebook of format 4, with a list of cells")
    return notebook


def write(path: Path, notebook: dict[str, Any]) -> None:
    """Beside and renamed, in the layout that Jupyter itself writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as temporary:
        text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def source(cell: Cell) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def markdown(text: str, **metadata: Any) -> Cell:
    return {"cell_type": "markdown", "metadata": metadata, "source": text.splitlines(keepends=True)}


def plain(code: str) -> str:
    """Code without what only IPython understands: each such line becomes `pass`."""
    if code.lstrip().startswith("%%"):
        return "pass\n"
    return re.sub(r"^([ \t]*)[%!?].*$", r"\1pass", code, flags=re.MULTILINE)


def asks(code: str) -> list[Ask]:
    """The checks of a cell, those inside `print(...)` too; none if it does not compile."""
    try:
        tree = ast.parse(plain(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [ask for statement in tree.body for ask in _asks(statement)]


def is_check(statement: ast.stmt) -> bool:
    """Is it nothing but a call of `check`?"""
    return isinstance(statement, ast.Expr) and any(_asks(statement))


def _asks(statement: ast.stmt) -> Iterator[Ask]:
    for node in ast.walk(statement):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if named and node.func.id == "check" and len(node.args) > 1:  # type: ignore[attr-defined]
            name, answer = node.args[:2]  # type: ignore[attr-defined]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Ask(name.value, ast.unparse(answer))


def _is_cell(cell: Any) -> bool:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        return False
    text = cell.get("source")
    return isinstance(text, str) or (
        isinstance(text, list) and all(isinstance(line, str) for line in text)
    )
