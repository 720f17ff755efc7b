"""FLOPs of the networks, counted, and of the adaptors, by formula.

One multiply-add is 2; elementwise work is 0.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lsfa_lite.adaptation.adaptors import make_adaptor
from lsfa_lite.config import AdaptationConfig, FeatureConfig, ImageConfig, Modality, PointConfig
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.point_network import PointMAE


def counted(network: nn.Module, *inputs: Tensor) -> int:
    """FLOPs of one forward pass, counted by PyTorch as the products pass by."""
    # attention taken apart into the two products that it is, on every version of PyTorch
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        network.eval()(*inputs)
    return counter.get_total_flops()


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@cache
def image_facts(backbone: str, stages: tuple[int, ...], size: int) -> tuple[int, int, int, int]:
    """FLOPs of one picture, parameters, width of the features, layers."""
    with torch.device("meta"):  # names and shapes only
        network = ImageBackbone(ImageConfig(backbone, "random", stages), size)
        work = counted(network, torch.empty(1, 3, size, size))
    convolutions = sum(isinstance(m, nn.Conv2d) for m in network.modules())
    layers = len(network.network.blocks) if network.transformer else convolutions
    return work, parameters(network), network.width, layers


@cache
def point_mae_flops(config: PointConfig) -> int:
    """Point-MAE on one cloud: tokens of the groups, codes of the centres, blocks."""
    groups = config.groups
    with torch.device("meta"):
        inputs = torch.empty(1, groups, config.group_size, 3), torch.empty(1, groups, 3)
        return counted(PointMAE(config), *inputs)


# A plan's tokens are a share of the grid, not a whole number: nothing that could be counted.


def encoder_flops(tokens: float, width: int, hidden: int = 4) -> float:
    """One transformer layer, forward: q, k, v, output and MLP, and the two products with N x N."""
    return 2 * tokens * width**2 * (4 + 2 * hidden) + 4 * tokens**2 * width


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
