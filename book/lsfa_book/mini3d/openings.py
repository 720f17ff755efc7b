"""Defects that go through the part: holes, slits, missing pieces. Masks reach past the points.

Seen in both senses. What is gone leaves the table, or a gap too deep for the depth sensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from lsfa_book.mini3d.defects import Change, Colour, along, blob, place
from lsfa_book.mini3d.maps import PITCH, coordinates, mix, noise, step
from lsfa_book.mini3d.part import Part

Outline = Callable[[Part, np.random.Generator, float], tuple[np.ndarray, float]]


SEEN = 6.0  # mm above the table from which on a good part's surface outlives the table's removal


def at_rim(part: Part, rng: np.random.Generator, share: float) -> tuple[float, float]:
    """A point (x, y) in mm on an outer or inner rim, where the part has share of its height."""
    x, y = coordinates()
    solid = part.base > share * part.base.max()
    cell = rng.choice(np.flatnonzero(solid & ~ndimage.binary_erosion(solid)))
    return float(x.flat[cell]), float(y.flat[cell])


def lens(
    rng: np.random.Generator, centre: tuple[float, float], angle: float, size: tuple[float, float]
) -> np.ndarray:
    """Ragged lens of size (long, wide) in mm, turned by angle: 0 on its axis, 1 on the outline."""
    x, y = coordinates()
    dx, dy = x - centre[0], y - centre[1]
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    taper = np.maximum(1 - (2 * u / size[0]) ** 2, 1e-3)
    return np.abs(v + 0.3 * noise(rng, 4)) / (0.5 * size[1] * taper)


def axis(part: Part, centre: tuple[float, float], reach: float = 9.0) -> float:
    """Direction in radians along which the part runs near centre: across it the height falls."""
    x, y = coordinates()
    weight = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / reach**2)
    gy, gx = np.clip(np.gradient(part.base, PITCH), -3, 3)
    xx, yy, xy = (np.sum(weight * a * b) for a, b in ((gx, gx), (gy, gy), (gx, gy)))
    return 0.5 * np.arctan2(2 * xy, xx - yy) + 0.5 * np.pi


@dataclass(frozen=True)
class Bore:
    """A round gap: a hole from above, or (rim > 0) a piece bitten or cut out; radius in mm."""

    radius: tuple[float, float]
    rim: float = 0.0  # share of the part's height at the gap's middle; 0 is anywhere on top

    def __call__(
        self, part: Part, rng: np.random.Generator, strength: float
    ) -> tuple[np.ndarray, float]:
        radius = along(strength, *self.radius) * rng.uniform(0.9, 1.1)
        centre = at_rim(part, rng, self.rim) if self.rim else place(part, rng, radius + 2)
        return blob(rng, centre, radius), radius


@dataclass(frozen=True)
class Slit:
    """A cut across the part from its rim, or (rim=0) strands parted along it; sizes in mm."""

    length: tuple[float, float]
    width: tuple[float, float]
    rim: float = 0.0  # as in Bore

    def __call__(
        self, part: Part, rng: np.random.Generator, strength: float
    ) -> tuple[np.ndarray, float]:
        size = along(strength, *self.length), along(strength, *self.width)
        centre = at_rim(part, rng, self.rim) if self.rim else place(part, rng, 6.0)
        angle = axis(part, centre) + 0.5 * np.pi * (self.rim > 0) + rng.normal(0, 0.12)
        return lens(rng, centre, angle, size), 0.5 * size[1]


@dataclass(frozen=True)
class Opening:
    """Removes what lies inside of an outline; around it a brim has sunk. The walls show the inside.

    The weaker, the less deep. blind is the chance that the sensor gets nothing from the bottom.
    The mask holds gap and brim; of a real cut's mask a fifth of the pixels has no point.
    """

    outline: Outline
    inside: Colour
    blind: float
    depth: tuple[float, float] = (0.05, 0.8)  # share of the part's height; from 1 on it is through
    wall: float = 2.0  # mm, how wide the slope from the brim to the bottom is
    brim: float = 3.0  # mm, the damaged edge: what the mask's points lie on
    sunk: tuple[float, float] = (0.3, 1.8)  # mm at the brim's inner side
    opacity: tuple[float, float] = (0.35, 0.9)

    def __call__(self, part: Part, rng: np.random.Generator, strength: float) -> Change:
        rho, scale = self.outline(part, rng, strength)
        inward = (1 - rho) * scale  # about the mm from the outline
        on = part.base > 0
        brim = np.clip(1 + inward / self.brim, 0, 1) ** 1.5 * on
        gone = step(inward + 0.4 - 0.5 * self.wall, self.wall) * min(
            along(strength, *self.depth), 1.0
        )
        sunk = np.maximum(part.height - along(strength, *self.sunk) * brim, 0)
        cover = np.maximum(step(inward + 0.25, 0.9), 0.4 * brim) * on
        rough = self.inside * np.maximum(1 + 0.10 * noise(rng, 1.5), 0)[..., None]
        albedo = mix(part.albedo, rough, along(strength, *self.opacity) * cover)
        blind = self.blind * step(gone - 0.5, 0.3) * on
        opened = replace(part, height=sunk * (1 - gone), albedo=albedo, blind=blind)
        return opened, (inward > -0.9 * self.brim) & (part.base > SEEN)
