"""Under every labelled equation: the function that implements it and the test that checks it.

A function of the package names its equation in the docstring (`Implements: eq-1`), a test by
`@pytest.mark.equation("eq-1")`. For a label that starts with `eq-` both must exist; otherwise the
build warns, and a build with warnings as errors fails. The notebooks need no syntax for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "eq-"
logger = logging.getLogger(__name__)

Definition = ast.FunctionDef | ast.ClassDef


class Hit(NamedTuple):
    path: str  # relative to the repository
    name: str
    line: int


def implemented(node: Definition) -> list[str]:
    """Labels in the docstring: `Implements: eq-1` or `Implements: eq-5, eq-6`."""
    lines = re.findall(r"^\s*Implements:(.*)$", ast.get_docstring(node) or "", re.MULTILINE)
    return re.findall(r"[\w-]+", " ".join(lines))


def checked(node: Definition) -> list[str]:
    """Labels in the decorators: `@pytest.mark.equation("eq-1")`."""
    return [
        argument.value
        for call in node.decorator_list
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("mark.equation")
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]


def definitions(folder: Path) -> Iterator[tuple[Path, Definition]]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Definition):
                yield path, node


def trace(root: Path) -> tuple[dict[str, list[Hit]], dict[str, list[Hit]]]:
    """Repository -> (label -> functions in lsfa_lite, label -> tests in tests)."""
    code: dict[str, list[Hit]] = {}
    tests: dict[str, list[Hit]] = {}
    for folder, labels_of, found in (("lsfa_lite", implemented, code), ("tests", checked, tests)):
        for path, node in definitions(root / folder):
            hit = Hit(path.relative_to(root).as_posix(), node.name, node.lineno)
            for label in labels_of(node):
                found.setdefault(label, []).append(hit)
    return code, tests


class EquationTrace(SphinxTransform):
    default_priority = 400

    def apply(self, **_: object) -> None:
        equations = [e for e in self.document.findall(nodes.math_block) if e.get("label")]
        if not equations:
            return
        code, tests = trace(Path(self.config.equation_trace_root))
        for equation in equations:
            label = equation["label"]
            functions, checks = code.get(label, []), tests.get(label, [])
            if label.startswith(PREFIX):
                self._demand(equation, label, functions, checks)
            if functions or checks:
                self._insert(equation, functions, checks)

    def _demand(self, node: nodes.Node, label: str, code: list[Hit], tests: list[Hit]) -> None:
        for hits, missing in (
            (code, f'no docstring in lsfa_lite says "Implements: {label}"'),
            (tests, f'no test in tests carries @pytest.mark.equation("{label}")'),
        ):
            if not hits:
                logger.warning("equation %s: %s", label, missing, location=node, type="equation")

    def _insert(self, equation: nodes.Element, code: list[Hit], tests: list[Hit]) -> None:
        line = nodes.paragraph(classes=["equation-trace"])
        for word, hits in (("Code: ", code), ("Checked by: ", tests)):
            if hits:
                line += nodes.inline("", word)
                line += [part for hit in hits for part in (self._link(hit), nodes.Text(" "))]
        parent = equation.parent
        parent.insert(parent.index(equation) + 1, line)

    def _link(self, hit: Hit) -> nodes.reference:
        options = self.config.html_theme_options
        url = f"{options['repository_url']}/blob/{options.get('repository_branch', 'main')}"
        text = nodes.literal("", hit.name)
        return nodes.reference(
            "", "", text, refuri=f"{url}/{hit.path}#L{hit.line}", reftitle=f"{hit.path}:{hit.line}"
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("equation_trace_root", str(ROOT), "env")
    app.add_transform(EquationTrace)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
