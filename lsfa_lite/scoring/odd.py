"""Advice on good parts: which of them look odd among the others."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lsfa_lite.config import Modality
from lsfa_lite.scoring.patchcore import PatchScores

logger = logging.getLogger(__name__)
FEWEST = 20  # scores whose quartiles say something of their spread


def limit(scores: Any, chance: float = 0.01) -> float:
    """What the largest of n good parts' scores passes with probability `chance`.

    scores (n,); infinite for n < 20. A score is the largest of many distances, so its law is near
    Gumbel's, whose tail is longer than a Gaussian's and grows with n. From median m and quartiles,
    which a quarter of odd parts cannot carry away, with b = (q3 - q1) / 1.573:

        limit = m - 0.367 b + b ln(n / chance)

    As quartiles are uncertain, 1 to 4 fits in 100 (n from 250 to 20) name a part wrongly where
    scores are Gumbel's, 1 in 500 or fewer where they are Gaussian.
    Source: the extreme-value law of Fisher and Tippett (1928); rule and constants ours.
    """
    if len(scores) < FEWEST:
        return math.inf
    low, median, high = np.quantile(np.asarray(scores, dtype=float), [0.25, 0.5, 0.75])
    b = (high - low) / (math.log(math.log(4)) - math.log(math.log(4 / 3)))
    return float(median + b * (math.log(math.log(2)) + math.log(len(scores) / chance)))


def advise(scores: Mapping[Modality, Sequence[PatchScores]], names: Sequence[str]) -> None:
    """Warn of each part that looks odd in a modality: {"rgb": B, "3d": B} scores, B names."""
    told: dict[int, list[str]] = {}
    for modality, found in scores.items():
        values = np.array([s.image_score for s in found])
        usual = f"the median of {len(values)} is {np.median(values):.3g}"
        for index in np.flatnonzero(values > (most := limit(values))).tolist():
            why = f"{modality} score {values[index]:.3g}, {usual}, above {most:.3g} is rare"
            told.setdefault(index, []).append(why)
    for index, words in sorted(told.items()):
        logger.warning(
            "%s looks odd among the good ones (%s): look at it, it may be defective or badly "
            "cleaned",
            names[index],
            "; ".join(words),
        )
