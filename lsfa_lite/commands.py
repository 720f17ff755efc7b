"""What each sub-command of `lsfa-lite` does: a few lines over the library, and what it prints.

Imports are inside, so that `lsfa-lite --help` does not wait for torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def config_of(arguments: argparse.Namespace) -> Any:
    from lsfa_lite.config import PRESETS

    values = {}
    for item in arguments.set:
        field, _, text = item.partition("=")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        values[field.replace(".", "__")] = value
    return PRESETS[arguments.preset].change(**values)


def check_device(arguments: argparse.Namespace) -> None:
    """ValueError for a device that is not here. That of Ray's workers is theirs to know."""
    name = getattr(arguments, "device", "cpu")
    if name == "cpu" or getattr(arguments, "engine", "local") == "ray":
        return
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name}: {reason}; use cpu, or a device of torch") from error


def clean(arguments: argparse.Namespace) -> int:
    from lsfa_lite.config import BackgroundConfig
    from lsfa_lite.data.background import clean_folder
    from lsfa_lite.data.scans import PassedOver

    asked = {"plane_distance": arguments.distance, "keep": arguments.keep, "pad": arguments.pad}
    config = BackgroundConfig(**{name: x for name, x in asked.items() if x is not None})
    where = arguments.src, arguments.out
    try:
        clean_folder(*where, config, workers=arguments.workers, progress=True)
    except PassedOver as error:
        return account(error.batch)
    return 0


def account(batch: Any) -> int:
    """Tell what was passed over and why, and how many are done; the exit status of the command."""
    for sort, words in batch.passed:
        print(f"passed over, {sort}: {words}", file=sys.stderr)
    print(batch, file=sys.stderr)
    return 1 if batch.passed else 0


def describe_ahead(
    arguments: argparse.Namespace, detector: Any, *splits: Any, strict: bool = True
) -> None:
    from lsfa_lite.features.ahead import describe_ahead

    config, device = detector.config, arguments.device
    what = config.features, splits, detector.modalities or config.modalities
    how = {"device": device, "progress": True, "strict": strict}
    describe_ahead(*what, arguments.workers, config.seed, **how)


def fit(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.background import background_of
    from lsfa_lite.data.mvtec3d import MVTec3D
    from lsfa_lite.detector import LSFADetector

    if arguments.out.exists():
        raise FileExistsError(f"{arguments.out} is there already; name a new folder or remove it")
    config, background = config_of(arguments), background_of(arguments.root)
    detector = LSFADetector(config, arguments.device, background=background)
    data = MVTec3D(arguments.root, arguments.category)
    describe_ahead(arguments, detector, data.train, data.validation)
    detector.fit(data.train, data.validation, progress=True)
    detector.save(arguments.out)
    what = f"{len(data.train)} samples with {' + '.join(detector.modalities)}"
    print(f"fitted on {what}: {arguments.out}")


def score(arguments: argparse.Namespace) -> int:
    from lsfa_lite.data.folder import Folder, Intrinsics
    from lsfa_lite.data.sample import NoPart
    from lsfa_lite.data.scans import Batch
    from lsfa_lite.detector import LSFADetector, Scored
    from lsfa_lite.report import write_score_table, write_scores

    intrinsics = Intrinsics.from_json(arguments.intrinsics) if arguments.intrinsics else None
    detector = LSFADetector.load(arguments.model, arguments.device)
    rows, batch = list[tuple[str, Scored]](), Batch()
    folders = [Folder(path, intrinsics) for path in arguments.paths]
    with report_of(arguments, detector) as report:
        describe_ahead(arguments, detector, *folders, strict=False)
        for entry, read in [(e, scans) for scans in folders for e in scans.entries]:
            name = f"{len(rows):03d}-{entry.stem}"
            try:
                sample = read.read(entry)
                scored = detector.score(sample)
                write_scores(arguments.out, name, sample, scored)
            except (NoPart, *Batch.REFUSED) as error:
                if report:
                    report.fail(str(entry.path), str(error))
                if not isinstance(error, NoPart):
                    batch.pass_over(error)
                    continue
                scored = detector.no_part(str(entry.path))
            else:
                if report:
                    report.add(sample, scored)
            rows.append((name, scored))
            lacking = [m for m in detector.modalities if m not in scored.modality_scores]
            told = f"  (without {', '.join(lacking)})" if lacking and scored.modality_scores else ""
            print(f"{scored.image_score:8.3f}  {scored.verdict:9s}  {scored.path}{told}")
    batch.done = len(rows)
    write_score_table(arguments.out / "scores.csv", rows)
    if report:
        print(f"report: {arguments.report / 'index.html'}")
    return account(batch)


def report_of(arguments: argparse.Namespace, detector: Any) -> AbstractContextManager[Any]:
    """The report that is asked for, or a context that gives None."""
    if not arguments.report:
        return nullcontext()
    from lsfa_lite.report_page import About, open_report

    if arguments.report.resolve() in (out := arguments.out.resolve(), *out.parents):
        raise ValueError(f"--report {arguments.report}: holds --out; name a folder of its own")
    return open_report(arguments.report, About.of(detector, arguments.model.resolve().name))


def recalibrate(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.folder import Folder, Intrinsics
    from lsfa_lite.detector import LSFADetector
    from lsfa_lite.report_page.words import promise

    if arguments.out.exists():
        raise FileExistsError(f"{arguments.out} is there already; name a new folder or remove it")
    intrinsics = Intrinsics.from_json(arguments.intrinsics) if arguments.intrinsics else None
    detector = LSFADetector.load(arguments.model, arguments.device)
    good = Folder(arguments.good, intrinsics)
    describe_ahead(arguments, detector, good)
    detector.recalibrate(good, progress=True).save(arguments.out)
    calibration, rate = detector.calibration, detector.config.scoring.false_positive_rate
    assert calibration is not None
    print(f"calibrated on {len(good)} good scans: {arguments.out}")
    print(promise(calibration, "+".join(detector.modalities), rate))


def watch(arguments: argparse.Namespace) -> None:
    """Until SIGINT or SIGTERM; the scan at hand is finished."""
    import signal
    from functools import partial
    from threading import Event

    from lsfa_lite.data.arrivals import arrivals
    from lsfa_lite.data.depth import Intrinsics
    from lsfa_lite.data.scans import read_scan
    from lsfa_lite.detector import LSFADetector

    if not arguments.folder.is_dir():
        raise FileNotFoundError(f"{arguments.folder}: no such folder")
    beside = arguments.folder / "intrinsics.json"
    camera = arguments.intrinsics or (beside if beside.is_file() else None)
    read = partial(read_scan, intrinsics=Intrinsics.from_json(camera) if camera else None)
    detector, stop = LSFADetector.load(arguments.model, arguments.device), Event()
    roles = [{"rgb": "rgb", "3d": "xyz"}[m] for m in detector.modalities]
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    counts = {"good": 0, "bad": 0, "failed": 0}
    try:
        for path, found in arrivals(arguments.folder, roles, stop, read):
            line = judge(detector, str(path), found)
            counts[line["verdict"]] += 1
            score = "-" if (value := line["image_score"]) is None else f"{value:.3f}"
            text = f"{score:>8}  {line['verdict']:9s}  {line['path']}"
            if line["verdict"] == "failed":
                text += f"  {line['words']}"
            print(json.dumps(line) if arguments.json else text, flush=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    print(", ".join(f"{n} {kind}" for kind, n in counts.items()), file=sys.stderr)


def judge(detector: Any, path: str, found: Any) -> dict[str, Any]:
    """A sample, or the error that it made, as a line of scores.jsonl; nothing is raised."""
    from lsfa_lite.report_page.tables import values
    from lsfa_lite.report_page.words import failed, judged

    row = failed(path, found)
    if not isinstance(found, Exception):
        try:
            row = judged(found, detector.score(found), detector.calibration)
        except (ValueError, RuntimeError, MemoryError) as error:
            row = failed(path, error)
    line = values(0, row)
    return {name: value for name, value in line.items() if name not in ("rank", "key", "cloud")}


def evaluate(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.background import warn_if_padded
    from lsfa_lite.data.mvtec3d import MVTec3D
    from lsfa_lite.detector import LSFADetector
    from lsfa_lite.evaluation import evaluate
    from lsfa_lite.report import evaluation_table

    detector = LSFADetector.load(arguments.model, arguments.device)
    test = MVTec3D(arguments.root, arguments.category).test
    warn_if_padded(arguments.root)
    describe_ahead(arguments, detector, test)
    table = evaluate(detector.score(test, progress=not arguments.json), test)
    print(json.dumps(table, indent=2) if arguments.json else evaluation_table(table))


def doctor(arguments: argparse.Namespace) -> int:
    from lsfa_lite.data.doctor import examine

    report = examine(arguments.path)
    print(json.dumps(report.as_dict(), indent=2) if arguments.json else report)
    return 0 if report.ok else 1
