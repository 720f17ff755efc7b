"""How to see a collapse: how far the adapted features spread, and in how many directions."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

COLLAPSE_SHARE = 0.5  # of the starting value; below it a CollapseWarning is given (ours)


class CollapseWarning(UserWarning):
    """Adapted features lose their variance or rank: defects move onto the normal features, too."""


@torch.no_grad()
def variance(features: Tensor) -> Tensor:
    """(Q, D) -> scalar: mean squared distance to the mean, the trace of the covariance."""
    return (features - features.mean(0)).square().sum(1).mean()


@torch.no_grad()
def effective_rank(features: Tensor, rows: int = 512) -> Tensor:
    """(Q, D) -> scalar in 1..D: exp of the entropy of the normalised singular values.

    (Roy and Vetterli, "The effective rank", EUSIPCO 2007), of the centred features; at most `rows`
    evenly spaced rows are used. Features that are all equal have rank 0; NaN or Inf gives NaN.
    """
    step = -(-len(features) // rows)
    some = features[::step].double()  # (Q', D)
    if not torch.isfinite(some).all():
        return some.new_tensor(torch.nan)
    centred = some - some.mean(0)
    small = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    singular = torch.linalg.eigvalsh(small).clamp(min=0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny)
    rank = torch.exp(-torch.special.xlogy(share, share).sum())
    return torch.where(singular.sum() > 0, rank, 0.0)


def warn_of_collapse(history: list[dict[str, float]]) -> None:
    """Compare the last record with the first; warn once, at the step that crosses the line."""
    first, last = history[0], history[-1]
    for key, start in first.items():
        if not key.startswith(("variance/", "effective_rank/")):
            continue
        limit = COLLAPSE_SHARE * start
        if last[key] < limit and all(record[key] >= limit for record in history[:-1]):
            warnings.warn(
                f"{key} fell from {start:.4g} to {last[key]:.4g} at step {last['step']:.0f}, below "
                f"{COLLAPSE_SHARE:.0%} of its start: the features are collapsing. Train for fewer "
                "steps, lower lr, or give the compactness losses less weight",
                CollapseWarning,
                stacklevel=3,  # the caller of train
            )
