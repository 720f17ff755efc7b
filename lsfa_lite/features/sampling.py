"""Which points a point network looks at: centres spread evenly, and the neighbours of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from lsfa_lite.errors import DataError, SettingError


def farthest_point_sampling(points: Tensor, count: int, start: int = 0) -> Tensor:
    """Choose `count` points, each as far as possible from those chosen before.

    points (P,3) any unit -> indices (G,) long on the same device. Deterministic: it begins at
    `start` (0, as the CUDA extension of the published network does) and takes the first of equals.
    Source: section 4.1 (N_d centres); the greedy k-centre method.

    Raises ValueError if there are fewer points than centres.
    """
    _check(points, count, "centres")
    if points.device.type != "cpu":
        return farthest_points(points[None], count, start=start)[0]
    columns = np.ascontiguousarray(points.detach().numpy().T)  # (3,P): long rows are faster
    offset = np.empty_like(columns)  # (3,P)
    distance = np.full(len(points), np.inf, columns.dtype)  # (P,) squared, to the nearest chosen
    chosen = np.empty(count, np.int64)  # (G,)
    newest = start
    for step in range(count):
        chosen[step] = newest
        np.subtract(columns, columns[:, newest, None], out=offset)
        squared, y, z = np.square(offset, out=offset)
        squared += y
        squared += z
        np.minimum(distance, squared, out=distance)
        newest = int(distance.argmax())
    return torch.from_numpy(chosen)


def nearest_groups(points: Tensor, centres: Tensor, size: int, chunk: int = 256) -> Tensor:
    """The `size` nearest points of each centre, nearest first.

    points (P,3), centres (G,3), same unit -> indices (G,K) long into points. A centre that is one
    of the points is its own first neighbour. Of equally near points the smaller index comes first
    on a CPU, any on a GPU. `chunk` centres at a time, so that the distances held are at most
    chunk x P. Source: section 4.1 (groups of neighbouring points).

    Raises ValueError if there are fewer points than neighbours.
    """
    _check(points, size, "neighbours")
    if points.device.type != "cpu":
        return nearest_points(points[None], centres[None], size, chunk=chunk)[0]
    from scipy.spatial import cKDTree  # a fifth of a second, where clouds are grouped

    tree, wide = cKDTree(points.detach().numpy()), min(size + 8, len(points))
    parts = centres.detach().split(chunk)
    return torch.from_numpy(np.concatenate([_nearest(tree, c.numpy(), size, wide) for c in parts]))


def farthest_points(
    points: Tensor, count: int, valid: Tensor | None = None, start: int = 0
) -> Tensor:
    """`farthest_point_sampling` in a batch of clouds at once, each from its valid point `start`.

    points (B,P,3); valid (B,P) bool, false where a shorter cloud is filled up, or None -> (B,G)
    long. A few launches per step, however many clouds, and the host waits for none of them.
    """
    inside = _inside(points, valid, count, "centres")  # B P
    columns = rearrange(points, "b p c -> c b p").contiguous()  # 3 B P
    distance = torch.where(inside, torch.inf, -1.0).to(points.dtype)  # B P; a filler is never far
    newest = (inside.cumsum(dim=1) > start).long().argmax(dim=1, keepdim=True)  # B 1
    chosen = [newest]
    while len(chosen) < count:
        offset = columns - columns.gather(2, newest.expand(3, -1, -1))  # 3 B P
        distance = torch.minimum(distance, offset.square_().sum(dim=0))  # B P
        newest = distance.argmax(dim=1, keepdim=True)  # B 1
        chosen.append(newest)
    return torch.cat(chosen, dim=1)  # B G


def nearest_points(
    points: Tensor, centres: Tensor, size: int, valid: Tensor | None = None, chunk: int = 256
) -> Tensor:
    """`nearest_groups` in a batch: (B,P,3), (B,G,3), valid (B,P) bool or None -> (B,G,K) long."""
    outside = ~_inside(points, valid, size, "neighbours")[:, None]  # B 1 P
    groups = []
    for part in centres.split(chunk, dim=1):
        # the matrix-product form loses millimetres far from the origin; this one subtracts first
        distance = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
        distance.masked_fill_(outside, torch.inf)  # B chunk P
        groups.append(distance.topk(size, dim=2, largest=False).indices)  # B chunk K
    return torch.cat(groups, dim=1)  # B G K


def _nearest(tree: Any, centres: np.ndarray, size: int, wide: int) -> np.ndarray:
    """(G,3) -> (G,K) by way of the `wide` nearest: of equally near ones the tree finds any."""
    distance, index = tree.query(centres, range(1, wide + 1))  # (G,wide)
    order = np.lexsort((index, distance))[:, :size]
    chosen = np.take_along_axis(index, order, axis=1)  # (G,K)
    cut = distance[:, size - 1] == distance[:, -1]  # equals of the last one may lie beyond
    if wide < tree.n and cut.any():
        chosen[cut] = _nearest(tree, centres[cut], size, min(2 * wide, tree.n))
    return chosen


def _inside(points: Tensor, valid: Tensor | None, count: int, what: str) -> Tensor:
    """valid, or all points; ValueError where a cloud has too few of them. The host waits for a GPU
    once, and not at all where `valid` lies on the host.
    """
    if points.ndim != 3:
        raise DataError(f"points has shape {tuple(points.shape)}, expected (B, P, 3)")
    if valid is None:
        _check(points[0], count, what)
        return points.new_ones(points.shape[:2], dtype=torch.bool)
    if valid.dtype != torch.bool or valid.shape != points.shape[:2]:
        raise DataError(f"valid is {valid.dtype} {tuple(valid.shape)}, expected bool (B, P)")
    fewest = int(valid.sum(dim=1).min())
    _check(points[0, :fewest], count, what)
    return valid.to(points.device, non_blocking=True)


def _check(points: Tensor, count: int, what: str) -> None:
    if points.ndim != 2 or points.shape[1] != 3:
        raise DataError(f"points has shape {tuple(points.shape)}, expected (P, 3)")
    if count < 1:
        raise SettingError(f"{count} {what} asked for, expected at least 1")
    if len(points) < count:
        raise DataError(
            f"{len(points)} points cannot give {count} {what}; the cloud is nearly empty (look at "
            "the background removal), or PointConfig.groups / group_size is too large for it"
        )
