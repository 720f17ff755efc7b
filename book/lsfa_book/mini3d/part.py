"""A part as maps, and what several parts are built of. Drawn anew for every sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lsfa_book.mini3d.maps import coordinates, nearest


@dataclass(frozen=True)
class Part:
    """Maps of CELLS x CELLS in the part's frame.

    height (CELLS, CELLS) mm above the table, 0 where there is no part (or a through-hole);
    albedo (CELLS, CELLS, 3) linear RGB; gloss (CELLS, CELLS) strength of the highlight;
    base   the height without texture and inclusions: defects choose their place on it.
    blind  the chance that depth is lost in a gap of a defect; None where nothing was opened.
    """

    height: np.ndarray
    albedo: np.ndarray
    gloss: np.ndarray
    base: np.ndarray
    blind: np.ndarray | None = None


def harmonics(rng: np.random.Generator, angle: np.ndarray, size: float) -> np.ndarray:
    """A smooth closed curve's deviation from the circle: a few random waves around it, in mm."""
    order = np.arange(2, 7)[:, None]
    amplitude = size * rng.standard_normal((5, 1)) / order
    phase = rng.uniform(0, 2 * np.pi, (5, 1))
    around = np.linspace(-np.pi, np.pi, 361)
    return np.interp(angle, around, np.sum(amplitude * np.cos(order * around + phase), axis=0))


def ellipses(
    rng: np.random.Generator, places: np.ndarray, long: tuple[float, float], aspect: float
) -> np.ndarray:
    """Domes of height 1 at places (K, 2) mm, turned at random: (CELLS, CELLS) in 0..1."""
    x, y = coordinates()
    dome = np.zeros_like(x)
    for px, py in places:
        a, angle = rng.uniform(*long), rng.uniform(0, np.pi)
        rows = slice(*np.searchsorted(y[:, 0], (py - a, py + a)))
        columns = slice(*np.searchsorted(x[0], (px - a, px + a)))
        u, v = x[rows, columns] - px, y[rows, columns] - py
        u, v = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        inside = 1 - (u / a) ** 2 - (v / (a * aspect)) ** 2
        dome[rows, columns] = np.maximum(dome[rows, columns], np.sqrt(np.maximum(inside, 0)))
    return dome


def scatter(rng: np.random.Generator, count: int, apart: float, base: np.ndarray) -> np.ndarray:
    """Up to count places (K, 2) on the part's upper side, no two nearer than apart mm."""
    places = rng.uniform(-46, 46, (count * 12, 2))
    places = places[nearest(base, places[:, 0], places[:, 1]) > 0.72 * base.max()]
    chosen = places[:0]
    while len(places) and len(chosen) < count:
        chosen = np.concatenate([chosen, places[:1]])
        places = places[np.hypot(*(places - places[0]).T) > apart]
    return chosen


def box(x: np.ndarray, y: np.ndarray, half: tuple[float, float], corner: float) -> np.ndarray:
    """Signed distance in mm to a rectangle with rounded corners, negative inside."""
    u, v = np.abs(x) - half[0] + corner, np.abs(y) - half[1] + corner
    outside = np.hypot(np.maximum(u, 0), np.maximum(v, 0))
    return outside + np.minimum(np.maximum(u, v), 0) - corner
