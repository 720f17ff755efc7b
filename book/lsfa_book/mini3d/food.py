"""What is eaten: a ring with seeds, a biscuit, a carrot, a peach, a potato."""

from __future__ import annotations

import numpy as np

from lsfa_book.mini3d.maps import coordinates, mix, noise, step
from lsfa_book.mini3d.part import Part, ellipses, harmonics, scatter
from lsfa_book.mini3d.solids import dome, sweep, through


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


def carrot(rng: np.random.Generator, contrast: float) -> Part:
    """A short, washed carrot: 90 mm long, 44 mm wide at its shoulder, 27 mm high."""
    bow, thick, blunt = rng.normal(0, 2.0), rng.normal(0, 0.5), rng.normal(0, 0.7)
    path = through(np.array([(-45, 0), (-15, bow), (15, -0.5 * bow), (45, 0.8 * bow)]))
    body = sweep(
        path,
        (0, 1.2, 4, 11, 26, 48, 70, 82, 88, 90),
        (2, 12, 19, 22 + thick, 21.3 + thick, 17.5 + blunt, 13.5 + blunt, 10.5, 6.5, 2),
    )
    base = 1.25 * body.half * dome(body.across, 2.2)
    on = base > 0
    growth, fibre = noise(rng, 20), body.texture(noise(rng, 0.9, (14.0, 1.0)))
    rings = body.texture(noise(rng, 1.5, (1.0, 9.0)))  # fine wrinkles around the root
    scars = np.clip(body.texture(noise(rng, 2.0, (1.0, 5.0))) - 1.75, 0, 1)
    height = base + on * (0.30 * growth + 0.12 * rings - 0.75 * scars)
    hue = rng.uniform(0, 1)
    albedo = mix(
        mix(np.array([0.52, 0.150, 0.016]), (0.46, 0.105, 0.012), np.full_like(base, hue)),
        (0.64, 0.24, 0.045),
        np.clip(0.25 + 0.20 * contrast * growth, 0, 1),
    )
    fine = 0.06 * rings + 0.05 * fibre + 0.05 * noise(rng, 1.0) + 0.06 * noise(rng, 9)
    albedo = albedo * (1 + contrast * fine)[..., None]
    albedo = mix(albedo, (0.20, 0.085, 0.025), np.clip(1.5 * contrast * scars, 0, 0.75))
    crown = 7.5 + 2.5 * contrast * noise(rng, 5) - body.along + 3 * rng.uniform(-1, 1)
    albedo = mix(albedo, (0.20, 0.19, 0.045), 0.8 * step(crown, 9))
    stalk = np.exp(-(((body.along - 2.5) / 2.2) ** 2 + (body.across * body.half / 4.5) ** 2))
    albedo = mix(
        albedo, (0.075, 0.06, 0.02), np.clip(1.3 * stalk * (1 + 0.3 * noise(rng, 2)), 0, 1)
    )
    return Part(height, albedo, 0.13 + 0.03 * contrast * growth, base)


def peach(rng: np.random.Generator, contrast: float) -> Part:
    """A ripe peach with its cleft and cavity, red where the sun was: 74 mm across, 38 mm high."""
    x, y = coordinates()
    wobble, side, sun = harmonics(rng, np.arctan2(y, x), 0.55), *rng.uniform(-np.pi, np.pi, 2)
    across = np.hypot(x, y) / (37 + wobble)
    u, v = x * np.cos(side) + y * np.sin(side), y * np.cos(side) - x * np.sin(side)
    stem = np.hypot(u + 13, v)
    base = 38 * dome(across, 2.5)
    v = v + 1.2 * np.sin(u / 15 + sun)
    cleft = np.exp(-((v / 2.6) ** 2)) * step(u + 13, 6.0) * (1.5 + rng.normal(0, 0.25))
    down = base - np.minimum(cleft + 7.5 * np.exp(-((stem / 5.0) ** 2)), 0.8 * base)
    cloud, streak, fuzz = noise(rng, 24), noise(rng, 3.2), noise(rng, 0.9)
    height = down + (base > 0) * (0.35 * noise(rng, 18) + 0.05 * fuzz)
    toward = (x * np.cos(sun) + y * np.sin(sun)) / 37
    red = 0.48 + 0.42 * toward + contrast * (0.26 * cloud + 0.10 * streak + 0.05 * fuzz)
    albedo = mix(np.array([0.72, 0.40, 0.10]), (0.62, 0.165, 0.045), np.clip(1.6 * red, 0, 1))
    albedo = mix(albedo, (0.30, 0.026, 0.022), np.clip(1.7 * red - 0.75, 0, 1))
    dots = np.clip(noise(rng, 1.5) - 2.0, 0, 1)
    albedo = mix(albedo, (0.75, 0.45, 0.16), 0.5 * contrast * dots)
    albedo = albedo * (1 + contrast * (0.045 * fuzz + 0.05 * streak))[..., None]
    down_hair = 0.30 * np.clip(across, 0, 1) ** 6  # the fuzz is seen against the light at the rim
    albedo = mix(albedo, (0.62, 0.44, 0.34), down_hair * (base > 0))
    albedo = mix(albedo, (0.10, 0.055, 0.02), 0.9 * np.exp(-((stem / 2.6) ** 2)))
    return Part(height, albedo, 0.035 + 0.02 * contrast * np.clip(cloud, -1, 1), base)


def potato(rng: np.random.Generator, contrast: float) -> Part:
    """An unwashed potato, no two alike: 76 to 90 mm long, 54 to 64 mm wide, 28 mm high."""
    x, y = coordinates()
    long, wide, bean = rng.uniform(38, 45), rng.uniform(27, 32), rng.normal(0, 2.5)
    u, v = x / long, (y - bean * (x / long) ** 2 + 0.4 * bean) / wide
    angle = np.arctan2(v, u)
    across = np.hypot(u, v) / (1 + harmonics(rng, angle, 0.055))
    base = 28 * dome(across, 2.3)
    on = dome(across, 2.3)
    lumps, swell, scurf, grain = noise(rng, 26), noise(rng, 12), noise(rng, 3.0), noise(rng, 1.1)
    height = base + on * (1.7 * lumps + 0.85 * swell + 0.12 * scurf + 0.08 * grain)
    eyes, brow = np.zeros_like(x), np.zeros_like(x)
    for px, py in scatter(rng, 7, 14.0, base):
        a, turn = rng.uniform(1.4, 2.4), rng.uniform(-0.5, 0.5)
        du, dv = x - px, y - py + turn * (x - px)
        eyes = np.maximum(eyes, np.exp(-((du / (1.7 * a)) ** 2) - (dv / a) ** 2))
        brow = np.maximum(
            brow, np.exp(-((du / (2.6 * a)) ** 2) - ((dv - 1.3 * a) / (0.6 * a)) ** 2)
        )
    height = height + on * (0.9 * brow - 2.3 * eyes)
    tone = np.full_like(x, rng.uniform(0, 1))
    albedo = mix(np.array([0.39, 0.255, 0.11]), (0.29, 0.175, 0.068), tone)
    netted = np.clip(np.abs(scurf + 0.5 * grain) - 0.5, 0, 1.5)
    albedo = albedo * (1 + contrast * (0.20 * netted + 0.10 * swell + 0.12 * grain))[..., None]
    dots = np.clip(noise(rng, 1.3) - 2.1, 0, 1)
    albedo = mix(albedo, (0.14, 0.08, 0.035), np.clip(1.2 * dots + 0.55 * eyes, 0, 0.8))
    soil = step(noise(rng, 9) + 0.6 * scurf + 0.3 * grain - 1.8, 1.6)
    albedo = mix(albedo, (0.115, 0.075, 0.045), 0.75 * np.minimum(contrast, 1.2) * soil)
    return Part(height, albedo, np.full_like(x, 0.03), base)
