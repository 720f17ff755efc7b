"""CFM: what one sense sees is predicted from the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from lsfa_book.baselines.peers.library import (
    anomalib,
    assembled,
)
from lsfa_book.baselines.peers.peer import (
    FPFH_WIDTH,
    Inputs,
    Peer,
    descend,
)
from lsfa_lite.config import Config
from lsfa_lite.data.sample import Sample
from lsfa_lite.features.extract import FeatureExtractor


class CFM(Peer):
    """CFM (CVPR 2024): each modality's features are predicted from the other's.

    With our networks the features are those of our detector, on its grid of patches. Its own are
    DINO's from a hub and Point-MAE's, whose file is `config.features.points.weights`. Where there
    is no point the map is zero before it is blurred and its largest values become the score: so it
    is with the authors, but not in anomalib, whose score is then one of the background.
    """

    modalities = ("rgb", "3d")

    def build_ours(self) -> Any:
        module, described = anomalib("cfm"), OurFeatures(self.config, self.device)
        rgb, xyz = described.widths
        return assembled(
            module.CFMModel,
            feature_extractors=described,
            xyz_to_rgb_mapper=module.FeatureProjectionMLP(xyz, rgb),
            rgb_to_xyz_mapper=module.FeatureProjectionMLP(rgb, xyz),
            cos_sim=nn.CosineSimilarity(dim=1, eps=1e-6),
            anomaly_map_generator=on_points(module.CFMAnomalyMapGenerator),
        )

    def build_own(self) -> Any:
        points = self.config.features.points
        if not Path(points.weights).is_file():  # anomalib would fetch them itself
            raise FileNotFoundError(f"no file {points.weights!r} with the weights of Point-MAE")
        module = anomalib("cfm")
        model = module.CFMModel(
            "vit_base_patch8_224.dino", points.group_size, points.groups, points.weights
        )
        model.anomaly_map_generator = on_points(module.CFMAnomalyMapGenerator)
        return model

    def learn(self, inputs: Sequence[Inputs]) -> None:
        optimiser = torch.optim.Adam(self.model.mapper_parameters(), lr=1e-3)

        def loss(batch: Sequence[Inputs]) -> Tensor:  # one by one: each part has its own pixels
            return torch.stack([self.model(c[None], p[None])["loss"] for c, p in batch]).mean()

        epochs, size = self.training.cfm_epochs, self.training.cfm_batch
        descend(self.model, loss, inputs, epochs, size, optimiser)


def on_points(generator: Any) -> Any:
    """anomalib's map of CFM, zero where a modality has no features."""

    class OnPoints(generator):
        @staticmethod
        def compute_distance(real: Tensor, predicted: Tensor) -> Tensor:
            there = real.abs().sum(dim=1) > 0  # B h w
            return generator.compute_distance(real, predicted) * there

    return OnPoints()


class OurFeatures(nn.Module):
    """Our detector's patch features where CFM looks for its own: one part, (1, D, grid, grid)."""

    def __init__(self, config: Config, device: torch.device):
        super().__init__()
        self.extractor = FeatureExtractor(config.features, device, config.seed)
        networks = [self.extractor.network(modality) for modality in CFM.modalities]
        self.widths = [getattr(network, "width", FPFH_WIDTH) for network in networks]
        self.image = config.features.image

    def get_features_maps(self, rgb: Tensor, pc: Tensor) -> tuple[Tensor, ...]:
        colour, xyz = (rearrange(x, "1 c h w -> h w c").cpu() for x in (rgb, pc))
        colour = colour * torch.tensor(self.image.std) + torch.tensor(self.image.mean)  # 0..1 again
        found = self.extractor(Sample(colour.clamp(0, 1).numpy(), xyz.numpy())).features
        grid = self.extractor.config.grid
        maps = (rearrange(found[m], "(h w) d -> 1 d h w", h=grid) for m in CFM.modalities)
        return tuple(m.to(rgb.device) for m in maps)
