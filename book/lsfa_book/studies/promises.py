"""Promised and seen: what a threshold says of false alarms, what comes, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lsfa_book.studies.rules import Seen, image_score
from lsfa_lite.config import Modality, ScoringConfig
from lsfa_lite.errors import LSFAError
from lsfa_lite.report import align
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.threshold import threshold

SENSES: tuple[Modality, ...] = ("rgb", "3d")


@dataclass(frozen=True)
class Draw:
    """Scores of one fitted detector: left_out (n,), the training parts, each without its own bank
    rows; held_out (m,), validation parts; good (g,) and defective (d,), test parts; cross_fitted
    (n,), the training parts by banks of the other folds, if known. (n, 2) and so on of two senses.
    """

    left_out: np.ndarray
    held_out: np.ndarray
    good: np.ndarray
    defective: np.ndarray
    cross_fitted: np.ndarray | None = None


@dataclass(frozen=True)
class Kept:
    """Means over draws and splits; seen_low and seen_high hold 90 % of the seen rates."""

    promised: float
    seen: float
    seen_low: float
    seen_high: float
    found: float  # share of the defective parts above the threshold


def drawn(seen: Seen, count: int) -> Draw:
    """From the largest distances of every part: the mean of `count` of them is a part's score."""

    def of(split: str) -> np.ndarray:  # (B, senses)
        return np.stack([image_score(kept[split], count) for kept in seen.scores.values()], axis=1)

    test, folds = of("test"), all("folds" in kept for kept in seen.scores.values())
    bad = seen.labels > 0
    parts = of("train"), of("validation"), test[~bad], test[bad]
    return Draw(*parts, of("folds") if folds else None)


def promises(
    draws: Sequence[Draw],
    rate: float = 0.05,
    splits: int = 200,
    seed: int = 0,
    scoring: ScoringConfig | None = None,
) -> dict[str, Kept]:
    """{"held_out": Kept, "all": Kept}, the settings of scoring.calibrate_on; "folds" where known.

    Validation and good test parts are unknown to the bank alike, so which is which is drawn anew
    `splits` times for each draw; the left-out scores of a fit stay. Scales of the senses come from
    the scores that the threshold comes from, as `scoring` says. A bootstrap would not do: the
    largest of m scores drawn with replacement is too small (1 in 24 promised, 1 in 16 seen).
    Raises ValueError without draws, or where a group of scores is empty.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for draw in draws:
        if not all(map(len, (draw.left_out, draw.held_out, draw.good, draw.defective))):
            raise LSFAError("a draw without left-out, held-out, good or defective scores")
        for _ in range(splits):
            unknown = rng.permutation(np.concatenate([draw.held_out, draw.good]))
            held_out, good = np.split(unknown, [len(draw.held_out)])
            groups = {"held_out": held_out, "all": np.concatenate([draw.left_out, held_out])}
            if draw.cross_fitted is not None:
                groups["folds"] = np.concatenate([draw.cross_fitted, held_out])
            for name, scores in groups.items():
                told = judged(scores, good, draw.defective, rate, scoring or ScoringConfig())
                rows.setdefault(name, []).append(told)
    if not rows:
        raise LSFAError("no draws, or no splits of them")
    kept = {}
    for name, values in rows.items():
        promised, seen, found = np.array(values).T  # (draws * splits,) each
        low, high = np.quantile(seen, [0.05, 0.95])
        means = float(promised.mean()), float(seen.mean())
        kept[name] = Kept(*means, float(low), float(high), float(found.mean()))
    return kept


def judged(
    known: np.ndarray, good: np.ndarray, defective: np.ndarray, rate: float, scoring: ScoringConfig
) -> tuple[float, float, float]:
    """Promised, seen and found of the threshold from `known`; all (n,), or (n, 2) of two senses."""
    groups = [torch.from_numpy(scores) for scores in (known, good, defective)]
    if known.ndim == 2:
        senses = [dict(zip(SENSES, scores.unbind(1), strict=True)) for scores in groups]
        fusion = Fusion.fit(senses[0], senses[0], scoring)
        groups = [fusion.fuse_images(scores) for scores in senses]
    line = threshold(groups[0], rate)
    seen, found = (float((x > line.value).double().mean()) for x in groups[1:])
    return line.false_positive_rate, seen, found


def told(kept: dict[str, dict[str, Kept]]) -> str:
    """{name of the setting: promises} as text."""
    lines: list[tuple[str, ...]] = [
        ("setting", "calibrate_on", "promised", "seen", "90 % of fits", "found")
    ]
    for setting, each in kept.items():
        for name, k in each.items():
            between = f"{k.seen_low:.3f}-{k.seen_high:.3f}"
            told = f"{k.promised:.3f}", f"{k.seen:.3f}", between, f"{k.found:.3f}"
            lines.append((setting, name, *told))
    return align(lines)
