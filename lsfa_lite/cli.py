"""`lsfa-lite`: the package from a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lsfa_lite import __version__, commands
from lsfa_lite.config import PRESETS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; errors that a user can mend are one line on stderr and exit code 2."""
    arguments = parser().parse_args(argv)
    try:
        commands.check_device(arguments)
        return arguments.run(arguments) or 0
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"lsfa-lite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lsfa-lite: stopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lsfa-lite", description="Anomaly detection in RGB + 3D.")
    top.add_argument("--version", action="version", version=f"lsfa-lite {__version__}")
    sub = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, *paths: str) -> argparse.ArgumentParser:
        found = sub.add_parser(name, help=text)
        for path in paths:
            found.add_argument(path, type=Path)
        found.set_defaults(run=getattr(commands, name))
        return found

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
    score.add_argument("--intrinsics", type=Path, help="JSON, for depth pictures")
    score.add_argument("--device", default="cpu")
    add_workers(score)

    text = "new scales and threshold from good scans, say under a new lamp; no training"
    recalibrate = command("recalibrate", text, "model", "good")
    recalibrate.add_argument("--out", type=Path, required=True, help="folder of the new model")
    recalibrate.add_argument("--intrinsics", type=Path, help="JSON, for depth pictures")
    recalibrate.add_argument("--device", default="cpu")
    add_workers(recalibrate)

    watch = command("watch", "score scans as they arrive, until it is stopped", "folder")
    watch.add_argument("--model", type=Path, required=True, help="folder of a fitted detector")
    watch.add_argument("--json", action="store_true", help="print a JSON object a line")
    watch.add_argument("--intrinsics", type=Path, help="JSON, for depth pictures")
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


def add_workers(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workers", type=int, default=1, help="processes that describe scans")
