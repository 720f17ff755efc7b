"""The threshold of the verdict, and what it promises."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from lsfa_lite.errors import DataError, SettingError


class Threshold(NamedTuple):
    """A sample is anomalous if its score is greater than `value`; a good one is with probability
    `false_positive_rate` at most, as far as it is drawn like the calibration samples."""

    value: float
    false_positive_rate: float


def threshold(scores: Any, false_positive_rate: float) -> Threshold:
    """The conformal quantile: the ceil((n + 1)(1 - a))-th smallest of n good samples' scores.

    scores (n,). A new good sample takes each of the n + 1 ranks with equal chance, so k scores at
    or below the threshold promise a rate of (n + 1 - k) / (n + 1). With n < 1 / a - 1 samples the
    wanted rate cannot be promised: the largest score is used, and the rate it does promise,
    1 / (n + 1), is returned instead.
    Source: Vovk et al., Algorithmic Learning in a Random World (2005); split conformal prediction.
    """
    values = np.sort(torch.as_tensor(scores).detach().cpu().double().numpy())
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise DataError("scores must be (n,) finite numbers of good samples, n > 0")
    if not 0 < false_positive_rate < 1:
        raise SettingError(f"false_positive_rate is {false_positive_rate}, expected 0 < rate < 1")
    count = len(values)
    # in floats 25 * (1 - 0.44) is a little more than 14, and would be rounded up to 15
    wanted = math.ceil((count + 1) * (1 - false_positive_rate) - 1e-9)
    rank = min(max(wanted, 1), count)
    return Threshold(float(values[rank - 1]), (count + 1 - rank) / (count + 1))
