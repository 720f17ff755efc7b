"""Records of runs: written one by one, read together, gathered into the file that the book shows.

A record is plain JSON. It belongs to a row through a key made of all that the row runs (the
configuration without its seed, the shots, the method), so that the same record serves every table
that has the row, and a changed default makes no old number look like a new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lsfa_book.mini3d import Mini3DConfig
from lsfa_book.studies.tables import Row, rows_of
from lsfa_lite.config import FIRST, Config, to_json
from lsfa_lite.data.files import written_beside

Record = dict[str, Any]
Values = dict[tuple[str, int], float]  # (category, seed) -> a metric
USUAL = Mini3DConfig().nuisance
# Fields that are younger than the shipped records: a run in which they are off has the old key.
LATER: dict[str, dict[str, Any]] = {
    "features": {"compute": "float32", "keep": "float32"},
    "adaptation": {"alignment_reduction": "mean", "updates": "joint"},
    "scoring": {"coreset_rows": 0, "search": "exact", "rim": "cut", "calibrate_on": "held_out"},
}
EVERY = {"category", "seed", "row", "data"}  # keys of every record, of a failed run's too


def row_key(row: Row, preset: Config) -> str:
    return key_of(preset.change(**row.changes), row.shots, row.method)


def key_of(config: Config, shots: int | None, method: str) -> str:
    settings = json.loads(to_json(config.change(seed=0)))
    for part, younger in LATER.items():
        for name, off in younger.items():
            if settings[part][name] == off:
                del settings[part][name]
    settings = _floats(settings)  # a weight of 1 is one of 1.0
    words = [json.dumps(settings), str(shots), method]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:10]


def _floats(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _floats(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_floats(value) for value in node]
    return float(node) if type(node) is int else node


def write(folder: Path, name: str, record: Record) -> None:
    with written_beside(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(record))


def load(folder: Path) -> dict[str, Record]:
    """Every record of a folder by its name; none where there is no folder.

    A record that is damaged counts as not there: its run is done again. So does any other JSON.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.keys() >= EVERY:
            found[path.stem] = record
    return found


def measured(
    rows: Iterable[Row],
    records: Iterable[Record],
    preset: Config = FIRST,
    metric: str = "i_auroc",
    view: str | None = None,
) -> dict[str, Values]:
    """Row -> {(category, seed): value} of the records that have metrics; view: else the row's."""
    by_key: dict[str, list[Record]] = {}
    for record in records:
        if "metrics" in record:
            by_key.setdefault(record["row"], []).append(record)
    return {
        row.name: {
            (r["category"], r["seed"]): seen(r["metrics"], view or row.view)[metric]
            for r in by_key.get(row_key(row, preset), [])
        }
        for row in rows
    }


def lines_of(table: str, records: Iterable[Record], preset: Config) -> Iterator[dict[str, Any]]:
    """What `measured` has of all metrics, a run at a time, with the paper's numbers of its row."""
    there = [record for record in records if "metrics" in record]
    for row in rows_of(table):
        key = row_key(row, preset)
        for record in (r for r in there if r["row"] == key):
            told = {"table": table, "row": row.name, "paper": row.paper}
            told |= {name: record[name] for name in ("category", "seed")}
            yield told | {"metrics": seen(record["metrics"], row.view)}


def seen(metrics: Mapping[str, Any], name: str) -> Mapping[str, float]:
    """Of the fused score ("all"), or of one modality alone."""
    return metrics["all"] if name == "all" else metrics["modalities"][name]


def of_nuisance(records: Iterable[Record], nuisance: float) -> list[Record]:
    """Those on parts that vary so much; records from before it was written down are usual ones."""
    return [r for r in records if r.get("nuisance", USUAL) == nuisance]


def gather(records: Iterable[Record]) -> str:
    """Text of the file that is shipped: what was measured, without what the rows say already."""
    kept = ("category", "seed", "nuisance", "row", "setting", "seconds", "peak_mb")
    lines, machines = [], set()
    for record in records:
        if "metrics" in record:
            small = {key: record[key] for key in kept if key in record}
            small["metrics"] = rounded(record["metrics"])
            small["date"] = record["date"][:10]
            lines.append(json.dumps(small))
            machines.add(json.dumps(record["machine"] | {"data": record["data"]}))
    head = json.dumps([json.loads(m) for m in sorted(machines)])
    return '{"machines": ' + head + ',\n"records": [\n' + ",\n".join(lines) + "\n]}\n"


def rounded(metrics: Any, digits: int = 4) -> Any:
    if isinstance(metrics, dict):
        return {key: rounded(value, digits) for key, value in metrics.items()}
    return round(metrics, digits) if isinstance(metrics, float) else metrics


@cache
def _shipped(study: str) -> dict[str, Any]:
    path = files("lsfa_book.records").joinpath(f"{study}.json")
    return json.loads(path.read_text())


def shipped(study: str = "reproduction") -> list[Record]:
    """The records that come with the package: FIRST on mini3d, four categories.

    study   "reproduction": every table, seeds 0 to 2; "confirmation": Table 7 with 5 and 10 shots
            on seeds 3 to 5, made after the others had raised a question; "six-kinds": rows of the
            tables on the other six kinds, seed 0; "effect": chapter 13's
    """
    return _shipped(study)["records"]


def shipped_machines(study: str = "reproduction") -> list[dict[str, str]]:
    """What the shipped records were made on."""
    return _shipped(study)["machines"]


def shipped_table(
    name: str, metric: str = "i_auroc", study: str = "reproduction"
) -> dict[str, Values]:
    """A table on mini3d: row -> {(category, seed): value}; a row that was not run has none."""
    return measured(rows_of(name), shipped(study), FIRST, metric)
