"""Side views of a scan: points stay on their rays, lines on their plane, the camera on top."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book import figures
from lsfa_book.chapters.the_table_is_not_the_part import along_rays, ransac_slider, side_view
from lsfa_lite.data.sample import Sample

PLANE = np.array([0.0, -0.6, -0.8, 0.4])  # 0.4 m below the camera, tilted


@pytest.fixture(scope="module")
def step() -> Sample:
    """A table half a metre away with a block of 20 mm on it; one row is not seen."""
    v, u = np.mgrid[:80, :80]
    z = np.where((abs(v - 40) < 15) & (abs(u - 40) < 15), 0.48, 0.5)
    xyz = np.stack([(u - 40) * z / 500, (v - 40) * z / 500, z], axis=-1).astype(np.float32)
    xyz[3] = 0
    return Sample(None, xyz, path="step")


def test_moved_points_keep_their_ray_and_get_the_height():
    points = np.random.default_rng(0).normal((0, 0, 0.5), 0.05, (50, 3))
    moved = along_rays(points, PLANE, 0.01)
    np.testing.assert_allclose(moved @ PLANE[:3] + PLANE[3], 0.01, atol=1e-6)
    np.testing.assert_allclose(np.cross(moved, points), 0, atol=1e-6)
    assert ((moved * points).sum(axis=1) > 0).all()


def test_side_view_draws_the_column_and_each_plane(step: Sample):
    _, axes = figures.panels()
    side_view(axes[0], step, 40, {"one": np.array([0, 0, -1, 0.5])})
    scan, line = axes[0].lines
    assert len(scan.get_xdata()) == 79
    np.testing.assert_allclose(line.get_ydata(), 500, atol=1e-3)
    assert axes[0].yaxis_inverted()
    assert [text.get_text() for text in axes[0].get_legend().texts][1] == "one"


def test_slider_counts_the_scan_and_splits_the_column(step: Sample):
    figure = ransac_slider(step, 40, [4, 30], alt="a step")
    labels = [s.label for s in figure.layout.sliders[0].steps]
    share = 1 - 29 * 29 / (79 * 80)
    assert labels == [f"4 mm, {share:.0%}", "30 mm, 100%"]
    inside, outside = figure.data[0], figure.data[1]
    assert (len(inside.x), len(outside.x)) == (26, 14)
    np.testing.assert_allclose(outside.y, 480, atol=1e-3)
    low, high = figure.layout.yaxis.range
    assert low > high
    assert figure.layout.meta["alt"] == "a step"


def test_a_picture_alone_has_no_side():
    flat = Sample(np.zeros((8, 8, 3), dtype=np.uint8), None, path="flat")
    with pytest.raises(ValueError, match="flat: no xyz"):
        side_view(figures.panels()[1][0], flat, 4)
