"""The nearest of many features: what the banks of training and of scoring are asked."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from einops import rearrange
from torch import Tensor

from lsfa_lite.errors import DataError

ROWS = 4096  # of the bank at a time on a CPU: their distances stay in its cache
TILE = 256  # the least of so many is found by vector instructions, which row it is only then


@torch.no_grad()
def nearest(
    queries: Tensor, bank: Tensor, chunk: int = 512, left_out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The nearest bank row of each query.

    queries (Q, D), bank (M, D) -> distances (Q,), indices (Q,), the first of equals; at most
    `chunk` x M squared distances are held at once. left_out (M,) bool: rows that are not there,
    without a copy of those that are. Raises ValueError for a bank without rows or widths that
    differ.

    Which row is nearest is found to float32 also where products are not (TF32, autocast, half
    precision); the distance to it is taken by subtraction.
    """
    if bank.ndim != 2 or queries.ndim != 2 or queries.shape[1] != bank.shape[1]:
        raise DataError(
            f"queries {tuple(queries.shape)} and bank {tuple(bank.shape)} must be (Q, D) and "
            "(M, D) with the same D"
        )
    if len(bank) == 0 or (left_out is not None and left_out.all()):
        raise DataError("the bank is empty; enqueue features before searching it")
    dtype, device = torch.promote_types(bank.dtype, torch.float32), bank.device.type
    known = torch.amp.is_autocast_available(device)
    with torch.autocast(device, enabled=False) if known else nullcontext():
        return _nearest(queries.to(dtype), bank.to(dtype), chunk, left_out)


def _nearest(
    queries: Tensor, bank: Tensor, chunk: int, left_out: Tensor | None
) -> tuple[Tensor, Tensor]:
    centre = bank.mean(0)  # far from the origin, |q|^2 - 2qm + |m|^2 would lose its digits
    exact = torch.get_float32_matmul_precision() == "highest" or bank.dtype == torch.float64
    parts = queries.split(chunk)
    rows = min(ROWS, len(bank)) if bank.device.type == "cpu" else len(bank)
    # |q - m|^2 without |q|^2, which is the same for all m; beyond the last row it is infinite
    held = bank.new_full((min(chunk, len(queries)), -(-rows // TILE) * TILE), torch.inf)
    least = [bank.new_full(part.shape[:1], torch.inf) for part in parts]  # (chunk,) each
    index = [torch.zeros_like(part[:, 0], dtype=torch.long) for part in parts]
    for start in range(0, len(bank), rows):
        some = bank[start : start + rows] - centre
        norms = some.square().sum(1)  # (rows,)
        if left_out is not None:
            norms.masked_fill_(left_out[start : start + rows], torch.inf)
        some = some if exact else _thrice(some, low=2)
        held[:, len(some) :] = torch.inf
        for i, part in enumerate(parts):
            query, distances = part - centre, held[: len(part)]
            query = query if exact else _thrice(query, low=1)
            torch.addmm(norms, query, some.T, alpha=-2, out=distances[:, : len(some)])
            found, row = _first_least(distances)
            index[i] = torch.where(found < least[i], row + start, index[i])
            least[i] = torch.minimum(found, least[i])
    indices = torch.cat(index)  # (Q,)
    pairs = zip(parts, index, strict=True)
    norm = torch.linalg.vector_norm
    return torch.cat([norm(part - bank[row], dim=1) for part, row in pairs]), indices


def _first_least(distances: Tensor) -> tuple[Tensor, Tensor]:
    """The least of each row, and where it is first: what min(1) says, only faster on long rows."""
    tiles = rearrange(distances, "q (t w) -> q t w", w=TILE)
    least, tile = tiles.amin(2).min(1)  # (Q,)
    inside = tiles.take_along_dim(tile[:, None, None], dim=1)[:, 0]  # (Q, TILE)
    return least, tile * TILE + inside.argmin(1)


def _thrice(x: Tensor, low: int) -> Tensor:
    """(R, D) -> (R, 3D): the product of a query's and a row's is (a + b)(c + d) without bd, and a
    and c survive the rounding of TF32.
    """
    parts = [halves(x)[0]] * 3
    parts[low] = halves(x)[1]
    return torch.cat(parts, dim=1)


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """float32 -> its first 10 of 23 bits, all that TF32 keeps, and the rest: they sum to x."""
    high = (x.contiguous().view(torch.int32) & -(1 << 13)).view(torch.float32)
    return high, x - high
