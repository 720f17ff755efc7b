"""How to see a collapse: how far the adapted features spread, and in how many directions."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from lsfa_lite.errors import DataError

Record = dict[str, float | Tensor]  # of a training step; a tensor is not read yet
WATCHED = ("variance/", "effective_rank/")
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
    finite = torch.isfinite(some).all()  # no `if`: the host would wait for a GPU
    some = torch.where(finite, some, 0.0)
    centred = some - some.mean(0)
    small = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    singular = torch.linalg.eigvalsh(small).clamp(min=0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny)
    rank = torch.exp(-torch.special.xlogy(share, share).sum())
    rank = torch.where(singular.sum() > 0, rank, 0.0)
    return torch.where(finite, rank, torch.nan)


def settle(history: list[dict[str, float]], pending: list[Record]) -> None:
    """Read the records of the last steps in one transfer, and move them into the history.

    A rank that was not taken is the one before. Raises ValueError for a loss or a gradient that is
    not finite, naming the first; warns of a collapse.
    """
    tensors = [v for record in pending for v in record.values() if isinstance(v, Tensor)]
    device = tensors[-1].device
    numbers = iter(torch.stack([v.to(device, torch.float64) for v in tensors]).cpu().tolist())
    for waiting in pending:
        record = {k: next(numbers) if isinstance(v, Tensor) else v for k, v in waiting.items()}
        for name, value in record.items():
            if not math.isfinite(value) and not name.startswith(WATCHED):
                what = "the gradient's norm" if name == "gradient_norm" else f"the loss {name}"
                raise DataError(
                    f"step {record['step']:.0f}: {what} is {value}; "
                    "lower lr, or set clip, cosine or reduction='mean'"
                )
        before = history[-1] if history else {}
        ranks = {k: v for k, v in before.items() if k.startswith(WATCHED) and k not in record}
        history.append(record | ranks)
        warn_of_collapse(history)
    pending.clear()


def warn_of_collapse(history: list[dict[str, float]]) -> None:
    """Compare the last record with the first; warn once, at the step that crosses the line."""
    first, last = history[0], history[-1]
    for key, start in first.items():
        if not key.startswith(WATCHED):
            continue
        limit = COLLAPSE_SHARE * start
        if last[key] < limit and all(record[key] >= limit for record in history[:-1]):
            warnings.warn(
                f"{key} fell from {start:.4g} to {last[key]:.4g} at step {last['step']:.0f}, below "
                f"{COLLAPSE_SHARE:.0%} of its start: the features are collapsing. Train for fewer "
                "steps, lower lr, or give the compactness losses less weight",
                CollapseWarning,
                stacklevel=4,  # the caller of train
            )
