"""PaDiM and PatchCore: what is kept of the good parts is compared with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lsfa_book.baselines.peers.library import (
    anomalib,
    our_network,
)
from lsfa_book.baselines.peers.peer import (
    Inputs,
    Peer,
)


class Padim(Peer):
    """PaDiM (arXiv 2011.08785): in each place a Gaussian of 100 channels of three stages."""

    def build_ours(self) -> Any:
        network, name, layers = our_network(self.config, (1, 2, 3))  # strides of ResNet's layers
        channels = min(100, sum(network.feature_info.channels()))
        model = anomalib("padim").PadimModel(name, layers, False, channels)
        model.feature_extractor.feature_extractor = network
        return model

    def build_own(self) -> Any:
        return anomalib("padim").PadimModel()  # ResNet-18

    @torch.no_grad()
    def learn(self, inputs: Sequence[Inputs]) -> None:
        self.model.train()
        for (colour,) in inputs:
            self.model(colour[None])
        self.model.fit()


class PatchCore(Peer):
    """PatchCore (arXiv 2106.08265), anomalib's own: distances to 10 % of the training patches."""

    def build_ours(self) -> Any:
        network, name, layers = our_network(self.config, (2, 3))
        model = anomalib("patchcore").PatchcoreModel(layers, name, pre_trained=False)
        model.feature_extractor.feature_extractor = network
        return model

    def build_own(self) -> Any:  # Wide ResNet-50
        return anomalib("patchcore").PatchcoreModel(["layer2", "layer3"])

    @torch.no_grad()
    def learn(self, inputs: Sequence[Inputs]) -> None:
        self.model.train()
        patches = torch.cat([self.model(colour[None]) for (colour,) in inputs])  # M D
        self.model.embedding_store.clear()
        sampler = frugal(anomalib("patchcore").KCenterGreedy)(patches, 0.1)
        # its projection draws from NumPy, without a seed of its own
        sampler.model.random_state = np.random.RandomState(self.config.seed)
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that cannot be turned off
            self.model.memory_bank = sampler.sample_coreset()


def frugal(sampler: Any) -> Any:
    """anomalib's greedy coreset without a copy of all patches in every step.

    Those copies, between the few bytes that each step keeps, tear the heap to pieces: more than
    20 GB for 31,000 patches on a CPU under Linux.
    """

    class Frugal(sampler):
        min_distances: Any

        def update_distances(self, cluster_center: Any) -> None:
            centre = self.features[cluster_center].reshape(1, -1)  # 1 D
            mode = "donot_use_mm_for_euclid_dist"
            new = torch.cdist(self.features, centre, compute_mode=mode)  # M 1
            old = self.min_distances
            self.min_distances = new if old is None else torch.minimum(old, new)

    return Frugal
