"""Is it the size? What a finer grid gains for each defect, against how many patches it covers.

Chapter 13's theory once held that the finer grid helps "where patches are coarser than the
defects". No run was made for that: the fits are those of `studies/why.py` (part "grid"). It is not
the size. So is it the number of good parts, 223 there and forty of each made kind? Said before
that was run (FEWER): if it is, the gland's gain of .15 falls below .075 with forty of its parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from lsfa_book.studies.rules import IMAGE_SCORES, Seen, Setting, image_score
from lsfa_book.studies.tables import NONE
from lsfa_lite.config import FIRST
from lsfa_lite.scoring.metrics import image_auroc

HOW = "top 1"  # the largest distance, as nothing else is said of one patch
GRIDS = (28, 56)
COARSE = 28 * 28  # patches of the coarse grid in a picture: the unit of size
FEWER = {  # real parts, drawn anew with each seed
    f"{grid}, none, {shots} parts": Setting(FIRST.change(features__grid=grid, **NONE), shots)
    for grid in GRIDS
    for shots in (40, 100)
}
Row = dict[str, Any]  # {"category", "seed", "defect", "size", "sense", "at": {"28": auroc, ...}}


def size(masks: Iterable[np.ndarray]) -> float:
    """Masks (H, W) bool of one defect's parts -> the median number of coarse patches covered."""
    return float(np.median([mask.mean() for mask in masks])) * COARSE


def of_defects(seen: dict[int, Seen], defects: Sequence[str]) -> dict[tuple[str, str], list[float]]:
    """(defect, sense) -> image AUROC of its parts against the good ones, at each of GRIDS.

    seen     grid -> what a detector says of a data set
    defects  of every test part, "good" among them; ValueError if the labels say otherwise
    """
    names, good = np.array(defects), np.array(defects) == "good"
    table: dict[tuple[str, str], list[float]] = {}
    for grid in GRIDS:
        if not np.array_equal(seen[grid].labels == 0, good):
            raise ValueError(f"grid {grid}: labels are not those of {len(defects)} named parts")
        for sense, kept in seen[grid].scores.items():
            values = image_score(kept["test"], IMAGE_SCORES[HOW])
            for defect in sorted(set(names[~good])):
                here = good | (names == defect)
                auroc = image_auroc(values[here], (~good)[here].astype(int))
                table.setdefault((defect, str(sense)), []).append(round(auroc, 4))
    return table


def gains(
    rows: Iterable[Mapping[str, Any]], sense: str
) -> dict[tuple[str, str], tuple[float, float]]:
    """(category, defect) -> (size, what the finer grid gains), a mean over seeds."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        if row["sense"] == sense:
            coarse, fine = row["at"]
            found.setdefault((row["category"], row["defect"]), []).append(
                (row["size"], fine - coarse)
            )
    return {key: tuple(np.mean(pairs, axis=0)) for key, pairs in found.items()}


def correlation(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Spearman's rank correlation of size and gain, and its two-sided p."""
    result = spearmanr(*np.array(list(pairs)).T)
    return float(result.statistic), float(result.pvalue)


@cache
def shipped() -> list[Row]:
    """Forty defects of ten made kinds (seed 0), four of the first real category (three seeds)."""
    return json.loads(files("lsfa_book.records").joinpath("grain.json").read_text())


def text(rows: Iterable[Row]) -> str:
    """The shipped file, a row a line."""
    return "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n"
