"""The measurements as a table and as JSON, with what a reader needs to compare them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from lsfa_book.bench.run import Row, run
from lsfa_book.bench.stages import stages
from lsfa_book.studies.reproduce import machine
from lsfa_lite.data.files import written_beside
from lsfa_lite.report import align

HEAD = ("stage", "size", "ours", "reference", "takes", "ratio", "agreement")
FOOT = (
    "random weights and inputs made by code; ours: median of {calls} calls, ~ a first call alone;\n"
    "ratio: the reference's time over ours; one product, one sort: floors, no way to the result"
)
CALLS, LIMIT, SECONDS = 5, 30.0, 3600.0
QUICK_CALLS, QUICK_LIMIT, QUICK_SECONDS = 3, 4.0, 210.0  # no stage takes the last half minute


def bench(
    device: str | torch.device, quick: bool, path: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Run everything; with `path` the report is written after each stage, so a run that is cut
    leaves what it has measured.
    """
    device, started = torch.device(device), time.perf_counter()
    calls, limit, seconds = (
        (QUICK_CALLS, QUICK_LIMIT, QUICK_SECONDS) if quick else (CALLS, LIMIT, SECONDS)
    )
    report = about(device) | {"quick": quick, "calls": calls, "complete": False, "stages": []}
    all_stages = list(stages(quick, device))
    rows = run(all_stages, device, calls, limit, seconds)
    for row in tqdm(rows, "stages", len(all_stages), disable=not progress):
        report["stages"].append(row)
        report["seconds"] = round(time.perf_counter() - started, 1)
        save(report, path)
    report["complete"] = True
    save(report, path)
    return report


def about(device: torch.device) -> dict[str, Any]:
    """The machine and what on it decides about times."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "weights": "random",
        "dtype": "float32",
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": [round(x, 1) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "machine": machine(device),
    }


def save(report: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        with written_beside(path) as temporary:
            temporary.write_text(json.dumps(report, indent=1))


def failed(report: dict[str, Any]) -> list[str]:
    """Stages and references that raised, each with what they said."""
    rows = [
        (row["stage"], r) for row in report["stages"] for r in [row, *row.get("references", [])]
    ]
    return [f"{name}: {row['error']}" for name, row in rows if "error" in row]


def bench_table(report: dict[str, Any]) -> str:
    lines = [HEAD, *(line for row in report["stages"] for line in table_lines(row))]
    told = report["machine"]
    title = (
        f"{told['device']}, torch {told['torch']}, {report['threads']} threads, {report['date']}"
    )
    return f"{title}\n{align(lines)}\n{FOOT.format(calls=report['calls'])}"


def table_lines(row: Row) -> Iterator[tuple[str, ...]]:
    """One line for each reference, the first with the stage in front; one without any."""
    first: Sequence[str] = (row["stage"], row["size"], shown(row))
    for reference in row.get("references") or [{}]:
        ratio = f"{reference['ratio']:.2f}" if "ratio" in reference else ""
        name = reference.get("name", "")
        yield (*first, name, shown(reference), ratio, reference.get("agreement", ""))
        first = ("", "", "")


def shown(row: Row) -> str:
    """Its time, or why there is none."""
    if "seconds" not in row:
        return str(row.get("error") or row.get("left_out") or "")
    if "fit_mb" in row:  # of a process of its own; its time is not what was asked
        return " + ".join(f"{row[k] / 1000:.2f} GB" for k in ("fit_mb", "card_mb") if row.get(k))
    first_alone = "" if row["calls"] else "~"
    seconds = row["seconds"]
    return first_alone + (f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms")
