"""Run the tables: one record per run, resumable, a failure recorded and passed over.

A run is a category, a seed and a row's configuration. Rows of different tables that ask for the
same configuration share one record. On mini3d the seed is the generator's; on a data set of files
it seeds the method (and the draw of few shots).
"""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from lsfa_lite.config import Config, to_json
from lsfa_lite.data import mini3d
from lsfa_lite.data.files import written_beside
from lsfa_lite.data.mvtec3d import MVTec3D
from lsfa_lite.detector import LSFADetector
from lsfa_lite.evaluation import evaluate
from lsfa_lite.experiments.prepared import prepared
from lsfa_lite.experiments.tables import TABLES, Row

Record = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """Where cleaned parts come from: `root` in MVTec 3D-AD's layout, or mini3d made below it."""

    root: Path
    made: mini3d.Mini3DConfig | None = None  # None: the files of root, as they are

    def category(self, name: str, seed: int) -> MVTec3D:
        if self.made is None:
            return MVTec3D(self.root, name)
        config = mini3d.Mini3DConfig(**vars(self.made) | {"seed": seed})
        digest = hashlib.sha256(repr(config).encode()).hexdigest()[:8]
        return MVTec3D(prepared(self.root / f"seed{seed}-{digest}", config, name), name)

    @property
    def name(self) -> str:
        return f"mini3d {self.made}" if self.made else str(self.root.resolve())


@dataclass(frozen=True)
class Run:
    category: str
    seed: int
    config: Config
    shots: int | None
    data: str

    @property
    def name(self) -> str:
        """The record's file: what was run, in a hash, behind what a person looks for."""
        words = [to_json(self.config), str(self.shots), self.data]
        digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:10]
        return f"{self.category}-{self.seed}-{digest}"


def run_of(row: Row, category: str, seed: int, preset: Config, parts: Parts) -> Run:
    method_seed = preset.seed if parts.made else seed
    config = preset.change(**row.changes).change(seed=method_seed)
    return Run(category, seed, config, row.shots, parts.name)


def reproduce(
    tables: Sequence[str],
    preset: Config,
    parts: Parts,
    categories: Sequence[str],
    seeds: Sequence[int],
    records: Path,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> Iterator[Record]:
    """Do the runs that have no record without an error yet; yields each new record.

    Raises ValueError for a table that there is not.
    """
    runs = {run.name: run for run in plan(tables, preset, parts, categories, seeds)}
    waiting = [run for run in runs.values() if "error" in (read(records, run) or {"error": ""})]
    for run in tqdm(waiting, "runs", disable=not progress):
        record = perform(run, parts, device)
        with written_beside(records / f"{run.name}.json") as temporary:
            temporary.write_text(json.dumps(record))
        yield record


def plan(
    tables: Sequence[str],
    preset: Config,
    parts: Parts,
    categories: Sequence[str],
    seeds: Sequence[int],
) -> Iterator[Run]:
    """Data set by data set, so that each is made and described once."""
    unknown = [name for name in tables if name not in TABLES]
    if unknown:
        raise ValueError(f"no table {', '.join(unknown)}; there are {', '.join(TABLES)}")
    for category in categories:
        for seed in seeds:
            for table in tables:
                for row in TABLES[table]:
                    yield run_of(row, category, seed, preset, parts)


def perform(run: Run, parts: Parts, device: str | torch.device) -> Record:
    """Fit, score, measure; an error becomes part of the record."""
    started = time.perf_counter()
    record: Record = {
        "category": run.category,
        "seed": run.seed,
        "shots": run.shots,
        "data": run.data,
        "config": json.loads(to_json(run.config)),
        "machine": machine(device),
    }
    try:
        data = parts.category(run.category, run.seed)
        detector = LSFADetector(run.config, device)
        detector.fit(few(data.train, run.shots, run.seed), data.validation)
        record["metrics"] = evaluate(detector.score(data.test), data.test)
    except Exception as error:  # one run must not stop the others
        record["error"] = f"{type(error).__name__}: {error}"
        record["traceback"] = traceback.format_exc()
    record["seconds"] = round(time.perf_counter() - started, 1)
    record["peak_mb"] = peak_mb()
    return record


def few(train: Sequence[Any], shots: int | None, seed: int) -> Sequence[Any]:
    """`shots` of the training parts, drawn with the seed; ValueError where there are fewer."""
    if shots is None:
        return train
    if shots > len(train):
        raise ValueError(f"{shots} shots of {len(train)} training parts; take another data set")
    chosen = np.random.default_rng(seed).choice(len(train), shots, replace=False)
    return [train[int(i)] for i in np.sort(chosen)]


def machine(device: str | torch.device) -> dict[str, str]:
    """What a reader needs to know to compare times, and to make the run again."""
    packages = ("lsfa-lite", "torch", "timm", "numpy", "scikit-learn")
    gpu = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else ""
    return {
        "device": gpu or f"{platform.machine()} CPU, {torch.get_num_threads()} threads",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def peak_mb() -> int:
    """Peak memory of this process so far, MB. (macOS counts bytes, Linux kilobytes.)"""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def read(records: Path, run: Run) -> Record | None:
    path = records / f"{run.name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def measured(
    table: str,
    preset: Config,
    parts: Parts,
    categories: Iterable[str],
    seeds: Iterable[int],
    records: Path,
    metric: str = "i_auroc",
) -> dict[str, dict[tuple, float]]:
    """Row -> {(category, seed): value} of the runs that have a record without an error."""
    found: dict[str, dict[tuple, float]] = {}
    pairs = [(c, s) for c in categories for s in seeds]
    for row in TABLES[table]:
        found[row.name] = {}
        for category, seed in pairs:
            record = read(records, run_of(row, category, seed, preset, parts))
            if record and "metrics" in record:
                found[row.name][category, seed] = record["metrics"]["all"][metric]
    return found
