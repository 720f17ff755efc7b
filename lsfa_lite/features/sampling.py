"""Which points a point network looks at: centres spread evenly, and the neighbours of each."""

from __future__ import annotations

import torch
from torch import Tensor


def farthest_point_sampling(points: Tensor, count: int, start: int = 0) -> Tensor:
    """Choose `count` points, each as far as possible from those chosen before.

    points (P,3) any unit -> indices (G,) long on the same device. Deterministic: it begins at
    `start` (0, as the CUDA extension of the published network does) and takes the first of equals.
    Source: section 4.1 (N_d centres); the greedy k-centre method.

    Raises ValueError if there are fewer points than centres.
    """
    _check(points, count, "centres")
    columns = points.T.contiguous()  # (3,P): three long rows are faster than P short ones
    distance = torch.full_like(columns[0], torch.inf)  # (P,) squared, to the nearest chosen point
    chosen = torch.empty(count, dtype=torch.long, device=points.device)  # (G,)
    newest = torch.full((1,), start, dtype=torch.long, device=points.device)
    for step in range(count):
        chosen[step] = newest[0]
        offset = columns - columns.index_select(1, newest)  # (3,P)
        distance = torch.minimum(distance, offset.square_().sum(dim=0))  # (P,)
        newest = distance.argmax(dim=0, keepdim=True)  # (1,), stays on the device: no waiting
    return chosen


def nearest_groups(points: Tensor, centres: Tensor, size: int, chunk: int = 256) -> Tensor:
    """The `size` nearest points of each centre, nearest first.

    points (P,3), centres (G,3), same unit -> indices (G,K) long into points. A centre that is one
    of the points is its own first neighbour. `chunk` centres at a time, so that the distances held
    are chunk x P. Source: section 4.1 (groups of neighbouring points).

    Raises ValueError if there are fewer points than neighbours.
    """
    _check(points, size, "neighbours")
    groups = []
    for part in centres.split(chunk):
        # the matrix-product form loses millimetres far from the origin; this one subtracts first
        distance = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
        groups.append(distance.topk(size, dim=1, largest=False).indices)  # (chunk,K)
    return torch.cat(groups)  # (G,K)


def _check(points: Tensor, count: int, what: str) -> None:
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points has shape {tuple(points.shape)}, expected (P, 3)")
    if count < 1:
        raise ValueError(f"{count} {what} asked for, expected at least 1")
    if len(points) < count:
        raise ValueError(
            f"{len(points)} points cannot give {count} {what}; the cloud is nearly empty (look at "
            "the background removal), or PointConfig.groups / group_size is too large for it"
        )
