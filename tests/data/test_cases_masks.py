"""Masks as people have them: the same hundred pixels, however the file says so."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from lsfa_lite.data import files

MASK = np.zeros((64, 64), np.uint8)
MASK[20:30, 20:30] = 255
MARKED = MASK > 0
RGB = np.dstack([MASK] * 3)
FULL, EMPTY = np.full_like(MASK, 255), np.zeros_like(MASK)


def palette(colours: list[tuple[int, int, int]], index: np.ndarray = MARKED) -> Image.Image:
    picture = Image.fromarray(index.astype(np.uint8), mode="P")
    picture.putpalette([value for colour in colours for value in colour])
    return picture


def rgba(*bands: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack(bands))


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (128, 0, 0)
HOLDS = {  # every one holds MARKED
    "black first": palette([BLACK, WHITE]),
    "white first": palette([WHITE, BLACK], ~MARKED),
    "red first": palette([RED, BLACK], ~MARKED),
    "an unused colour": palette([(9, 9, 9), BLACK, RED], 1 + MARKED),
    "quantised": Image.fromarray(RGB).quantize(2),
    "quantised, inverted twice": Image.fromarray(255 - RGB).quantize(2).point(lambda i: 1 - i),
    "web palette": Image.fromarray(RGB).convert("P", palette=Image.Palette.WEB),
    "white, alpha": rgba(FULL, FULL, FULL, MASK),
    "black, alpha": rgba(EMPTY, EMPTY, EMPTY, MASK),
    "red, alpha": rgba(FULL, EMPTY, EMPTY, MASK),
    "grey, alpha": rgba(FULL, MASK),
    "red on transparent white": rgba(FULL, 255 - MASK, 255 - MASK, MASK),
    "opaque": rgba(MASK, EMPTY, EMPTY, FULL),
    "colour, alpha all zero": rgba(MASK, MASK, MASK, EMPTY),
    "colour": Image.fromarray(RGB),
    "one bit": Image.fromarray(MARKED),
    "16 bit": Image.fromarray(MARKED * np.uint16(700)),
    "id 1": Image.fromarray(MARKED.astype(np.uint8)),
}


@pytest.mark.parametrize("how", HOLDS)
def test_lossless_masks_say_the_same(tmp_path, how):
    HOLDS[how].save(tmp_path / "gt.png")
    np.testing.assert_array_equal(files.read_mask(tmp_path / "gt.png"), MARKED)


def test_transparent_palette(tmp_path):
    palette([WHITE, WHITE]).save(tmp_path / "gt.png", transparency=bytes([0, 255]))
    np.testing.assert_array_equal(files.read_mask(tmp_path / "gt.png"), MARKED)


@pytest.mark.parametrize(("quality", "side"), itertools.product((95, 90, 75, 50), (10, 13, 31)))
def test_jpeg(tmp_path, quality, side):
    mask = np.zeros((64, 64), np.uint8)
    mask[19 : 19 + side, 21 : 21 + side] = 255
    Image.fromarray(mask).save(tmp_path / "gt.jpg", quality=quality)
    wrong = files.read_mask(tmp_path / "gt.jpg") != (mask > 0)
    assert wrong.sum() <= (0 if quality >= 75 else 4)


@pytest.mark.parametrize("size", [(32, 32), (48, 48), (96, 96), (256, 256), (50, 80)])
@pytest.mark.parametrize("how", ["NEAREST", "BOX", "BILINEAR", "BICUBIC", "LANCZOS"])
@pytest.mark.parametrize("first", ["up", "down"])
def test_resampled_masks_keep_their_area(tmp_path, size, how, first):
    """A traced rim would add a tenth to the area, at least; half a pixel of shape is allowed."""
    large = np.zeros((64, 64), np.uint8)
    large[np.hypot(*(np.indices((64, 64)) - 31.5)) < 16] = 255
    picture = Image.fromarray(large).resize(size, Image.Resampling[how])
    if first == "down":  # and brought back by copying, as annotation tools do
        picture = picture.resize((2 * size[0], 2 * size[1]), Image.Resampling.NEAREST)
    picture.save(tmp_path / "gt.png")
    found = files.read_mask(tmp_path / "gt.png")
    assert found.mean() == pytest.approx(np.pi * 16**2 / 64**2, rel=0.04)


def test_blurred_and_antialiased(tmp_path):
    from PIL import ImageFilter

    wide = np.zeros((64, 64), np.uint8)
    wide[16:48, 16:48] = 255
    Image.fromarray(wide).filter(ImageFilter.GaussianBlur(2)).save(tmp_path / "gt.png")
    assert files.read_mask(tmp_path / "gt.png").sum() == pytest.approx(32 * 32, rel=0.02)


def test_ids_of_classes_are_not_taken_for_a_slope(tmp_path):
    """Areas beside each other, a thin line of its own, and an outline: ids, all of them marked."""
    ids = np.zeros((64, 64), np.uint8)
    ids[10:20, 10:30], ids[10:20, 30:50] = 1, 2
    ids[40, 5:60] = 253
    ids[45:60, 10:20] = 254
    Image.fromarray(ids).save(tmp_path / "gt.png")
    np.testing.assert_array_equal(files.read_ids(tmp_path / "gt.png"), ids)
    colours = [BLACK, RED, (0, 128, 0), (1, 1, 1)] + [(i % 7 + 1, 0, 9) for i in range(252)]
    palette(colours, ids).save(tmp_path / "gt.png")
    np.testing.assert_array_equal(files.read_ids(tmp_path / "gt.png"), ids)


def test_a_dark_jpeg_has_lost_its_ids(tmp_path):
    Image.fromarray(MARKED * np.uint8(3)).save(tmp_path / "gt.jpg", quality=95)
    with pytest.raises(ValueError, match=r"gt\.jpg: JPEG with \d+ as its brightest"):
        files.read_mask(tmp_path / "gt.jpg")


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_mask_is_turned_like_its_picture(tmp_path, turn):
    exif = Image.Exif()
    exif[274] = turn
    corner = np.zeros((32, 64), np.uint8)
    corner[:16, :16] = 255
    for name in ("rgb.jpg", "gt.jpg", "gt.png"):
        Image.fromarray(corner).save(tmp_path / name, exif=exif.tobytes())
    rgb = files.read_rgb(tmp_path / "rgb.jpg")[..., 0] > 127
    for name in ("gt.jpg", "gt.png"):
        np.testing.assert_array_equal(files.read_mask(tmp_path / name), rgb)
