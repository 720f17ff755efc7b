"""PatchCore + FPFH (BTF, Horwitz and Hoshen 2023): colour and shape of a patch in one row.

Nothing weighs one against the other: with the preset LITE the numbers of colour are some hundred
times larger, and shape is hardly heard (book: what-came-after).
One bank then; against it stands what LSFA and M3DM do, a bank per modality and fused scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import torch

from lsfa_lite.config import Config, Modality
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector
from lsfa_lite.evaluation import Table, evaluate
from lsfa_lite.features.extract import FeatureExtractor, PatchFeatures, PatchStack

NAME: Any = "rgb+3d"  # of the one modality that comes out
Described = TypeVar("Described", PatchFeatures, PatchStack)


def join(features: Described) -> Described:
    """{"rgb": (..., N, D), "3d": (..., N, E)} -> {"rgb+3d": (..., N, D + E)}."""
    joined = torch.cat([features.features["rgb"], features.features["3d"]], dim=-1)
    return dataclasses.replace(features, features={NAME: joined})


class JoinedExtractor(FeatureExtractor):
    """Both modalities described as ever, then put side by side."""

    def names(self, modalities: Sequence[Modality]) -> tuple[Modality, ...]:
        return (NAME,)

    def fingerprint(self, modality: Modality) -> str:
        return "+".join(super(JoinedExtractor, self).fingerprint(m) for m in ("rgb", "3d"))

    def __call__(
        self, sample: Sample, modalities: Sequence[Modality] = ("rgb", "3d")
    ) -> PatchFeatures:
        return join(super().__call__(sample, ("rgb", "3d")))


def run(
    what: str,
    config: Config,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    test: Sequence[Sample],
    device: str | torch.device = "cpu",
) -> Table:
    """One bank of joined rows. `what` is empty: there is one way to do it."""
    extractor = JoinedExtractor(config.features, device, config.seed)
    detector = LSFADetector(config, device, extractor=extractor).fit(train, validation)
    return evaluate(detector.score(test), test)
