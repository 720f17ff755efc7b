"""What the threshold of the verdict promises on good parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lsfa_lite.scoring.threshold import threshold


def test_it_is_the_conformal_order_statistic():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))  # 19 scores
    assert threshold(scores, 0.05) == (19.0, pytest.approx(0.05))  # ceil(20 * 0.95) = 19th
    assert threshold(scores, 0.10) == (18.0, pytest.approx(0.10))
    assert threshold(scores, 0.12) == (18.0, pytest.approx(0.10))  # never more than was asked for
    assert threshold(torch.tensor(scores), 0.5) == (10.0, pytest.approx(0.5))


def test_it_is_not_misled_by_rounding():
    assert threshold(np.arange(1.0, 25.0), 0.44) == (14.0, pytest.approx(0.44))


def test_too_few_samples_say_what_they_can_promise():
    assert threshold([3.0, 1.0, 2.0], 0.05) == (3.0, 0.25)
    assert threshold([4.0], 0.05) == (4.0, 0.5)


def test_the_promise_is_kept():
    """Over many draws the share of new good samples above the threshold is the promised rate."""
    rng = np.random.default_rng(0)
    for count, wanted in ((19, 0.05), (30, 0.1), (7, 0.05)):
        draws = rng.gumbel(size=(4000, count + 1))
        results = [threshold(d[:-1], wanted) for d in draws]
        rate = np.mean([d[-1] > r.value for d, r in zip(draws, results, strict=True)])
        assert rate == pytest.approx(results[0].false_positive_rate, abs=0.015)


@pytest.mark.parametrize("count", [23, 60, 246])
def test_one_odd_part_moves_the_threshold_by_a_rank_at_most(count):
    scores = np.sort(np.random.default_rng(count).gumbel(size=count))
    line = threshold(scores, 0.05).value
    rank = scores.searchsorted(line)
    for moved in range(count):
        odd = scores.copy()
        odd[moved] = 1e300
        value = threshold(odd, 0.05).value
        if count == 23:  # the largest score: one part is all of it
            assert rank == 22
            assert value == 1e300
        else:
            assert value in (line, scores[rank + 1])


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_bad_rate(rate):
    with pytest.raises(ValueError, match="false_positive_rate"):
        threshold([1.0, 2.0], rate)


def test_bad_scores():
    for scores in ([], [1.0, float("nan")], [[1.0]]):
        with pytest.raises(ValueError, match="scores"):
            threshold(scores, 0.1)
