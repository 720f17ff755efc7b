"""Flaws planted to weigh the senses, and the text of what LITE was chosen by."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_book.studies import choosing
from lsfa_book.studies.planted import dent, stain
from lsfa_book.studies.rules import IMAGE_SCORES
from lsfa_lite.data.background import remove_background


@pytest.fixture(scope="module")
def part():
    return remove_background(make_sample("ring", "train/good", 0, Mini3DConfig(size=96)))


def test_a_stain_is_seen_by_colour_alone(part):
    flawed = stain(part, np.random.default_rng(0))
    np.testing.assert_array_equal(flawed.xyz, part.xyz)
    changed = (flawed.rgb.astype(int) != part.rgb).any(axis=-1)
    assert changed.any()
    assert not changed[~part.foreground].any()
    assert flawed.mask.any()
    assert (changed[flawed.mask].mean(), changed[~flawed.mask].mean()) > (0.5, 0.0)
    assert changed[~flawed.mask].mean() < 0.1


def test_a_dent_is_seen_by_shape_alone_and_every_pixel_keeps_its_ray(part):
    flawed = dent(part, np.random.default_rng(0))
    np.testing.assert_array_equal(flawed.rgb, part.rgb)
    np.testing.assert_array_equal(flawed.valid, part.valid)
    moved = np.linalg.norm(flawed.xyz - part.xyz, axis=-1)
    far = np.unravel_index(moved.argmax(), moved.shape)
    assert flawed.mask[far]
    assert 0.002 * 0.1 < moved[far] < 0.05
    there, was = flawed.xyz[far], part.xyz[far]
    np.testing.assert_allclose(np.cross(there, was), 0, atol=1e-6)  # along the line of sight


def test_the_text_has_the_means(tmp_path):
    rows = [
        {
            "category": "ring",
            "seed": s,
            "setting": "28, none",
            "i_auroc": {
                f"{how} | {view}": value for how in IMAGE_SCORES for view in ("rgb", "Fisher")
            },
        }
        for s, value in ((100, 0.5), (101, 0.7))
    ]
    text = choosing.told(rows)
    assert text.splitlines()[0].split()[-2:] == ["rgb", "Fisher"]
    assert text.splitlines()[1].split()[-2:] == ["0.600", "0.600"]
