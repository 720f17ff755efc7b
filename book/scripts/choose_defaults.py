"""Fit settings on made parts of seeds that no table reports, and try every rule of scoring on each.

    python book/scripts/choose_defaults.py --out OUT [--categories ring tire] [--seeds 100 101]
    python book/scripts/choose_defaults.py --out OUT --ship

One file per category, seed and setting lies in OUT; what is there is not done again. A table of
means over them is printed; --ship gathers them into lsfa_book/records/choosing.json. Some two to
five minutes for a category and seed on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from lsfa_book.mini3d import KINDS, Mini3DConfig
from lsfa_book.studies import choosing, rules
from lsfa_book.workshop import workshop
from lsfa_lite.data.files import written_beside

SHIPPED = Path(__file__).parents[1] / "lsfa_book/records/choosing.json"


def measure(category: str, seed: int, out: Path) -> None:
    """The settings of one category and seed that have no file yet."""
    settings = {
        out / f"{category}-{seed}-{name}.npz": rules.Setting(config)
        for name, config in choosing.SETTINGS.items()
    }
    if not all(path.exists() for path in settings):
        data = rules.splits(workshop(category, Mini3DConfig(seed=seed)))
        rules.measure(choosing.with_planted(data, seed), settings)


def gathered(out: Path) -> list[dict[str, Any]]:
    rows = []
    for category, seed, setting, seen in rules.kept(out):
        table = {" | ".join(key): round(x, 4) for key, x in rules.judge(seen).items()}
        rows.append({"category": category, "seed": seed, "setting": setting, "i_auroc": table})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--categories", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101])
    parser.add_argument("--ship", action="store_true", help="gather OUT, and measure nothing")
    arguments = parser.parse_args()
    if not arguments.ship:
        arguments.out.mkdir(parents=True, exist_ok=True)
        jobs = [(c, s) for s in arguments.seeds for c in arguments.categories]
        for category, seed in tqdm(jobs, "data sets"):
            measure(category, seed, arguments.out)
    rows = gathered(arguments.out)
    sys.stdout.write(choosing.told(rows) + "\n")
    if arguments.ship:
        with written_beside(SHIPPED) as temporary:
            lines = ",\n".join(json.dumps(row) for row in rows)
            temporary.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
