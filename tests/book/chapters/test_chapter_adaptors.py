"""The slider over patch maps shows one step's maps and its patch at a time."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book.chapters.adaptors import patch_maps


def figure(count: int = 2):
    maps = [np.full((3, 4), np.nan), np.arange(12.0).reshape(3, 4)][:count]
    steps = [("near", maps), ("far", maps)]
    return patch_maps(steps, ["a", "b"], [0, 6], "share", "Two maps", (0, 12), "patch")


def test_each_position_of_the_slider_shows_its_own_maps():
    drawn = figure()
    for step in drawn.layout.sliders[0].steps:
        assert sum(step.args[0]["visible"]) == 4  # two maps, each with its mark
    first, second = (step.args[0]["visible"] for step in drawn.layout.sliders[0].steps)
    assert not any(a and b for a, b in zip(first, second, strict=True))
    assert [trace.visible for trace in drawn.data] == first


def test_mark_is_the_row_and_column_of_the_patch():
    mark = figure().data[-1]
    assert (mark.y[0], mark.x[0]) == divmod(6, 4)


def test_alt_text_and_empty_ground():
    layout = figure().layout
    assert layout.meta["alt"] == "Two maps"
    assert layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_missing_map_is_named():
    with pytest.raises(ValueError, match="near"):
        figure(1)
