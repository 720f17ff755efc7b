"""Fig. 5 of the paper: one defective part of each kind, its mask, and what each detector says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from lsfa_lite.config import Config
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector
from lsfa_lite.experiments.tables import NONE, WHITENING

VARIANTS = {"no adaptation": NONE, "whitening": WHITENING, "LSFA": {}}


class Splits(Protocol):
    """A category: `data.mvtec3d.MVTec3D` or `experiments.workshop.Workshop`."""

    @property
    def train(self) -> Sequence[Sample]: ...

    @property
    def validation(self) -> Sequence[Sample]: ...

    @property
    def test(self) -> Sequence[Sample]: ...


@dataclass(frozen=True)
class Example:
    """sample; maps: detector's name -> (H, W) anomaly map in units of its threshold (1 is called
    anomalous), so that detectors with different scales share one colour bar.
    """

    sample: Sample
    maps: dict[str, np.ndarray]


def compare(
    preset: Config, data: Splits, device: str | torch.device = "cpu"
) -> Iterator[tuple[str, Example]]:
    """(defect, example) of each kind of defect: the middle part of its folder, not a picked one."""
    detectors = {}
    for name, changes in VARIANTS.items():
        config = preset.change(**changes)
        detectors[name] = LSFADetector(config, device).fit(data.train, data.validation)
    kinds: dict[str, list[Sample]] = {}
    for sample in data.test:
        if sample.label == 1:
            kinds.setdefault(sample.defect, []).append(sample)
    for defect, samples in kinds.items():
        sample = samples[len(samples) // 2]
        maps = {}
        for name, detector in detectors.items():
            scored = detector.score([sample])[0]
            maps[name] = scored.anomaly_map / scored.map_threshold
        yield defect, Example(sample, maps)
