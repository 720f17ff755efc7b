"""Reports of the bench that come with the package, by device, and what a chapter asks of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from lsfa_book.bench.report import shown
from lsfa_book.bench.run import Row
from lsfa_lite.report import align

Report = dict[str, Any]
NOT_RUN = "not run here"


def shipped(device: str) -> Report | None:
    """The report of "cpu" or "cuda"; None where no such machine was at hand."""
    path = files("lsfa_book.records").joinpath(f"bench-{device}.json")
    return json.loads(path.read_text()) if path.is_file() else None


def workers() -> Report | None:
    """Seconds that the same runs took one worker and two: book/scripts/time_workers.py."""
    return shipped("workers")


def told(report: Report | None) -> str:
    """What it was measured on, and when: times without that mean nothing."""
    if report is None:
        return NOT_RUN
    machine, sizes = report["machine"], "smaller sizes" if report["quick"] else "full sizes"
    words = machine["device"], f"torch {machine['torch']}", sizes, report["date"][:10]
    return ", ".join(words)


def find(report: Report, stage: str, size: str = "") -> Row:
    """The row of a stage whose size begins with `size`. KeyError where there is none."""
    for row in report["stages"]:
        if row["stage"] == stage and row["size"].startswith(size):
            return row
    raise KeyError(f"no stage {stage!r} with a size {size!r}... in this report")


def seconds(report: Report, stage: str, size: str = "", reference: str = "") -> float | None:
    """Of a stage, or of a reference beside it; None where it was left out, failed or is absent."""
    try:
        row = find(report, stage, size)
    except KeyError:
        return None
    if reference:
        row = next((r for r in row.get("references", []) if r["name"] == reference), {})
    return row.get("seconds")


def of_a_scan(report: Report, preset: str) -> dict[str, float]:
    """Seconds of one scan by "lite" or "paper": what is known of each part of the way."""
    whole = seconds(report, "one scan, scored", f"{preset}:")
    features = seconds(report, "one scan, scored", f"{preset}:", "features alone")
    colour = seconds(report, "image network", preset)
    return known(
        {
            "table removed": seconds(report, "background removal"),
            "colour": colour,
            "shape": less(features, colour),
            "search and map": less(whole, features),
        }
    )


def of_a_fit(report: Report, preset: str) -> dict[str, float]:
    """Seconds of a fit by "lite" or "paper", its parts described before: `parts_of_a_fit` says how
    many. Where the report does not know the three steps of a fit, they are one.
    """
    count, scan = parts_of_a_fit(report, preset), of_a_scan(report, preset)
    described = {
        name: count * scan[name] for name in ("table removed", "colour", "shape") if name in scan
    }
    steps = {
        name: seconds(report, "fit from features", f"{preset}:", f"{name} alone")
        for name in ("adaptation", "banks", "calibration")
    }
    if None in steps.values():
        whole = seconds(report, "fit from features", f"{preset}:")
        steps = {"adaptation, banks, calibration": whole}
    return described | known(steps)


def parts_of_a_fit(report: Report, preset: str) -> int:
    size = find(report, "fit from features", f"{preset}:")["size"]
    found = re.search(r"(\d+) parts", size)
    assert found, size
    return int(found[1])


def less(whole: float | None, part: float | None) -> float | None:
    """The rest of two measurements: never below zero, unknown where one of them is."""
    return None if whole is None or part is None else max(whole - part, 0.0)


def known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def table(reports: Mapping[str, Report | None]) -> str:
    """Every stage in a line, a column for each device; "not run here" where there is no report."""
    there = {name: report for name, report in reports.items() if report is not None}
    labels = {(r["stage"], r["size"]): None for report in there.values() for r in report["stages"]}
    lines = [("stage", "size", *reports)]
    for label in labels:
        lines.append((*label, *(cell(report, label) for report in reports.values())))
    return align(lines)


def cell(report: Report | None, label: tuple[str, str]) -> str:
    if report is None:
        return NOT_RUN
    rows = [row for row in report["stages"] if (row["stage"], row["size"]) == label]
    return shown(rows[0]) if rows else NOT_RUN
