"""How LITE's scoring was chosen: every rule on parts of a seed that no table reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lsfa_book.studies.planted import dent, stain
from lsfa_book.studies.rules import IMAGE_SCORES
from lsfa_book.studies.tables import NONE
from lsfa_lite.config import FIRST, Config
from lsfa_lite.data.sample import Sample
from lsfa_lite.report import align

SETTINGS: dict[str, Config] = {
    f"{grid}, {name}": FIRST.change(features__grid=grid, **changes)
    for grid in (28, 56)
    for name, changes in {
        "none": NONE,
        "LayerNorm": NONE | {"adaptation__input": "layer_norm"},
        "length 1": NONE | {"adaptation__input": "unit"},
        "LSFA": {},
    }.items()
    if (grid, name) != (56, "length 1")
}


def with_planted(data: Mapping[str, Sequence[Sample]], seed: int) -> dict[str, list[Sample]]:
    """{"train", "validation", "test"} and the validation parts once more, stained and dented."""
    rng = np.random.default_rng(seed)
    splits = {name: list(parts) for name, parts in data.items()}
    splits["stain"] = [stain(sample, rng) for sample in splits["validation"]]
    splits["dent"] = [dent(sample, rng) for sample in splits["validation"]]
    return splits


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[tuple[str, str], float]]:
    """Setting -> {(image score, view): mean image AUROC} over its categories and seeds."""
    found = {}
    for setting in dict.fromkeys(row["setting"] for row in rows):
        tables = [row["i_auroc"] for row in rows if row["setting"] == setting]
        found[setting] = {
            tuple(key.split(" | ")): float(np.mean([table[key] for table in tables]))
            for key in tables[0]
        }
    return found


def told(rows: Sequence[Mapping[str, Any]]) -> str:
    """The means as text: a line for each setting and image score, a column for each view."""
    lines: list[tuple[str, ...]] = []
    for setting, table in means(rows).items():
        heads = list(dict.fromkeys(view for _, view in table))
        lines = lines or [("setting", "image score", *heads)]
        for how in IMAGE_SCORES:
            lines.append((setting, how, *(f"{table[how, view]:.3f}" for view in heads)))
    return align(lines)
