"""What thresholds from held-out, left-out and cross-fitted parts promise, on made parts.

    python book/scripts/keep_promises.py --out OUT [--categories ring tire] [--seeds 100 101]
    python book/scripts/keep_promises.py --out OUT --told

One file per category, seed and setting lies in OUT; what is there is not done again. A table of
promised and seen false alarms, and of defective parts found, by LITE's scoring is printed. Some two
to five minutes for a category and seed on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm.auto import tqdm

from lsfa_book.mini3d import KINDS, Mini3DConfig
from lsfa_book.studies import choosing, promises, rules
from lsfa_book.workshop import workshop
from lsfa_lite.config import LITE

SETTINGS = ("28, none", "56, none")  # of `studies.choosing`


def measure(category: str, seed: int, settings: list[str], out: Path) -> None:
    """The settings of one category and seed that have no file yet."""
    of = {
        out / f"{category}-{seed}-{name}.npz": rules.Setting(choosing.SETTINGS[name])
        for name in settings
    }
    if not all(path.exists() for path in of):
        data = rules.splits(workshop(category, Mini3DConfig(seed=seed)))
        rules.measure(data, of, folds=True)


def gathered(out: Path, rate: float) -> dict[str, dict[str, promises.Kept]]:
    draws: dict[str, list[promises.Draw]] = {}
    for _, _, setting, seen in rules.kept(out):
        draw = promises.drawn(seen, LITE.scoring.top_patches)
        draws.setdefault(setting, []).append(draw)
    return {
        f"{setting} ({len(some)} fits)": promises.promises(some, rate, scoring=LITE.scoring)
        for setting, some in draws.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--categories", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101])
    parser.add_argument("--settings", nargs="+", default=[*SETTINGS], choices=SETTINGS)
    parser.add_argument("--rate", type=float, default=LITE.scoring.false_positive_rate)
    parser.add_argument("--told", action="store_true", help="the table of OUT, measure nothing")
    arguments = parser.parse_args()
    if not arguments.told:
        arguments.out.mkdir(parents=True, exist_ok=True)
        jobs = [(c, s) for s in arguments.seeds for c in arguments.categories]
        for category, seed in tqdm(jobs, "data sets"):
            measure(category, seed, arguments.settings, arguments.out)
    sys.stdout.write(promises.told(gathered(arguments.out, arguments.rate)) + "\n")


if __name__ == "__main__":
    main()
