"""Chapter "The smallest thing that can learn: adaptors"."""

from __future__ import annotations

import torch
from torch import Tensor

from lsfa_lite.exercises.checking import Exercise


def attend(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    scores = queries @ keys.T / keys.shape[1] ** 0.5  # (N, N)
    weights = scores.masked_fill(~foreground, -torch.inf).softmax(dim=1)
    return weights @ values


def without_scale(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    return attend(queries * keys.shape[1] ** 0.5, keys, values, foreground)


def over_queries(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    scores = queries @ keys.T / keys.shape[1] ** 0.5
    hidden = torch.finfo(scores.dtype).min  # minus infinity alone would give NaN here
    return scores.masked_fill(~foreground, hidden).softmax(dim=0) @ values


def without_mask(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    return attend(queries, keys, values, torch.ones_like(foreground))


def zero_scores(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    scores = queries @ keys.T / keys.shape[1] ** 0.5
    return scores.masked_fill(~foreground, 0.0).softmax(dim=1) @ values


def mask_after_softmax(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    weights = (queries @ keys.T / keys.shape[1] ** 0.5).softmax(dim=1)
    return weights.masked_fill(~foreground, 0.0) @ values


def masked_queries(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    out = without_mask(queries, keys, values, foreground)
    return out.masked_fill(~foreground[:, None], 0.0)


def scene(patches: int, width: int, seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    queries, keys, values = torch.randn(3, patches, width, generator=generator)
    return queries, keys, values, torch.arange(patches) % 3 > 0


def whiten(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(features))
    return centred @ (vectors / values.sqrt()) @ vectors.T


def not_centred(features: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(features.T @ features / len(features))
    return features @ (vectors / values.sqrt()) @ vectors.T


def standardise(features: Tensor) -> Tensor:
    return (features - features.mean(0)) / features.std(0, unbiased=False)


def inverse(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    return centred @ torch.linalg.inv(centred.T @ centred / len(features))


def not_turned_back(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(features))
    return centred @ (vectors / values.sqrt())


def square_root(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(features))
    return centred @ (vectors * values.sqrt()) @ vectors.T


def mixed(rows: int, width: int, seed: int) -> tuple[Tensor]:
    """Correlated columns that do not have mean zero."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(width) + 0.4 * torch.randn(width, width, generator=generator)
    return (3 + torch.randn(rows, width, generator=generator) @ mixing,)


EXERCISES = {
    "attend": Exercise(
        cases=(scene(6, 4, 0), scene(9, 2, 1)),
        solution=attend,
        mistakes={
            "divide the scores by the square root of the width D.": without_scale,
            "the weights of one query must sum to one: take the softmax over the keys.": (
                over_queries
            ),
            "background is listened to. Mask the keys before the softmax.": without_mask,
            "a score of 0 is not silence, exp(0) is 1. Use minus infinity.": zero_scores,
            "masked after the softmax: the weights that are left no longer sum to one.": (
                mask_after_softmax
            ),
            "you masked the queries. What must be silent are the keys.": masked_queries,
        },
    ),
    "whiten": Exercise(
        cases=(mixed(50, 3, 0), mixed(80, 4, 1)),
        solution=whiten,
        mistakes={
            "subtract the mean first; the covariance is that of centred features.": not_centred,
            "this is standardising: each column alone. Whitening uses the covariance.": standardise,
            "this is C^(-1). Whitening needs its square root, C^(-1/2).": inverse,
            "white, but turned: multiply by the transposed eigenvectors, too.": not_turned_back,
            "this is C^(1/2): wide directions got wider. Divide by the root.": square_root,
        },
        tolerance=1e-3,
    ),
}
