"""What a data folder holds and what is wrong with it, in words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import background_of, table_plane
from lsfa_lite.data.depth import raw_cloud, read_cloud
from lsfa_lite.data.files import read_ids, read_rgb, soft_mask
from lsfa_lite.data.folder import Folder
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.mvtec3d import categories, list_all, list_split
from lsfa_lite.data.sample import Sample, valid_pixels
from lsfa_lite.data.scans import SPLITS, Entry
from lsfa_lite.data.units import likely_unit, outliers

HALF = 0.5  # of a picture; a larger mask may be inverted
SPARSE = 0.1  # share of valid pixels below which a scan is worth a warning

ENOUGH = 8  # scans that make a crowd, in which one may stand out ...
FAR, LEAST = 8.0, (0.01, 3.0)  # ... by so many median deviations, of no less than this

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

    def as_dict(self) -> dict[str, Any]:
        """For JSON: path, ok, and the findings as {"level", "text"}."""
        found = [{"level": level, "text": text} for level, text in self.findings]
        return {"path": self.path, "ok": self.ok, "findings": found}

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
    looks: list[tuple[Path, float, float]] = field(default_factory=list)  # share seen, brightness
    plain: bool = False  # not a data set that `clean` takes


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
        yield Group(path.name, scans.entries, scans.intrinsics, plain=True)


def _category(folder: Path) -> Iterator[Finding | Group]:
    for split in SPLITS:
        try:
            entries = list_all(folder / split)
        except (OSError, ValueError) as error:
            yield "error", str(error)
            continue
        try:
            list_split(folder / split)
        except ValueError as error:
            yield "error", str(error)
        if not entries:
            level = "error" if split == "train" else "warning"
            yield level, f"{folder.name}/{split}: no scans; expected good/rgb and good/xyz"
        for defect in sorted({entry.defect for entry in entries}):
            name, its = (
                f"{folder.name}/{split}/{defect}",
                [e for e in entries if e.defect == defect],
            )
            if split != "test" and defect != "good":
                yield "warning", f"{name}: beside good/, so nothing is learned from its scans"
            elif defect != "good" and (bare := sum(e.gt is None for e in its)):
                cure = "only image AUROC counts them"
                yield "warning", f"{name}: no ground truth for {bare} of {len(its)}; {cure}"
            yield Group(name, its)


def _open(group: Group, limit: int | None, progress: bool) -> Iterator[Finding]:
    """Open some scans of a group and put what they show into words."""
    entries, name = group.entries, group.name
    count = len(entries) if limit is None else min(limit, len(entries))
    chosen = [entries[i] for i in np.linspace(0, len(entries) - 1, count).astype(int)]
    problems: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for entry in tqdm(chosen, name, delay=2, unit="scan", leave=False, disable=not progress):
        for level, kind, detail in _examine_scan(entry, group):
            complaint = re.sub(r"\d+", "#", detail.partition(": ")[2])  # of one sort, of any size
            problems[level, kind, complaint].append(detail)
    has = {"rgb": sum(e.rgb is not None for e in entries)}
    has["3D"] = sum(e.xyz is not None for e in entries)
    kinds = [kind for kind, number in has.items() if number]
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
    for kind, number in has.items():
        if group.plain and 0 < number < len(entries):
            text = "those are scored without it, and cannot be fitted on"
            yield "warning", f"{name}: no {kind} for {len(entries) - number} scans; {text}"
    for (level, kind, _), details in problems.items():
        yield level, f"{name}: {kind} in {len(details)} of {count}; the first: {details[0]}"
    yield from _odd_ones(group)
    if group.tables:
        cure = "lsfa-lite clean SRC OUT removes it"
        if group.plain:  # `clean` takes data sets only
            cure = "score removes it if the model's parts had none; import makes a data set"
        text = f"{name}: the table is still there in {group.tables} of {count}"
        yield "warning", f"{text} (a plane fills the border); {cure}"


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
        yield from _examine_cloud(entry, group, arrays)
    if entry.label != 1 and (look := _look(arrays)):
        group.looks.append((entry.path, *look))
    if "gt" in arrays:
        yield from _examine_mask(entry, group, arrays["gt"])


def _look(arrays: dict[str, np.ndarray]) -> tuple[float, float] | None:
    """Share of the pixels that is seen, and how bright these are; 0 without a picture."""
    if "xyz" not in arrays:
        return (1.0, float(arrays["rgb"].mean())) if "rgb" in arrays else None
    seen, rgb = valid_pixels(arrays["xyz"]), arrays.get("rgb")
    bright = rgb[seen].mean() if rgb is not None and rgb.shape[:2] == seen.shape else 0.0
    return float(seen.mean()), float(bright)


def _odd_ones(group: Group) -> Iterator[Finding]:
    """Good parts of which far more or less is seen, or that are far brighter, than the others."""
    if len(group.looks) < ENOUGH:
        return
    paths, values = [look[0] for look in group.looks], np.array([x[1:] for x in group.looks])
    off = np.abs(values - np.median(values, axis=0))  # (S, 2)
    far = off > FAR * np.maximum(np.median(off, axis=0), LEAST)
    for path, where in zip(paths, far, strict=True):
        if where.any():
            what = " and ".join(
                w for w, there in zip(("size", "brightness"), where, strict=True) if there
            )
            yield "warning", f"{group.name}: {path} stands out by its {what}: is it a good part?"


def _examine_cloud(
    entry: Entry, group: Group, arrays: dict[str, np.ndarray]
) -> Iterator[tuple[str, str, str]]:
    assert entry.xyz is not None
    xyz, rgb = arrays["xyz"], arrays.get("rgb")
    raw = raw_cloud(entry.xyz, group.intrinsics, xyz.shape[:2])
    if count := int(outliers(raw).sum()):
        detail = f"{entry.xyz} ({count} pixels, taken as not seen)"
        yield "warning", "numbers that are no distances", detail
    if unit := likely_unit(xyz):
        detail = f"{entry.xyz} (it seems to be in {unit.name}: multiply by {unit.metres:g})"
        yield "warning", "an odd unit", detail
    seen = valid_pixels(xyz).mean()
    group.invalid.append(1 - seen)
    same_size = rgb is not None and rgb.shape == xyz.shape
    if table_plane(Sample(rgb if same_size else None, xyz), BackgroundConfig()) is not None:
        group.tables += 1
    elif seen < SPARSE:
        yield "warning", "hardly any depth", f"{entry.xyz} ({100 * seen:.1f} % of the pixels)"


def _examine_mask(entry: Entry, group: Group, ids: np.ndarray) -> Iterator[tuple[str, str, str]]:
    assert entry.gt is not None
    group.ids |= set(np.unique(ids).tolist())
    marked = ids.any()
    if soft_mask(entry.gt):
        yield "warning", "a lossy or resampled mask", f"{entry.gt} (half of its top counts)"
    if (share := (ids > 0).mean()) > HALF:
        yield "warning", "a mask over half the picture", f"{entry.gt} ({share:.0%}; inverted?)"
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
