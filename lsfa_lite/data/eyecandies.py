"""Eyecandies: rendered sweets on a conveyor belt, six lights each, with depth as a 16-bit PNG.

    root/Category/{train,val,test_public,test_private}/data/000_depth.png, 000_image_4.png, ...

Stems have as many digits as a split needs. The layout is that of the project page,
https://eyecan-ai.github.io/eyecandies/download.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from lsfa_lite.data.eyecandies_camera import EyecandiesConfig, cut, item, read_cloud, yaml_number
from lsfa_lite.data.files import read_mask, read_rgb, write_sample, written_beside
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import Category, Entry, Scans, pair
from lsfa_lite.errors import FileError, FileThere, MissingFile

SPLITS = {"train": "train", "validation": "val", "test": "test_public"}  # ours: theirs
KINDS = ("bumps", "dents", "colors", "normals")  # one annotation picture each


class Eyecandies(Category):
    """One category: `.train`, `.validation` and `.test` (public) are lazy sequences of Sample.

    The defect is bumps, dents, colors or normals; "combined" for several on one sweet, and "bad"
    where no kind is marked. `.test` opens its masks when first asked for: labels lie nowhere else.
    Raises FileNotFoundError for a missing root, ValueError for a category that is not there or
    has no training scans.
    """

    def __init__(self, root: str | Path, category: str, config: EyecandiesConfig | None = None):
        found = categories(root)
        if category not in found:
            text = ", ".join(found) or "none (expected CandyCane/train/data/000_depth.png, ...)"
            raise FileError(f"{root}: no Eyecandies category {category!r}; there are {text}")
        self.root, self.category = Path(root), category
        self.config = config or EyecandiesConfig()
        self.train, self.validation = self._good("train"), self._good("validation")
        if not len(self.train):
            where = self._folder("train")
            raise FileError(f"{where}: no scans; expected 000_depth.png, 000_image_4.png, ...")

    @cached_property
    def test(self) -> Scans:  # type: ignore[override]  # made when asked for
        return self._scans([annotate(entry) for entry in self._good("test").entries])

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
        raise MissingFile(f"{root}: no such folder; expected the unpacked Eyecandies")
    names = (path.parents[1].name for path in root.glob("*/train/data") if path.is_dir())
    return sorted(name for name in names if not name.startswith("."))


def list_split(folder: Path, light: int) -> list[Entry]:
    """root/Category/split/data -> entries, all of them good as yet; entry.xyz is the depth."""
    if not folder.is_dir():
        return []
    items: dict[str, dict[str, Path]] = {"depth.png": {}, f"image_{light}.png": {}}
    for path in sorted(folder.iterdir()):
        stem, _, name = path.name.partition("_")
        if name in items and not stem.startswith("."):
            items[name][stem] = path
    depth, rgb = items.values()
    if bool(depth) != bool(rgb):
        missing, there = sorted(items, key=lambda name: bool(items[name]))
        cure = "unpack the category again" + (", or choose another light" if depth else "")
        raise FileError(f"{folder}: has *_{there} but no *_{missing}; {cure}")
    return pair({"rgb": rgb, "xyz": depth, "gt": {}}, label=0, defect="good")


def annotate(entry: Entry) -> Entry:
    """Label and defect of a public test scan, from its metadata and its annotation pictures."""
    assert entry.xyz is not None  # list_split has made sure
    marked = [kind for kind, mask in read_masks(entry.xyz).items() if mask.any()]
    label, metadata = int(bool(marked)), item(entry.xyz, "metadata.yaml")
    if metadata.is_file():
        label = int(yaml_number(metadata, "anomalous") != 0)  # the set's own split is by this
    if marked and not label:
        raise FileError(f"{metadata}: says good, but {marked[0]} are marked; mend one of the two")
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
        what = f"{paths['mask']}: no such file, nor one of {', '.join(KINDS)}"
        raise MissingFile(f"{what}; unpack it again (only test_private has no annotation)")
    if len({mask.shape for mask in masks.values()}) > 1:
        raise FileError(f"{paths['mask']}: the sample's masks differ in size; unpack it again")
    return masks


def read_entry(entry: Entry, config: EyecandiesConfig) -> Sample:
    """Entry -> Sample in the camera frame, scaled, zero off the belt; the mask is the union."""
    assert entry.rgb is not None  # list_split has made sure
    assert entry.xyz is not None
    rgb, xyz = read_rgb(entry.rgb), read_cloud(entry.xyz, config)
    mask = np.zeros(rgb.shape[:2], dtype=bool)  # (H, W)
    if entry.gt is not None:
        mask = np.any(list(read_masks(entry.xyz).values()), axis=0)  # (H, W)
    return Sample(rgb, cut(xyz, config, entry.xyz), mask, entry.label, entry.defect, str(entry.rgb))


def convert(
    src: str | Path,
    out: str | Path,
    category: str,
    config: EyecandiesConfig | None = None,
    *,
    progress: bool = False,
) -> Path:
    """Write a category in the layout of MVTec 3D-AD; returns out/category.

    The belt is still there: `clean_folder(out, cleaned, config.background)` removes it. Written
    beside and renamed when whole; 4 MB a scan. Raises FileExistsError if out/category holds files.
    """
    data = Eyecandies(src, category, config)
    target = Path(out) / category
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileThere(f"{target} is not empty; choose another folder, or delete it first")
    jobs = [(split, i) for split in SPLITS for i in range(len(getattr(data, split)))]
    with written_beside(target) as beside:
        for split, i in tqdm(jobs, desc=f"convert {category}", disable=not progress):
            scans: Scans = getattr(data, split)
            sample, entry = scans[i], scans.entries[i]
            stem = entry.stem.partition("_")[0].zfill(3)
            if split != "test":
                sample = dataclasses.replace(sample, mask=None)  # MVTec's have no gt folder
            write_sample(beside / split / sample.defect, stem, sample)
    return target
