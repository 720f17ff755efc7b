"""Lazy lists of scans: which files belong together, read only when indexed."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from lsfa_lite.data.depth import read_cloud
from lsfa_lite.data.files import read_mask, read_rgb
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.sample import Sample, senses, verdict
from lsfa_lite.errors import DataError, FileError, NoPart

NO_SAMPLE = "a {}, expected samples: read a folder with data.folder.Folder, or make each a Sample"
SPLITS = ("train", "validation", "test")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
CLOUDS = (".tiff", ".tif", ".npy", ".ply", ".pcd")
WORDS = {  # of folders, and in names (part1_depth.png, depth-1.png), in any case
    "rgb": ("rgb", "color", "colour", "image", "images", "img", "texture"),
    "xyz": ("xyz", "depth", "cloud", "clouds", "pointcloud", "points", "ply", "pcd"),
    "gt": ("gt", "mask", "masks", "ground_truth"),
}
NAMED = (  # endings, beginnings, beginnings before a number, and nothing else
    r"(?P<stem>.+)[-_. ](?P<word>[^-_. ]+)",
    r"(?P<word>[^-_. ]+)[-_. ]+(?P<stem>.+)",
    r"(?P<word>[^\W\d_]+)(?P<stem>\d.*)",
    r"(?P<word>.+?)(?P<stem>)",
)
ROLES = {word: role for role, words in WORDS.items() for word in words}


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
        self.entries, self.read = list(entries), read or read_scan

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
            return Scans(self.entries[index], self.read)
        return self.read(self.entries[index])

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


def read_scan(
    entry: Entry,
    intrinsics: Intrinsics | None = None,
    *,
    unit: float | None = None,
    ready: Callable[[Sample], Sample] | None = None,
) -> Sample:
    """Entry -> Sample; a PLY takes its height and width from the picture.

    `unit` is in metres, for 3D files in another one; `ready` is what is to be done with the sample
    (`background.Ready`). A good scan without ground truth has an empty mask; without a label, the
    mask gives it.
    Raises FileNotFoundError or ValueError, naming the file, for what cannot be a scan.
    """
    rgb = read_rgb(entry.rgb) if entry.rgb else None
    shape = None if rgb is None else (rgb.shape[0], rgb.shape[1])
    xyz = read_cloud(entry.xyz, intrinsics, shape, unit) if entry.xyz else None
    mask, label = read_mask(entry.gt) if entry.gt else None, entry.label
    if mask is not None and label is None:
        label = int(mask.any())
    if mask is None and label == 0:
        seen = rgb if rgb is not None else xyz
        mask = None if seen is None else np.zeros(seen.shape[:2], dtype=bool)
    sample = Sample(rgb, xyz, mask, label, entry.defect, str(entry.path))
    return ready(sample) if ready else sample


class Batch:
    """What became of many scans: how many are done, and those passed over, with the reason."""

    REFUSED = (ValueError, FileNotFoundError)  # of one scan; a full disk concerns all of them

    def __init__(self) -> None:
        self.done, self.passed = 0, list[tuple[str, str]]()  # a sort of reason, and the words

    def pass_over(self, error: Exception) -> None:
        self.passed.append((self.sort(error), str(error)))

    @staticmethod
    def sort(error: Exception) -> str:
        if isinstance(error, NoPart):
            return "no part seen"
        return "no such file" if isinstance(error, FileNotFoundError) else "cannot be used"

    def __str__(self) -> str:
        sorts = Counter(sort for sort, _ in self.passed)
        why = ", ".join(f"{count} {sort}" for sort, count in sorts.items())
        return f"{self.done} done, {len(self.passed)} passed over" + (f": {why}" if why else "")


class PassedOver(FileError):
    """Some scans of a batch could not be used; the others are done. `.batch` has the details."""

    def __init__(self, batch: Batch):
        super().__init__("\n".join([str(batch), *(words for _, words in batch.passed)]))
        self.batch = batch


class Good(Sequence[Sample]):
    """The same samples; one that is labelled defective is refused, at once or where it is read."""

    def __init__(self, samples: Sequence[Sample], what: str):
        self.samples, self.what = samples, what
        for entry in samples.entries if isinstance(samples, Scans) else ():
            if entry.label == 1:
                self._refuse(str(entry.path))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        sample = self.samples[index]
        if not isinstance(sample, Sample):
            raise DataError(NO_SAMPLE.format(type(sample).__name__))
        if sample.label == 1:
            self._refuse(sample.path)
        return sample

    def _refuse(self, path: str) -> None:
        cure = "only good parts may be learned from: take it out"
        raise DataError(f"{path}: is labelled defective, and among the {self.what} parts; {cure}")


def collect(folder: Path, *more: Path) -> dict[str, dict[str, Path]]:
    """{"rgb": {stem: file}, "xyz": ..., "gt": ...} of its subfolders by role, and of `more`.

    Hidden files and other kinds of files are passed over. Stems are compared in Unicode's composed
    form: some systems write an umlaut as one character, some as two.
    """
    inside = list(folder.iterdir()) if folder.is_dir() else []
    places = {p: ROLES.get(p.name.lower()) for p in inside if p.is_dir()}
    places = {p: role for p, role in places.items() if role}
    places |= {p: "xyz" if ROLES.get(p.name.lower()) == "xyz" else None for p in more}
    files: dict[str, dict[str, Path]] = {"rgb": {}, "xyz": {}, "gt": {}}
    for path in sorted(p for place in places if place.is_dir() for p in place.iterdir()):
        if path.suffix.lower() not in PICTURES + CLOUDS or path.name.startswith("."):
            continue
        role, stem = role_and_stem(path, places[path.parent])
        if stem in files[role]:
            raise FileError(
                f"{path}: {files[role][stem].name} of the same stem is {role} too; remove one"
            )
        files[role][stem] = path
    return files


def composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def role_and_stem(path: Path, role: str | None = None) -> tuple[str, str]:
    """What a file is (rgb, xyz or gt), by its folder's role, a word in its name, or its type.

    0001_depth, depth-0001, Depth1 and depth/0001_color are all of the stem 0001 or 1; a name that
    is nothing but such a word (color.png, depth.png) is of the stem "".
    """
    name, kind = composed(path.stem), path.suffix.lower()
    named = "rgb" if kind in PICTURES else "xyz"
    for pattern in NAMED:
        found = re.fullmatch(pattern, name)
        if found and (word := found["word"].lower()) in ROLES:
            vague = (*WORDS["xyz"][2:], "image", "images", "img")  # say no more than the type does
            clear = word not in vague and kind not in (".npy", ".ply", ".pcd")
            return role or (ROLES[word] if clear else named), found["stem"]
    return role or named, name


def entries_of(
    files: dict[str, dict[str, Path]], label: int | None = None, defect: str = ""
) -> list[Entry]:
    """Match files by stem; what is not there is None."""
    rgb, xyz, gt = files["rgb"], files["xyz"], files["gt"]
    stems = sorted({*rgb, *xyz})
    return [Entry(rgb.get(s), xyz.get(s), gt.get(s), label, defect) for s in stems]


def gaps(files: dict[str, dict[str, Path]]) -> Iterator[str]:
    """What should be there and is not, in words: a cloud, a picture, or the scan of a mask."""
    rgb, xyz = files["rgb"], files["xyz"]
    for stem in sorted(set(rgb) ^ set(xyz)) if rgb and xyz else []:
        there, missing = ("rgb", "3D") if stem in rgb else ("3D", "rgb")
        yield (
            f"{rgb.get(stem) or xyz[stem]}: has no {missing} file of the same stem {stem!r}; "
            f"add it, or remove this {there} file"
        )
    for stem in sorted(set(files["gt"]) - {*rgb, *xyz}):
        yield f"{files['gt'][stem]}: has no scan; add it, or remove this ground truth"


def pair(
    files: dict[str, dict[str, Path]], label: int | None = None, defect: str = ""
) -> list[Entry]:
    """`entries_of`; ValueError for the first of the gaps. One modality alone is fine."""
    for gap in gaps(files):
        raise FileError(gap)
    return entries_of(files, label, defect)
