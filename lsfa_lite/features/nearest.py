"""The nearest of many features: what the banks of training and of scoring are asked."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor


@torch.no_grad()
def nearest(queries: Tensor, bank: Tensor, chunk: int = 512) -> tuple[Tensor, Tensor]:
    """The nearest bank row of each query.

    queries (Q, D), bank (M, D) -> distances (Q,), indices (Q,); at most `chunk` x M squared
    distances are held at once. Raises ValueError for an empty bank or widths that differ.

    Which row is nearest is found to float32 also where products are not (TF32, autocast, half
    precision); the distance to it is taken by subtraction.
    """
    if bank.ndim != 2 or queries.ndim != 2 or queries.shape[1] != bank.shape[1]:
        raise ValueError(
            f"queries {tuple(queries.shape)} and bank {tuple(bank.shape)} must be (Q, D) and "
            "(M, D) with the same D"
        )
    if len(bank) == 0:
        raise ValueError("the bank is empty; enqueue features before searching it")
    dtype, device = torch.promote_types(bank.dtype, torch.float32), bank.device.type
    known = torch.amp.is_autocast_available(device)
    with torch.autocast(device, enabled=False) if known else nullcontext():
        return _nearest(queries.to(dtype), bank.to(dtype), chunk)


def _nearest(queries: Tensor, bank: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    centre = bank.mean(0)  # far from the origin, |q|^2 - 2qm + |m|^2 would lose its digits
    centred = bank - centre
    norms = centred.square().sum(1)  # (M,)
    exact = torch.get_float32_matmul_precision() == "highest" or bank.dtype == torch.float64
    if not exact:  # (a + b)(c + d) without bd; a and c survive the rounding of TF32
        high, low = halves(centred)
        centred = torch.cat([high, low, high], dim=1)  # (M, 3D)
    distances, indices = [], []
    for part in queries.split(chunk):
        # |q - m|^2 without |q|^2, which is the same for all m
        query = part - centre
        if not exact:
            high, low = halves(query)
            query = torch.cat([high, high, low], dim=1)  # (chunk, 3D)
        index = torch.addmm(norms, query, centred.T, alpha=-2).argmin(1)  # (chunk,)
        distances.append(torch.linalg.vector_norm(part - bank[index], dim=1))
        indices.append(index)
    return torch.cat(distances), torch.cat(indices)  # (Q,), (Q,)


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """float32 -> its first 10 of 23 bits, all that TF32 keeps, and the rest: they sum to x."""
    high = (x.contiguous().view(torch.int32) & -(1 << 13)).view(torch.float32)
    return high, x - high
