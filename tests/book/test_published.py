"""The published results: every number has a source, and the rule for their error is right."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from lsfa_book.literature import published
from lsfa_book.literature.paper import compared, numbers
from lsfa_lite.scoring.metrics import image_auroc

METHODS = {m.method: m for m in published.methods()}
CLAIMS = [(m.method, c) for m in METHODS.values() for c in (m.claim, *m.others)]


@pytest.mark.parametrize(("name", "claim"), CLAIMS)
def test_a_number_has_a_source_and_what_has_none_is_not_printed(name, claim):
    values = [claim.i_auroc, claim.aupro, claim.p_auroc]
    assert claim.how in published.HOW, name
    assert all(v is None or 0.5 < v <= 1 for v in values)
    if claim.how == "not checked":
        assert values == [None] * 3
        assert claim.source == ""
    else:
        assert any(v is not None for v in values)
        assert re.match(r"https://(arxiv\.org/abs|github\.com)/\S+$", claim.source)


def test_every_method_says_what_it_is_and_where():
    for m in METHODS.values():
        assert m.url.startswith("https://"), m.method
        assert 20 < len(m.idea) < 160
        assert m.lane in published.LANES
        assert 10 < len(m.cost) < 80
        assert m.modalities in ("RGB + 3D", "3D")


def test_a_parent_is_in_the_tree_and_older():
    for m in METHODS.values():
        if m.parent is not None:
            assert METHODS[m.parent].year <= m.year
            assert m.link, f"{m.method}: how is it known that it builds on {m.parent}?"


def test_methods_stand_in_the_order_of_their_years():
    years = [m.year for m in published.methods()]
    assert years == sorted(years)


def test_numbers_of_the_lsfa_paper_are_those_of_its_tables():
    def three(claim):
        return claim.i_auroc, claim.aupro, claim.p_auroc

    assert three(METHODS["M3DM"].claim) == compared("rgb+3d", "M3DM")
    assert three(METHODS["LSFA"].claim) == numbers("table4_components", ifc=True, clc=True)
    assert three(METHODS["M3DM"].others[0]) == numbers("table4_components", ifc=False, clc=False)
    assert three(METHODS["BTF"].others[-1]) == compared("rgb+3d", "PatchCore + FPFH")
    assert METHODS["AST"].claim.i_auroc == compared("rgb+3d", "AST")[0]


def test_what_was_not_checked_is_said_in_words():
    assert published.shown(None) == "not checked"
    assert published.shown(0.9515) in ("0.951", "0.952")


def test_entries_are_fixed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        METHODS["BTF"].claim.i_auroc = 1.0


def test_error_of_an_auroc_against_drawn_test_sets():
    """Exponential scores, for which the rule is exact: P(bad > good) = r / (1 + r)."""
    rng = np.random.default_rng(0)
    good, defective, ratio = 25, 95, 9.0
    labels = np.repeat([0, 1], [good, defective])
    drawn = []
    for _ in range(4000):
        scores = np.concatenate([rng.exponential(1, good), rng.exponential(ratio, defective)])
        drawn.append(image_auroc(scores, labels))
    assert np.isclose(np.mean(drawn), 0.9, atol=0.003)
    assert np.isclose(published.auroc_error(0.9, good, defective), np.std(drawn), rtol=0.05)


def test_one_pair_is_a_coin():
    assert np.isclose(published.auroc_error(0.8, 1, 1), np.sqrt(0.8 * 0.2))


def test_mean_over_categories_is_surer_than_one_of_them():
    assert sum(g for g, _ in published.TEST_PARTS.values()) == 249
    assert sum(d for _, d in published.TEST_PARTS.values()) == 948
    one = published.auroc_error(0.97, 25, 95)
    assert np.isclose(published.mean_error(0.97), one / np.sqrt(10), rtol=0.05)
