"""Flat parts that touch the frame's edge: a second look must not take them for the table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import remove_background, table_plane
from lsfa_lite.data.sample import Sample

CONFIG = BackgroundConfig()
SIDE = 128
v, u = np.indices((SIDE, SIDE))

# rows and columns of the part, and of a boss on it
PARTS = {
    "upper": (slice(34, 94), slice(0, 60), None),
    "boss": (slice(34, 94), slice(0, 60), (slice(44, 84), slice(15, 45))),
    "right": (slice(20, 100), slice(68, 128), None),
    "lower, boss": (slice(58, 128), slice(30, 100), (slice(70, 90), slice(50, 70))),
    "corner": (slice(0, 60), slice(0, 60), None),
    "corner, boss": (slice(78, 128), slice(78, 128), (slice(90, 110), slice(90, 110))),
    "through": (slice(40, 90), slice(0, 128), None),
    "through, boss": (slice(0, 128), slice(30, 80), (slice(50, 60), slice(40, 60))),
}


def scene(name: str, colour: bool, noise: float) -> tuple[Sample, np.ndarray]:
    """A plate 2 cm above a table, and (H, W) bool: where the plate is."""
    rows, columns, boss = PARTS[name]
    part = np.zeros((SIDE, SIDE), bool)
    part[rows, columns] = True
    z = np.where(part, 0.48, 0.50)
    if boss:
        z[boss] = 0.4743
    z = z + np.random.default_rng(0).normal(0, noise, z.shape)
    xyz = np.stack([(u - 64) / 533 * z, (v - 64) / 533 * z, z], -1).astype(np.float32)
    rgb = np.full((SIDE, SIDE, 3), 90, np.uint8) if colour else None
    return Sample(rgb, xyz, path=name), part


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("noise", [0, 0.0003])
@pytest.mark.parametrize("name", PARTS)
def test_the_whole_part_is_kept_and_kept_again(name, noise, colour):
    sample, part = scene(name, colour, noise)
    assert table_plane(sample, CONFIG) is not None
    once = remove_background(sample, CONFIG)
    np.testing.assert_array_equal(once.valid, part)
    np.testing.assert_array_equal(remove_background(once, CONFIG).valid, part)
    assert table_plane(once, CONFIG) is None


def test_a_table_that_is_hardly_seen_is_still_a_table_where_the_camera_sees_it():
    """A dark table with holes: a third of the border has depth, all of it has colour."""
    sample, part = scene("upper", True, 0.0003)
    xyz = sample.xyz.copy()
    xyz[~part & (u > 40)] = 0
    once = remove_background(replace(sample, xyz=xyz), CONFIG)
    np.testing.assert_array_equal(once.valid, part)
