"""How LITE's scoring was chosen: fit once, then try every rule on the same distances.

A rule of scoring changes no feature and no bank: the largest distances of every part are enough to
try all image scores and all fusions, on parts of seeds that no table reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from lsfa_book.studies.planted import dent, stain
from lsfa_book.studies.tables import NONE
from lsfa_lite.config import FIRST, Config, Modality, ScoringConfig
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector
from lsfa_lite.features.extract import Extractor, PatchStack
from lsfa_lite.report import align
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
SETTINGS: dict[str, Config] = {
    f"{grid}, {name}": FIRST.change(features__grid=grid, **changes)
    for grid in (28, 56)
    for name, changes in {
        "none": NONE,
        "LayerNorm": NONE | {"adaptation__input": "layer_norm"},
        "length 1": NONE | {"adaptation__input": "unit"},
        "LSFA": {},
    }.items()
    if (grid, name) != (56, "length 1")
}
LEARNED = "weights from planted defects"
Scores = Mapping[Modality, np.ndarray]


@dataclass(frozen=True)
class Seen:
    """What one fitted detector says of a data set.

    scores  modality -> split -> (B, 1 + TOP): PatchCore's re-weighted maximum, then the largest
            distances; "train" is scored with each part's own rows left out
    labels  (B,) of "test"
    """

    scores: dict[Modality, dict[str, np.ndarray]]
    labels: np.ndarray


def with_planted(data: Mapping[str, Sequence[Sample]], seed: int) -> dict[str, list[Sample]]:
    """{"train", "validation", "test"} and the validation parts once more, stained and dented."""
    rng = np.random.default_rng(seed)
    splits = {name: list(parts) for name, parts in data.items()}
    splits["stain"] = [stain(sample, rng) for sample in splits["validation"]]
    splits["dent"] = [dent(sample, rng) for sample in splits["validation"]]
    return splits


def see(
    config: Config, stacks: Mapping[str, PatchStack], labels: np.ndarray, extractor: Extractor
) -> Seen:
    """Adapt to and remember "train", then score every split. stacks: not packed."""
    train = stacks["train"]
    detector = LSFADetector(config, extractor=extractor).adapt_to(train).remember(train)
    scores: dict[Modality, dict[str, np.ndarray]] = {m: {} for m in detector.modalities}
    adaptation = detector.adaptation
    assert adaptation is not None
    for m, bank in detector.banks.items():
        each = adaptation.each(m, train.features[m], train.foreground)
        left_out = bank.leave_one_out(each, train.foreground)
        scores[m]["train"] = largest(left_out)
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


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[tuple[str, str], float]]:
    """Setting -> {(image score, view): mean image AUROC} over its categories and seeds."""
    found = {}
    for setting in dict.fromkeys(row["setting"] for row in rows):
        tables = [row["i_auroc"] for row in rows if row["setting"] == setting]
        found[setting] = {
            tuple(key.split(" | ")): float(np.mean([table[key] for table in tables]))
            for key in tables[0]
        }
    return found


def told(rows: Sequence[Mapping[str, Any]]) -> str:
    """The means as text: a line for each setting and image score, a column for each view."""
    lines: list[tuple[str, ...]] = []
    for setting, table in means(rows).items():
        heads = list(dict.fromkeys(view for _, view in table))
        lines = lines or [("setting", "image score", *heads)]
        for how in IMAGE_SCORES:
            lines.append((setting, how, *(f"{table[how, view]:.3f}" for view in heads)))
    return align(lines)
