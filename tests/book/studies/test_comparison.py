"""Paired differences against scipy's paired test, and Holm's stairs by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lsfa_book.studies.comparison import Difference, paired, standing


def test_paired_differences_against_scipy():
    before = {("ring", 0): 0.5, ("ring", 1): 0.7, ("handle", 0): 0.4}
    after = {("ring", 0): 0.6, ("ring", 1): 0.9, ("handle", 0): 0.4}
    difference = paired(after | {("handle", 1): 0.9}, before)  # one that has no partner
    test = stats.ttest_rel([0.4, 0.6, 0.9], [0.4, 0.5, 0.7])
    low, high = test.confidence_interval(0.95)
    assert difference.n == 3
    assert np.isclose(difference.mean, 0.1)
    assert np.isclose(difference.low, low)
    assert np.isclose(difference.high, high)


def test_p_is_that_of_the_paired_test():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3, 1.0):
        after, before = rng.normal(shift, 1, 9), rng.normal(0, 1, 9)
        found = paired(dict(enumerate(after)), dict(enumerate(before)))
        assert np.isclose(found.p, stats.ttest_rel(after, before).pvalue)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    still = {1: 0.5, 2: 0.75, 3: 0.25}
    assert paired(still, still) == Difference(0.0, 0.0, 0.0, 3, 1.0)
    moved = {key: value + 0.125 for key, value in still.items()}
    assert paired(moved, still) == Difference(0.125, 0.125, 0.125, 3, 0.0)


def test_rows_stand_by_holms_stairs():
    """By hand: the limits for four rows are 0.0125, 0.0167, 0.025 and 0.05."""

    def row(p):
        return Difference(0.1, 0.0, 0.2, 12, p)

    ps = {"a": 0.03, "b": 0.001, "c": 0.04, "d": 0.016}
    assert standing({name: row(p) for name, p in ps.items()}) == ["b", "d"]
    assert standing({"c": row(0.04)}) == ["c"]
    assert standing({}) == []


def test_an_interval_needs_two_pairs():
    with pytest.raises(ValueError, match="at least two"):
        paired({("ring", 0): 1.0}, {("ring", 0): 0.5})
