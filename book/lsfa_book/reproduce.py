"""`lsfa-lite reproduce`: from its arguments to runs, and from their records to printed tables."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from lsfa_book import mini3d
from lsfa_book.studies import looks, records
from lsfa_book.studies.engines import Engine, in_processes, on_ray
from lsfa_book.studies.fig5 import compare, verdicts
from lsfa_book.studies.first_look import CATEGORY
from lsfa_book.studies.records import Record
from lsfa_book.studies.reproduce import Parts
from lsfa_book.studies.reproduce import reproduce as runs
from lsfa_book.studies.tables import AUDIT, ON_MINI3D, REAL, STUDY, TABLES, rows_of
from lsfa_book.tables import category_table, first_look_table, reproduction_table
from lsfa_lite.config import Config
from lsfa_lite.data import mvtec3d
from lsfa_lite.data.files import written_beside
from lsfa_lite.errors import FileThere, LSFAError
from lsfa_lite.report import METRICS
from lsfa_lite.terminal import say

HOW = """these figures come with the package; to run the table on real parts that you have, cleaned:
lsfa-lite reproduce first-real-category --data ROOT --categories cable_gland --out OUT"""


def reproduce(arguments: argparse.Namespace, preset: Config) -> int:
    """Do the runs that are not done yet and print the tables; 1 if a run failed."""
    if arguments.seeds < 1:
        raise LSFAError(f"--seeds {arguments.seeds}: how many; at least 1 is needed")
    wanted = _tables(arguments)
    if not arguments.data and REAL.keys() & set(wanted):
        _print_first_look(looks.shipped(), CATEGORY, arguments.json)
        say(HOW, error=arguments.json)
        if not (wanted := [name for name in wanted if name not in REAL]):
            return 0
    categories = _categories(arguments)
    tables = [name for name in wanted if name != "fig5"]
    made = None if arguments.data else _mini3d(arguments.nuisance)
    parts = Parts(arguments.data or arguments.out / "data", made)
    seeds, engine = range(arguments.seeds), _engine(arguments)
    folder, failed = _records_folder(arguments.out, arguments.resume), 0
    where = preset, parts, categories, seeds, folder, arguments.device, engine
    for record in runs(tables, *where, progress=True):
        if problem := record.get("error") or record.get("skipped"):
            failed += "error" in record
            say(f"{record['category']}, seed {record['seed']}: {problem}", error=True)
    here = [r for r in records.load(folder).values() if r["data"] == parts.name]
    for table in tables:
        if table in REAL:
            for category in categories:
                _print_first_look(here, category, arguments.json)
        elif arguments.json:
            for line in records.lines_of(table, here, preset):
                print(json.dumps(line))
        else:
            _print_table(table, here, preset)
    if "fig5" in wanted:
        for path in _fig5(arguments.out / "fig5", preset, parts, categories, arguments.device):
            print(json.dumps({"table": "fig5", "picture": str(path)}) if arguments.json else path)
    say("paper: its numbers on MVTec 3D-AD, not to be compared with other data", arguments.json)
    return 1 if failed else 0


def _mini3d(nuisance: float | None) -> mini3d.Mini3DConfig:
    usual = mini3d.Mini3DConfig()
    return usual if nuisance is None else dataclasses.replace(usual, nuisance=nuisance)


def _tables(arguments: argparse.Namespace) -> list[str]:
    known = [*TABLES, *STUDY, *AUDIT, *REAL, "fig5", "all"]
    if unknown := sorted(set(arguments.tables) - set(known)):
        raise LSFAError(f"no table {', '.join(unknown)}; there are {', '.join(known)}")
    if "all" in arguments.tables:
        return [*(TABLES if arguments.data else ON_MINI3D), "fig5"]
    return list(arguments.tables)


def _categories(arguments: argparse.Namespace) -> list[str]:
    """Those asked for, else all; ValueError before any run if one is not there."""
    known = mvtec3d.categories(arguments.data) if arguments.data else list(mini3d.KINDS)
    usual = known if arguments.data else list(mini3d.CATEGORIES)
    where, wanted = arguments.data or "mini3d", arguments.categories or usual
    if not known:
        raise LSFAError(f"{where}: no category; expected folders with train/good/rgb, .../xyz")
    if unknown := sorted(set(wanted) - set(known)):
        raise LSFAError(f"{where}: no category {unknown[0]!r}; there are {', '.join(known)}")
    return list(wanted)


def _records_folder(out: Path, resume: bool) -> Path:
    """Made before the first run, so that no run is done for nothing."""
    folder = out / "records"
    if folder.is_dir() and not resume:
        raise FileThere(f"{folder} is there: go on with --resume, or name another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise LSFAError(f"--out {out}: {folder} cannot be made: {reason}; name another") from error
    return folder


def _engine(arguments: argparse.Namespace) -> Engine:
    if arguments.workers < 1:
        raise LSFAError(f"--workers {arguments.workers}: at least one process is needed")
    if arguments.engine == "ray":
        return on_ray(arguments.address, arguments.gpus)
    return in_processes(arguments.workers)


def _print_first_look(found: list[Record], category: str, as_json: bool) -> None:
    if not as_json:
        print(first_look_table(found, category), end="\n\n")
        return
    for setting, done in looks.by_setting(found, category).items():
        for run in done:
            line = {"table": "first-real-category", "row": setting, "category": category}
            print(json.dumps(line | {"seed": run["seed"], "metrics": run["metrics"]}))


def _print_table(name: str, here: list[Record], preset: Config) -> None:
    rows = rows_of(name)
    found = {metric: records.measured(rows, here, preset, metric) for metric in METRICS}
    print(reproduction_table(name, rows, found), end="\n\n")
    if name in ("table1", "table2"):
        metric = {"table1": "i_auroc", "table2": "aupro_30"}[name]
        title = f"{name}, {METRICS[metric]}"
        print(category_table(title, rows, found[metric]), end="\n\n")


def _fig5(
    folder: Path, preset: Config, parts: Parts, categories: list[str], device: str
) -> Iterator[Path]:
    for category in categories:
        for defect, example in compare(preset, parts.category(category, preset.seed), device):
            path = folder / f"{category}-{defect}.png"
            with written_beside(path) as temporary:
                verdicts(example).savefig(temporary, format="png", dpi=150)
            yield path
