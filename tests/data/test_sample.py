"""What can be a scan and what cannot; every error names the file and the cure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lsfa_lite import Sample

XYZ = np.full((4, 5, 3), 0.5, dtype=np.float32)
RGB = np.full((4, 5, 3), 100, dtype=np.uint8)


def put(array: np.ndarray, value: float) -> np.ndarray:
    out = array.copy()
    out[1, 2, 0] = value
    return out


@pytest.mark.parametrize(
    ("rgb", "xyz", "words"),
    [
        (None, None, "neither rgb nor xyz"),
        (RGB[..., :2], None, "rgb has shape"),
        (RGB.astype(np.int32), None, "rgb is int32"),
        (RGB.astype(np.float32), None, "leaves 0..1"),
        (None, put(XYZ, np.nan), "NaN or Inf in 1 pixels"),
        (None, put(XYZ, np.inf), "NaN or Inf in 1 pixels"),
        (None, XYZ * 1000, "divided by 1000"),
        (None, XYZ * 0, "zero everywhere"),
        (None, XYZ.astype(np.int32), "expected float32 in metres"),
        (None, XYZ[..., 0], "xyz has shape"),
        (RGB, XYZ[:, :4], "same size"),
        (RGB[:0], None, "rgb has shape"),
    ],
)
def test_not_a_scan(rgb, xyz, words):
    with pytest.raises(ValueError, match=words) as error:
        Sample(rgb, xyz, path="part7.png")
    assert str(error.value).startswith("part7.png: ")


def test_a_mask_of_another_size():
    with pytest.raises(ValueError, match="ground truth must have the size"):
        Sample(RGB, XYZ, np.zeros((5, 4), dtype=bool))


def test_valid_keeps_a_point_on_an_axis():
    xyz = XYZ.copy()
    xyz[0, 0] = 0
    xyz[0, 1] = (0, 0, 0.5)
    valid = Sample(None, xyz).valid
    assert not valid[0, 0]
    assert valid[0, 1]
    assert valid.sum() == 19


def test_foreground_is_seen_by_depth_else_by_colour():
    xyz = XYZ.copy()
    xyz[0] = 0
    rgb = RGB.copy()
    rgb[3] = 0
    assert Sample(rgb, xyz).foreground.sum() == 15
    assert not Sample(rgb, None).foreground[3].any()
    assert Sample(rgb, None).foreground[:3].all()


def test_colour_is_the_same_from_bytes_and_floats():
    floats = RGB.astype(np.float32) / 255
    assert np.array_equal(Sample(RGB, None).colour, Sample(floats, None).colour)


def test_a_sample_says_what_it_is_in_one_line():
    mask = np.zeros((4, 5), dtype=bool)
    assert repr(Sample(RGB, XYZ, mask, 0, "good", "parts/ring/rgb/000.png")) == (
        "Sample(4 x 5, rgb + xyz, good, mask 0 px, parts/ring/rgb/000.png)"
    )
    mask[1, :3] = True
    assert repr(Sample(None, XYZ, mask, 1)) == "Sample(4 x 5, xyz, defective, mask 3 px, <array>)"
    assert repr(Sample(RGB, None, defect="hole")) == "Sample(4 x 5, rgb, hole, <array>)"
    assert repr(Sample(RGB, None)) == "Sample(4 x 5, rgb, unlabelled, <array>)"


def test_samples_are_equal_by_what_they_hold():
    """A copy is equal and one entry of a set; one other pixel, type, label or path is enough."""
    mask = np.zeros((4, 5), dtype=bool)
    sample = Sample(RGB, XYZ, mask, 0, "good", "a.png")
    copy = Sample(RGB.copy(), XYZ.copy(), mask.copy(), 0, "good", "a.png")
    assert (sample == copy) is True
    assert len({sample, copy}) == 1
    others = [
        dataclasses.replace(sample, rgb=put(RGB, 7)),
        dataclasses.replace(sample, xyz=put(XYZ, 0.1)),
        dataclasses.replace(sample, xyz=XYZ.astype(np.float64)),
        dataclasses.replace(sample, mask=~mask),
        dataclasses.replace(sample, mask=None),
        dataclasses.replace(sample, rgb=None),
        dataclasses.replace(sample, label=None),
        dataclasses.replace(sample, path="b.png"),
        Sample(RGB[:2], XYZ[:2], mask[:2], 0, "good", "a.png"),
    ]
    assert [sample == other for other in others] == [False] * len(others)
    assert len({sample, *others}) == 1 + len(others)
    assert (sample == "a.png") is False
    bright, dim = np.ones((4, 5, 3), np.float32), np.ones((4, 5, 3), np.uint8)
    assert Sample(bright, None) != Sample(dim, None)
