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


def add_commands(command: Callable[..., argparse.ArgumentParser], add_config: Any) -> None:
    """Beside the method's own; `command` makes one with an example and exit statuses in its help,
    `add_config` gives it --preset, --set and --device.
    """
    seed, kinds = "of the parts that are made", "kinds of parts; by default "
    making = command("data", "make the embedded data set, or convert Eyecandies", "data mini3d raw")
    making.add_argument("name", choices=["mini3d", "eyecandies"], help="which data set")
    making.add_argument(
        "paths", type=Path, nargs="+", help="mini3d OUT, or eyecandies SRC OUT: folder to be made"
    )
    making.add_argument("--seed", type=int, default=0, metavar="N", help=seed)
    text = "0 to 1: how much normal parts vary"
    making.add_argument("--nuisance", type=float, metavar="X", help=text)
    text = f"{kinds}the study's four of mini3d's ten, or all of Eyecandies"
    making.add_argument("--categories", nargs="+", metavar="NAME", help=text)
    making.set_defaults(run=data)

    whole = command(
        "demo",
        "the whole way on the embedded data set, without adaptation and with it",
        "demo --categories ring",
    )
    whole.add_argument("--out", type=Path, help="keep the data here; by default it is removed")
    whole.add_argument("--seed", type=int, default=0, metavar="N", help=seed)
    text = f"{kinds}the study's four"
    whole.add_argument("--categories", nargs="+", metavar="NAME", help=text)
    add_json(whole, "the figures")
    add_config(whole, "first")  # which adapts: the demo compares with and without
    whole.set_defaults(run=demo)

    again = command(
        "reproduce",
        "run the paper's tables and figures",
        "reproduce table4 --out runs --categories ring",
        "a run failed; the others are done",
    )
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
    text = f"{kinds}the study's four, or all of --data"
    again.add_argument("--categories", nargs="+", metavar="NAME", help=text)
    again.add_argument("--seeds", type=int, default=3, metavar="N", help="how many: 0, 1, ...")
    text = "mini3d: 0 to 1, how much good parts vary"
    again.add_argument("--nuisance", type=float, metavar="X", help=text)
    again.add_argument("--resume", action="store_true", help="keep the runs that are done")
    text = "what runs them: this machine's processes, or Ray"
    again.add_argument("--engine", choices=["local", "ray"], default="local", help=text)
    again.add_argument("--workers", type=int, default=1, metavar="N", help="local: processes")
    again.add_argument("--address", help="ray: of a running cluster; else here")
    text = "ray: share of a GPU per run"
    again.add_argument("--gpus", type=float, default=0, metavar="X", help=text)
    again.add_argument("--json", action="store_true", help="print a JSON object a run, not tables")
    add_config(again, "first")  # that of the records in the book
    again.set_defaults(run=reproduce)

    times = command(
        "bench",
        "time every stage, beside what others need for it",
        "bench --quick --json times.json",
        "a stage failed",
    )
    times.add_argument("--device", default="cpu", help="of torch: cpu, cuda, cuda:1")
    add_json(times, "the measurements")
    times.add_argument("--quick", action="store_true", help="smaller sizes, within four minutes")
    times.set_defaults(run=bench)

    add_teaching(command)


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
