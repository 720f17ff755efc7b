"""What all peers share: how they are fitted on our parts and measured by our metrics."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from lsfa_book.baselines.peers.library import (
    fetched,
)
from lsfa_lite.config import Config, Modality
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.errors import LSFAError
from lsfa_lite.features.extract import square_pixels
from lsfa_lite.scoring.maps import unsquare
from lsfa_lite.scoring.threshold import threshold

Inputs = tuple[Tensor, ...]  # of one part: colour (3, S, S); for CFM xyz (3, S, S) in metres, too


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation, the peers' own


FPFH_WIDTH = 33


@dataclass(frozen=True)
class Training:
    """How the peers that learn are trained; the defaults are as published.

    Optimisers are in the methods below. Sources: the papers and their authors' code.
    """

    stfpm_epochs: int = 100
    stfpm_batch: int = 32
    flow_epochs: int = 240
    flow_batch: int = 16
    flow_lr: float = 2e-4
    flow_hidden: int = 1024  # channels inside CS-Flow's coupling layers
    cfm_epochs: int = 50
    cfm_batch: int = 4


PUBLISHED = Training()


# of the preset "lite": a minute on one CPU core. Small batches, so that few parts give steps, and
# for CS-Flow a tenfold rate and a thirtieth of the width.
CUT = Training(
    stfpm_epochs=8,
    stfpm_batch=4,
    flow_epochs=30,
    flow_batch=8,
    flow_lr=2e-3,
    flow_hidden=32,
)


class Peer(ABC):
    """A method of anomalib: how its model is built and fitted is said by the subclasses."""

    modalities: tuple[Modality, ...] = ("rgb",)

    def __init__(self, config: Config, device: torch.device):
        self.config, self.device = config, device
        self.training = CUT if config.name == "lite" else PUBLISHED
        self.ours = config.features.image.weights in ("package", "random")
        image = config.features.image
        self.mean, self.std = (image.mean, image.std) if self.ours else IMAGENET
        self.size = config.features.image_size
        with self._seeded():
            built = self.build_ours() if self.ours else fetched(self.build_own)
        self.model = built.to(device)

    @abstractmethod
    def build_ours(self) -> Any:
        """anomalib's model around our frozen network."""

    @abstractmethod
    def build_own(self) -> Any:
        """anomalib's model with the network that it fetches."""

    @abstractmethod
    def learn(self, inputs: Sequence[Inputs]) -> None:
        """Fit the model to the good parts."""

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample]) -> Peer:
        """Good parts to learn from; good parts, not learnt from, for the thresholds."""
        if not len(train) or not len(validation):
            raise LSFAError("train and validation: each needs good parts")
        with self._seeded():
            self.learn([self._inputs(sample) for sample in train])
        self.model.eval()
        pairs = [self._predict(sample) for sample in validation]
        rate = self.config.scoring.false_positive_rate
        self.threshold = threshold([score for score, _ in pairs], rate).value
        self.map_threshold = threshold([float(values.max()) for _, values in pairs], rate).value
        return self

    def score(self, samples: Sequence[Sample]) -> list[Scored]:
        return [self._score(sample) for sample in samples]

    def _score(self, sample: Sample) -> Scored:
        score, values = self._predict(sample)
        alone = len(self.modalities) == 1
        return Scored(
            image_score=score,
            anomaly_map=values,
            modality_scores={"rgb": score} if alone else {},
            modality_maps={"rgb": values} if alone else {},
            threshold=self.threshold,
            map_threshold=self.map_threshold,
            is_anomalous=score > self.threshold,
            path=sample.path,
        )

    @torch.no_grad()
    def _predict(self, sample: Sample) -> tuple[float, np.ndarray]:
        """The peer's score, and its map (H, W) in the sample's own pixels, 0 off the part."""
        with self._seeded():  # CFM draws points, also when it predicts
            found = self.model(*(rearrange(x, "c h w -> 1 c h w") for x in self._inputs(sample)))
        square = found.anomaly_map.reshape(found.anomaly_map.shape[-2:])  # S S
        values = unsquare(square.float().cpu(), sample.shape).numpy() * sample.foreground  # H W
        return float(found.pred_score), values.astype(np.float32)

    def _inputs(self, sample: Sample) -> Inputs:
        colour, xyz = square_pixels(sample, self.size)
        both = {"rgb": colour, "3d": xyz}
        missing = [name for name in self.modalities if both[name] is None]
        if missing:
            raise LSFAError(f"{sample.path}: has no {missing[0]}, which this peer needs")
        normal = (torch.as_tensor(colour) - torch.tensor(self.mean)) / torch.tensor(self.std)
        given = (normal, torch.as_tensor(xyz)) if "3d" in self.modalities else (normal,)
        return tuple(rearrange(x, "h w c -> c h w").contiguous().to(self.device) for x in given)

    @contextlib.contextmanager
    def _seeded(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.config.seed)
            yield


def descend(
    model: nn.Module,
    loss: Callable[[Sequence[Inputs]], Tensor],
    inputs: Sequence[Inputs],
    epochs: int,
    batch: int,
    optimiser: torch.optim.Optimizer,
    clip: float = 0.0,
) -> None:
    """Gradient descent in batches of shuffled parts; clip is the largest norm of a gradient."""
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(batch):
            optimiser.zero_grad()
            loss([inputs[int(row)] for row in rows]).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimiser.step()
