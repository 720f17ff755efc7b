"""The folder layout of MVTec 3D-AD, in which mini3d is written too.

    root/category/{train,validation}/good/{rgb/000.png, xyz/000.tiff}
    root/category/test/{good,<defect>}/{rgb/000.png, xyz/000.tiff, gt/000.png}

Categories and defects are whatever folders there are: none is known by name but "good".
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from lsfa_lite.data.files import write_sample
from lsfa_lite.data.scans import SPLITS, Category, Entry, Scans, collect, composed, entries_of, pair
from lsfa_lite.errors import FileError, MissingFile

logger = logging.getLogger(__name__)

__all__ = ["MVTec3D", "categories", "write_sample"]


def categories(root: str | Path) -> list[str]:
    """Names of the folders in `root` that hold a train or a test folder, sorted.

    Raises FileNotFoundError if `root` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise MissingFile(f"{root}: no such folder; expected an MVTec 3D-AD layout's root")
    return sorted(
        folder.name
        for folder in root.iterdir()
        if not folder.name.startswith(".") and any((folder / split).is_dir() for split in SPLITS)
    )


class MVTec3D(Category):
    """One category: `.train`, `.validation` and `.test` are lazy sequences of Sample.

    A split that has pictures only, or clouds only, gives samples with xyz=None, or rgb=None. What
    lies beside train/good and validation/good is left out, with a warning: it is not to be learned.
    Raises FileNotFoundError for a missing root, ValueError for a category that is not there or
    has no training scans, and for a picture without its cloud or the other way round.
    """

    def __init__(self, root: str | Path, category: str):
        found = categories(root)
        category = next((name for name in found if composed(name) == composed(category)), category)
        if category not in found:
            raise FileError(not_there(Path(root), category, found))
        self.root, self.category = Path(root), category
        train, validation, test = (list_split(self.root / category / split) for split in SPLITS)
        train, validation = left_out(train, "train"), left_out(validation, "validation")
        self.train, self.validation, self.test = Scans(train), Scans(validation), Scans(test)
        if not train:
            where = self.root / category / "train" / "good"
            raise FileError(f"{where}: no training scans; expected rgb/000.png, xyz/000.tiff")


def left_out(entries: list[Entry], split: str) -> list[Entry]:
    """The good ones. A warning counts the others: nothing may learn from them."""
    odd = Counter(entry.defect for entry in entries if entry.label)
    if odd:
        names = ", ".join(f"{name} ({count})" for name, count in odd.items())
        where = next(entry.path for entry in entries if entry.label).parents[2]
        logger.warning("%s: %s left out: only good parts belong in %s", where, names, split)
    return [entry for entry in entries if not entry.label]


def kinds_of(folder: Path) -> list[Path]:
    """The folders good/, <defect>/, ... of root/category/split, sorted; none if it is not there."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [kind for kind in found if kind.is_dir() and not kind.name.startswith(".")]


def list_all(folder: Path) -> list[Entry]:
    """root/category/split -> entries in the order of defect, then file name; "good" is label 0."""
    named = ((kind, int(kind.name != "good")) for kind in kinds_of(folder))
    return [e for kind, bad in named for e in entries_of(collect(kind), bad, kind.name)]


def list_split(folder: Path) -> list[Entry]:
    """The same; ValueError for a scan that has not the files that the others have."""
    named = ((kind, int(kind.name != "good")) for kind in kinds_of(folder))
    entries = [e for kind, bad in named for e in pair(collect(kind), bad, kind.name)]
    both = {(entry.rgb is not None, entry.xyz is not None) for entry in entries}
    if len(both) > 1:
        odd = next(entry for entry in entries if entry.rgb is None or entry.xyz is None)
        what = f"no {'rgb' if odd.rgb is None else 'xyz'} file, but other scans in {folder} have"
        raise FileError(f"{odd.path}: {what}; add it, or take that modality out of the split")
    return entries


def not_there(root: Path, category: str, found: list[str]) -> str:
    """Why `root`, which has the categories `found`, has not this one."""
    if found:
        return f"{root}: no category {category!r}; there are {', '.join(found)}"
    if (root / "train").is_dir():
        return f"{root}: is itself a category; pass its parent folder as the root"
    return f"{root}: holds no category; expected folders with train/good/rgb and train/good/xyz"
