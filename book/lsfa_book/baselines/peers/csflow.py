"""CS-Flow: the likelihood of features, by a normalising flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
from lsfa_lite.config import Config
from lsfa_lite.errors import LSFAError


class CSFlow(Peer):
    """CS-Flow (arXiv 2110.02855): the likelihood of a picture's features on three scales.

    It wants pictures of a multiple of 128 pixels. anomalib's flow is made for 304 channels, those
    of EfficientNet-B5; of our network's last stage it gets as many, drawn by the seed.
    """

    def __init__(self, config: Config, device: torch.device):
        side = 128 * -(-config.features.image_size // 128)  # rounded up
        super().__init__(config.change(features__image_size=side), device)

    def build_ours(self) -> Any:
        module, picture = anomalib("csflow"), (3, self.size, self.size)
        network, _, _ = our_network(self.config, (4,))
        return assembled(
            module.CsFlowModel,
            feature_extractor=Scales(network, 304),
            graph=module.CrossScaleFlow(picture, 4, 3, self.training.flow_hidden),
            anomaly_map_generator=module.AnomalyMapGenerator(picture),
        )

    def build_own(self) -> Any:  # EfficientNet-B5
        size, hidden = (self.size, self.size), self.training.flow_hidden
        return anomalib("csflow").CsFlowModel(size, hidden)

    def learn(self, inputs: Sequence[Inputs]) -> None:
        likelihood, flow = anomalib("csflow", "loss").CsFlowLoss(), self.model.graph
        optimiser = torch.optim.Adam(
            flow.parameters(), self.training.flow_lr, (0.5, 0.9), eps=1e-4, weight_decay=1e-5
        )
        with torch.no_grad():  # the network is frozen: each picture is described once
            maps = [tuple(self.model.feature_extractor(colour[None])) for (colour,) in inputs]

        def loss(batch: Sequence[Inputs]) -> Tensor:
            z, change = flow([torch.cat(scale) for scale in zip(*batch, strict=True)])
            return likelihood(z, change / len(batch))  # anomalib sums it over the batch

        epochs, size = self.training.flow_epochs, self.training.flow_batch
        descend(flow, loss, maps, epochs, size, optimiser, clip=1.0)


class Scales(nn.Module):
    """Pictures (B, 3, S, S) -> the last stage's maps at S, S / 2 and S / 4, of `width` channels."""

    chosen: Tensor

    def __init__(self, network: Any, width: int):
        super().__init__()
        channels = network.feature_info.channels()[-1]
        if channels < width:
            raise LSFAError(f"CS-Flow needs {width} channels; the last stage has {channels}")
        self.network = network
        self.register_buffer("chosen", torch.randperm(channels)[:width].sort().values)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        side = pictures.shape[-1]
        smaller = [F.interpolate(pictures, size=(side // k, side // k)) for k in (1, 2, 4)]
        return [self.network(picture)[-1][:, self.chosen] for picture in smaller]
