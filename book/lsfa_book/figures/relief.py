"""A cloud under a raking light: the shading shows dents that a depth colour map hides."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from lsfa_lite.data.sample import Sample

LIGHT = np.array([-0.75, -0.35, -0.55])  # towards the light, camera frame: low, from the left


def relief(sample: Sample, smooth: float = 2.0) -> np.ndarray:
    """Scan -> (H, W) float32 in 0..1, brightness of its surface as if it were of one colour.

    smooth is in pixels: normals come from differences of neighbours, which sensor noise of a
    tenth of a millimetre would drown. 0 where the sensor saw nothing.
    Raises ValueError for a sample without xyz.
    """
    if sample.xyz is None:
        raise ValueError(f"{sample.path}: no xyz; a relief needs the depth sensor's file")
    seen = sample.valid.astype(float)
    weight = gaussian_filter(seen, smooth)
    xyz = gaussian_filter(sample.xyz.astype(float) * seen[..., None], (smooth, smooth, 0))
    xyz /= np.maximum(weight, 1e-9)[..., None]  # the mean of the neighbours that were seen
    down, right = np.gradient(xyz, axis=(0, 1))  # (H, W, 3) each
    normal = np.cross(down, right)  # (H, W, 3), towards the camera
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    shade = np.clip(normal @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)  # (H, W)
    return np.where(sample.valid, shade, 0).astype(np.float32)
