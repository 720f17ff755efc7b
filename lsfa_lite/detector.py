"""LSFADetector: describe, adapt, remember, calibrate, score. What a user imports."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm, trange

from lsfa_lite import model_folder
from lsfa_lite.adaptation.train import Adaptation, train
from lsfa_lite.config import LITE, SENSES, BackgroundConfig, Config, Modality, from_json, to_json
from lsfa_lite.data.ahead import read_ahead
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import NO_SAMPLE, Good
from lsfa_lite.errors import DataError, ModelError, SettingError
from lsfa_lite.features.extract import (
    AT_ONCE,
    Extractor,
    FeatureExtractor,
    PatchFeatures,
    PatchStack,
    chunks,
)
from lsfa_lite.scoring.calibration import Calibration, Judged, calibrate, cross_fitted, pooled
from lsfa_lite.scoring.maps import maps_of_scans
from lsfa_lite.scoring.odd import advise
from lsfa_lite.scoring.patchcore import PatchCore, PatchScores

NOT_FITTED = "this detector has seen no training data: call fit() or load() first"


def counted(samples: Any) -> int:
    """How many samples there are; DataError for what is no sequence of them."""
    if isinstance(samples, Sample):
        return 1
    if not hasattr(samples, "__getitem__") or isinstance(samples, str | bytes | dict):
        raise DataError(NO_SAMPLE.format(type(samples).__name__))
    return len(samples)


@dataclass(frozen=True, eq=False)
class Scored:
    """What the detector says about one sample.

    image_score      larger is more anomalous; the fusion of modality_scores
    anomaly_map      (H, W) float32 in the sample's own pixels, 0 on the background (`scoring.rim`)
    modality_scores  "rgb", "3d" -> float, before normalisation and fusion
    modality_maps    "rgb", "3d" -> (H, W) float32
    threshold        on image_score, from good parts that were not trained on
    map_threshold    the same for the largest value of a map
    is_anomalous     image_score > threshold
    promised         rate of good parts above the threshold, as far as a promise was made
    """

    image_score: float
    anomaly_map: np.ndarray
    modality_scores: dict[Modality, float]
    modality_maps: dict[Modality, np.ndarray]
    threshold: float
    map_threshold: float
    is_anomalous: bool
    path: str
    promised: float | None = None

    @property
    def verdict(self) -> Literal["no part seen", "anomalous", "good"]:
        """In words: "good", "anomalous", or "no part seen" (`LSFADetector.no_part`)."""
        if np.isinf(self.image_score):
            return "no part seen"
        return "anomalous" if self.is_anomalous else "good"

    def __repr__(self) -> str:
        senses = ", ".join(f"{m} {score:.3g}" for m, score in self.modality_scores.items())
        return (
            f"Scored({self.verdict}: {self.image_score:.3f}, threshold {self.threshold:.3f}; "
            f"{senses}; {self.path})"
        )


class LSFADetector:
    """detector = LSFADetector(LITE).fit(good_samples); detector.score(sample).anomaly_map

    Samples are expected with their background removed (`data.background.remove_background`).

    extractor    describes samples; by default the frozen networks of config.features
    calibration  scores of good samples -> scales and thresholds (`scoring.calibration.calibrate`)
    background   how the background of its samples was removed, to be remembered with the model
    """

    def __init__(
        self,
        config: Config = LITE,
        device: str | torch.device = "cpu",
        *,
        extractor: Extractor | None = None,
        calibration: Callable[..., Calibration] = calibrate,
        background: BackgroundConfig | None = None,
    ):
        if not isinstance(config, Config):
            raise SettingError(f"config is a {type(config).__name__}, expected a Config, say LITE")
        try:
            self.config, self.device = config, torch.device(device)
        except RuntimeError as error:
            raise SettingError(f"device {device!r}: torch does not know it; use cpu") from error
        self.extractor = extractor or FeatureExtractor(config.features, self.device, config.seed)
        self.background = background
        self.modalities: tuple[Modality, ...] = ()  # those it was fitted on
        self.adaptation: Adaptation | None = None
        self.banks: dict[Modality, PatchCore] = {}
        self.calibration: Calibration | None = None
        self._calibrate = calibration

    def __repr__(self) -> str:
        if self.calibration is None:
            return f"LSFADetector({self.config.name}, {self.device}, not fitted)"
        rows = ", ".join(f"{m}: {len(bank.bank)} rows" for m, bank in self.banks.items())
        return f"LSFADetector({self.config.name}, {self.device}, banks {rows})"

    # --- fitting ----------------------------------------------------------------------------

    def fit(
        self,
        train: Sequence[Sample],
        validation: Sequence[Sample] | None = None,
        *,
        progress: bool = False,
        checkpoint: Path | None = None,
    ) -> LSFADetector:
        """Adapt to good samples, fill the banks, calibrate on `validation` (good samples too).

        Without validation the calibration leaves each training sample's own patches out of the
        bank. `checkpoint` is a file from which an interrupted adaptation goes on.
        """
        if (count := counted(train)) < 2:
            raise DataError(f"{count} training samples; at least two good ones are needed")
        train = Good(train, "training")
        parts = self.extractor.stack(train, self.config.modalities, progress, packed=True)
        names = self._shared(parts)
        held_out = None
        if validation is not None and counted(validation):
            validation = Good(validation, "validation")
            held_out = self.extractor.stack(validation, names, progress, packed=True)
            if missing := [m for m in names if m not in held_out.features]:
                raise DataError(
                    f"validation: no {' and no '.join(missing)} in (all of) its samples, which the "
                    "training parts have; add it, or fit without the validation split"
                )
        return self.fit_features(parts, held_out, progress=progress, checkpoint=checkpoint)

    def fit_features(
        self,
        parts: PatchStack,
        held_out: PatchStack | None = None,
        *,
        progress: bool = False,
        checkpoint: Path | None = None,
    ) -> LSFADetector:
        """The same from features that are already there: three steps, each of use alone."""
        self.adapt_to(parts, progress=progress, checkpoint=checkpoint)
        self.remember(parts, progress=progress)
        return self.calibrate(parts, held_out, progress=progress)

    def adapt_to(
        self, parts: PatchStack, *, progress: bool = False, checkpoint: Path | None = None
    ) -> LSFADetector:
        """Algorithm 1: the adaptors learn from good samples."""
        self.modalities = tuple(parts.features)
        self.adaptation = train(
            dict(parts.features),
            parts.foreground,
            self.config.adaptation,
            self.config.seed,
            self.device,
            progress=progress,
            checkpoint=checkpoint,
        )
        return self

    def remember(self, parts: PatchStack, *, progress: bool = False) -> LSFADetector:
        """Fill the banks with a coreset of the samples' adapted patches."""
        adaptation, on = self._fitted(), parts.foreground
        samples, self.banks = on.nonzero()[:, 0].to(self.device), {}  # (Q,)
        for modality in self.modalities:
            self.banks[modality] = PatchCore.of_rows(
                adaptation.rows(modality, parts.features[modality], on),  # (Q, D), held by nobody
                *(samples, self.config.scoring, self.config.seed),
                progress=progress,
            )
        return self

    def calibrate(
        self, parts: PatchStack, held_out: PatchStack | None = None, *, progress: bool = False
    ) -> LSFADetector:
        """Scales and thresholds from scores of good samples that the banks do not know.

        These are `held_out`; with scoring.calibrate_on="all" or "folds", or without any, training
        samples too (`scoring.calibration.pooled`). One that looks odd is named in a warning.
        """
        scoring, groups, names = self.config.scoring, list[Judged](), list[str]()
        shown = partial(tqdm, delay=2, disable=not progress)
        if held_out is None or scoring.calibrate_on != "held_out":
            on, known = parts.foreground, {}
            anew = partial(cross_fitted, config=scoring, seed=self.config.seed, progress=progress)
            for m in self.modalities:
                how = anew if scoring.calibrate_on == "folds" else self.banks[m].leave_one_out
                each = self._fitted().each(m, parts.features[m], on)
                known[m] = how(shown(each, f"calibrate {m}", len(on)), on)
            groups.append((known, on))
            names += parts.called("training part")
        if held_out is not None:
            groups.append(self._judged(held_out, progress))
            names += held_out.called("validation part")
        return self._settle(groups, names)

    def recalibrate(self, good: Sequence[Sample], *, progress: bool = False) -> LSFADetector:
        """New scales and thresholds from new good samples alone, say under a new lamp; no training.

        Banks and adaptors stay. Raises ValueError for fewer than two samples, or if one of them
        lacks a modality that the detector was fitted on.
        """
        self._calibrated()
        if counted(good) < 2:
            raise DataError("two good samples are the least to calibrate on; twenty say more")
        parts = self.extractor.stack(good, self.modalities, progress, packed=True)
        if missing := [m for m in self.modalities if m not in parts.features]:
            raise DataError(
                f"no {' and no '.join(missing)} in (all of) the good samples, and the detector was "
                f"fitted on {', '.join(self.modalities)}; scan them with both, or fit anew"
            )
        return self._settle([self._judged(parts, progress)], parts.called("good part"))

    def _judged(self, parts: PatchStack, progress: bool = False) -> Judged:
        """Scores of samples that the banks do not know."""
        shown = trange(len(parts), desc="calibrate", delay=2, disable=not progress)
        each = (parts.sample(i) for i in shown)
        rows = [row for some in chunks(each, self._at_once) for row in self._scores(some)]
        return {m: [row[m] for row in rows] for m in self.modalities}, parts.foreground

    def _settle(self, groups: list[Judged], names: list[str]) -> LSFADetector:
        scores, foreground = pooled(groups)
        advise(scores, names)
        self.calibration = self._calibrate(
            scores, foreground, self.config.scoring, self.config.seed
        )
        return self

    def adapted(self, parts: PatchStack) -> PatchStack:
        """What the banks hold and the scores compare: psi of every patch."""
        adapt, on = self._fitted().adapt, parts.foreground
        features = {m: adapt(m, raw, on) for m, raw in parts.features.items()}
        return replace(parts, features=features)

    # --- scoring ----------------------------------------------------------------------------

    @overload
    def score(
        self,
        samples: Sample,
        modalities: Sequence[Modality] | None = ...,
        *,
        progress: bool = ...,
    ) -> Scored: ...
    @overload
    def score(
        self,
        samples: Sequence[Sample],
        modalities: Sequence[Modality] | None = ...,
        *,
        progress: bool = ...,
    ) -> list[Scored]: ...
    def score(
        self,
        samples: Sample | Sequence[Sample],
        modalities: Sequence[Modality] | None = None,
        *,
        progress: bool = False,
    ) -> Scored | list[Scored]:
        """Score samples with the modalities asked for, or all that sample and detector share.

        One sample gives its verdict, a sequence a list of them.
        """
        wanted = self._check_wanted(modalities)
        if isinstance(samples, Sample):
            return self._score([samples], wanted)[0]
        counted(samples)
        read = samples if self._at_once == 1 else read_ahead(samples, 2 * self._at_once)
        shown = tqdm(read, "scores", len(samples), disable=not progress)
        return [one for some in chunks(shown, self._at_once) for one in self._score(some, wanted)]

    def no_part(self, path: str) -> Scored:
        """The verdict on a scan in which no part is seen (`NoPart`): the worst of defects."""
        calibration, all_of = self._calibrated(), "+".join(self.modalities)
        threshold, promised = calibration.thresholds[all_of]
        limits = threshold, calibration.map_thresholds[all_of].value
        return Scored(np.inf, np.zeros((1, 1), np.float32), {}, {}, *limits, True, path, promised)

    def predict(self, samples: Sequence[Sample]) -> np.ndarray:
        """(B,) int: 1 for an anomalous sample, 0 for a good one, as `Sample.label` counts."""
        return np.array([int(scored.is_anomalous) for scored in self.score(samples)], dtype=int)

    def score_features(self, row: PatchFeatures) -> dict[Modality, PatchScores]:
        """One sample's features (N, D) -> distances of its patches and its score, per modality."""
        return self._scores([row])[0]

    @property
    def _at_once(self) -> int:
        """Samples in one batch; on the CPU a batch is no faster, and may change the last bit."""
        return 1 if self.device.type == "cpu" else AT_ONCE

    def _scores(self, rows: Sequence[PatchFeatures]) -> list[dict[Modality, PatchScores]]:
        adaptation = self._fitted()
        scores: list[dict[Modality, PatchScores]] = [{} for _ in rows]
        for modality in dict.fromkeys(m for row in rows for m in row.features):
            there = [i for i, row in enumerate(rows) if modality in row.features]
            raw = torch.stack([rows[i].features[modality] for i in there])  # B N D
            on_part = torch.stack([rows[i].foreground for i in there])  # B N
            raw = raw.to(self.device, non_blocking=True)
            adapted = adaptation.adapt(modality, raw, on_part, chunk=len(raw))
            found = self.banks[modality].score_all(adapted, on_part)
            for i, result in zip(there, found, strict=True):
                scores[i][modality] = result
        return scores

    def _score(self, samples: Sequence[Sample], wanted: tuple[Modality, ...]) -> list[Scored]:
        if odd := [s for s in samples if not isinstance(s, Sample)]:
            raise DataError(NO_SAMPLE.format(type(odd[0]).__name__))
        rows = self.extractor.rows(samples, wanted)
        scores, scoring = self._scores(rows), self.config.scoring
        pairs = [(i, m) for i, found in enumerate(scores) for m in found]
        maps: list[dict[Modality, Tensor]] = [{} for _ in rows]
        for some in chunks(pairs, self._at_once if self._at_once == 1 else len(pairs)):
            distances = [scores[i][m].distances for i, m in some]
            each = [rows[i] for i, _ in some], [samples[i] for i, _ in some]
            found = maps_of_scans(distances, *each, scoring.blur, scoring.rim)
            for (i, m), values in zip(some, found, strict=True):
                maps[i][m] = values
        return [self._verdict(*each) for each in zip(samples, scores, maps, strict=True)]

    def _verdict(
        self, sample: Sample, scores: dict[Modality, PatchScores], maps: dict[Modality, Tensor]
    ) -> Scored:
        calibration = self._calibrated()
        there, fusion = "+".join(scores), calibration.fusion
        images = {m: result.image_score for m, result in scores.items()}
        image_score = float(fusion.fuse_images(images))
        threshold, promised = calibration.thresholds[there]
        return Scored(
            image_score=image_score,
            anomaly_map=fusion.fuse_maps(maps).numpy().astype(np.float32),
            modality_scores=images,
            modality_maps={m: values.numpy() for m, values in maps.items()},
            threshold=threshold,
            map_threshold=calibration.map_thresholds[there].value,
            is_anomalous=image_score > threshold,
            path=sample.path,
            promised=promised,
        )

    # --- on disk, on another device -----------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """One folder: detector.json and detector.safetensors, written beside and renamed."""
        adaptation, calibration = self._fitted(), self._calibrated()
        tensors = {
            f"adaptation.{key}": value
            for key, value in adaptation.state_dict().items()
            if key.startswith(("inputs.", "adaptors."))  # heads and banks are for training only
        }
        for modality, core in self.banks.items():
            tensors |= {f"bank.{modality}.{key}": value for key, value in core.state().items()}
        description = {
            "config": json.loads(to_json(self.config)),
            "background": self.background and json.loads(to_json(self.background)),
            "modalities": list(self.modalities),
            "widths": adaptation.widths,
            "backbones": {m: self.extractor.fingerprint(m) for m in self.modalities},
            "calibration": calibration.state(),
        }
        model_folder.write(Path(folder), description, tensors)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str | torch.device = "cpu",
        *,
        extractor: Extractor | None = None,
    ) -> LSFADetector:
        """A detector that gives the same scores, bit for bit, on the same device.

        Raises ValueError for another version, other backbones, or damage.
        """
        about, tensors = model_folder.read(Path(folder))
        with model_folder.named(Path(folder)):
            config: Config = from_json(json.dumps(about["config"]))
            cleaned = about.get("background")
            background = from_json(json.dumps(cleaned), BackgroundConfig) if cleaned else None
            detector = cls(config, device, extractor=extractor, background=background)
            detector._fill(about, tensors)
        for modality, expected in about["backbones"].items():
            if detector.extractor.fingerprint(modality) != expected:
                raise ModelError(
                    f"{folder}: was fitted with other weights of the {modality} backbone than "
                    "those found here; use the same weights file, or fit the model again"
                )
        return detector.to(device)

    def _fill(self, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """What `save` wrote, on the CPU; any error of Python's where it does not fit."""
        self.modalities, scoring = tuple(about["modalities"]), self.config.scoring
        if self.modalities not in SENSES or [*about["backbones"].keys()] != [*self.modalities]:
            raise DataError(f"modalities {about['modalities']}, backbones {about['backbones']}")
        for m in self.modalities:
            self.banks[m] = PatchCore.from_state(model_folder.part(tensors, f"bank.{m}."), scoring)
        widths = {m: core.bank.shape[1] for m, core in self.banks.items()}
        if widths != about["widths"]:
            raise DataError(f"banks have the widths {widths}, expected {about['widths']}")
        self.adaptation = Adaptation(widths, self.config.adaptation, self.config.seed)
        weights = model_folder.part(tensors, "adaptation.")
        self.adaptation.drop_training_state().load_state_dict(weights)
        self.calibration = Calibration.from_state(about["calibration"])
        if list(self.calibration.fusion.normalisers) != list(self.modalities):
            raise DataError(f"calibrated for {list(self.calibration.fusion.normalisers)}")

    def to(self, device: str | torch.device) -> LSFADetector:
        """Moved in place: the extractor with its networks, the adaptors, the banks."""
        self.device = torch.device(device)
        self.extractor.to(self.device)
        if self.adaptation is not None:
            self.adaptation.to(self.device)
        self.banks = {m: core.to(self.device) for m, core in self.banks.items()}
        return self

    # --- what can be wrong ----------------------------------------------------------------------

    def _shared(self, parts: PatchStack) -> tuple[Modality, ...]:
        """The modalities that all training samples have; a warning for those that are missing."""
        there, wanted = tuple(parts.features), self.extractor.names(self.config.modalities)
        if not there:
            raise DataError(
                f"the training samples share none of the modalities {self.config.modalities}; "
                "each needs rgb, or each needs xyz"
            )
        if missing := [m for m in wanted if m not in there]:
            warnings.warn(
                f"no {' and no '.join(missing)} in (all of) the training samples: fitting on "
                f"{there[0]} alone, without the consistency losses L_LA and L_GA",
                stacklevel=3,
            )
        return there

    def _fitted(self) -> Adaptation:
        if self.adaptation is None:
            raise ModelError(NOT_FITTED)
        return self.adaptation

    def _calibrated(self) -> Calibration:
        if self.calibration is None:
            raise ModelError(NOT_FITTED)
        return self.calibration

    def _check_wanted(self, modalities: Sequence[Modality] | None) -> tuple[Modality, ...]:
        self._calibrated()
        if strange := [m for m in modalities or () if m not in self.modalities]:
            raise DataError(f"fitted on {', '.join(self.modalities)}; cannot score with {strange}")
        return tuple(modalities or self.modalities)
