"""What is manufactured: a bracket, a handle, a block of foam, a rope, a tire."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from lsfa_book.mini3d.maps import coordinates, mix, noise, step
from lsfa_book.mini3d.part import Part, box, harmonics
from lsfa_book.mini3d.solids import chips, dome, pits, sweep, through

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


_CHIPS = np.array(  # offcuts of many foams: blue, grey, rose, cream, green, white, ochre, smoke
    [
        [0.07, 0.10, 0.33, 0.45, 0.11, 0.44, 0.37, 0.21],  # red
        [0.12, 0.10, 0.16, 0.38, 0.20, 0.44, 0.25, 0.21],  # green
        [0.24, 0.11, 0.16, 0.22, 0.13, 0.42, 0.09, 0.21],  # blue
    ]
).T


def foam(rng: np.random.Generator, contrast: float) -> Part:
    """A tool's bed, cut from bonded foam chips: 86 x 64 mm, 24 mm high, a slot and a round bed."""
    x, y = coordinates()
    jitter = rng.normal(0, 0.35, 4)
    edge = noise(rng, 6)
    slot = box(x + 14 - jitter[0], y - jitter[1], (20, 8.5), 5.0)
    bed = np.hypot(x - 24 - jitter[2], y - jitter[3]) - 12.5
    well = np.minimum(slot, bed)
    base = 24 * step(-box(x, y, (43, 32), 3.0) + 0.15 * edge, 0.9)
    base = np.minimum(base, 24 - 7 * step(-well + 0.1 * edge, 0.9))
    chip, seam = chips(rng, 5.5)
    weights = rng.dirichlet(np.full(len(_CHIPS), 2.5))
    many = chip.max() + 1
    shade = 1 + 0.16 * contrast * rng.standard_normal(many)
    colours = _CHIPS[rng.choice(len(_CHIPS), many, p=weights)] * np.maximum(shade, 0.4)[:, None]
    fine, coarse, grain = pits(rng, 0.5, 0.25), pits(rng, 0.9, 0.035), noise(rng, 1.0)
    relief = 0.25 * rng.standard_normal(many)[chip] - 0.15 * step(0.3 - seam, 0.7)
    height = base + (base > 1) * (relief - 0.30 * fine - 1.1 * coarse + 0.10 * grain)
    dirt = 1 + contrast * (0.07 * grain + 0.07 * noise(rng, 18))
    albedo = mix(colours[chip], (0.22, 0.21, 0.19), np.full_like(x, 0.25)) * dirt[..., None]
    dark = 1 - 0.26 * fine - 0.38 * coarse - 0.22 * step(0.3 - seam, 0.7)
    return Part(height, albedo * np.maximum(dark, 0.12)[..., None], np.full_like(x, 0.015), base)


def rope(rng: np.random.Generator, contrast: float) -> Part:
    """A laid hemp rope of three strands, in two bends, never laid twice alike: 20 mm thick."""
    flip = rng.choice([-1.0, 1.0])
    knots = np.array([(-36, 30), (0, 31), (29, 28), (37, 15), (24, 2), (0, 0)], dtype=float)
    knots = np.concatenate([knots, -knots[-2::-1]]) + rng.normal(0, 1.3, (11, 2))
    path = through(knots * (1, flip))
    end = np.hypot(*np.diff(path, axis=0).T).sum()
    thick = 10.2 + rng.normal(0, 0.6)
    body = sweep(path, (0, 1.5, end - 1.5, end), (thick - 1.5, thick, thick, thick - 1.5))
    frayed = body.across * (1 + 0.03 * noise(rng, 2.0))
    base = 2 * body.half * dome(frayed, 2.6)
    base = base * step(body.along - 1.2 + 0.6 * noise(rng, 2), 1.5)
    base = base * step(end - 1.2 - body.along + 0.6 * noise(rng, 2), 1.5)
    lay = rng.uniform(11.0, 13.5)  # mm from strand to strand along the rope
    turn = body.along / lay + 1.5 * np.arcsin(np.clip(body.across, -1, 1)) / np.pi
    turn = turn + rng.uniform() + 0.05 * noise(rng, 14)
    strand = np.abs(np.cos(np.pi * turn))  # 1 on a strand's crest, a sharp 0 between two strands
    yarn = body.texture(noise(rng, 0.9, (9.0, 1.0)), 0.25)
    hair, spun = noise(rng, 0.8), body.texture(noise(rng, 1.7, (7.0, 1.0)), 0.25)
    slack = body.texture(noise(rng, 9.0))  # a strand here and there lies looser than the rest
    deep = 4.2 * rng.uniform(0.6, 1.25) * (1 - strand) ** 1.3
    height = base - (base > 0) * (deep - 0.8 * slack * strand - 0.24 * spun - 0.10 * yarn)
    number = np.floor(turn + 0.5) % 3
    tones = 1 + 0.10 * contrast * rng.standard_normal(3)
    albedo = mix(
        np.array([0.50, 0.355, 0.175]), (0.40, 0.24, 0.095), np.full_like(base, rng.uniform())
    )
    streaks = 1 + contrast * (0.13 * yarn + 0.10 * spun + 0.06 * hair + 0.06 * noise(rng, 20))
    albedo = albedo * (tones[number.astype(int)] * np.clip(streaks, 0.3, 1.6))[..., None]
    albedo = albedo * (0.40 + 0.60 * step(strand - 0.22, 0.5))[..., None]
    return Part(np.maximum(height, 0.4 * base), albedo, np.full_like(base, 0.03), base)


def tire(rng: np.random.Generator, contrast: float) -> Part:
    """A small rubber tire on its side, dusty: lugs around, ribs and raised marks, 90 mm across."""
    x, y = coordinates()
    radius, angle = np.hypot(x, y), np.arctan2(y, x) + rng.uniform(-np.pi, np.pi)
    radius = radius + harmonics(rng, angle, 0.15)
    lug = step(np.cos(22 * angle + 0.12 * (radius - 36)) + 0.25, 0.5)
    tread = step(radius - 36.8, 1.2)
    outer = 44.5 - 1.6 * (1 - lug)
    base = 27 * dome((radius - 32) / np.where(radius < 32, 14.2, outer - 32 + 1.2), 5.0)
    base = base * step(outer - radius, 1.0)
    wall = base - 3.6 * np.exp(-(((radius - 29) / 5.5) ** 2)) * (base > 0)
    ribs = sum(np.exp(-(((radius - r) / 0.55) ** 2)) for r in (21.0, 22.6, 35.0))
    words = step(np.cos(5 * angle) - 0.15, 0.2) * step(np.cos(37 * angle) - 0.1, 0.5)
    words = words * step(2.3 - np.abs(radius - 29), 0.5)
    wear, grain = noise(rng, 9), noise(rng, 1.0)
    relief = 0.7 * ribs + 0.8 * words - 3.4 * tread * (1 - lug)
    height = wall + (base > 1) * (relief + 0.10 * noise(rng, 14) + 0.04 * grain)
    albedo = (
        np.array([0.021, 0.021, 0.022]) * (1 + contrast * (0.16 * wear + 0.13 * grain))[..., None]
    )
    dust = (
        0.30
        + 0.25 * wear
        + 0.5 * (1 - lug) * tread
        + 0.22 * noise(rng, 3)
        - 0.4 * ribs
        - 0.3 * words
    )
    dust = dust * rng.uniform(0.4, 1.6)
    albedo = mix(albedo, (0.115, 0.098, 0.078), np.clip(0.42 * contrast * dust, 0, 0.6))
    mud = step(noise(rng, 7) + 0.5 * noise(rng, 1.8) - rng.uniform(0.5, 2.0), 0.7)
    albedo = mix(albedo, (0.105, 0.075, 0.048), 0.75 * np.minimum(contrast, 1.2) * mud)
    gloss = 0.17 * (1 - 0.6 * np.clip(dust, 0, 1)) + 0.10 * np.clip(ribs + words, 0, 1)
    return Part(height, np.maximum(albedo, 0.004), gloss, base)
