"""What good parts that the banks do not know teach: scales of the modalities, and thresholds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from lsfa_lite.config import Modality, ScoringConfig
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.patchcore import PatchScores
from lsfa_lite.scoring.threshold import Threshold, threshold

logger = logging.getLogger(__name__)
GoodScores = Mapping[Modality, Sequence[PatchScores]]  # {"rgb": B of them, "3d": B}
Judged = tuple[GoodScores, Tensor]  # and their foreground (B, N)


@dataclass(frozen=True)
class Calibration:
    """fusion: how modalities become one score. Thresholds per set of modalities ("rgb+3d"):
    of image scores with the false-positive rate they promise, and of map values, by which a map
    is drawn as a verdict. `good` are the image scores that a threshold was taken from, sorted, for
    a reader who wants to see them (empty in a model that was saved before they were kept).
    """

    fusion: Fusion
    thresholds: dict[str, Threshold]
    map_thresholds: dict[str, Threshold]
    good: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """Plain JSON; `from_state` reads it back."""
        return asdict(self) | {"fusion": self.fusion.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Calibration:
        return cls(
            Fusion.from_state(state["fusion"]),
            {name: Threshold(*pair) for name, pair in state["thresholds"].items()},
            {name: Threshold(*pair) for name, pair in state["map_thresholds"].items()},
            {name: tuple(scores) for name, scores in state.get("good", {}).items()},
        )


def pooled(groups: Sequence[Judged]) -> Judged:
    """Scores and foregrounds (B, N) of groups of good parts -> those of all of them.

    Groups packed to fewer patches are padded to the largest N with patches off the part.

    What a threshold from n training parts, each scored without its own bank rows, promises: it is
    crossed by a next good part with probability a at most, as one from held-out parts is, if parts
    are exchangeable and a bank holds all patches. For let every one of the n + 1 parts be scored
    against all others: the next part has each rank among these scores with equal chance (full
    conformal prediction; Vovk, Gammerman, Shafer 2005). The score of a training part lacks one
    bank part, the next one, and a distance to the nearest row only grows when rows go: scores
    R_i, and their quantile, lie nowhere below,

        P(s_new > q(R_1, ..., R_n)) <= P(s_new > q(s_1, ..., s_n)) <= a.

    Scores that may shrink when rows go promise 2a at the most, and only where the next part is
    scored without part i for its comparison with R_i (jackknife+; Barber, Candès, Ramdas,
    Tibshirani 2021; for anomalies Hennhöfer, Preisach 2024). Together with m <= n validation parts
    it is a (n + m + 1) / (n + 1): where few of all scores lie above a part's, few of the n do.
    (Such factors are known from cross-conformal prediction, Vovk 2015; seen is about a.)

    Where it is not strict: a re-weighted score may shrink a little when rows go; a coreset was
    chosen with part i there, and nothing takes the place of its rows, so R_i is rather too large;
    input transforms and adaptors have seen the training parts, so R_i is too small by as much as
    they have learned these by heart (steps=0: hardly). The scales of the modalities come from the
    same scores as the thresholds: with two references a sense would weigh differently in each.
    """
    width = max(foreground.shape[1] for _, foreground in groups)

    def wide(values: Tensor) -> Tensor:  # (..., n) -> (..., N)
        return pad(values, (0, width - values.shape[-1]))

    foreground = torch.cat([wide(rows.cpu()) for _, rows in groups])  # (B, N)
    scores = {
        name: [replace(s, distances=wide(s.distances)) for found, _ in groups for s in found[name]]
        for name in groups[0][0]
    }
    return scores, foreground


def calibrate(
    scores: GoodScores,
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
    thresholds, map_thresholds, good = {}, {}, {}
    subsets = chain(*(combinations(scores, count + 1) for count in range(len(scores))))
    for names in subsets:  # ("rgb",), ("3d",), ("rgb", "3d")
        fused = fusion.fuse_images({name: images[name] for name in names})
        highest = fusion.fuse_maps({name: distances[name] for name in names}).amax(dim=1)
        thresholds["+".join(names)] = threshold(fused, config.false_positive_rate)
        map_thresholds["+".join(names)] = threshold(highest, config.false_positive_rate)
        good["+".join(names)] = tuple(sorted(fused.tolist()))
    logger.info("from %d good samples: %s", len(foreground), thresholds)
    return Calibration(fusion, thresholds, map_thresholds, good)
