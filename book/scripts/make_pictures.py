"""Pictures of the README and of the book's first page: `python book/scripts/make_pictures.py`.

result.png: one detector per category is fitted on mini3d (seed 0); a column shows one defective
test part: the picture, the relief of its cloud, the labelled defect, the map of both modalities.
contact-sheet.png: every defect of every category. turning.json: an anomaly map on its cloud.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import plotly.io as pio
from tqdm import tqdm

from lsfa_book import mini3d
from lsfa_book.figures import ANOMALY, anomaly_overlay, clouds, colours_of, contact_sheet, relief
from lsfa_book.workshop import workshop
from lsfa_lite import LITE, LSFADetector, Sample
from lsfa_lite.data.background import remove_background

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


def result(path: Path) -> None:
    """The README's picture."""
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
    figure.savefig(path, dpi=80)


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


def turning(path: Path) -> None:
    """A dented ring beside the detector's opinion of it, to turn around."""
    parts = workshop("ring", progress=True)
    detector = LSFADetector(LITE).fit(parts.train, parts.validation, progress=True)
    sample = next(s for s in reversed(parts.test) if s.defect == "dent")
    scored = detector.score([sample])[0]
    seen = scored.anomaly_map > 0
    usual, high = np.median(scored.anomaly_map[seen]), scored.anomaly_map.max()
    # what is usual is dark red: black points would be lost on a dark page
    heat = colours_of(scored.anomaly_map, ANOMALY, usual - 0.35 * (high - usual), high)
    figure = clouds(
        [sample, Sample(heat, sample.xyz)],
        "rgb",
        keep=[seen, seen],
        points=4600,
        titles=["what the sensors see", "what the detector says"],
        height=330,
    )
    figure.update_traces(marker_size=5)
    for scene in (figure.layout.scene, figure.layout.scene2):
        scene.camera.eye = {"x": 0.0, "y": -1.1, "z": -1.9}
    bare = {"visible": False}
    figure.update_scenes(xaxis=bare, yaxis=bare, zaxis=bare)
    figure.layout.meta = {
        "alt": "A bagel as a turning cloud of points, beside the same cloud coloured by how "
        "anomalous each place is: the dent glows, the rest stays dark",
        "linked": True,
        "turning": True,
    }
    path.write_text(pio.to_json(figure, validate=False))


PICTURES = {"result.png": result, "contact-sheet.png": sheet, "turning.json": turning}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("book/static"))
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        PICTURES[name](arguments.out / name)


if __name__ == "__main__":
    main()
