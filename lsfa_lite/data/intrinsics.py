"""The camera that took a depth image, from the files that recorders and calibrations write."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml

from lsfa_lite.checked import Checked, Count, Finite, Positive, Rule
from lsfa_lite.data.files import named_error
from lsfa_lite.errors import FileError

logger = logging.getLogger(__name__)

Unit = Annotated[
    float, Rule("metres per unit (0.001 for millimetres, 1 for metres)", lambda x: 0 < x <= 1)
]
MOST = 1 << 20  # bytes that are read of such a file
BRACKETS = 200
NAMES = ("intrinsics", "camera_info", "camera_intrinsic", "intrinsic", "camera")  # in a folder
# our name: what others call it
SAME = {
    "cx": ("cx", "ppx"),
    "cy": ("cy", "ppy"),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "depth_scale": ("depth_scale", "depth_units"),
    "matrix": ("intrinsic_matrix", "K", "k", "camera_matrix"),  # Open3D, ROS 1, ROS 2, OpenCV
    "lens": ("coeffs", "D", "d", "distortion_coefficients", "dist_coeffs", "distortion"),
}
PLAIN = {"fx", "fy", "model", "distortion_model", *(name for all in SAME.values() for name in all)}
FORMS = (
    "expected a JSON object with fx, fy, cx, cy, depth_scale, or RealSense's (ppx, ppy, coeffs), "
    "Open3D's (intrinsic_matrix) or ROS's (K, D)"
)


@dataclass(frozen=True)
class Intrinsics(Checked):
    """A pinhole camera: u = fx x / z + cx, v = fy y / z + cy."""

    fx: Positive  # pixels
    fy: Positive  # pixels
    cx: Finite  # pixels, principal point, from the left
    cy: Finite  # pixels, from the top
    depth_scale: Unit = 0.001  # metres per unit of the depth file
    width: Count | None = None  # pixels of the images it holds for, where the file says it
    height: Count | None = None

    @classmethod
    def from_json(cls, path: str | Path) -> Intrinsics:
        """Read {"fx", "fy", "cx", "cy", "depth_scale"}, or RealSense's, Open3D's or ROS's form.

        JSON or YAML. Lens distortion that is not zero is logged as a warning: nothing undoes it.
        Raises ValueError, naming the file, for what is missing, unknown or out of range.
        """
        path = Path(path)
        with named_error(path, "a camera's intrinsics"), path.open("rb") as file:
            raw = file.read(MOST)
        try:
            found, lens = _parsed(_opened(raw, path.suffix))
            camera = cls(**found)
        except (TypeError, ValueError, OverflowError, RecursionError, yaml.YAMLError) as error:
            raise FileError(f"{path}: {error}; {FORMS}") from error
        if any(lens):
            logger.warning(
                "%s: lens distortion %s is not undone: undistort colour and depth first", path, lens
            )
        return camera

    @classmethod
    def in_folder(cls, folder: Path) -> Intrinsics | None:
        """Of the first file there is of intrinsics.json, camera_info.yaml, ..."""
        files = (folder / (n + end) for n in NAMES for end in (".json", ".yaml", ".yml"))
        return next((cls.from_json(path) for path in files if path.is_file()), None)


class Plain(yaml.SafeLoader):
    """YAML without aliases: ten lines of them can stand for more numbers than there is memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("holds an alias")
        return super().compose_node(parent, index)


def _opened(raw: bytes, suffix: str) -> dict[str, Any]:
    marked = raw[:2] in (b"\xff\xfe", b"\xfe\xff")  # as Windows' shell writes text
    text = raw.decode("utf-16" if marked else "utf-8-sig")
    if text.count("[") + text.count("{") > BRACKETS:  # YAML takes minutes over thousands
        raise FileError(f"more than {BRACKETS} brackets")
    values = json.loads(text) if suffix == ".json" else yaml.load(text, Plain)
    if not isinstance(values, dict):
        raise FileError(f"holds a {type(values).__name__}")
    inner = values.get("intrinsic")  # Open3D's PinholeCameraParameters
    return values | inner if isinstance(inner, dict) else values


def _parsed(values: dict[str, Any]) -> tuple[dict[str, Any], list[float]]:
    """Fields of Intrinsics, and the coefficients of the lens."""
    found: dict[str, Any] = {name: values[name] for name in ("fx", "fy") if name in values}
    for name, others in SAME.items():
        for given in (values[other] for other in others if values.get(other) is not None):
            found[name] = given
    matrix, lens = found.pop("matrix", None), found.pop("lens", None)
    if matrix is not None:
        found |= _of_matrix(_numbers(matrix))
        if found.get("depth_scale", 0) > 1:  # Open3D counts units per metre
            found["depth_scale"] = 1 / found["depth_scale"]
    elif "ppx" not in values and (unknown := sorted(set(values) - PLAIN)):
        raise FileError(f"unknown {', '.join(unknown)}")
    if missing := [name for name in ("fx", "fy", "cx", "cy") if name not in found]:
        raise FileError(f"no {', '.join(missing)}")
    return found, [] if lens is None else _numbers(lens)


def _numbers(values: Any) -> list[float]:
    """A list, nested or not, or a {"data": list} of OpenCV and ROS."""
    values = values.get("data") if isinstance(values, dict) else values
    return [float(x) for x in np.array(values, dtype=float).ravel()]


def _of_matrix(numbers: list[float]) -> dict[str, float]:
    """Nine numbers by rows, or by columns as Open3D has them: the row (0, 0, 1) decides."""
    if len(numbers) != 9:
        raise FileError(f"a camera matrix of {len(numbers)} numbers instead of 9")
    k = np.array(numbers).reshape(3, 3)
    k = k if np.array_equal(k[2], [0, 0, 1]) else k.T
    if not np.array_equal(k[2], [0, 0, 1]) or k[0, 1] or k[1, 0]:
        raise FileError("a camera matrix that is not ((fx, 0, cx), (0, fy, cy), (0, 0, 1))")
    return {"fx": k[0, 0], "fy": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
