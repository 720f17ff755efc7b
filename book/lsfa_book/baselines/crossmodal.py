"""Crossmodal mapping: guess what one sense sees from what the other sees, and be surprised.

The idea of CFM (Costanzino et al., CVPR 2024, arXiv 2312.04521), on our own networks. It is not
the authors' method: networks, layers, loss and schedule are others, and their code, which has a
non-commercial licence, is not used. No bank is kept: two small networks are all that remains of
the training parts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lsfa_lite.adaptation.whitening import InputTransform
from lsfa_lite.config import FIRST, Config, Modality
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.errors import LSFAError
from lsfa_lite.evaluation import Table, evaluate
from lsfa_lite.features.extract import FeatureExtractor, PatchFeatures
from lsfa_lite.scoring.maps import map_of_scan
from lsfa_lite.scoring.threshold import threshold

WHAT = ("product", "sum", "strangers")
OTHER: dict[Modality, Modality] = {"rgb": "3d", "3d": "rgb"}
Rows = Mapping[Modality, Tensor]  # {"rgb": (Q, D), "3d": (Q, E)}, the same Q patches


@dataclass(frozen=True)
class Training:
    """Chosen on mini3d's seed 100, which is in no table; not CFM's."""

    hidden: int = 64
    steps: int = 300
    rows: int = 512  # patches per step, drawn from all training parts
    lr: float = 1e-3


def surprise(seen: Tensor, guessed: Tensor) -> Tensor:
    """How far each patch is from its guess: (Q, D) twice -> (Q,).

    The Euclidean distance over sqrt(D): of standardised features it is about 1 for a guess that
    knows no more than the mean, whatever the width, so that both senses count in one unit.
    """
    return (seen - guessed).norm(dim=1) / seen.shape[1] ** 0.5  # (Q,)


def combined(surprises: Rows, how: str) -> Tensor:
    """Of both senses (Q,) each: the product, for which both guesses must fail, or the "sum"."""
    rgb, points = surprises["rgb"], surprises["3d"]
    return rgb + points if how == "sum" else rgb * points


class Crossmodal(nn.Module):
    """Two small networks: guess["rgb"] makes colour from shape, guess["3d"] shape from colour."""

    def __init__(self, rows: Rows, hidden: int):
        super().__init__()
        width = {name: values.shape[1] for name, values in rows.items()}
        self.inputs = nn.ModuleDict(
            {name: InputTransform.fit(values, "standardise") for name, values in rows.items()}
        )
        self.guess = nn.ModuleDict(
            {name: mlp(width[OTHER[name]], hidden, width[name]) for name in rows}
        )

    def forward(self, rows: Rows) -> dict[Modality, Tensor]:
        """{"rgb": (Q, D), "3d": (Q, E)} -> how surprising each patch is, {"rgb": (Q,), "3d": (Q,)}.

        A patch that is odd in one sense alone surprises twice: as what is guessed, and as what
        the other is guessed from.
        """
        seen = {name: self.inputs[name](values) for name, values in rows.items()}
        return {name: surprise(seen[name], self.guess[name](seen[OTHER[name]])) for name in seen}


def mlp(width_in: int, hidden: int, width_out: int) -> nn.Sequential:
    """Three layers: (..., width_in) -> (..., width_out)."""
    return nn.Sequential(
        nn.Linear(width_in, hidden),
        nn.GELU(),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Linear(hidden, width_out),
    )


def among_strangers(rows: Rows, seed: int = 0) -> dict[Modality, Tensor]:
    """Each colour beside the shape of another patch, drawn at random: the control experiment.

    Nothing can be guessed from a stranger, so what is learned from such rows is the mean.
    """
    order = torch.randperm(len(rows["3d"]), generator=torch.Generator().manual_seed(seed))
    return {"rgb": rows["rgb"], "3d": rows["3d"][order.to(rows["3d"].device)]}


def learn(rows: Rows, training: Training | None = None, seed: int = 0) -> Crossmodal:
    """Foreground patches of good parts -> networks that are rarely surprised by them."""
    training = training or Training()
    device = rows["rgb"].device
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        mapping = Crossmodal(rows, training.hidden).to(device)
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(mapping.guess.parameters(), lr=training.lr)
    for _ in range(training.steps):
        chosen = torch.randint(len(rows["rgb"]), (training.rows,), generator=draw).to(device)
        surprises = mapping({name: values[chosen] for name, values in rows.items()})
        loss = surprises["rgb"].square().mean() + surprises["3d"].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return mapping.eval()


class CrossmodalDetector:
    """The mapping as a detector: `fit` on good parts, `score` any. The image score is the largest
    of the patches; each modality's own score is the surprise at what was guessed for it.

    what    "product" or "sum" of both surprises; "strangers" is the product, learned from rows
            whose senses do not belong together.
    """

    def __init__(
        self, what: str = "product", config: Config = FIRST, device: str | torch.device = "cpu"
    ):
        if what not in WHAT:
            raise LSFAError(f"no way {what!r} to combine surprises; there are {', '.join(WHAT)}")
        self.what, self.config, self.device = what, config, torch.device(device)
        self.extractor = FeatureExtractor(config.features, self.device, config.seed)

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample]) -> CrossmodalDetector:
        """Raises ValueError for parts that lack a sense: there is nothing to guess it from."""
        stack = self.extractor.stack(train)
        if len(stack.features) < 2:
            raise LSFAError("a training part lacks rgb or xyz; crossmodal mapping needs both")
        seen = stack.foreground
        rows = {name: f[seen].to(self.device) for name, f in stack.features.items()}  # Q D
        if self.what == "strangers":
            rows = among_strangers(rows, self.config.seed)
        self.mapping = learn(rows, seed=self.config.seed)
        rate = self.config.scoring.false_positive_rate
        found = [self._look(sample) for sample in validation]
        self.threshold = threshold([scores["all"] for scores, _ in found], rate).value
        self.map_threshold = threshold([maps["all"].max() for _, maps in found], rate).value
        return self

    def score(self, samples: Sequence[Sample]) -> list[Scored]:
        return [self._score(sample) for sample in samples]

    def _score(self, sample: Sample) -> Scored:
        scores, maps = self._look(sample)
        score, anomalies = scores.pop("all"), maps.pop("all")
        return Scored(
            image_score=score,
            anomaly_map=anomalies,
            modality_scores=scores,
            modality_maps=maps,
            threshold=self.threshold,
            map_threshold=self.map_threshold,
            is_anomalous=score > self.threshold,
            path=sample.path,
        )

    @torch.no_grad()
    def _look(self, sample: Sample) -> tuple[dict[Any, float], dict[Any, np.ndarray]]:
        """Image score and map (H, W) under "rgb", "3d" and "all", which is both combined."""
        found = self.extractor(sample)
        if len(found.features) < 2:
            raise LSFAError(f"{sample.path}: crossmodal mapping needs both rgb and xyz")
        seen = found.foreground
        rows = {name: f[seen].to(self.device) for name, f in found.features.items()}  # Q D
        surprises = self.mapping(rows)  # Q
        surprises["all"] = combined(surprises, self.what)
        scores = {name: values.max().item() for name, values in surprises.items()}
        return scores, {name: self._map(x.cpu(), found, sample) for name, x in surprises.items()}

    def _map(self, values: Tensor, found: PatchFeatures, sample: Sample) -> np.ndarray:
        """(Q,) -> (H, W) float32 in the sample's own pixels, 0 off the part."""
        patches = torch.zeros(len(found.foreground))  # N
        patches[found.foreground] = values
        scoring = self.config.scoring
        return map_of_scan(patches, found, sample, scoring.blur, scoring.rim).numpy()


def run(
    what: str,
    config: Config,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    test: Sequence[Sample],
    device: str | torch.device = "cpu",
) -> Table:
    """Fit to good parts, score, measure. `what`: see CrossmodalDetector."""
    detector = CrossmodalDetector(what, config, device).fit(train, validation)
    return evaluate(detector.score(test), test)


def shipped(what: str) -> dict[tuple[str, int], float]:
    """(category, seed) -> image AUROC that `run` finds with FIRST on mini3d as it is by default,
    for that seed of parts and networks; `what` is "product" or "strangers".
    """
    path = files("lsfa_book.records").joinpath("crossmodal.json")
    rows = json.loads(path.read_text())
    return {(r["category"], r["seed"]): r["i_auroc"] for r in rows if r["what"] == what}
