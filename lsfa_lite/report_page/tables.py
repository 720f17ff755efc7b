"""The rows of a report for spreadsheets (CSV) and for programs (JSON lines)."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from lsfa_lite.batch import Judgement
from lsfa_lite.report_page.rows import Row
from lsfa_lite.report_page.words import judged
from lsfa_lite.scoring.calibration import Calibration

COLUMNS = ["rank", "key", "verdict", "image_score", "threshold", "promised", "rgb", "3d"]
COLUMNS += ["path", "words", "cloud"]


def values(rank: int, row: Row) -> dict[str, Any]:
    """One row under COLUMNS; None where there is nothing to say."""
    told = (rank, row.key, row.verdict, row.image_score, row.threshold, row.promised)
    alone = (row.modality_scores.get("rgb"), row.modality_scores.get("3d"))
    cloud = f"parts/{row.key}/heat.ply" if row.points else None
    return dict(zip(COLUMNS, (*told, *alone, row.path, row.words, cloud), strict=True))


def as_json(line: dict[str, Any]) -> str:
    """JSON has no infinity: the score of a missing part is null there."""
    finite = {k: None if v in (math.inf, -math.inf) else v for k, v in line.items()}
    return json.dumps(finite, ensure_ascii=False)


def line(one: Judgement, calibration: Calibration) -> dict[str, Any]:
    """A judgement as `score --json` and `watch --json` print it: a report's line without files."""
    told = values(0, judged(one, calibration))
    return {name: value for name, value in told.items() if name not in ("rank", "key", "cloud")}


def write_tables(folder: Path, rows: list[Row]) -> None:
    """scores.csv and scores.jsonl, in the order of the rows, ranks from 1."""
    lines = [values(rank, row) for rank, row in enumerate(rows, 1)]
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(lines)
    text = "".join(as_json(line) + "\n" for line in lines)
    (folder / "scores.jsonl").write_text(text, encoding="utf-8", newline="\n")
