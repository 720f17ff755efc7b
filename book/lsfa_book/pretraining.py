"""How the point network learns without labels: hide groups, and rebuild them from the rest.

Source: Point-MAE (arXiv 2203.06604), section 3. data_scripts/pretrain_point_mae.py trains with it.
"""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from lsfa_lite.config import PointConfig
from lsfa_lite.features.point_network import Blocks, PointMAE, position_embedding


def chamfer(predicted: Tensor, target: Tensor) -> Tensor:
    """Chamfer-L2 distance of point sets (...,K,3) and (...,T,3) -> (...).

    Mean squared distance to the nearest point of the other set, in both directions, summed.
    """
    distance = torch.cdist(predicted, target).square()  # (...,K,T)
    return distance.amin(dim=-1).mean(dim=-1) + distance.amin(dim=-2).mean(dim=-1)


def stretch(points: Tensor, normals: Tensor, factor: float) -> Tensor:
    """Lengthen the part of (...,K,3) that lies along the group's normal (...,3).

    A patch of surface is flat: how its points happen to be spread over it dominates the Chamfer
    distance, and a dent hardly counts. In a space that is stretched along the normal it does.
    """
    normals = normals.unsqueeze(-2)  # (...,1,3)
    height = (points * normals).sum(dim=-1, keepdim=True)  # (...,K,1)
    return points + (factor - 1) * height * normals


def take(values: Tensor, index: Tensor) -> Tensor:
    """Rows of (B,G,...) by (B,V) -> (B,V,...)."""
    return values[torch.arange(len(values), device=values.device)[:, None], index]


class MaskedAutoencoder(nn.Module):
    """The encoder, a light decoder, and a linear head that gives the K points of a group."""

    def __init__(self, encoder: PointMAE, config: PointConfig, decoder_depth: int = 2) -> None:
        super().__init__()
        self.encoder = encoder
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        self.decoder_pos_embed = position_embedding(config.width)
        self.decoder = Blocks(config.width, config.heads, decoder_depth)
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, 3 * config.group_size)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, neighbourhoods: Tensor, centres: Tensor, visible: Tensor) -> Tensor:
        """Rebuild all groups from the visible ones.

        neighbourhoods (B,G,K,3), centres (B,G,3), visible (B,V) long -> (B,G,K,3) relative to the
        centres. Of a hidden group the network sees the centre only.
        """
        batch, groups = centres.shape[:2]
        blocks = self.encoder.encode(take(neighbourhoods, visible), take(centres, visible))
        hidden = repeat(self.mask_token, "d -> b g d", b=batch, g=groups)
        index = repeat(visible, "b v -> b v d", d=hidden.shape[-1])
        tokens = hidden.scatter(1, index, self.encoder.norm(blocks[-1]))  # (B,G,D)
        decoded = self.norm(self.decoder(tokens, self.decoder_pos_embed(centres))[-1])
        return rearrange(self.head(decoded), "b g (k c) -> b g k c", c=3)


def reconstruction_loss(
    predicted: Tensor, target: Tensor, normals: Tensor, visible: Tensor, factor: float
) -> tuple[Tensor, Tensor]:
    """Mean Chamfer-L2 over hidden groups, and over visible ones.

    predicted (B,G,K,3), target (B,G,T,3) without sensor noise, normals (B,G,3) -> two scalars.
    """
    distance = chamfer(
        stretch(predicted, normals, factor), stretch(target, normals, factor)
    )  # (B,G)
    hidden = torch.ones_like(distance).scatter(1, visible, 0.0)  # (B,G)
    return (distance * hidden).sum() / hidden.sum(), (distance * (1 - hidden)).sum() / (
        1 - hidden
    ).sum()
