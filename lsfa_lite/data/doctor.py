"""What a data folder holds and what is wrong with it, in words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import background_of, border_plane
from lsfa_lite.data.depth import read_cloud
from lsfa_lite.data.files import read_ids, read_rgb
from lsfa_lite.data.folder import Folder
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.mvtec3d import categories, list_split
from lsfa_lite.data.sample import valid_pixels
from lsfa_lite.data.scans import SPLITS, Entry

SPARSE = 0.1  # share of valid pixels below which a scan is worth a warning

Finding = tuple[str, str]  # "info", "warning" or "error", and a text


@dataclass
class Report:
    """Findings about `path`: (level, text) with level "info", "warning" or "error"."""

    path: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if there is no error; warnings may remain."""
        return all(level != "error" for level, _ in self.findings)

    def __str__(self) -> str:
        counts = Counter(level for level, _ in self.findings)
        verdict = f"{counts['error']} errors, {counts['warning']} warnings"
        lines = [f"{level:>7}  {text}" for level, text in self.findings]
        return "\n".join([self.path, *lines, f"verdict  {verdict}"])


@dataclass
class Group:
    """The scans of one folder, and what was seen in those that were opened."""

    name: str
    entries: list[Entry]
    intrinsics: Intrinsics | None = None
    sizes: Counter[str] = field(default_factory=Counter)
    invalid: list[float] = field(default_factory=list)  # shares of pixels without depth
    ids: set[int] = field(default_factory=set)
    tables: int = 0


def examine(path: str | Path, limit: int | None = 20, *, progress: bool = False) -> Report:
    """Look at a data folder or file; nothing is raised, everything becomes a finding.

    At most `limit` scans of each folder are opened, spread over it (None: all); all are counted.
    """
    report = Report(str(path))
    try:
        for found in _look_around(Path(path)):
            if isinstance(found, Group):
                report.findings += _open(found, limit, progress)
            else:
                report.findings.append(found)
    except Exception as error:  # a doctor does not faint
        report.findings.append(("error", f"cannot be examined further: {error}"))
    return report


def _look_around(path: Path) -> Iterator[Finding | Group]:
    """What kind of folder it is, and the groups of scans in it."""
    if not path.exists():
        yield "error", f"{path} does not exist; check the spelling and the mount"
    elif path.is_dir() and (names := categories(path)):
        yield "info", f"root in the MVTec 3D-AD layout: {', '.join(names)}"
        if how := background_of(path):
            squares = ", padded to squares (metrics count the added pixels)" if how.pad else ""
            yield "info", f"made by lsfa-lite clean: the background is removed{squares}"
        for name in names:
            yield from _category(path / name)
    elif any((path / split).is_dir() for split in SPLITS):
        yield "info", "one category in the MVTec 3D-AD layout; its parent is the root"
        yield from _category(path)
    else:
        file = "a single file, with whatever of the same stem lies beside it"
        yield "info", file if path.is_file() else "a plain folder of scans"
        scans = Folder(path)
        yield Group(path.name, scans.entries, scans.intrinsics)


def _category(folder: Path) -> Iterator[Finding | Group]:
    for split in SPLITS:
        try:
            entries = list_split(folder / split)
        except (OSError, ValueError) as error:
            yield "error", str(error)
            continue
        if not entries:
            level = "error" if split == "train" else "warning"
            yield level, f"{folder.name}/{split}: no scans; expected good/rgb and good/xyz"
        for defect in sorted({entry.defect for entry in entries}):
            name = f"{folder.name}/{split}/{defect}"
            yield Group(name, [entry for entry in entries if entry.defect == defect])


def _open(group: Group, limit: int | None, progress: bool) -> Iterator[Finding]:
    """Open some scans of a group and put what they show into words."""
    entries, name = group.entries, group.name
    count = len(entries) if limit is None else min(limit, len(entries))
    chosen = [entries[i] for i in np.linspace(0, len(entries) - 1, count).astype(int)]
    problems: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for entry in tqdm(chosen, desc=name, unit="scan", disable=not progress):
        for level, kind, detail in _examine_scan(entry, group):
            complaint = re.sub(r"\d+", "#", detail.partition(": ")[2])  # of one sort, of any size
            problems[level, kind, complaint].append(detail)
    kinds = [kind for kind, file in (("rgb", entries[0].rgb), ("3D", entries[0].xyz)) if file]
    words = [f"{len(entries)} scans of {' + '.join(kinds)}, {count} opened"]
    words += [f"{size} pixels" for size, _ in group.sizes.most_common(1)]
    if group.invalid:
        words.append(f"{100 * np.mean(group.invalid):.0f} % of the pixels without depth")
    ids = ", ".join(map(str, sorted(group.ids - {0}))) or "none but 0"
    labelled = any(entry.gt for entry in entries)
    words.append(f"mask ids {ids}" if labelled else "no ground truth")
    yield "info", f"{name}: {', '.join(words)}"
    if len(group.sizes) > 1:
        sizes = ", ".join(f"{size} ({n})" for size, n in group.sizes.most_common())
        yield "warning", f"{name}: pictures of different sizes: {sizes}"
    for (level, kind, _), details in problems.items():
        yield level, f"{name}: {kind} in {len(details)} of {count}; the first: {details[0]}"
    if group.tables:
        text = f"{name}: the table is still there in {group.tables} of {count}"
        yield "warning", f"{text} (a plane fills the border); lsfa-lite clean SRC OUT removes it"


def _examine_scan(entry: Entry, group: Group) -> Iterator[tuple[str, str, str]]:
    """Open one scan, add to its group, and yield its problems as (level, kind, detail)."""
    arrays: dict[str, np.ndarray] = {}
    for role, file in (("rgb", entry.rgb), ("xyz", entry.xyz), ("gt", entry.gt)):
        try:
            if file is not None:
                arrays[role] = _read(role, file, group.intrinsics, arrays.get("rgb"))
        except (OSError, ValueError) as error:
            yield "error", f"unreadable {role}", str(error)
    shapes = {role: array.shape[:2] for role, array in arrays.items()}
    for height, width in list(shapes.values())[:1]:
        group.sizes[f"{width} x {height}"] += 1
    if len(set(shapes.values())) > 1:
        text = ", ".join(f"{role} {w} x {h}" for role, (h, w) in shapes.items())
        yield "error", "sizes that disagree", f"{entry.path} ({text})"
    if "xyz" in arrays:
        seen = valid_pixels(arrays["xyz"]).mean()
        group.invalid.append(1 - seen)
        if border_plane(arrays["xyz"], BackgroundConfig()) is not None:
            group.tables += 1
        elif seen < SPARSE:
            yield "warning", "hardly any depth", f"{entry.xyz} ({100 * seen:.1f} % of the pixels)"
    if "gt" in arrays:
        group.ids |= set(np.unique(arrays["gt"]).tolist())
        marked = arrays["gt"].any()
        if entry.defect == "good" and marked:
            cure = "move it, or empty the mask"
            yield "error", "a defect marked on a good part", f"{entry.gt} ({cure})"
        if entry.label == 1 and not marked:
            cure = "label it, or move it"
            yield "warning", "an empty mask on a defective part", f"{entry.gt} ({cure})"


def _read(role: str, file: Path, camera: Intrinsics | None, rgb: np.ndarray | None) -> np.ndarray:
    if role != "xyz":
        return read_rgb(file) if role == "rgb" else read_ids(file)
    return read_cloud(file, camera, None if rgb is None else (rgb.shape[0], rgb.shape[1]))
