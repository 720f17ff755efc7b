"""Small pictures of a part: its colour, its depth, and its maps over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lsfa_lite.data.sample import Sample
from lsfa_lite.report import overlay

SIDE = 240  # pixels of the longer side at most; the page shows about 150, screens have two for one


def window(foreground: np.ndarray) -> tuple[slice, slice]:
    """(H, W) bool -> rows and columns around the part, a twentieth more; all if there is none."""
    height, width = foreground.shape
    if not foreground.any():
        return slice(0, height), slice(0, width)
    rows, columns = np.flatnonzero(foreground.any(axis=1)), np.flatnonzero(foreground.any(axis=0))
    more = 1 + max(np.ptp(rows), np.ptp(columns)) // 20
    return (
        slice(max(rows[0] - more, 0), rows[-1] + more + 1),
        slice(max(columns[0] - more, 0), columns[-1] + more + 1),
    )


def relief(xyz: np.ndarray) -> np.ndarray:
    """xyz (H, W, 3) -> (H, W) float32 in 0..1, the nearer the brighter, 0 where nothing was seen.

    The plane through all points is taken out first: on a part that lies askew, depth shows the
    tilt and nothing else.
    """
    seen = xyz.any(axis=-1)
    out = np.zeros(seen.shape, np.float32)
    x, y, z = xyz[seen].astype(np.float64).T  # (P,) each
    if len(z) == 0:
        return out
    flat = np.stack([x - x.mean(), y - y.mean(), np.ones_like(x)], axis=1)  # (P, 3)
    height = flat @ np.linalg.lstsq(flat, z, rcond=None)[0] - z
    low, high = np.quantile(height, [0.02, 0.98])
    out[seen] = 0.15 + 0.85 * np.clip((height - low) / max(high - low, 1e-9), 0, 1)
    return out


def grounds(sample: Sample) -> dict[str, np.ndarray]:
    """What a map is laid over: {"colour": (H, W, 3), "depth": (H, W, 3)} float32, what there is."""
    found = {}
    if (colour := sample.colour) is not None:
        found["colour"] = colour
    if sample.xyz is not None:
        found["depth"] = np.repeat(relief(sample.xyz)[..., None], 3, axis=-1)
    return found


def small(array: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3) float32 -> the same, its longer side SIDE at most; means of pixels."""
    height, width = array.shape[:2]
    if (factor := max(height, width) / SIDE) <= 1:
        return array
    size = max(round(width / factor), 1), max(round(height / factor), 1)
    channels = array[..., None] if array.ndim == 2 else array
    planes = (np.ascontiguousarray(plane, np.float32) for plane in np.moveaxis(channels, -1, 0))
    each = [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in planes]
    return np.stack(each, axis=-1).reshape(size[1], size[0], *array.shape[2:])


def write_pictures(
    folder: Path, under: dict[str, np.ndarray], heats: dict[str, np.ndarray], on: np.ndarray
) -> dict[str, str]:
    """colour.jpg, depth.jpg and a picture for each of `heats`, cut to the part `on` (H, W).

    under as `grounds` gives it; heats {"rgb", "3d", "fused": (H, W)}, 1 what good parts stay below.
    Returns stem -> caption.
    """
    cut = window(on)
    ground = {name: small(picture[cut]) for name, picture in under.items()}
    over = {"rgb": "colour", "3d": "depth", "fused": next(iter(ground))}
    shown = dict(ground)
    captions = {"colour": "colour", "depth": "depth"}
    captions |= {"rgb": "heat by colour", "3d": "heat by depth", "fused": "heat, fused"}
    for name, heat in heats.items():
        shown[name] = overlay(ground[over[name]], small(heat[cut]), 1.0)
    for name, picture in shown.items():
        byte = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        Image.fromarray(byte).save(folder / f"{name}.jpg", quality=85)
    return {name: captions[name] for name in shown}
