"""Colab's versions of what the chapters use: `python book/scripts/renew_colab.py FOLDER`.

FOLDER is a fresh checkout of https://github.com/googlecolab/backend-info, where Colab publishes
what its machines have. Writes constraints-colab.txt: of the packages there those that the installed
lsfa-lite and Jupyter need, directly or not, with the day of the list and its Python.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOTS = ["lsfa-lite", "ipykernel", "ipywidgets", "nbformat", "peft"]  # peft: a chapter asks for it
BUILDS = re.compile(r"nvidia-|cuda-|triton")  # of a CUDA that the pip of another machine differs in


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(names: list[str]) -> set[str]:
    """Names of all distributions that these need, on any system, without extras."""
    found: set[str] = set()
    while names:
        name = plain(names.pop())
        if name not in found:
            found.add(name)
            try:
                lines = requires(name) or []
            except PackageNotFoundError:
                continue
            names += [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]
    return found


def versions(freeze: str) -> Iterator[tuple[str, str]]:
    """(name, version) of each line of `pip freeze`; torch's stands in the address of its wheel."""
    for line in freeze.splitlines():
        if match := re.match(r"([\w.-]+)(?:==| @ \S+/\1-)([\w.]+)", line):
            yield plain(match[1]), match[2]


def constraints(freeze: str, system: str, day: str, wanted: set[str]) -> str:
    """The text of the file; ValueError for lists that are not Colab's."""
    found = {name: version for name, version in versions(freeze) if name in wanted}
    python = re.search(r"^Python (\d+\.\d+)", system, re.MULTILINE)
    if python is None or "torch" not in found:
        raise ValueError("no Python, or no torch, in these lists; are they Colab's?")
    lines = [f"{name}=={v}" for name, v in sorted(found.items()) if not BUILDS.match(name)]
    head = (
        f"# Colab's versions on {day}, Python {python[1]}; book/scripts/renew_colab.py writes this."
    )
    return "\n".join([head, *lines, ""])


def main() -> None:
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "pip-freeze.txt").is_file():
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    texts = [(folder / name).read_text() for name in ("pip-freeze.txt", "os-info.txt")]
    log = ["git", "-C", str(folder), "log", "-1", "--format=%cs"]
    day = subprocess.run(log, check=True, capture_output=True, text=True).stdout.strip()
    path = ROOT / "constraints-colab.txt"
    path.write_text(constraints(*texts, day, needed(list(ROOTS))))
    print(f"{path.name}: {day}")


if __name__ == "__main__":
    main()
