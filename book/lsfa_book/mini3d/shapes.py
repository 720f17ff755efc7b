"""Four parts, each as maps: height above the table, colour, gloss. Drawn anew for every sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from lsfa_book.mini3d.maps import coordinates, mix, nearest, noise, step


@dataclass(frozen=True)
class Part:
    """Maps of CELLS x CELLS in the part's frame.

    height (CELLS, CELLS) mm above the table, 0 where there is no part (or a through-hole);
    albedo (CELLS, CELLS, 3) linear RGB; gloss (CELLS, CELLS) strength of the highlight;
    base   the height without texture and inclusions: defects choose their place on it.
    """

    height: np.ndarray
    albedo: np.ndarray
    gloss: np.ndarray
    base: np.ndarray


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


def ring(rng: np.random.Generator, contrast: float) -> Part:
    """A baked ring with seeds: 88 mm across, 24 mm high."""
    x, y = coordinates()
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    across = (radius - 29 - harmonics(rng, angle, 0.7)) / (15 + harmonics(rng, angle, 0.6))
    base = 24 * np.sqrt(np.maximum(1 - np.abs(across) ** 2.3, 0))
    on = base > 0
    lumps, grain = noise(rng, 16), noise(rng, 2.2)
    height = base + on * (0.35 * lumps + 0.05 * grain)
    baked = np.clip(base / 24 * 1.5 - 0.55 + 0.16 * contrast * lumps, 0, 1)
    albedo = mix(np.array([0.66, 0.40, 0.15]), (0.36, 0.125, 0.028), baked)
    albedo = albedo * (1 + contrast * (0.05 * grain + 0.09 * noise(rng, 7)))[..., None]
    seeds = ellipses(rng, scatter(rng, 60, 4.0, base), (1.5, 2.0), 0.55)
    albedo = mix(albedo, (0.74, 0.58, 0.32), step(seeds - 0.25, 0.4))
    return Part(height + 0.8 * seeds, albedo, np.full_like(x, 0.16), base)


def biscuit(rng: np.random.Generator, contrast: float) -> Part:
    """A flat biscuit with chocolate chips: 80 mm across, 12 mm high."""
    x, y = coordinates()
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    across = radius / (40 + harmonics(rng, angle, 1.1))
    base = 12 * np.sqrt(np.maximum(1 - across**5, 0))
    on = np.sqrt(base / 12)
    lumps, crumbs, grain = noise(rng, 11), noise(rng, 4), noise(rng, 1.6)
    height = base + on * (0.30 * lumps + 0.14 * crumbs + 0.05 * grain)
    baked = np.clip((across - 0.55) * 1.6 + 0.14 * contrast * lumps, 0, 1)
    albedo = mix(np.array([0.60, 0.37, 0.155]), (0.38, 0.18, 0.055), baked)
    albedo = albedo * (1 + contrast * (0.08 * crumbs + 0.07 * grain))[..., None]
    chips = ellipses(rng, scatter(rng, 16, 9.5, base), (2.8, 4.6), 0.78)
    chocolate = step(chips - 0.3 + 0.04 * crumbs, 0.25)
    albedo = mix(albedo, (0.060, 0.024, 0.012), chocolate)
    return Part(height + 1.7 * chips * (base > 0), albedo, 0.06 + 0.30 * chocolate, base)


# Outline of the handle: half width in mm at places along its axis
_HANDLE_X = np.array([-45, -44, -41, -36, -26, -14, 0, 12, 20, 26, 28.5, 29.5, 31, 44.2, 45])
_HANDLE_R = np.array([0, 7, 14, 19, 22.6, 23, 20.5, 18.2, 18.6, 20.2, 20, 17.2, 16.2, 15.8, 14.5])


def handle(rng: np.random.Generator, contrast: float) -> Part:
    """A turned wooden handle with a brass ferrule: 90 mm long, 46 mm wide, 32 mm high."""
    x, y = coordinates()
    shift = rng.normal(0, 0.5, 2)
    places = _HANDLE_X + shift[0] * np.exp(-((_HANDLE_X / 20) ** 2))
    turning = PchipInterpolator(
        places, _HANDLE_R + 0.4 * shift[1] * (_HANDLE_R > 16), extrapolate=False
    )
    half = np.broadcast_to(np.nan_to_num(turning(x[0])), x.shape)
    across = y / np.maximum(half, 1e-6)
    base = 1.4 * half * np.sqrt(np.maximum(1 - np.abs(across) ** 2.3, 0))
    brass = step(x - 30.2, 0.4)
    warp, fibre = noise(rng, 26, (2.5, 1.0)), noise(rng, 1.4, (14.0, 1.0))
    rings = (y / 6.5 + 0.75 * warp + 0.04 * fibre + rng.uniform()) % 1  # light to dark, then a jump
    height = base + (base > 0) * (1 - brass) * (0.10 * warp + 0.05 * fibre)
    dark = np.clip(
        0.25 + contrast * (0.55 * rings**2 * step(0.95 - rings, 0.1) + 0.13 * fibre), 0, 1
    )
    albedo = mix(np.array([0.60, 0.37, 0.165]), (0.30, 0.135, 0.045), dark)
    turned = 1 + 0.05 * contrast * noise(rng, 1.0, (1.0, 14.0))
    albedo = mix(albedo, np.array([0.55, 0.38, 0.13]) * turned[..., None], brass)
    groove = np.exp(-(((x - places[8]) / 0.9) ** 2)) * (base > 0)
    return Part(
        height - 0.7 * groove, albedo * (1 - 0.45 * groove[..., None]), 0.10 + 0.5 * brass, base
    )


def box(x: np.ndarray, y: np.ndarray, half: tuple[float, float], corner: float) -> np.ndarray:
    """Signed distance in mm to a rectangle with rounded corners, negative inside."""
    u, v = np.abs(x) - half[0] + corner, np.abs(y) - half[1] + corner
    outside = np.hypot(np.maximum(u, 0), np.maximum(v, 0))
    return outside + np.minimum(np.maximum(u, v), 0) - corner


def bracket(rng: np.random.Generator, contrast: float) -> Part:
    """A milled plate with four holes, a bored boss, a rib and a pocket: 82 x 66 mm, 18 mm high."""
    x, y = coordinates()
    jitter = rng.normal(0, 0.12, (6, 2))
    boss = np.hypot(x + 6 - jitter[0, 0], y - jitter[0, 1])
    rib = box(x - 14, y, (22, 3.2), 1.0)
    slope = np.clip(1 - (x - 8) / 28, 0, 1)
    pocket = box(x - 22, y + 19.5, (9, 5.5), 3.0)
    top = 8.5 + rng.normal(0, 0.10) - 2.5 * step(-pocket)
    top = np.maximum(top + 6 * slope * step(-rib, 1.0), 18 * step(15 - boss, 1.0))
    top = top * step(boss - 7.2, 0.7)
    corners = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    for (sx, sy), (jx, jy) in zip(corners, jitter[1:5], strict=True):
        top = top * step(np.hypot(x - 33 * sx - jx, y - 25 * sy - jy) - 3.8, 0.7)
    base = top * step(-box(x, y, (41, 33), 7.0), 0.7)
    milled, cast = noise(rng, 1.1, (20.0, 1.0)), noise(rng, 14)
    height = base + (base > 1) * (0.03 * milled + 0.05 * cast)
    shade = 1 + contrast * (0.10 * milled + 0.06 * cast + 0.03 * noise(rng, 1.0))
    albedo = np.array([0.20, 0.21, 0.225]) * shade[..., None]
    return Part(height, albedo, 0.22 + 0.04 * contrast * milled, base)


SHAPES: dict[str, Callable[[np.random.Generator, float], Part]] = {
    "ring": ring,
    "biscuit": biscuit,
    "handle": handle,
    "bracket": bracket,
}
VIEW = {"ring": 120.0, "biscuit": 116.0, "handle": 109.0, "bracket": 120.0}  # mm across the picture
HEIGHT = {"ring": 24.0, "biscuit": 12.0, "handle": 32.0, "bracket": 18.0}  # mm above the table
