"""Fit once, then try every rule of scoring on the same distances.

A rule of scoring changes no feature and no bank: the largest distances of every part are enough to
try all image scores and all fusions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from lsfa_lite.config import Config, Modality, ScoringConfig
from lsfa_lite.data.files import written_beside
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector
from lsfa_lite.features.extract import Extractor, FeatureExtractor, PatchStack
from lsfa_lite.scoring.calibration import cross_fitted
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.metrics import image_auroc
from lsfa_lite.scoring.patchcore import PatchScores

TOP = 20  # distances of a part that are kept
GOOD = ("train", "validation")  # splits that a rule may learn from
PLANTED = ("stain", "dent")
IMAGE_SCORES = {"max": 0, "top 1": 1, "top 3": 3, "top 5": 5, "top 10": 10, "top 20": 20}
FUSIONS: dict[str, ScoringConfig] = {
    "mean of z-scores": ScoringConfig(),
    "sum of raw scores": ScoringConfig(normalise="none", fusion="sum"),
    "largest z-score": ScoringConfig(fusion="max"),
    "Fisher": ScoringConfig(normalise="tail"),
    "smallest p": ScoringConfig(normalise="tail", fusion="max"),
    "one-class SVM": ScoringConfig(fusion="ocsvm"),
}
LEARNED = "weights from planted defects"
Scores = Mapping[Modality, np.ndarray]


@dataclass(frozen=True)
class Seen:
    """What one fitted detector says of a data set.

    scores  modality -> split -> (B, 1 + TOP): PatchCore's re-weighted maximum, then the largest
            distances; "train" is scored with each part's own rows left out, "folds", where asked
            for, are the same parts by banks of the other folds
    labels  (B,) of "test"
    """

    scores: dict[Modality, dict[str, np.ndarray]]
    labels: np.ndarray


def see(
    config: Config,
    stacks: Mapping[str, PatchStack],
    labels: np.ndarray,
    extractor: Extractor,
    folds: bool = False,
) -> Seen:
    """Adapt to and remember "train", then score every split. stacks: not packed."""
    train = stacks["train"]
    detector = LSFADetector(config, extractor=extractor).adapt_to(train).remember(train)
    scores: dict[Modality, dict[str, np.ndarray]] = {m: {} for m in detector.modalities}
    adaptation = detector.adaptation
    assert adaptation is not None
    for m, bank in detector.banks.items():
        given, on = (m, train.features[m], train.foreground), train.foreground
        scores[m]["train"] = largest(bank.leave_one_out(adaptation.each(*given), on))
        if folds:
            anew = cross_fitted(adaptation.each(*given), on, config.scoring, config.seed)
            scores[m]["folds"] = largest(anew)
    for name in stacks.keys() - {"train"}:
        rows = [detector.score_features(stacks[name].sample(i)) for i in range(len(stacks[name]))]
        for m in detector.modalities:
            scores[m][name] = largest([row[m] for row in rows])
    return Seen(scores, labels)


def largest(found: Sequence[PatchScores]) -> np.ndarray:
    """(B, 1 + TOP)."""
    images = torch.tensor([score.image_score for score in found])[:, None]
    distances = torch.stack([score.distances for score in found]).cpu()  # (B, N)
    return torch.cat([images, distances.topk(TOP, dim=1).values], dim=1).numpy()


def image_score(kept: np.ndarray, count: int) -> np.ndarray:
    """(B, 1 + TOP) -> (B,): the mean of the `count` largest; 0 is PatchCore's re-weighted one."""
    return kept[:, 0] if count == 0 else kept[:, 1 : count + 1].mean(axis=1)


def judge(seen: Seen) -> dict[tuple[str, str], float]:
    """{(image score, view): image AUROC}; a view is a modality alone, or a fusion."""
    table = {}
    for how, count in IMAGE_SCORES.items():
        split = {
            name: {m: image_score(kept[name], count) for m, kept in seen.scores.items()}
            for name in next(iter(seen.scores.values()))
        }
        for view, values in views(split).items():
            table[how, view] = image_auroc(values, seen.labels)
    return table


def views(split: Mapping[str, Scores]) -> dict[str, np.ndarray]:
    """Scores of the test parts: each modality's own, and every fusion, learned from good parts."""
    good = {m: np.concatenate([split[name][m] for name in GOOD]) for m in split["test"]}
    shown: dict[str, np.ndarray] = {str(m): values for m, values in split["test"].items()}
    if len(good) == 2:
        for name, config in FUSIONS.items():
            fused = Fusion.fit(good, good, config).fuse_images(tensors(split["test"]))
            shown[name] = fused.numpy()
        if split.keys() >= set(PLANTED):
            planted = [split[name] for name in PLANTED]
            shown[LEARNED] = learned(good, planted, split["test"])
    return shown


def learned(good: Scores, planted: Sequence[Scores], test: Scores) -> np.ndarray:
    """A weight >= 0 for each sense's z-score, by a logistic regression of planted against good."""
    normalisers = Fusion.fit(good, good, FUSIONS["mean of z-scores"]).normalisers

    def rows(scores: Scores) -> np.ndarray:
        scaled = [normalisers[m].image(torch.from_numpy(scores[m])).numpy() for m in good]
        return np.stack(scaled, axis=1)  # (B, modalities)

    bad = np.concatenate([rows(scores) for scores in planted])
    both = np.concatenate([rows(good), bad])
    labels = np.arange(len(both)) >= len(both) - len(bad)
    fitted = LogisticRegression(class_weight="balanced").fit(both, labels)
    return rows(test) @ np.maximum(fitted.coef_[0], 0)


def tensors(scores: Scores) -> dict[Modality, torch.Tensor]:
    return {m: torch.from_numpy(values) for m, values in scores.items()}


@dataclass(frozen=True)
class Setting:
    """What is fitted; shots: training parts, drawn with the seed `draw`, None is all."""

    config: Config
    shots: int | None = None
    draw: int = 0


def splits(parts: Any) -> dict[str, Sequence[Sample]]:
    """Of a workshop, or of a category of files."""
    return {"train": parts.train, "validation": parts.validation, "test": parts.test}


def measure(
    data: Mapping[str, Sequence[Sample]],
    settings: Mapping[Path, Setting],
    folds: bool = False,
) -> None:
    """See every setting whose file is not there yet.

    Features are made once for each configuration of them, with the seed of its first setting.

    data      {"train", "validation", "test", and what else is to be scored}
    settings  the file that `save` writes -> what is fitted
    folds     whether training parts are scored by banks of the other folds, too
    """
    waiting = {path: setting for path, setting in settings.items() if not path.exists()}
    labels = np.array([sample.label for sample in data["test"]])
    for what in dict.fromkeys(setting.config.features for setting in waiting.values()):
        here = {path: s for path, s in waiting.items() if s.config.features == what}
        config = next(iter(here.values())).config
        extractor = FeatureExtractor(what, "cpu", config.seed)
        stacks = {name: extractor.stack(rows, config.modalities) for name, rows in data.items()}
        for path, setting in here.items():
            few = stacks | {"train": some(stacks["train"], setting.shots, setting.draw)}
            save(see(setting.config, few, labels, extractor, folds), path)


def some(stack: PatchStack, shots: int | None, seed: int) -> PatchStack:
    """`shots` of a stack's parts, as `studies.reproduce.few` draws them."""
    if shots is None:
        return stack
    chosen = np.sort(np.random.default_rng(seed).choice(len(stack), shots, replace=False))
    features = {m: values[chosen] for m, values in stack.features.items()}
    return PatchStack(features, stack.foreground[chosen])


def save(seen: Seen, path: Path) -> None:
    """One .npz: "rgb train", ..., and the labels."""
    rows: dict[str, Any] = {
        f"{m} {name}": kept for m, of in seen.scores.items() for name, kept in of.items()
    }
    with written_beside(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **(rows | {"labels": seen.labels}))


def load(path: Path) -> Seen:
    with np.load(path, allow_pickle=False) as stored:
        scores: dict[Modality, dict[str, np.ndarray]] = {}
        for key in stored.files:
            if key != "labels":
                m, _, name = key.partition(" ")
                scores.setdefault(m, {})[name] = stored[key]
        return Seen(scores, stored["labels"])


def kept(out: Path) -> Iterator[tuple[str, int, str, Seen]]:
    """Category, seed, setting and what was seen, of every file CATEGORY-SEED-SETTING.npz in OUT."""
    for path in sorted(out.glob("*.npz")):
        category, seed, setting = path.stem.split("-", 2)
        yield category, int(seed), setting, load(path)
