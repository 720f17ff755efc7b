"""Under every labelled equation: the function that implements it and the test that checks it.

A function of the package names its equation in the docstring (`Implements: eq-1`), a test by
`@pytest.mark.equation("eq-1")`. For a label that starts with `eq-` both must exist; otherwise the
build warns, and a build with warnings as errors fails. The notebooks need no syntax for it.

An equation of the paper (`eq-5`) is shown with the paper's number, any other label with a letter
of its page. The directive `equation-table` lists all of the paper's equations.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

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
    places = (("lsfa_lite", implemented, code), ("tests", checked, tests))
    for folder, labels_of, found in places:
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
        letters = iter(string.ascii_lowercase)
        for equation in equations:
            label = equation["label"]
            paper = re.fullmatch(PREFIX + r"(\d+)", label)
            equation["number"] = paper[1] if paper else next(letters)
            references = self.env.get_domain("math").data["objects"]
            references[label] = (self.env.docname, equation["number"])
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
                line += [nodes.inline("", word), *links(hits, self.config)]
        parent = equation.parent
        parent.insert(parent.index(equation) + 1, line)


def links(hits: list[Hit], config: Config) -> Iterator[nodes.Node]:
    """To each place in the repository, or its name alone where there is none; a space behind it."""
    options = config.html_theme_options
    url = options.get("repository_url")
    for hit in hits:
        name: nodes.Node = nodes.literal("", hit.name)
        if url:
            address = (
                f"{url}/blob/{options.get('repository_branch', 'main')}/{hit.path}#L{hit.line}"
            )
            where = f"{hit.path}:{hit.line}"
            name = nodes.reference("", "", name, refuri=address, reftitle=where)
        yield name
        yield nodes.Text(" ")


class EquationTable(SphinxDirective):
    """All labels that start with `eq-`: the equation's place in the book, its code, its tests."""

    def run(self) -> list[nodes.Node]:
        code, tests = trace(Path(self.config.equation_trace_root))
        labels = sorted((x for x in code if x.startswith(PREFIX)), key=lambda x: (len(x), x))
        body = nodes.tbody()
        for label in labels:
            where = pending_xref(
                "", nodes.inline("", "Eq. " + label.removeprefix(PREFIX)), refdomain="math",
                reftype="eq", reftarget=label, refdoc=self.env.docname,
            )  # fmt: skip
            body += row(
                nodes.paragraph("", "", where),
                nodes.paragraph("", "", *links(code[label], self.config)),
                nodes.paragraph("", "", *links(tests.get(label, []), self.config)),
            )
        group = nodes.tgroup(cols=3)
        group += [nodes.colspec(colwidth=width) for width in (1, 2, 4)]
        head = nodes.thead()
        head += row(*(nodes.paragraph("", name) for name in ("Equation", "Code", "Checked by")))
        group += [head, body]
        return [nodes.table("", group)]


def row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("equation_trace_root", str(ROOT), "env")
    app.add_transform(EquationTrace)
    app.add_directive("equation-table", EquationTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
