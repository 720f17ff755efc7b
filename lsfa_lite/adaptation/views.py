"""What the networks see of a part, made once: none of it depends on the weights in training.

The picture, the groups of points, and which group describes which patch. A training loop then runs
the networks alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lsfa_lite.config import FeatureConfig, Modality
from lsfa_lite.data.sample import Sample, valid_pixels
from lsfa_lite.features.extract import square_pixels
from lsfa_lite.features.point_network import PointMAE
from lsfa_lite.features.points import group, thin, to_unit_sphere
from lsfa_lite.features.projection import average_into_patches, interpolate

Networks = dict[Modality, nn.Module]


@dataclass(frozen=True)
class View:
    """What a network sees of one part, and how its output becomes the foreground's n features.

    inputs   rgb: (1, 3, H, W); 3d: groups (1, G, K, 3), or their tokens (1, G, D) where nothing
             below them is trained, and centres (1, G, 3)
    patches  rgb: (N,) bool, the foreground; 3d: (n, G), Eq. 1 and the mean over a patch's points
             in one matrix, since both are linear in the features
    """

    inputs: tuple[Tensor, ...]
    patches: Tensor


def look(
    networks: Networks,
    sample: Sample,
    foreground: Tensor,
    config: FeatureConfig,
    device: str | torch.device,
    seed: int = 0,
) -> dict[Modality, View]:
    """The views of one part, made as FeatureExtractor makes them; foreground (N,) bool.

    They lie on the CPU; `device` does the work. Whether Point-MAE's tokens can be made once depends
    on which weights ask for a gradient. Of PAPER's clouds `patches` takes 4 kB for each patch.
    """
    colour, xyz = square_pixels(sample, config.image_size)
    views: dict[Modality, View] = {}
    if "rgb" in networks:
        assert colour is not None
        picture = rearrange(torch.from_numpy(colour), "h w c -> 1 c h w")
        views["rgb"] = View((picture,), foreground)
    if "3d" in networks:
        assert xyz is not None
        views["3d"] = look_at_cloud(networks["3d"], xyz, foreground, config, device, seed)
    return views


@torch.no_grad()
def look_at_cloud(
    network: nn.Module,
    xyz: np.ndarray,
    foreground: Tensor,
    config: FeatureConfig,
    device: str | torch.device,
    seed: int = 0,
) -> View:
    how, seen = config.points, valid_pixels(xyz)
    points = torch.from_numpy(xyz[seen]).to(device)  # P 3
    pixels = torch.from_numpy(np.flatnonzero(seen)).to(device)  # P
    few = thin(points, how.max_points, seed)
    scaled = to_unit_sphere(few) if how.point_norm == "unit_sphere" else few
    groups, centres, chosen = group(scaled, how.groups, how.group_size)
    inputs = groups[None], centres[None]  # 1 G K 3, 1 G 3
    assert isinstance(network, PointMAE)
    if not any(p.requires_grad for p in network.encoder.parameters()):
        inputs = network.encoder(groups[None]), centres[None]  # 1 G D, 1 G 3
    # the features of group number g are 1 in column g: what comes out is the map itself
    unit = torch.eye(how.groups, device=device)  # G G
    shares = interpolate(points, few[chosen], unit, how.neighbours, how.power)  # P G
    patches, _ = average_into_patches(shares, pixels, config.image_size, config.grid)  # N G
    return View(tuple(x.cpu() for x in inputs), patches[foreground.to(device)].cpu())


def describe(network: nn.Module, view: View, recompute: bool = False) -> Tensor:
    """What the network says of a part's foreground: (n, D), with gradient where it is trained."""
    device = next(network.parameters()).device
    inputs, patches = [x.to(device) for x in view.inputs], view.patches.to(device)
    run = partial(checkpoint, outputs, use_reentrant=False) if recompute else outputs
    output = run(network, *inputs)[0]
    return output[patches] if patches.dtype == torch.bool else patches @ output


def outputs(network: nn.Module, *inputs: Tensor) -> Tensor:
    """network(*inputs), also for a Point-MAE that is given its tokens."""
    if isinstance(network, PointMAE) and inputs[0].ndim == 3:
        tokens, centres = inputs
        layers = network.blocks(tokens, network.pos_embed(centres))
        return torch.cat([network.norm(layers[i]) for i in network.layers], dim=-1)
    return network(*inputs)
