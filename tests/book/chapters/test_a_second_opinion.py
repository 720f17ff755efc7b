"""A slider that changes the light: the points stay, the colours are those of the pictures."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from lsfa_book.chapters.a_second_opinion import under_lights
from lsfa_book.figures.clouds import PALETTE
from lsfa_lite.data.sample import Sample

LAMPS = {"left": (200, 40, 40), "right": (40, 40, 200), "off": (0, 0, 0)}


@pytest.fixture(scope="module")
def scans() -> dict[str, Sample]:
    """A slope whose left half is lit by one lamp and whose right half by the other."""
    v, u = np.mgrid[:40, :40]
    xyz = np.stack([u / 100, v / 100, 1 + u / 200], axis=-1).astype(np.float32)
    xyz[5] = 0
    found = {}
    for name, colour in LAMPS.items():
        rgb = np.zeros((40, 40, 3), np.uint8)
        rgb[u < 20 if name == "left" else u >= 20] = colour
        found[name] = Sample(rgb, xyz, path=name)
    return found


def colours(figure, packed: dict[str, str]) -> np.ndarray:
    """Packed indices -> (P, 3) by the figure's own palette."""
    index = np.frombuffer(base64.b64decode(packed["bdata"]), np.uint8)
    words = [word for _, word in figure.data[0].marker.colorscale]
    return np.array([eval(words[i].removeprefix("rgb")) for i in index])


def test_the_slider_changes_the_colours_alone(scans):
    figure = under_lights(scans, points=300, alt="a slope under three lights")
    x = np.asarray(figure.data[0].x)
    assert len(figure.data) == 1
    assert 150 < len(x) <= 300
    assert len(figure.data[0].marker.colorscale) <= PALETTE
    left = x < 199  # millimetres: columns 0 to 19
    assert left.mean() == pytest.approx(0.5, abs=0.05)
    steps = figure.layout.sliders[0].steps
    assert [step.label for step in steps] == list(LAMPS)
    for step in steps:
        (change, traces) = step.args
        assert list(traces) == [0]
        lit = left if step.label == "left" else ~left
        shown = colours(figure, change["marker.color"][0])
        np.testing.assert_allclose(shown[lit], np.broadcast_to(LAMPS[step.label], (lit.sum(), 3)))
        assert not shown[~lit].any()
    assert figure.layout.meta["alt"] == "a slope under three lights"


def test_it_starts_with_the_first_light_and_keeps_only_what_is_asked(scans):
    keep = np.zeros((40, 40), bool)
    keep[:10, 30:] = True  # row 5 was not seen
    figure = under_lights({"right": scans["right"]}, keep=keep)
    assert len(figure.data[0].x) == 90
    shown = figure.to_plotly_json()["data"][0]["marker"]["color"]
    assert (colours(figure, shown) == LAMPS["right"]).all()


def test_another_cloud_is_refused(scans):
    moved = replace(scans["right"], xyz=scans["right"].xyz + np.float32(0.01))
    with pytest.raises(ValueError, match="right: another cloud"):
        under_lights({"left": scans["left"], "right": moved})
    with pytest.raises(ValueError, match="left: left lacks the picture"):
        under_lights({"left": replace(scans["left"], rgb=None)})
