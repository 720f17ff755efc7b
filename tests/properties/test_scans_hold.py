"""Scans: units, cameras, padding, maps, files and settings, there and back."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from drawn import numbers, places, row, seeds, some
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lsfa_lite.config import PRESETS, from_json, to_json
from lsfa_lite.data import files
from lsfa_lite.data.background import pad_square
from lsfa_lite.data.depth import depth_to_xyz, read_depth_png
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.units import OTHERS, likely_unit, outliers
from lsfa_lite.scoring.maps import anomaly_map, gaussian_blur, unsquare

sides = st.integers(1, 9)
positive = st.floats(1e-3, 1e4)


def part(seed: int, size: int = 12) -> np.ndarray:
    """(size, size, 3) metres: a wavy part before its camera, with holes."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:size, :size]
    step, away = rng.uniform(0.0003, 0.0008), rng.uniform(0.4, 0.9)
    z = away + 0.002 * np.sin(u / 3 + rng.uniform(0, 6))
    xyz = np.stack([step * (u - size / 2), step * (v - size / 2), z], axis=-1).astype(np.float32)
    xyz[rng.random((size, size)) < 0.2] = 0
    return xyz


@given(seeds, st.sampled_from(OTHERS), st.floats(1e4, 1e6))
def test_a_unit_is_named_and_a_hole_code_is_found_in_any_of_them(seed, unit, far):
    xyz = part(seed)
    assume(xyz.any())
    assert likely_unit(xyz) is None
    assert not outliers(xyz).any()
    assert likely_unit(xyz / np.float32(unit.metres)) == unit
    coded = xyz.copy()
    coded[3, 4] = -far
    mark = np.zeros(xyz.shape[:2], bool)
    mark[3, 4] = True
    np.testing.assert_array_equal(outliers(coded), mark)
    np.testing.assert_array_equal(outliers(coded * np.float32(0.25)), mark)
    np.testing.assert_array_equal(outliers(coded[:, ::-1]), mark[:, ::-1])


@given(st.data(), sides, sides, positive, positive, st.sampled_from([1.0, 0.001, 0.0001]))
def test_depth_projects_back_onto_its_pixels(data, height, width, fx, fy, scale):
    depth = data.draw(arrays(np.uint16, (height, width)))
    camera = Intrinsics(fx, fy, width / 2, height / 3, scale, width, height)
    xyz = depth_to_xyz(depth, camera).astype(np.float64)
    seen = (depth > 0) & (depth < 65535)
    np.testing.assert_array_equal(xyz.any(axis=-1), seen)
    x, y, z = xyz[seen].T
    v, u = np.nonzero(seen)
    np.testing.assert_allclose(z, depth[seen] * scale, rtol=1e-6)
    np.testing.assert_allclose(fx * x / z + camera.cx, u, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(fy * y / z + camera.cy, v, rtol=1e-5, atol=1e-4)


@given(positive, positive, numbers, numbers, st.sampled_from([1.0, 0.001, 0.00025]))
def test_a_camera_is_the_same_in_every_recorders_words(fx, fy, cx, cy, scale):
    camera = Intrinsics(fx, fy, cx, cy, scale)
    matrix = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
    columns = np.array(matrix).T.ravel().tolist()
    forms = (
        {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "depth_scale": scale},
        {"fx": fx, "fy": fy, "ppx": cx, "ppy": cy, "coeffs": [0] * 5, "depth_units": scale},
        {"intrinsic_matrix": columns, "depth_scale": 1 / scale},
        {"K": np.ravel(matrix).tolist(), "D": [], "depth_scale": 1 / scale},
        {"camera_matrix": {"rows": 3, "cols": 3, "data": matrix}, "depth_scale": 1 / scale},
    )
    with tempfile.TemporaryDirectory() as folder:
        for form in forms:
            path = Path(folder, "camera.json")
            path.write_text(json.dumps(form))
            found = Intrinsics.from_json(path)
            np.testing.assert_allclose(dataclasses.astuple(found)[:5],
                                       dataclasses.astuple(camera)[:5], rtol=1e-12)  # fmt: skip


@given(st.data(), sides, sides)
def test_padding_is_undone_and_keeps_every_value(data, height, width):
    values = data.draw(row(height * width)).reshape(height, width).astype(np.float32)
    square = pad_square(values)
    assert square.shape == (max(height, width),) * 2
    assert np.count_nonzero(square) == np.count_nonzero(values)
    back = unsquare(torch.from_numpy(square), values.shape)
    np.testing.assert_allclose(back, values, atol=1e-5)
    np.testing.assert_array_equal(pad_square(square), square)


@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.0, 1.0, 2.5]))
def test_a_map_lies_between_its_distances_and_is_0_off_the_part(data, grid, times, sigma):
    distances = torch.from_numpy(data.draw(row(grid**2, places)))
    on = torch.from_numpy(data.draw(some(grid**2)))
    assume(on.any())
    size = grid * times
    found = anomaly_map(distances, on, size, sigma)
    inside = on.view(grid, grid).repeat_interleave(times, 0).repeat_interleave(times, 1)
    assert (found[~inside] == 0).all()
    assert (found[inside] <= distances[on].max() + 1e-9).all()
    assert (found[inside] >= distances[on].min() - 1e-9).all()
    twice = anomaly_map(2 * distances, on, size, sigma)
    assert torch.allclose(twice, 2 * found)
    pair = anomaly_map(torch.stack([distances, distances]), torch.stack([on, on]), size, sigma)
    assert torch.allclose(pair, found.expand(2, -1, -1))
    turned = anomaly_map(distances.view(grid, grid).T.flatten(), on.view(grid, grid).T.flatten(),
                         size, sigma)  # fmt: skip
    assert torch.allclose(turned, found.T)


@given(st.data(), sides, sides, st.sampled_from([0.5, 2.0]))
def test_a_blur_is_linear_minds_no_mirror_and_makes_nothing(data, height, width, sigma):
    a, b = (torch.from_numpy(data.draw(row(height * width))).view(1, 1, height, width)
            for _ in range(2))  # fmt: skip
    blurred = gaussian_blur(a, sigma)
    assert torch.allclose(gaussian_blur(a + 2 * b, sigma), blurred + 2 * gaussian_blur(b, sigma))
    assert torch.allclose(gaussian_blur(a.flip(3), sigma), blurred.flip(3))
    assert float(gaussian_blur(a.abs(), sigma).sum()) <= float(a.abs().sum()) + 1e-9


@given(st.data(), sides, sides, st.integers(1, 255))
def test_files_give_back_what_was_written(data, height, width, number):
    picture = data.draw(arrays(np.uint8, (height, width, 3)))
    depth = data.draw(arrays(np.uint16, (height, width)))
    cloud = data.draw(arrays(np.float32, (height, width, 3)))
    mask = data.draw(some(height * width)).reshape(height, width)
    with tempfile.TemporaryDirectory() as name:
        at = Path(name, "x.png")
        for array, read in ((picture, files.read_rgb), (mask * np.uint8(number), files.read_ids)):
            files.write_png(at, array)
            np.testing.assert_array_equal(read(at), array)
        np.testing.assert_array_equal(files.read_mask(at), mask)
        files.write_png(at, depth)
        np.testing.assert_array_equal(read_depth_png(at), depth)
        files.write_tiff(at, cloud)
        np.testing.assert_array_equal(files.read_tiff(at), cloud)  # NaN and Inf too


@given(st.sampled_from(sorted(PRESETS)), seeds, st.integers(1, 300), st.floats(0, 1e6), places)
def test_a_config_is_equal_behind_its_text(preset, seed, steps, weight, share):
    config = PRESETS[preset].change(
        seed=seed,
        adaptation__steps=steps,
        adaptation__consistency=weight,
        features__min_foreground=share,
    )
    assert from_json(to_json(config)) == config
    assert to_json(from_json(to_json(config))) == to_json(config)
