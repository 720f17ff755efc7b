"""One part, seen by a colour camera and a depth sensor at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lsfa_lite.data.units import FARTHEST, likely_unit, outliers
from lsfa_lite.errors import DataError, NoPart


@dataclass(frozen=True, eq=False, repr=False)
class Sample:
    """One scan; the arrays lie pixel on pixel. Equal samples hold the same types and values.

    rgb    (H, W, 3) uint8 in 0..255 or float in 0..1; None where there is no colour camera.
    xyz    (H, W, 3) float32, metres in the camera frame, organised: xyz[v, u] is what pixel
           rgb[v, u] sees; (0, 0, 0) where the sensor saw nothing. None where there is no sensor.
    mask   (H, W) bool, True on the defect; None where nobody labelled it.
    label  0 good, 1 defective, None unknown.
    defect the folder's name in the data set ("good", "hole", ...), or "".
    path   where it came from; every error message names it.
    """

    rgb: np.ndarray | None
    xyz: np.ndarray | None
    mask: np.ndarray | None = None
    label: int | None = None
    defect: str = ""
    path: str = "<array>"

    def __post_init__(self) -> None:
        check(self)

    def __repr__(self) -> str:
        height, width = self.shape
        mask = "" if self.mask is None else f"mask {np.count_nonzero(self.mask)} px, "
        what = f"{senses(self.rgb, self.xyz)}, {verdict(self.label, self.defect)}"
        return f"Sample({height} x {width}, {what}, {mask}{self.path})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sample):
            return NotImplemented
        told = (self.label, self.defect, self.path) == (other.label, other.defect, other.path)
        pairs = ((self.rgb, other.rgb), (self.xyz, other.xyz), (self.mask, other.mask))
        return told and all(_same(a, b) for a, b in pairs)

    def __hash__(self) -> int:  # not of the pixels: they are many, and may be written to
        return hash((self.label, self.defect, self.path, self.shape))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        array = self.rgb if self.rgb is not None else self.xyz
        assert array is not None  # check() has made sure
        return array.shape[0], array.shape[1]

    @property
    def colour(self) -> np.ndarray | None:
        """(H, W, 3) float32 in 0..1, or None."""
        if self.rgb is None:
            return None
        scale = 255.0 if self.rgb.dtype == np.uint8 else 1.0
        return self.rgb.astype(np.float32) / scale

    @property
    def valid(self) -> np.ndarray:
        """(H, W) bool: where the depth sensor saw something (all True without a sensor)."""
        return np.ones(self.shape, bool) if self.xyz is None else valid_pixels(self.xyz)

    @property
    def foreground(self) -> np.ndarray:
        """(H, W) bool: where the part is, once the background has been removed.

        By the depth sensor where there is one; a picture alone counts all that is not black,
        for black is what background removal leaves behind.
        """
        if self.xyz is not None:
            return self.valid
        assert self.rgb is not None
        return np.any(self.rgb > 0, axis=-1)


def senses(rgb: object, xyz: object) -> str:
    """What there is, in words: "rgb", "xyz" or "rgb + xyz"."""
    return " + ".join(name for name, there in (("rgb", rgb), ("xyz", xyz)) if there is not None)


def verdict(label: int | None, defect: str) -> str:
    """The defect's name where there is one, else the label in a word."""
    return defect or {0: "good", 1: "defective", None: "unlabelled"}.get(label, f"label {label}")


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """A byte of 1 is not the colour 1.0."""
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and np.array_equal(a, b)


def valid_pixels(xyz: np.ndarray) -> np.ndarray:
    """(H, W, 3) metres -> (H, W) bool. A point on an axis is a point: only (0, 0, 0) is empty."""
    return np.any(xyz != 0, axis=-1)


def check(sample: Sample) -> None:
    """Raise ValueError, naming the file and the cure, for arrays that cannot be a scan."""
    rgb, xyz, mask, path = sample.rgb, sample.xyz, sample.mask, sample.path
    if rgb is None and xyz is None:
        raise DataError(f"{path}: neither rgb nor xyz; a sample needs at least one of them")
    for name, array in (("rgb", rgb), ("xyz", xyz), ("mask", mask)):
        if array is not None and not isinstance(array, np.ndarray):
            raise DataError(f"{path}: {name} is a {type(array).__name__}, expected a NumPy array")
    if sample.label not in (0, 1, None):
        raise DataError(f"{path}: label is {sample.label!r}, expected 0 (good), 1 or None")
    for name, array in (("rgb", rgb), ("xyz", xyz)):
        if array is not None and (array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape):
            raise DataError(f"{path}: {name} has shape {array.shape}, expected (H, W, 3)")
    for problem in (*_odd_colours(rgb), *_odd_points(xyz)):
        raise DataError(f"{path}: {problem}")
    if xyz is not None and not xyz.any():
        raise NoPart(f"{path}: xyz is zero everywhere; the sensor saw nothing in this scan")
    if rgb is not None and xyz is not None and rgb.shape != xyz.shape:
        sizes = f"rgb is {rgb.shape[:2]} but xyz is {xyz.shape[:2]}"
        raise DataError(f"{path}: {sizes}; both must be the same size, pixel on pixel")
    if mask is not None and mask.shape != sample.shape:
        sizes = f"mask is {mask.shape} but the scan is {sample.shape}"
        raise DataError(f"{path}: {sizes}; the ground truth must have the size of the picture")


def _odd_colours(rgb: np.ndarray | None) -> Iterator[str]:
    if rgb is None or rgb.dtype == np.uint8:
        return
    if not np.issubdtype(rgb.dtype, np.floating):
        yield f"rgb is {rgb.dtype}, expected uint8 in 0..255 or float in 0..1"
    elif not (rgb.min() >= 0 and rgb.max() <= 1):  # so written, NaN is caught too
        yield "rgb is float but leaves 0..1 (or has NaN); divide by 255, or cast to uint8"


def _odd_points(xyz: np.ndarray | None) -> Iterator[str]:
    if xyz is None:
        return
    if not np.issubdtype(xyz.dtype, np.floating):
        yield f"xyz is {xyz.dtype}, expected float32 in metres"
    elif bad := np.count_nonzero(~np.isfinite(xyz).all(axis=-1)):
        yield f"xyz has NaN or Inf in {bad} pixels; write (0, 0, 0) where nothing was seen"
    elif (far := np.abs(xyz).max(initial=0)) > FARTHEST:
        if count := np.count_nonzero(outliers(xyz)):
            yield f"xyz reaches {far:.0f} in {count} pixels: no distances; write (0, 0, 0) there"
        unit, text = likely_unit(xyz), f"xyz reaches {far:.0f}, which cannot be metres"
        if unit is not None and unit.name != "millimetres":
            yield f"{text}; it seems to be in {unit.name}: multiply by {unit.metres:g}"
        yield f"{text}; millimetres must be divided by 1000"
