"""From a depth image and the camera's intrinsics, or a PLY/PCD file, to an organised cloud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lsfa_lite.data.files import checked_cloud, named_error, read_tiff
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.quiet_open3d import open3d
from lsfa_lite.errors import DataError, FileError


def depth_to_xyz(depth: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Depth along the optical axis -> organised cloud.

    depth (H, W) in units of intrinsics.depth_scale metres; 0, negative, NaN, Inf, and the largest
    number of an integer type (saturated) are "not seen".
    Returns (H, W, 3) float32, metres, camera frame (x right, y down, z away from the camera),
    (0, 0, 0) where nothing was seen.
    """
    if depth.ndim != 2:
        raise DataError(f"depth has shape {depth.shape}, expected one channel: (H, W)")
    if (intrinsics.height or depth.shape[0], intrinsics.width or depth.shape[1]) != depth.shape:
        size = f"{intrinsics.width} x {intrinsics.height}"
        raise DataError(
            f"{depth.shape[1]} x {depth.shape[0]} pixels of depth, but the camera's intrinsics are "
            f"those of {size}; take the ones of this size"
        )
    seen = np.isfinite(depth) & (depth > 0)
    if np.issubdtype(depth.dtype, np.integer):
        seen &= depth < np.iinfo(depth.dtype).max
    z = np.where(seen, depth, 0) * intrinsics.depth_scale  # (H, W) metres
    v, u = np.indices(depth.shape)
    x = (u - intrinsics.cx) / intrinsics.fx * z
    y = (v - intrinsics.cy) / intrinsics.fy * z
    return np.stack([x, y, z], axis=-1).astype(np.float32)  # (H, W, 3)


def read_cloud(
    path: str | Path, intrinsics: Intrinsics | None = None, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """Any supported 3D file -> (H, W, 3) float32, metres.

    A file of one channel is depth and needs `intrinsics`; a PLY needs `shape`, the (H, W) of its
    picture. Numbers that are no distances become holes (`units.outliers`).
    Raises FileNotFoundError or ValueError, naming the file and the cure.
    """
    return checked_cloud(path, raw_cloud(path, intrinsics, shape))


def raw_cloud(
    path: str | Path, intrinsics: Intrinsics | None = None, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """The same before it is checked, as the file has it."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in (".ply", ".pcd"):
        array = read_organised(path, shape)
    elif suffix == ".png":
        array = read_depth_png(path)
    elif suffix == ".npy":
        with named_error(path, "a NumPy array"):
            array = np.load(path, allow_pickle=False)
    else:
        array = read_tiff(path)
    if array.ndim == 2:
        if intrinsics is None:
            raise FileError(
                f"{path}: is a depth image, which needs the camera: pass Intrinsics(fx, fy, cx, "
                "cy, depth_scale), or write them to intrinsics.json in the folder"
            )
        try:
            array = depth_to_xyz(array, intrinsics)
        except ValueError as error:
            raise FileError(f"{path}: {error}") from error
    return array


def read_depth_png(path: Path) -> np.ndarray:
    """16-bit PNG -> (H, W) depth units; 8 bit, with its 256 steps, is refused."""
    with named_error(path, "a 16-bit depth PNG"), Image.open(path) as picture:
        mode, depth = picture.mode, np.array(picture)
    if not mode.startswith("I"):
        raise FileError(f"{path}: mode {mode}; a depth PNG has one channel of 16 bit")
    return depth


def read_organised(path: Path, shape: tuple[int, int] | None) -> np.ndarray:
    """PLY or PCD -> (H, W, 3) float32; NaN, "not seen" in these formats, becomes (0, 0, 0).

    The points must be the pixels in reading order. A PCD says its own size; a PLY is as large as
    its picture, `shape`.
    """
    o3d = open3d()
    with named_error(path, "a point cloud (PLY or PCD)"):
        with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
            cloud = o3d.io.read_point_cloud(path)
        points = np.asarray(cloud.points, dtype=np.float32)  # (P, 3)
    if path.suffix.lower() == ".pcd":
        shape = _pcd_shape(path) or shape
    if not len(points):
        raise FileError(f"{path}: holds no points; it is empty or damaged: export it again")
    if shape is None or len(points) != shape[0] * shape[1]:
        expected = "a picture beside it" if shape is None else f"{shape[0]} x {shape[1]} points"
        raise FileError(
            f"{path}: {len(points)} points, expected {expected}; the cloud must be organised "
            "(one point per pixel, row by row, NaN where nothing was seen): export it so"
        )
    xyz = points.reshape(*shape, 3)  # (H, W, 3)
    return np.where(np.isfinite(xyz).all(axis=-1, keepdims=True), xyz, 0)


def _pcd_shape(path: Path) -> tuple[int, int] | None:
    """HEIGHT and WIDTH of a PCD header; None for an unorganised cloud (HEIGHT 1)."""
    head = path.read_bytes()[:2000].decode("ascii", errors="replace").splitlines()
    values = {line.split()[0]: line.split()[1] for line in head if len(line.split()) == 2}
    height, width = int(values.get("HEIGHT", 1)), int(values.get("WIDTH", 0))
    return (height, width) if height > 1 else None
