"""Prototypes: k-means turns the patches of one object into its global features G (section 3.2).

The paper leaves open: k, the start of k-means, and which cluster of one modality belongs to which
of the other when k > 1. Here patches are assigned once, and `cluster_means` takes that one
assignment for both modalities: prototype i of both is the same region of the part. The B*k
prototypes of a batch are then the pairs of Eq. 3 and the queries of Eq. 6.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lsfa_lite.errors import SettingError


@torch.no_grad()
def assign(
    features: Tensor, foreground: Tensor, k: int, seed: int = 0, iterations: int = 10
) -> Tensor:
    """Lloyd's k-means in each sample: (B, N, D), foreground (B, N) bool -> labels (B, N) in 0..k-1.

    The labels of background patches mean nothing.
    """
    if k < 1:
        raise SettingError(f"k is {k}, expected at least 1 prototype")
    if k == 1:
        return torch.zeros_like(foreground, dtype=torch.long)
    centres = _plus_plus(features, foreground, k, seed)  # (B, k, D)
    for _ in range(iterations):
        labels = torch.cdist(features, centres).argmin(2)  # (B, N)
        centres = cluster_means(features, foreground, labels, k)
    return torch.cdist(features, centres).argmin(2)


def cluster_means(features: Tensor, foreground: Tensor, labels: Tensor, k: int) -> Tensor:
    """Mean of each cluster's foreground: (B, N, D), (B, N), (B, N) -> (B, k, D).

    An empty cluster gets the mean of the whole foreground, never NaN.
    """
    of_cluster = labels[..., None] == torch.arange(k, device=labels.device)  # (B, N, k)
    weights = (of_cluster & foreground[..., None]).to(features.dtype)
    counts = weights.sum(1)[..., None]  # (B, k, 1)
    sums = torch.einsum("bnk,bnd->bkd", weights, features)
    everything = sums.sum(1, keepdim=True) / counts.sum(1, keepdim=True).clamp(min=1)  # (B, 1, D)
    return torch.where(counts > 0, sums / counts.clamp(min=1), everything)


def _plus_plus(features: Tensor, foreground: Tensor, k: int, seed: int) -> Tensor:
    """k-means++: a centre is a patch, drawn with probability proportional to squared distance.

    The draw is an exponential race (the largest weight / noise wins), the noise comes from the CPU:
    the same patches on every device.
    """
    weight = torch.ones_like(features[..., 0])  # (B, N)
    draw = torch.tensor(np.random.default_rng(seed).exponential(size=(k, *weight.shape)))
    chosen: list[Tensor] = []
    for noise in draw.to(weight, non_blocking=True):  # (B, N)
        race = (weight / noise.clamp(min=1e-20)).masked_fill(~foreground, -1.0)
        winner = race.argmax(1)[:, None, None].expand(-1, 1, features.shape[2])  # (B, 1, D)
        chosen.append(features.gather(1, winner))
        distance = (features - chosen[-1]).square().sum(2)  # (B, N)
        weight = distance if len(chosen) == 1 else torch.minimum(weight, distance)
    return torch.cat(chosen, dim=1)  # (B, k, D)
