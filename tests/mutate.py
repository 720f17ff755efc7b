"""How good are the tests? Break the code in small ways and see whether a test notices.

    python tests/mutate.py [FILE ...] [--per-file 12] [--seed 0] [--lines N ...]

Each mutant changes one node of one file (`replacements` lists how), in a copy of the tree, and runs
the tests of that file (`tests_of`), without the slow ones. A mutant that no test notices is printed
with its difference: it asks for a test, or for a reason why it does no harm. Not collected by
pytest. The third-party packages are loaded once, and each run is forked from there.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRAIN = "tests/adaptation/test_train.py"
CORE = {
    "lsfa_lite": "evaluation report commands",
    "lsfa_lite/features": "projection sampling extract",
    "lsfa_lite/adaptation": "losses memory prototypes train batches",
    "lsfa_lite/scoring": "patchcore fusion maps metrics",
    "book/lsfa_book": "tables studies/records",
}
TESTS = {  # where it is not the file of the same name
    "lsfa_lite/adaptation/losses.py": ["tests/adaptation/test_losses.py", TRAIN],
    "lsfa_lite/adaptation/batches.py": [TRAIN],
    "lsfa_lite/commands.py": ["tests/test_cli.py"],
}
LOADED = "torch torchvision timm scipy.ndimage sklearn.metrics sklearn.linear_model sklearn.cluster"
LOADED += " skimage.measure matplotlib.figure plotly.graph_objects tifffile pytest"


def both_ways(pairs: str) -> dict[str, str]:
    return {a: b for pair in pairs.split(", ") for a, b in (pair.split(), pair.split()[::-1])}


OTHER_NAME = both_ways(
    "min max, amin amax, argmin argmax, minimum maximum, sum mean, any all, floor ceil"
)
OTHER_OPERATOR = {"Mod": "Mult", "FloorDiv": "Div", "Pow": "Mult"} | both_ways(
    "Lt LtE, Gt GtE, Eq NotEq, In NotIn, Is IsNot, Add Sub, Mult Div, BitAnd BitOr, And Or"
)


def other(operator: ast.AST) -> ast.AST | None:
    name = OTHER_OPERATOR.get(type(operator).__name__)
    return getattr(ast, name)() if name else None


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Every small mistake that could be made at this node, one at a time."""
    match node:
        case ast.Compare(ops=[first, *rest]) if new := other(first):
            yield ast.Compare(node.left, [new, *rest], node.comparators)
        case ast.BinOp(op=op) if new := other(op):
            yield ast.BinOp(node.left, new, node.right)
        case ast.BoolOp(op=op):
            yield ast.BoolOp(other(op), node.values)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 2 if value else 1.0)
        case ast.Attribute(attr=name) if name in OTHER_NAME:
            yield ast.Attribute(node.value, OTHER_NAME[name], node.ctx)
        case ast.Name(id=name) if name in OTHER_NAME:
            yield ast.Name(OTHER_NAME[name], node.ctx)
        case ast.Slice(lower=lower, upper=upper) if upper is not None:
            yield ast.Slice(lower, ast.BinOp(upper, ast.Sub(), ast.Constant(1)), node.step)
        case ast.Call(func=function, args=arguments, keywords=keywords):
            if keywords:
                yield ast.Call(function, arguments, keywords[:-1])
            if len(arguments) >= 2:  # the last forgotten; two swapped
                yield ast.Call(function, arguments[:-1], keywords)
                first, second, *rest = arguments
                symmetric = re.search(r"\b(min|max)(imum)?$", ast.unparse(function))
                if ast.dump(first) != ast.dump(second) and not symmetric:
                    yield ast.Call(function, [second, first, *rest], keywords)
        case ast.IfExp(test=test):
            yield ast.IfExp(test, node.orelse, node.body)
        case ast.Dict(keys=[a, b, *_]):
            yield ast.Dict([b, a, *node.keys[2:]], node.values)
        case ast.Return(value=ast.Call(args=[first, *_])):
            yield ast.Return(first)
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Continue():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Name(id=name)], value=value):  # made before: not made anew
            if any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(value)):
                yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def tests_of(file: str) -> list[str]:
    """lsfa_lite/scoring/maps.py -> tests/scoring/test_maps.py; the book's are in tests/book/."""
    house, *rooms, name = file.removeprefix("book/").split("/")
    book = ["book"] if house == "lsfa_book" else []
    return TESTS.get(file) or ["/".join(["tests", *book, *rooms, f"test_{name}"])]


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All but annotations, decorators and the words of errors."""
    yield tree
    skipped = ("annotation", "returns", "decorator_list", "exc")
    for name, value in ast.iter_fields(tree):
        if name not in skipped:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from nodes(child)


class Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def places(source: str) -> list[tuple[int, int, int]]:
    """(line, index of the node, index of its replacement) of every mutant."""
    return [
        (getattr(node, "lineno", 0), i, j)
        for i, node in enumerate(nodes(ast.parse(source)))
        for j, _ in enumerate(replacements(node))
    ]


def mutant(source: str, i: int, j: int) -> str:
    tree = ast.parse(source)
    old = list(nodes(tree))[i]
    swap = Swap(old, list(replacements(old))[j])
    return ast.unparse(ast.fix_missing_locations(swap.visit(tree)))


def noticed(copy: Path, tests: list[str], timeout: float) -> bool:
    """Whether the tests fail, or do not end in time."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(copy)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        os.environ["PYTHONPATH"] = f"{copy}{os.pathsep}{copy / 'book'}"
        sys.path[:0] = [str(copy), str(copy / "book")]
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
        os._exit(int(pytest.main([*options, *tests])))
    end = time.monotonic() + timeout
    status = None
    while status is None and time.monotonic() < end:
        time.sleep(0.05)
        ended, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if ended else None
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return status != 0


def copied(scratch: str) -> Path:
    """What git knows or would take, and no pyc: two mutants of one second may have one size."""
    sys.dont_write_bytecode = True
    tempfile.tempdir = scratch  # the tests' own scratch goes with it
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": scratch}
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            target = Path(scratch, "tree", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    return Path(scratch, "tree")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="of the packages; all of CORE")
    parser.add_argument("--per-file", type=int, default=12, help="mutants drawn of each file")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--lines", type=int, nargs="+", help="all mutants of these instead")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in LOADED.split():
        importlib.import_module(name)
    core = [f"{room}/{name}.py" for room, names in CORE.items() for name in names.split()]
    killed = total = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copy = copied(scratch)
        for file in options.files or core:
            path, source = copy / file, (ROOT / file).read_text()
            plain = ast.unparse(ast.parse(source))
            path.write_text(plain)
            started = time.monotonic()
            if noticed(copy, tests_of(file), 600):
                print(f"{file}: its tests fail as it is", file=sys.stderr)
                return 2
            timeout = 30 + 4 * (time.monotonic() - started)
            every = [place for place in places(source) if place[0] in (options.lines or [place[0]])]
            count = len(every) if options.lines else min(options.per_file, len(every))
            alive = 0
            for line, *where in random.Random(options.seed).sample(every, count):
                text = mutant(source, *where)
                path.write_text(text)
                if not noticed(copy, tests_of(file), timeout):
                    alive += 1
                    changes = difflib.unified_diff(plain.splitlines(), text.splitlines(), n=0)
                    print(f"{file}:{line} is alive", *list(changes)[3:], sep="\n    ", flush=True)
            path.write_text(source)
            print(f"{file}: {count - alive} of {count} killed, {len(every)} there are", flush=True)
            killed, total = killed + count - alive, total + count
    print(f"{killed} of {total} mutants killed ({killed / max(1, total):.0%})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
