"""What a ground-truth picture means: which pixels are marked, and with which class id."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lsfa_lite.errors import FileError

AROUND = np.ones((5, 5), dtype=bool)  # antialiased at half the size, then doubled: two pixels wide
LEVELS = 16  # more in one mask are no ids
RAMP = 0.9  # share of the levels between 0 and the top that lie on slopes, in a resampled mask
LOSSY = ("JPEG", "MPO", "WEBP")


def class_ids(picture: Image.Image, form: str = "PNG", path: str = "mask") -> np.ndarray:
    """A picture, and the format of its file -> (H, W) int32 of class ids; 0 is good.

    The colours decide, never an index: of a palette, black is good, and the id is the index (255
    for index 0); of colour, the largest channel. What is transparent is not marked; where what is
    opaque has one colour, alpha is the mask. A mask that was resampled, or saved with loss, has
    levels that are no ids: at least half of the brightest counts.
    Raises ValueError for a JPEG that is all dark: its ids are lost.
    """
    ids = _levels(picture)
    top = int(ids.max(initial=0))
    if form in LOSSY and 0 < top < 128:
        raise FileError(
            f"{path}: {form} with {top} as its brightest value: ids of classes do not survive "
            "lossy files; save the mask as PNG"
        )
    if form in LOSSY or resampled(ids):
        ids[2 * ids < top] = 0
    return ids


def soft(picture: Image.Image, form: str) -> bool:
    """Whether the edges of a mask are guessed: it was saved with loss, or resampled."""
    return form in LOSSY or resampled(_levels(picture))


def _levels(picture: Image.Image) -> np.ndarray:
    """(H, W) int32: ids, or the brightness of what has no ids."""
    if picture.mode in ("P", "PA"):
        return _of_palette(picture)
    return _of_channels(np.atleast_3d(np.rint(np.array(picture))).astype(np.int32))


def _of_palette(picture: Image.Image) -> np.ndarray:
    colours = np.array(picture.convert("RGBA")).astype(np.int32)  # (H, W, 4)
    index = np.array(picture)
    index = (index if index.ndim == 2 else index[..., 0]).astype(np.int32)
    levels = _of_channels(colours)  # (H, W)
    if resampled(levels):
        return levels
    return np.where(levels > 0, np.where(index > 0, index, 255), 0)


def _of_channels(values: np.ndarray) -> np.ndarray:
    """(H, W, 1 to 4) -> (H, W); the last of two or four channels is alpha."""
    if values.shape[-1] not in (2, 4):
        return values.max(axis=-1)
    colour, alpha = values[..., :-1], values[..., -1]
    opaque = colour[alpha > 0]
    if len(opaque) and alpha.min() < alpha.max() and (opaque == opaque[0]).all():
        return alpha
    levels = colour.max(axis=-1)
    return levels * alpha // alpha.max() if alpha.any() else levels


def resampled(ids: np.ndarray) -> bool:
    """Whether the levels between 0 and the top are slopes, as an antialiased edge is.

    An id marks an area: most of its pixels have no lower and higher ones around at once.
    """
    between = (ids > 0) & (ids < ids.max(initial=0))
    if not between.any() or len(np.unique(ids[between])) > LEVELS:
        return bool(between.any())
    from scipy import ndimage  # a fifth of a second, and for masks with a third level only

    rows, columns = (np.flatnonzero(ids.any(axis=axis)) for axis in (1, 0))
    near = tuple(slice(max(0, x[0] - 2), x[-1] + 3) for x in (rows, columns))  # it is mostly small
    part = ids[near]
    above = ndimage.maximum_filter(part, footprint=AROUND) > part
    below = ndimage.minimum_filter(part, footprint=AROUND) < part
    return bool((above & below)[between[near]].mean() >= RAMP)
