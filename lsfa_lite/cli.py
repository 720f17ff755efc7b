"""`lsfa-lite`: the package from a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lsfa_lite import __version__, commands


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

    clean = sub.add_parser("clean", help="remove the ground plane of a data set")
    clean.add_argument("src", type=Path)
    clean.add_argument("out", type=Path)
    clean.add_argument("--distance", type=float, default=None, help="metres from the plane that go")
    clean.add_argument("--keep", choices=["largest", "sizeable"], default=None)
    clean.set_defaults(run=commands.clean)

    fit = sub.add_parser("fit", help="fit a detector on one category")
    fit.add_argument("root", type=Path, help="data set in the layout of MVTec 3D-AD, cleaned")
    fit.add_argument("category")
    fit.add_argument("--out", type=Path, required=True, help="folder of the model")
    add_config(fit)
    fit.set_defaults(run=commands.fit)

    score = sub.add_parser("score", help="score scans with a fitted detector")
    score.add_argument("model", type=Path)
    score.add_argument("paths", type=Path, nargs="+", help="folders of scans, or single files")
    score.add_argument("--out", type=Path, required=True)
    score.add_argument("--intrinsics", type=Path, default=None, help="JSON, for depth pictures")
    score.add_argument("--device", default="cpu")
    score.set_defaults(run=commands.score)

    evaluate = sub.add_parser("evaluate", help="measure a detector on a category's test split")
    evaluate.add_argument("model", type=Path)
    evaluate.add_argument("root", type=Path)
    evaluate.add_argument("category")
    evaluate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.add_argument("--device", default="cpu")
    evaluate.set_defaults(run=commands.evaluate)

    doctor = sub.add_parser("doctor", help="say what a data folder holds and what is wrong")
    doctor.add_argument("path", type=Path)
    doctor.set_defaults(run=commands.doctor)

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
    command.add_argument("--preset", choices=["lite", "paper"], default="lite")
    command.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="any field of the config, e.g. adaptation.steps=0 scoring.fusion=max",
    )
    command.add_argument("--device", default="cpu")
