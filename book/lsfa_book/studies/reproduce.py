"""Run the tables: one record per run, resumable, a failure recorded and passed over.

A run is a category, a seed and a row's configuration. Rows of different tables that ask for the
same configuration share one record. On mini3d the seed is the generator's; on a data set of files
it seeds the method (and the draw of few shots).
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from lsfa_book import mini3d
from lsfa_book.mini3d.prepared import prepared
from lsfa_book.studies import methods, records
from lsfa_book.studies.engines import Engine, in_this_process
from lsfa_book.studies.records import Record
from lsfa_book.studies.tables import Row, rows_of
from lsfa_lite.config import Config, to_json
from lsfa_lite.data.background import warn_if_padded
from lsfa_lite.data.mvtec3d import MVTec3D


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
    method: str
    data: str
    row: str  # the key of the row, see `records.row_key`

    @property
    def name(self) -> str:
        """The record's file: what was run, in a hash, behind what a person looks for."""
        words = [self.row, str(self.config.seed), self.data]
        digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:10]
        return f"{self.category}-{self.seed}-{digest}"


def run_of(row: Row, category: str, seed: int, preset: Config, parts: Parts) -> Run:
    method_seed = preset.seed if parts.made else seed
    config = preset.change(**row.changes).change(seed=method_seed)
    key = records.row_key(row, preset)
    return Run(category, seed, config, row.shots, row.method, parts.name, key)


def reproduce(
    tables: Sequence[str],
    preset: Config,
    parts: Parts,
    categories: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    device: str | torch.device = "cpu",
    engine: Engine = in_this_process,
    progress: bool = False,
) -> Iterator[Record]:
    """Do the runs that have no metrics in `folder` yet; yields each new record, once it is there.

    Raises ValueError for a table that there is not.
    """
    if parts.made is None:
        warn_if_padded(parts.root)
    runs = {run.name: run for run in plan(tables, preset, parts, categories, seeds)}
    done = records.load(folder)
    waiting = [run for run in runs.values() if "metrics" not in done.get(run.name, {})]
    tasks = [(perform, run, parts, str(device)) for run in waiting]
    bar = tqdm(engine(tasks), "runs", total=len(tasks), disable=not progress)
    for index, record in bar:
        records.write(folder, waiting[index].name, record)
        yield record


def plan(
    tables: Sequence[str],
    preset: Config,
    parts: Parts,
    categories: Sequence[str],
    seeds: Sequence[int],
) -> Iterator[Run]:
    """Every row of every table, row by row over all data sets.

    So a stopped study has whole rows, and two workers seldom make the same data set at once.
    """
    for table in tables:
        for row in rows_of(table):
            for category, seed in product(categories, seeds):
                yield run_of(row, category, seed, preset, parts)


def perform(run: Run, parts: Parts, device: str | torch.device) -> Record:
    """Fit, score, measure; an error becomes part of the record."""
    started = time.perf_counter()
    record: Record = {
        "category": run.category,
        "seed": run.seed,
        "row": run.row,
        "method": run.method,
        "shots": run.shots,
        "data": run.data,
        **({"nuisance": parts.made.nuisance} if parts.made else {}),
        "config": json.loads(to_json(run.config)),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(device),
    }
    try:
        data = parts.category(run.category, run.seed)
        train = few(data.train, run.shots, run.seed)
        record["metrics"] = methods.run(
            run.method, run.config, train, data.validation, data.test, device
        )
    except methods.CannotRun as error:
        record["skipped"] = str(error)
    except Exception as error:  # one run must not stop the others
        record["error"] = f"{type(error).__name__}: {error}"
        record["traceback"] = traceback.format_exc()
    record["seconds"] = round(time.perf_counter() - started, 1)
    record["peak_mb"] = peak_mb(device)
    return record


def few(train: Sequence[Any], shots: int | None, seed: int) -> Sequence[Any]:
    """`shots` of the training parts, drawn with the seed; CannotRun where there are fewer."""
    if shots is None:
        return train
    if shots > len(train):
        raise methods.CannotRun(f"{shots} shots of {len(train)} training parts")
    chosen = np.random.default_rng(seed).choice(len(train), shots, replace=False)
    return [train[int(i)] for i in np.sort(chosen)]


def machine(device: str | torch.device) -> dict[str, str]:
    """What a reader needs to know to compare times, and to make the run again."""
    packages = ("lsfa-lite", "torch", "timm", "numpy", "scikit-learn")
    gpu = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else ""
    return {
        "device": gpu or f"{platform.machine()} CPU, {torch.get_num_threads()} threads",
        "python": platform.python_version(),
        "commit": commit(),
        **{name: version(name) for name in packages},
    }


def commit() -> str:
    """Of the checkout that the package is run from; empty where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def peak_mb(device: str | torch.device = "cpu") -> int:
    """Peak memory so far, MB: of the GPU if there is one, else of this process; 0 on Windows."""
    if torch.device(device).type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    try:
        import resource
    except ModuleNotFoundError:  # Unix has it, Windows has not
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))  # macOS counts bytes
