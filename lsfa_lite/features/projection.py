"""From point groups to points (Eq. 1), and from points to the patches of the picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lsfa_lite.errors import DataError, SettingError
from lsfa_lite.features.sampling import nearest_groups


def interpolate(
    points: Tensor,
    centres: Tensor,
    features: Tensor,
    k: int | None = None,
    power: float = 1.0,
    chunk: int = 2048,
) -> Tensor:
    """Feature of every point from the features of the group centres (section 3.1, Eq. 1).

    Implements: eq-1

        f_p = sum_i alpha_i A_i,   alpha_i = (1 / |c_i - p|) / sum_k (1 / |c_k - p|)

    The paper prints N_m (patches) as the upper end of the lower sum; only N_d (groups) makes sense.

    points (P, 3) and centres (G, 3) in one unit, features (G, D) -> (P, D).
    k: None takes all centres, as Eq. 1 does; a number takes the k nearest (released code: 3).
    power: 1 is Eq. 1; M3DM weighs with 1 / distance**2.
    chunk: points handled at a time, so that no more than chunk * G distances are held.
    Raises ValueError if shapes disagree or k is not in 1..G.
    """
    _check_groups(points, centres, features, k)
    blocks = [_interpolate(block, centres, features, k, power) for block in points.split(chunk)]
    return torch.cat(blocks)


def _interpolate(
    points: Tensor, centres: Tensor, features: Tensor, k: int | None, power: float
) -> Tensor:
    if k is None:
        # the fast matrix-product form of cdist loses the zero of a point that is a centre
        distances = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
        alpha = inverse_distance_weights(distances, power).to(features.dtype)  # (P, G)
        return alpha @ features  # (P, D)
    index = nearest_groups(centres, points, k)  # (P, K)
    distances = torch.linalg.vector_norm(points[:, None] - centres[index], dim=2)  # (P, K)
    alpha = inverse_distance_weights(distances, power).to(features.dtype)  # (P, K)
    # sum over k of alpha features[index], without its (P, K, D)
    return F.embedding_bag(index, features, per_sample_weights=alpha, mode="sum")  # (P, D)


def inverse_distance_weights(distances: Tensor, power: float = 1.0) -> Tensor:
    """The alpha of Eq. 1: distances (P, K) >= 0 -> weights (P, K), each row sums to one.

    At distance 0 the formula has a limit: all weight goes to the coinciding centre (in equal
    parts if there are several). An epsilon in the denominator would only come near it.
    """
    nearest = distances.amin(dim=-1, keepdim=True)  # (P, 1)
    # d_min / d instead of 1 / d: the same after normalising, and it cannot overflow
    ratio = torch.where(distances == 0, 1.0, nearest / distances)  # (P, K)
    weights = ratio**power  # (P, K)
    return weights / weights.sum(dim=-1, keepdim=True)


def patch_index(pixels: Tensor, image_size: int, grid: int) -> Tensor:
    """Flat pixel v * W + u -> flat patch, row by row: (P,) -> (P,).

    H = W = image_size need not be a multiple of grid: row v is in patch row floor(v * grid / H).
    """
    row, column = pixels // image_size, pixels % image_size
    return (row * grid // image_size) * grid + column * grid // image_size


def average_into_patches(
    values: Tensor, pixels: Tensor, image_size: int, grid: int
) -> tuple[Tensor, Tensor]:
    """Mean over the points that fall into each patch ("Feature projection", section 3.1).

    values (P, D): one row per foreground pixel; pixels (P,) long: its flat index v * W + u,
    each pixel at most once. N = grid * grid, in the order of `patch_index`.
    Returns features (N, D) and share (N,), the part of the patch's pixels that is foreground.

    The background is left out of the mean: a patch on the silhouette keeps the length of its
    features. A patch without any point has features 0 *and share 0*: the share is the mark, the
    zeros mean nothing and must not be scored. (Released code and M3DM average the background in
    as zeros.) Deterministic on the CPU; on a GPU the order of the sum may change the last bit.
    Raises ValueError if shapes disagree, grid > image_size, or a pixel lies outside.
    """
    _check_pixels(values, pixels, image_size, grid)
    patch = patch_index(pixels, image_size, grid)  # (P,)
    total = values.new_zeros(grid * grid, values.shape[1]).index_add_(0, patch, values)  # (N, D)
    ones = torch.ones_like(patch, dtype=torch.float32)  # (P,)
    count = ones.new_zeros(grid * grid).index_add_(0, patch, ones)  # (N,)
    features = total / count.clamp(min=1).to(values.dtype)[:, None]  # (N, D)
    return features, count / patch_area(image_size, grid, values.device)


def patch_area(image_size: int, grid: int, device: torch.device | str = "cpu") -> Tensor:
    """Pixels in each patch: (N,) float32. They differ where H is not a multiple of grid."""
    edge = torch.arange(grid + 1, device=device)  # patch i begins at pixel ceil(i * H / grid)
    begin = (edge * image_size + grid - 1) // grid  # (grid + 1,)
    sides = begin.diff().to(torch.float32)  # (grid,)
    return torch.outer(sides, sides).flatten()  # (N,)


def _check_groups(points: Tensor, centres: Tensor, features: Tensor, k: int | None) -> None:
    if points.ndim != 2 or centres.ndim != 2 or points.shape[1] != 3 or centres.shape[1] != 3:
        raise DataError(
            f"points {tuple(points.shape)} and centres {tuple(centres.shape)}: "
            "expected (P, 3) and (G, 3)"
        )
    groups = centres.shape[0]
    if features.ndim != 2 or features.shape[0] != groups or groups == 0:
        raise DataError(
            f"features {tuple(features.shape)}: expected (G, D), one row for each of the "
            f"{groups} centres, and at least one centre"
        )
    if k is not None and not 1 <= k <= groups:
        raise SettingError(
            f"k = {k}: expected 1 to {groups} (the centres), or None for all of them"
        )


def _check_pixels(values: Tensor, pixels: Tensor, image_size: int, grid: int) -> None:
    if not 1 <= grid <= image_size:
        raise SettingError(f"grid = {grid}: expected 1 to image_size = {image_size}")
    if values.ndim != 2 or pixels.shape != values.shape[:1]:
        raise DataError(
            f"values {tuple(values.shape)} and pixels {tuple(pixels.shape)}: "
            "expected (P, D) and (P,), one pixel for each point"
        )
    if pixels.dtype != torch.long:
        raise DataError(f"pixels are {pixels.dtype}: expected torch.long, the index v * W + u")
    # on a GPU this look at the values would make the host wait for it; there index_add_ asserts
    inside = pixels.device.type != "cpu" or bool(((pixels >= 0) & (pixels < image_size**2)).all())
    if not inside:
        raise DataError(
            f"pixels leave 0..{image_size**2 - 1}: expected the flat index v * W + u with "
            f"W = image_size = {image_size}"
        )
