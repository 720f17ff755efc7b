"""Adaptors psi (section 3.1, Table 6): a small trainable map behind each frozen backbone.

They see patches as a set: none has a positional code, so patches may be left out or reordered.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lsfa_lite.config import AdaptationConfig
from lsfa_lite.errors import SettingError


def make_adaptor(config: AdaptationConfig, width: int) -> nn.Module:
    """The adaptor that config.adaptor names.

    Called with features (B, N, D) and foreground (B, N) bool or None -> (B, N, D). With
    config.zero_init it starts as the identity, except a post-norm encoder: its last operation is a
    LayerNorm, which no weight can undo.
    """
    if config.adaptor in ("encoder", "encoder2"):
        depth = 2 if config.adaptor == "encoder2" else 1
        heads = largest_divisor(width, config.heads)
        return EncoderAdaptor(width, depth, heads, config.norm == "pre", config.zero_init)
    if config.adaptor == "linear":
        return LinearAdaptor(width, config.zero_init)
    if config.adaptor == "conv1x1":
        return ConvAdaptor(width, config.zero_init)
    if config.adaptor == "identity":
        return IdentityAdaptor()
    raise SettingError(
        f"adaptor is {config.adaptor!r}, expected encoder, encoder2, linear, conv1x1 or identity"
    )


def largest_divisor(width: int, limit: int) -> int:
    """The most attention heads that divide the width evenly, at most `limit`."""
    return max(heads for heads in range(1, min(limit, width) + 1) if width % heads == 0)


class EncoderAdaptor(nn.Module):
    """The paper's adaptor: `depth` vanilla transformer encoder layers (section 3.1).

    Open in the paper: heads, MLP width (here 4 D), pre- or post-norm, dropout (none), positions
    (none). Background patches are padding: no patch of the part attends to them.
    """

    def __init__(self, width: int, depth: int, heads: int, pre_norm: bool, zero_init: bool) -> None:
        super().__init__()
        layers = [
            nn.TransformerEncoderLayer(
                width,
                heads,
                dim_feedforward=4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=pre_norm,
            )
            for _ in range(depth)
        ]
        for layer in layers if zero_init else []:
            for last in (layer.self_attn.out_proj, layer.linear2):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)
        self.layers = nn.ModuleList(layers)

    def train(self, mode: bool = True) -> EncoderAdaptor:
        """The layers stay in training mode: without dropout it computes the same, but by
        scaled_dot_product_attention; torch's inference path holds all N x N attention weights.
        """
        super().train(mode)
        self.layers.train(True)
        return self

    def forward(self, features: Tensor, foreground: Tensor | None = None) -> Tensor:
        padding = None
        if foreground is not None:
            # where all is background nothing is padding: a softmax over nothing would be NaN
            padding = ~foreground & foreground.any(1, keepdim=True)  # (B, N)
        for layer in self.layers:
            features = layer(features, src_key_padding_mask=padding)  # (B, N, D)
        return features


class LinearAdaptor(nn.Module):
    """One linear map of each patch; with zero_init it starts as the identity matrix."""

    def __init__(self, width: int, zero_init: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        if zero_init:
            nn.init.eye_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor, foreground: Tensor | None = None) -> Tensor:
        return self.linear(features)


class ConvAdaptor(nn.Module):
    """x + conv(relu(conv(x))), both 1 x 1.

    A single 1 x 1 convolution is `linear` under another name, yet Table 6 lists both with different
    results; what lies between is not printed. We read it as two convolutions around a ReLU.
    A 1 x 1 kernel sees no neighbours, so that the grid may be given as a row of N patches.
    """

    def __init__(self, width: int, zero_init: bool) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, width, kernel_size=1)
        self.second = nn.Conv1d(width, width, kernel_size=1)
        if zero_init:
            nn.init.zeros_(self.second.weight)
            nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, foreground: Tensor | None = None) -> Tensor:
        channels = features.mT  # (B, D, N)
        return features + self.second(torch.relu(self.first(channels))).mT  # (B, N, D)


class IdentityAdaptor(nn.Module):
    """No adaptation."""

    def forward(self, features: Tensor, foreground: Tensor | None = None) -> Tensor:
        return features
