"""Defects as changes of a part's maps. Each returns the changed part and the cells it touched.

strength runs from 0 (barely visible) to 1 (obvious): it scales depth, opacity and size together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from lsfa_book.mini3d.maps import PITCH, coordinates, mix, noise, step
from lsfa_book.mini3d.part import Part, harmonics

Change = tuple[Part, np.ndarray]  # the part with the defect, its footprint (CELLS, CELLS) bool
Colour = tuple[float, float, float]


def place(part: Part, rng: np.random.Generator, margin: float) -> tuple[float, float]:
    """A point (x, y) in mm on the upper side, margin mm away from edges and steep flanks."""
    x, y = coordinates()
    slope = np.hypot(*np.gradient(part.base, PITCH))
    inside = PITCH * ndimage.distance_transform_edt((part.base > 7) & (slope < 0.9))
    cells = np.flatnonzero(inside >= min(margin, 0.8 * inside.max()))
    cell = rng.choice(cells)
    return float(x.flat[cell]), float(y.flat[cell])


def blob(rng: np.random.Generator, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Distance from an irregular blob's centre as a share of its radius: 1 on the outline."""
    x, y = coordinates()
    u, v = x - centre[0], y - centre[1]
    return np.hypot(u, v) / (radius + harmonics(rng, np.arctan2(v, u), 0.22 * radius))


def along(strength: float, low: float, high: float) -> float:
    """low at strength 0, high at strength 1."""
    return low + strength * (high - low)


@dataclass(frozen=True)
class Stain:
    """RGB only: a blot of another colour that fades towards its rim."""

    colours: tuple[Colour, ...]
    opacity: tuple[float, float] = (0.12, 0.9)
    radius: tuple[float, float] = (4.5, 8.5)  # mm

    def __call__(self, part: Part, rng: np.random.Generator, strength: float) -> Change:
        radius = along(strength, *self.radius) * rng.uniform(0.9, 1.1)
        rho = blob(rng, place(part, rng, 3.0), radius)
        cover = step(1 - rho + 0.05 * noise(rng, 3), 0.5) * (part.height > 0)
        colour = self.colours[rng.integers(len(self.colours))]
        cloudy = np.clip(1 + 0.25 * noise(rng, 3), 0, 1)
        albedo = mix(part.albedo, colour, along(strength, *self.opacity) * cover * cloudy)
        return replace(part, albedo=albedo), cover > 0.3


@dataclass(frozen=True)
class Swell:
    """3D only: a smooth dent (sign -1) or bump (sign 1) of the part's own colour."""

    sign: int
    depth: tuple[float, float] = (0.5, 3.0)  # mm
    radius: tuple[float, float] = (7.0, 9.5)  # mm, where the depth has fallen to 1/9

    def __call__(self, part: Part, rng: np.random.Generator, strength: float) -> Change:
        radius = along(strength, *self.radius) * rng.uniform(0.9, 1.1)
        rho = blob(rng, place(part, rng, 5.0), radius)
        shape = np.exp(-2.2 * rho**2)
        change = self.sign * along(strength, *self.depth) * shape * (part.base > 0)
        return replace(part, height=np.maximum(part.height + change, 0)), (rho < 1) & (
            part.base > 0
        )


@dataclass(frozen=True)
class Hole:
    """Both: a blind hole with ragged, steep walls that lays the darker inside bare."""

    inside: Colour
    depth: tuple[float, float] = (0.8, 7.0)  # mm
    radius: tuple[float, float] = (1.8, 4.5)  # mm
    opacity: tuple[float, float] = (0.2, 0.8)

    def __call__(self, part: Part, rng: np.random.Generator, strength: float) -> Change:
        radius = along(strength, *self.radius) * rng.uniform(0.9, 1.1)
        rho = blob(rng, place(part, rng, radius), radius)
        cover = step(1 - rho, 0.35)
        floor = along(strength, *self.depth) * (1 + 0.12 * noise(rng, 3))
        height = np.where(part.base > 0, np.maximum(part.height - floor * cover, 0), 0)
        albedo = mix(part.albedo, self.inside, along(strength, *self.opacity) * cover)
        return replace(part, height=height, albedo=albedo), (cover > 0.2) & (part.base > 0)


def line(
    rng: np.random.Generator, centre: tuple[float, float], length: float, bends: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distance in mm to a random line, and the place along it from -1 to 1, (CELLS, CELLS) each."""
    x, y = coordinates()
    turn = rng.uniform(0, np.pi) + bends * np.cumsum(rng.normal(0, 0.28, 25))
    path = np.stack([np.cos(turn), np.sin(turn)], axis=1).cumsum(axis=0) * length / 25
    path += np.array(centre) - path[12]
    squared = [(x - px) ** 2 + (y - py) ** 2 for px, py in path]
    nearest = np.argmin(squared, axis=0)
    tangent = np.stack([np.cos(turn), np.sin(turn)], axis=1)[nearest]
    offset = np.stack([x, y], axis=-1) - path[nearest]
    across = offset[..., 0] * tangent[..., 1] - offset[..., 1] * tangent[..., 0]
    beyond = np.abs(np.sum(offset * tangent, axis=-1)) - 0.5 * length / 25  # past the piece's end
    return np.hypot(across, np.maximum(beyond, 0)), nearest / 12.0 - 1


@dataclass(frozen=True)
class Groove:
    """Both: a crack (bends > 0) or a straight cut, tapering towards its ends."""

    inside: Colour
    bends: float
    depth: tuple[float, float] = (0.6, 3.5)  # mm
    width: tuple[float, float] = (1.2, 2.6)  # mm, the full width in the middle
    length: tuple[float, float] = (14.0, 30.0)  # mm
    opacity: tuple[float, float] = (0.2, 0.85)

    def __call__(self, part: Part, rng: np.random.Generator, strength: float) -> Change:
        length = along(strength, *self.length) * rng.uniform(0.9, 1.1)
        far, position = line(rng, place(part, rng, 0.3 * length), length, self.bends)
        half = 0.5 * along(strength, *self.width) * np.sqrt(np.maximum(1 - position**2, 0.02))
        profile = np.clip(1.15 - far / half, 0, 1) * (part.base > 5.5)
        change = along(strength, *self.depth) * profile
        height = np.where(change > 0, np.maximum(part.height - change, 0), part.height)
        albedo = mix(
            part.albedo, self.inside, along(strength, *self.opacity) * step(profile - 0.4, 0.6)
        )
        return replace(part, height=height, albedo=albedo), profile > 0.15


@dataclass(frozen=True)
class Contamination:
    """Both: a foreign crumb of another colour that lies on the part."""

    colours: tuple[Colour, ...]
    rise: tuple[float, float] = (0.6, 3.5)  # mm
    radius: tuple[float, float] = (2.0, 4.8)  # mm
    opacity: tuple[float, float] = (0.25, 1.0)
    gloss: float = 0.25

    def __call__(self, part: Part, rng: np.random.Generator, strength: float) -> Change:
        radius = along(strength, *self.radius) * rng.uniform(0.9, 1.1)
        rho = blob(rng, place(part, rng, radius), radius)
        dome = np.sqrt(np.maximum(1 - rho**2.5, 0)) * (1 + 0.08 * noise(rng, 2.5))
        height = part.height + along(strength, *self.rise) * dome * (part.base > 0)
        cover = step(1 - rho, 0.2)
        colour = self.colours[rng.integers(len(self.colours))]
        albedo = mix(part.albedo, colour, along(strength, *self.opacity) * cover)
        gloss = part.gloss * (1 - cover) + self.gloss * cover
        return replace(part, height=height, albedo=albedo, gloss=gloss), rho < 1


@dataclass(frozen=True)
class Bent:
    """3D only: a corner of the plate bent up smoothly."""

    lift: tuple[float, float] = (0.8, 5.0)  # mm at the tip
    corner: tuple[float, float] = (41.0, 33.0)  # mm
    reach: float = 24.0  # mm from the tip to the fold

    def __call__(self, part: Part, rng: np.random.Generator, strength: float) -> Change:
        x, y = coordinates()
        sx, sy = rng.choice([-1.0, 1.0], 2)
        angle = np.deg2rad(rng.uniform(25, 65))
        toward = (x * sx - self.corner[0]) * np.cos(angle) + (y * sy - self.corner[1]) * np.sin(
            angle
        )
        shape = np.clip(1 + toward / (self.reach * rng.uniform(0.9, 1.1)), 0, None) ** 1.6
        change = along(strength, *self.lift) * shape * np.clip(part.base / 8.0, 0, 1)
        return replace(part, height=part.height + change), (change > 0.2) & (part.base > 1)
