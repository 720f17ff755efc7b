"""Which weights of a backbone are trained: its last blocks, all of them, or low-rank additions.

A block is a residual block: a transformer layer of a ViT or of Point-MAE; of a CNN what its stages
are made of (an inverted residual of EfficientNet). Weights that the taken features do not depend on
(stages behind the last one taken) are never trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lsfa_lite.checked import Checked, Count, NotNegative
from lsfa_lite.errors import MissingPackage, SettingError
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.point_network import PointMAE

WHAT = ("last_1", "last_2", "last_3", "all", "lora", "adalora")


@dataclass(frozen=True)
class FineTuneConfig(Checked):
    """How backbones are trained. Section 4.5 gives none of these numbers.

    `lr` is the only learning rate that the paper prints, there for the adaptors (section 4.1). On
    generator seed 100, ring, 2e-4 and 2e-3 were tried: with both the loss stays finite and goes
    down; with "all" and 2e-3 the variance of the colour features falls to a third. steps and
    batch_size were chosen for time: three epochs of 40 parts. The rest is ours.
    """

    steps: Count = 30
    batch_size: Count = 4
    lr: NotNegative = 2e-3
    rank: Count = 4  # of LoRA, and the mean rank that AdaLoRA keeps
    scale: Count = 2  # of what LoRA adds, alpha / rank
    start_rank: Count = 6  # from which AdaLoRA prunes
    orthogonality: NotNegative = 0.5  # weight of AdaLoRA's regulariser (its default in peft)
    recompute: bool = False  # activations of one part at a time, for a second forward pass


def trainable(model: nn.Module) -> int:
    """Number of parameters that ask for a gradient."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def make_trainable(
    what: str, network: nn.Module, settings: FineTuneConfig | None = None, seed: int = 0
) -> Any:
    """Let exactly the weights that `what` names ask for a gradient, in place.

    LoRA and AdaLoRA add their matrices (drawn by `seed`) to `network` and return peft's model
    around it; the others return None. The network computes what it did before until it is trained.
    Raises ValueError for an unknown `what` or a network with fewer blocks, ImportError without
    peft.
    """
    check_name(what)
    used = used_parameters(network)
    network.requires_grad_(False)
    trunk = network.blocks if isinstance(network, PointMAE) else network.get_submodule("network")
    blocks = [b for b in residual_blocks(trunk) if all(p in used for p in b.parameters())]
    if what in ("lora", "adalora"):
        return add_low_rank(what, network, blocks, settings or FineTuneConfig(), seed)
    if what == "all":
        chosen = used
    else:
        count = int(what.removeprefix("last_"))
        if count > len(blocks):
            raise SettingError(f"{what}: {type(network).__name__} has {len(blocks)} blocks")
        chosen = {p for block in blocks[-count:] for p in block.parameters()}
    for parameter in chosen:
        parameter.requires_grad_(True)
    return None


def check_name(what: str) -> None:
    if what not in WHAT:
        raise SettingError(f"unknown {what!r}; expected one of {', '.join(WHAT)}")


def used_parameters(network: nn.Module) -> set[nn.Parameter]:
    """Those that the features depend on: the others get no gradient at all."""
    parameters = list(network.requires_grad_(True).parameters())
    device = parameters[0].device
    if isinstance(network, PointMAE):
        inputs = [torch.ones(1, 2, 2, 3, device=device), torch.ones(1, 2, 3, device=device)]
    else:
        assert isinstance(network, ImageBackbone)
        inputs = [torch.ones(1, 3, network.image_size, network.image_size, device=device)]
    gradients = torch.autograd.grad(network(*inputs).sum(), parameters, allow_unused=True)
    return {p for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None}


def residual_blocks(module: nn.Module, inside: bool = False) -> Iterator[nn.Module]:
    """The members of the (nested) lists of layers in a network, in the order of the data."""
    for child in module.children():
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            yield from residual_blocks(child, inside=True)
        elif inside and next(child.children(), None) is not None:
            yield child


def low_rank_targets(network: nn.Module, blocks: list[nn.Module]) -> list[str]:
    """Names of the linear layers in the blocks. A 1x1 convolution is one: the same for each pixel.

    In a ViT and in Point-MAE that is attention and MLP; in EfficientNet the two pointwise
    convolutions of an inverted residual, while its depthwise one, which mixes no channels, stays.
    """
    inside = {module for block in blocks for module in block.modules()}

    def linear(module: nn.Module) -> bool:
        if isinstance(module, nn.Conv2d):
            return module.kernel_size == (1, 1) and module.groups == 1
        return isinstance(module, nn.Linear)

    return [name for name, m in network.named_modules() if m in inside and linear(m)]


def add_low_rank(
    what: str, network: nn.Module, blocks: list[nn.Module], settings: FineTuneConfig, seed: int
) -> Any:
    """peft's LoRA or AdaLoRA on every linear layer of the blocks; nothing else is trained."""
    try:
        from peft import AdaLoraConfig, AdaLoraModel, LoraConfig, LoraModel
    except ImportError as error:
        raise MissingPackage(f"{what} needs peft: pip install 'lsfa-lite[peft]'") from error
    rank, start = settings.rank, settings.start_rank
    how: dict[str, Any] = {"target_modules": low_rank_targets(network, blocks)}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if what == "lora":
            lora = LoraConfig(r=rank, lora_alpha=settings.scale * rank, **how)
            return LoraModel(network, lora, "default")
        if settings.steps < 3 or start <= rank:
            raise SettingError(
                "adalora needs steps >= 3 and start_rank > rank, or nothing is pruned"
            )
        how |= {"total_step": settings.steps, "tinit": settings.steps // 5}
        how |= {"tfinal": settings.steps // 4, "lora_alpha": settings.scale * start}
        return AdaLoraModel(network, AdaLoraConfig(init_r=start, target_r=rank, **how), "default")


def orthogonality(model: nn.Module) -> Tensor:
    """AdaLoRA's regulariser: mean of |P'P - I| and |QQ' - I| over its layers (arXiv 2303.10512).

    peft adds it to a loss that the network itself returns; ours returns features.
    """
    terms = []
    for name, matrix in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            rows = matrix if "lora_A" in name else matrix.T  # (rank, D)
            terms.append((rows @ rows.T - torch.eye(len(rows)).to(rows)).norm())
    return torch.stack(terms).mean()
