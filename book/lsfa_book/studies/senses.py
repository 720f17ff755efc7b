"""What two senses together should see, from what each sees alone: a model without a free number.

Scores of good and of defective parts are taken for two bell curves of one width, d widths apart.
Then AUROC = Phi(d / sqrt 2). The mean of two such scores, brought to one width and independent
within each class, has its curves (d1 + d2) / sqrt 2 widths apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm


def distance(auroc: Any) -> np.ndarray:
    """d, in widths; 0 at an AUROC of a half. An AUROC of 1 is taken for 0.9975, half a mistake."""
    return np.sqrt(2) * norm.ppf(np.clip(auroc, 0.0025, 0.9975))


def together(colour: Any, shape: Any) -> np.ndarray:
    """The AUROC of the mean of both scores. Below the better sense as soon as the other's d is
    under sqrt 2 - 1 = 0.41 of its own: then it adds more width than distance.
    """
    return norm.cdf((distance(colour) + distance(shape)) / 2)
