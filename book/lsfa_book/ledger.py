"""The claims ledger: every number that the paper prints, beside what our command measured.

Entries are made from the paper's tables and from records, never typed. What has no record says so.
Our numbers are of three kinds that must not be mixed: mini3d; one real category, whose records come
with the package too; and the paper's own data sets, whose records only a reader with the data and
a GPU can add.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from lsfa_book.literature.paper import Printed, printed
from lsfa_book.studies.comparison import paired
from lsfa_book.studies.first_look import CATEGORY, FINE
from lsfa_book.studies.records import (
    Record,
    Values,
    load,
    measured,
    row_key,
    shipped,
    shipped_machines,
)
from lsfa_book.studies.tables import COMPARISON, FIRST_REAL, TABLES, Row
from lsfa_lite.config import FIRST, PRESETS
from lsfa_lite.errors import LSFAError

METRICS = ("i_auroc", "aupro_30", "p_auroc")  # in the order of the paper's tables
NOT_RUN = "not run here: needs the data set and a GPU"
NO_CODE = "not run here: no code of this method in the project"

# The mini3d column's grid, then the paper's. On the real category they disagree on adaptation.
GRIDS: dict[str, dict[str, Any]] = {"28 x 28": {}, "56 x 56": FINE}

# method of Tables 1 and 2 -> our row; the other methods keep the paper's numbers alone
OURS = {
    ("3d", "FPFH"): "3D: FPFH",
    ("3d", "FPFH*/M3DM"): "3D: Point-MAE (FPFH*)",
    ("3d", "LSFA"): "3D: LSFA",
    ("rgb", "PADiM"): "RGB: PaDiM",
    ("rgb", "PatchCore"): "RGB: PatchCore",
    ("rgb", "STFPM"): "RGB: STFPM",
    ("rgb", "CS-Flow"): "RGB: CS-Flow",
    ("rgb", "PatchCore*/M3DM"): "RGB: no adaptation",
    ("rgb", "LSFA"): "RGB: LSFA",
    ("rgb+3d", "PatchCore + FPFH"): "PatchCore + FPFH",
    ("rgb+3d", "PatchCore*+FPFH*"): "double bank (PatchCore* + FPFH*)",
    ("rgb+3d", "LSFA"): "LSFA",
}


@dataclass(frozen=True)
class Measured:
    """Mean of n data sets (category and seed) with its 95 % t-interval; None for a single one."""

    mean: float
    low: float | None
    high: float | None
    n: int
    scale: str  # "mini3d", or the data set's folder
    hardware: str
    date: str


@dataclass(frozen=True)
class Real:
    """Mean and range over n coreset seeds of one real category; no interval over data sets."""

    mean: float
    low: float
    high: float
    n: int
    grid: str  # "28 x 28"
    setting: str  # what was run, as the record names it
    source: str  # of the data, with its licence
    hardware: str
    date: str


@dataclass(frozen=True)
class Entry:
    """One number of the paper. `ours`, `real` are empty where nothing was run; `status` says why.

    real   of cable gland alone: like with like in Tables 1 and 2, which print that category; in
           the other tables beside the paper's mean of ten
    """

    where: str  # "Table 4"
    row: str
    metric: str
    category: str  # "mean", or one of the ten
    paper: float
    command: str  # that makes our number; empty where there is no code
    ours: tuple[Measured, ...]
    real: tuple[Real, ...] = ()

    @property
    def status(self) -> str:
        if not self.command:
            return NO_CODE
        return "measured" if self.ours or self.real else NOT_RUN


class Sources:
    """Records of all kinds, and what a row of a table measured in them."""

    def __init__(self, own: Iterable[Record] = ()):
        (machine, *others) = shipped_machines()
        self.small = [r | {"machine": machine} for r in shipped()]
        if len({m["device"] for m in (machine, *others)}) > 1:
            raise LSFAError("records/reproduction.json mixes machines; gather those of one")
        (self.maker,) = shipped_machines(FIRST_REAL)
        self.real = [r for r in shipped(FIRST_REAL) if r["category"] == CATEGORY]
        self.own = [r for r in own if "metrics" in r]

    def find(self, row: Row, metric: str, category: str = "mean") -> tuple[Measured, ...]:
        found = []
        values = measured([row], self.small, FIRST, metric)[row.name]
        if category == "mean" and values:
            found.append(summary(values, "mini3d", self.small))
        for data in sorted({r["data"] for r in self.own}):
            records = [r for r in self.own if r["data"] == data]
            for preset in PRESETS.values():
                values = measured([row], records, preset, metric)[row.name]
                values = {k: v for k, v in values.items() if category in ("mean", k[0])}
                if values:
                    found.append(summary(values, f"{Path(data).name}, {preset.name}", records))
        return tuple(found)

    def look(self, row: Row, metric: str, before: Row | None = None) -> tuple[Real, ...]:
        """The row on the real category, once for each grid that was run; minus `before`, if any."""
        found = []
        for grid, changes in GRIDS.items():
            preset = FIRST.change(**changes)
            values = measured([row], self.real, preset, metric)[row.name]
            if before:
                least = measured([before], self.real, preset, metric)[before.name]
                values = {key: values[key] - least[key] for key in values.keys() & least.keys()}
            if x := list(values.values()):
                run = next(r for r in self.real if r["row"] == row_key(row, preset))
                told = grid, run["setting"], self.maker["data"], self.maker["device"], run["date"]
                found.append(Real(float(np.mean(x)), min(x), max(x), len(x), *told))
        return tuple(found)


def summary(values: Values, scale: str, records: Sequence[Record]) -> Measured:
    numbers = np.array(list(values.values()))
    low = high = None
    if len(numbers) > 1:
        half = stats.t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / np.sqrt(len(numbers))
        low, high = max(0.0, numbers.mean() - half), min(1.0, numbers.mean() + half)
    hardware = " or ".join(sorted({r["machine"]["device"] for r in records if "machine" in r}))
    date = max((r.get("date", "") for r in records), default="")[:10]
    return Measured(float(numbers.mean()), low, high, len(numbers), scale, hardware, date)


def ledger(own: Path | None = None) -> list[Entry]:
    """Every number of Tables 1 to 9. `own` is a reader's OUT/records of `lsfa-lite reproduce`."""
    sources = Sources(load(own).values() if own else ())
    entries = [*compared("table1", "i_auroc", sources), *compared("table2", "aupro_30", sources)]
    for table in ("table3", "table4", "table5", "table6", "table7", "table8", "table9"):
        for row in TABLES[table]:
            if row.paper is not None:
                entries += of_row(table, row, row.paper, sources)
    return entries


def on_real(entries: Iterable[Entry]) -> list[Entry]:
    """Those with a shipped counterpart on real data; a reader's own records are not among them."""
    return [entry for entry in entries if entry.real]


def compared(table: str, metric: str, sources: Sources) -> Iterator[Entry]:
    """Tables 1 and 2: the mean, then the ten categories, of every method."""
    rows = {row.name: row for row in COMPARISON}
    for line in printed()[table]:
        row = rows.get(OURS.get((line["modality"], line["method"]), ""))
        command = f"lsfa-lite reproduce {table}" if row else ""
        name = f"{line['modality'].upper()}: {line['method']}"
        for category, paper in {"mean": line["mean"], **line["categories"]}.items():
            ours = sources.find(row, metric, category) if row else ()
            real = sources.look(row, metric) if row and category == CATEGORY else ()
            yield Entry(_title(table), name, metric, category, paper, command, ours, real)


def of_row(table: str, row: Row, paper: Printed, sources: Sources) -> Iterator[Entry]:
    command = f"lsfa-lite reproduce {table}"
    for metric, value in zip(METRICS, paper, strict=True):
        if value is not None:
            ours, real = sources.find(row, metric), sources.look(row, metric)
            yield Entry(_title(table), row.name, metric, "mean", value, command, ours, real)


def _title(table: str) -> str:
    return table.replace("table", "Table ")


@dataclass(frozen=True)
class Sentence:
    """A sentence of the abstract in our words, the paper's number, and what we can say to it.

    real   on the real category, beside what the paper prints for that category
    """

    text: str
    paper: str
    ours: str
    real: str = ""


def claims(own: Path | None = None) -> list[Sentence]:
    """The abstract's claims; numbers come from the paper's tables and from records."""
    sources = Sources(load(own).values() if own else ())
    rows = {row.name: row for row in COMPARISON}
    table = {r["method"]: r for r in printed()["table1"] if r["modality"] == "rgb+3d"}
    three = [table[name] for name in ("LSFA", "PatchCore*+FPFH*", "AST")]
    lsfa, bare, ast = (line["mean"] for line in three)
    there, bare_there, _ = (line["categories"][CATEGORY] for line in three)
    adapted, frozen = rows["LSFA"], rows["no adaptation"]
    eyecandies = next(iter(printed()["eyecandies"]))
    return [
        Sentence(
            "LSFA reaches this image AUROC on MVTec 3D-AD, colour and shape together.",
            f"{lsfa:.3f}",
            _words(sources.find(adapted, "i_auroc")),
            _seeds(sources.look(adapted, "i_auroc"), f"{there:.3f}", ".3f"),
        ),
        Sentence(
            "That is above the best earlier method (AST in Table 1).",
            f"{lsfa - ast:+.3f}",
            NO_CODE,
        ),
        Sentence(
            "Adapting improves a method that compares frozen features "
            "(Section 4.2, not in the abstract: LSFA minus the same features without adaptation).",
            f"{lsfa - bare:+.3f}",
            _gain(adapted, frozen, sources),
            _seeds(sources.look(adapted, "i_auroc", frozen), f"{there - bare_there:+.3f}", "+.3f"),
        ),
        Sentence(
            "It is the best on Eyecandies too (RGB: image AUROC, AUPRO).",
            f"{eyecandies['i_auroc']:.3f}, {eyecandies['aupro']:.3f}",
            NOT_RUN,
        ),
    ]


def _gain(after: Row, before: Row, sources: Sources) -> str:
    found = []
    scales: list[tuple[str, list[Record], Any]] = [("mini3d", sources.small, FIRST)]
    for data in sorted({r["data"] for r in sources.own}):
        records = [r for r in sources.own if r["data"] == data]
        scales += [(f"{Path(data).name}, {p.name}", records, p) for p in PRESETS.values()]
    for name, records, preset in scales:
        values = measured([after, before], records, preset)
        if len(values[after.name].keys() & values[before.name].keys()) > 1:
            d = paired(values[after.name], values[before.name])
            found.append(f"{d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f}; {name}, {d.n} pairs)")
    return "; ".join(found) or NOT_RUN


def _words(found: Sequence[Measured]) -> str:
    return "; ".join(f"{m.mean:.3f} ({_range(m)}{m.scale}, n = {m.n})" for m in found) or NOT_RUN


def _range(measured: Measured) -> str:
    return "" if measured.low is None else f"{measured.low:.3f} to {measured.high:.3f}; "


def _seeds(found: Sequence[Real], paper: str, style: str) -> str:
    told = [
        f"{r.grid}: {r.mean:{style}} ({r.low:{style}} to {r.high:{style}}, {r.n} seeds)"
        for r in found
    ]
    return "; ".join([*told, f"the paper there {paper}"])
