"""Clouds with a slider over the patches that ask for their partner."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from lsfa_book.chapters.make_two_senses_agree import partner_clouds
from lsfa_lite.data.sample import Sample


@pytest.fixture
def scan():
    """8 x 8 pixels on a 4 x 4 grid; the right half is part, each patch 2 x 2 pixels."""
    v, u = np.mgrid[:8, :8] / 1000
    xyz = np.stack([u, v, np.full_like(u, 0.5)], -1).astype(np.float32)
    foreground = np.zeros((4, 4), dtype=bool)
    foreground[:, 2:] = True
    return Sample(np.full((8, 8, 3), 90, dtype=np.uint8), xyz), foreground.ravel()


def unpacked(colour):
    return np.frombuffer(base64.b64decode(colour["bdata"]), dtype=np.uint8)


def test_the_partner_gets_the_highest_share_and_the_slider_changes_only_colours_and_pins(scan):
    sample, foreground = scan
    same = np.eye(8)  # each patch is like itself alone
    figure = partner_clouds(
        sample, {"one": same, "two": -same}, foreground, {"top": (0, 4), "bottom": (7, 7)}
    )
    first, second = figure.data[:2]
    assert len(first.x) == 32
    top = (np.asarray(first.x) < 5.5) & (np.asarray(first.y) < 1.5)  # millimetres
    assert set(unpacked(first.marker.color)[top]) == {100}
    assert set(unpacked(second.marker.color)[top]) == {0}
    assert [trace.visible for trace in figure.data[2:]] == [True, True, False, False]
    bottom = figure.layout.sliders[0].steps[1].args[0]
    assert list(bottom["visible"]) == [True, True, False, False, True, True]
    last = (np.asarray(first.x) > 5.5) & (np.asarray(first.y) > 5.5)
    assert set(unpacked(bottom["marker.color"][0])[last]) == {100}
    assert figure.layout.meta["linked"]


def test_a_patch_off_the_part_is_named(scan):
    sample, foreground = scan
    with pytest.raises(ValueError, match="lost"):
        partner_clouds(sample, {"": np.eye(8)}, foreground, {"lost": (0, 0)})
