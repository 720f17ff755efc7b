"""The packages' public names: listed at once, imported when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from inspect import signature
from pkgutil import iter_modules
from types import FunctionType, ModuleType

import pytest

import lsfa_lite

PACKAGES = ["lsfa_lite", *(f"lsfa_lite.{m.name}" for m in iter_modules(lsfa_lite.__path__) if m[2])]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_that_is_offered_is_there(package):
    module = import_module(package)
    assert module.__all__
    assert set(dir(module)) == {*module.__all__, *(n for n in vars(module) if n[:2] == "__")}
    for name in module.__all__:
        value = getattr(module, name)
        assert not isinstance(value, ModuleType)
        assert getattr(value, "__name__", name) == name
        assert name not in lsfa_lite.__all__ or value is getattr(lsfa_lite, name)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_hides_a_module(package):
    """`from lsfa_lite.adaptation import train` is the module, whatever was imported before."""
    module = import_module(package)
    for found in iter_modules(module.__path__):
        assert found.name not in module.__all__
        if found.name != "__main__":
            assert import_module(f"{package}.{found.name}") is getattr(module, found.name)


def test_a_name_that_is_not_there_is_an_ordinary_error():
    with pytest.raises(AttributeError, match=r"module 'lsfa_lite\.data' has no attribute 'Smaple'"):
        _ = import_module("lsfa_lite.data").Smaple
    with pytest.raises(ImportError, match="Smaple"):
        exec("from lsfa_lite.data import Smaple")


def test_to_list_names_loads_nothing():
    code = f"import sys, {', '.join(PACKAGES)}\n" + (
        f"names = [dir(sys.modules[name]) for name in {PACKAGES}]\n"
        "print(*{name.split('.')[0] for name in sys.modules} & {'torch', 'numpy', 'timm'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# chapters and detector pass these by position
BY_POSITION = {"local_alignment", "global_alignment", "local_compactness", "global_compactness"}
BY_POSITION |= {"fine_tune", "greedy_coreset", "FeatureExtractor.stack"}


@pytest.mark.parametrize("package", PACKAGES[1:])  # LSFADetector takes `progress` by position yet
def test_a_flag_is_given_by_its_name(package):
    """`convert(src, out, "ring", True)` says nothing to its reader; `progress=True` does."""
    module = import_module(package)
    for name in module.__all__:
        thing = getattr(module, name)
        members = vars(thing).items() if isinstance(thing, type) else [("", thing)]
        for member, function in members:
            function = getattr(function, "__func__", function)
            if not isinstance(function, FunctionType) or member[:1] == "_":
                continue
            flags = [p for p in signature(function).parameters.values() if p.default is False]
            if f"{name}.{member}".strip(".") not in BY_POSITION:
                positional = [p.name for p in flags if p.kind is not p.KEYWORD_ONLY]
                assert positional == [], f"{name}.{member}"
