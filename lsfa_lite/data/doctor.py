"""What a data folder holds and what is wrong with it, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import border_plane
from lsfa_lite.data.depth import Intrinsics, read_cloud
from lsfa_lite.data.files import read_ids, read_rgb, read_tiff
from lsfa_lite.data.folder import Folder
from lsfa_lite.data.mvtec3d import SPLITS, categories, list_split
from lsfa_lite.data.sample import FARTHEST, valid_pixels
from lsfa_lite.data.scans import Entry

SPARSE = 0.9  # share of invalid pixels from which a raw scan is worth a warning


@dataclass
class Report:
    """Findings about `path`: (level, text) with level "info", "warning" or "error"."""

    path: str
    findings: list[tuple[str, str]] = field(default_factory=list)

    def add(self, level: str, text: str) -> None:
        self.findings.append((level, text))

    @property
    def ok(self) -> bool:
        """True if there is no error; warnings may remain."""
        return all(level != "error" for level, _ in self.findings)

    def __str__(self) -> str:
        counts = Counter(level for level, _ in self.findings)
        verdict = f"{counts['error']} errors, {counts['warning']} warnings"
        lines = [f"{level:>7}  {text}" for level, text in self.findings]
        return "\n".join([f"{self.path}", *lines, f"verdict  {verdict}"])


@dataclass
class Facts:
    """What was seen in the opened scans of one group."""

    sizes: Counter[str] = field(default_factory=Counter)
    invalid: list[float] = field(default_factory=list)
    ids: set[int] = field(default_factory=set)
    tables: int = 0
    problems: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))


def examine(path: str | Path, limit: int | None = 20, *, progress: bool = False) -> Report:
    """Look at a data folder or file; nothing is raised, everything becomes a finding.

    At most `limit` scans of each folder are opened, spread over it (None: all); all are counted.
    """
    path = Path(path)
    report = Report(str(path))
    try:
        _examine(path, report, limit, progress)
    except Exception as error:  # a doctor does not faint
        report.add("error", f"cannot be examined further: {error}")
    return report


def _examine(path: Path, report: Report, limit: int | None, progress: bool) -> None:
    if not path.exists():
        report.add("error", f"{path} does not exist; check the spelling and the mount")
    elif path.is_file():
        report.add("info", "a single file, with whatever of the same stem lies beside it")
        _plain(path, report, limit, progress)
    elif names := categories(path):
        report.add("info", f"root in the MVTec 3D-AD layout: {', '.join(names)}")
        if (path / "clean.json").is_file():
            report.add("info", "made by lsfa-lite clean: the background is removed")
        for name in names:
            _category(path / name, report, limit, progress)
    elif any((path / split).is_dir() for split in SPLITS):
        report.add("info", "one category in the MVTec 3D-AD layout; its parent is the root")
        _category(path, report, limit, progress)
    else:
        report.add("info", "a plain folder of scans")
        _plain(path, report, limit, progress)


def _category(folder: Path, report: Report, limit: int | None, progress: bool) -> None:
    for split in SPLITS:
        try:
            entries = list_split(folder / split)
        except (OSError, ValueError) as error:
            report.add("error", str(error))
            continue
        if not entries:
            level = "error" if split == "train" else "warning"
            report.add(level, f"{folder.name}/{split}: no scans; expected good/rgb and good/xyz")
        for defect in sorted({entry.defect for entry in entries}):
            name = f"{folder.name}/{split}/{defect}"
            _group(name, [e for e in entries if e.defect == defect], report, limit, progress)


def _plain(path: Path, report: Report, limit: int | None, progress: bool) -> None:
    scans = Folder(path)
    _group(path.name, scans.entries, report, limit, progress, scans.intrinsics)


def _group(
    name: str,
    entries: list[Entry],
    report: Report,
    limit: int | None,
    progress: bool,
    intrinsics: Intrinsics | None = None,
) -> None:
    """Open some scans of one folder and put what they show into words."""
    count = len(entries) if limit is None else min(limit, len(entries))
    chosen = [entries[i] for i in np.linspace(0, len(entries) - 1, count).astype(int)]
    facts = Facts()
    for entry in tqdm(chosen, desc=name, unit="scan", disable=not progress):
        for level, kind, detail in look(entry, facts, intrinsics):
            facts.problems[level, kind].append(detail)
    report.add("info", f"{name}: {_summary(entries, count, facts)}")
    if len(facts.sizes) > 1:
        sizes = ", ".join(f"{size} ({n})" for size, n in facts.sizes.most_common())
        report.add("warning", f"{name}: pictures of different sizes: {sizes}")
    for (level, kind), details in facts.problems.items():
        report.add(level, f"{name}: {kind} in {len(details)} of {count}; the first: {details[0]}")
    if facts.tables:
        report.add(
            "warning",
            f"{name}: the table is still there in {facts.tables} of {count} (a plane fills the "
            "border); lsfa-lite clean SRC OUT removes it",
        )


def _summary(entries: list[Entry], count: int, facts: Facts) -> str:
    first = entries[0]
    kinds = [kind for kind, file in (("rgb", first.rgb), ("3D", first.xyz)) if file]
    words = [f"{len(entries)} scans of {' + '.join(kinds)}, {count} opened"]
    if facts.sizes:
        words.append(facts.sizes.most_common(1)[0][0] + " pixels")
    if facts.invalid:
        words.append(f"{100 * np.mean(facts.invalid):.0f} % of the pixels without depth")
    if any(entry.gt for entry in entries):
        ids = sorted(facts.ids - {0})
        words.append(f"mask ids {', '.join(map(str, ids)) or 'none but 0'}")
    else:
        words.append("no ground truth")
    return ", ".join(words)


def look(
    entry: Entry, facts: Facts, intrinsics: Intrinsics | None = None
) -> Iterator[tuple[str, str, str]]:
    """Open one scan, add to `facts`, and yield its problems as (level, kind, detail)."""
    arrays: dict[str, np.ndarray] = {}
    for key in ("rgb", "xyz", "gt"):
        file = getattr(entry, key)
        try:
            if file is not None:
                arrays[key] = _raw(key, file, intrinsics, arrays.get("rgb"))
        except (OSError, ValueError) as error:
            yield "error", "unreadable file", str(error)
    shapes = {key: array.shape[:2] for key, array in arrays.items()}
    for height, width in list(shapes.values())[:1]:
        facts.sizes[f"{width} x {height}"] += 1
    if len(set(shapes.values())) > 1:
        text = ", ".join(f"{key} {w} x {h}" for key, (h, w) in shapes.items())
        yield "error", "sizes that disagree", f"{entry.path} ({text})"
    if "xyz" in arrays:
        yield from _look_xyz(entry, arrays["xyz"], facts)
    if "gt" in arrays:
        yield from _look_gt(entry, arrays["gt"], facts)


def _look_xyz(entry: Entry, xyz: np.ndarray, facts: Facts) -> Iterator[tuple[str, str, str]]:
    if xyz.ndim != 3 or xyz.shape[-1] != 3 or not np.issubdtype(xyz.dtype, np.floating):
        what = f"{entry.xyz} (shape {xyz.shape}, {xyz.dtype}; expected (H, W, 3) float32 metres)"
        yield "error", "a TIFF that is no organised cloud", what
        return
    bad = ~np.isfinite(xyz).all(axis=-1)  # (H, W)
    if bad.any():
        what = f"{entry.xyz} ({bad.sum()} pixels; write (0, 0, 0) where nothing was seen)"
        yield "error", "NaN or Inf", what
    xyz = np.where(bad[..., None], 0, xyz)
    valid = valid_pixels(xyz)
    facts.invalid.append(1 - valid.mean())
    if not valid.any():
        yield "error", "an empty cloud", f"{entry.xyz} (zero everywhere; scan that part again)"
        return
    far = np.abs(xyz).max()
    if far > FARTHEST:
        what = f"{entry.xyz} (reaches {far:.0f}; metres are expected, divide by 1000)"
        yield "error", "millimetres, it seems,", what
    elif border_plane(xyz, BackgroundConfig()) is not None:
        facts.tables += 1
    elif valid.mean() < 1 - SPARSE:
        yield (
            "warning",
            "hardly any depth",
            f"{entry.xyz} ({100 * valid.mean():.1f} % of the pixels)",
        )


def _look_gt(entry: Entry, ids: np.ndarray, facts: Facts) -> Iterator[tuple[str, str, str]]:
    facts.ids |= set(np.unique(ids).tolist())
    if entry.defect == "good" and ids.any():
        yield "error", "a defect marked on a good part", f"{entry.gt} (move it, or empty the mask)"
    if entry.label == 1 and not ids.any():
        yield "warning", "an empty mask on a defective part", f"{entry.gt} (label it, or move it)"


def _raw(key: str, path: Path, intrinsics: Intrinsics | None, rgb: np.ndarray | None) -> np.ndarray:
    """A file as stored: unlike the loaders, the doctor counts NaN instead of refusing them."""
    if key == "rgb":
        return read_rgb(path)
    if key == "gt":
        return read_ids(path)
    if path.suffix.lower() in (".tiff", ".tif"):
        array = read_tiff(path)
        if array.ndim == 3:
            return array
    return read_cloud(path, intrinsics, None if rgb is None else (rgb.shape[0], rgb.shape[1]))
