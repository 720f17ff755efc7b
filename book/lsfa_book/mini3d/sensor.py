"""What the two sensors make of the scene: blur, noise, quantisation, missing points."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from lsfa_book.mini3d.render import Hit

DEPTH_NOISE = 0.12  # mm at 0.5 m, one standard deviation; grows with depth squared
EDGE = 3.0  # mm between neighbours from which a pixel lies on a depth edge
COLOUR_NOISE = 0.006  # of full scale
BLUR = 0.55  # pixels, the lens


def colour_picture(light: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
    """Linear light (H, W, 3) -> uint8 picture: lens blur, sRGB-like curve, noise."""
    light = ndimage.gaussian_filter(light, (BLUR, BLUR, 0))
    picture = np.clip(light, 0, 1) ** (1 / 2.2)
    picture = picture + COLOUR_NOISE * noise * rng.standard_normal(picture.shape)
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def scan(
    hit: Hit,
    rays: np.ndarray,
    rng: np.random.Generator,
    noise: float,
    blind: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Organised cloud (H, W, 3) float32 in metres, (0, 0, 0) where nothing came back.

    rays (H, W, 3) in the camera's frame with z = 1. Missing are depth edges, grazing
    surfaces (both by chance, more often the steeper), a few stray pixels, and what is too deep
    in a gap: by chance blind (H, W).
    """
    sigma = DEPTH_NOISE * noise * (hit.depth / 500) ** 2
    depth = hit.depth + sigma * rng.standard_normal(hit.depth.shape)
    span = ndimage.maximum_filter(hit.depth, 3) - ndimage.minimum_filter(hit.depth, 3)
    facing = -np.sum(hit.normal * hit.ray, axis=-1)
    lost = 0.75 * (span > EDGE) + np.clip((0.34 - facing) / 0.3, 0, 0.9) + 0.0015 + blind
    seen = rng.uniform(size=depth.shape) >= lost
    points = 1e-3 * depth[..., None] * rays * seen[..., None]
    return np.round(points, 6).astype(np.float32)  # a micrometre: bytes do not hang on the last bit
