"""What each sub-command of `lsfa-lite` does: a few lines over the library, and what it prints.

Imports are inside, so that `lsfa-lite --help` does not wait for torch.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import Any

from lsfa_lite.errors import FileThere, MissingFile, SettingError


def beside_bars(run: Callable[[argparse.Namespace], int | None]) -> Callable[..., int | None]:
    """The same command; no warning stands on the line of a progress bar."""

    def command(arguments: argparse.Namespace) -> int | None:
        from lsfa_lite.terminal import whole_lines

        with whole_lines():
            return run(arguments)

    return command


def config_of(arguments: argparse.Namespace) -> Any:
    from lsfa_lite.config import PRESETS

    values = {}
    for item in arguments.set:
        field, _, text = item.partition("=")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
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
        raise SettingError(f"--device {name}: {reason}; use cpu, or a device of torch") from error


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


def import_(arguments: argparse.Namespace) -> int:
    from lsfa_lite.data.importing import plan

    names = ("good", "test", "category", "unit", "intrinsics", "seed")
    asked = {name: getattr(arguments, name) for name in names}
    planned = plan(arguments.folder, arguments.out, **asked)
    print(*planned.said, sep="\n")
    status = account(planned.run(arguments.workers, progress=True))
    lines = planned.next()
    print(f"imported to {planned.folder}", *(f"next: {line}" for line in lines), sep="\n")
    return status


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
        raise FileThere(f"{arguments.out} is there already; name a new folder or remove it")
    config, background = config_of(arguments), background_of(arguments.root)
    detector = LSFADetector(config, arguments.device, background=background)
    data = MVTec3D(arguments.root, arguments.category)
    describe_ahead(arguments, detector, data.train, data.validation)
    detector.fit(data.train, data.validation, progress=True)
    detector.save(arguments.out)
    what = f"{len(data.train)} samples with {' + '.join(detector.modalities)}"
    print(f"fitted on {what}: {arguments.out}")


def score(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from lsfa_lite.batch import judge, read_each, scans_of
    from lsfa_lite.data.scans import Batch
    from lsfa_lite.detector import LSFADetector
    from lsfa_lite.report import written
    from lsfa_lite.terminal import say

    detector, batch = LSFADetector.load(arguments.model, arguments.device), Batch()
    folders = scans_of(detector, arguments.paths, camera_of(arguments), **reading(arguments))
    with report_of(arguments, detector) as report:
        describe_ahead(arguments, detector, *folders, strict=False)
        count = sum(map(len, folders))
        read = tqdm(read_each(folders), "score", count, unit="scan", leave=False, disable=None)
        for one in written(judge(detector, read), arguments.out):
            if report:
                report.add(one)
            if one.reason is not None and one.scored is None:
                batch.pass_over(one.reason)
            else:
                batch.done += 1
            say(line_of(one, detector, arguments.json))
    if report:
        say(f"report: {arguments.report / 'index.html'}", error=arguments.json)
    return account(batch)


def line_of(one: Any, detector: Any, as_json: bool) -> str:
    """A judgement as a line of a table, or as a JSON object."""
    from lsfa_lite.batch import printable
    from lsfa_lite.report_page import tables

    if as_json:
        return tables.as_json(tables.line(one, detector.calibration))
    if one.scored is None:
        return f"{'-':>8}  {one.verdict:12s}  {one.where}  ({printable(one.reason)})"
    alone = one.scored.modality_scores
    lacking = [m for m in detector.modalities if m not in alone] if alone else []
    told = f"  (without {', '.join(lacking)})" if lacking else ""
    return f"{one.scored.image_score:8.3f}  {one.verdict:12s}  {one.where}{told}"


def camera_of(arguments: argparse.Namespace) -> Any:
    """The intrinsics that were given; without them, those beside the scans are looked for."""
    from lsfa_lite.data.intrinsics import Intrinsics

    return Intrinsics.from_json(arguments.intrinsics) if arguments.intrinsics else None


def reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """How raw scans are read (`batch.reader`): their unit, and with or without the background."""
    from lsfa_lite.data.units import metres_of

    unit = metres_of(arguments.unit) if arguments.unit else None
    return {"unit": unit, "as_is": arguments.as_is}


def report_of(arguments: argparse.Namespace, detector: Any) -> AbstractContextManager[Any]:
    """The report that is asked for, or a context that gives None."""
    if not arguments.report:
        return nullcontext()
    from lsfa_lite.report_page import About, open_report

    report, out = (Path(os.path.realpath(x)) for x in (arguments.report, arguments.out))
    if report in (out, *out.parents):
        raise SettingError(f"--report {arguments.report}: holds --out; name a folder of its own")
    return open_report(arguments.report, About.of(detector, arguments.model.resolve().name))


def recalibrate(arguments: argparse.Namespace) -> None:
    from lsfa_lite.batch import scans_of
    from lsfa_lite.detector import LSFADetector
    from lsfa_lite.report_page.words import promise

    if arguments.out.exists():
        raise FileThere(f"{arguments.out} is there already; name a new folder or remove it")
    detector = LSFADetector.load(arguments.model, arguments.device)
    (good,) = scans_of(detector, [arguments.good], camera_of(arguments), **reading(arguments))
    describe_ahead(arguments, detector, good)
    detector.recalibrate(good, progress=True).save(arguments.out)
    calibration, rate = detector.calibration, detector.config.scoring.false_positive_rate
    assert calibration is not None
    print(f"calibrated on {len(good)} good scans: {arguments.out}")
    print(promise(calibration, "+".join(detector.modalities), rate))


def watch(arguments: argparse.Namespace) -> None:
    """Until SIGINT or SIGTERM; the scan at hand is finished."""
    from collections import Counter

    from lsfa_lite.batch import VERDICTS, judge, read_arriving
    from lsfa_lite.detector import LSFADetector

    if not arguments.folder.is_dir():
        raise MissingFile(f"{arguments.folder}: no such folder")
    camera = camera_of(arguments)
    detector = LSFADetector.load(arguments.model, arguments.device)
    counts = Counter(dict.fromkeys(VERDICTS, 0))
    with stopped_by_signals() as stop:
        found = read_arriving(detector, arguments.folder, stop, camera, **reading(arguments))
        for one in judge(detector, found):
            counts[one.verdict] += 1
            print(line_of(one, detector, arguments.json), flush=True)
    print(", ".join(f"{n} {kind}" for kind, n in counts.items()), file=sys.stderr)


@contextmanager
def stopped_by_signals() -> Iterator[Event]:
    """An event that SIGINT and SIGTERM set; before and after, they do what they did."""
    stop = Event()
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def evaluate(arguments: argparse.Namespace) -> None:
    from lsfa_lite.data.background import warn_if_padded
    from lsfa_lite.data.mvtec3d import MVTec3D
    from lsfa_lite.detector import LSFADetector
    from lsfa_lite.evaluation import evaluate
    from lsfa_lite.report import evaluation_table

    detector = LSFADetector.load(arguments.model, arguments.device)
    test = MVTec3D(arguments.root, arguments.category).test
    warn_if_padded(arguments.root, detector.background)
    describe_ahead(arguments, detector, test)
    table = evaluate(detector.score(test, progress=True), test, progress=True)
    print(json.dumps(table, indent=2) if arguments.json else evaluation_table(table))


def export(arguments: argparse.Namespace) -> None:
    from lsfa_lite.bridges.onnx import INPUTS, LIMITS, OUTPUTS, export
    from lsfa_lite.detector import LSFADetector

    about = export(LSFADetector.load(arguments.model), arguments.out)
    print(
        f"{arguments.out}: {', '.join(INPUTS)} -> {', '.join(OUTPUTS)}; S = {about['image_size']}"
    )
    print("\n".join(f"- {limit}" for limit in LIMITS))


def doctor(arguments: argparse.Namespace) -> int:
    from lsfa_lite.data.doctor import examine

    report = examine(arguments.path, progress=True)
    print(json.dumps(report.as_dict(), indent=2) if arguments.json else report)
    return 0 if report.ok else 1
