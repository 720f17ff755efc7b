"""Metrics against scikit-learn and against every threshold tried; ranks are all that counts."""

from __future__ import annotations

import numpy as np
from drawn import places, row, some
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

from lsfa_lite.scoring.metrics import area_below, aupro, image_auroc, pixel_auroc, pro_curve

sides = st.integers(2, 5)


@st.composite
def pictures(draw):
    """Two maps and their masks, with ties, a region and a good pixel at least."""
    shape = draw(sides), draw(sides)
    size = shape[0] * shape[1]
    maps = [draw(row(size, places)).reshape(shape) for _ in range(2)]
    masks = [draw(some(size)).reshape(shape) for _ in range(2)]
    both = np.concatenate(masks)
    assume(both.any() and not both.all())
    return maps, masks


@given(st.data(), st.integers(2, 20))
def test_image_auroc_counts_pairs(data, count):
    scores, labels = data.draw(row(count, places)), data.draw(some(count))
    assume(labels.any() and not labels.all())
    pairs = [(a > b) + (a == b) / 2 for a in scores[labels] for b in scores[~labels]]
    found = image_auroc(scores, labels)
    assert abs(found - np.mean(pairs)) < 1e-12
    assert abs(image_auroc(-scores, labels) - (1 - found)) < 1e-12
    assert image_auroc(np.exp(scores), labels) == found


@given(pictures())
def test_pixel_auroc_is_scikit_learns(pair):
    maps, masks = pair
    flat = [np.concatenate([a.ravel() for a in some]) for some in (masks, maps)]
    found = pixel_auroc(*pair)
    assert abs(found - roc_auc_score(*flat)) < 1e-12
    assert pixel_auroc([3 * m**3 for m in maps], masks) == found
    assert pixel_auroc([m.T for m in maps[::-1]], [m.T for m in masks[::-1]]) == found


@given(pictures(), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_is_every_threshold_tried(pair, limit):
    maps, masks = pair
    regions = []
    for scored, mask in zip(maps, masks, strict=True):
        numbered, count = label(mask, structure=np.ones((3, 3)))
        regions += [scored[numbered == i + 1] for i in range(count)]
    good = np.concatenate([scored[~mask] for scored, mask in zip(maps, masks, strict=True)])
    x, y = [0.0], [0.0]
    for at in np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]:
        x.append(np.mean(good >= at))
        y.append(np.mean([np.mean(region >= at) for region in regions]))
    fine = np.array(x), np.array(y)  # each score is a corner here
    found = aupro(maps, masks, limit)
    assert abs(found - area_below(*fine, limit) / limit) < 1e-9
    assert -1e-12 <= found <= 1 + 1e-12
    assert abs(aupro([np.exp(m) for m in maps], masks, limit) - found) < 1e-12
    perfect = [mask + 0.0 for mask in masks]
    assert aupro(perfect, masks, limit) == 1
    rate, overlap = pro_curve(maps, masks)
    assert (np.diff(rate) >= 0).all()
    assert (np.diff(overlap) >= 0).all()
    assert (rate[-1], overlap[-1]) == (1, 1)
