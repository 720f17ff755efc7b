"""Eyecandies' camera: what a sample is read with, and a depth PNG as an organised cloud.

The camera is that of the project page, https://eyecan-ai.github.io/eyecandies/download; constants
marked M3DM are of its utils/preprocess_eyecandies.py, and not checked on the data here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml

from lsfa_lite.checked import Checked, Positive, Rule, SomeShare
from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import blank, border_plane
from lsfa_lite.data.depth import Intrinsics, depth_to_xyz, read_depth_png
from lsfa_lite.data.files import named_error
from lsfa_lite.data.sample import Sample
from lsfa_lite.errors import FileError, SettingError

LIGHTS = ("all spots", "bottom", "right", "top", "left", "global")  # image_0 .. image_5

_named = ", ".join(f"{number} {name}" for number, name in enumerate(LIGHTS))
Light = Annotated[int, Rule(f"one of {_named}", lambda x: 0 <= x < len(LIGHTS))]
Reach = Annotated[float, Rule("metres above 0, or inf", lambda x: x > 0)]


@dataclass(frozen=True)
class EyecandiesConfig(Checked):
    """How a sample is read. Lengths are metres as the set documents them, before `scale`."""

    light: Light = 4  # 0..5, see LIGHTS; 4 as in M3DM (the set's own anomalib export takes 5)
    # M3DM: a tenth brings the cloud to the size of MVTec 3D-AD, for which the radii of this
    # package are made; 1 keeps the documented metres (then scale those radii too)
    scale: SomeShare = 0.1
    focal: Positive = 711.11  # pixels, of the 512 x 512 pictures; one camera for all (project page)
    half_width: Reach = 1.0  # farther to the side than this is no belt; inf: no cut (M3DM)
    length: Reach = 1.8  # along the belt, from the lower edge of the picture; inf: no cut (M3DM)

    @property
    def background(self) -> BackgroundConfig:
        """What removes the belt: for `remove_background` and `clean_folder`."""
        return BackgroundConfig(
            ransac_distance=0.01 * self.scale,  # rendered, so without noise (ours)
            plane_distance=0.02 * self.scale,  # (M3DM)
            cluster_radius=0.06 * self.scale,  # 6 mm at the default scale, as elsewhere
        )


def item(depth: Path, name: str) -> Path:
    """data/000_depth.png, "pose.txt" -> data/000_pose.txt."""
    return depth.with_name(depth.name.removesuffix("depth.png") + name)


def read_cloud(path: str | Path, config: EyecandiesConfig | None = None) -> np.ndarray:
    """000_depth.png, and 000_info_depth.yaml beside it -> organised cloud, nothing cut.

    Returns (H, W, 3) float32, documented metres times config.scale, camera frame (x right, y
    down, z away from the camera), (0, 0, 0) where the depth is not above 0. The pose is not
    needed for this frame. Source: project page ("Depth Map To Pointcloud Conversion").
    """
    config = config or EyecandiesConfig()
    depth = read_depth(path)  # (H, W)
    height, width = depth.shape
    camera = Intrinsics(config.focal, config.focal, width / 2, height / 2, config.scale)
    xyz = depth_to_xyz(depth, camera)  # (H, W, 3)
    Sample(rgb=None, xyz=xyz, path=str(path))  # finite, metres, not empty
    return xyz


def read_depth(path: str | Path) -> np.ndarray:
    """000_depth.png -> (H, W) float64, metres along the optical axis, as the set documents them.

    depth = d / 65535 (max - min) + min with the bounds in 000_info_depth.yaml, so that d = 0 is
    the nearest pixel and not a hole. Source: project page ("Depth Map De-Normalization").
    """
    path = Path(path)
    stored = read_depth_png(path)  # (H, W)
    info = item(path, "info_depth.yaml")
    nearest, farthest = (yaml_number(info, f"normalization.{end}") for end in ("min", "max"))
    if not 0 <= nearest <= farthest:
        raise FileError(
            f"{info}: min {nearest}, max {farthest}; expected metres with 0 <= min <= max: "
            "unpack the category again"
        )
    return stored / 65535.0 * (farthest - nearest) + nearest


def yaml_number(path: Path, key: str) -> float:
    """The number at `key` ("normalization.min" is the min in that block) of a YAML file.

    Raises FileNotFoundError, or ValueError naming the file.
    """
    with named_error(path, f"YAML with a number {key}"):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name in key.split("."):
            if not isinstance(found, dict) or name not in found:
                raise FileError(f"{path}: no {key} in it; unpack the category again")
            found = found[name]
        if not math.isfinite(value := float(found)):
            raise FileError(f"{path}: {key} is {found}; expected a finite number")
    return value


def cut(xyz: np.ndarray, config: EyecandiesConfig, path: Path | None = None) -> np.ndarray:
    """(H, W, 3) scaled metres -> copy that is zero beside and behind the belt; the belt stays.

    Measured in the belt's plane, from where the middle of the picture's lower edge shows it
    (M3DM). Unchanged if the border shows no plane. Raises ValueError if nothing is left.
    """
    if math.isinf(config.half_width) and math.isinf(config.length):
        return xyz.copy()
    plane = border_plane(xyz, config.background)  # (4,), its normal towards the camera
    if plane is None:
        return xyz.copy()
    normal = plane[:3]
    ray = np.array([0, (len(xyz) / 2 - 1) / config.focal, 1])  # v = H - 1, cy = H / 2
    start = -plane[3] / (normal @ ray) * ray
    away = np.cross(normal, [1.0, 0, 0])
    along = (xyz - start) @ (away / np.linalg.norm(away))  # (H, W)
    kept = np.abs(xyz[..., 0]) <= config.half_width * config.scale
    out = blank(xyz, kept & (along <= config.length * config.scale))
    if not out.any():
        raise SettingError(f"{path or 'xyz'}: all is cut; raise half_width and length, inf: no cut")
    return out


def to_world(
    xyz: np.ndarray,
    pose: np.ndarray,
    sense: Literal["camera_to_world", "world_to_camera"] = "camera_to_world",
    scale: float = EyecandiesConfig.scale,
) -> np.ndarray:
    """(H, W, 3) of read_cloud, (4, 4) -> (H, W, 3) in the world's frame; (0, 0, 0) stays.

    The sources disagree on what the pose says: the set's own `depth2pc` stage takes it as camera
    to world, the project page's snippet, and M3DM with it, as world to camera. Nothing else here
    depends on it. `scale` is that of `xyz`.
    """
    if sense not in ("camera_to_world", "world_to_camera"):
        raise SettingError(f"sense {sense!r}; expected 'camera_to_world' or 'world_to_camera'")
    matrix = pose if sense == "camera_to_world" else np.linalg.inv(pose)
    world = xyz @ matrix[:3, :3].T + matrix[:3, 3] * scale  # (H, W, 3)
    return blank(world.astype(np.float32), np.any(xyz != 0, axis=-1))
