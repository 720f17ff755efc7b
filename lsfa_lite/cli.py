"""`lsfa-lite`: the package from a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lsfa_lite import __version__, commands


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; errors that a user can mend are one line on stderr and exit code 2."""
    arguments = parser().parse_args(argv)
    try:
        commands.check_device(arguments)
        return arguments.run(arguments) or 0
    except (ValueError, OSError) as error:
        print(f"lsfa-lite: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lsfa-lite: stopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lsfa-lite", description="Anomaly detection in RGB + 3D.")
    top.add_argument("--version", action="version", version=f"lsfa-lite {__version__}")
    sub = top.add_subparsers(required=True, metavar="COMMAND")

    data = sub.add_parser("data", help="make the embedded data set, or convert Eyecandies")
    data.add_argument("name", choices=["mini3d", "eyecandies"])
    data.add_argument(
        "paths", type=Path, nargs="+", help="mini3d OUT, or eyecandies SRC OUT: folder to be made"
    )
    data.add_argument("--seed", type=int, default=0)
    data.add_argument(
        "--nuisance", type=float, default=None, help="0 to 1: how much normal parts vary"
    )
    data.add_argument("--categories", nargs="+", default=None)
    data.set_defaults(run=commands.data)

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
    _add_config(fit)
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

    demo = sub.add_parser("demo", help="the whole way on the embedded data set")
    demo.add_argument("--out", type=Path, default=None, help="keep the data here")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--categories", nargs="+", default=None)
    demo.add_argument("--json", type=Path, default=None, help="write the figures here as well")
    _add_config(demo)
    demo.set_defaults(run=commands.demo)

    again = sub.add_parser("reproduce", help="run the paper's tables and figures")
    again.add_argument(
        "tables",
        nargs="+",
        metavar="TABLE",
        help="table1 ... table9, fig5, fig6, open, earlier, eyecandies; or all",
    )
    again.add_argument("--out", type=Path, required=True, help="records, and the parts of mini3d")
    again.add_argument("--data", type=Path, help="cleaned data in MVTec 3D-AD's layout; or mini3d")
    again.add_argument("--categories", nargs="+", default=None)
    again.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    again.add_argument("--resume", action="store_true", help="keep the runs that are done")
    again.add_argument("--engine", choices=["local", "ray"], default="local")
    again.add_argument("--workers", type=int, default=1, help="local: processes")
    again.add_argument("--address", default=None, help="ray: of a running cluster; else here")
    again.add_argument("--gpus", type=float, default=0, help="ray: share of a GPU per run")
    _add_config(again)
    again.set_defaults(run=commands.reproduce)
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


if __name__ == "__main__":
    sys.exit(main())
