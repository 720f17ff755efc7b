"""Promised and seen: what a threshold says of false alarms, what comes, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsfa_lite.scoring.threshold import threshold


@dataclass(frozen=True)
class Draw:
    """Scores of one fitted detector: left_out (n,), the training parts, each without its own bank
    rows; held_out (m,), validation parts; good (g,) and defective (d,), test parts.
    """

    left_out: np.ndarray
    held_out: np.ndarray
    good: np.ndarray
    defective: np.ndarray


@dataclass(frozen=True)
class Kept:
    """Means over draws and splits; seen_low and seen_high hold 90 % of the seen rates."""

    promised: float
    seen: float
    seen_low: float
    seen_high: float
    found: float  # share of the defective parts above the threshold


def promises(
    draws: Sequence[Draw], rate: float = 0.05, splits: int = 200, seed: int = 0
) -> dict[str, Kept]:
    """{"held_out": Kept, "all": Kept}, the two settings of scoring.calibrate_on.

    Validation and good test parts are unknown to the bank alike, so which is which is drawn anew
    `splits` times for each draw; the left-out scores of a fit stay. A bootstrap would not do: the
    largest of m scores drawn with replacement is too small (1 in 24 promised, 1 in 16 seen).
    Raises ValueError without draws, or where a group of scores is empty.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[tuple[float, float, float]]] = {"held_out": [], "all": []}
    for draw in draws:
        if not all(map(len, (draw.left_out, draw.held_out, draw.good, draw.defective))):
            raise ValueError("a draw without left-out, held-out, good or defective scores")
        for _ in range(splits):
            unknown = rng.permutation(np.concatenate([draw.held_out, draw.good]))
            held_out, good = np.split(unknown, [len(draw.held_out)])
            every = np.concatenate([draw.left_out, held_out])
            for name, scores in (("held_out", held_out), ("all", every)):
                line = threshold(scores, rate)
                seen, found = (float((x > line.value).mean()) for x in (good, draw.defective))
                rows[name].append((line.false_positive_rate, seen, found))
    if not rows["all"]:
        raise ValueError("no draws, or no splits of them")
    kept = {}
    for name, values in rows.items():
        promised, seen, found = np.array(values).T  # (draws * splits,) each
        low, high = np.quantile(seen, [0.05, 0.95])
        means = float(promised.mean()), float(seen.mean())
        kept[name] = Kept(*means, float(low), float(high), float(found.mean()))
    return kept
