"""Promised and seen rates on scores whose law is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lsfa_book.studies.promises import Draw, promises


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


def test_splits_repeat_with_the_seed_and_nothing_is_refused():
    some = draws(3)
    assert promises(some, splits=5) == promises(some, splits=5)
    assert promises(some, splits=5) != promises(some, splits=5, seed=1)
    with pytest.raises(ValueError, match="no draws"):
        promises([])
    empty = Draw(*(np.array([])[:0] for _ in range(4)))
    with pytest.raises(ValueError, match="without left-out"):
        promises([empty])
