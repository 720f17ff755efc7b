"""FLOPs of the networks and adaptors, by formula. One multiply-add is 2; elementwise work is 0."""

from __future__ import annotations

from functools import cache
from typing import Any

import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from lsfa_lite.adaptation.adaptors import make_adaptor
from lsfa_lite.config import AdaptationConfig, FeatureConfig, Modality, PointConfig
from lsfa_lite.features.image import is_transformer


def encoder_flops(tokens: float, width: int, hidden: int = 4) -> float:
    """One transformer layer, forward: q, k, v, output and MLP, and the two products with N x N."""
    return 2 * tokens * width**2 * (4 + 2 * hidden) + 4 * tokens**2 * width


def vit_flops(size: int, patch: int, width: int, depth: int, prefix: int = 1) -> float:
    """A ViT on one size x size picture, `prefix` class and register tokens."""
    tokens = (size // patch) ** 2
    return 2 * tokens * 3 * patch**2 * width + depth * encoder_flops(tokens + prefix, width)


@cache
def image_facts(backbone: str, stages: tuple[int, ...], size: int) -> tuple[float, int, int, int]:
    """FLOPs of one picture, parameters, width of the features, layers (names and shapes only)."""
    with torch.device("meta"):
        network: Any = timm.create_model(backbone)
    if is_transformer(network):
        patch, depth = network.patch_embed.patch_size[0], len(network.blocks)
        width, prefix = network.num_features, network.num_prefix_tokens
        return vit_flops(size, patch, width, depth, prefix), parameters(network), width, depth
    with torch.device("meta"):
        network = timm.create_model(backbone, features_only=True, out_indices=stages).eval()
        with FlopCounterMode(display=False) as counter:  # convolutions, as they pass
            network(torch.empty(1, 3, size, size))
    layers = sum(isinstance(m, torch.nn.Conv2d) for m in network.modules())
    width = sum(network.feature_info.channels())
    return counter.get_total_flops(), parameters(network), width, layers


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def point_mae_flops(config: PointConfig) -> float:
    """Point-MAE on one cloud: tokens of the groups, codes of the centres, blocks."""
    h, width, groups = config.token_hidden, config.width, config.groups
    point = 3 * h + 2 * h**2 + 16 * h**2 + 4 * h * width  # multiply-adds of GroupTokens
    tokens = 2 * groups * (config.group_size * point + 3 * 128 + 128 * width)
    return tokens + config.depth * encoder_flops(groups, width)


def adaptor_flops(config: AdaptationConfig, tokens: float, width: int) -> float:
    """psi on one sample, forward."""
    encoder, linear = encoder_flops(tokens, width), 2 * tokens * width**2
    known = {"encoder": encoder, "encoder2": 2 * encoder, "linear": linear}
    return (known | {"conv1x1": 2 * linear, "identity": 0.0})[config.adaptor]


def adaptor_training_flops(config: AdaptationConfig, tokens: float, width: int) -> float:
    """Forward, and twice as much backward, but for the gradient that frozen features do not ask."""
    first = {"linear": 1, "conv1x1": 1, "identity": 0}.get(config.adaptor, 3)  # q, k and v
    if first == 3 and config.norm == "pre":
        first = 0  # the norm before them asks for theirs
    return 3 * adaptor_flops(config, tokens, width) - 2 * tokens * width**2 * first


@cache
def adaptor_parameters(config: AdaptationConfig, width: int) -> int:
    with torch.device("meta"):
        return parameters(make_adaptor(config, width))


def width_of(config: FeatureConfig, modality: Modality) -> int:
    """D of a modality's features."""
    if modality == "rgb":
        return image_facts(config.image.backbone, config.image.stages, config.image_size)[2]
    points = config.points
    return 33 if points.backbone == "fpfh" else len(points.layers) * points.width
