"""Greedy k-centre: the few patches that stand for all patches of the training set."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm.auto import trange


@torch.no_grad()
def greedy_coreset(
    features: Tensor, count: int, projection: int = 128, seed: int = 0, progress: bool = False
) -> Tensor:
    """Choose `count` rows such that every row has a chosen one nearby (PatchCore, Algorithm 1).

    features (M, D); returns (count,) long, in the order of choice, no index twice; all M in
    their own order when count >= M. Distances are taken after a random projection to
    `projection` columns, which nearly keeps them; narrower features are used as they are.
    Raises ValueError for a wrong shape, NaN or Inf, or count < 1.
    """
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"features have shape {tuple(features.shape)}, expected (M, D), M, D > 0")
    if count < 1:
        raise ValueError(f"count is {count}; a memory bank needs at least one row")
    if not torch.isfinite(features).all():
        raise ValueError("features hold NaN or Inf; look for the sample that brought them")
    if count >= len(features):
        return torch.arange(len(features), device=features.device)  # (M,)
    return k_centres(project(features, projection, seed), count, progress)  # (count,)


def project(features: Tensor, width: int, seed: int) -> Tensor:
    """(M, D) -> (M, width) by a seeded Gaussian matrix, the same on every device.

    Source: the lemma of Johnson and Lindenstrauss; rows keep their distances up to a few percent.
    """
    features = features.float()
    if features.shape[1] <= width:
        return features
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(features.shape[1], width, generator=generator) / width**0.5
    return features @ matrix.to(features.device)  # (M, width)


def k_centres(points: Tensor, count: int, progress: bool = False) -> Tensor:
    """(M, D) -> (count,) long: from row 0 on, always the row farthest from the chosen ones."""
    points = points - points.mean(dim=0)  # |x|^2 - 2xc + |c|^2 loses digits far from the origin
    squares = points.square().sum(dim=1)  # (M,)
    distance = torch.full_like(squares, torch.inf)  # (M,) squared, to the nearest chosen row
    chosen = torch.zeros(count, dtype=torch.long, device=points.device)
    current = chosen[:1]  # kept on the device: a Python number would wait for the GPU each step
    for step in trange(count, desc="coreset", disable=not progress):
        chosen[step] = current[0]
        centre = points.index_select(0, current)[0]  # (D,)
        to_centre = squares - points @ (2 * centre) + centre.square().sum()  # (M,)
        distance = torch.minimum(distance, to_centre.clamp(min=0))
        distance = distance.index_fill(0, current, -1.0)  # a chosen row is never chosen again
        current = distance.argmax(dim=0, keepdim=True)  # (1,)
    return chosen
