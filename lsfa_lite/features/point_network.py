"""Point-MAE: groups of points in, one feature vector per group out.

Each group of K neighbours becomes one token; a transformer lets the tokens exchange what they know;
the outputs of chosen blocks are the features of the group. Parameters carry the names of the
published checkpoint, so that it loads (point_weights.py).
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

from lsfa_lite.config import PointConfig

BatchNormKind = Literal["running", "batch"]


class TokenNorm(nn.BatchNorm1d):
    """Batch normalisation whose statistics in evaluation are a choice.

    "running" uses the means and variances learned in pretraining: a cloud's features depend on that
    cloud alone. They fit only clouds scaled as in pretraining (point_norm="unit_sphere").
    "batch" measures them on the groups at hand, and changes nothing: what M3DM and its followers do
    by never calling eval(). It undoes the scale, so it hides that raw metres went in.
    """

    statistics: BatchNormKind = "running"

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.statistics == "running":
            return super().forward(x)
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class PointLinear(nn.Conv1d):
    """The same linear map for every point, (...,C) -> (...,C').

    Its weight has the shape of the 1x1 convolution in the published checkpoint; as a matrix product
    the same map is twice as fast on a CPU.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__(width_in, width_out, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[..., 0], self.bias)


class GroupTokens(nn.Module):
    """A small PointNet: a group of K points -> one token, in any order of the points."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(
            PointLinear(3, hidden),
            TokenNorm(hidden),
            nn.ReLU(),
            PointLinear(hidden, 2 * hidden),
        )
        self.second_conv = nn.Sequential(
            PointLinear(4 * hidden, 4 * hidden),
            TokenNorm(4 * hidden),
            nn.ReLU(),
            PointLinear(4 * hidden, width),
        )

    def forward(self, neighbourhoods: Tensor) -> Tensor:
        """(B,G,K,3) relative to the centre -> (B,G,D)."""
        batch, groups, size, _ = neighbourhoods.shape
        local = self.first_conv(rearrange(neighbourhoods, "b g k c -> (b g k) c"))  # (B*G*K,2h)
        whole = reduce(local, "(n k) c -> n c", "max", k=size)  # what each group looks like
        both = torch.cat([repeat(whole, "n c -> (n k) c", k=size), local], dim=1)  # (B*G*K,4h)
        return reduce(
            self.second_conv(both), "(b g k) d -> b g d", "max", b=batch, g=groups, k=size
        )


class Blocks(nn.Module):
    """A ViT's pre-norm layers, told before every one of them where each group lies."""

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block  # seconds, at the first network

        # timm's own norm has another epsilon
        make = partial(Block, width, heads, norm_layer=nn.LayerNorm)
        self.blocks = nn.ModuleList(make() for _ in range(depth))

    def forward(self, x: Tensor, position: Tensor) -> list[Tensor]:
        outputs = []
        for block in self.blocks:
            x = block(x + position)
            outputs.append(x)
        return outputs  # one (B,G,D) per block


def position_embedding(width: int) -> nn.Sequential:
    """A centre (...,3) -> its code (...,D)."""
    return nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))


class PointMAE(nn.Module):
    """The encoder of Point-MAE (arXiv 2203.06604), as section 4.1 of the paper uses it.

    `layers` counts blocks from 0 (published code: 3, 7, 11 of 12); each chosen output goes through
    the same final norm, and they are concatenated: D' = len(layers) * width. No dropout anywhere.
    """

    def __init__(self, config: PointConfig) -> None:
        super().__init__()
        self.layers = config.layers
        self.encoder = GroupTokens(config.width, config.token_hidden)
        self.pos_embed = position_embedding(config.width)
        self.blocks = Blocks(config.width, config.heads, config.depth)
        self.norm = nn.LayerNorm(config.width)
        for module in self.modules():
            if isinstance(module, TokenNorm):
                module.statistics = config.batch_norm

    @property
    def width(self) -> int:
        """D', the width of the features."""
        return len(self.layers) * self.norm.normalized_shape[0]

    def encode(self, neighbourhoods: Tensor, centres: Tensor) -> list[Tensor]:
        """(B,G,K,3) and (B,G,3) -> the output (B,G,D) of every block, before the final norm."""
        return self.blocks(self.encoder(neighbourhoods), self.pos_embed(centres))

    def forward(self, neighbourhoods: Tensor, centres: Tensor) -> Tensor:
        """(B,G,K,3) relative to their centre and centres (B,G,3), one unit -> (B,G,D')."""
        return self.from_tokens(self.encoder(neighbourhoods), centres)

    def from_tokens(self, tokens: Tensor, centres: Tensor) -> Tensor:
        """(B,G,D) of the groups and their centres (B,G,3) -> (B,G,D')."""
        outputs = self.blocks(tokens, self.pos_embed(centres))
        return torch.cat([self.norm(outputs[i]) for i in self.layers], dim=-1)
