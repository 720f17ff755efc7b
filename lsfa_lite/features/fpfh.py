"""Fast point feature histograms: the hand-made description that PatchCore + FPFH uses."""

from __future__ import annotations

from typing import Any

import numpy as np
from einops import rearrange

from lsfa_lite.data.quiet_open3d import open3d

ANGLES, BINS = 3, 11  # three angles between two normals, each in a histogram of 11 bins


def fpfh(points: np.ndarray, radius: float, neighbours: int | None = None) -> np.ndarray:
    """Points (P, 3) in metres, camera frame -> (P, 33) float32 (Rusu et al., ICRA 2009).

    radius: metres, of the normals and of the histograms alike.
    neighbours: None uses all points within the radius; a number only that many nearest ones
    (3D-ADS caps at 100), which is faster on dense clouds but makes the radius shrink there.

    Each of the three histograms sums to one, so that Euclidean distances between rows compare
    shapes and not numbers of neighbours (open3d returns sums of 200). A point without any
    neighbour has no shape and is a row of zeros. Normals look towards the camera at the origin:
    with the opposite sign a bump would be a dent. No random number is used.

    Raises ValueError for fewer than 4 points, a wrong shape, NaN or Inf, a radius that is not
    positive, or one in which no point has a neighbour.
    """
    _check(points, radius)
    o3d = open3d()

    search = (
        o3d.geometry.KDTreeSearchParamRadius(radius)
        if neighbours is None
        else o3d.geometry.KDTreeSearchParamHybrid(radius, neighbours)
    )
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))
    cloud.estimate_normals(search)
    cloud.orient_normals_towards_camera_location(np.zeros(3))
    registration: Any = o3d.pipelines.registration  # its type stub asks for an optional argument
    raw = registration.compute_fpfh_feature(cloud, search).data  # (33, P)
    histograms = rearrange(raw, "(a b) p -> p a b", a=ANGLES, b=BINS)  # (P, 3, 11)
    sums = histograms.sum(axis=-1, keepdims=True)  # (P, 3, 1)
    if not sums.any():
        raise ValueError(
            f"radius = {radius} m: no point has a neighbour that near; "
            "is the cloud in metres, and the radius larger than the spacing of its points?"
        )
    shares = np.divide(histograms, sums, out=np.zeros_like(histograms), where=sums > 0)
    return rearrange(shares, "p a b -> p (a b)").astype(np.float32)  # (P, 33)


def _check(points: np.ndarray, radius: float) -> None:
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points have shape {points.shape}, expected (P, 3) in metres")
    if len(points) < 4:
        cure = "is the part still there after background removal?"
        raise ValueError(f"{len(points)} points: FPFH needs at least 4; {cure}")
    if not np.isfinite(points).all():
        raise ValueError("points have NaN or Inf; keep only the pixels that the sensor saw")
    if not radius > 0:
        raise ValueError(f"radius = {radius}: expected metres, larger than 0")
