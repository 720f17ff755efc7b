"""LSFADetector: describe, adapt, remember, score. What a user imports."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from tqdm.auto import tqdm

from lsfa_lite import model_folder
from lsfa_lite.adaptation.train import Adaptation, train
from lsfa_lite.config import LITE, Config, Modality
from lsfa_lite.data.sample import Sample
from lsfa_lite.features.extract import FeatureExtractor, PatchFeatures
from lsfa_lite.scoring.calibration import Calibration, calibrate
from lsfa_lite.scoring.maps import anomaly_map, unsquare
from lsfa_lite.scoring.patchcore import PatchCore, PatchScores


@dataclass(frozen=True)
class Scored:
    """What the detector says about one sample.

    image_score      larger is more anomalous; the fusion of modality_scores
    anomaly_map      (H, W) float32 in the sample's own pixels, 0 on the background
    modality_scores  "rgb", "3d" -> float, before normalisation and fusion
    modality_maps    "rgb", "3d" -> (H, W) float32
    threshold        on image_score, from good parts that were not trained on
    map_threshold    the same for the largest value of a map
    is_anomalous     image_score > threshold
    """

    image_score: float
    anomaly_map: np.ndarray
    modality_scores: dict[Modality, float]
    modality_maps: dict[Modality, np.ndarray]
    threshold: float
    map_threshold: float
    is_anomalous: bool
    path: str


class LSFADetector:
    """detector = LSFADetector(LITE).fit(good_samples); detector.score([sample])[0].anomaly_map

    Samples are expected with their background removed (`data.background.remove_background`).
    """

    def __init__(self, config: Config = LITE, device: str | torch.device = "cpu"):
        self.config = config
        self.device = torch.device(device)
        self.extractor = FeatureExtractor(config.features, self.device, config.seed)
        self.modalities: tuple[Modality, ...] = ()  # those it was fitted on
        self.adaptation: Adaptation | None = None
        self.banks: dict[Modality, PatchCore] = {}
        self.calibration: Calibration | None = None

    def fit(
        self,
        train: Sequence[Sample],
        validation: Sequence[Sample] | None = None,
        progress: bool = False,
        checkpoint: Path | None = None,
    ) -> LSFADetector:
        """Adapt to good samples, fill the banks, calibrate on `validation` (good samples too).

        Without validation the calibration leaves each training sample's own patches out of the
        bank. `checkpoint` is a file from which an interrupted adaptation goes on.
        """
        if len(train) < 2:
            raise ValueError(f"{len(train)} training samples; at least two good ones are needed")
        features = self.extractor.stack(train, self.config.modalities, progress)
        self._choose_modalities(features)
        held_out = None
        if validation is not None and len(validation):
            held_out = self.extractor.stack(validation, self.modalities, progress)
        return self.fit_features(features, held_out, progress, checkpoint)

    def fit_features(
        self,
        features: PatchFeatures,
        held_out: PatchFeatures | None = None,
        progress: bool = False,
        checkpoint: Path | None = None,
    ) -> LSFADetector:
        """The same from features that are already there: (S, N, D) per modality."""
        config = self.config
        self.modalities = tuple(features.features)
        self.adaptation = train(
            dict(features.features),
            features.foreground,
            config.adaptation,
            config.seed,
            self.device,
            progress=progress,
            checkpoint=checkpoint,
        )
        adapted = self._adapt(features)
        self.banks = {}
        for modality in tqdm(self.modalities, "banks", disable=not progress):
            self.banks[modality] = PatchCore.fit(
                adapted.features[modality].to(self.device),
                adapted.foreground.to(self.device),
                config.scoring,
                config.seed,
            )
        self.calibration = self._calibrate(adapted, held_out)
        return self

    def score(
        self,
        samples: Sequence[Sample],
        modalities: Sequence[Modality] | None = None,
        progress: bool = False,
    ) -> list[Scored]:
        """Score samples with the modalities asked for, or all that sample and detector share."""
        wanted = self._check_wanted(modalities)
        return [self._score(s, wanted) for s in tqdm(samples, "scores", disable=not progress)]

    def score_features(self, row: PatchFeatures) -> dict[Modality, PatchScores]:
        """One sample's features (N, D) -> distances of its patches and its score, per modality."""
        one = PatchFeatures(
            {name: rearrange(f, "n d -> 1 n d") for name, f in row.features.items()},
            rearrange(row.foreground, "n -> 1 n"),
        )
        adapted = self._adapt(one)
        foreground = row.foreground.to(self.device)
        return {
            name: self.banks[name].score(f[0].to(self.device), foreground)
            for name, f in adapted.features.items()
        }

    def save(self, folder: str | Path) -> None:
        """One folder: config.json and tensors.safetensors, written beside and renamed."""
        model_folder.save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> LSFADetector:
        """A detector that gives the same scores, bit for bit, on the same device."""
        return model_folder.load(cls, Path(folder), device)

    def _choose_modalities(self, features: PatchFeatures) -> None:
        there = tuple(features.features)
        missing = [m for m in self.config.modalities if m not in there]
        if not there:
            raise ValueError(
                f"the training samples share none of the modalities {self.config.modalities}; "
                "each needs rgb, or each needs xyz"
            )
        if missing:
            warnings.warn(
                f"no {' and no '.join(missing)} in (all of) the training samples: fitting on "
                f"{there[0]} alone, without the consistency losses L_LA and L_GA",
                stacklevel=3,
            )
        self.modalities = there

    def _check_wanted(self, modalities: Sequence[Modality] | None) -> tuple[Modality, ...]:
        if self.calibration is None:
            raise ValueError("this detector has seen no training data: call fit() or load() first")
        strange = [m for m in modalities or () if m not in self.modalities]
        if strange:
            raise ValueError(f"fitted on {', '.join(self.modalities)}; cannot score with {strange}")
        return tuple(modalities or self.modalities)

    def _adapt(self, features: PatchFeatures) -> PatchFeatures:
        assert self.adaptation is not None
        adapted: dict[Modality, Tensor] = {}
        for modality, raw in features.features.items():
            adapted[modality] = self.adaptation.adapt(modality, raw, features.foreground)
        return PatchFeatures(adapted, features.foreground)

    def _calibrate(self, adapted: PatchFeatures, held_out: PatchFeatures | None) -> Calibration:
        """From scores of good samples that the banks do not know."""
        if held_out is not None:
            foreground = held_out.foreground
            rows = [self.score_features(held_out.sample(i)) for i in range(len(foreground))]
            scores = {m: [row[m] for row in rows] for m in self.modalities}
        else:
            foreground = adapted.foreground
            there = foreground.to(self.device)
            scores = {
                m: self.banks[m].leave_one_out(adapted.features[m].to(self.device), there)
                for m in self.modalities
            }
        return calibrate(scores, foreground, self.config.scoring, self.config.seed)

    def _score(self, sample: Sample, wanted: tuple[Modality, ...]) -> Scored:
        assert self.calibration is not None
        row = self.extractor(sample, wanted)
        scores = self.score_features(row)
        there = "+".join(scores)
        images = {m: result.image_score for m, result in scores.items()}
        maps = {m: self._map(result.distances, row, sample) for m, result in scores.items()}
        fused = self.calibration.fusion.fuse_maps(maps).numpy().astype(np.float32)
        image_score = float(self.calibration.fusion.fuse_images(images))
        threshold = self.calibration.thresholds[there].value
        return Scored(
            image_score=image_score,
            anomaly_map=fused,
            modality_scores=images,
            modality_maps={m: values.numpy() for m, values in maps.items()},
            threshold=threshold,
            map_threshold=self.calibration.map_thresholds[there].value,
            is_anomalous=image_score > threshold,
            path=sample.path,
        )

    def _map(self, distances: Tensor, row: PatchFeatures, sample: Sample) -> Tensor:
        """(N,) -> (H, W) float32 on the CPU, in the sample's own pixels, 0 off the part."""
        size, sigma = self.config.features.image_size, self.config.scoring.blur
        foreground = row.foreground.to(self.device)
        pixels = None if row.pixels is None else row.pixels.to(self.device)
        square = anomaly_map(distances, foreground, size, sigma, pixels)
        values = unsquare(square, sample.shape).float().cpu()
        return values * torch.from_numpy(sample.foreground)
