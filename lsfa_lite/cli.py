"""`lsfa-lite`: the package from a terminal."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lsfa_lite import __version__, commands
from lsfa_lite.config import PRESETS
from lsfa_lite.errors import LSFAError

DEBUG: dict[str, Any] = {
    "action": "store_true",
    "default": argparse.SUPPRESS,
    "help": "show where in the code an error arose",
}
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
    about = "Anomaly detection in RGB + 3D."
    ends = "exit status: 0 done; 1 scans passed over or found wrong; 2 bad input; 70 a bug"
    top = argparse.ArgumentParser(prog="lsfa-lite", description=about, epilog=ends)
    top.add_argument("--version", action="version", version=f"lsfa-lite {__version__}")
    top.add_argument("--debug", **DEBUG)
    sub = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, *paths: str) -> argparse.ArgumentParser:
        found = sub.add_parser(name, help=text)
        for path in paths:
            found.add_argument(path, type=Path)
        found.set_defaults(run=getattr(commands, name.replace("import", "import_")))
        return found

    text = "make a data set of your own folders; nothing in them is touched"
    imported = command("import", text, "folder", "out")
    text = "scans in it are good parts"
    imported.add_argument("--good", type=Path, metavar="DIR", help=text)
    text = "scans in it are for the test, in good/ and folders of defects, or with masks"
    imported.add_argument("--test", type=Path, metavar="DIR", help=text)
    imported.add_argument("--category", help="what the parts are; by default the folder's name")
    imported.add_argument("--unit", help="of the 3D files: mm, cm, m, ..., or metres: 0.0001")
    text = "of the camera; by default intrinsics.json, camera_info.yaml, ... in the folders"
    imported.add_argument("--intrinsics", type=Path, metavar="FILE", help=text)
    text = "that draws good parts for validation"
    imported.add_argument("--seed", type=int, default=0, help=text)
    imported.add_argument("--workers", type=int, default=1, help="processes that convert scans")

    clean = command("clean", "remove the ground plane of a data set", "src", "out")
    clean.add_argument("--distance", type=float, help="metres from the plane that go")
    clean.add_argument("--keep", choices=["largest", "sizeable"])
    text = "squares on disk, as earlier code has them: metrics then count the added pixels"
    clean.add_argument("--pad", action="store_true", help=text)
    clean.add_argument("--workers", type=int, default=1, help="processes that clean scans")

    fit = command("fit", "fit a detector on one category of a cleaned data set", "root")
    fit.add_argument("category")
    fit.add_argument("--out", type=Path, required=True, help="folder of the model")
    add_config(fit)
    add_workers(fit)

    score = command("score", "score scans with a fitted detector", "model")
    score.add_argument("paths", type=Path, nargs="+", help="folders of scans, or single files")
    score.add_argument("--out", type=Path, required=True)
    text = "new folder for a page of all parts, index.html, and tables and clouds beside it"
    score.add_argument("--report", type=Path, metavar="DIR", help=text)
    score.add_argument("--json", action="store_true", help="print a JSON object a line")
    add_reading(score)
    score.add_argument("--device", default="cpu")
    add_workers(score)

    text = "new scales and threshold from good scans, say under a new lamp; no training"
    recalibrate = command("recalibrate", text, "model", "good")
    recalibrate.add_argument("--out", type=Path, required=True, help="folder of the new model")
    add_reading(recalibrate)
    recalibrate.add_argument("--device", default="cpu")
    add_workers(recalibrate)

    watch = command("watch", "score scans as they arrive, until it is stopped", "folder")
    watch.add_argument("--model", type=Path, required=True, help="folder of a fitted detector")
    watch.add_argument("--json", action="store_true", help="print a JSON object a line")
    add_reading(watch)
    watch.add_argument("--device", default="cpu")

    text = "measure a detector on a category's test split"
    evaluate = command("evaluate", text, "model", "root")
    evaluate.add_argument("category")
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.add_argument("--device", default="cpu")
    add_workers(evaluate)

    doctor = command("doctor", "say what a data folder holds and what is wrong", "path")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of lines")
    if book := the_book():
        book.add_commands(sub, add_config)
    for each in sub.choices.values():  # before or after the sub-command
        each.add_argument("--debug", **DEBUG)
        each.set_defaults(run=commands.beside_bars(each.get_default("run")))
    return top


def the_book() -> Any:
    """The book's own sub-commands (data, demo, reproduce); None where only the method is there."""
    name = "lsfa_book.commands"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            return None
        raise


def add_config(command: argparse.ArgumentParser) -> None:
    text = "any field of the config, e.g. adaptation.steps=0 scoring.fusion=max"
    command.add_argument("--preset", choices=list(PRESETS), default="lite")
    command.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help=text)
    command.add_argument("--device", default="cpu")


def add_reading(command: argparse.ArgumentParser) -> None:
    text = "JSON or YAML, for depth pictures and for clouds without pixels"
    command.add_argument("--intrinsics", type=Path, metavar="FILE", help=text)
    command.add_argument("--unit", help="of the 3D files: mm, cm, m, ..., or metres: 0.0001")
    text = "leave the background, where the model's training data had it removed"
    command.add_argument("--as-is", action="store_true", help=text)


def add_workers(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workers", type=int, default=1, help="processes that describe scans")
