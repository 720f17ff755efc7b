"""requirements.lock is that of pyproject.toml: each range is met, each file has its hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([\w.-]+)==([\w.+!-]+)", LOCK, re.MULTILINE))
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}


def asked() -> list[Requirement]:
    """Of the package, and of the extras `book` and `test`."""
    text = (ROOT / "pyproject.toml").read_text()
    blocks = [
        re.search(rf"^{name} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
        for name in ("dependencies", "book", "test")
    ]
    lines = [line for block in blocks if block for line in block[1].splitlines()]
    found = [re.match(r'\s*"([^"]+)"', line) for line in lines]
    wanted = [Requirement(match[1]) for match in found if match]
    here = [r for r in wanted if r.marker is None or r.marker.evaluate(LINUX)]
    return [r for r in here if r.name != "lsfa-lite"]  # its own extras


@pytest.mark.parametrize("requirement", asked(), ids=lambda r: r.name)
def test_every_range_is_met(requirement: Requirement):
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier, "run `make lock`"


def test_what_make_installs_is_what_is_locked_with_hashes():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    assert pins
    assert pins.items() <= PINS.items()
    assert len(PINS) > 100
    assert "(/" not in LOCK, "a path of somebody's machine"
    assert LOCK.count("--hash=sha256:") >= len(PINS)
