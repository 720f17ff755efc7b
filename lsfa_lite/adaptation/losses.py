"""The four losses of LSFA and their sums, Eq. 2 to 6, 8 and 9; the defaults are as printed."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from lsfa_lite.errors import DataError, SettingError
from lsfa_lite.features.nearest import nearest

Denominator = Literal["joint", "row", "symmetric"]
Reduction = Literal["sum", "mean"]
LARGE = 1024  # patches, beyond which all pairs of a batch fit into no cache


def local_alignment(
    rgb: Tensor,
    points: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    cosine: bool = False,
    denominator: Denominator = "joint",
    reduction: Reduction = "mean",
) -> Tensor:
    """L_LA: patch j of one modality belongs to patch j of the other, in each image (section 3.2).

    Implements: eq-2

    rgb, points (B, N, D) projected features F'; mask (B, N) bool, True on the foreground, None for
    all; -> scalar, the mean (or sum) over j and i: Eq. 2 shows one j of one image i.
    denominator  "joint": all pairs (t, k), as printed. "row": InfoNCE, all k for t = j.
                 "symmetric": the mean of rows and columns (the released code, over the whole batch:
                 give it (1, B*N, D)).
    The paper has no temperature and does not normalise (cosine=False).
    """
    return _pair_loss(rgb, points, mask, temperature, cosine, denominator, reduction)


def global_alignment(
    rgb: Tensor,
    points: Tensor,
    temperature: float = 1.0,
    cosine: bool = False,
    denominator: Denominator = "joint",
    reduction: Reduction = "mean",
) -> Tensor:
    """L_GA: the prototypes of one object belong together, inside the batch (section 3.2).

    Implements: eq-3

    rgb, points (B, D) projected prototypes G' -> scalar, the mean (or sum) over i. With k
    prototypes per object the rows are the B*k pairs.
    """
    return _pair_loss(rgb[None], points[None], None, temperature, cosine, denominator, reduction)


def _pair_loss(
    rgb: Tensor,
    points: Tensor,
    mask: Tensor | None,
    temperature: float,
    cosine: bool,
    denominator: Denominator,
    reduction: Reduction,
) -> Tensor:
    if rgb.shape != points.shape:
        raise DataError(
            f"rgb {tuple(rgb.shape)} and points {tuple(points.shape)} must have the same shape; "
            "project both modalities to one width first"
        )
    if denominator not in get_args(Denominator):
        raise SettingError(
            f"denominator is {denominator!r}, expected 'joint', 'row' or 'symmetric'"
        )
    if reduction not in get_args(Reduction):
        raise SettingError(f"reduction is {reduction!r}, expected 'sum' or 'mean'")
    if mask is None:
        mask = torch.ones(rgb.shape[:2], dtype=torch.bool, device=rgb.device)  # (B, N)
    count = mask.sum().clamp(min=1)
    if cosine:
        rgb, points = F.normalize(rgb, dim=-1), F.normalize(points, dim=-1)
    if rgb.shape[1] > LARGE:  # the same, with the pairs of one image at a time
        mean = _large_pair_loss(rgb, points, mask, temperature, denominator)
        return mean if reduction == "mean" else mean * count
    logits = torch.einsum("btd,bkd->btk", rgb, points) / temperature  # (B, N, N)
    positive = logits.diagonal(dim1=1, dim2=2)  # (B, N)
    loss = _log_denominator(logits, mask, denominator) - positive  # (B, N)
    total = torch.where(mask, loss, 0.0).sum()
    return total / count if reduction == "mean" else total


def _log_denominator(logits: Tensor, mask: Tensor, denominator: Denominator) -> Tensor:
    """Log of Eq. 2's denominator: (B, N, N), (B, N) bool -> (B, N), or (B, 1) for all j."""
    hidden = torch.finfo(logits.dtype).min  # not -inf: an image without foreground stays finite
    rows = logits.masked_fill(~mask[:, None, :], hidden)
    if denominator == "row":
        return rows.logsumexp(2)
    if denominator == "joint":
        return rows.masked_fill(~mask[:, :, None], hidden).flatten(1).logsumexp(1, keepdim=True)
    columns = logits.masked_fill(~mask[:, :, None], hidden)
    return (rows.logsumexp(2) + columns.logsumexp(1)) / 2


def _large_pair_loss(
    rgb: Tensor, points: Tensor, mask: Tensor, temperature: float, denominator: Denominator
) -> Tensor:
    if denominator == "symmetric":
        rows = _Pairs.apply(rgb, points, mask, temperature, True)
        return (rows + _Pairs.apply(points, rgb, mask, temperature, True)) / 2
    return _Pairs.apply(rgb, points, mask, temperature, denominator == "row")


class _Pairs(torch.autograd.Function):
    """Value and gradient at once, since the exponentials are those of both.

    With E_tk = exp(<I_t, P_k> / temperature - the largest) and S the sums of E over k (and t), the
    loss is log S - log E_jj and its gradient by the logits E_tk / S - [t = k]. So E is written once
    for an image, summed, multiplied with P and with I, and forgotten.
    """

    @staticmethod
    def forward(
        ctx: Any, rgb: Tensor, points: Tensor, mask: Tensor, temperature: float, row: bool
    ) -> Tensor:
        weights = mask.to(rgb.dtype) / mask.sum().clamp(min=1)  # (B, N), of the mean
        biases = torch.finfo(rgb.dtype).min / 2 * (~mask).to(rgb.dtype)  # (B, N), hides background
        total, gradients = weights.new_zeros(()), []
        for i, p, weight, bias in zip(rgb, points, weights, biases, strict=True):
            pairs = torch.addmm(bias, i, p.T, alpha=1 / temperature)  # (N, N)
            positive = pairs.diagonal().clone()
            if not row:
                pairs += bias[:, None]
            largest = pairs.amax(1, keepdim=True) if row else pairs.amax()
            sums = pairs.sub_(largest).exp_().sum(1, keepdim=True)  # (N, 1)
            if not row:
                sums = sums.sum().expand_as(sums)
            total += (weight * (largest + sums.log() - positive[:, None])[:, 0]).sum()
            share = (weight[:, None] if row else weight.sum()) / sums
            by_rgb = share * (pairs @ p) - weight[:, None] * p
            by_points = pairs.T @ (share * i) - weight[:, None] * i
            gradients.append(torch.stack([by_rgb, by_points]) / temperature)
        ctx.save_for_backward(torch.stack(gradients, dim=1))  # (2, B, N, D)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        by_rgb, by_points = gradient * ctx.saved_tensors[0]
        return by_rgb, by_points, None, None, None


def local_compactness(
    features: Tensor,
    bank: Tensor,
    reduction: Reduction = "sum",
    squared: bool = False,
    chunk: int = 512,
) -> Tensor:
    """L_LC: each patch moves to its nearest row of the memory bank (section 3.3).

    Implements: eq-5

    features (Q, D), all patches of the batch; bank (M, D), no gradient -> scalar.
    Eq. 5 prints a sum of norms; the text beside it says mean squared error: reduction="mean",
    squared=True. The nearest row is found in chunks, then only that one distance is
    differentiated; its gradient at distance zero is zero.
    """
    if len(features) == 0:
        raise DataError("features has no rows; is there any foreground in the batch?")
    _, index = nearest(features.detach(), bank, chunk)
    difference = features - bank[index].detach()  # (Q, D)
    norm = torch.linalg.vector_norm
    terms = difference.square().sum(1) if squared else norm(difference, dim=1)  # (Q,)
    if reduction not in get_args(Reduction):
        raise SettingError(f"reduction is {reduction!r}, expected 'sum' or 'mean'")
    return terms.sum() if reduction == "sum" else terms.mean()


def global_compactness(
    features: Tensor,
    bank: Tensor,
    reduction: Reduction = "sum",
    squared: bool = False,
    chunk: int = 512,
) -> Tensor:
    """L_GC: each prototype moves to its nearest row of the global bank; the formula is Eq. 5's.

    Implements: eq-6

    features (B*k, D) prototypes G; bank (M, D) -> scalar. (Eq. 6 keeps Eq. 5's superscript j, which
    a global feature has not.)
    """
    return local_compactness(features, bank, reduction, squared, chunk)


def consistency(local: Tensor, global_: Tensor) -> Tensor:
    """L_CLC = L_LA + L_GA.

    Implements: eq-4
    """
    return local + global_


def compactness(local: Tensor, global_: Tensor) -> Tensor:
    """L_IFC = L_LC + L_GC.

    Implements: eq-8
    """
    return local + global_


def total(ifc: Tensor, clc: Tensor, weight: float = 0.6) -> Tensor:
    """L_LSFA = L_IFC + lambda L_CLC; lambda = 0.6 (section 4.3).

    Implements: eq-9
    """
    return ifc + weight * clc
