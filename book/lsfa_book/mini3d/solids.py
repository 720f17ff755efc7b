"""Solids and textures that several parts share: a body along a path, domes, pits, chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.spatial import cKDTree

from lsfa_book.mini3d.maps import coordinates, nearest, noise, step


@dataclass(frozen=True)
class Body:
    """Coordinates of a body along a path, (CELLS, CELLS) each."""

    along: np.ndarray  # mm from the path's start; outside of its ends below 0 or past its length
    across: np.ndarray  # share of the half width: -1 and 1 on the two flanks
    half: np.ndarray  # mm, the half width there

    def texture(self, field: np.ndarray, twist: float = 0.0) -> np.ndarray:
        """field laid along the body instead of along x; twist is its slant in mm per mm."""
        side = self.half * np.arcsin(np.clip(self.across, -1, 1))  # mm around, not across
        return nearest(field, self.along + twist * side, side, repeat=True)


def through(points: np.ndarray) -> np.ndarray:
    """A smooth path (600, 2) mm through points (K, 2), evenly spaced."""
    curve = CubicSpline(np.linspace(0, 1, len(points)), points)(np.linspace(0, 1, 2000))
    arc = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    even = np.linspace(0, arc[-1], 600)
    return np.stack([np.interp(even, arc, axis) for axis in curve.T], axis=1)


def sweep(path: np.ndarray, places: Sequence[float], half: Sequence[float]) -> Body:
    """A body around a path (K, 2) mm; its profile: half widths in mm at places in mm along it."""
    cells = np.stack(coordinates(), axis=-1)  # (CELLS, CELLS, 2)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    arc = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    at = cKDTree(path).query(cells)[1]
    offset, ahead = cells - path[at], tangent[at]
    along = arc[at] + np.sum(offset * ahead, axis=-1)
    side = offset[..., 0] * ahead[..., 1] - offset[..., 1] * ahead[..., 0]
    profile = PchipInterpolator(places, half)
    width = np.where((along < 0) | (along > arc[-1]), 1e-6, profile(np.clip(along, 0, arc[-1])))
    width = np.maximum(width, 1e-6)
    return Body(along, side / width, width)


def dome(across: np.ndarray, power: float) -> np.ndarray:
    """1 in the middle, 0 from |across| = 1 on; the larger the power, the flatter the top."""
    return np.sqrt(np.maximum(1 - np.abs(across) ** power, 0))


def pits(rng: np.random.Generator, size: float, share: float) -> np.ndarray:
    """0..1: 1 inside of irregular pores of about size mm that cover a share of the map."""
    field = noise(rng, 2.2 * size)
    return step(np.quantile(field, share) - field, 0.5)


def chips(rng: np.random.Generator, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Voronoi chips of about size mm: each cell's chip (number), its distance to a seam in mm."""
    x, y = coordinates()
    seeds = rng.uniform(-58, 58, (int((116 / size) ** 2), 2))
    warp = 0.16 * size
    cells = np.stack([x + warp * noise(rng, size), y + warp * noise(rng, size)], axis=-1)
    far, chip = cKDTree(seeds).query(cells, k=2)
    return chip[..., 0], 0.5 * (far[..., 1] - far[..., 0])
