"""The package's own code in a chapter: taken from the source, never pasted."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

HOUSES = {
    "lsfa_lite": "lsfa_lite",
    "lsfa_book": "book/lsfa_book",
}  # package -> place in the repository


@dataclass(frozen=True)
class Listing:
    """Highlighted source with a link to its lines, in Jupyter, Colab and the book alike."""

    code: str
    path: str  # inside the repository
    first: int  # line
    last: int

    def _repr_markdown_(self) -> str:
        where = f"{self.path}, lines {self.first} to {self.last}"
        address = repository()
        if address:
            where = f"[{where}]({address}/blob/main/{self.path}#L{self.first}-L{self.last})"
        return f"```python\n{self.code}\n```\n{where}"

    def __repr__(self) -> str:
        return self.code


def source(thing: Callable[..., Any] | type, docstring: bool = True) -> Listing:
    """The source of a function, method or class of the package.

    docstring=False leaves the docstring of the function itself out, where the text beside the
    listing says the same.
    """
    thing = inspect.unwrap(thing)
    lines, first = inspect.getsourcelines(thing)
    code = textwrap.dedent("".join(lines)).rstrip()
    last = first + len(lines) - 1
    if not docstring:
        code = without_docstring(code)
    path = Path(inspect.getsourcefile(thing) or "").resolve()
    return Listing(code, inside(path), first, last)


def inside(path: Path) -> str:
    """Where a file of the two packages lies in the repository, wherever it is installed."""
    house = next(name for name in reversed(path.parts) if name in HOUSES)
    below = path.parts[len(path.parts) - path.parts[::-1].index(house) :]
    return "/".join([HOUSES[house], *below])


def without_docstring(code: str) -> str:
    """The text of a definition less its first string."""
    start = code.find('"""')
    end = code.find('"""', start + 3)
    if start < 0 or code[:start].rstrip()[-1:] != ":":
        return code
    return code[:start].rstrip() + "\n" + code[end + 3 :].lstrip("\n")


def repository() -> str:
    """Where the package lives, from its own metadata; "" if it does not say."""
    try:
        urls = metadata("lsfa-lite").get_all("Project-URL") or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        return ""
    named = dict(url.split(", ", 1) for url in urls)
    return named.get("Repository", "").removesuffix("/")
