"""Names of a package that are imported when they are first asked for: some of them load torch.

A package lists them once, in its `__init__.pyi`, where editors and type checkers read them too
(the habit of SPEC 1 of Scientific Python): `from lsfa_lite.config import LITE as LITE`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], Any]:
    """`__getattr__, __dir__, __all__` of the package whose `__init__.py` is `file`."""
    home = homes(Path(file).with_suffix(".pyi"))

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home[name]), name)

    def listing() -> list[str]:
        own = [name for name in vars(sys.modules[package]) if name.startswith("__")]
        return sorted([*home, *own])

    return get, listing, sorted(home)


def homes(stub: Path) -> dict[str, str]:
    """{public name: the module that defines it} of an `__init__.pyi`."""
    body = ast.parse(stub.read_text(encoding="utf-8")).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    return {name.name: str(node.module) for node in imports for name in node.names}
