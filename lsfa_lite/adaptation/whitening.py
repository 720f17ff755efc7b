"""What is done to the features before the adaptor; whitening alone is LSFA's closed-form yardstick.

The paper has no such step. Centring keeps the inner products of Eq. 2 and 3 from being ruled by the
mean feature; "scale" also divides by one number, so that learning rate and losses mean the same for
every backbone, and leaves the shape of the cloud of features alone. Whitening equalises all
directions of the normal features at once; compactness (Eq. 5, 6) shrinks the wide ones step by
step: so whitening alone is printed beside LSFA. "layer_norm" and "unit" look at one patch alone:
what the LayerNorm at the end of a vanilla (post-norm) encoder layer does before any training, and
the length that cosine distances ignore.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lsfa_lite.errors import DataError, SettingError

Kind = Literal["none", "centre", "scale", "standardise", "whiten", "layer_norm", "unit"]
EACH_PATCH = ("none", "layer_norm", "unit")  # nothing is learned from the others


class InputTransform(nn.Module):
    """x -> (x - mean) / scale, or @ matrix; fitted on training foreground, frozen afterwards."""

    mean: Tensor  # (D,)
    scale: Tensor  # (D,), standardise and scale
    matrix: Tensor  # (D, D), whiten only

    def __init__(self, width: int, kind: Kind = "none") -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise SettingError(f"kind is {kind!r}, expected one of {', '.join(get_args(Kind))}")
        self.kind = kind
        self.register_buffer("mean", torch.zeros(width))
        if kind in ("scale", "standardise"):
            self.register_buffer("scale", torch.ones(width))
        if kind == "whiten":
            self.register_buffer("matrix", torch.eye(width))

    @classmethod
    def fit(cls, features: Tensor, kind: Kind, shrinkage: float = 0.01) -> InputTransform:
        """features (Q, D), foreground patches of good parts -> the fitted transform.

        shrinkage in 0..1 draws the covariance towards a multiple of the identity (whiten only): it
        keeps directions without variance from becoming noise. Raises ValueError for no rows or NaN.
        """
        if features.ndim != 2 or len(features) == 0 or not torch.isfinite(features).all():
            raise DataError(
                f"features {tuple(features.shape)} must be (Q, D), at least one row, all finite"
            )
        out = cls(features.shape[1], kind).to(features.device)
        if kind in EACH_PATCH:
            return out
        mean = features.mean(0, dtype=torch.float64)  # (D,)
        out.mean.copy_(mean)
        if kind in ("scale", "standardise"):
            variance = (features - mean).square().mean(0)  # (D,)
            std = (
                variance.sqrt() if kind == "standardise" else variance.mean().sqrt().expand_as(mean)
            )
            out.scale.copy_(torch.where(std > 0, std, 1.0))
        if kind == "whiten":
            out.matrix.copy_(whitening_matrix(covariance(features, mean), shrinkage))
        return out

    def forward(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if self.kind == "none":
            return features
        if self.kind == "layer_norm":
            return F.layer_norm(features, features.shape[-1:])
        if self.kind == "unit":
            return F.normalize(features, dim=-1)
        centred = features - self.mean
        if self.kind in ("scale", "standardise"):
            return centred / self.scale
        return centred @ self.matrix if self.kind == "whiten" else centred


def covariance(features: Tensor, mean: Tensor, chunk: int = 65_536) -> Tensor:
    """features (Q, D), mean (D,) -> (D, D) float64, in chunks of rows."""
    total = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=features.device)
    for part in features.split(chunk):
        centred = part - mean  # float64, as the mean is
        total += centred.T @ centred
    return total / len(features)


def whitening_matrix(covariance: Tensor, shrinkage: float) -> Tensor:
    """C^(-1/2) of the shrunk covariance (D, D): the whitening that moves features least (ZCA)."""
    level = covariance.diagonal().mean()
    eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    shrunk = (1 - shrinkage) * covariance + shrinkage * level * eye
    values, vectors = torch.linalg.eigh(shrunk)
    values = torch.maximum(values, 1e-12 * values.max())
    inverse = torch.where(values > 0, values.rsqrt(), 0.0)  # all-constant features stay at zero
    return (vectors * inverse) @ vectors.T
