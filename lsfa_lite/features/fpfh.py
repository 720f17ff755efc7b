"""Fast point feature histograms: the hand-made description that PatchCore + FPFH uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from lsfa_lite.errors import DataError, SettingError
from lsfa_lite.features.sampling import nearest_points

Points = TypeVar("Points", np.ndarray, Tensor)
ANGLES, BINS = 3, 11  # three angles between two normals, each in a histogram of 11 bins


@torch.no_grad()
def fpfh(points: Points, radius: float, neighbours: int | None = None) -> Points:
    """Points (P, 3) in metres, camera frame -> (P, 33) float32 (Rusu et al., ICRA 2009).

    A tensor is described on its device. radius: metres, of the normals and of the histograms alike.
    neighbours: None uses all points within the radius; a number only that many nearest ones, the
    point itself among them (3D-ADS caps at 100), which is faster on dense clouds but makes the
    radius shrink there.

    Each of the three histograms sums to one, so that Euclidean distances between rows compare
    shapes and not numbers of neighbours (open3d returns sums of 200). A point without any
    neighbour has no shape and is a row of zeros. Normals look towards the camera at the origin:
    with the opposite sign a bump would be a dent. Otherwise the numbers are open3d's.

    Raises ValueError for fewer than 4 points, a wrong shape, NaN or Inf, fewer than 2 neighbours, a
    radius that is not positive, or one in which no point has a neighbour.
    """
    if isinstance(points, np.ndarray):
        return histograms([torch.from_numpy(points)], radius, neighbours)[0].numpy()
    return histograms([points], radius, neighbours)[0]


@torch.no_grad()
def histograms(
    clouds: Sequence[Tensor],
    radius: float,
    neighbours: int | None = None,
    names: Sequence[str] = (),
) -> list[Tensor]:
    """`fpfh` of several clouds, for which the host waits once; errors begin with their names."""
    found = []
    for index, points in enumerate(clouds):
        try:
            found.append(_fpfh(points, radius, neighbours))
        except ValueError as error:
            raise DataError(_of(names, index, str(error))) from error
    checks = torch.stack([check for _, check in found]).cpu()  # here the host waits
    for index, (finite, described) in enumerate(checks.tolist()):
        if not finite:
            words = "points have NaN or Inf; keep only the pixels that the sensor saw"
            raise DataError(_of(names, index, words))
        if not described:
            words = (
                f"radius = {radius} m: no point has a neighbour that near; "
                "is the cloud in metres, and the radius larger than the spacing of its points?"
            )
            raise DataError(_of(names, index, words))
    return [values for values, _ in found]


def _of(names: Sequence[str], index: int, words: str) -> str:
    return f"{names[index]}: {words}" if names else words


def _fpfh(points: Tensor, radius: float, neighbours: int | None) -> tuple[Tensor, Tensor]:
    """(P, 3) -> (P, 33), and whether all points were finite and any could be described (2,)."""
    if points.ndim != 2 or points.shape[1] != 3:
        raise DataError(f"points have shape {tuple(points.shape)}, expected (P, 3) in metres")
    if len(points) < 4:
        cure = "is the part still there after background removal?"
        raise DataError(f"{len(points)} points: FPFH needs at least 4; {cure}")
    if not radius > 0:
        raise SettingError(f"radius = {radius}: expected metres, larger than 0")
    if neighbours is not None and neighbours < 2:
        raise SettingError(
            f"neighbours = {neighbours}: expected 2 or more, one is the point itself"
        )
    seen = points.isfinite()
    points = torch.where(seen, points.double(), 0.0)
    distance, index = _around(points, radius, neighbours)  # P K
    normals = _normals(points, index)  # P 3
    distance, index = distance[:, 1:], index[:, 1:]  # the nearest is the point itself
    own = pair_histograms(points, normals, distance, index)  # P 3 11

    weight = torch.where(distance > 0, distance**-2, 0.0)  # P K; the absent are infinitely far
    table = F.pad(rearrange(own, "p a b -> p (a b)"), (0, 0, 0, 1))  # row P: the absent
    around = F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)
    summed = _shares(rearrange(around, "p (a b) -> p a b", a=ANGLES)) + own  # P 3 11
    good = torch.stack([seen.all(), summed.any()])
    return rearrange(_shares(summed), "p a b -> p (a b)").float(), good


def _shares(histograms: Tensor) -> Tensor:
    sums = histograms.sum(dim=-1, keepdim=True)
    return torch.where(sums > 0, histograms / sums, 0.0)


def _chunk(points: Tensor, neighbours: int) -> int:
    """Points at a time: on a CPU their pairs stay in its cache; elsewhere a launch costs more."""
    pairs = 1 << 17 if points.device.type == "cpu" else 1 << 20
    return max(1, pairs // max(1, neighbours))


def _around(points: Tensor, radius: float, neighbours: int | None) -> tuple[Tensor, Tensor]:
    """Distances and indices (P, K) of the points nearer than the radius, each itself first.

    Where there are fewer than K the distance is infinite and the index P.
    """
    if points.device.type == "cpu":
        from scipy.spatial import cKDTree  # a fifth of a second, where clouds are described

        tree, threads = cKDTree(points.numpy()), {"workers": torch.get_num_threads()}
        if neighbours is None:
            count = tree.query_ball_point(tree.data, radius, return_length=True, **threads)
            neighbours = max(2, count.max())
        nearest = range(1, min(neighbours, len(points)) + 1)
        found = tree.query(tree.data, nearest, distance_upper_bound=radius, **threads)
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])
    chunk = _chunk(points, len(points))
    parts = points.split(chunk)
    if neighbours is None:
        exact = "donot_use_mm_for_euclid_dist"
        near = [(torch.cdist(part, points, compute_mode=exact) < radius).sum(1) for part in parts]
        neighbours = max(2, int(torch.cat(near).max()))
    size = min(neighbours, len(points))
    index = nearest_points(points[None], points[None], size, chunk=chunk)[0]  # P K
    pairs = zip(parts, index.split(chunk), strict=True)
    distance = torch.cat([(points[i] - part[:, None]).norm(dim=2) for part, i in pairs])
    absent = distance >= radius
    return distance.masked_fill(absent, torch.inf), index.masked_fill(absent, len(points))


def _normals(points: Tensor, index: Tensor) -> Tensor:
    """(P, 3), (P, K) -> unit vectors (P, 3), across the least spread, towards the origin."""
    table = F.pad(points - points.mean(dim=0), (0, 1), value=1.0)  # P 4: x y z 1
    table = F.pad(table, (0, 0, 0, 1))  # row P: the absent
    chunk = _chunk(points, index.shape[1])
    near = (F.embedding(part, table) for part in index.split(chunk))  # (chunk, K, 4) each
    moments = torch.cat([n.mT @ n for n in near])  # P 4 4
    count = moments[:, 3, 3]
    mean = moments[:, :3, 3] / count[:, None]  # P 3
    spread = moments[:, :3, :3] / count[:, None, None] - mean[:, :, None] * mean[:, None]
    forwards = F.pad(torch.zeros_like(mean[:, :2]), (0, 1), value=1.0)  # of less than a plane
    normals = torch.where(count[:, None] < 3, forwards, _least(spread))
    return torch.where((normals * points).sum(dim=1, keepdim=True) > 0, -normals, normals)


def _least(spread: Tensor) -> Tensor:
    """Symmetric (P, 3, 3) -> unit eigenvectors (P, 3) of the smallest eigenvalues.

    In closed form: a GPU would wait for linalg.eigh.
    """
    unit = torch.eye(3, dtype=spread.dtype, device=spread.device)
    mean = spread.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
    rest = spread - mean * unit
    size = (rest.square().sum(dim=(1, 2)) / 6).sqrt()[:, None, None]
    rest = torch.where(size > 0, rest / size, 0.0)  # eigenvalues 2 cos, of three angles 120° apart
    x, y, z = rest.unbind(dim=1)
    angle = ((torch.linalg.cross(x, y) * z).sum(dim=1) / 2).clamp(-1, 1).acos() / 3
    x, y, z = (rest - 2 * torch.cos(angle + 2 * math.pi / 3)[:, None, None] * unit).unbind(dim=1)
    across = torch.stack([torch.linalg.cross(*two) for two in ((x, y), (y, z), (z, x))], dim=1)
    longest = across.norm(dim=2).argmax(dim=1)
    return F.normalize(across.take_along_dim(longest[:, None, None], dim=1)[:, 0], dim=1)


def pair_histograms(points: Tensor, normals: Tensor, distance: Tensor, index: Tensor) -> Tensor:
    """The angles of each point's pairs, as shares: (P, 3), (P, 3), (P, K), (P, K) -> (P, 3, 11).

    With n, m the normals of a point p and of its neighbour, d the unit vector between them,
    v = d x n / |d x n| and w = n x v, the angles are atan2(w.m, n.m), v.m and n.d; n is that of
    the two normals which is nearer to the line. They follow from n.d, m.d, n.m and (d x n).m, and
    these from products of what each point has alone: its place, its normal, n x p and n.p.
    """
    p = points - points.mean(dim=0)  # P 3
    level, moment = (normals * p).sum(dim=1, keepdim=True), torch.linalg.cross(normals, p)
    zero, one = torch.zeros_like(p), torch.ones_like(level)
    theirs = F.pad(torch.cat([p, normals, moment, level, one], dim=1), (0, 0, 0, 1))  # P+1 11
    ours = [
        torch.cat([normals, zero, zero, 0 * one, -level], dim=1),  # n.d times the distance
        torch.cat([zero, p, zero, -one, 0 * one], dim=1),  # -m.d, the same
        torch.cat([zero, moment, normals, 0 * one, 0 * one], dim=1),  # (d x n).m, the same
        torch.cat([zero, normals, zero, 0 * one, 0 * one], dim=1),  # n.m
    ]
    chunk = _chunk(points, index.shape[1])
    parts = zip(*(x.split(chunk) for x in (torch.stack(ours, dim=1), distance, index)), strict=True)
    return _shares(
        torch.cat([count_angles(mine @ F.embedding(i, theirs).mT, d) for mine, d, i in parts])
    )


def count_angles(products: Tensor, distance: Tensor) -> Tensor:
    """(P, 4, K), (P, K) -> how many of the angles lie in which bin: (P, 3, 11)."""
    scaled = products[:, :3] / distance[:, None]
    near, far, across = scaled.unbind(dim=1)  # n.d, -m.d, (d x n).m
    cosine = products[:, 3]  # n.m
    swap = near.abs() + 1e-9 < far.abs()  # rounding must not decide for equal normals
    third, other = torch.where(swap, far, near), torch.where(swap, near, far)
    sine = (1 - third.square()).sqrt()  # |d x n|
    first = torch.atan2(-torch.addcmul(other, third, cosine), cosine * sine)
    angles = torch.stack([first / math.pi, across / sine, third])  # 3 P K
    angles.masked_fill_(~(sine > 1e-6), 0.0)  # along the normal there is no angle
    bins = (angles + 1).mul_(BINS / 2).clamp_(0, BINS - 1).long()  # 3 P K
    start = torch.arange(0, products.shape[0] * ANGLES * BINS, BINS, device=bins.device)
    bins += rearrange(start, "(p a) -> a p 1", a=ANGLES)
    there = distance.isfinite().to(products.dtype).expand_as(bins)
    counts = products.new_zeros(start.numel() * BINS)
    counts.scatter_add_(0, bins.flatten(), there.flatten())
    return rearrange(counts, "(p a b) -> p a b", a=ANGLES, b=BINS)
