"""-log p of a score among good ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy import stats

from lsfa_lite.config import ScoringConfig
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.tails import KNOTS, Tail


def counted(good, score):
    """The conformal p-value by its definition."""
    return (1 + np.sum(good >= score)) / (len(good) + 1)


def test_inside_it_is_the_conformal_p_value_at_every_good_score():
    good = np.random.default_rng(0).gamma(5.0, 1.0, 50)
    tail = Tail.fit(good, "x")
    body = np.sort(good)[:40]  # the ten largest make the tail
    expected = [-np.log(counted(good, score)) for score in body]
    np.testing.assert_allclose(tail(body), expected, rtol=1e-9)


def test_beyond_it_falls_as_the_largest_good_scores_do():
    good = np.random.default_rng(1).exponential(2.0, 4000)
    tail = Tail.fit(good, "x")
    far = torch.tensor([8.0, 12.0, 40.0])
    np.testing.assert_allclose(tail(far), stats.expon(scale=2.0).logsf(far) * -1, rtol=0.15)
    ordered = np.sort(good)
    count = round(len(good) ** 0.5)
    assert tail.rate == pytest.approx(1 / (ordered[-count:] - ordered[-count - 1]).mean())


def test_it_never_falls_and_rises_without_end():
    good = np.random.default_rng(2).gamma(3.0, 1.0, 200)
    grid = np.linspace(0, 100, 5001)
    surprise = Tail.fit(good, "x")(grid).numpy()
    assert (np.diff(surprise) >= 0).all()
    assert (np.diff(surprise[grid > good.min()]) > 0).all()
    assert surprise[0] == 0


def test_equal_scores_have_one_p_value():
    good = np.array([1.0] * 30 + [2.0] * 5 + list(np.linspace(3, 5, 12)))
    tail = Tail.fit(good, "x")
    assert float(tail(2.0)) == pytest.approx(-np.log(counted(good, 2.0)))


def test_many_scores_are_kept_as_a_few_knots():
    good = np.random.default_rng(3).gamma(5.0, 1.0, 100_000)
    tail = Tail.fit(good, "x")
    assert len(tail.values) <= KNOTS + 1
    some = np.quantile(good, [0.1, 0.5, 0.9, 0.99])
    np.testing.assert_allclose(tail(some), [-np.log(counted(good, s)) for s in some], atol=0.05)


@pytest.mark.parametrize("good", [[1.0, 1.0, 1.0], [0.0, 0.0]])
def test_scores_without_spread_are_refused(good):
    with pytest.raises(ValueError, match="without spread"):
        Tail.fit(np.array(good), "rgb image scores")


@pytest.mark.parametrize("count", [2, 3, 11])
def test_few_scores_suffice(count):
    good = np.random.default_rng(count).uniform(1, 2, count)
    values = Tail.fit(good, "x")(np.array([0.5, 1.5, 3.0]))
    assert torch.isfinite(values).all()
    assert values[2] > values[1]


def test_a_sense_that_sees_nothing_adds_next_to_nothing():
    """Fisher's rule keeps more of the seeing sense's AUROC than the mean of z-scores does."""
    rng = np.random.default_rng(4)
    good = {"rgb": rng.gamma(9, 1.0, 300), "3d": rng.gamma(9, 1.0, 300)}
    new = {m: rng.gamma(9, 1.0, 400) for m in good}
    new["rgb"][200:] += 6.0  # defects, seen by one sense alone
    ranks = {}
    for how in ("zscore", "tail"):
        fusion = Fusion.fit(good, good, ScoringConfig(normalise=how))
        fused = fusion.fuse_images({m: torch.from_numpy(v) for m, v in new.items()}).numpy()
        ranks[how] = stats.mannwhitneyu(fused[200:], fused[:200]).statistic / 200**2
    assert ranks["tail"] > ranks["zscore"] + 0.01


def test_fisher_and_the_smallest_p_by_hand():
    rng = np.random.default_rng(5)
    good = {"rgb": rng.gamma(5, 1.0, 99), "3d": rng.gamma(5, 1.0, 99)}
    at = {m: float(np.sort(v)[60]) for m, v in good.items()}  # 39 of 99 are as large: p = .4
    for how, expected in (("sum", -2 * np.log(0.4)), ("max", -np.log(0.4))):
        fusion = Fusion.fit(good, good, ScoringConfig(normalise="tail", fusion=how))
        assert float(fusion.fuse_images(at)) == pytest.approx(expected, rel=1e-5)


def test_json_and_back():
    rng = np.random.default_rng(6)
    good = {"rgb": rng.gamma(5, 1.0, 60), "3d": rng.gamma(5, 1.0, 60)}
    fusion = Fusion.fit(good, good, ScoringConfig(normalise="tail"))
    assert Fusion.from_state(json.loads(json.dumps(fusion.state()))) == fusion


def test_a_weighted_sum_of_surprises_is_refused():
    with pytest.raises(ValueError, match="ocsvm"):
        ScoringConfig(normalise="tail", fusion="ocsvm")
