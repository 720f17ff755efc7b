"""Lazy lists of scans: which files belong together, read only when indexed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from lsfa_lite.data.depth import read_cloud
from lsfa_lite.data.files import read_mask, read_rgb
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.sample import Sample, senses, verdict

SPLITS = ("train", "validation", "test")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
CLOUDS = (".tiff", ".tif", ".npy", ".ply", ".pcd")
ROLES = {"rgb": "rgb", "xyz": "xyz", "depth": "xyz", "cloud": "xyz", "gt": "gt", "mask": "gt"}


@dataclass(frozen=True, repr=False)
class Entry:
    """The files of one scan; a modality that is not there is None."""

    rgb: Path | None
    xyz: Path | None
    gt: Path | None = None
    label: int | None = None
    defect: str = ""

    def __repr__(self) -> str:
        what = senses(self.rgb, self.xyz) + (" + gt" if self.gt else "")
        return f"Entry({what}, {verdict(self.label, self.defect)}, {self.rgb or self.xyz})"

    @property
    def path(self) -> Path:
        path = self.rgb or self.xyz
        assert path is not None  # pair() has made sure
        return path

    @property
    def stem(self) -> str:
        return self.path.stem


class Scans(Sequence[Sample]):
    """Sequence of samples: `scans[3]` reads one scan, `scans[2:9]` is a shorter Scans."""

    def __init__(self, entries: Sequence[Entry], read: Callable[[Entry], Sample] | None = None):
        self.entries, self._read = list(entries), read or read_scan

    def __repr__(self) -> str:
        """How many, of which kinds, and below which folder; no file is read."""
        kinds = [f"{n} {kind}" for kind, n in Counter(self.defects).items() if kind]
        folders = [f"{entry.path.parent}/" for entry in self.entries]
        where = os.path.dirname(os.path.commonprefix(folders))  # noqa: RUF071, commonpath raises
        return f"{type(self).__name__}({', '.join([f'{len(self)} scans', *kinds, where or '-'])})"

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Scans: ...
    def __getitem__(self, index: int | slice) -> Sample | Scans:
        if isinstance(index, slice):
            return Scans(self.entries[index], self._read)
        return self._read(self.entries[index])

    @property
    def labels(self) -> list[int | None]:
        """0 good, 1 defective, None unknown; without reading a file."""
        return [entry.label for entry in self.entries]

    @property
    def defects(self) -> list[str]:
        """The folder names; without reading a file."""
        return [entry.defect for entry in self.entries]


class Category:
    """What a data set knows of one kind of part: `.train`, `.validation` and `.test`."""

    category: str
    train: Scans
    validation: Scans
    test: Scans

    @property
    def defects(self) -> list[str]:
        """The defects of the test split, "good" left out."""
        return sorted({name for name in self.test.defects if name != "good"})

    def __repr__(self) -> str:
        counts = ", ".join(f"{split} {len(getattr(self, split))}" for split in SPLITS)
        what = f"{self.category}: {counts}; defects {', '.join(self.defects) or 'none'}"
        return f"{type(self).__name__}({what})"


def read_scan(entry: Entry, intrinsics: Intrinsics | None = None) -> Sample:
    """Entry -> Sample; a PLY takes its height and width from the picture.

    A good scan without ground truth has an empty mask; without a label, the mask gives it.
    Raises FileNotFoundError or ValueError, naming the file, for what cannot be a scan.
    """
    rgb = read_rgb(entry.rgb) if entry.rgb else None
    shape = None if rgb is None else (rgb.shape[0], rgb.shape[1])
    xyz = read_cloud(entry.xyz, intrinsics, shape) if entry.xyz else None
    mask, label = read_mask(entry.gt) if entry.gt else None, entry.label
    if mask is not None and label is None:
        label = int(mask.any())
    if mask is None and label == 0:
        seen = rgb if rgb is not None else xyz
        mask = None if seen is None else np.zeros(seen.shape[:2], dtype=bool)
    return Sample(rgb, xyz, mask, label, entry.defect, str(entry.path))


def collect(folder: Path, *more: Path) -> dict[str, dict[str, Path]]:
    """{"rgb": {stem: file}, "xyz": ..., "gt": ...} of its subfolders by role, and of `more`.

    Hidden files and other kinds of files are passed over.
    """
    files: dict[str, dict[str, Path]] = {"rgb": {}, "xyz": {}, "gt": {}}
    places = [*more, *(folder / name for name in ROLES)]
    for path in sorted(p for place in places if place.is_dir() for p in place.iterdir()):
        if path.suffix.lower() not in PICTURES + CLOUDS or path.name.startswith("."):
            continue
        role, stem = role_and_stem(path)
        if stem in files[role]:
            raise ValueError(
                f"{path}: {files[role][stem].name} of the same stem is {role} too; remove one"
            )
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


def pair(
    where: Path, files: dict[str, dict[str, Path]], label: int | None = None, defect: str = ""
) -> list[Entry]:
    """Match files by stem. A folder with one modality only is fine; one with holes is not."""
    rgb, xyz, gt = files["rgb"], files["xyz"], files["gt"]
    if rgb and xyz and set(rgb) != set(xyz):
        stem = min(set(rgb) ^ set(xyz))
        there, missing = ("rgb", "3D") if stem in rgb else ("3D", "rgb")
        raise ValueError(
            f"{rgb.get(stem) or xyz[stem]}: has no {missing} file of the same stem {stem!r}; "
            f"add it, or remove this {there} file"
        )
    stems = sorted(rgb or xyz)
    lacking = [stem for stem in stems if gt and stem not in gt]
    spare = sorted(set(gt) - set(stems))
    if lacking or spare:
        text = f"no ground truth for {lacking[0]!r}" if lacking else f"{gt[spare[0]]} has no scan"
        raise ValueError(f"{where}: {text}; ground truth must be there for all scans or for none")
    return [Entry(rgb.get(s), xyz.get(s), gt.get(s), label, defect) for s in stems]
