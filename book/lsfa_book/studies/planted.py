"""Defects put into good parts: a stain that only colour sees, a dent that only shape sees.

Held-out good parts with known flaws teach how much each sense is worth, without one defective part.
They are crude on purpose: a rule that leans on them should not have seen a real defect.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from lsfa_lite.data.sample import Sample
from lsfa_lite.data.units import spacing


def stain(sample: Sample, rng: np.random.Generator) -> Sample:
    """The part with a blot of a random colour, more or less opaque; its shape is untouched."""
    assert sample.colour is not None
    on, size = sample.foreground, float(np.sqrt(np.count_nonzero(sample.foreground)))
    rho = blot(on, rng.uniform(0.05, 0.12) * size, rng)  # (H, W)
    cover = np.clip((1 - rho) / 0.3, 0, 1) * on * rng.uniform(0.15, 0.9)
    mixed = (1 - cover[..., None]) * sample.colour + cover[..., None] * rng.uniform(0, 1, 3)
    rgb = np.rint(mixed * 255).astype(np.uint8)  # (H, W, 3)
    return dataclasses.replace(sample, rgb=rgb, label=1, mask=cover > 0.1, defect="stain")


def dent(sample: Sample, rng: np.random.Generator) -> Sample:
    """The part pushed in or out along the line of sight: pixels keep their points, and colours."""
    assert sample.xyz is not None
    on, size = sample.foreground, float(np.sqrt(np.count_nonzero(sample.foreground)))
    rho = blot(on, rng.uniform(0.06, 0.14) * size, rng)  # (H, W)
    depth = rng.choice([-1, 1]) * rng.uniform(0.006, 0.04) * size * spacing(sample.xyz)
    push = depth * np.exp(-2.2 * rho**2) * on  # metres
    reach = np.linalg.norm(sample.xyz, axis=-1)  # (H, W)
    factor = 1 + np.divide(push, reach, out=np.zeros_like(push), where=on)
    xyz = (sample.xyz * factor[..., None]).astype(np.float32)  # (H, W, 3)
    return dataclasses.replace(sample, xyz=xyz, label=1, mask=(rho < 1) & on, defect="dent")


def blot(on: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Distance of every pixel from a blot on the part, as a share of its wavy radius: 1 at its rim.

    Its centre lies on the part, away from the rim where the part is wide enough.
    """
    inside = ndimage.distance_transform_edt(on)  # (H, W)
    least = min(0.04 * np.sqrt(np.count_nonzero(on)), 0.8 * inside.max())
    row, column = divmod(int(rng.choice(np.flatnonzero(inside >= least))), on.shape[1])
    y, x = np.ogrid[: on.shape[0], : on.shape[1]]
    angle = np.arctan2(y - row, x - column)
    waves = sum(rng.normal(0, 0.12) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3))
    rim = np.maximum(radius * (1 + waves), 1.0)
    return np.hypot(y - row, x - column) / rim
