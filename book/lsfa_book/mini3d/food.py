"""What is eaten: a ring with seeds, a biscuit."""

from __future__ import annotations

import numpy as np

from lsfa_book.mini3d.maps import coordinates, mix, noise, step
from lsfa_book.mini3d.part import Part, ellipses, harmonics, scatter


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
