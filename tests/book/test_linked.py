"""The linked view: both sides name the same patch, and the script finds what it needs."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from lsfa_book.figures.linked import linked_patches
from lsfa_lite.data.sample import Sample

GRID, SIZE = 7, 56  # patches of 8 x 8 pixels


@pytest.fixture(scope="module")
def plate() -> Sample:
    """56 x 56 pixels, one millimetre apart; the first two rows of patches are empty."""
    v, u = np.mgrid[:SIZE, :SIZE]
    xyz = np.stack([u / 1000 + 0.001, v / 1000, 0.5 + 0 * u], axis=-1).astype(np.float32)
    xyz[:16] = 0
    rgb = np.stack([4 * u, 4 * v, 128 + 0 * u], axis=-1).astype(np.uint8)
    return Sample(rgb, xyz, path="plate")


@pytest.fixture(scope="module")
def figure(plate: Sample):
    return linked_patches(plate, GRID, image_size=SIZE, points=500, patch=45)


def numbers(line: str) -> np.ndarray:
    return np.array(line.split(), dtype=int)


def owners(trace) -> np.ndarray:
    """The patch of each drawn point, from where it lies: a column is a millimetre."""
    column = np.round(np.asarray(trace.x) - 1).astype(int)
    row = np.round(np.asarray(trace.y)).astype(int)
    return row // 8 * GRID + column // 8


def test_each_point_knows_the_patch_that_it_lies_in(figure):
    trace, meta = figure.data[0], figure.layout.meta["patches"]
    assert owners(trace).tolist() == numbers(meta["patch"]).tolist()
    assert np.asarray(trace.customdata).tolist() == numbers(meta["patch"]).tolist()
    assert len(trace.x) == len(numbers(meta["colour"])) == len(trace.customdata) <= 500


def test_every_patch_with_points_has_the_same_number_drawn(figure):
    drawn = np.bincount(numbers(figure.layout.meta["patches"]["patch"]), minlength=GRID**2)
    assert drawn.tolist() == [0] * 14 + [500 // 35] * 35


def test_the_picture_counts_the_points_of_each_patch(figure):
    picture = figure.data[1]
    assert np.asarray(picture.z).tolist() == [[0] * GRID] * 2 + [[64] * GRID] * 5
    assert np.asarray(picture.text).ravel().tolist() == list(range(GRID**2))
    for trace in figure.data:
        assert trace.hovertemplate.startswith("patch %{")


def test_one_patch_is_marked_on_both_sides(figure):
    trace, meta = figure.data[0], figure.layout.meta["patches"]
    inside = numbers(meta["patch"]) == 45
    assert inside.any()
    assert ((np.array(trace.marker.size) == meta["size"][1]) == inside).all()
    assert ((np.array(trace.marker.color) == meta["marked"]) == inside).all()
    assert meta["marked"] == trace.marker.cmax
    frame = figure.layout.shapes[0]
    assert (frame.y0 + 0.5, frame.x0 + 0.5) == divmod(45, GRID)


def test_the_colour_scale_keeps_the_pictures_colours_and_adds_one(figure, plate: Sample):
    trace, meta = figure.data[0], figure.layout.meta["patches"]
    places = np.array([place for place, _ in trace.marker.colorscale])
    assert places[0] == 0
    assert places[-1] == 1
    np.testing.assert_allclose(places, np.arange(len(places)) / meta["marked"])
    stops = [tuple(map(int, c[4:-1].split(","))) for _, c in trace.marker.colorscale[:-1]]
    u, v = np.round(np.stack([trace.x - 1, trace.y])).astype(int)
    assert np.abs(np.array(stops)[numbers(meta["colour"])] - plate.rgb[v, u]).mean() < 12


def test_the_picture_is_clear_where_nothing_was_seen(figure, plate: Sample):
    address = figure.layout.images[0].source
    file = io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,")))
    picture = np.asarray(Image.open(file).convert("RGBA"))
    assert ((picture[..., 3] > 127) == plate.valid).all()


def test_it_is_light_and_the_same_twice(plate: Sample):
    first, again = (linked_patches(plate, GRID, image_size=SIZE).to_json() for _ in range(2))
    assert first == again
    assert len(first) < 120_000
    assert len(numbers(json.loads(first)["layout"]["meta"]["patches"]["patch"])) < 3000


def test_a_scan_without_one_of_both_is_refused(plate: Sample):
    with pytest.raises(ValueError, match=r"plate: .*both picture and cloud"):
        linked_patches(Sample(None, plate.xyz, path="plate"), GRID)
    with pytest.raises(ValueError, match=r"plate: .*both picture and cloud"):
        linked_patches(Sample(plate.rgb, None, path="plate"), GRID)
