"""A defect's gain is that of its own parts; sizes are patches; names must fit labels."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book.studies import grain
from lsfa_book.studies.rules import TOP, Seen

DEFECTS = ["good"] * 4 + ["hole"] * 2 + ["stain"] * 2


def seen(hole, stain):
    largest = np.array([1.0, 2, 3, 4, hole, hole, stain, stain])
    kept = np.tile(largest[:, None], (1, 1 + TOP))
    kept[:, 0] = -largest  # the re-weighted maximum is not looked at
    return Seen({"rgb": {"test": kept}}, np.array([0] * 4 + [1] * 4))


def test_each_defect_is_judged_by_its_own_parts_against_all_good_ones():
    found = grain.of_defects({28: seen(2.5, 0.5), 56: seen(9, 0.5)}, DEFECTS)
    assert found == {("hole", "rgb"): [0.5, 1.0], ("stain", "rgb"): [0.0, 0.0]}


def test_names_that_are_not_the_labels_are_refused():
    both = {28: seen(1, 1), 56: seen(1, 1)}
    with pytest.raises(ValueError, match="labels"):
        grain.of_defects(both, DEFECTS[::-1])


def test_a_quarter_of_the_picture_is_a_quarter_of_the_patches():
    mask = np.zeros((40, 60), bool)
    mask[:20, :30] = True
    assert grain.size([mask, mask, np.ones_like(mask)]) == 28 * 28 / 4


def test_seeds_are_averaged_before_they_are_counted():
    row = {"category": "ring", "defect": "hole", "sense": "rgb", "size": 2.0}
    rows = [row | {"seed": 0, "at": [0.5, 0.7]}, row | {"seed": 1, "at": [0.5, 0.5]}]
    assert grain.gains(rows, "rgb") == {("ring", "hole"): pytest.approx((2.0, 0.1))}
    assert grain.gains(rows, "3d") == {}


def test_shipped_rows_are_forty_made_defects_and_four_real_ones():
    rows = grain.shipped()
    assert len(grain.gains(rows, "rgb")) == len(grain.gains(rows, "3d")) == 44
    assert len({(r["category"], r["seed"], r["defect"], r["sense"]) for r in rows}) == len(rows)
