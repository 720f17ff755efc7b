"""Which code of a notebook its exercises need: a chapter takes minutes, an exercise seconds.

An exercise's cell runs whole. Of the cells before it run those that bind a name which it uses, or
which they use in turn; of a cell that only imports it, the import alone.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import CodeType

from lsfa_book.teaching import notebook
from lsfa_book.teaching.notebook import Ask, Cell

BINDS = {"STORE_NAME", "STORE_GLOBAL", "DELETE_NAME"}
USES = {"LOAD_NAME", "LOAD_GLOBAL"}


@dataclass(frozen=True)
class Step:
    """Code of one cell (number counts from 1, all cells), and the exercises asked after it"""

    number: int
    code: str
    asks: list[Ask] = field(default_factory=list)
    error: str = ""


def steps(cells: list[Cell], whole: bool = False, wanted: Iterable[str] = ()) -> list[Step]:
    """In the notebook's order; `whole` keeps every cell. A cell that does not compile says so.

    wanted  names that are needed at the end as well
    """
    wanted, kept = set(wanted), list[Step]()
    for number, cell in reversed([*enumerate(cells, start=1)]):
        if cell["cell_type"] != "code":
            continue
        code = notebook.plain(notebook.source(cell))
        asked = notebook.asks(code)
        try:
            body = [s for s in ast.parse(code).body if not notebook.is_check(s)]
            if not (whole or asked):
                body = needed(body, wanted)
            wanted |= {name for s in body for name in names(s, USES)}
            kept_code = ast.unparse(ast.Module(body, []))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            kept.append(Step(number, "", error=f"{type(error).__name__}: {error}"))
            continue
        if body or asked:
            kept.append(Step(number, kept_code, asked))
    return kept[::-1]


def needed(body: list[ast.stmt], wanted: set[str]) -> list[ast.stmt]:
    """The imports of wanted names; everything, if something else binds one."""
    imports = [s for s in body if isinstance(s, (ast.Import, ast.ImportFrom))]
    others = [s for s in body if s not in imports]
    if any(wanted & names(s, BINDS) for s in others):
        return body
    return [s for s in imports if wanted & names(s, BINDS) or "*" in {a.name for a in s.names}]


def names(statement: ast.stmt, operations: set[str]) -> set[str]:
    """What the bytecode stores (BINDS) or loads (USES) by name at module level."""
    code = compile(ast.Module([statement], []), "<cell>", "exec")
    return {name for block in _blocks(code) for name in _named(block, operations)}


def _named(code: CodeType, operations: set[str]) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname in operations and isinstance(step.argval, str):
            yield step.argval


def _blocks(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _blocks(constant)
