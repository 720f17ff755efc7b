"""What is manufactured: a handle and a bracket."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from lsfa_book.mini3d.maps import coordinates, mix, noise, step
from lsfa_book.mini3d.part import Part, box

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
