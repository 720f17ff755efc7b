"""From a depth image and the camera's intrinsics, or a PLY/PCD file, to an organised cloud."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lsfa_lite.data.files import bounded, checked_cloud, named_error, read_tiff
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.point_files import read_points
from lsfa_lite.errors import DataError, FileError


def depth_to_xyz(depth: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Depth along the optical axis -> organised cloud.

    depth (H, W) in units of intrinsics.depth_scale metres; 0, negative, NaN, Inf, and the largest
    number of an integer type (saturated) are "not seen".
    Returns (H, W, 3) float32, metres, camera frame (x right, y down, z away from the camera),
    (0, 0, 0) where nothing was seen.
    """
    if depth.ndim != 2 or depth.dtype.kind not in "uif":
        what = f"depth is {depth.dtype} of shape {depth.shape}"
        raise DataError(f"{what}, expected numbers of one channel: (H, W)")
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
    path: str | Path,
    intrinsics: Intrinsics | None = None,
    shape: tuple[int, int] | None = None,
    unit: float | None = None,
) -> np.ndarray:
    """Any supported 3D file -> (H, W, 3) float32, metres.

    A file of one channel is depth and needs `intrinsics`; a PLY needs `shape`, the (H, W) of its
    picture. `unit`, in metres, is that of the file: clouds are in metres without it, depth in
    intrinsics.depth_scale. Numbers that are no distances become holes (`units.outliers`).
    Raises FileNotFoundError or ValueError, naming the file and the cure.
    """
    return checked_cloud(path, raw_cloud(path, intrinsics, shape, unit))


def raw_cloud(
    path: str | Path,
    intrinsics: Intrinsics | None = None,
    shape: tuple[int, int] | None = None,
    unit: float | None = None,
) -> np.ndarray:
    """The same before it is checked, as the file has it."""
    array = stored(path, intrinsics, shape)
    if array.ndim == 2:
        if intrinsics is None:
            raise FileError(
                f"{path}: is a depth image, which needs the camera: pass Intrinsics(fx, fy, cx, "
                "cy, depth_scale) or --intrinsics FILE, or write intrinsics.json in the folder"
            )
        camera = replace(intrinsics, depth_scale=unit) if unit else intrinsics
        try:
            return depth_to_xyz(array, camera)
        except ValueError as error:
            raise FileError(f"{path}: {error}") from error
    picture = array.dtype == np.uint8  # to be refused, whatever the unit
    return array if unit is None or picture else (array * unit).astype(np.float32)


def stored(
    path: str | Path, intrinsics: Intrinsics | None = None, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """The array in a file: (H, W) of depth, (H, W, 3) of a cloud; points find their pixels."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in (".ply", ".pcd"):
        return read_organised(path, shape, intrinsics)
    if suffix == ".png":
        return read_depth_png(path)
    if suffix == ".npy":
        with named_error(path, "a NumPy array"):
            whole = np.lib.format.open_memmap(path, mode="r")  # is as long as it says
            bounded(path, whole.shape, whole.itemsize)
            return np.load(path, allow_pickle=False)
    return read_tiff(path)


def read_depth_png(path: Path) -> np.ndarray:
    """16-bit PNG -> (H, W) depth units; 8 bit, with its 256 steps, is refused."""
    with named_error(path, "a 16-bit depth PNG"), Image.open(path) as picture:
        mode, depth = picture.mode, np.array(picture)
    if not mode.startswith("I"):
        raise FileError(f"{path}: mode {mode}; a depth PNG has one channel of 16 bit")
    return depth


def read_organised(
    path: Path, shape: tuple[int, int] | None, camera: Intrinsics | None = None
) -> np.ndarray:
    """PLY or PCD -> (H, W, 3) float32; NaN, "not seen" in these formats, becomes (0, 0, 0).

    The points are the pixels in reading order: a PCD says its own size, a PLY is as large as its
    picture, `shape`. Points of another number are put on the picture by the camera (`seen_by`).
    """
    points, organised = read_points(path)  # (P, 3)
    shape = organised or shape
    if not len(points):
        raise FileError(f"{path}: holds no points; it is empty or damaged: export it again")
    if shape is None and camera is not None and camera.height and camera.width:
        shape = camera.height, camera.width
    if shape is not None and len(points) == shape[0] * shape[1]:
        xyz = points.reshape(*shape, 3)  # (H, W, 3)
        return np.where(np.isfinite(xyz).all(axis=-1, keepdims=True), xyz, 0)
    if shape is None or camera is None:
        expected = "a picture beside it" if shape is None else f"{shape[0]} x {shape[1]} points"
        raise FileError(
            f"{path}: {len(points)} points, expected {expected}; the cloud must be organised (one "
            "point per pixel, row by row, NaN where nothing was seen), or come with the camera's "
            "intrinsics: export it so"
        )
    try:
        return seen_by(camera, points, shape)
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error


def seen_by(camera: Intrinsics, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(P, 3) in the camera's frame, any unit -> (H, W, 3): the nearest of the points on a pixel.

    Points that all lie behind the camera (OpenGL's frame; RealSense's viewer writes it) are turned
    about x. ValueError if most of them are not in the picture.
    """
    if (camera.height or shape[0], camera.width or shape[1]) != shape:
        size = f"{camera.width} x {camera.height}"
        raise DataError(
            f"a picture of {shape[1]} x {shape[0]} pixels, but the camera's intrinsics are those "
            f"of {size}; take the ones of this size"
        )
    points = points[np.isfinite(points).all(axis=-1) & points.any(axis=-1)]
    if len(points) and points[:, 2].max() < 0:
        points = points * np.array([1, -1, -1], np.float32)
    ahead = points[points[:, 2] > 0]
    u, v = (ahead[:, :2] / ahead[:, 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]).T
    inside = (u > -0.5) & (u < shape[1] - 0.5) & (v > -0.5) & (v < shape[0] - 0.5)
    if 2 * inside.sum() <= len(points):
        share = inside.sum() / max(len(points), 1)
        raise DataError(
            f"{share:.0%} of the points fall into the picture; they must be in the frame of the "
            "camera that took it, with z away from it"
        )
    order = np.argsort(-ahead[inside, 2], kind="stable")  # the nearest is written last
    u, v = (np.rint(x[inside][order]).astype(int) for x in (u, v))
    xyz = np.zeros((*shape, 3), np.float32)
    xyz[v, u] = ahead[inside][order]
    return xyz
