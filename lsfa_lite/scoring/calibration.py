"""What good parts that the banks do not know teach: scales of the modalities, and thresholds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm.auto import tqdm

from lsfa_lite.config import Modality, ScoringConfig
from lsfa_lite.errors import DataError
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.patchcore import PatchCore, PatchScores, rows_kept
from lsfa_lite.scoring.threshold import Threshold, threshold

logger = logging.getLogger(__name__)
GoodScores = Mapping[Modality, Sequence[PatchScores]]  # {"rgb": B of them, "3d": B}
Judged = tuple[GoodScores, Tensor]  # and their foreground (B, N)
FOLDS = 5


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
        """DataError for NaN or Inf; for what is no such state, any error of Python's."""
        fusion = Fusion.from_state(state["fusion"])
        names = ["+".join(some) for some in some_of(fusion.normalisers)]
        images, maps = (
            {name: Threshold(*state[kind][name]) for name in names}
            for kind in ("thresholds", "map_thresholds")
        )
        zeros = {name: torch.zeros(1) for name in fusion.normalisers}
        tried = torch.cat([fusion.fuse_images(zeros), fusion.fuse_maps(zeros)])
        if not (np.isfinite([*images.values(), *maps.values()]).all() and tried.isfinite().all()):
            raise DataError("its calibration holds NaN or Inf")
        good = {name: tuple(map(float, scores)) for name, scores in state.get("good", {}).items()}
        return cls(fusion, images, maps, good)


def some_of(modalities: Iterable[Modality]) -> Iterator[tuple[Modality, ...]]:
    """("rgb",), ("3d",), ("rgb", "3d")"""
    names = list(modalities)
    return chain(*(combinations(names, count + 1) for count in range(len(names))))


def cross_fitted(
    features: Iterable[Tensor],
    foreground: Tensor,
    config: ScoringConfig,
    seed: int = 0,
    *,
    progress: bool = False,
) -> list[PatchScores]:
    """Scores of the training samples, each by a bank made anew of the other folds' samples.

    features B times (N, D), foreground (B, N), as `PatchCore.leave_one_out` takes them; five folds
    are drawn from `seed`, one for each of fewer samples. Rows that are only taken out of a bank
    leave holes in its coreset, next to which a sample looks odder than a new one; a coreset of the
    other folds has none and merely knows fewer samples. It gets as many rows as the one of all
    samples: a share of fewer patches would lie sparser, and all distances be larger. The adaptation
    is not fitted anew: it has seen them all. Raises ValueError for fewer than two samples.
    """
    on = [row.nonzero()[:, 0] for row in foreground.cpu()]  # B (n,)
    if len(on) < 2:
        raise DataError(
            f"{len(on)} training samples; folds need two at least. Give more, or "
            'scoring.calibrate_on="held_out" and validation data'
        )
    patches = [x[seen.to(x.device)] for x, seen in zip(features, on, strict=True)]  # B (n, D)
    counts = torch.tensor([len(seen) for seen in on])
    config = replace(config, coreset_rows=rows_kept(config, int(counts.sum())))
    order = torch.randperm(len(on), generator=torch.Generator().manual_seed(seed))
    scores: dict[int, PatchScores] = {}
    folds = order.tensor_split(min(FOLDS, len(on)))
    for fold in tqdm(folds, "folds", delay=2, disable=not progress):
        others = torch.cat([part for part in folds if part is not fold]).sort().values
        rows = torch.cat([patches[i] for i in others])  # (Q, D)
        samples = others.repeat_interleave(counts[others]).to(rows.device)
        bank = PatchCore.of_rows(rows, samples, config, seed)
        for i in fold.tolist():
            found = bank.score(patches[i], torch.ones(len(on[i]), dtype=torch.bool))
            distances = found.distances.new_zeros(foreground.shape[1])
            distances[on[i].to(distances.device)] = found.distances
            scores[i] = replace(found, distances=distances)
    return [scores[i] for i in range(len(on))]


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

    Scores of training parts by banks of the other folds (`cross_fitted`): of whole banks the same
    holds, as R_i lacks more parts still. A coreset made anew need not lie farther away than the one
    of all parts. Where no new part is farther from the bank of all than from that of a fold, at
    most 2a + min(2 (1 - 1/K) / (n/K + 1), (1 - K/n) / (K + 1)) is promised for K equal folds (CV+,
    Theorem 4 of Barber et al.; cross-conformal prediction); what is seen lies near a.

    Where it is not strict: a re-weighted score may shrink a little when rows go; a coreset was
    chosen with part i there, and without folds nothing takes the place of its rows, so R_i is
    rather too large; input transforms and adaptors have seen the training parts, so R_i is too
    small by as much as they have learned these by heart (steps=0: hardly). The scales of the
    modalities come from the same scores as the thresholds: with two references a sense would weigh
    differently in each.
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
    for names in some_of(scores):
        fused = fusion.fuse_images({name: images[name] for name in names})
        highest = fusion.fuse_maps({name: distances[name] for name in names}).amax(dim=1)
        thresholds["+".join(names)] = threshold(fused, config.false_positive_rate)
        map_thresholds["+".join(names)] = threshold(highest, config.false_positive_rate)
        good["+".join(names)] = tuple(sorted(fused.tolist()))
    logger.info("from %d good samples: %s", len(foreground), thresholds)
    return Calibration(fusion, thresholds, map_thresholds, good)
