"""The shape of the project: imports go one way, the conda file and the package agree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from lsfa_lite import lazy

# Each house from the first room to the last. A room is a module or a folder; a module that belongs
# to another one's room stands behind a colon.
METHOD = [
    "lazy",
    "errors",
    "config: checked choices",
    "data",
    "features",
    "adaptation",
    "scoring",
    "detector: model_folder",
    "evaluation",
    "batch",
    "report",
    "report_page",
    "bridges",
    "commands: terminal",
    "cli: __main__",
]
BOOK = [
    "records",  # data, and nothing but data
    "mini3d",
    "workshop",
    "literature",
    "pretraining",
    "figures",
    "baselines",
    "studies",
    "demo",
    "ledger",
    "costs: counts devices",
    "chapters: checking",
    "tables",
    "reproduce",
    "bench",
    "teaching",
    "commands",
]
HOUSES = {"lsfa_lite": (ROOT / "lsfa_lite", METHOD), "lsfa_book": (ROOT / "book/lsfa_book", BOOK)}
DOOR = ("lsfa_lite.cli", "lsfa_book.commands")  # the one command offers the book's sub-commands


def place(module: str) -> tuple[int, int]:
    """House and room of a dotted module: an arrow may lead to an equal or a smaller place."""
    house, room, *_ = [*module.split("."), ""]
    number = list(HOUSES).index(house)
    if not room or room == "__version__":
        return number, 0
    home = lazy.homes(HOUSES["lsfa_lite"][0] / "__init__.pyi").get(room, room)
    room = home.removeprefix("lsfa_lite.").split(".")[0]  # `from lsfa_lite import LITE`
    for index, entry in enumerate(HOUSES[house][1]):
        if room in re.findall(r"\w+", entry):
            return number, index
    raise AssertionError(f"{module} is in no room: add it to tests/test_structure.py")


def modules() -> Iterator[tuple[str, Path]]:
    for house, (folder, _) in HOUSES.items():
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.pyi")]):
            yield ".".join([house, *path.relative_to(folder).with_suffix("").parts]), path


def arrows(tree: ast.AST) -> Iterator[str]:
    """Everything of the two houses that a file names: imports of any kind, at any depth, and
    strings that spell a module, as `import_module` and monkeypatching take them.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "absolute imports only: they can be read anywhere"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^lsfa_(?:lite|book)[\w.]*", node.value)
        elif isinstance(node, ast.JoinedStr):  # f"lsfa_book.chapters.{name}"
            first = node.values[0] if node.values else None
            if isinstance(first, ast.Constant):
                yield from re.findall(r"^lsfa_(?:lite|book)[\w.]*", first.value)


def own(names: Iterator[str]) -> set[str]:
    return {name.rstrip(".") for name in names if re.match(r"lsfa_(lite|book)(\.|$)", name)}


def is_module(name: str) -> bool:
    house, *rest = name.split(".")
    path = HOUSES[house][0].joinpath(*rest)
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_arrows_go_to_earlier_rooms_only():
    wrong = []
    for name, path in modules():
        if path.stem == "__init__" and path.parent == HOUSES[name.split(".")[0]][0]:
            continue  # the front door names what lies behind it
        for there in own(arrows(ast.parse(path.read_text()))):
            if place(there) > place(name) and (name, there) != DOOR:
                wrong.append(f"{name} -> {there}")
    assert wrong == []


def test_the_method_names_the_book_at_one_door_only():
    """The text itself is searched: whatever way of importing there is, it would have to say it."""
    naming = [name for name, path in modules() if "lsfa_book" in path.read_text()]
    assert [name for name in naming if name.startswith("lsfa_lite.")] == [DOOR[0]]


def test_no_module_imports_in_a_circle():
    graph = {}
    for name, path in modules():
        name = name.removesuffix(".__init__")
        found = own(arrows(ast.parse(path.read_text())))
        graph[name] = {t if is_module(t) else t.rpartition(".")[0] for t in found} - {name}
    graph = {n: {t for t in there if "." in t} for n, there in graph.items()}  # not the front door
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above, name])
        if name not in done:
            for there in sorted(graph.get(name, ())):
                if (name, there) != DOOR:
                    walk(there, (*above, name))
            done.add(name)

    for name in graph:
        walk(name, ())


@pytest.mark.parametrize(
    "line",
    [
        "from lsfa_book.studies import records",
        "import lsfa_book",
        "def f():\n    from lsfa_book import demo",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lsfa_book import demo",
        "import_module('lsfa_book.demo')",
        "import_module(f'lsfa_book.{name}')",
    ],
)
def test_an_arrow_to_the_book_is_seen_however_it_is_drawn(line):
    (there,) = {name.split(".")[0] for name in own(arrows(ast.parse(line)))}
    assert there == "lsfa_book"
    assert place("lsfa_book") > place("lsfa_lite.cli")


def test_conda_installs_what_make_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    makefile = (ROOT / "Makefile").read_text()
    assert pip == ["-c constraints.txt", ".[book,test]"]
    assert '-c constraints.txt ".[book,test]"' in makefile


def test_every_make_command_that_is_named_exists():
    """In the workflows, the README, CONTRIBUTING and the book."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    readers = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "book").glob("*.md")]
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert len(workflows) == 3
    named = {
        (path.name, target)
        for path in [*readers, *workflows]
        for target in re.findall(r"(?:run: |`|^    )make ([a-z-]+)", path.read_text(), re.MULTILINE)
    }
    assert {"README.md", "CONTRIBUTING.md"} < {name for name, _ in named}
    assert [pair for pair in named if pair[1] not in targets] == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "NotImplementedError"])
def test_nothing_is_left_unfinished(word):
    assert not [path for _, path in modules() if word in path.read_text()]


def test_every_notebook_has_its_module_and_every_module_its_notebook():
    notebooks = {path.stem.replace("-", "_") for path in (ROOT / "book").glob("*.ipynb")}
    chapters = {path.stem for path in (ROOT / "book/lsfa_book/chapters").glob("*.py")}
    assert chapters - {"__init__"} == notebooks - {
        "quick_tour"
    }  # no exercises, no figure of its own


def test_tests_lie_in_the_room_that_they_test():
    """tests/<room>/ for a room, tests/book/, tests/cuda/ for a GPU; properties are of all rooms."""
    rooms = {re.findall(r"\w+", entry)[0] for entry in METHOD}
    folders = {p.relative_to(ROOT / "tests").parts[0] for p in (ROOT / "tests").rglob("test_*.py")}
    beside = {name for name in folders if not name.endswith(".py")} - rooms
    assert beside == {"book", "cuda", "data_scripts", "properties"}


@pytest.mark.parametrize("house", HOUSES)
def test_type_checkers_are_told_that_there_are_types(house):
    """A wheel holds what package-data names; the marker and the stubs must be in it."""
    assert (resources.files(house) / "py.typed").is_file()
    data = (ROOT / "pyproject.toml").read_text().split("[tool.setuptools.package-data]\n")[1]
    assert data.splitlines()[0] == '"*" = ["py.typed", "*.pyi"]'
