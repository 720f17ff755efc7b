"""The folder layout of MVTec 3D-AD, in which mini3d is written too.

    root/category/{train,validation}/good/{rgb/000.png, xyz/000.tiff}
    root/category/test/{good,<defect>}/{rgb/000.png, xyz/000.tiff, gt/000.png}

Categories and defects are whatever folders there are: none is known by name but "good".
"""

from __future__ import annotations

from pathlib import Path

from lsfa_lite.data.files import write_sample
from lsfa_lite.data.scans import SPLITS, Category, Entry, Scans, collect, pair

__all__ = ["MVTec3D", "categories", "write_sample"]


def categories(root: str | Path) -> list[str]:
    """Names of the folders in `root` that hold a train or a test folder, sorted.

    Raises FileNotFoundError if `root` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; expected an MVTec 3D-AD layout's root")
    return sorted(
        folder.name
        for folder in root.iterdir()
        if not folder.name.startswith(".") and any((folder / split).is_dir() for split in SPLITS)
    )


class MVTec3D(Category):
    """One category: `.train`, `.validation` and `.test` are lazy sequences of Sample.

    A split that has pictures only, or clouds only, gives samples with xyz=None, or rgb=None.
    Raises FileNotFoundError for a missing root, ValueError for a category that is not there or
    has no training scans, and for a picture without its cloud or the other way round.
    """

    def __init__(self, root: str | Path, category: str):
        found = categories(root)
        if category not in found:
            raise ValueError(not_there(Path(root), category, found))
        self.root, self.category = Path(root), category
        self.train, self.validation, self.test = (
            Scans(list_split(self.root / category / split)) for split in SPLITS
        )
        if not len(self.train):
            where = self.root / category / "train" / "good"
            raise ValueError(f"{where}: no training scans; expected rgb/000.png, xyz/000.tiff")


def list_split(folder: Path) -> list[Entry]:
    """root/category/split -> entries in the order of defect, then file name; "good" is label 0."""
    if not folder.is_dir():
        return []
    entries: list[Entry] = []
    for kind in sorted(folder.iterdir()):
        if kind.is_dir() and not kind.name.startswith("."):
            entries += pair(kind, collect(kind), int(kind.name != "good"), kind.name)
    both = {(entry.rgb is not None, entry.xyz is not None) for entry in entries}
    if len(both) > 1:
        odd = next(entry for entry in entries if entry.rgb is None or entry.xyz is None)
        what = f"no {'rgb' if odd.rgb is None else 'xyz'} file, but other scans in {folder} have"
        raise ValueError(f"{odd.path}: {what}; add it, or take that modality out of the split")
    return entries


def not_there(root: Path, category: str, found: list[str]) -> str:
    """Why `root`, which has the categories `found`, has not this one."""
    if found:
        return f"{root}: no category {category!r}; there are {', '.join(found)}"
    if (root / "train").is_dir():
        return f"{root}: is itself a category; pass its parent folder as the root"
    return f"{root}: holds no category; expected folders with train/good/rgb and train/good/xyz"
