"""Maps against SciPy and a bilinear interpolation written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_closing, gaussian_filter
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.scoring.maps import anomaly_map, closed, gaussian_blur, resize, unsquare


def slow_resize(image, size):
    """Bilinear between pixel centres, borders held, pixel by pixel."""
    side = len(image)
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            y, x = (np.clip((k + 0.5) * side / size - 0.5, 0, side - 1) for k in (i, j))
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, side - 1), min(x0 + 1, side - 1)
            top = image[y0, x0] * (1 - x + x0) + image[y0, x1] * (x - x0)
            low = image[y1, x0] * (1 - x + x0) + image[y1, x1] * (x - x0)
            out[i, j] = top * (1 - y + y0) + low * (y - y0)
    return out


def slow_map(distances, foreground, size, sigma):
    def spread(values):
        large = slow_resize(values, size)
        return gaussian_filter(large, sigma, mode="constant") if sigma else large

    total, share = spread(distances * foreground), spread(foreground.astype(float))
    part = np.kron(foreground, np.ones((size // len(foreground),) * 2)) > 0
    return np.where(part, total / np.maximum(share, 1e-12), 0.0)


def test_past_the_rim_a_map_is_the_plain_blur():
    """A hole bored through a part: its mask has no point, and rim="fade" can say so."""
    rng = np.random.default_rng(1)
    foreground = disc(14, 6.0) & ~disc(14, 1.5)
    distances = rng.random((14, 14)) + 0.5
    pixels = torch.tensor(np.kron(foreground, np.ones((4, 4))) > 0)
    flat = torch.tensor(distances, dtype=torch.float32).ravel(), torch.tensor(foreground).ravel()
    fades = anomaly_map(*flat, 56, 2.0, pixels, "fade").numpy()
    cut = anomaly_map(*flat, 56, 2.0, pixels).numpy()
    plain = gaussian_filter(slow_resize(distances * foreground, 56), 2.0, mode="constant")
    on = pixels.numpy()
    np.testing.assert_array_equal(fades[on], cut[on])
    np.testing.assert_allclose(fades[~on], plain[~on], atol=1e-5)
    assert (cut[~on] == 0).all()
    assert fades[28, 28] > 0.05  # the middle of the hole
    assert fades[0, 0] < 1e-6


def test_a_gap_that_the_part_closes_in_on_is_the_part():
    """A notch of 8 pixels is closed, one of 40 is not; what is beyond fades as before."""
    part = torch.zeros(112, 112, dtype=torch.bool)
    part[20:92, 20:92] = True
    part[20:50, 52:60] = False  # narrow
    part[60:92, 30:70] = False  # wide
    filled = closed(part, 7)
    expected = binary_closing(np.pad(part.numpy(), 20), np.ones((15, 15)))[20:-20, 20:-20]
    np.testing.assert_array_equal(filled.numpy(), expected)
    assert filled[20:50, 52:60].all()
    assert not filled[70:92, 45:55].any()
    foreground = torch.tensor(part.numpy().reshape(14, 8, 14, 8).mean((1, 3)) >= 0.5).ravel()
    distances = torch.rand(196, generator=torch.Generator().manual_seed(0)) + 0.5
    fade, close = (anomaly_map(distances, foreground, 112, 4.0, part, r) for r in ("fade", "close"))
    torch.testing.assert_close(close[part], fade[part])
    torch.testing.assert_close(close[~filled], fade[~filled])
    gap = filled & ~part
    assert (close[gap] > fade[gap]).all()  # the zeros of the gap are not counted
    both = torch.stack([part, ~part])
    torch.testing.assert_close(closed(both, 3)[1], closed(~part, 3))


def disc(grid, radius):
    y, x = np.mgrid[:grid, :grid] - (grid - 1) / 2
    return np.hypot(y, x) < radius


def as_map(distances, foreground, size, sigma=4.0, pixels=None):
    flat = torch.tensor(distances, dtype=torch.float32).ravel()
    mask = torch.tensor(foreground).ravel()
    return anomaly_map(flat, mask, size, sigma, pixels).numpy()


@pytest.mark.parametrize(("grid", "size"), [(4, 12), (7, 5), (3, 3), (1, 4)])
def test_resize_is_bilinear_between_centres(grid, size):
    image = np.random.default_rng(0).random((grid, grid))
    out = resize(torch.tensor(image)[None, None], size)[0, 0]
    np.testing.assert_allclose(out, slow_resize(image, size), atol=1e-12)


@pytest.mark.parametrize("sigma", [0.7, 4.0])
def test_blur_equals_scipy(sigma):
    image = np.random.default_rng(0).random((30, 41))
    out = gaussian_blur(torch.tensor(image)[None, None], sigma)[0, 0]
    np.testing.assert_allclose(out, gaussian_filter(image, sigma, mode="constant"), atol=1e-12)


@pytest.mark.parametrize("sigma", [0.0, 1.5, 4.0])
def test_map_equals_the_slow_version(sigma):
    distances, part = np.random.default_rng(0).random((8, 8)), disc(8, 3.2)
    out = as_map(distances, part, 32, sigma)
    np.testing.assert_allclose(out, slow_map(distances, part, 32, sigma), atol=1e-5)
    assert (out[np.kron(part, np.ones((4, 4))) == 0] == 0).all()


def test_an_even_part_stays_even_up_to_its_rim():
    """A plain blur would pull the rim down by half; the average over the part does not."""
    part = disc(14, 5)
    out = as_map(np.full((14, 14), 3.0), part, 56)
    inside = np.kron(part, np.ones((4, 4))) > 0
    np.testing.assert_allclose(out[inside], 3.0, rtol=1e-5)
    assert (out[~inside] == 0).all()
    everywhere = np.ones((14, 14), bool)
    np.testing.assert_allclose(as_map(np.full((14, 14), 3.0), everywhere, 56), 3.0, rtol=1e-5)


def test_background_distances_are_ignored():
    distances, part = np.random.default_rng(0).random((14, 14)), disc(14, 5)
    wild = np.where(part, distances, 1e6)
    np.testing.assert_array_equal(as_map(wild, part, 56), as_map(distances, part, 56))


def test_pixels_say_where_the_part_is():
    """The rim pixels of a patch that itself counts as background get their neighbours' score."""
    part = np.zeros((4, 4), bool)
    part[1:3, 1:3] = True
    pixels = torch.zeros(32, 32, dtype=torch.bool)
    pixels[6:26, 6:26] = True
    pixels[31, 31] = True  # out of reach of any patch
    out = as_map(np.full((4, 4), 2.0), part, 32, sigma=1.0, pixels=pixels)
    np.testing.assert_allclose(out[6:26, 6:26], 2.0, rtol=1e-4)
    assert out.sum() == pytest.approx(2.0 * 400, rel=1e-4)
    assert out[31, 31] == 0


def test_peak_stays_in_place_and_levels_stay_fine():
    """No 8-bit step on the way: a map has about as many levels as pixels."""
    distances = np.random.default_rng(0).random((28, 28)) + 1
    distances[20, 9] = 30
    out = as_map(distances, np.ones((28, 28), bool), 224)
    row, column = np.unravel_index(out.argmax(), out.shape)
    assert abs(row - 163.5) <= 1
    assert abs(column - 75.5) <= 1
    assert len(np.unique(out)) > 20000


def test_all_background_and_one_patch():
    assert (as_map(np.ones((4, 4)), np.zeros((4, 4), bool), 16) == 0).all()
    np.testing.assert_allclose(
        as_map(np.full((1, 1), 5.0), np.ones((1, 1), bool), 6), 5.0, rtol=1e-5
    )


@pytest.mark.parametrize("size", [(20, 32), (32, 20), (20, 31), (31, 20), (24, 24), (1, 9)])
def test_unsquare_undoes_the_centred_padding(size):
    """Pad as the feature extractor does, take that as the square map, and crop it again."""
    height, width = size
    side = max(size)
    picture = np.random.default_rng(0).random(size).astype(np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), np.float32)
    square[top : top + height, left : left + width] = picture
    np.testing.assert_array_equal(unsquare(torch.tensor(square), size), picture)


def test_unsquare_finds_the_place_at_another_resolution():
    square = torch.zeros(56, 56)
    square[40:44, 8:12] = 1.0  # centre (42, 10) of 56 -> (150, 35.7) of 200; padding above is 25
    out = unsquare(square, (150, 200)).numpy()
    assert out.shape == (150, 200)
    weight = out / out.sum()
    assert (weight.sum(1) * (np.arange(150) + 0.5)).sum() == pytest.approx(125.0, abs=0.2)
    assert (weight.sum(0) * (np.arange(200) + 0.5)).sum() == pytest.approx(35.7, abs=0.2)


def test_bad_input():
    with pytest.raises(ValueError, match="square number"):
        anomaly_map(torch.zeros(8), torch.ones(8, dtype=torch.bool), 12)
    with pytest.raises(ValueError, match="square number"):
        anomaly_map(torch.zeros(9), torch.ones(8, dtype=torch.bool), 12)
    with pytest.raises(ValueError, match="sigma"):
        gaussian_blur(torch.zeros(1, 1, 3, 3), -1.0)
    with pytest.raises(ValueError, match="expected a square"):
        unsquare(torch.zeros(3, 4), (3, 4))


def test_stays_on_its_device():
    with FakeTensorMode(allow_non_fake_inputs=False):
        distances = torch.empty(49, device="cuda")
        foreground = torch.empty(49, dtype=torch.bool, device="cuda")
        out = unsquare(anomaly_map(distances, foreground, 56), (40, 60))
        assert (out.device.type, out.shape) == ("cuda", (40, 60))


@pytest.mark.parametrize("given", [True, False])
def test_many_maps_are_each_alone(given):
    distances = torch.tensor(np.random.default_rng(0).random((3, 49)), dtype=torch.float32)
    foreground = distances > 0.3
    pixels = torch.rand(3, 28, 28) > 0.2 if given else None
    together = anomaly_map(distances, foreground, 28, 2.0, pixels)
    for i, one in enumerate(together):
        part = None if pixels is None else pixels[i]
        torch.testing.assert_close(one, anomaly_map(distances[i], foreground[i], 28, 2.0, part))
