"""`lsfa-lite`: the package from a terminal."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from lsfa_lite import __version__, commands
from lsfa_lite.config import PRESETS
from lsfa_lite.errors import LSFAError, MissingPackage

DEBUG: dict[str, Any] = {
    "action": "store_true",
    "default": argparse.SUPPRESS,
    "help": "show where in the code an error arose",
}
UNIT = "of the 3D files: mm, cm, m, ..., or metres: 0.0001"
BUG, STOPPED, CLOSED = 70, 130, 141  # exit statuses: EX_SOFTWARE, and 128 + SIGINT, SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command. Whatever goes wrong is one line on stderr; `--debug` says where.

    0 done; 1 done, but scans were passed over or found wrong; 2 bad input, with its cure; 70 a bug
    of this package; 130 stopped by Ctrl-C; 141 nobody reads the output any more.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # not every file name can be printed
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            arguments = parser().parse_args(words)
            commands.check_device(arguments)
            return arguments.run(arguments) or 0
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except KeyboardInterrupt:
        print("lsfa-lite: stopped", file=sys.stderr)
        return STOPPED
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        return told(error)


def told(error: Exception) -> int:
    """The sentence about an error, and the exit status."""
    if isinstance(error, BrokenPipeError):  # `| head` has had enough; so is Python, at its end
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        return CLOSED
    text, status = " ".join(str(error).splitlines()), 2
    full = isinstance(error, RuntimeError) and re.search("allocate|out of memory", text)  # torch's
    if full or isinstance(error, MemoryError):
        text = f"out of memory ({text}); use fewer --workers, smaller pictures or another --device"
    elif isinstance(error, ModuleNotFoundError) and not isinstance(error, LSFAError):
        text = f"{text}; install lsfa-lite again, or what is missing"
    elif not isinstance(error, LSFAError | OSError):
        mine = "a bug in lsfa-lite, not a mistake of yours; --debug shows where: please report it"
        text, status = f"{type(error).__name__}: {text}: {mine}", BUG
    print(f"lsfa-lite: {text}", file=sys.stderr)
    return status


def parser() -> argparse.ArgumentParser:
    text = "Anomaly detection in RGB + 3D. COMMAND --help says more, with an example."
    ends = "exit status: 0 done; 1 scans passed over or found wrong; 2 bad input; 70 a bug"
    top = argparse.ArgumentParser(prog="lsfa-lite", description=text, epilog=ends)
    top.add_argument(
        "--version", action="version", version=f"lsfa-lite {__version__}", help="print it, and end"
    )
    top.add_argument("--debug", **DEBUG)
    sub = top.add_subparsers(required=True, metavar="COMMAND", help="what to do")

    def command(name: str, text: str, example: str, ones: str = "", **paths: str) -> Any:
        found = described(sub, name, text, example, ones)
        for path, what in paths.items():
            found.add_argument(path, type=Path, help=what)
        found.set_defaults(run=getattr(commands, name.replace("import", "import_")))
        return found

    data = "data set: CATEGORY/train/good/rgb/000.png, .../xyz/000.tiff, ..."
    cleaned, fitted = "cleaned data set", "folder of a fitted detector"

    imported = command(
        "import",
        "make a data set of your own folders; nothing in them is touched",
        "import my-scans parts --category cup --unit mm",
        "some scans were passed over",
        folder="your scans: colour with depth, or with clouds",
        out="the data set, a folder to be made; a repeat goes on where it was",
    )
    text = "scans in it are good parts"
    imported.add_argument("--good", type=Path, metavar="DIR", help=text)
    text = "scans in it are for the test, in good/ and folders of defects, or with masks"
    imported.add_argument("--test", type=Path, metavar="DIR", help=text)
    imported.add_argument("--category", help="what the parts are; by default the folder's name")
    imported.add_argument("--unit", help=UNIT)
    text = "of the camera; by default intrinsics.json, camera_info.yaml, ... in the folders"
    imported.add_argument("--intrinsics", type=Path, metavar="FILE", help=text)
    text = "that draws good parts for validation"
    imported.add_argument("--seed", type=int, default=0, help=text)
    add_workers(imported, "processes that convert scans")

    clean = command(
        "clean",
        "remove the ground plane of a data set",
        "clean raw parts --workers 2",
        "some scans were passed over",
        src=data,
        out="folder to be made; a repeat goes on where it was",
    )
    text = "metres from the plane that go; by default found in each scan"
    clean.add_argument("--distance", type=float, help=text)
    text = "what stays above the plane: the largest piece, or all of some size"
    clean.add_argument("--keep", choices=["largest", "sizeable"], help=text)
    text = "squares on disk, as earlier code has them: metrics then count the added pixels"
    clean.add_argument("--pad", action="store_true", help=text)
    add_workers(clean, "processes that clean scans")

    text = "fit a detector on one category of a cleaned data set"
    fit = command("fit", text, "fit parts ring --out model", root=cleaned)
    add_category(fit)
    fit.add_argument("--out", type=Path, required=True, help="folder of the model, to be made")
    add_config(fit)
    add_workers(fit)

    score = command(
        "score",
        "score scans with a fitted detector",
        "score model incoming --out scores --report page",
        "some scans could not be read",
        model=fitted,
    )
    score.add_argument("paths", type=Path, nargs="+", help="folders of scans, or single files")
    text = "folder of the maps, the pictures under them and scores.csv"
    score.add_argument("--out", type=Path, required=True, help=text)
    text = "new folder for a page of all parts, index.html, and tables and clouds beside it"
    score.add_argument("--report", type=Path, metavar="DIR", help=text)
    add_json(score, "a JSON object a line")
    add_reading(score)
    add_device(score)
    add_workers(score)

    recalibrate = command(
        "recalibrate",
        "new scales and threshold from good scans, say under a new lamp; no training",
        "recalibrate model new-good --out model2",
        model=fitted,
        good="folder of good scans",
    )
    text = "folder of the new model, to be made"
    recalibrate.add_argument("--out", type=Path, required=True, help=text)
    add_reading(recalibrate)
    add_device(recalibrate)
    add_workers(recalibrate)

    watch = command(
        "watch",
        "score scans as they arrive, until it is stopped by Ctrl-C or SIGTERM",
        "watch incoming --model model --json",
        folder="folder in which scans arrive",
    )
    watch.add_argument("--model", type=Path, required=True, help=fitted)
    add_json(watch, "a JSON object a line")
    add_reading(watch)
    add_device(watch)

    text = "measure a detector on a category's test split"
    evaluate = command(
        "evaluate", text, "evaluate model parts ring", model=fitted, root="cleaned data set"
    )
    add_category(evaluate)
    add_json(evaluate, "a JSON object instead of the table")
    add_device(evaluate)
    add_workers(evaluate)

    command(
        "export",
        "write a model's colour half as an ONNX file",
        "export model colour.onnx",
        model=fitted,
        out="file to be made",
    )

    doctor = command(
        "doctor",
        "say what a data folder holds and what is wrong with it",
        "doctor raw",
        "something is wrong",
        path="data set, category, or folder of scans",
    )
    add_json(doctor, "a JSON object instead of lines")

    text = "print the script by which a shell completes the words of this command"
    completion = described(sub, "completion", text, "completion bash >> ~/.bashrc")
    completion.add_argument("shell", choices=["bash", "zsh", "fish", "tcsh"], help="your shell")
    completion.set_defaults(run=complete)

    if book := the_book():
        book.add_commands(partial(described, sub), add_config)
    for each in sub.choices.values():
        each.add_argument("--debug", **DEBUG)  # before or after the sub-command
        each.set_defaults(run=commands.beside_bars(each.get_default("run")))
    return top


def described(
    sub: Any, name: str, text: str, example: str, ones: str = ""
) -> argparse.ArgumentParser:
    """A sub-command whose help ends with an example and the exit statuses; `ones` is what 1 is."""
    ends = ["0 done", f"1 {ones}" if ones else "", "2 bad input, named in a line"]
    ends = [end for end in [*ends, "70 a mistake of this program", "130 stopped"] if end]
    return sub.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:\n  lsfa-lite {example}\n\nexit status:\n  " + "\n  ".join(ends),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def complete(arguments: argparse.Namespace) -> None:
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise MissingPackage("completion needs shtab: pip install shtab") from error
    top = parser()
    (sub,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    for action in (a for each in sub.choices.values() for a in each._actions):
        if action.type is Path:
            action.complete = shtab.FILE
    print(shtab.complete(top, arguments.shell))


def the_book() -> Any:
    """The book's own sub-commands (data, demo, reproduce); None where only the method is there."""
    name = "lsfa_book.commands"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            return None
        raise


def add_config(command: argparse.ArgumentParser, preset: str = "lite") -> None:
    text = f"settings to start from; by default {preset}"
    command.add_argument("--preset", choices=list(PRESETS), default=preset, help=text)
    text = "any field of the config, e.g. adaptation.steps=0 scoring.fusion=max"
    command.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help=text)
    add_device(command)


def add_category(command: argparse.ArgumentParser) -> None:
    command.add_argument("category", help="kind of part: a folder of the data set")


def add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="cpu", help="of torch: cpu, cuda, cuda:1, mps")


def add_reading(command: argparse.ArgumentParser) -> None:
    text = "JSON or YAML of the camera, for depth pictures and clouds without pixels; by default "
    text += "that beside the scans"
    command.add_argument("--intrinsics", type=Path, metavar="FILE", help=text)
    command.add_argument("--unit", help=UNIT)
    text = "leave the background, where the model's training data had it removed"
    command.add_argument("--as-is", action="store_true", help=text)


def add_json(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--json", action="store_true", help=f"print {what}")


def add_workers(
    command: argparse.ArgumentParser, text: str = "processes that describe scans"
) -> None:
    command.add_argument("--workers", type=int, default=1, metavar="N", help=text)
