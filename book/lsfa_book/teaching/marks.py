"""Marks as a table whose columns nbgrader's users know, and as JSON with the check's words."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lsfa_book.teaching.grade import Marked
from lsfa_lite.data.files import written_beside

COLUMNS = (  # of nbgrader's CsvExportPlugin, in its order; the last is ours
    *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
    *("raw_score", "late_submission_penalty", "score", "max_score", "incidents"),
)


def write_csv(path: Path, rows: Sequence[Marked], due: str = "") -> None:
    with (
        written_beside(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _harmless(value) for name, value in _line(row, due).items()})


def write_json(path: Path, rows: Sequence[Marked], seed: int | None) -> None:
    notebooks = [{**asdict(row), "score": row.score, "max_score": row.max_score} for row in rows]
    with written_beside(path) as temporary:
        text = json.dumps({"seed": seed, "notebooks": notebooks}, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _line(row: Marked, due: str) -> dict[str, object]:
    return {
        "assignment": row.assignment,
        "duedate": due,
        "timestamp": row.timestamp,
        "student_id": row.student_id,
        "raw_score": row.score,
        "late_submission_penalty": 0.0,
        "score": row.score,
        "max_score": row.max_score,
        "incidents": "; ".join(row.incidents),
    }


def _harmless(value: object) -> object:
    """A spreadsheet must not take a student's text for a formula."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if text[:1] in tuple("=+-@") else text
