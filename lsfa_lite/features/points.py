"""phi_P, the frozen point network: from a cloud in metres to features of its groups of points."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from lsfa_lite.config import PointConfig
from lsfa_lite.features.point_network import PointMAE
from lsfa_lite.features.point_weights import load_point_mae
from lsfa_lite.features.sampling import farthest_point_sampling, nearest_groups

logger = logging.getLogger(__name__)

__all__ = ["PointMAE", "describe_points", "group", "load_point_mae", "thin", "to_unit_sphere"]


def to_unit_sphere(points: Tensor) -> Tensor:
    """(P,3) any unit -> (P,3) with the centroid at the origin and the farthest point at 1."""
    centred = points - points.mean(dim=0)
    return centred / centred.norm(dim=1).max().clamp_min(torch.finfo(points.dtype).tiny)


def thin(points: Tensor, limit: int, seed: int = 0) -> Tensor:
    """At most `limit` of the points, chosen at random by the seed; the order is kept; 0 keeps all.

    (P,3) -> (P',3)
    """
    if not thins(len(points), limit):
        return points
    logger.debug("a cloud of %d points thinned to %d by seed %d", len(points), limit, seed)
    generator = torch.Generator().manual_seed(seed)
    kept = torch.randperm(len(points), generator=generator)[:limit].sort().values
    return points[kept.to(points.device)]


def thins(count: int, limit: int) -> bool:
    """Whether `thin` takes any of `count` points away: only then does its seed matter."""
    return 0 < limit < count


def group(points: Tensor, groups: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """(P,3) -> neighbourhoods (G,K,3) relative to their centres, centres (G,3), their indices."""
    chosen = farthest_point_sampling(points, groups)
    centres = points[chosen]  # (G,3)
    neighbours = points[nearest_groups(points, centres, size)]  # (G,K,3)
    return neighbours - centres[:, None], centres, chosen


@torch.no_grad()
def describe_points(
    model: PointMAE, points: Tensor, config: PointConfig, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """One cloud (P,3) in metres -> centres (G,3) in the same metres, features (G,D').

    point_norm="unit_sphere" scales the cloud as in pretraining before the network sees it; "none"
    feeds metres, as the published pipelines do (batch_norm="batch" then keeps the features apart).
    A cloud of more than config.max_points is thinned by `seed`. Source: section 4.1.

    Raises ValueError for a cloud with fewer points than groups or neighbours, NaN or Inf.
    """
    if not torch.isfinite(points).all():
        raise ValueError("points has NaN or Inf; leave out pixels in which the sensor saw nothing")
    points = thin(points, config.max_points, seed)
    inputs = to_unit_sphere(points) if config.point_norm == "unit_sphere" else points
    neighbourhoods, centres, chosen = group(inputs, config.groups, config.group_size)
    model.eval()
    features = model(neighbourhoods[None], centres[None])[0]  # (G,D')
    return points[chosen], features
