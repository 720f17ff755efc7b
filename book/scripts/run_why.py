"""Chapter 13's study on ten kinds, and on real parts: fit every setting, try every rule on it.

    python book/scripts/run_why.py --out OUT [--parts main few] [--categories ring] [--seeds 0]
    python book/scripts/run_why.py --out OUT --data ROOT --categories cable_gland
    python book/scripts/run_why.py --out OUT --ship

One file per category, seed and setting lies in OUT; what is there is not done again. On mini3d a
seed is the generator's, with --data the method's: coreset, adaptors, draws of few parts. --ship
gathers them into lsfa_book/records/why.json. Some ten minutes for a category and seed on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from lsfa_book.mini3d import KINDS, Mini3DConfig
from lsfa_book.studies import rules, why
from lsfa_book.workshop import workshop
from lsfa_lite.data.files import written_beside
from lsfa_lite.data.mvtec3d import MVTec3D

SHIPPED = Path(__file__).parents[1] / "lsfa_book/records/why.json"


def run(out: Path, root: Path | None, category: str, seeds: Sequence[int], names: Any) -> None:
    """On mini3d for one seed, the data set's; on real parts for all seeds, with the same features.

    names  of why.PARTS
    """
    chosen = {name: setting for part in names for name, setting in why.PARTS[part].items()}
    if root is not None and "few" in names:
        chosen |= why.REAL_ONLY
    settings = {
        out / f"{category}-{seed}-{name}.npz": dataclasses.replace(
            setting,
            config=setting.config if root is None else setting.config.change(seed=seed),
            draw=seed,
        )
        for seed in seeds
        for name, setting in chosen.items()
    }
    if all(path.exists() for path in settings):
        return
    if root is None:
        parts: Any = workshop(category, Mini3DConfig(seed=seeds[0]))
    else:
        parts = MVTec3D(root, category)
    rules.measure(rules.splits(parts), settings)


def gathered(out: Path) -> list[dict[str, Any]]:
    """A row for each file: the image AUROC of all that chapter 13 shows."""
    rows = []
    for category, seed, setting, seen in rules.kept(out):
        table = {" | ".join(key): x for key, x in rules.judge(seen).items()}
        kept = {key: round(table[key], 4) for key in why.KEYS}
        rows.append({"category": category, "seed": seed, "setting": setting, "i_auroc": kept})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="cleaned, in MVTec 3D-AD's layout; else mini3d")
    parser.add_argument("--categories", nargs="+", default=KINDS)
    parser.add_argument("--seeds", type=int, nargs="+", help="else 0 10 11; real parts: 0 1 2")
    parser.add_argument("--parts", nargs="+", default=[*why.PARTS], choices=why.PARTS)
    parser.add_argument("--ship", action="store_true", help="gather OUT, and measure nothing")
    arguments = parser.parse_args()
    if not arguments.ship:
        arguments.out.mkdir(parents=True, exist_ok=True)
        real = arguments.data
        seeds = arguments.seeds or ([0, 1, 2] if real else [0, 10, 11])
        jobs = [
            (c, s)
            for s in ([seeds] if real else [[s] for s in seeds])
            for c in arguments.categories
        ]
        for category, together in tqdm(jobs, "data sets"):
            run(arguments.out, real, category, together, arguments.parts)
    rows = gathered(arguments.out)
    sys.stdout.write(why.told(why.table(why.of_kinds(rows, KINDS))) + "\n")
    if arguments.ship:
        with written_beside(SHIPPED) as temporary:
            temporary.write_text(why.packed(rows))


if __name__ == "__main__":
    main()
