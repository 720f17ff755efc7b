"""A folder of one's own scans: pictures, and beside each a cloud or a depth image.

    part1.png + part1.tiff          or      rgb/part1.png + xyz/part1.tiff
    part1.png + part1_depth.png     or      rgb/part1.png + depth/part1.png
    part1.png + part1.ply           or      rgb/part1.png + cloud/part1.ply

Recorders' color/ is rgb/ too (`scans.WORDS` has all the names). Depth (16-bit PNG, TIFF or NPY of
one channel) needs the camera's intrinsics. Ground truth, if there is any, is gt/part1.png or
part1_gt.png. Pictures alone, or clouds alone, are fine too, of a whole folder or of some scans.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from lsfa_lite.data.depth import depth_to_xyz
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.scans import (
    CLOUDS,
    PICTURES,
    ROLES,
    Scans,
    collect,
    entries_of,
    read_scan,
    role_and_stem,
)
from lsfa_lite.errors import FileError, MissingFile

__all__ = ["Folder", "Intrinsics", "depth_to_xyz"]


class Folder(Scans):
    """Lazy sequence of Sample over a folder, or over one file and what belongs to it.

    `intrinsics` is needed for depth files; without it, intrinsics.json in the folder is read.
    `how` is read_scan's `unit` and `ready`.
    Raises FileNotFoundError or ValueError, naming the file, as MVTec3D does.
    """

    def __init__(self, path: str | Path, intrinsics: Intrinsics | None = None, **how: Any):
        path = Path(path)
        if not path.exists():
            raise MissingFile(f"{path}: no such file or folder")
        folder = path if path.is_dir() else path.parent
        role = ROLES.get(folder.name.lower()) if path.is_file() else None
        folder = folder.parent if role else folder
        self.intrinsics = intrinsics or Intrinsics.in_folder(folder)
        files = collect(folder, folder)
        if path.is_file():
            stem = role_and_stem(path, role)[1]
            files = {role: {s: p for s, p in f.items() if s == stem} for role, f in files.items()}
        entries = entries_of(files)
        super().__init__(entries, partial(read_scan, intrinsics=self.intrinsics, **how))
        if not entries:
            raise FileError(
                f"{path}: no scans; expected pictures ({', '.join(PICTURES)}) or clouds "
                f"({', '.join(CLOUDS)}), side by side or in rgb/ and xyz/, depth/ or cloud/"
            )
