"""What is timed: a stage of the method, what it gets, and others that do the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Reference:
    """Another way from the same inputs to the same result, or a floor under any way to it.

    agree: ours, theirs, inputs -> how far both results are the same, in words; None for a floor.
    needs: a module that not everyone has; it is imported before the clock runs.
    """

    name: str
    run: Callable[..., Any]
    agree: Callable[[Any, Any, Inputs], str] | None = None
    needs: str = ""


@dataclass(frozen=True)
class Stage:
    """make: device -> inputs, in no time that counts; run(*inputs) is timed.

    host: the work is the CPU's, wherever the tensors lie.
    facts: result -> what the report keeps of it, beside its time.
    """

    name: str
    size: str
    make: Callable[[torch.device], Inputs]
    run: Callable[..., Any]
    references: tuple[Reference, ...] = ()
    needs: str = ""
    host: bool = False
    facts: Callable[[Any], dict[str, Any]] | None = None


def lacks(module: str) -> str:
    """Why a stage is left out, or "" where nothing is missing."""
    package = module.split(".")[0]
    there = not package or importlib.util.find_spec(package) is not None
    return "" if there else f"{package} is not installed"
