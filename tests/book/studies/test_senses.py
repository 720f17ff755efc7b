"""The model of two senses against drawn scores, and at its edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from lsfa_book.studies.senses import distance, together


@pytest.mark.parametrize(("d1", "d2"), [(1.7, 0.25), (1.0, 1.0), (2.0, 0.0), (0.5, 3.0)])
def test_against_drawn_scores(d1, d2):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200_000)
    a, b = (rng.normal(size=len(labels)) + d * labels for d in (d1, d2))
    alone = roc_auc_score(labels, a), roc_auc_score(labels, b)
    assert distance(alone) == pytest.approx([d1, d2], abs=0.02)
    assert together(*alone) == pytest.approx(roc_auc_score(labels, a + b), abs=0.003)


def test_a_blind_sense_pulls_down_and_the_border_is_where_it_is_said():
    a = 0.9
    at = distance(a)

    def with_share(share):
        return together(a, norm.cdf(share * at / np.sqrt(2)))

    assert with_share(0.0) < with_share(0.40) < a < with_share(0.43)
    assert together(0.5, 0.5) == pytest.approx(0.5)
    assert together(1.0, 0.5) < 1.0
