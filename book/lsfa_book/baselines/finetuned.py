"""Tables 8 and 9: the backbones are trained, then PatchCore on what they say, no adaptors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lsfa_lite.adaptation.finetune import FineTuneConfig, fine_tune
from lsfa_lite.config import Config
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector
from lsfa_lite.evaluation import Table, evaluate


def run(
    what: str,
    config: Config,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    test: Sequence[Sample],
    device: str | torch.device = "cpu",
    progress: bool = False,
    settings: FineTuneConfig | None = None,
) -> Table:
    """A row of Table 8 or 9: train the backbones, then PatchCore on what they say, no adaptors.

    Between them is the config's input transform, fitted anew as in any run without adaptation.
    """
    tuned = fine_tune(what, config, train, device, progress, settings)
    modalities = tuple(tuned.features.features)
    plain = config.change(adaptation__steps=0, features__cache=False, modalities=modalities)
    detector = LSFADetector(plain, device, extractor=tuned.extractor)
    held_out = tuned.extractor.stack(validation, modalities, progress) if len(validation) else None
    detector.fit_features(tuned.features, held_out, progress=progress)
    return evaluate(detector.score(test, progress=progress), test)
