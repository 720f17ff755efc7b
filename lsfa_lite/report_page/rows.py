"""What the report says of the model and of one part; no pixel is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lsfa_lite.batch import Verdict
from lsfa_lite.config import BackgroundConfig, Config, Modality
from lsfa_lite.data.scans import ROLES
from lsfa_lite.detector import LSFADetector
from lsfa_lite.errors import ModelError
from lsfa_lite.scoring.calibration import Calibration


@dataclass(frozen=True)
class About:
    """The model whose verdicts these are; `calibration.good` makes the histogram."""

    model: str
    config: Config
    calibration: Calibration
    background: BackgroundConfig | None = None

    @classmethod
    def of(cls, detector: LSFADetector, model: str) -> About:
        """ValueError for a detector that was not fitted."""
        if detector.calibration is None:
            raise ModelError("this detector has seen no training data: fit() or load() it first")
        return cls(model, detector.config, detector.calibration, detector.background)


@dataclass(frozen=True)
class Row:
    """One scan of the batch.

    key       its folder below parts/ and its anchor on the page: a number and plain letters
    path      where the scan came from, in characters that any file can hold
    verdict   that of `batch.Judgement`
    words     the verdict in sentences; of a failed scan, why it could not be read or scored
    senses    "rgb+3d": what it was scored by, the key of the calibration's thresholds
    pictures  file stem -> caption, in the order in which they are shown
    points    of the PLY file; 0 where there is none
    """

    key: str
    path: str
    verdict: Verdict
    words: str
    image_score: float | None = None
    threshold: float | None = None
    promised: float | None = None
    senses: str = ""
    modality_scores: dict[Modality, float] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    points: int = 0

    @property
    def name(self) -> str:
        """The file; in a data set's layout, where all are called 000.png, with its folder."""
        path = Path(self.path)
        kind = path.parent.parent.name if path.parent.name in ROLES else ""
        return f"{kind}/{path.name}" if kind else path.name or self.path


def worst_first(rows: list[Row]) -> list[Row]:
    """By falling score, that of a missing part being infinite; failed scans last.

    Equal ones stay in the order in which they came.
    """
    return sorted(rows, key=lambda row: (row.image_score is None, -(row.image_score or 0.0)))
