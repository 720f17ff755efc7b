"""All stages, one after the other; what goes wrong in one is recorded, and the next goes on."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib import import_module
from typing import Any

import torch

from lsfa_book.bench.stage import Inputs, Reference, Stage, lacks
from lsfa_book.bench.timing import measure
from lsfa_book.studies.reproduce import peak_mb

Row = dict[str, Any]


def run(
    stages: Iterable[Stage], device: torch.device, calls: int, limit: float, seconds: float
) -> Iterator[Row]:
    """One row per stage. limit: seconds for the calls of one measurement; after `seconds` in all
    no stage is begun.
    """
    started = time.perf_counter()
    for stage in stages:
        row: Row = {"stage": stage.name, "size": stage.size, "on": where(stage, device)}
        if time.perf_counter() - started > seconds:
            row["left_out"] = f"{seconds:.0f} s were over"
        elif why := lacks(stage.needs):
            row["left_out"] = why
        else:
            row |= run_stage(stage, device, calls, limit)
        yield row


def where(stage: Stage, device: torch.device) -> str:
    return "cpu" if stage.host else device.type


def run_stage(stage: Stage, device: torch.device, calls: int, limit: float) -> Row:
    """Its time, the peak of memory (of a process: so far), and each reference beside it."""
    forget(device)
    row: Row = {}
    try:
        given = stage.make(device)
        timing, ours = measure(lambda: stage.run(*given), device, calls, limit)
        row |= asdict(timing) | {"peak_mb": peak_mb(device)}
        row |= stage.facts(ours) if stage.facts else {}
    except Exception as error:  # whatever it is, the other stages are still worth their time
        return {"error": words(error)}
    row["references"] = [
        compare(reference, ours, given, timing.seconds, device, calls, limit)
        for reference in stage.references
    ]
    return row


def compare(
    reference: Reference,
    ours: Any,
    given: Inputs,
    seconds: float,
    device: torch.device,
    calls: int,
    limit: float,
) -> Row:
    row: Row = {"name": reference.name}
    if why := lacks(reference.needs):
        return row | {"left_out": why}
    try:
        if reference.needs:
            import_module(reference.needs)
        timing, theirs = measure(lambda: reference.run(*given), device, calls, limit)
        row |= asdict(timing) | {"ratio": timing.seconds / seconds}
        if reference.agree is not None:
            row["agreement"] = reference.agree(ours, theirs, given)
    except Exception as error:
        row["error"] = words(error)
    return row


def forget(device: torch.device) -> None:
    """What the last stage held is no part of the next one's peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
