"""Square maps in the part's own frame: coordinates, noise, look-up. All lengths in millimetres."""

from __future__ import annotations

import numpy as np
from scipy import fft

PITCH = 0.36  # mm per cell
CELLS = 300  # a map spans 108 mm, centred on the part


def coordinates() -> tuple[np.ndarray, np.ndarray]:
    """x along columns, y along rows, (CELLS, CELLS) each, in mm, zero in the middle."""
    axis = (np.arange(CELLS) - (CELLS - 1) / 2) * PITCH
    return np.meshgrid(axis, axis)


def noise(
    rng: np.random.Generator, wavelength: float, stretch: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """Smooth random field (CELLS, CELLS) of zero mean and unit deviation, periodic.

    wavelength  mm below which the field is smooth; stretch multiplies it along (x, y).
    """
    white = fft.rfft2(rng.standard_normal((CELLS, CELLS)))
    fy = fft.fftfreq(CELLS, PITCH)[:, None] * wavelength * stretch[1]
    fx = fft.rfftfreq(CELLS, PITCH)[None, :] * wavelength * stretch[0]
    white *= np.exp(-2.0 * (fx**2 + fy**2))  # a Gaussian low-pass, one period per wavelength
    white[0, 0] = 0
    field = fft.irfft2(white, (CELLS, CELLS))
    return field / field.std()


def step(value: np.ndarray, width: float = 0.6) -> np.ndarray:
    """Smooth step: 0 below -width / 2, 1 above width / 2."""
    t = np.clip(value / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: np.ndarray, b: np.ndarray | tuple[float, ...], share: np.ndarray) -> np.ndarray:
    """Colours (..., 3) a and b blended; share (...) is b's part."""
    share = np.asarray(share)[..., None]
    return np.asarray(a) * (1 - share) + np.asarray(b) * share


def nearest(field: np.ndarray, x: np.ndarray, y: np.ndarray, repeat: bool = False) -> np.ndarray:
    """The cell's value under (x, y) mm; outside, the value of the rim (or the field repeats)."""
    column = np.floor(x / PITCH + CELLS / 2).astype(np.intp)
    row = np.floor(y / PITCH + CELLS / 2).astype(np.intp)
    if repeat:
        return field[row % CELLS, column % CELLS]
    return field[np.clip(row, 0, CELLS - 1), np.clip(column, 0, CELLS - 1)]


def bilinear(field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear look-up of field (CELLS, CELLS[, C]) at (x, y) mm; outside, the value of the rim."""
    u = np.clip(x / PITCH + (CELLS - 1) / 2, 0, CELLS - 1.001)
    v = np.clip(y / PITCH + (CELLS - 1) / 2, 0, CELLS - 1.001)
    i, j = v.astype(np.intp), u.astype(np.intp)
    a, b = v - i, u - j
    if field.ndim == 3:
        a, b = a[..., None], b[..., None]
    flat = field.reshape(CELLS * CELLS, *field.shape[2:])
    k = i * CELLS + j
    top = flat[k] * (1 - b) + flat[k + 1] * b
    return top * (1 - a) + (flat[k + CELLS] * (1 - b) + flat[k + CELLS + 1] * b) * a
