"""Pictures and clouds on disk: PNG for colour and masks, float TIFF for organised clouds."""

from __future__ import annotations

import logging
import math
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps

from lsfa_lite.data.masks import class_ids, soft
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.units import outliers
from lsfa_lite.errors import DataError, FileError, LSFAError, MissingFile, SettingError

logger = logging.getLogger(__name__)

MOST = 89_478_485  # pixels, Pillow's own bound; no depth camera has as many
# Pillow knows more, and hands some of them (EPS) to other programs
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")  # a JPEG may be an MPO


def read_rgb(path: str | Path) -> np.ndarray:
    """PNG or JPEG -> (H, W, 3) uint8, turned as its EXIF orientation says.

    Grey pictures are repeated, an alpha channel is dropped. Raises FileNotFoundError, or ValueError
    for a file that is damaged or has more than 8 bit.
    """
    with opened(path, "a picture (PNG or JPEG)") as picture:
        if picture.mode not in ("RGB", "RGBA", "L", "LA", "P", "PA", "1"):
            raise FileError(f"{path}: mode {picture.mode}; save it as an 8-bit RGB picture")
        return np.array(ImageOps.exif_transpose(picture).convert("RGB"))


def read_ids(path: str | Path) -> np.ndarray:
    """Ground-truth picture -> (H, W) int32 of class ids; 0 is good. `masks.class_ids` has the rule.

    Raises FileNotFoundError, or ValueError for a file that is damaged, or has lost its ids.
    """
    with opened(path, "a ground-truth picture (PNG)") as picture:
        if picture.mode == "F":
            raise FileError(f"{path}: numbers with fractions are no ids; save the mask as PNG")
        return class_ids(ImageOps.exif_transpose(picture), picture.format or "", str(path))


def soft_mask(path: str | Path) -> bool:
    """Whether the edges of this ground truth are guessed (`masks.soft`)."""
    with opened(path, "a ground-truth picture (PNG)") as picture:
        return soft(picture, picture.format or "")


@contextmanager
def opened(path: str | Path, expected: str) -> Iterator[Image.Image]:
    """A picture, to be read inside. Colour of 16 bits is refused: Pillow cuts to the high byte."""
    with named_error(path, expected), Image.open(path, formats=FORMATS) as picture:
        bounded(path, (picture.height, picture.width))
        raw = next((str(np.atleast_1d(tile[3])[0]) for tile in picture.tile[:1]), "")
        if ";16" in raw and not raw.startswith(("I", "BGR")):  # BGR;16 is 5 + 6 + 5 bits
            raise FileError(
                f"{path}: 16 bits per channel; save it as an 8-bit RGB picture, by one rule for "
                "all parts (values of a 12-bit camera divided by 16)"
            )
        yield picture


def read_mask(path: str | Path) -> np.ndarray:
    """Ground truth -> (H, W) bool: id > 0, for MVTec writes class ids (253, 254, ...), not 255."""
    return read_ids(path) > 0


def read_tiff(path: str | Path) -> np.ndarray:
    """TIFF -> array as stored, unchecked; ValueError if the file is damaged."""
    with named_error(path, "a TIFF"):
        with tifffile.TiffFile(path) as file:
            for series in file.series[:1]:
                bounded(path, series.shape, series.dtype.itemsize)
        return np.array(tifffile.imread(path))


def bounded(path: str | Path, shape: Sequence[int], itemsize: int = 1) -> None:
    """FileError where a header asks for more than any camera gives, before memory is taken."""
    values = math.prod(shape)
    if values > 3 * MOST or (len(shape) == 2 and values > MOST) or itemsize > 16:
        raise FileError(f"{path}: says that it holds {shape}; at most {MOST} pixels are read")


def checked_cloud(path: str | Path, xyz: np.ndarray) -> np.ndarray:
    """What was read from `path` -> (H, W, 3) float32, metres, (0, 0, 0) where nothing was seen.

    Outliers become holes, and are counted in the log. ValueError, naming the file, for other
    channels, integers, NaN, millimetres, and all zero.
    """
    if xyz.ndim != 3 or xyz.shape[-1] != 3:
        cure = "; move the first axis last" if xyz.ndim == 3 and xyz.shape[0] == 3 else ""
        raise FileError(f"{path}: shape {xyz.shape}, expected x, y, z: (H, W, 3){cure}")
    if not np.issubdtype(xyz.dtype, np.floating):
        raise FileError(
            f"{path}: {xyz.dtype} values, expected float32 metres; is it a picture? A depth image "
            "has one channel and needs the camera's intrinsics"
        )
    with np.errstate(over="ignore"):  # to Inf, which is refused
        xyz = xyz.astype(np.float32, copy=False)
    if (far := outliers(xyz)).any():
        logger.info("%s: %d pixels hold no distance: taken as not seen", path, far.sum())
        xyz = np.where(far[..., None], 0, xyz)
    Sample(rgb=None, xyz=xyz, path=str(path))  # finite, metres, not empty
    return xyz


def write_png(path: str | Path, array: np.ndarray) -> None:
    """(H, W, 3) or (H, W) uint8 (or (H, W) uint16 for depth) -> PNG, whole or not at all."""
    if array.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: {array.dtype} cannot be a PNG; pass uint8 (or uint16 for depth)")
    with written_beside(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")


def write_tiff(path: str | Path, array: np.ndarray) -> None:
    """(H, W, 3) or (H, W) float -> uncompressed float32 TIFF, whole or not at all."""
    photometric = "rgb" if array.ndim == 3 else "minisblack"
    with written_beside(path) as temporary:
        array = array.astype(np.float32)
        tifffile.imwrite(temporary, array, photometric=photometric, metadata=None)


def write_sample(folder: str | Path, stem: str, sample: Sample, class_id: int = 255) -> None:
    """Write `sample` as folder/{rgb,gt}/stem.png and folder/xyz/stem.tiff, as MVTec 3D-AD does.

    `class_id` is the value of the ground truth on the defect; no mask, no gt file.
    """
    folder = Path(folder)
    if not 1 <= class_id <= 255:
        raise SettingError(f"class_id {class_id}: a ground-truth id is 1..255 (0 is good)")
    if sample.mask is not None:
        write_png(folder / "gt" / f"{stem}.png", sample.mask.astype(np.uint8) * np.uint8(class_id))
    if (rgb := sample.rgb) is not None:
        byte = rgb if rgb.dtype == np.uint8 else np.round(rgb * 255).astype(np.uint8)
        write_png(folder / "rgb" / f"{stem}.png", byte)
    if sample.xyz is not None:
        write_tiff(folder / "xyz" / f"{stem}.tiff", sample.xyz)


@contextmanager
def written_beside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` if nothing was raised.

    A full disk or an interrupt leaves the old file, or none, and never half a file. `path` may be
    a folder too, if it is not there yet, or empty. Files get the modes that the umask gives.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        temporary.touch()
        ordinary = temporary.stat().st_mode
        temporary.unlink()
        yield temporary
        for file in temporary.rglob("*") if temporary.is_dir() else [temporary]:
            if file.is_file() and file.stat().st_mode != ordinary:  # safetensors' are private
                file.chmod(ordinary)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


@contextmanager
def named_error(path: str | Path, expected: str) -> Iterator[None]:
    """Turn the many ways in which a decoder fails into one error that names the file."""
    try:
        if not Path(path).is_file():
            raise MissingFile(f"{path}: {_absent(Path(path))}; expected {expected}")
        yield
    except Exception as error:
        if isinstance(error, LSFAError) and str(path) in str(error):
            raise
        text, cure = f"{path}: cannot be read as {expected} ({error})", "damaged or cut short: "
        if isinstance(error, OSError) and error.errno:
            text = f"{path}: cannot be read: {error.strerror}"
            cure = "check the name, its permissions and the disk"
        elif "imagecodecs" in str(error):  # tifffile's own words
            cure = "pip install imagecodecs, or save the file without compression"
        elif isinstance(error, MemoryError | Image.DecompressionBombError):
            cure = "it asks for too much memory: export it again, smaller"
        else:
            cure += "copy or export it again"
        raise FileError(f"{text}; {cure}") from error


def _absent(path: Path) -> str:
    if path.is_symlink():
        return "a link that leads nowhere"
    return "a folder" if path.is_dir() else "no such file"
