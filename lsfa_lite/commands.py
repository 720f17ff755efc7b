"""What each sub-command of `lsfa-lite` does: a few lines over the library, and what it prints.

Imports are inside, so that `lsfa-lite --help` does not wait for torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def config_of(arguments: argparse.Namespace) -> Any:
    from lsfa_lite.config import LITE, PAPER

    values = {}
    for item in arguments.set:
        field, _, text = item.partition("=")
        try:
            values[field.replace(".", "__")] = _value(text)
        except json.JSONDecodeError:
            values[field.replace(".", "__")] = text
    return {"lite": LITE, "paper": PAPER}[arguments.preset].change(**values)


def _value(text: str) -> Any:
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value


def data(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data import eyecandies, mini3d

    wanted = {"mini3d": 1, "eyecandies": 2}[arguments.name]
    if len(arguments.paths) != wanted:
        usage = "data mini3d OUT, or data eyecandies SRC OUT"
        raise ValueError(f"{len(arguments.paths)} folders for {arguments.name}; expected {usage}")
    if arguments.name == "eyecandies":
        src, out = arguments.paths
        for category in arguments.categories or eyecandies.categories(src):
            eyecandies.convert(src, out, category, progress=True)
        return
    options = {} if arguments.nuisance is None else {"nuisance": arguments.nuisance}
    config = mini3d.Mini3DConfig(seed=arguments.seed, **options)
    categories = arguments.categories or mini3d.CATEGORIES
    mini3d.write(arguments.paths[0], config, categories, progress=True)


def clean(arguments: argparse.Namespace) -> None:
    import dataclasses

    from lsfa_lite.config import BackgroundConfig
    from lsfa_lite.data.background import clean_folder

    config = BackgroundConfig()
    if arguments.distance is not None:
        config = dataclasses.replace(config, plane_distance=arguments.distance)
    if arguments.keep is not None:
        config = dataclasses.replace(config, keep=arguments.keep)
    clean_folder(arguments.src, arguments.out, config, progress=True)


def fit(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.mvtec3d import MVTec3D
    from lsfa_lite.detector import LSFADetector

    if arguments.out.exists():
        raise FileExistsError(f"{arguments.out} is there already; name a new folder or remove it")
    detector = LSFADetector(config_of(arguments), arguments.device)
    data = MVTec3D(arguments.root, arguments.category)
    detector.fit(data.train, data.validation, progress=True)
    detector.save(arguments.out)
    print(
        f"fitted on {len(data.train)} samples with {' + '.join(detector.modalities)}: "
        f"{arguments.out}"
    )


def score(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.folder import Folder, Intrinsics
    from lsfa_lite.detector import LSFADetector, Scored
    from lsfa_lite.reports import write_score_table, write_scores

    intrinsics = Intrinsics.from_json(arguments.intrinsics) if arguments.intrinsics else None
    detector = LSFADetector.load(arguments.model, arguments.device)
    rows: list[tuple[str, Scored]] = []
    for path in arguments.paths:
        scans = Folder(path, intrinsics)
        for entry, sample in zip(scans.entries, scans, strict=True):
            scored = detector.score([sample])[0]
            name = f"{len(rows):03d}-{entry.stem}"
            rows.append((name, scored))
            write_scores(arguments.out, sample, scored, name)
            verdict = "anomalous" if scored.is_anomalous else "good"
            print(f"{scored.image_score:8.3f}  {verdict:9s}  {sample.path}")
    write_score_table(arguments.out / "scores.csv", rows)


def evaluate(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.mvtec3d import MVTec3D
    from lsfa_lite.detector import LSFADetector
    from lsfa_lite.evaluation import evaluate
    from lsfa_lite.reports import evaluation_table

    detector = LSFADetector.load(arguments.model, arguments.device)
    test = MVTec3D(arguments.root, arguments.category).test
    table = evaluate(detector.score(test, progress=not arguments.json), test)
    print(json.dumps(table, indent=2) if arguments.json else evaluation_table(table))


def doctor(arguments: argparse.Namespace) -> int:
    from lsfa_lite.data.doctor import examine

    report = examine(arguments.path)
    print(report)
    return 0 if report.ok else 1


def demo(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.files import written_beside
    from lsfa_lite.data.mini3d import Mini3DConfig
    from lsfa_lite.experiments.demo import demo
    from lsfa_lite.reports import demo_table

    config = config_of(arguments)
    data = Mini3DConfig(seed=arguments.seed)
    rows = list(demo(config, data, arguments.out, arguments.categories, arguments.device))
    print(demo_table(rows))
    if arguments.json:
        with written_beside(arguments.json) as temporary:
            temporary.write_text(json.dumps(rows, indent=2))


def reproduce(arguments: argparse.Namespace) -> int:
    from lsfa_lite.data import mini3d, mvtec3d
    from lsfa_lite.experiments import records
    from lsfa_lite.experiments.reproduce import Parts
    from lsfa_lite.experiments.reproduce import reproduce as runs
    from lsfa_lite.experiments.tables import ON_MINI3D, TABLES

    folder = arguments.out / "records"
    if folder.is_dir() and not arguments.resume:
        raise FileExistsError(f"{folder} is there: go on with --resume, or name another --out")
    made = None if arguments.data else mini3d.Mini3DConfig()
    parts = Parts(arguments.data or arguments.out / "data", made)
    known = mvtec3d.categories(parts.root) if arguments.data else list(mini3d.CATEGORIES)
    categories = arguments.categories or known
    everything = [*(TABLES if arguments.data else ON_MINI3D), "fig5"]
    wanted = everything if arguments.tables == ["all"] else list(arguments.tables)
    tables = [name for name in wanted if name != "fig5"]
    preset, seeds = config_of(arguments), range(arguments.seeds)
    failed = 0
    where = preset, parts, categories, seeds, folder, arguments.device, _engine(arguments)
    for record in runs(tables, *where, progress=True):
        if problem := record.get("error") or record.get("skipped"):
            failed += "error" in record
            print(f"{record['category']}, seed {record['seed']}: {problem}", file=sys.stderr)
    here = [r for r in records.load(folder).values() if r["data"] == parts.name]
    for table in tables:
        _print_table(table, here, preset)
    if "fig5" in wanted:
        _fig5(arguments.out / "fig5", preset, parts, categories, arguments.device)
    print("paper: its numbers on MVTec 3D-AD, not to be compared with other data")
    return 1 if failed else 0


def _engine(arguments: argparse.Namespace) -> Any:
    from lsfa_lite.experiments.engines import in_processes, on_ray

    if arguments.workers < 1:
        raise ValueError(f"--workers {arguments.workers}: at least one process is needed")
    if arguments.engine == "ray":
        return on_ray(arguments.address, arguments.gpus)
    return in_processes(arguments.workers)


def _print_table(name: str, records: list[Any], preset: Any) -> None:
    from lsfa_lite.experiments.records import measured
    from lsfa_lite.experiments.tables import TABLES
    from lsfa_lite.reports import METRICS, category_table, reproduction_table

    rows = TABLES[name]
    found = {metric: measured(rows, records, preset, metric) for metric in METRICS}
    print(reproduction_table(name, rows, found), end="\n\n")
    if name in ("table1", "table2"):
        metric = {"table1": "i_auroc", "table2": "aupro_30"}[name]
        title = f"{name}, {METRICS[metric]}"
        print(category_table(title, rows, found[metric]), end="\n\n")


def _fig5(folder: Path, preset: Any, parts: Any, categories: Any, device: str) -> None:
    from lsfa_lite.data.files import written_beside
    from lsfa_lite.experiments.qualitative import compare
    from lsfa_lite.plots.qualitative import verdicts

    for category in categories:
        for defect, example in compare(preset, parts.category(category, preset.seed), device):
            path = folder / f"{category}-{defect}.png"
            with written_beside(path) as temporary:
                verdicts(example).savefig(temporary, format="png", dpi=150)
            print(path)
