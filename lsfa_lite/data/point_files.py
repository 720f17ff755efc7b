"""PLY and PCD files as rows of points. A header is believed as far as its file is long.

Open3D takes memory for as many points as a header says, and gives zeros for those that a file that
was cut short lacks: here they are counted first, and it reads what is compressed only.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lsfa_lite.data.files import MOST, named_error
from lsfa_lite.data.quiet_open3d import open3d
from lsfa_lite.errors import FileError

HEADER = 1 << 16  # bytes
WINDOWS = re.compile(rb"nan\(\w*\)|1\.#\w+")  # NaN as its libraries print it
PLY = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
PLY |= {"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"}
PLY |= {"int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"}
ORDER = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}  # of PLY, and PCD:
ORDER |= {"binary": "<", "binary_compressed": "<"}


def read_points(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    """(P, 3) float32 as the file has them, and the (H, W) that an organised PCD says, else None.

    Raises MissingFile, or FileError for what is damaged, cut short or has no x, y, z.
    """
    with named_error(path, "a point cloud (PLY or PCD)"), path.open("rb") as file:
        head = _header(file)
        form, count, kinds, size = (_of_ply if ["ply"] in head else _of_pcd)(head)
        types = np.dtype([(name, ORDER[form] + kind, n) for name, kind, n in kinds])
        least = {"ascii": 2 * len(kinds), "binary_compressed": 0}.get(form, types.itemsize)
        if count > MOST or count * least > path.stat().st_size:
            raise FileError(
                f"{path}: its header says {count} points, more than the file has bytes for; "
                "damaged or cut short: copy or export it again"
            )
        if form == "ascii":
            first = np.cumsum([0, *(n for _, _, n in kinds)])
            at = [int(first[types.names.index(axis)]) for axis in "xyz"]  # type: ignore[union-attr]
            text = io.BytesIO(WINDOWS.sub(b"nan", file.read()))
            points = np.loadtxt(text, max_rows=count, usecols=at, ndmin=2) if count else np.empty(0)
        elif form == "binary_compressed":
            points = _by_open3d(path)
        else:
            rows = np.fromfile(file, types, count)
            points = np.stack([rows[axis].reshape(len(rows)) for axis in "xyz"], axis=-1)
        if len(points) < count:
            raise FileError(
                f"{path}: {len(points)} points, but its header says {count}; "
                "damaged or cut short: copy or export it again"
            )
    return points.astype(np.float32).reshape(-1, 3), size


Header = tuple[str, int, list[tuple[str, str, int]], tuple[int, int] | None]


def _header(file: BinaryIO) -> list[list[str]]:
    """The words of each line, down to the one after which the points begin."""
    lines: list[list[str]] = []
    while file.tell() < HEADER and (line := file.readline(HEADER)):
        lines.append(line.decode("ascii", errors="replace").split())
        if lines[-1][:1] in (["end_header"], ["DATA"]):
            return lines
    raise ValueError("no header of such a file")


def _of_ply(lines: list[list[str]]) -> Header:
    """Its form, how many points, (name, type, 1) of each property; the vertices must come first."""
    begins = [i for i, line in enumerate(lines) if line[:1] == ["element"]]
    (name, count), end = lines[begins[0]][1:], [*begins[1:], len(lines)][0]
    if name != "vertex":
        raise ValueError(f"{name} before vertex")
    kinds = [(x[2], PLY[x[1]], 1) for x in lines[begins[0] : end] if x[:1] == ["property"]]
    return dict(x[:2] for x in lines if len(x) > 1)["format"], int(count), kinds, None


def _of_pcd(lines: list[list[str]]) -> Header:
    about: dict[str, Any] = {line[0]: line[1:] for line in lines if line}
    counts = map(int, about.get("COUNT", ["1"] * len(about["FIELDS"])))
    each = zip(about["FIELDS"], about["TYPE"], about["SIZE"], counts, strict=True)
    kinds = [
        (name if name in "xyz" else f"{name} {i}", f"{kind.lower()}{int(size)}", n)
        for i, (name, kind, size, n) in enumerate(each)
    ]
    width, height = int(about["WIDTH"][0]), int(about["HEIGHT"][0])
    count = int(about.get("POINTS", [width * height])[0])
    return about["DATA"][0], count, kinds, (height, width) if height > 1 else None


def _by_open3d(path: Path) -> np.ndarray:
    o3d = open3d()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        return np.asarray(o3d.io.read_point_cloud(path).points)  # (P, 3)
