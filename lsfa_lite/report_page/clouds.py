"""A part's points with their heat: few of them for the page, all of them as PLY."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

MOST = 6000  # points on the page, about
STEPS = 4096  # heat on the page: steps of 1/4096 up to 16

PLY = np.dtype(
    [(name, "<f4") for name in "xyz"]
    + [(name, "u1") for name in ("red", "green", "blue")]
    + [("score", "<f4")]
)


def thinned(on: np.ndarray, heat: np.ndarray, most: int = MOST) -> np.ndarray:
    """on (H, W) bool, heat (H, W) -> (P,) flat pixel numbers, about `most` of them, spread evenly.

    The pixels are divided into square cells, and of each cell the hottest point stays: what is
    small and hot is never thinned away.
    """
    flat = np.flatnonzero(on)  # (P,)
    if len(flat) <= most:
        return flat
    side = np.sqrt(len(flat) / most)
    rows, columns = np.divmod(flat, on.shape[1])
    cell = (rows // side) * (on.shape[1] + 1) + columns // side
    order = np.lexsort((heat.ravel()[flat], cell))
    last = np.flatnonzero(np.diff(cell[order], append=np.inf))
    return np.sort(flat[order[last]])


def as_script(key: str, xyz: np.ndarray, rgb: np.ndarray, heat: np.ndarray) -> str:
    """xyz (P, 3) metres, rgb (P, 3) uint8, heat (P,) -> a script that hands them to the page.

    A page from the disk may not fetch() a file, but may add a script. Positions are 16 bit
    within the smallest cube around the part.
    """
    low, high = xyz.min(axis=0), xyz.max(axis=0)
    side = float(max((high - low).max(), 1e-6))
    cube = np.rint((xyz - (low + high) / 2) / side * 65534 + 32767)  # (P, 3) in 0..65534
    data = {
        "count": len(xyz),
        "millimetres": 1000 * side,
        "xyz": _base64(cube.astype("<u2")),
        "rgb": _base64(rgb.astype("u1")),
        "heat": _base64(np.rint(np.clip(heat, 0, 15.99) * STEPS).astype("<u2")),
    }
    return f"lsfaCloud({json.dumps(key)}, {json.dumps(data)});\n"


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def write_ply(
    path: Path, xyz: np.ndarray, rgb: np.ndarray, score: np.ndarray, threshold: float
) -> None:
    """xyz (P, 3) metres, rgb (P, 3) uint8, score (P,) -> binary little-endian PLY."""
    points = np.empty(len(xyz), PLY)
    for name, column in zip(PLY.names or (), [*xyz.T, *rgb.T, score], strict=True):
        points[name] = column
    kinds = {"<f4": "float", "|u1": "uchar"}
    properties = [f"property {kinds[PLY[name].str]} {name}" for name in PLY.names or ()]
    head = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment metres; good parts score {threshold:.6g} at most",
        f"element vertex {len(points)}",
        *properties,
        "end_header\n",
    ]
    path.write_bytes("\n".join(head).encode("ascii") + points.tobytes())
