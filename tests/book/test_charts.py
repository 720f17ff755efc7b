"""Curves, sliders, listings: what a chapter shows beside clouds and pictures."""

from __future__ import annotations

import inspect

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import pytest

from lsfa_book import figures
from lsfa_lite.adaptation import losses
from lsfa_lite.adaptation.memory import MemoryBank
from lsfa_lite.data.sample import Sample


def test_slider_shows_one_step_at_a_time_on_fixed_axes():
    steps = [(str(k), [go.Scatter(x=[0, 1], y=[0, k]), go.Scatter(x=[0, 1], y=[k, k])])
             for k in (1, 2, 4)]  # fmt: skip
    figure = figures.slider(steps, "k", "time, s", "height, mm", "Lines that grow with k", active=1)
    assert [trace.visible for trace in figure.data] == [False, False, True, True, False, False]
    shown = [step.args[0]["visible"] for step in figure.layout.sliders[0].steps]
    assert shown[2] == [False, False, False, False, True, True]
    low, high = figure.layout.yaxis.range
    assert low < 0 < 4 < high
    assert figure.layout.meta["alt"] == "Lines that grow with k"


def test_panels_are_transparent_and_flat():
    figure, axes = figures.panels(3, 2, titles=["a", "b"])
    assert len(axes) == 6
    assert figure.patch.get_alpha() == 0
    assert axes[1].get_title() == "b"
    assert axes[5].get_title() == ""


def test_colours_follow_the_map_and_stop_at_its_ends():
    colours = figures.colours_of(np.array([-5.0, 0.0, 1.0, 9.0]), "cividis", 0.0, 1.0)
    first, last = (np.round(np.array(mpl.colormaps["cividis"](x)[:3]) * 255) for x in (0.0, 1.0))
    assert np.array_equal(colours, np.stack([first, first, last, last]))


def test_strip_has_a_picture_per_riddle_and_outlines_the_defect():
    rgb = np.full((20, 20, 3), 100, np.uint8)
    mask = np.zeros((20, 20), bool)
    mask[5:9, 5:9] = True
    riddles = {"bad": Sample(rgb, None, mask, 1), "good": Sample(rgb, None, ~mask & mask, 0)}
    maps = {name: np.eye(20, dtype=np.float32) for name in riddles}
    figure = figures.strip(riddles, maps, {"bad": "found", "good": "passed"})
    assert [axis.get_title() for axis in figure.axes] == ["bad", "good"]
    assert [axis.get_xlabel() for axis in figure.axes] == ["found", "passed"]
    assert [len(axis.collections) for axis in figure.axes] == [1, 0]


@pytest.mark.parametrize("thing", [losses.local_compactness, MemoryBank.enqueue, MemoryBank])
def test_listing_is_the_source_with_its_lines(thing):
    listing = figures.source(thing)
    lines, first = inspect.getsourcelines(thing)
    assert listing.code.split() == "".join(lines).split()
    assert not listing.code.startswith(" ")
    text = listing._repr_markdown_()
    assert text.startswith("```python\n")
    assert f"#L{first}-L{first + len(lines) - 1})" in text


def test_listing_without_docstring_keeps_the_code():
    short = figures.source(losses.consistency, docstring=False).code
    assert '"""' not in short
    assert short.startswith("def consistency(")
    assert short.endswith("return local + global_")
