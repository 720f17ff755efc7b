"""What the files in people's own folders are: split, good part or defect, colour, depth or mask.

Folders and names say it (`scans.WORDS`), in any order: good/rgb/1.png, color/good/1.png,
good/1/color.png and good/1_color.png are the same. So do words for splits, for good parts, and for
defects in general; any other folder's name is that of a defect.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lsfa_lite.data.files import read_mask
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.scans import CLOUDS, PICTURES, ROLES, Batch, Entry, composed, role_and_stem
from lsfa_lite.errors import FileError, MissingFile

SPLIT = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SPLIT |= dict.fromkeys(("validation", "val", "valid"), "validation")
GOOD = ("good", "ok", "normal")
BAD = ("bad", "defect", "defects", "defective", "anomaly", "anomalies", "anomalous", "ng", "nok")
TEXTS = (".json", ".yaml", ".yml", ".txt", ".md", ".csv", ".log")  # not worth a word

Place = tuple[str, ...]  # names of folders, those that say what a file is (rgb/) left out
Files = dict[Place, dict[str, dict[str, Path]]]  # place -> role -> stem -> file


@dataclass(frozen=True)
class Scan:
    """One scan of theirs, and where it goes: root/category/split/entry.defect/.../name."""

    key: str  # "good/0001", unique in their folder
    name: str
    entry: Entry
    split: str | None  # None: a good one, not drawn yet
    camera: Intrinsics | None = None


def gather(
    tops: dict[Place, Path], batch: Batch, said: list[str]
) -> tuple[Files, dict[Place, Path]]:
    """place -> role -> stem -> file, and place -> the folder of all its files, to be named."""
    files: Files = defaultdict(lambda: defaultdict(dict))
    names, others = dict[Place, Path](), Counter[str]()
    twice = set[tuple[Place, str]]()
    for prefix, top in tops.items():
        leave = {other.resolve() for other in tops.values()} - {top.resolve()}
        for path in walk(top, leave):
            if path.suffix.lower() not in PICTURES + CLOUDS:
                others[path.suffix.lower() or path.name] += 1
                continue
            place, role, stem = what_is(path, top)
            place = prefix + place
            known = names.setdefault(place, path.parent)
            names[place] = Path(os.path.commonpath([known, path.parent]))
            if (first := files[place][role].setdefault(stem, path)) != path:
                text = f"{path}: {first.name} of the same stem is {role} too; remove one"
                batch.pass_over(ValueError(text))
                twice.add((place, stem))
    for place, stem in twice:  # which of the two is meant, nobody knows
        for some in files[place].values():
            some.pop(stem, None)
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(others.items()) if kind not in TEXTS)
    said += [f"left out: {kinds} files"] if kinds else []
    return dict(files), names


def walk(top: Path, leave: set[Path]) -> Iterator[Path]:
    """Files below, in order of names, without hidden ones and without the folders to leave."""

    def closed(error: OSError) -> None:
        raise error

    for folder, inside, files in os.walk(top, onerror=closed):
        hidden = (".", "__MACOSX")
        inside[:] = sorted(n for n in inside if not n.startswith(hidden))
        inside[:] = [n for n in inside if Path(folder, n).resolve() not in leave]
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith(hidden))


def what_is(path: Path, top: Path) -> tuple[Place, str, str]:
    """Its place, its role, its stem. One scan a folder (7/color.png): its name is the stem."""
    place = tuple(composed(name) for name in path.parent.relative_to(top).parts)
    said = [i for i, name in enumerate(place) if name.lower() in ROLES]
    role = ROLES[place[said[-1]].lower()] if said else None
    place = place[: said[-1]] + place[said[-1] + 1 :] if said else place
    role, stem = role_and_stem(path, role)
    return (place, role, stem) if stem else (place[:-1], role, place[-1] if place else top.name)


def meant(place: Place) -> tuple[str | None, str | None]:
    """Split and kind ("good", or a defect's name) that the folders' names say; None: nothing."""
    split = next((SPLIT[name.lower()] for name in place if name.lower() in SPLIT), None)
    names = [name for name in place if name.lower() not in SPLIT]
    names = [name for name in names if name.lower() not in ROLES] or names
    if any(name.lower() in GOOD for name in names):
        return split, "good"
    defects = [name for name in names if name.lower() not in BAD]
    if defects or names:
        return "test", defects[0] if defects else "defect"
    return split, "good" if split in ("train", "validation") else None


def labelled(
    files: Files,
    names: dict[Place, Path],
    batch: Batch,
    said: list[str],
) -> list[Scan]:
    """All scans with what they are; those that cannot be told, or lack a file, are left out."""
    masks = {(meant(p)[1], stem): path for p, f in files.items() for stem, path in f["gt"].items()}
    both = any(set(f["rgb"]) & set(f["xyz"]) for f in files.values())
    if not both:
        check_pairs(files)
    is_good = any(meant(place)[1] == "good" for place in files)
    scans, used = list[Scan](), set[Path | None]()
    for place, roles in files.items():
        split, kind = meant(place)
        told = Counter[str]()
        for stem in sorted({*roles["rgb"], *roles["xyz"]}):
            gt = roles["gt"].get(stem) or masks.get((kind, stem))
            used.add(gt)
            entry = Entry(roles["rgb"].get(stem), roles["xyz"].get(stem), gt)
            try:
                its = label_of(entry, kind, both) or ("" if split or is_good else "good")
            except Batch.REFUSED as error:
                batch.pass_over(error)
                continue
            told[its] += 1
            if its:
                goes = split if its == "good" else "test"
                entry = replace(entry, label=int(its != "good"), defect=its)
                scans.append(Scan("/".join((*place, stem)), stem, entry, goes))
        said += [told_of(names[place], its, n, split, kind) for its, n in told.items()]
    if lone := sorted({path for f in files.values() for path in f["gt"].values()} - used):
        said.append(f"{len(lone)} masks without a scan, left out: {lone[0]} ...")
    return scans


def label_of(entry: Entry, kind: str | None, both: bool) -> str | None:
    """Its folder's, or its mask's. FileNotFoundError where one of `both` files is missing."""
    if both and not (entry.rgb and entry.xyz):
        what = "3D" if entry.xyz is None else "rgb"
        raise MissingFile(f"{entry.path}: has no {what} file of the same stem; others have")
    if kind or entry.gt is None:
        return kind
    return "defect" if read_mask(entry.gt).any() else "good"


def told_of(folder: Path, its: str, count: int, split: str | None, kind: str | None) -> str:
    if not its:
        cure = "give them masks, or folders good/ and one a defect; `lsfa-lite score` takes them"
        return f"{folder}: {count} scans left out: good or not? {cure}"
    goes = f"test/{its}" if its != "good" else f"{split}/good" if split else "good parts"
    why = "" if kind else " (nothing says otherwise; --good DIR names the good ones)"
    why = " (by their masks)" if not kind and its != "good" else why
    return f"{folder}: {count} scans -> {goes}{why}"


def check_pairs(files: Files) -> None:
    """ValueError where there are pictures and clouds, and no two belong together."""
    first = {r: [p for f in files.values() for p in f[r].values()][:1] for r in ("rgb", "xyz")}
    if first["rgb"] and first["xyz"]:
        (rgb,), (xyz,) = first.values()
        raise FileError(f"{rgb} and {xyz}: no picture has a cloud or depth of the same stem; name "
                         "them alike (0001_color.png and 0001_depth.png)")  # fmt: skip
