"""Fit settings on made parts of seeds that no table reports, and try every rule of scoring on each.

    python book/scripts/choose_defaults.py --out OUT [--categories ring tire] [--seeds 100 101]
    python book/scripts/choose_defaults.py --out OUT --ship

One JSON per category, seed and setting lies in OUT; what is there is not done again. A table of
means over them is printed; --ship gathers them into lsfa_book/records/choosing.json. Some two to
five minutes for a category and seed on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from lsfa_book.mini3d import KINDS, Mini3DConfig
from lsfa_book.studies import choosing
from lsfa_book.workshop import workshop
from lsfa_lite.config import Config
from lsfa_lite.data.files import written_beside
from lsfa_lite.features.extract import FeatureExtractor

SHIPPED = Path(__file__).parents[1] / "lsfa_book/records/choosing.json"


def measure(category: str, seed: int, out: Path) -> None:
    """The settings of one category and seed that have no file yet."""
    paths = {name: out / f"{category}-{seed}-{name}.json" for name in choosing.SETTINGS}
    waiting = {name: path for name, path in paths.items() if not path.exists()}
    if not waiting:
        return
    parts = workshop(category, Mini3DConfig(seed=seed))
    data = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    splits = choosing.with_planted(data, seed)
    labels = np.array([sample.label for sample in parts.test])
    for grid in sorted({choosing.SETTINGS[name].features.grid for name in waiting}):
        of_grid = [n for n in waiting if choosing.SETTINGS[n].features.grid == grid]
        config: Config = choosing.SETTINGS[of_grid[0]]
        extractor = FeatureExtractor(config.features, "cpu", config.seed)
        stacks = {k: extractor.stack(rows, config.modalities) for k, rows in splits.items()}
        for name in of_grid:
            seen = choosing.see(choosing.SETTINGS[name], stacks, labels, extractor)
            table = {" | ".join(key): round(x, 4) for key, x in choosing.judge(seen).items()}
            row = {"category": category, "seed": seed, "setting": name, "i_auroc": table}
            with written_beside(waiting[name]) as temporary:
                temporary.write_text(json.dumps(row))


def gathered(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]


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
