"""Patch features of one sample, and of many in as little memory as they need."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsfa_lite.config import Modality
from lsfa_lite.features.cache import narrowed

IN_MEMORY = 1 << 30  # bytes of one modality; more of them lie in a file


@dataclass(frozen=True)
class PatchFeatures:
    """Of one sample. features: modality -> (N, D); foreground: (N,) bool, the patches that lie on
    the part; pixels: (H, W) bool, the part itself in the square that the networks see, if known;
    path: where the sample came from.
    """

    features: dict[Modality, Tensor]
    foreground: Tensor
    pixels: Tensor | None = None
    path: str = ""


@dataclass(frozen=True)
class PatchStack:
    """Of several samples: features (B, N, D), foreground (B, N); pixels (B, H, W) and B paths, if
    known.

    Packed, a sample's patches on the part come first, the others are left out: N is the most that
    any sample has. Nothing that trains, remembers or scores asks where a patch lay; maps do.
    """

    features: dict[Modality, Tensor]
    foreground: Tensor
    pixels: Tensor | None = None
    paths: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.foreground)

    def called(self, kind: str) -> list[str]:
        """What to call each sample in a message: its path, or else its number."""
        return [f"{kind} {name}" for name in self.paths or range(len(self))]

    def sample(self, index: int) -> PatchFeatures:
        """One of them, as `FeatureExtractor` describes it."""
        features = {m: f[index] for m, f in self.features.items()}
        pixels = None if self.pixels is None else self.pixels[index]
        path = self.paths[index] if self.paths else ""
        return PatchFeatures(features, self.foreground[index], pixels, path)

    @classmethod
    def of(
        cls,
        rows: Iterable[PatchFeatures],
        count: int,
        *,
        packed: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> PatchStack:
        """`count` samples stacked on the CPU, taken one by one, with the modalities that all have.

        Raises ValueError for numbers that `dtype` cannot hold.
        """
        shelves: dict[Modality, Shelf] = {}
        foregrounds, pixels, paths = [], [], []
        for index, row in enumerate(rows):
            for name in row.features.keys() if index == 0 else ():
                shape = (count, *row.features[name].shape)
                shelves[name] = Shelf(shape, dtype)
            for name in [name for name in shelves if name not in row.features]:
                del shelves[name]
            on = row.foreground.cpu()
            for name, shelf in shelves.items():
                values = row.features[name]
                shelf.put(index, values[on.to(values.device)] if packed else values)
            foregrounds.append(on.sort(descending=True, stable=True).values if packed else on)
            pixels += [] if row.pixels is None else [row.pixels]
            paths += [row.path] if row.path else []
        foreground = torch.stack(foregrounds)  # B N
        most = int(foreground.sum(1).max()) if packed else foreground.shape[1]
        return cls(
            {name: shelf.all()[:, :most] for name, shelf in shelves.items()},
            foreground[:, :most].contiguous(),
            torch.stack(pixels) if len(pixels) == count else None,
            tuple(paths) if len(paths) == count else (),
        )


class Shelf:
    """Zeros (B, N, D) that are filled sample by sample, and cost only what was put there.

    Large ones lie in a file without a name: the system may use their memory for other things, and
    reads again what it has taken. A full disk is an OSError, at the write that found it full.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype):
        self.shape, self.dtype = shape, dtype
        self.kind = np.float16 if dtype == torch.float16 else np.float32
        self.size = math.prod(shape[1:]) * np.dtype(self.kind).itemsize  # bytes of a sample
        large = shape[0] * self.size > IN_MEMORY
        self.file: Any = tempfile.TemporaryFile() if large else None  # noqa: SIM115 gone with self
        self.array = None if self.file else np.zeros(shape, self.kind)

    def put(self, index: int, values: Tensor) -> None:
        """values (n, D), n <= N: the first rows of a sample; the others stay zero."""
        numbers = narrowed(values, self.dtype).numpy()
        if self.array is not None:
            self.array[index, : len(numbers)] = numbers
        else:
            self.file.seek(index * self.size)
            self.file.write(np.ascontiguousarray(numbers).data)

    def all(self) -> Tensor:
        """(B, N, D); of a file a private view: what is written to it does not reach the disk."""
        if self.array is None:
            self.file.truncate(self.shape[0] * self.size)
            self.file.flush()
            self.array = np.memmap(self.file, self.kind, "c", shape=self.shape)
        return torch.from_numpy(self.array)
