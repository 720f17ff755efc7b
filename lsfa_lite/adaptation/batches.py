"""Which patches of which samples a training step sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lsfa_lite.config import Modality
from lsfa_lite.errors import DataError

Features = dict[Modality, Tensor]


@dataclass(frozen=True)
class Batch:
    features: Features  # (B, N, D) each
    foreground: Tensor  # (B, N) bool
    rows: Tensor  # (Q,) the foreground's rows among B * N, known without asking the GPU


def draw(
    features: Features,
    foreground: Tensor,
    step: int,
    size: int,
    seed: int,
    device: str | torch.device,
) -> Batch:
    """Batch number `step` of a training that shuffles its samples anew each epoch, on `device`.

    foreground lies on the host: what depends on its values is known without asking the GPU.

    No sample is twice in a batch (Eq. 3 would call it its own negative); the last samples of an
    epoch that do not fill a batch are left to the next epoch.
    """
    samples = len(foreground)
    size = min(size, samples)
    epoch, number = divmod(step, samples // size)
    order = np.random.default_rng([seed, epoch]).permutation(samples)
    chosen = torch.from_numpy(order[number * size : (number + 1) * size])  # (B,)
    mask = foreground[chosen]

    def take(values: Tensor) -> Tensor:
        rows = values[chosen.to(values.device, non_blocking=True)]  # (B, N, D)
        return rows.to(device, torch.float32, non_blocking=True)

    return Batch(
        {name: take(values) for name, values in features.items()},
        mask.to(device, non_blocking=True),
        mask.flatten().nonzero()[:, 0].to(device, non_blocking=True),
    )


def held(features: Features, device: str | torch.device, limit: int = 4 << 30) -> Features:
    """On the device once and for all where they take at most `limit` bytes there; else unmoved."""
    fits = sum(values.nbytes for values in features.values()) <= limit
    return {name: values.to(device) if fits else values for name, values in features.items()}


def pack(features: Features, foreground: Tensor) -> tuple[Features, Tensor]:
    """Leave out background: foreground first, N shrinks to the largest foreground of any sample.

    No loss and no adaptor sees the difference (background is masked everywhere, positions play no
    part), but attention and Eq. 2 cost N * N.
    """
    order = torch.argsort(foreground.to(torch.uint8), dim=1, descending=True, stable=True)
    order = order[:, : int(foreground.sum(1).max())]  # (B, N')
    if order.shape == foreground.shape and (order.diff(dim=1) > 0).all():
        return features, foreground  # packed already
    packed = {
        name: values.gather(1, order[..., None].expand(-1, -1, values.shape[2]))  # (B, N', D)
        for name, values in features.items()
    }
    return packed, foreground.gather(1, order)


def check(features: Features, foreground: Tensor) -> None:
    """Raise ValueError for what cannot be trained on, naming it."""
    if len(features) != 1 and set(features) != {"rgb", "3d"}:
        raise DataError(f"features has the keys {sorted(features)}, expected one, or 'rgb', '3d'")
    if foreground.ndim != 2 or foreground.dtype != torch.bool or len(foreground) == 0:
        raise DataError(
            f"foreground is {tuple(foreground.shape)} {foreground.dtype}, expected (B, N) bool "
            "with at least one training sample"
        )
    for name, values in features.items():
        if values.ndim != 3 or values.shape[:2] != foreground.shape:
            raise DataError(
                f"{name} features are {tuple(values.shape)}, expected (B, N, D) with (B, N) = "
                f"{tuple(foreground.shape)} as the foreground has"
            )
        if not all(torch.isfinite(some).all() for some in values.split(16)):
            raise DataError(f"{name} features have NaN or Inf; check the backbone's output")
    empty = (~foreground.any(1)).nonzero()[:, 0].tolist()
    if empty:
        raise DataError(
            f"training samples {empty} have no foreground patch; lower min_foreground, or check "
            "their background removal"
        )
