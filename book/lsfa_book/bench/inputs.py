"""Inputs of the sizes that real parts have, drawn by a seed; none of it is read from a file."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_lite.adaptation.batches import draw, pack
from lsfa_lite.adaptation.train import start
from lsfa_lite.config import Config, Modality
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector, Scored
from lsfa_lite.features.extract import PatchStack

DEFECTS = ("cut", "dent", "hole")


def normal(*shape: int, seed: int = 0, device: torch.device | str = "cpu") -> Tensor:
    """The same numbers on every device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def cloud(count: int, device: torch.device | str = "cpu") -> Tensor:
    """(P, 3) metres: a rough dome of 6 cm, half a metre away."""
    rng = np.random.default_rng(0)
    radius, angle = 0.03 * rng.random(count) ** 0.5, 2 * np.pi * rng.random(count)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    z = 0.5 - np.sqrt(0.035**2 - radius**2) + rng.normal(0, 2e-4, count)
    return torch.from_numpy(np.stack([x, y, z], axis=1).astype(np.float32)).to(device)


def masks(count: int, size: int) -> list[np.ndarray]:
    """(H, W) bool each: every second one is empty, the others have two round defects."""
    rng, (row, column) = np.random.default_rng(1), np.mgrid[:size, :size]
    found = []
    for index in range(count):
        mask = np.zeros((size, size), dtype=bool)
        for v, u in rng.integers(size // 8, size - size // 8, (2 * (index % 2), 2)):
            mask |= (row - v) ** 2 + (column - u) ** 2 < (size // 20) ** 2
        found.append(mask)
    return found


def maps(marked: list[np.ndarray], seed: int = 0) -> list[np.ndarray]:
    """(H, W) float32 each: noise, higher on the defects, zero off a part that is a disc."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[tuple(slice(-1, 1, side * 1j) for side in marked[0].shape)]
    part = (row**2 + column**2 < 0.8).astype(np.float32)
    return [part * (rng.random(m.shape, dtype=np.float32) + m) for m in marked]


def verdicts(count: int, size: int) -> tuple[list[Scored], list[Sample]]:
    """Scores of both modalities and their fusion, and the labelled scans they are of."""
    marked = masks(count, size)
    views = {name: maps(marked, seed) for seed, name in enumerate(("all", "rgb", "3d"))}
    scored, samples = [], []
    for index, mask in enumerate(marked):
        defect = DEFECTS[index // 2 % len(DEFECTS)] if mask.any() else "good"
        alone: dict[Modality, np.ndarray] = {m: views[m][index] for m in ("rgb", "3d")}
        value = {m: float(a.max()) for m, a in alone.items()}
        fused = views["all"][index]
        call = (1.0, 1.0, bool(fused.max() > 1), f"made/{index}")
        scored.append(Scored(float(fused.max()), fused, value, alone, *call))
        blank = np.zeros((size, size, 3), np.uint8)
        samples.append(Sample(blank, None, mask, int(mask.any()), defect, f"made/{index}"))
    return scored, samples


def stack(parts: int, grid: int, widths: dict[Modality, int]) -> PatchStack:
    """Features (B, N, D) of each modality; the part is a disc of half the patches."""
    axis = torch.linspace(-1, 1, grid)
    disc = (axis[:, None] ** 2 + axis**2 < 2 / torch.pi).flatten()  # (N,)
    features = {
        m: normal(parts, grid * grid, width, seed=i) for i, (m, width) in enumerate(widths.items())
    }
    return PatchStack(features, disc.expand(parts, -1).contiguous())


def scan(size: int) -> Sample:
    """A part of mini3d with a hole, on its table."""
    return make_sample("ring", "test/hole", 0, Mini3DConfig(size=size))


@lru_cache(maxsize=1)
def good_scans(count: int = 3) -> tuple[Sample, ...]:
    """Parts of mini3d at 256 pixels, their table removed."""
    config = Mini3DConfig()
    made = (make_sample("ring", "train/good", i, config) for i in range(count))
    return tuple(remove_background(sample) for sample in made)


def random_weights(config: Config) -> Config:
    """The same sizes; nothing is downloaded, and nothing is kept."""
    return config.change(
        features__cache=False,
        features__image__weights="random",
        features__points__weights="random",
    )


def training(config: Config, widths: dict[Modality, int], device: torch.device) -> tuple[Any, ...]:
    """What a training step needs, with banks that are full: a step late in a training."""
    how = config.adaptation
    parts = stack(how.batch_size, config.features.grid, widths)
    adaptation = start(dict(parts.features), parts.foreground, how, config.seed).to(device)
    for name, width in widths.items():
        for bank in (adaptation.local_bank(name), adaptation.global_bank(name)):
            bank.enqueue(normal(bank.capacity, width, device=device))
    optimiser = AdamW(adaptation.parameters(), lr=how.lr, weight_decay=how.weight_decay)
    batch = draw(*pack(dict(parts.features), parts.foreground), 0, how.batch_size, 0, device)
    return adaptation, optimiser, batch, 0, config.seed


def detector(config: Config, rows: int, device: torch.device) -> tuple[LSFADetector, Sample]:
    """A detector whose adaptors are fresh and whose banks are as large as asked, and a scan."""
    *train, held_out = good_scans()
    made = LSFADetector(random_weights(config).change(scoring__coreset=1.0), device)
    parts = made.extractor.stack(train, config.modalities)
    made.modalities = tuple(parts.features)
    fresh = start(dict(parts.features), parts.foreground, config.adaptation, config.seed)
    made.adaptation = fresh.to(device)
    made.remember(parts).calibrate(parts)
    for name, core in made.banks.items():
        again = core.bank.repeat(-(-rows // len(core.bank)), 1)[:rows]
        bank = again + 0.01 * normal(*again.shape, device=device)
        made.banks[name] = dataclasses.replace(core, bank=bank, samples=None)
    return made, held_out
