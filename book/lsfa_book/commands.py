"""The book's sub-commands of `lsfa-lite`: data set, the whole way, the paper's tables, times.

Imports are inside, so that `lsfa-lite --help` does not wait for torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsfa_book.teaching.commands import add_teaching
from lsfa_lite.errors import LSFAError

OUTPUT = Path("-")  # --json without a file


def add_commands(sub: Any, add_config: Callable[[argparse.ArgumentParser], None]) -> None:
    """Beside the method's own; `add_config` gives a command --preset, --set and --device."""
    making = sub.add_parser("data", help="make the embedded data set, or convert Eyecandies")
    making.add_argument("name", choices=["mini3d", "eyecandies"])
    making.add_argument(
        "paths", type=Path, nargs="+", help="mini3d OUT, or eyecandies SRC OUT: folder to be made"
    )
    making.add_argument("--seed", type=int, default=0)
    making.add_argument(
        "--nuisance", type=float, default=None, help="0 to 1: how much normal parts vary"
    )
    making.add_argument(
        "--categories", nargs="+", default=None, help="of mini3d's ten kinds; else the study's four"
    )
    making.set_defaults(run=data)

    whole = sub.add_parser("demo", help="the whole way on the embedded data set")
    whole.add_argument("--out", type=Path, default=None, help="keep the data here")
    whole.add_argument("--seed", type=int, default=0)
    whole.add_argument("--categories", nargs="+", default=None)
    add_json(whole, "the figures")
    add_config(whole)
    whole.set_defaults(run=demo, preset="first")  # which adapts: the demo compares with and without

    again = sub.add_parser("reproduce", help="run the paper's tables and figures")
    again.add_argument(
        "tables",
        nargs="+",
        metavar="TABLE",
        help="table1 ... table9, fig5, fig6, open, earlier, eyecandies; or all; "
        "of chapter 13: effect, dial, length, shape, coreset; of chapter 19: code-or-letter; "
        "on real parts, whatever the preset: first-real-category",
    )
    again.add_argument("--out", type=Path, required=True, help="records, and the parts of mini3d")
    again.add_argument("--data", type=Path, help="cleaned data in MVTec 3D-AD's layout; or mini3d")
    again.add_argument("--categories", nargs="+", default=None)
    again.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    again.add_argument("--nuisance", type=float, help="mini3d: 0 to 1, how much good parts vary")
    again.add_argument("--resume", action="store_true", help="keep the runs that are done")
    again.add_argument("--engine", choices=["local", "ray"], default="local")
    again.add_argument("--workers", type=int, default=1, help="local: processes")
    again.add_argument("--address", default=None, help="ray: of a running cluster; else here")
    again.add_argument("--gpus", type=float, default=0, help="ray: share of a GPU per run")
    again.add_argument("--json", action="store_true", help="a JSON object a line, not tables")
    add_config(again)
    again.set_defaults(run=reproduce, preset="first")  # that of the records in the book

    times = sub.add_parser("bench", help="time every stage, beside what others need for it")
    times.add_argument("--device", default="cpu")
    add_json(times, "the measurements")
    times.add_argument("--quick", action="store_true", help="smaller sizes, within four minutes")
    times.set_defaults(run=bench)

    add_teaching(sub)


def add_json(command: argparse.ArgumentParser, what: str) -> None:
    text = f"{what} as JSON: in FILE, beside the table, or without FILE instead of it"
    command.add_argument("--json", type=Path, nargs="?", const=OUTPUT, metavar="FILE", help=text)


def data(arguments: argparse.Namespace) -> None:
    from lsfa_book import mini3d
    from lsfa_lite.data import eyecandies

    wanted = {"mini3d": 1, "eyecandies": 2}[arguments.name]
    if len(arguments.paths) != wanted:
        usage = "data mini3d OUT, or data eyecandies SRC OUT"
        raise LSFAError(f"{len(arguments.paths)} folders for {arguments.name}; expected {usage}")
    if arguments.name == "eyecandies":
        src, out = arguments.paths
        names = arguments.categories or eyecandies.categories(src)
        if not names:
            raise LSFAError(f"{src}: no category; expected CandyCane/train/data/000_depth.png, ...")
        for category in names:
            eyecandies.convert(src, out, category, progress=True)
        return
    options = {} if arguments.nuisance is None else {"nuisance": arguments.nuisance}
    config = mini3d.Mini3DConfig(seed=arguments.seed, **options)
    categories = arguments.categories or mini3d.CATEGORIES
    mini3d.write(arguments.paths[0], config, categories, progress=True)


def demo(arguments: argparse.Namespace) -> None:
    from lsfa_book.demo import demo
    from lsfa_book.mini3d import Mini3DConfig
    from lsfa_book.tables import demo_table
    from lsfa_lite.commands import config_of
    from lsfa_lite.data.files import written_beside

    config = config_of(arguments)
    data = Mini3DConfig(seed=arguments.seed)
    rows = list(demo(config, data, arguments.out, arguments.categories, arguments.device))
    if arguments.json == OUTPUT:
        print(json.dumps(rows, indent=2))
        return
    print(demo_table(rows))
    if arguments.json:
        with written_beside(arguments.json) as temporary:
            temporary.write_text(json.dumps(rows, indent=2))


def reproduce(arguments: argparse.Namespace) -> int:
    from lsfa_book.reproduce import reproduce
    from lsfa_lite.commands import config_of

    return reproduce(arguments, config_of(arguments))


def bench(arguments: argparse.Namespace) -> int:
    from lsfa_book.bench.report import bench, bench_table, failed

    path = None if arguments.json == OUTPUT else arguments.json
    report = bench(arguments.device, arguments.quick, path, progress=True)
    print(json.dumps(report, indent=1) if arguments.json == OUTPUT else bench_table(report))
    for line in failed(report):
        print(f"lsfa-lite: {line}", file=sys.stderr)
    return 1 if failed(report) else 0
