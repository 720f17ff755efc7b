"""Defects against the grid, from the fits of run_why.py (part "grid").

    python book/scripts/run_grain.py --fits OUT [OUT ...] --data ROOT
    python book/scripts/run_grain.py --fewer OUT --data ROOT --categories cable_gland

The first writes lsfa_book/records/grain.json. ROOT, cleaned, in MVTec 3D-AD's layout, gives masks
and names of the categories that are not mini3d's. The second fits grain.FEWER, seeds 0 to 2, on
real parts, into run_why.py's OUT.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from lsfa_book.mini3d import KINDS, Mini3DConfig, make_sample
from lsfa_book.mini3d.config import folders
from lsfa_book.studies import grain, rules
from lsfa_book.studies.rules import Seen
from lsfa_lite.data.files import written_beside
from lsfa_lite.data.mvtec3d import MVTec3D

SHIPPED = Path(__file__).parents[1] / "lsfa_book/records/grain.json"
SETTING = "{}, none"


def named(category: str, seed: int, root: Path | None) -> Iterator[tuple[str, np.ndarray]]:
    """The defect and the mask of every test part, in the order in which it was scored."""
    if category not in KINDS:
        if root is None:
            raise ValueError(f"{category} is not of mini3d; --data says where its masks are")
        for sample in MVTec3D(root, category).test:
            yield sample.defect, np.zeros(1, bool) if sample.mask is None else sample.mask
        return
    config = Mini3DConfig(seed=seed)
    for folder, count in folders(category, config):
        split, _, defect = folder.partition("/")
        for i in range(count if split == "test" else 0):
            good = defect == "good"
            mask = np.zeros(1, bool) if good else make_sample(category, folder, i, config).mask
            assert mask is not None
            yield defect, mask


def fit_fewer(out: Path, root: Path, category: str) -> None:
    settings = {
        out / f"{category}-{seed}-{name}.npz": dataclasses.replace(
            setting, config=setting.config.change(seed=seed), draw=seed
        )
        for seed in range(3)
        for name, setting in grain.FEWER.items()
    }
    rules.measure(rules.splits(MVTec3D(root, category)), settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fits", type=Path, nargs="+", default=[], help="run_why.py's --out")
    parser.add_argument("--data", type=Path, help="of real parts")
    parser.add_argument("--fewer", type=Path, metavar="OUT", help="fit grain.FEWER into it")
    parser.add_argument("--categories", nargs="+", default=[], help="of --data, for --fewer")
    arguments = parser.parse_args()
    if arguments.fewer:
        for category in arguments.categories:
            fit_fewer(arguments.fewer, arguments.data, category)
        return
    fits: dict[tuple[str, int], dict[int, Seen]] = {}
    wanted = {SETTING.format(grid): grid for grid in grain.GRIDS}
    for out in arguments.fits:
        for category, seed, setting, seen in rules.kept(out):
            if setting in wanted:
                fits.setdefault((category, seed), {})[wanted[setting]] = seen
    rows, masks = list[grain.Row](), dict[str, list[tuple[str, np.ndarray]]]()
    complete = {key: seen for key, seen in fits.items() if len(seen) == len(grain.GRIDS)}
    for (category, seed), seen in tqdm(complete.items(), "data sets"):
        key = category if category not in KINDS else f"{category}-{seed}"
        parts = masks.setdefault(key, list(named(category, seed, arguments.data)))
        names = [defect for defect, _ in parts]
        for (defect, sense), at in grain.of_defects(seen, names).items():
            covered = round(grain.size(mask for name, mask in parts if name == defect), 2)
            rows.append(
                {
                    "category": category,
                    "seed": seed,
                    "defect": defect,
                    "sense": sense,
                    "size": covered,
                    "at": at,
                }
            )
    with written_beside(SHIPPED) as temporary:
        temporary.write_text(grain.text(rows))


if __name__ == "__main__":
    main()
