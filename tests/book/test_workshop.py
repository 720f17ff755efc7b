"""The parts that every chapter comes back to."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_book.workshop import FACTORY, RIDDLES, cleaned, workshop
from lsfa_lite.data.background import remove_background

FEW = Mini3DConfig(train=2, validation=1, test_good=2, test_per_defect=2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSFA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_forty_good_parts():
    assert FACTORY.train + FACTORY.validation == 40


def test_splits_and_riddles(cache):
    parts = workshop("ring", FEW)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (2, 1, 10)
    assert list(parts.riddles) == list(RIDDLES)
    assert [s.defect for s in parts.riddles.values()] == ["stain", "dent", "good"]
    assert all(any(s is t for t in parts.test) for s in parts.riddles.values())
    assert workshop("handle", FEW).riddles == {}


def test_stored_part_is_the_cleaned_part(cache):
    """Made and found again are the same bytes, and the same as without the cache."""
    made, found = (cleaned("ring", "test/hole", 1, FEW) for _ in range(2))
    plain = remove_background(make_sample("ring", "test/hole", 1, FEW))
    for part in (made, found):
        assert np.array_equal(part.rgb, plain.rgb)
        assert np.array_equal(part.xyz, plain.xyz)
        assert np.array_equal(part.mask, plain.mask)
        assert (part.label, part.defect) == (1, "hole")


def test_other_dials_give_other_parts_and_counts_do_not(cache):
    usual = cleaned("ring", "train/good", 0, FEW)
    more = cleaned("ring", "train/good", 0, FACTORY)
    other = cleaned("ring", "train/good", 0, Mini3DConfig(nuisance=0.9))
    assert np.array_equal(usual.rgb, more.rgb)
    assert not np.array_equal(usual.rgb, other.rgb)


def test_unknown_category_is_named():
    with pytest.raises(ValueError, match="spoon"):
        workshop("spoon")
