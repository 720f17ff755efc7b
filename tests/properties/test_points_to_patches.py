"""Eq. 1, patches, sampling, search: equal to the slow way, unmoved by what must not matter."""

from __future__ import annotations

import numpy as np
import torch
from drawn import counts, numbers, places, seeds, some, table
from hypothesis import given
from hypothesis import strategies as st

from lsfa_lite.features.nearest import nearest
from lsfa_lite.features.projection import (
    average_into_patches,
    interpolate,
    inverse_distance_weights,
    patch_area,
    patch_index,
)
from lsfa_lite.features.sampling import farthest_point_sampling, nearest_groups
from lsfa_lite.scoring.patchcore import reweight


@given(st.data(), counts, counts, st.sampled_from([0.0, 1.0, 2.0]))
def test_weights_are_shares_and_the_nearer_centre_has_the_larger(data, points, groups, power):
    distances = data.draw(table(points, groups, places))
    weights = inverse_distance_weights(distances, power)
    assert ((weights >= 0) & (weights <= 1)).all()
    assert torch.allclose(weights.sum(1), torch.ones(points))
    order = distances.argsort(dim=1)
    assert (weights.gather(1, order).diff(dim=1) <= 1e-6).all()
    assert torch.allclose(inverse_distance_weights(4 * distances, power), weights)  # any unit


@given(st.data(), counts, counts, st.sampled_from([1.0, 2.0]))
def test_eq_1_is_the_sum_as_printed_and_stays_within_its_features(data, count, groups, power):
    points, centres = data.draw(table(count, 3, places)), data.draw(table(groups, 3, places))
    features = data.draw(table(groups, 2))
    found = interpolate(points, centres, features, power=power)
    for p, f in zip(points.double(), found, strict=True):
        d = [float((c - p).norm()) for c in centres.double()]
        alpha = np.array([float(x == 0) for x in d] if 0 in d else [x**-power for x in d])
        expected = alpha @ features.double().numpy() / alpha.sum()
        np.testing.assert_allclose(f, expected, atol=1e-4)
    assert (found <= features.amax(0) + 1e-4).all()
    assert (found >= features.amin(0) - 1e-4).all()
    order = torch.from_numpy(np.random.default_rng(count).permutation(groups))
    again = interpolate(points, centres[order], features[order], power=power)
    assert torch.allclose(again, found, atol=1e-4)
    assert torch.allclose(interpolate(points, centres, features, groups, power), found, atol=1e-4)


@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_patches_share_the_pixels_out_and_keep_their_sum(data, grid, more):
    size = grid + more
    chosen = torch.from_numpy(data.draw(some(size * size)))
    pixels, area = chosen.nonzero()[:, 0], patch_area(size, grid)
    values = torch.arange(2.0 * len(pixels)).view(-1, 2)
    features, share = average_into_patches(values, pixels, size, grid)
    assert int(area.sum()) == size * size
    assert torch.equal(area, torch.bincount(patch_index(torch.arange(size**2), size, grid)).float())
    assert ((share >= 0) & (share <= 1)).all()
    assert (features[share == 0] == 0).all()
    total = (features.double() * (share * area).double()[:, None]).sum(0)
    np.testing.assert_allclose(total, values.double().sum(0), rtol=1e-5, atol=1e-3)
    assert int((share * area).round().sum()) == len(pixels)


@given(st.data(), st.integers(2, 12), seeds)
def test_farthest_points_are_those_of_the_slow_loop(data, count, seed):
    points = data.draw(table(count, 3))
    wanted = 1 + seed % count
    chosen = [0]
    while len(chosen) < wanted:
        far = [min(float((p - points[c]).square().sum()) for c in chosen) for p in points]
        chosen.append(far.index(max(far)))
    assert farthest_point_sampling(points, wanted).tolist() == chosen


@given(st.data(), st.integers(1, 12), counts, seeds)
def test_groups_are_a_stable_sort_by_distance(data, count, groups, seed):
    points, centres = data.draw(table(count, 3)), data.draw(table(groups, 3))
    size = 1 + seed % count
    squares = (centres[:, None] - points).square().sum(2)  # exact, for these numbers
    expected = squares.argsort(dim=1, stable=True)[:, :size]
    assert torch.equal(nearest_groups(points, centres, size, chunk=1 + seed % 3), expected)


@given(st.data(), counts, st.integers(1, 12), st.integers(1, 4))
def test_the_nearest_row_is_the_nearest_whatever_is_left_out(data, queries, rows, width):
    asked, bank = data.draw(table(queries, width)), data.draw(table(rows, width))
    out = torch.from_numpy(data.draw(some(rows)))
    out[0] &= not out.all()
    distance, index = nearest(asked, bank, chunk=2, left_out=out)
    every = (asked[:, None].double() - bank.double()).norm(dim=2).masked_fill(out, torch.inf)
    np.testing.assert_allclose(distance, every.amin(1), atol=1e-5)
    np.testing.assert_allclose(every.gather(1, index[:, None])[:, 0], every.amin(1), atol=1e-5)
    assert not out[index].any()
    twice = nearest(asked, torch.cat([bank, bank]))[1]
    assert (twice < rows).all()  # of equals the first


@given(st.data(), counts, st.integers(2, 8), st.integers(0, 5), st.sampled_from([1.0, 50.0, 1e4]))
def test_a_weight_lies_between_0_and_1_however_far_the_patch(data, patches, rows, b, far):
    asked, bank = data.draw(table(patches, 3, numbers)) * far, data.draw(table(rows, 3))
    weight = reweight(asked, nearest(asked, bank)[1], bank, b)
    assert ((weight >= 0) & (weight <= 1)).all()
