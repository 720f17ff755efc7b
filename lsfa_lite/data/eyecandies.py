"""Eyecandies: rendered sweets on a conveyor belt, six lights each, with depth as a 16-bit PNG.

    root/Category/{train,val,test_public,test_private}/data/000_depth.png, 000_image_4.png, ...

A split's stems have as many digits as it needs (three in train, two in test_public). The layout
and the camera are those of the project page, https://eyecan-ai.github.io/eyecandies/download;
constants marked M3DM are of its utils/preprocess_eyecandies.py, and not checked on the data here.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm.auto import tqdm

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import blank, border_plane
from lsfa_lite.data.depth import Intrinsics, depth_to_xyz, read_depth_png
from lsfa_lite.data.files import named_error, read_mask, read_rgb, write_sample
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import Entry, Scans, pair

SPLITS = {"train": "train", "validation": "val", "test": "test_public"}  # ours: theirs
KINDS = ("bumps", "dents", "colors", "normals")  # one annotation picture each
LIGHTS = ("all spots", "bottom", "right", "top", "left", "global")  # image_0 .. image_5


@dataclass(frozen=True)
class EyecandiesConfig:
    """How a sample is read. Lengths are metres as the set documents them, before `scale`."""

    light: int = 4  # 0..5, see LIGHTS; 4 as in M3DM (the set's own anomalib export takes 5)
    # M3DM: a tenth brings the cloud to the size of MVTec 3D-AD, for which the radii of this
    # package are made; 1 keeps the documented metres (then scale those radii too)
    scale: float = 0.1
    focal: float = 711.11  # pixels, of the 512 x 512 pictures; one camera for all (project page)
    half_width: float = 1.0  # farther to the side than this is no belt; inf: no cut (M3DM)
    length: float = 1.8  # along the belt, from the lower edge of the picture; inf: no cut (M3DM)

    def __post_init__(self) -> None:
        if self.light not in range(len(LIGHTS)):
            names = ", ".join(f"{i} {name}" for i, name in enumerate(LIGHTS))
            raise ValueError(f"light {self.light!r}: there is no such picture; choose of {names}")
        if not (0 < self.scale <= 1 and 0 < self.focal < math.inf):
            raise ValueError(f"{self}: scale must be in 0..1 (0 left out), focal pixels above 0")
        if not (self.half_width > 0 and self.length > 0):
            raise ValueError(f"{self}: half_width and length are metres above 0, or inf")

    @property
    def background(self) -> BackgroundConfig:
        """What removes the belt: for `remove_background` and `clean_folder`."""
        return BackgroundConfig(
            ransac_distance=0.01 * self.scale,  # rendered, so without noise (ours)
            plane_distance=0.02 * self.scale,  # (M3DM)
            cluster_radius=0.06 * self.scale,  # 6 mm at the default scale, as elsewhere
        )


class Eyecandies:
    """One category: `.train`, `.validation` and `.test` (public) are lazy sequences of Sample.

    The defect is bumps, dents, colors or normals; "combined" for several on one sweet, and "bad"
    where no kind is marked. `.test` opens its masks when first asked for: labels lie nowhere else.
    Raises FileNotFoundError for a missing root, ValueError for a category that is not there or
    has no training scans; what is wrong with a file is said, with its name, when it is read.
    """

    def __init__(self, root: str | Path, category: str, config: EyecandiesConfig | None = None):
        found = categories(root)
        if category not in found:
            text = ", ".join(found) or "none (expected CandyCane/train/data/000_depth.png, ...)"
            raise ValueError(f"{root}: no Eyecandies category {category!r}; there are {text}")
        self.root, self.category = Path(root), category
        self.config = config or EyecandiesConfig()
        self.train, self.validation = self._good("train"), self._good("validation")
        if not len(self.train):
            raise ValueError(
                f"{self._folder('train')}: no scans; expected 000_depth.png, 000_image_4.png, ..."
            )

    @cached_property
    def test(self) -> Scans:
        return self._scans([annotate(entry) for entry in self._good("test").entries])

    @property
    def defects(self) -> list[str]:
        """The defects of the test split, "good" left out."""
        return sorted({name for name in self.test.defects if name != "good"})

    def __repr__(self) -> str:
        counts = ", ".join(f"{split} {len(getattr(self, split))}" for split in SPLITS)
        return f"Eyecandies({self.category}: {counts}; defects {', '.join(self.defects) or 'none'})"

    def _folder(self, split: str) -> Path:
        return self.root / self.category / SPLITS[split] / "data"

    def _good(self, split: str) -> Scans:
        return self._scans(list_split(self._folder(split), self.config.light))

    def _scans(self, entries: list[Entry]) -> Scans:
        return Scans(entries, partial(read_entry, config=self.config))


def categories(root: str | Path) -> list[str]:
    """Names of the folders in `root` that hold train/data, sorted."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; expected the unpacked Eyecandies")
    return sorted(path.parents[1].name for path in root.glob("*/train/data") if path.is_dir())


def list_split(folder: Path, light: int) -> list[Entry]:
    """root/Category/split/data -> entries, all of them good as yet; entry.xyz is the depth."""
    if not folder.is_dir():
        return []
    items = {"depth.png": {}, f"image_{light}.png": {}}  # type: dict[str, dict[str, Path]]
    for path in sorted(folder.iterdir()):
        stem, _, name = path.name.partition("_")
        if name in items and not stem.startswith("."):
            items[name][stem] = path
    depth, rgb = items.values()
    if bool(depth) != bool(rgb):
        missing, there = sorted(items, key=lambda name: bool(items[name]))
        raise ValueError(
            f"{folder}: has *_{there} but no *_{missing}; unpack the category again"
            + (", or choose another light" if depth else "")
        )
    return pair(folder, rgb, depth, {}, label=0, defect="good")


def item(depth: Path, name: str) -> Path:
    """data/000_depth.png, "pose.txt" -> data/000_pose.txt."""
    return depth.with_name(depth.name.removesuffix("depth.png") + name)


def annotate(entry: Entry) -> Entry:
    """Label and defect of a public test scan, from its metadata and its annotation pictures."""
    assert entry.xyz is not None  # list_split has made sure
    marked = [kind for kind, mask in read_masks(entry.xyz).items() if mask.any()]
    label, metadata = int(bool(marked)), item(entry.xyz, "metadata.yaml")
    if metadata.is_file():
        label = int(yaml_number(metadata, "anomalous") != 0)  # the set's own split is by this
    if marked and not label:
        raise ValueError(f"{metadata}: says good, but {marked[0]} are marked; mend one of the two")
    kinds = [kind for kind in marked if kind in KINDS]
    defect = kinds[0] if len(kinds) == 1 else "combined" if kinds else "bad"
    gt = item(entry.xyz, "mask.png")
    return dataclasses.replace(entry, gt=gt, label=label, defect=defect if label else "good")


def read_masks(depth: Path) -> dict[str, np.ndarray]:
    """{kind: (H, W) bool} of the annotation pictures there are; "mask" is said to be their union.

    Raises FileNotFoundError if there is none: the private test split has none.
    """
    paths = {kind: item(depth, f"{kind}_mask.png") for kind in KINDS}
    paths["mask"] = item(depth, "mask.png")
    masks = {kind: read_mask(path) for kind, path in paths.items() if path.is_file()}
    if not masks:
        raise FileNotFoundError(
            f"{paths['mask']}: no such file, nor one of {', '.join(KINDS)}; "
            "unpack the category again (only test_private has no annotation)"
        )
    if len({mask.shape for mask in masks.values()}) > 1:
        raise ValueError(f"{paths['mask']}: the sample's masks differ in size; unpack it again")
    return masks


def read_entry(entry: Entry, config: EyecandiesConfig) -> Sample:
    """Entry -> Sample in the camera frame, scaled, zero off the belt; the mask is the union."""
    assert entry.rgb is not None  # list_split has made sure
    assert entry.xyz is not None
    rgb, xyz = read_rgb(entry.rgb), read_cloud(entry.xyz, config)
    if entry.gt is None:
        mask = np.zeros(rgb.shape[:2], dtype=bool)  # (H, W)
    else:
        mask = np.any(list(read_masks(entry.xyz).values()), axis=0)  # (H, W)
    return Sample(rgb, cut(xyz, config, entry.xyz), mask, entry.label, entry.defect, str(entry.rgb))


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
    nearest = yaml_number(info, "min", within="normalization")
    farthest = yaml_number(info, "max", within="normalization")
    if not 0 <= nearest <= farthest:
        raise ValueError(
            f"{info}: min {nearest}, max {farthest}; expected metres with 0 <= min <= max: "
            "unpack the category again"
        )
    return stored / 65535.0 * (farthest - nearest) + nearest


def yaml_number(path: Path, key: str, within: str | None = None) -> float:
    """The number of one `key` in a YAML file of nested mappings: all that is needed of YAML here.

    With `within`, the key of that block. Raises FileNotFoundError, or ValueError naming the file.
    """
    expected = f"YAML with a number {within + '.' if within else ''}{key}"
    with named_error(path, expected):
        text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
        if within is not None:  # to the end of the {...}, or to the next line without indent
            block = re.search(
                rf"^[\"']?{within}[\"']?\s*:\s*(\{{[^}}]*|(?:\n[ \t]+.*)*)", text, re.M
            )
            text = block[1] if block else ""
        found = re.search(rf"(?:^|[{{,\s])[\"']?{key}[\"']?\s*:\s*([^\s,}}]+)", text)
        if found is None:
            raise ValueError(f"{path}: no {key}; expected {expected}: unpack the category again")
        word = {"true": "1", "false": "0"}.get(found[1].lower(), found[1])
        value = float(word)
        if not math.isfinite(value):
            raise ValueError(f"{path}: {key} is {word}; expected a finite number")
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
        raise ValueError(f"{path or 'xyz'}: all is cut; raise half_width and length, inf: no cut")
    return out


def read_pose(path: str | Path) -> np.ndarray:
    """000_pose.txt -> (4, 4), a rotation and a shift in documented metres."""
    with named_error(path, "a pose: four lines of four numbers"):
        pose = np.loadtxt(path)
    rigid = pose.shape == (4, 4) and np.allclose(pose[3], [0, 0, 0, 1], atol=1e-4)
    if not (rigid and np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-3)):
        raise ValueError(
            f"{path}: is no 4 x 4 matrix of a rotation and a shift; unpack the category again"
        )
    return pose


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
        raise ValueError(f"sense {sense!r}; expected 'camera_to_world' or 'world_to_camera'")
    matrix = pose if sense == "camera_to_world" else np.linalg.inv(pose)
    world = xyz @ matrix[:3, :3].T + matrix[:3, 3] * scale  # (H, W, 3)
    return blank(world.astype(np.float32), np.any(xyz != 0, axis=-1))


def convert(
    src: str | Path,
    out: str | Path,
    category: str,
    progress: bool = False,
    config: EyecandiesConfig | None = None,
) -> Path:
    """Write a category in the layout of MVTec 3D-AD; returns out/category.

    The belt is still there: `clean_folder(out, cleaned, config.background)` removes it. Written
    beside and renamed when whole; 4 MB a scan. Raises FileExistsError if out/category holds files.
    """
    data = Eyecandies(src, category, config)
    target = Path(out) / category
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} is not empty; choose another folder, or delete it first")
    jobs = [(split, i) for split in SPLITS for i in range(len(getattr(data, split)))]
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{category}-", dir=out))
    try:
        for split, i in tqdm(jobs, desc=f"convert {category}", disable=not progress):
            scans: Scans = getattr(data, split)
            sample, entry = scans[i], scans.entries[i]
            stem = entry.stem.partition("_")[0].zfill(3)
            if split != "test":
                sample = dataclasses.replace(sample, mask=None)  # MVTec's have no gt folder
            write_sample(beside / split / sample.defect, stem, sample)
        beside.chmod(0o755)  # mkdtemp's folder is private
        os.replace(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target
