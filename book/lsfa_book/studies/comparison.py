"""Two rows over the same data sets: the paired difference, its interval, and what stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from lsfa_lite.errors import LSFAError


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences over n pairs, its 95 % t-interval, and Student's two-sided p,
    which is below 0.05 where the interval leaves zero out.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float


def paired(after: Mapping[Any, float], before: Mapping[Any, float]) -> Difference:
    """after - before over the data sets that both have; two at least.

    Raises ValueError for fewer than two pairs.
    """
    keys = sorted(after.keys() & before.keys())
    if len(keys) < 2:
        raise LSFAError(f"{len(keys)} data sets in common; an interval needs at least two")
    change = np.array([after[key] - before[key] for key in keys])
    mean = float(change.mean())
    if np.ptp(change) == 0:  # nothing varies: no test, and no need of one
        return Difference(mean, mean, mean, len(keys), float(mean == 0))
    test = stats.ttest_1samp(change, 0.0)
    low, high = test.confidence_interval(0.95)
    return Difference(mean, float(low), float(high), len(keys), float(test.pvalue))


def standing(found: Mapping[str, Difference], level: float = 0.05) -> list[str]:
    """The rows that are told from zero after a correction for how many were looked at.

    With m rows, the smallest p must lie below level / m, the next below level / (m - 1), and so
    on; the first that does not ends it. Source: Holm (1979).
    """
    names = sorted(found, key=lambda name: found[name].p)
    for index, name in enumerate(names):
        if found[name].p >= level / (len(names) - index):
            return names[:index]
    return names
