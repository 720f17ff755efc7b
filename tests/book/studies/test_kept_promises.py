"""Promised and seen rates on scores whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lsfa_book.studies.promises import Draw, Kept, drawn, promises, told
from lsfa_book.studies.rules import TOP, Seen
from lsfa_lite.config import LITE, ScoringConfig


def draws(count: int = 40, n: int = 200, m: int = 23, odd: float | None = None) -> list[Draw]:
    rng = np.random.default_rng(0)

    def one() -> Draw:
        good = rng.normal(size=n + m + 60)
        if odd is not None:
            good[n] = odd  # a validation part
        defective = rng.normal(3, 1, size=80)
        return Draw(*np.split(good, [n, n + m]), defective)

    return [one() for _ in range(count)]


def test_what_is_promised_is_seen_where_parts_are_alike():
    found = promises(draws())
    assert found["held_out"].promised == pytest.approx(1 / 24)
    assert found["all"].promised == pytest.approx(11 / 224)
    for kept in found.values():
        assert kept.seen == pytest.approx(kept.promised, abs=0.008)
        assert kept.seen_low <= kept.seen <= kept.seen_high
    line = stats.norm.ppf(1 - 11 / 224)
    assert found["all"].found == pytest.approx(stats.norm.sf(line - 3), abs=0.02)
    widths = {name: kept.seen_high - kept.seen_low for name, kept in found.items()}
    assert widths["all"] < 0.8 * widths["held_out"]


def test_one_odd_part_blinds_the_few_and_not_the_many():
    found = promises(draws(odd=50.0))
    with_it = 23 / (23 + 60)  # the share of splits in which it is a validation part
    plain = promises(draws())
    expected = (1 - with_it) * plain["held_out"].found
    assert found["held_out"].found == pytest.approx(expected, abs=0.04)
    assert found["all"].found == pytest.approx(plain["all"].found, abs=0.02)


def test_left_out_scores_that_are_too_low_break_the_promise():
    fits = [Draw(draw.left_out - 1, draw.held_out, draw.good, draw.defective) for draw in draws(10)]
    found = promises(fits)["all"]
    assert found.seen > 2 * found.promised


def test_cross_fitted_scores_are_a_third_group():
    some = draws(10)
    assert promises(some).keys() == {"held_out", "all"}
    fits = [Draw(d.left_out + 1, d.held_out, d.good, d.defective, d.left_out) for d in some]
    found, plain = promises(fits), promises(some)
    assert found["folds"] == plain["all"]
    assert found["held_out"] == plain["held_out"]
    assert found["all"].seen < found["all"].promised / 3  # holes: odder than new ones
    assert found["all"].found < found["folds"].found


def test_two_senses_are_scaled_by_the_scores_that_the_line_comes_from():
    rng = np.random.default_rng(0)
    groups = [rng.gamma(9, size=(n, 2)) * [1, 100] for n in (60, 12, 8, 30)]
    folded = rng.gamma(9, size=(60, 2)) * [100, 1]
    found = promises([Draw(*groups, folded)], splits=1, scoring=ScoringConfig())
    unknown = np.random.default_rng(0).permutation(np.concatenate(groups[1:3]))
    for name, known in {"held_out": groups[0][:0], "all": groups[0], "folds": folded}.items():
        base = np.concatenate([known, unknown[:12]])
        fused = [
            ((x - base.mean(0)) / base.std(0)).mean(1) for x in (base, unknown[12:], groups[3])
        ]
        line = np.sort(fused[0])[{72: 70, 12: 12}[len(base)] - 1]
        assert found[name].seen == pytest.approx(np.mean(fused[1] > line))
        assert found[name].found == pytest.approx(np.mean(fused[2] > line))
    other = promises([Draw(*groups, folded)], splits=1, scoring=LITE.scoring)
    assert other.keys() == found.keys()


@pytest.mark.parametrize("folds", [True, False])
def test_a_draw_of_what_was_seen_takes_the_largest_distances(folds):
    rng = np.random.default_rng(0)
    counts = {"train": 6, "validation": 3, "test": 5} | ({"folds": 6} if folds else {})
    scores = {
        m: {split: rng.random((count, 1 + TOP)) for split, count in counts.items()}
        for m in ("rgb", "3d")
    }
    draw = drawn(Seen(scores, np.array([0, 2, 0, 1, 0])), 10)
    np.testing.assert_allclose(draw.left_out[:, 1], scores["3d"]["train"][:, 1:11].mean(axis=1))
    np.testing.assert_allclose(
        draw.defective[:, 0], scores["rgb"]["test"][[1, 3], 1:11].mean(axis=1)
    )
    assert draw.held_out.shape == draw.good.shape == (3, 2)
    assert (draw.cross_fitted is not None) == folds
    if folds:
        np.testing.assert_allclose(
            draw.cross_fitted[:, 0], scores["rgb"]["folds"][:, 1:11].mean(axis=1)
        )


def test_a_table_says_what_was_promised_seen_and_found():
    text = told({"28, none": {"folds": Kept(0.04, 0.03, 0.0, 0.12, 0.5)}}).splitlines()
    assert text[-1].split() == ["28,", "none", "folds", "0.040", "0.030", "0.000-0.120", "0.500"]


def test_splits_repeat_with_the_seed_and_nothing_is_refused():
    some = draws(3)
    assert promises(some, splits=5) == promises(some, splits=5)
    assert promises(some, splits=5) != promises(some, splits=5, seed=1)
    with pytest.raises(ValueError, match="no draws"):
        promises([])
    empty = Draw(*(np.array([])[:0] for _ in range(4)))
    with pytest.raises(ValueError, match="without left-out"):
        promises([empty])
