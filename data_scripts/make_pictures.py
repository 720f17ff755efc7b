"""The README's pictures from a real run: `python data_scripts/make_pictures.py`.

One detector per category is fitted on mini3d (seed 0); a column shows one defective test part: the
picture, the relief of its cloud, the labelled defect, and the map of both modalities.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

from lsfa_lite import LITE, LSFADetector
from lsfa_lite.data import mini3d
from lsfa_lite.data.background import remove_background
from lsfa_lite.plots import anomaly_overlay, contact_sheet, relief

SHOWN = {"ring": "hole", "biscuit": "stain", "handle": "dent", "bracket": "cut"}


def column(category: str, defect: str) -> list[np.ndarray]:
    """Four pictures (H, W, 3) of one part."""
    config = mini3d.Mini3DConfig()

    def parts(folder: str, count: int) -> list:
        raw = (mini3d.make_sample(category, folder, i, config) for i in range(count))
        return [remove_background(s) for s in tqdm(raw, f"{category} {folder}", count)]

    detector = LSFADetector(LITE)
    detector.fit(parts("train/good", config.train), parts("validation/good", config.validation))
    raw = mini3d.make_sample(category, f"test/{defect}", 0, config, strength=0.7)
    sample = remove_background(raw)
    scored = detector.score([sample])[0]
    heat = anomaly_overlay(
        sample.rgb, scored.anomaly_map, (0.5 * scored.map_threshold, 1.5 * scored.map_threshold)
    )
    grey = np.repeat(raw.mask[..., None], 3, axis=-1).astype(float)
    return [raw.rgb, relief(sample), grey, heat]


def sheet(path: Path) -> None:
    """Every defect of every category: picture, depth, label."""
    config = mini3d.Mini3DConfig()
    rows = {}
    for category in mini3d.CATEGORIES:
        good = [mini3d.make_sample(category, "train/good", 0, config)]
        bad = [
            mini3d.make_sample(category, f"test/{defect}", 1, config, strength=strength)
            for defect in mini3d.DEFECTS[category]
            for strength in (0.9, 0.4)
        ]
        rows[category] = good + bad
    contact_sheet(rows, ("picture", "depth", "defect"), size=1.0).savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("book/static/result.png"))
    arguments = parser.parse_args()
    columns = {f"{c}: {d}": column(c, d) for c, d in SHOWN.items()}
    figure, axes = plt.subplots(4, len(columns), figsize=(8, 8), layout="constrained")
    for axis_column, (title, pictures) in zip(axes.T, columns.items(), strict=True):
        axis_column[0].set_title(title, fontsize=11)
        for axis, picture in zip(axis_column, pictures, strict=True):
            axis.imshow(picture, cmap="gray")
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, name in zip(axes[:, 0], ["picture", "shape", "defect", "anomaly"], strict=True):
        axis.set_ylabel(name, fontsize=11)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, dpi=80)
    sheet(arguments.out.with_name("contact-sheet.png"))


if __name__ == "__main__":
    main()
