"""A scan in, patch features of both frozen networks out (section 3.1, phi_I and phi_P)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from lsfa_lite.config import FeatureConfig, Modality, to_json
from lsfa_lite.data.sample import Sample, valid_pixels
from lsfa_lite.features.cache import cached, content_key, fingerprint
from lsfa_lite.features.fpfh import fpfh
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.point_network import PointMAE
from lsfa_lite.features.points import describe_points, load_point_mae, thins
from lsfa_lite.features.projection import (
    average_into_patches,
    interpolate,
    patch_area,
    patch_index,
)


@dataclass(frozen=True)
class PatchFeatures:
    """Of one sample. features: modality -> (N, D); foreground: (N,) bool, the patches that lie on
    the part; pixels: (H, W) bool, the part itself in the square that the networks see, if known.
    """

    features: dict[Modality, Tensor]
    foreground: Tensor
    pixels: Tensor | None = None


@dataclass(frozen=True)
class PatchStack:
    """Of several samples: features (B, N, D), foreground (B, N), pixels (B, H, W), if known."""

    features: dict[Modality, Tensor]
    foreground: Tensor
    pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.foreground)

    def sample(self, index: int) -> PatchFeatures:
        """One of them, as `FeatureExtractor` describes it."""
        features = {m: f[index] for m, f in self.features.items()}
        pixels = None if self.pixels is None else self.pixels[index]
        return PatchFeatures(features, self.foreground[index], pixels)

    @classmethod
    def of(cls, rows: Sequence[PatchFeatures]) -> PatchStack:
        """Stacked on the CPU, with the modalities that all of them have."""
        names = [m for m in rows[0].features if all(m in row.features for row in rows)]
        pixels = [row.pixels for row in rows if row.pixels is not None]
        return cls(
            {m: torch.stack([row.features[m] for row in rows]) for m in names},
            torch.stack([row.foreground for row in rows]),
            torch.stack(pixels) if len(pixels) == len(rows) else None,
        )


class Extractor(Protocol):
    """What a detector asks of whoever describes its samples; `FeatureExtractor` is the usual one.

    names: what comes out when `modalities` are asked for. fingerprint: which weights made it.
    """

    def names(self, modalities: Sequence[Modality]) -> tuple[Modality, ...]: ...

    def fingerprint(self, modality: Modality) -> str: ...

    def __call__(self, sample: Sample, modalities: Sequence[Modality]) -> PatchFeatures: ...

    def stack(
        self, samples: Sequence[Sample], modalities: Sequence[Modality], progress: bool = False
    ) -> PatchStack: ...

    def to(self, device: torch.device) -> Extractor: ...


def square_pixels(sample: Sample, size: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Pad a scan to a centred square and bring it to (size, size).

    Returns colour (size, size, 3) float32 in 0..1, bicubic, and xyz (size, size, 3) in metres,
    nearest pixel: a mean of two points may lie on neither surface (section 4.1).
    """
    height, width = sample.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    around = ((top, side - height - top), (left, side - width - left), (0, 0))
    colour, xyz = sample.colour, sample.xyz
    if colour is not None:
        byte = np.rint(np.pad(colour, around) * 255).astype(np.uint8)
        picture = Image.fromarray(byte).resize((size, size), Image.Resampling.BICUBIC)
        colour = np.asarray(picture, dtype=np.float32) / 255
    if xyz is not None:
        nearest = np.arange(size) * side // size
        xyz = np.pad(xyz, around).astype(np.float32)[nearest][:, nearest]
    return colour, xyz


class FeatureExtractor:
    """The two frozen networks and the projection. Networks are loaded when first needed."""

    def __init__(self, config: FeatureConfig, device: str | torch.device = "cpu", seed: int = 0):
        self.config = config
        self.device = torch.device(device)
        self.seed = seed
        self._networks: dict[Modality, torch.nn.Module] = {}
        self._fingerprints: dict[Modality, str] = {}

    def to(self, device: str | torch.device) -> FeatureExtractor:
        """Moved in place, with the networks that are loaded."""
        self.device = torch.device(device)
        for network in self._networks.values():
            network.to(self.device)
        return self

    def network(self, modality: Modality) -> torch.nn.Module | None:
        """The frozen network of a modality; None for FPFH, which has no weights."""
        config = self.config
        if modality == "3d" and config.points.backbone == "fpfh":
            return None
        if modality not in self._networks:
            if modality == "rgb":
                made: torch.nn.Module = ImageBackbone(
                    config.image, config.image_size, config.grid, self.seed
                ).to(self.device)
            else:
                made = load_point_mae(config.points, self.device, self.seed)
            self._networks[modality] = made
        return self._networks[modality]

    def names(self, modalities: Sequence[Modality]) -> tuple[Modality, ...]:
        return tuple(modalities)

    def fingerprint(self, modality: Modality) -> str:
        """Which weights describe this modality; "fpfh" where there are none."""
        if modality not in self._fingerprints:
            network = self.network(modality)
            self._fingerprints[modality] = fingerprint(network) if network else "fpfh"
        return self._fingerprints[modality]

    def __call__(
        self, sample: Sample, modalities: Sequence[Modality] = ("rgb", "3d")
    ) -> PatchFeatures:
        """Sample -> features of the modalities it has. ValueError if no patch is on a part."""
        config = self.config
        colour, xyz = square_pixels(sample, config.image_size)
        pixels = torch.from_numpy(Sample(colour, xyz, path=sample.path).foreground)  # H W
        share = patch_share(pixels, config.grid)
        on_part = share > 0 if config.min_foreground == 0 else share >= config.min_foreground
        if not on_part.any():
            raise ValueError(
                f"{sample.path}: no patch is covered by the part to at least "
                f"{config.min_foreground:.0%}; was the part itself removed as background?"
            )
        features: dict[Modality, Tensor] = {}
        for modality in modalities:
            array = colour if modality == "rgb" else xyz
            if array is not None:
                features[modality] = self._describe(modality, array, sample.path)
        if not features:
            raise ValueError(f"{sample.path}: has none of the modalities {', '.join(modalities)}")
        return PatchFeatures(features, on_part, pixels)

    def stack(
        self,
        samples: Sequence[Sample],
        modalities: Sequence[Modality] = ("rgb", "3d"),
        progress: bool = False,
    ) -> PatchStack:
        """Several samples, stacked on the CPU: (B, N, D) per modality that all of them have."""
        return PatchStack.of(
            [self(s, modalities) for s in tqdm(samples, "features", disable=not progress)]
        )

    def _describe(self, modality: Modality, array: np.ndarray, path: str) -> Tensor:
        describe = self._describe_image if modality == "rgb" else self._describe_cloud
        if not self.config.cache:
            return describe(array, path).cpu()
        part = self.config.image if modality == "rgb" else self.config.points
        drawn = modality == "3d" and self.config.points.backbone == "point_mae"
        drawn = drawn and thins(valid_pixels(array).sum(), self.config.points.max_points)
        key = content_key(
            array,
            to_json(
                dataclasses.replace(part, weights="")
            ),  # the weights themselves are in the print
            self.fingerprint(modality),
            f"{self.config.image_size} {self.config.grid} {self.device.type} {FORMAT}"
            + (f" seed {self.seed}" if drawn and self.seed else ""),
        )
        return cached(key, lambda: {"features": describe(array, path)})["features"]

    @torch.no_grad()
    def _describe_image(self, colour: np.ndarray, path: str) -> Tensor:
        batch = rearrange(torch.from_numpy(colour), "h w c -> 1 c h w").to(self.device)
        network = self.network("rgb")
        assert network is not None
        return network(batch)[0]  # N D

    @torch.no_grad()
    def _describe_cloud(self, xyz: np.ndarray, path: str) -> Tensor:
        config = self.config.points
        seen = valid_pixels(xyz)
        points = torch.from_numpy(xyz[seen]).to(self.device)  # P 3
        pixels = torch.from_numpy(np.flatnonzero(seen)).to(self.device)  # P
        try:
            if config.backbone == "fpfh":  # describes points, not groups: nothing to interpolate
                described = fpfh(xyz[seen], config.fpfh_radius, config.fpfh_neighbours)
                values = torch.from_numpy(described).to(self.device)  # P D
            else:
                network = self.network("3d")
                assert isinstance(network, PointMAE)
                centres, features = describe_points(network, points, config, self.seed)
                values = interpolate(points, centres, features, config.neighbours, config.power)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return average_into_patches(values, pixels, self.config.image_size, self.config.grid)[0]


FORMAT = 1  # of the cached features; raised when the same weights would give other features


def patch_share(pixels: Tensor, grid: int) -> Tensor:
    """(H, W) bool -> (grid * grid,): the share of each patch's pixels that lie on the part."""
    size = len(pixels)
    patch = patch_index(pixels.flatten().nonzero()[:, 0], size, grid)  # P
    return torch.bincount(patch, minlength=grid * grid) / patch_area(size, grid)
