"""The median time of some calls, with nothing of the GPU's work left out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds per call. calls = 0: the first call alone, which was too long to be repeated."""

    seconds: float
    fastest: float
    slowest: float
    calls: int


def measure(
    work: Callable[[], Any], device: torch.device, calls: int = 5, limit: float = 30.0
) -> tuple[Timing, Any]:
    """`work` once to warm up, then `calls` times: the median, and the result of the last call.

    Calls that would go beyond `limit` seconds in all are not made.
    """
    first, result = timed(work, device)
    taken: list[float] = []
    while len(taken) < calls and sum(taken, first) + max(taken, default=first) <= limit:
        result = None  # two results at once would be another peak of memory
        seconds, result = timed(work, device)
        taken.append(seconds)
    shown = taken or [first]
    return Timing(statistics.median(shown), min(shown), max(shown), len(taken)), result


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds of one call and its result; a GPU has finished before and after."""
    synchronise(device)
    started = time.perf_counter()
    result = work()
    synchronise(device)
    return time.perf_counter() - started, result


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
