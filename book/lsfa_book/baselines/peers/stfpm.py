"""STFPM: a student imitates a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lsfa_book.baselines.peers.library import (
    anomalib,
    assembled,
    our_network,
)
from lsfa_book.baselines.peers.peer import (
    Inputs,
    Peer,
    descend,
)


class STFPM(Peer):
    """STFPM (arXiv 2103.04257): a student, from scratch, imitates three stages of the network."""

    def build_ours(self) -> Any:
        module = anomalib("stfpm")
        network, name, layers = our_network(self.config, (1, 2, 3))
        teacher = module.TimmFeatureExtractor(name, layers, pre_trained=False)
        teacher.feature_extractor = network
        return assembled(
            module.STFPMModel,
            tiler=None,
            teacher_model=teacher,
            student_model=module.TimmFeatureExtractor(name, layers, False, requires_grad=True),
            anomaly_map_generator=module.AnomalyMapGenerator(),
        )

    def build_own(self) -> Any:  # ResNet-18
        return anomalib("stfpm").STFPMModel(["layer1", "layer2", "layer3"])

    def learn(self, inputs: Sequence[Inputs]) -> None:
        summed = anomalib("stfpm", "loss").STFPMLoss()
        weights = self.model.student_model.parameters()
        optimiser = torch.optim.SGD(weights, lr=0.4, momentum=0.9, weight_decay=1e-4)

        def loss(batch: Sequence[Inputs]) -> Tensor:
            colour = torch.stack([colour for (colour,) in batch])  # B 3 S S
            return summed(*self.model(colour)) / len(batch)  # the authors' is a mean

        epochs, size = self.training.stfpm_epochs, self.training.stfpm_batch
        descend(self.model, loss, inputs, epochs, size, optimiser)
