"""phi_P, the frozen point network: from a cloud in metres to features of its groups of points."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lsfa_lite.config import PointConfig
from lsfa_lite.errors import DataError
from lsfa_lite.features.point_network import PointMAE
from lsfa_lite.features.point_weights import load_point_mae
from lsfa_lite.features.sampling import (
    farthest_point_sampling,
    farthest_points,
    nearest_groups,
    nearest_points,
)

logger = logging.getLogger(__name__)

__all__ = [
    "PointMAE",
    "describe_clouds",
    "describe_points",
    "group",
    "load_point_mae",
    "thin",
    "to_unit_sphere",
]

NOT_FINITE = "points has NaN or Inf; leave out pixels in which the sensor saw nothing"


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
    return points[kept.to(points.device, non_blocking=True)]


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
        raise DataError(NOT_FINITE)
    points = thin(points, config.max_points, seed)
    inputs = to_unit_sphere(points) if config.point_norm == "unit_sphere" else points
    neighbourhoods, centres, chosen = group(inputs, config.groups, config.group_size)
    model.eval()
    features = model(neighbourhoods[None], centres[None])[0]  # (G,D')
    return points[chosen], features


@torch.no_grad()
def describe_clouds(
    model: PointMAE,
    clouds: Sequence[Tensor],
    config: PointConfig,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> list[tuple[Tensor, Tensor]]:
    """`describe_points` of several clouds (P,3) at once: a launch does its work for all of them.

    Points become tokens cloud by cloud: batch_norm="batch" measures each cloud alone, and B*G*K
    points at once would not fit. Groups are those of one cloud alone (of equally near points, any);
    features agree to the rounding of a larger matrix product.

    Raises ValueError as describe_points does, beginning with the cloud's name, "cloud 0", ...
    """
    names = names or [f"cloud {index}" for index in range(len(clouds))]
    finite = torch.stack([points.isfinite().all() for points in clouds])  # (B,)
    if not finite.all():  # the one look at a value
        raise DataError(f"{names[int(finite.long().argmin())]}: {NOT_FINITE}")
    metres = [thin(points, config.max_points, seed) for points in clouds]
    scaled = [to_unit_sphere(p) if config.point_norm == "unit_sphere" else p for p in metres]
    points, counts = pad_sequence(scaled, batch_first=True), [len(p) for p in scaled]  # (B,P,3)
    valid = torch.arange(points.shape[1]) < torch.tensor(counts)[:, None]  # (B,P), on the host
    try:
        chosen = farthest_points(points, config.groups, valid)  # (B,G)
        cloud = torch.arange(len(clouds), device=points.device)[:, None]
        centres = points[cloud, chosen]  # (B,G,3)
        neighbours = nearest_points(points, centres, config.group_size, valid)  # (B,G,K)
    except ValueError as error:  # it is the smallest that has too few
        raise DataError(f"{names[counts.index(min(counts))]}: {error}") from error
    neighbourhoods = points[cloud[..., None], neighbours] - centres[:, :, None]  # (B,G,K,3)
    model.eval()
    tokens = torch.cat([model.encoder(groups) for groups in neighbourhoods.split(1)])  # (B,G,D)
    features = model.from_tokens(tokens, centres)  # (B,G,D')
    return [(p[i], values) for p, i, values in zip(metres, chosen, features, strict=True)]
