"""`lsfa-lite`: the package from a terminal. Every sub-command is a few lines over the library."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsfa_lite import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; errors that a user can mend are one line on stderr and exit code 2."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        print(f"lsfa-lite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lsfa-lite: stopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lsfa-lite", description="Anomaly detection in RGB + 3D.")
    top.add_argument("--version", action="version", version=f"lsfa-lite {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="make the embedded data set, or convert Eyecandies")
    data.add_argument("name", choices=["mini3d", "eyecandies"])
    data.add_argument(
        "paths", type=Path, nargs="+", help="mini3d OUT, or eyecandies SRC OUT: folder to be made"
    )
    data.add_argument("--seed", type=int, default=0)
    data.add_argument(
        "--nuisance", type=float, default=None, help="0 to 1: how much normal parts vary"
    )
    data.add_argument("--categories", nargs="+", default=None)
    data.set_defaults(run=_data)

    clean = commands.add_parser("clean", help="remove the ground plane of a data set")
    clean.add_argument("src", type=Path)
    clean.add_argument("out", type=Path)
    clean.add_argument("--distance", type=float, default=None, help="metres from the plane that go")
    clean.add_argument("--keep", choices=["largest", "sizeable"], default=None)
    clean.set_defaults(run=_clean)

    fit = commands.add_parser("fit", help="fit a detector on one category")
    fit.add_argument("root", type=Path, help="data set in the layout of MVTec 3D-AD, cleaned")
    fit.add_argument("category")
    fit.add_argument("--out", type=Path, required=True, help="folder of the model")
    _add_config(fit)
    fit.set_defaults(run=_fit)

    score = commands.add_parser("score", help="score scans with a fitted detector")
    score.add_argument("model", type=Path)
    score.add_argument("paths", type=Path, nargs="+", help="folders of scans, or single files")
    score.add_argument("--out", type=Path, required=True)
    score.add_argument("--intrinsics", type=Path, default=None, help="JSON, for depth pictures")
    score.add_argument("--device", default="cpu")
    score.set_defaults(run=_score)

    evaluate = commands.add_parser("evaluate", help="measure a detector on a category's test split")
    evaluate.add_argument("model", type=Path)
    evaluate.add_argument("root", type=Path)
    evaluate.add_argument("category")
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.add_argument("--device", default="cpu")
    evaluate.set_defaults(run=_evaluate)

    doctor = commands.add_parser("doctor", help="say what a data folder holds and what is wrong")
    doctor.add_argument("path", type=Path)
    doctor.set_defaults(run=_doctor)

    demo = commands.add_parser("demo", help="the whole way on the embedded data set")
    demo.add_argument("--out", type=Path, default=None, help="keep the data here")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--categories", nargs="+", default=None)
    demo.add_argument("--json", type=Path, default=None, help="write the figures here as well")
    _add_config(demo)
    demo.set_defaults(run=_demo)

    again = commands.add_parser("reproduce", help="run the paper's ablation tables")
    again.add_argument(
        "tables", nargs="+", metavar="TABLE", help="table3 ... table7, fig6, open; or all"
    )
    again.add_argument("--out", type=Path, required=True, help="records, and the parts of mini3d")
    again.add_argument("--data", type=Path, help="cleaned data in MVTec 3D-AD's layout; or mini3d")
    again.add_argument("--categories", nargs="+", default=None)
    again.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    again.add_argument("--resume", action="store_true", help="keep the runs that are done")
    _add_config(again)
    again.set_defaults(run=_reproduce)
    return top


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--preset", choices=["lite", "paper"], default="lite")
    command.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="any field of the config, e.g. adaptation.steps=0 scoring.fusion=max",
    )
    command.add_argument("--device", default="cpu")


def _config(arguments: argparse.Namespace) -> Any:
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


def _data(arguments: argparse.Namespace) -> None:
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


def _clean(arguments: argparse.Namespace) -> None:
    import dataclasses

    from lsfa_lite.config import BackgroundConfig
    from lsfa_lite.data.background import clean_folder

    config = BackgroundConfig()
    if arguments.distance is not None:
        config = dataclasses.replace(config, plane_distance=arguments.distance)
    if arguments.keep is not None:
        config = dataclasses.replace(config, keep=arguments.keep)
    clean_folder(arguments.src, arguments.out, config, progress=True)


def _fit(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.mvtec3d import MVTec3D
    from lsfa_lite.detector import LSFADetector

    if arguments.out.exists():
        raise FileExistsError(f"{arguments.out} is there already; name a new folder or remove it")
    detector = LSFADetector(_config(arguments), arguments.device)
    data = MVTec3D(arguments.root, arguments.category)
    detector.fit(data.train, data.validation, progress=True)
    detector.save(arguments.out)
    print(
        f"fitted on {len(data.train)} samples with {' + '.join(detector.modalities)}: "
        f"{arguments.out}"
    )


def _score(arguments: argparse.Namespace) -> None:
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


def _evaluate(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.mvtec3d import MVTec3D
    from lsfa_lite.detector import LSFADetector
    from lsfa_lite.evaluation import evaluate
    from lsfa_lite.reports import evaluation_table

    detector = LSFADetector.load(arguments.model, arguments.device)
    test = MVTec3D(arguments.root, arguments.category).test
    table = evaluate(detector.score(test, progress=not arguments.json), test)
    print(json.dumps(table, indent=2) if arguments.json else evaluation_table(table))


def _doctor(arguments: argparse.Namespace) -> int:
    from lsfa_lite.data.doctor import examine

    report = examine(arguments.path)
    print(report)
    return 0 if report.ok else 1


def _demo(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.files import written_beside
    from lsfa_lite.data.mini3d import Mini3DConfig
    from lsfa_lite.experiments.demo import demo
    from lsfa_lite.reports import demo_table

    config = _config(arguments)
    data = Mini3DConfig(seed=arguments.seed)
    rows = list(demo(config, data, arguments.out, arguments.categories, arguments.device))
    print(demo_table(rows))
    if arguments.json:
        with written_beside(arguments.json) as temporary:
            temporary.write_text(json.dumps(rows, indent=2))


def _reproduce(arguments: argparse.Namespace) -> int:
    from lsfa_lite.data import mini3d, mvtec3d
    from lsfa_lite.experiments.reproduce import Parts, measured, reproduce
    from lsfa_lite.experiments.tables import TABLES
    from lsfa_lite.reports import METRICS, reproduction_table

    records = arguments.out / "records"
    if records.is_dir() and not arguments.resume:
        raise FileExistsError(f"{records} is there: go on with --resume, or name another --out")
    made = None if arguments.data else mini3d.Mini3DConfig()
    parts = Parts(arguments.data or arguments.out / "data", made)
    known = mvtec3d.categories(parts.root) if arguments.data else mini3d.CATEGORIES
    preset, seeds = _config(arguments), range(arguments.seeds)
    where = preset, parts, arguments.categories or known, seeds
    tables = list(TABLES) if arguments.tables == ["all"] else arguments.tables
    failed = 0
    for record in reproduce(tables, *where, records, arguments.device, progress=True):
        if "error" in record:
            failed += 1
            print(
                f"{record['category']}, seed {record['seed']}: {record['error']}", file=sys.stderr
            )
    for table in tables:
        found = {metric: measured(table, *where, records, metric) for metric in METRICS}
        print(reproduction_table(table, found), end="\n\n")
    print("paper: its numbers on MVTec 3D-AD, not to be compared with other data")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
