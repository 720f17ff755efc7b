"""Figures: small enough for a page, the same twice, readable without seeing them."""

from __future__ import annotations

import json

import numpy as np
import plotly
import pytest

from lsfa_book import figures
from lsfa_book.figures.renderer import BookRenderer
from lsfa_lite.data.sample import Sample


@pytest.fixture(scope="module")
def wave() -> Sample:
    """128 x 128 pixels, 1 mm apart, a wave of 20 mm half a metre away; one corner is not seen."""
    v, u = np.mgrid[:128, :128]
    z = 0.5 + 0.02 * np.sin(u / 9) * np.cos(v / 11)
    xyz = np.stack([(u - 64) / 1000, (v - 64) / 1000, z], axis=-1).astype(np.float32)
    xyz[:20, :20] = 0
    rgb = np.stack([2 * u, 2 * v, 128 + 0 * u], axis=-1).astype(np.uint8)
    mask = np.zeros((128, 128), dtype=bool)
    mask[40:60, 40:60] = True
    return Sample(rgb, xyz, mask, 1, "dent", "wave")


def points(trace) -> np.ndarray:
    return np.stack([trace.x, trace.y, trace.z], axis=1)


def test_cloud_is_thinned_to_points_that_were_seen(wave: Sample):
    trace = figures.cloud(wave, points=900).data[0]
    drawn = points(trace)
    assert 300 < len(drawn) <= 900
    assert drawn.dtype == np.float32
    known = {tuple(p) for p in (wave.xyz.reshape(-1, 3) * 1000).tolist()}
    assert {tuple(p) for p in drawn.tolist()} <= known
    assert (np.abs(drawn).max(axis=1) > 0).all()


def test_no_figure_has_more_than_five_thousand_points(wave: Sample):
    figure = figures.clouds([wave, wave, wave], points=10**6)
    assert sum(len(trace.x) for trace in figure.data) <= 5000


def test_thinning_covers_the_cloud_evenly(wave: Sample):
    """Every seen pixel has a drawn one near it: within two squares of side 5 pixels = 5 mm."""
    drawn = points(figures.cloud(wave, points=900).data[0])[:, :2]
    seen = wave.xyz[wave.valid][::37, :2] * 1000
    gap = np.linalg.norm(seen[:, None] - drawn[None], axis=-1).min(axis=1)
    assert gap.max() < 10


def test_cloud_is_the_same_twice_and_differs_with_the_seed(wave: Sample):
    first, again, other = (figures.cloud(wave, points=500, seed=s).to_json() for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_keep_selects_pixels(wave: Sample):
    drawn = points(figures.cloud(wave, keep=wave.mask).data[0])
    assert len(drawn) == wave.mask.sum()


def test_palette_keeps_the_colours(wave: Sample):
    """index -> stop of the colour scale -> close to the picture's colour at that point."""
    trace = figures.cloud(wave, points=400).data[0]
    stops = [tuple(map(int, c[4:-1].split(","))) for _, c in trace.marker.colorscale]
    drawn = np.array(stops)[np.asarray(trace.marker.color)]
    u, v = np.round(points(trace)[:, :2]).astype(int).T + 64
    assert np.abs(drawn - wave.rgb[v, u]).mean() < 12


def test_anomaly_needs_values_and_shares_one_scale(wave: Sample):
    with pytest.raises(ValueError, match=r"wave: .*values of shape \(128, 128\)"):
        figures.cloud(wave, "anomaly")
    low = np.zeros((128, 128), dtype=np.float32)
    figure = figures.clouds([wave, wave], "anomaly", [low, low + 4])
    assert [trace.marker.cmin for trace in figure.data] == [0, 0]
    assert [trace.marker.cmax for trace in figure.data] == [4, 4]


def test_clear_errors_for_a_missing_modality(wave: Sample):
    with pytest.raises(ValueError, match="no xyz"):
        figures.cloud(Sample(wave.rgb, None, path="flat"))
    with pytest.raises(ValueError, match="no picture"):
        figures.cloud(Sample(None, wave.xyz))
    with pytest.raises(ValueError, match="no xyz"):
        figures.relief(Sample(wave.rgb, None))


def test_relief_is_even_on_a_plane_and_uneven_on_a_dent(wave: Sample):
    xyz = wave.xyz.copy()
    xyz[..., 2] = 0.5
    flat = figures.relief(Sample(None, xyz))[30:-10, 30:-10]
    assert flat.std() < 1e-5
    xyz[60:68, 60:68, 2] += 0.002
    assert figures.relief(Sample(None, xyz))[30:-10, 30:-10].std() > 0.01


def test_the_books_renderer_writes_data_and_words_but_no_library(wave: Sample):
    figure = figures.cloud(wave, points=5000, alt='A "wave" & </script>')
    html = BookRenderer().to_mimebundle(figure.to_dict())["text/html"]
    assert 'aria-label="A &quot;wave&quot; &amp; &lt;/script&gt;"' in html
    assert html.count("</script>") == 1
    packed = int(plotly.__version__.split(".")[0]) > 5  # Colab's plotly 5 writes digits
    assert len(html) < (100_000 if packed else 150_000)
    body = html.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(body)["layout"]["meta"]["linked"] is False


def test_overlay_shows_the_picture_where_nothing_is_wrong(wave: Sample):
    anomaly = np.where(wave.mask, 2.0, 0.0)
    mixed = figures.anomaly_overlay(wave.rgb, anomaly)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed[~wave.mask], wave.colour[~wave.mask], atol=1e-6)
    assert np.abs(mixed - wave.colour)[wave.mask].mean() > 0.2
    with pytest.raises(ValueError, match="anomaly map is"):
        figures.anomaly_overlay(wave.rgb, anomaly[:64])


def test_pictures_have_a_panel_for_each_sight(wave: Sample):
    row = figures.show_sample(wave, "a wave")
    assert [axis.get_title() for axis in row.axes[:3]] == ["picture", "depth", "defect"]
    sheet = figures.contact_sheet({"wave": [wave, wave], "sea": [wave]})
    assert len(sheet.axes) == 2 * 3 * 2
    shown = sum(bool(axis.images) for axis in sheet.axes)
    assert shown == 9


def test_pairs_stand_in_blocks_one_above_the_other(wave: Sample):
    sheet = figures.pairs({name: (wave, wave) for name in ("sea", "lake", "pond")}, columns=2)
    titles = [axis.get_title() for axis in sheet.axes]
    assert titles == ["sea", "lake", "dent", "dent", "pond", "", "dent", ""]
    assert [bool(axis.images) for axis in sheet.axes] == [bool(title) for title in titles]
