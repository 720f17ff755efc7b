"""A scan in, patch features of both frozen networks out (section 3.1, phi_I and phi_P)."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from lsfa_lite.config import FeatureConfig, Modality, to_json
from lsfa_lite.data.ahead import read_ahead
from lsfa_lite.data.sample import Sample, valid_pixels
from lsfa_lite.errors import DataError, NoPart
from lsfa_lite.features.cache import cached, content_key, fingerprint, grown, shrunk
from lsfa_lite.features.fpfh import histograms
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.patches import PatchFeatures, PatchStack
from lsfa_lite.features.point_network import PointMAE
from lsfa_lite.features.points import describe_clouds, describe_points, load_point_mae, thins
from lsfa_lite.features.projection import (
    average_into_patches,
    interpolate,
    patch_area,
    patch_index,
)

__all__ = ["AT_ONCE", "Extractor", "FeatureExtractor", "PatchFeatures", "PatchStack", "chunks"]

Item = TypeVar("Item")
AT_ONCE = 8  # samples that an accelerator sees together


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`size` at a time; taken from `items` when they are needed."""
    rest = iter(items)
    while some := list(itertools.islice(rest, size)):
        yield some


class Extractor(Protocol):
    """What a detector asks of whoever describes its samples; `FeatureExtractor` is the usual one.

    names: what comes out when `modalities` are asked for. fingerprint: which weights made it.
    """

    def names(self, modalities: Sequence[Modality]) -> tuple[Modality, ...]: ...

    def fingerprint(self, modality: Modality) -> str: ...

    def __call__(self, sample: Sample, modalities: Sequence[Modality]) -> PatchFeatures: ...

    def rows(
        self, samples: Sequence[Sample], modalities: Sequence[Modality]
    ) -> list[PatchFeatures]: ...

    def stack(
        self,
        samples: Sequence[Sample],
        modalities: Sequence[Modality],
        progress: bool = False,
        *,
        packed: bool = False,
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
                )
            else:
                made = load_point_mae(config.points, self.device, self.seed)
            made = made.to(self.device)
            if self.device.type == "cuda" and modality == "rgb":
                # its convolutions are faster where a pixel's channels lie together
                made = made.to(memory_format=torch.channels_last)
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
        return self._together([sample], modalities)[0]

    def rows(
        self, samples: Sequence[Sample], modalities: Sequence[Modality] = ("rgb", "3d")
    ) -> list[PatchFeatures]:
        """The same of several samples. On an accelerator the networks see all of them at once."""
        # one at a time on the CPU, to the last bit, and in a subclass that says it in its own way
        if self.device.type == "cpu" or type(self).__call__ is not FeatureExtractor.__call__:
            return [self(sample, modalities) for sample in samples]
        return self._together(samples, modalities)

    def _together(
        self, samples: Sequence[Sample], modalities: Sequence[Modality]
    ) -> list[PatchFeatures]:
        scans = [square_pixels(sample, self.config.image_size) for sample in samples]
        seen = [self._part(sample, *scan) for sample, scan in zip(samples, scans, strict=True)]
        features: list[dict[Modality, Tensor]] = [{} for _ in samples]
        for modality in modalities:
            arrays = [scan[0 if modality == "rgb" else 1] for scan in scans]
            there = {i: array for i, array in enumerate(arrays) if array is not None}
            paths = [samples[i].path for i in there]
            found = self._describe(modality, list(there.values()), paths)
            for i, values in zip(there, found, strict=True):
                features[i][modality] = values
        for sample, described in zip(samples, features, strict=True):
            if not described:
                raise DataError(
                    f"{sample.path}: has none of the modalities {', '.join(modalities)}"
                )
        told = zip(features, seen, samples, strict=True)
        return [PatchFeatures(f, *part, sample.path) for f, part, sample in told]

    def _part(
        self, sample: Sample, colour: np.ndarray | None, xyz: np.ndarray | None
    ) -> tuple[Tensor, Tensor]:
        """foreground (N,) and pixels (H, W) of a scan."""
        config = self.config
        pixels = torch.from_numpy(Sample(colour, xyz, path=sample.path).foreground)  # H W
        share = patch_share(pixels, config.grid)
        on_part = share > 0 if config.min_foreground == 0 else share >= config.min_foreground
        if not on_part.any():
            raise NoPart(
                f"{sample.path}: no patch is covered by the part to at least "
                f"{config.min_foreground:.0%}; was the part itself removed as background?"
            )
        return on_part, pixels

    def stack(
        self,
        samples: Sequence[Sample],
        modalities: Sequence[Modality] = ("rgb", "3d"),
        progress: bool = False,
        *,
        packed: bool = False,
    ) -> PatchStack:
        """Several samples, stacked on the CPU: (B, N, D) per modality that all of them have.

        packed: only patches on a part are kept, N is the most that one sample has of them.
        """
        cpu = self.device.type == "cpu"
        at_once, read = (1, samples) if cpu else (AT_ONCE, read_ahead(samples, 2 * AT_ONCE))
        shown = tqdm(read, "features", len(samples), disable=not progress)
        described = (row for some in chunks(shown, at_once) for row in self.rows(some, modalities))
        return PatchStack.of(described, len(samples), packed=packed, dtype=self._kept)

    @property
    def _kept(self) -> torch.dtype:
        return torch.float16 if self.config.keep == "float16" else torch.float32

    def _describe(
        self, modality: Modality, arrays: Sequence[np.ndarray], paths: Sequence[str]
    ) -> list[Tensor]:
        """(N, D) on the CPU each, from the cache or made: then all at once."""
        describe = self._describe_images if modality == "rgb" else self._describe_clouds
        made = functools.cache(lambda: describe(arrays, paths).cpu())
        if not self.config.cache:
            return list(made()) if arrays else []
        keys = [self._key(modality, array) for array in arrays]
        network = self.network(modality)
        copies = network.copies if isinstance(network, ImageBackbone) else 1
        kept = [
            cached(key, lambda i=i: shrunk(made()[i], copies, self._kept))  # type: ignore[misc]
            for i, key in enumerate(keys)
        ]
        return [grown(tensors, copies) for tensors in kept]

    def _key(self, modality: Modality, array: np.ndarray) -> str:
        part = self.config.image if modality == "rgb" else self.config.points
        drawn = modality == "3d" and self.config.points.backbone == "point_mae"
        drawn = drawn and thins(valid_pixels(array).sum(), self.config.points.max_points)
        return content_key(
            array,
            to_json(
                dataclasses.replace(part, weights="")
            ),  # the weights themselves are in the print
            self.fingerprint(modality),
            f"{self.config.image_size} {self.config.grid} {self.device.type} {FORMAT}"
            + (f" seed {self.seed}" if drawn and self.seed else "")
            + "".join(f" {x}" for x in (self.config.compute, self.config.keep) if x != "float32"),
        )

    @torch.no_grad()
    def _describe_images(self, colours: Sequence[np.ndarray], paths: Sequence[str]) -> Tensor:
        pictures = self._there(torch.from_numpy(np.stack(colours)))  # B H W 3
        network = self.network("rgb")
        assert network is not None
        with self._precision():
            return network(rearrange(pictures, "b h w c -> b c h w")).float()  # B N D

    def _there(self, values: Tensor) -> Tensor:
        """On the device; from pinned memory a GPU takes it while the host goes on."""
        pinned = values.pin_memory() if self.device.type == "cuda" else values
        return pinned.to(self.device, non_blocking=True)

    def _precision(self) -> AbstractContextManager[object]:
        """In what the networks compute; sampling, projection and search stay in float32."""
        if self.config.compute == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @torch.no_grad()
    def _describe_clouds(self, clouds: Sequence[np.ndarray], paths: Sequence[str]) -> Tensor:
        size, grid = self.config.image_size, self.config.grid
        seen = [valid_pixels(xyz) for xyz in clouds]  # H W
        counts = [int(there.sum()) for there in seen]
        pairs = zip(clouds, seen, strict=True)
        together = np.concatenate([xyz[there] for xyz, there in pairs])  # in one copy
        points = self._there(torch.from_numpy(together)).split(counts)  # P 3
        flat = np.concatenate([np.flatnonzero(there) for there in seen])
        pixels = self._there(torch.from_numpy(flat)).split(counts)  # P
        values = zip(self._point_features(points, paths), pixels, strict=True)
        return torch.stack([average_into_patches(v, p, size, grid)[0] for v, p in values])  # B N D

    def _point_features(self, clouds: Sequence[Tensor], paths: Sequence[str]) -> list[Tensor]:
        """(P, D) of each cloud. FPFH describes points; the network groups, and Eq. 1 points."""
        config, network = self.config.points, self.network("3d")
        if config.backbone == "fpfh":
            return histograms(clouds, config.fpfh_radius, config.fpfh_neighbours, paths)
        assert isinstance(network, PointMAE)
        with self._precision():
            if self.device.type != "cpu":
                described = describe_clouds(network, clouds, config, self.seed, paths)
            else:
                described = [
                    self._points_of(network, *each) for each in zip(clouds, paths, strict=True)
                ]
        how = config.neighbours, config.power
        pairs = zip(clouds, described, strict=True)
        return [interpolate(p, centres, found.float(), *how) for p, (centres, found) in pairs]

    def _points_of(self, network: PointMAE, points: Tensor, path: str) -> tuple[Tensor, Tensor]:
        try:
            return describe_points(network, points, self.config.points, self.seed)
        except ValueError as error:
            raise DataError(f"{path}: {error}") from error


FORMAT = 2  # of the cached features; raised when the same weights would give other features


def patch_share(pixels: Tensor, grid: int) -> Tensor:
    """(H, W) bool -> (grid * grid,): the share of each patch's pixels that lie on the part."""
    size = len(pixels)
    patch = patch_index(pixels.flatten().nonzero()[:, 0], size, grid)  # P
    return torch.bincount(patch, minlength=grid * grid) / patch_area(size, grid)
