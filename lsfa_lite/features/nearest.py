"""The nearest of many features: what the banks of training and of scoring are asked."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def nearest(queries: Tensor, bank: Tensor, chunk: int = 512) -> tuple[Tensor, Tensor]:
    """The nearest bank row of each query.

    queries (Q, D), bank (M, D) -> distances (Q,), indices (Q,); at most `chunk` x M squared
    distances are held at once. Raises ValueError for an empty bank or widths that differ.
    """
    if bank.ndim != 2 or queries.ndim != 2 or queries.shape[1] != bank.shape[1]:
        raise ValueError(
            f"queries {tuple(queries.shape)} and bank {tuple(bank.shape)} must be (Q, D) and "
            "(M, D) with the same D"
        )
    if len(bank) == 0:
        raise ValueError("the bank is empty; enqueue features before searching it")
    centre = bank.mean(0)  # far from the origin, |q|^2 - 2qm + |m|^2 would lose its digits
    centred = bank - centre
    norms = centred.square().sum(1)  # (M,)
    distances, indices = [], []
    for part in queries.split(chunk):
        # |q - m|^2 without |q|^2, which is the same for all m
        index = torch.addmm(norms, part - centre, centred.T, alpha=-2).argmin(1)  # (chunk,)
        distances.append(torch.linalg.vector_norm(part - bank[index], dim=1))
        indices.append(index)
    return torch.cat(distances), torch.cat(indices)  # (Q,), (Q,)
