"""What good parts that the banks do not know teach: scales of the modalities, and thresholds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor

from lsfa_lite.config import Modality, ScoringConfig
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.patchcore import PatchScores
from lsfa_lite.scoring.threshold import Threshold, threshold

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibration:
    """fusion: how modalities become one score. Thresholds per set of modalities ("rgb+3d"):
    of image scores with the false-positive rate they promise, and of map values, by which a map
    is drawn as a verdict.
    """

    fusion: Fusion
    thresholds: dict[str, Threshold]
    map_thresholds: dict[str, Threshold]

    def state(self) -> dict[str, Any]:
        """Plain JSON; `from_state` reads it back."""
        return asdict(self) | {"fusion": self.fusion.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Calibration:
        return cls(
            Fusion.from_state(state["fusion"]),
            {name: Threshold(*pair) for name, pair in state["thresholds"].items()},
            {name: Threshold(*pair) for name, pair in state["map_thresholds"].items()},
        )


def calibrate(
    scores: Mapping[Modality, Sequence[PatchScores]],
    foreground: Tensor,
    config: ScoringConfig,
    seed: int = 0,
) -> Calibration:
    """Scores {"rgb": B of them, "3d": B} of good samples, foreground (B, N) -> Calibration."""
    images = {name: torch.tensor([s.image_score for s in found]) for name, found in scores.items()}
    rows = {name: [s.distances for s in found] for name, found in scores.items()}
    distances = {name: torch.stack(found).cpu() for name, found in rows.items()}  # (B, N)
    patches = {name: values[foreground.cpu()] for name, values in distances.items()}  # (Q,)
    fusion = Fusion.fit(images, patches, config, seed)
    thresholds, map_thresholds = {}, {}
    subsets = chain(*(combinations(scores, count + 1) for count in range(len(scores))))
    for names in subsets:  # ("rgb",), ("3d",), ("rgb", "3d")
        fused = fusion.fuse_images({name: images[name] for name in names})
        highest = fusion.fuse_maps({name: distances[name] for name in names}).amax(dim=1)
        thresholds["+".join(names)] = threshold(fused, config.false_positive_rate)
        map_thresholds["+".join(names)] = threshold(highest, config.false_positive_rate)
    logger.info("from %d good samples: %s", len(foreground), thresholds)
    return Calibration(fusion, thresholds, map_thresholds)
