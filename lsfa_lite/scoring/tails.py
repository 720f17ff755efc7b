"""How surprising a score is among good ones: -log of a conformal p-value, its tail carried on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsfa_lite.errors import DataError

KNOTS = 64  # at most; a quantile more would not be seen


@dataclass(frozen=True)
class Tail:
    """score -> -log p, where p is the share of good scores that are as large.

    Inside the good scores p is the conformal p-value (1 + count of c >= s) / (n + 1), -log p drawn
    in straight lines between `values` with the heights `surprises`. Beyond the last of them no good
    score is left to count, and all p-values would be equal: p falls off exponentially, as fast as
    the largest good scores do (`rate` per unit of score; the tail of every law between Gauss and
    exponential looks like that from far enough: Pickands 1975, Balkema and de Haan 1974).

    What follows for two senses: their sum is Fisher's rule, their maximum the rule of the smallest
    p. Unlike a z-score, -log p is flat among the ordinary: a sense that sees nothing adds next to
    nothing, whatever it mumbles.
    """

    values: tuple[float, ...]
    surprises: tuple[float, ...]
    rate: float

    def __post_init__(self) -> None:
        knots = [self.values, self.surprises]
        if not (np.isfinite(knots).all() and np.size(knots) and 0 <= self.rate < np.inf):
            raise DataError("a tail needs finite knots and a finite rate")

    @classmethod
    def fit(cls, scores: np.ndarray, name: str) -> Tail:
        """scores (n,) of good samples, n >= 2, >= 0 and finite; the largest few make the tail:
        sqrt(n) of them, ten if there are so many.
        """
        ordered = np.sort(scores)
        n, many = len(ordered), max(10, round(math.sqrt(len(ordered))))
        beyond = min(many, n - 1)  # the scores whose mean excess gives the rate
        start = float(ordered[n - 1 - beyond])
        excess = float(ordered[n - beyond :].mean()) - start
        if not excess > 1e-12 * abs(start):
            raise DataError(
                f"{name}: {n} calibration scores without spread; give more good samples, "
                'or set normalise="none"'
            )
        # a score that is equal counts as being as large: the first of equals has the p of all
        values, first = np.unique(ordered[: n - beyond], return_index=True)
        surprises = -np.log((n - first + 1) / (n + 1))
        some = np.unique(np.linspace(0, len(values) - 1, KNOTS).round().astype(int))
        low = min(0.0, float(values[0]))  # a distance of nothing is the least surprise
        knots = [(low, 0.0)] if low < values[0] else []
        knots += list(zip(values[some].tolist(), surprises[some].tolist(), strict=True))
        at, height = zip(*knots, strict=True)
        return cls(at, height, 1 / excess)

    def __call__(self, scores: Any) -> Tensor:
        """Scores, any shape -> -log p, the same shape; 0 at and below the first knot."""
        scores = torch.as_tensor(scores)
        scores = scores if scores.is_floating_point() else scores.float()
        at, height = (
            torch.tensor(v, dtype=torch.float64, device=scores.device)
            for v in (self.values, self.surprises)
        )  # (n,), (n,)
        exact = scores.to(at.dtype).contiguous()
        right = torch.searchsorted(at, exact).clamp(1, max(len(at) - 1, 1))
        left, right = right - 1, right.clamp(max=len(at) - 1)
        share = (exact.clamp(at[0], at[-1]) - at[left]) / (at[right] - at[left]).clamp(min=1e-300)
        inside = height[left] + share * (height[right] - height[left])
        return (inside + self.rate * (exact - at[-1]).clamp(min=0)).to(scores.dtype)
