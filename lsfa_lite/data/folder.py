"""A folder of one's own scans: pictures, and beside each a cloud or a depth image.

    part1.png + part1.tiff          or      rgb/part1.png + xyz/part1.tiff
    part1.png + part1_depth.png     or      rgb/part1.png + depth/part1.png
    part1.png + part1.ply           or      rgb/part1.png + cloud/part1.ply

Depth (16-bit PNG, TIFF or NPY of one channel) needs the camera's intrinsics. Ground truth, if
there is any, is gt/part1.png or part1_gt.png. Pictures alone, or clouds alone, are fine too.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lsfa_lite.data.depth import Intrinsics, depth_to_xyz, read_cloud
from lsfa_lite.data.files import read_mask, read_rgb
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import PICTURES, Entry, Scans, pair

__all__ = ["Folder", "Intrinsics", "depth_to_xyz"]

CLOUDS = (".tiff", ".tif", ".npy", ".ply", ".pcd")
ROLES = {"rgb": "rgb", "xyz": "xyz", "depth": "xyz", "cloud": "xyz", "gt": "gt", "mask": "gt"}


class Folder(Scans):
    """Lazy sequence of Sample over a folder, or over one file and what belongs to it.

    `intrinsics` is needed for depth files; without it, intrinsics.json in the folder is read.
    Raises FileNotFoundError or ValueError, naming the file, as MVTec3D does.
    """

    def __init__(self, path: str | Path, intrinsics: Intrinsics | None = None):
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        folder = path if path.is_dir() else _folder_of(path)
        if intrinsics is None and (folder / "intrinsics.json").is_file():
            intrinsics = Intrinsics.from_json(folder / "intrinsics.json")
        self.intrinsics = intrinsics
        files = collect(folder)
        if path.is_file():
            stem = role_and_stem(path)[1]
            files = {role: {s: p for s, p in f.items() if s == stem} for role, f in files.items()}
        entries = pair(folder, files["rgb"], files["xyz"], files["gt"])
        super().__init__(entries, partial(read_entry, intrinsics=intrinsics))
        if not entries:
            raise ValueError(
                f"{path}: no scans; expected pictures ({', '.join(PICTURES)}) or clouds "
                f"({', '.join(CLOUDS)}), side by side or in rgb/ and xyz/, depth/ or cloud/"
            )


def collect(folder: Path) -> dict[str, dict[str, Path]]:
    """{"rgb": {stem: file}, "xyz": ..., "gt": ...} of a folder and its subfolders by role."""
    files: dict[str, dict[str, Path]] = {"rgb": {}, "xyz": {}, "gt": {}}
    places = [folder, *(folder / name for name in ROLES)]
    for path in sorted(p for place in places if place.is_dir() for p in place.iterdir()):
        if path.suffix.lower() not in PICTURES + CLOUDS or path.name.startswith("."):
            continue
        role, stem = role_and_stem(path)
        if stem in files[role]:
            raise ValueError(f"{path}: {files[role][stem]} is the same scan's {role}; remove one")
        files[role][stem] = path
    return files


def role_and_stem(path: Path) -> tuple[str, str]:
    """What a file is (rgb, xyz or gt), by its folder, its ending (_depth, ...) or its type."""
    if path.parent.name in ROLES:
        return ROLES[path.parent.name], path.stem
    stem, _, ending = path.stem.rpartition("_")
    if stem and ending in ROLES:
        return ROLES[ending], stem
    return ("rgb" if path.suffix.lower() in PICTURES else "xyz"), path.stem


def read_entry(entry: Entry, intrinsics: Intrinsics | None) -> Sample:
    """Entry -> Sample; a PLY takes its height and width from the picture."""
    rgb = read_rgb(entry.rgb) if entry.rgb else None
    shape = None if rgb is None else (rgb.shape[0], rgb.shape[1])
    xyz = read_cloud(entry.xyz, intrinsics, shape) if entry.xyz else None
    mask = read_mask(entry.gt) if entry.gt else None
    label = None if mask is None else int(mask.any())
    return Sample(rgb, xyz, mask, label, "", str(entry.path))


def _folder_of(path: Path) -> Path:
    return path.parent.parent if path.parent.name in ROLES else path.parent
