"""Many scans, one verdict each: read, judged, and passed over where they cannot be.

detector = LSFADetector.load("model")
for one in judge(detector, read_each(scans_of(detector, ["incoming"]))):
    print(one.verdict, one.path)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Literal, get_args

from lsfa_lite.data.arrivals import arrivals
from lsfa_lite.data.background import Ready
from lsfa_lite.data.folder import Folder
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import Scans, read_scan
from lsfa_lite.detector import LSFADetector, Scored
from lsfa_lite.errors import NoPart

# of one scan; whatever else is raised, say by Ctrl-C or by a bug, concerns all of them
UNREADABLE = (ValueError, OSError, RuntimeError, MemoryError)
UNUSABLE = (ValueError, RuntimeError, MemoryError)
Verdict = Literal["no part seen", "anomalous", "good", "failed"]  # the worst first
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Found = tuple[Path, Sample | Exception]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What came of one scan.

    sample  None where it could not be read
    scored  None where it could not be scored; in a scan without a part, `LSFADetector.no_part`
    reason  why there is no score, or no part
    """

    path: str
    sample: Sample | None = None
    scored: Scored | None = None
    reason: Exception | None = None

    @property
    def verdict(self) -> Verdict:
        """That of `Scored`; "failed" for a scan that could not be read, or not be scored."""
        return "failed" if self.scored is None else self.scored.verdict

    @property
    def where(self) -> str:
        """The path in characters that any file and any screen can hold."""
        return printable(self.path)


def printable(text: object) -> str:
    """A path may hold bytes that are no text; they are shown as \\udc80 and the like."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def judge(detector: LSFADetector, found: Iterable[Found]) -> Iterator[Judgement]:
    """Paths with their samples, or with the errors of reading them -> a verdict each."""
    for path, sample in found:
        yield judge_one(detector, str(path), sample)


def judge_one(detector: LSFADetector, path: str, found: Sample | Exception) -> Judgement:
    """Nothing is raised for a scan that cannot be used."""
    sample, reason = (None, found) if isinstance(found, Exception) else (found, None)
    if sample is not None:
        try:
            return Judgement(path, sample, detector.score(sample))
        except UNUSABLE as error:
            reason = error
    missing = detector.no_part(path) if isinstance(reason, NoPart) else None
    return Judgement(path, sample, missing, reason)


# --- where scans come from --------------------------------------------------------------------


def reader(
    detector: LSFADetector,
    camera: Intrinsics | None = None,
    *,
    unit: float | None = None,
    as_is: bool = False,
) -> partial[Sample]:
    """How an `Entry` becomes a sample of the detector's, here and in `describe_ahead`'s workers.

    Every new scan is read by it: those of `scans_of` and those that arrive. A raw one loses its
    background as the training data did (`background.Ready`), but for as_is=True. `unit` is in
    metres, for 3D files in another one.
    """
    ready = Ready(detector.background, as_is)
    return partial(read_scan, intrinsics=camera, unit=unit, ready=ready)


def scans_of(
    detector: LSFADetector,
    paths: Sequence[str | Path],
    camera: Intrinsics | None = None,
    **how: Any,
) -> list[Scans]:
    """Folders of scans, or single files; without a `camera`, each has that of its folder.

    `how` is `reader`'s. No scan is read yet. Raises FileNotFoundError or ValueError for a path
    without scans.
    """
    folders, read = [Folder(path, camera) for path in paths], reader(detector, **how)
    return [Scans(f.entries, partial(read, intrinsics=f.intrinsics)) for f in folders]


def read_each(folders: Iterable[Scans]) -> Iterator[Found]:
    """Each scan, or why it cannot be read."""
    for scans in folders:
        for entry in scans.entries:
            try:
                found: Sample | Exception = scans.read(entry)
            except UNREADABLE as error:
                found = error
            yield entry.path, found


def read_arriving(
    detector: LSFADetector,
    folder: Path,
    stop: Event,
    camera: Intrinsics | None = None,
    **how: Any,
) -> Iterator[Found]:
    """Each scan when it is whole (`data.arrivals`), until `stop` is set; `how` is `reader`'s."""
    read = reader(detector, camera or Intrinsics.in_folder(folder), **how)
    roles = [{"rgb": "rgb", "3d": "xyz"}[m] for m in detector.modalities]
    yield from arrivals(folder, roles, stop, read)
