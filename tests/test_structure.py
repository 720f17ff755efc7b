"""The shape of the project: imports go one way, the conda file and the package agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lsfa_lite"
ROOMS = [
    "config",
    "data",
    "features",
    "adaptation",
    "scoring",
    "detector",
    "evaluation",
    "experiments",
    "plots",
    "exercises",
    "reports",
    "commands",
    "cli",
]
SAME = {
    "model_folder": "detector",  # a detector on disk
    "commands_reproduce": "commands",  # the largest of them
}


def room(parts: tuple[str, ...]) -> str:
    return SAME.get(parts[0], parts[0])


def imports(path: Path):
    """The lsfa_lite modules that a file imports, those for type checkers left out."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lsfa_lite."):
            yield tuple(node.module.split(".")[1:])
        elif isinstance(node, ast.ImportFrom) and node.module == "lsfa_lite":
            yield from ((name.name,) for name in node.names if name.name in [*ROOMS, *SAME])


def test_arrows_go_to_earlier_rooms_only():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        here = room(path.relative_to(PACKAGE).with_suffix("").parts)
        if here == "__init__":
            continue
        for there in imports(path):
            if ROOMS.index(room(there)) > ROOMS.index(here):
                wrong.append(f"{path.relative_to(ROOT)} imports {'.'.join(there)}")
    assert wrong == []


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
    for path in [*readers, *workflows]:
        text = path.read_text()
        for target in re.findall(r"(?:run: |`|^    )make ([a-z]+)", text, re.MULTILINE):
            assert target in targets, f"{path.name}: make {target}"


@pytest.mark.parametrize("word", ["TODO", "FIXME", "NotImplementedError"])
def test_nothing_is_left_unfinished(word):
    assert not [p for p in PACKAGE.rglob("*.py") if word in p.read_text()]
