"""Chapter "Five parts only"."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lsfa_book.checking import Exercise


def dimension(parts: np.ndarray, distances: np.ndarray) -> float:
    """d of distance ~ parts^(-1/d), by a straight line through the logarithms."""
    return float(-1 / np.polyfit(np.log(parts), np.log(distances), 1)[0])


def merge(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """W (D', D), A (r, D), B (D', r) -> the one matrix (D', D) that LoRA leaves behind."""
    return weight + alpha / len(a) * b @ a


def cka(x: Tensor, y: Tensor) -> float:
    """Linear CKA of two descriptions (Q, D) and (Q, D') of the same Q patches, in 0..1."""
    return uncentred_cka(x - x.mean(dim=0), y - y.mean(dim=0))


def uncentred_cka(x: Tensor, y: Tensor) -> float:
    return float((y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()))


def not_squared(x: Tensor, y: Tensor) -> float:
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    return float((y.T @ x).norm() / ((x.T @ x).norm() * (y.T @ y).norm()))


def centred_along_channels(x: Tensor, y: Tensor) -> float:
    return uncentred_cka(x - x.mean(dim=1, keepdim=True), y - y.mean(dim=1, keepdim=True))


def norms_of_features(x: Tensor, y: Tensor) -> float:
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    return float((y.T @ x).norm() ** 2 / (x.norm() * y.norm()))


PARTS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
DRAW = torch.Generator().manual_seed(0)
FEATURES = 1 + torch.randn(40, 6, generator=DRAW, dtype=torch.double)
MOVED = FEATURES + 0.5 * torch.randn(40, 6, generator=DRAW, dtype=torch.double)
W, A, B = (torch.randn(s, generator=DRAW, dtype=torch.double) for s in ((4, 4), (2, 4), (4, 2)))


def drawn_dimension(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    noise = np.exp(rng.normal(0, 0.02, len(PARTS)))
    return ((PARTS, rng.uniform(2, 9) * PARTS ** (-1 / rng.uniform(2, 8)) * noise),)


def drawn_merge(seed: int) -> tuple[tuple[Tensor, Tensor, Tensor, float], ...]:
    draw = torch.Generator().manual_seed(seed)
    w, a, b = (torch.randn(s, generator=draw, dtype=torch.double) for s in ((5, 5), (3, 5), (5, 3)))
    return (w, a, b, 2.0), (w, a[:2], b[:, :2], 7.0)


def drawn_cka(seed: int) -> tuple[tuple[Tensor, Tensor], ...]:
    draw = torch.Generator().manual_seed(seed)
    x = 2 + torch.randn(30, 5, generator=draw, dtype=torch.double)
    moved = x + torch.randn(30, 5, generator=draw, dtype=torch.double)
    return (x, moved), (x[:, :3], moved)


EXERCISES = {
    "dimension": Exercise(
        cases=((PARTS, 3 * PARTS**-0.25), (PARTS[:4], np.array([9.0, 8.0, 7.5, 6.5]))),
        solution=dimension,
        drawn=drawn_dimension,
        mistakes={
            "this is the slope. It is -1/d; solve for d.": lambda n, r: np.polyfit(
                np.log(n), np.log(r), 1
            )[0],
            "the sign: the slope is -1/d.": lambda n, r: -dimension(n, r),
            "this fits n and r themselves; a power is a line in their logarithms.": lambda n, r: (
                -1 / np.polyfit(n, r, 1)[0]
            ),
            "only n is a logarithm here; take that of the distance as well.": lambda n, r: (
                -1 / np.polyfit(np.log(n), r, 1)[0]
            ),
        },
    ),
    "merge": Exercise(
        cases=((W, A, B, 4.0), (W, A[:1], B[:, :1], 0.5)),
        solution=merge,
        drawn=drawn_merge,
        mistakes={
            "the scale alpha / r is missing.": lambda w, a, b, alpha: w + b @ a,
            "this scales by alpha; divide it by the rank.": lambda w, a, b, alpha: (
                w + alpha * b @ a
            ),
            "this divides alpha by the width; the rank is the short side of A.": (
                lambda w, a, b, alpha: w + alpha / a.shape[1] * b @ a
            ),
            "the product is transposed: A comes first, so it stands on the right.": (
                lambda w, a, b, alpha: w + alpha / len(a) * (b @ a).T
            ),
        },
    ),
    "cka": Exercise(
        cases=((FEATURES, MOVED), (FEATURES, 3 * MOVED[:, :4])),
        solution=cka,
        drawn=drawn_cka,
        mistakes={
            "not centred: the mean feature agrees with itself and drowns the rest.": uncentred_cka,
            "wrong axis: take the mean over the patches, not over the channels.": (
                centred_along_channels
            ),
            "the norm in the numerator is squared.": not_squared,
            "below the line stand the norms of X'X and Y'Y, not of X and Y.": norms_of_features,
        },
    ),
}
