"""Each error of earlier code differs from the clean detector in the one thing it names."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch

from lsfa_book.baselines import earlier
from lsfa_lite.detector import LSFADetector
from lsfa_lite.evaluation import evaluate
from lsfa_lite.scoring.metrics import aupro
from lsfa_lite.scoring.patchcore import PatchCore


@pytest.fixture(scope="module")
def config(quick):
    return quick.change(adaptation__steps=0)


@pytest.fixture(scope="module")
def fit(rings, config):
    """what -> the fitted detector; each is fitted once."""
    known: dict[str, LSFADetector] = {}

    def fitted(what: str) -> LSFADetector:
        if what not in known:
            known[what] = earlier.fit(what, config, rings["train"], rings["validation"])
        return known[what]

    return fitted


@pytest.fixture(scope="module")
def scored(rings, fit):
    known = {}

    def of(what: str):
        if what not in known:
            known[what] = earlier.score(what, fit(what), rings["test"])
        return known[what]

    return of


def identical(one, other) -> bool:
    return all(
        a.image_score == b.image_score
        and a.modality_scores == b.modality_scores
        and a.threshold == b.threshold
        and np.array_equal(a.anomaly_map, b.anomaly_map)
        and all(np.array_equal(a.modality_maps[m], b.modality_maps[m]) for m in ("rgb", "3d"))
        for a, b in zip(one, other, strict=True)
    )


def test_none_is_the_clean_detector_bit_for_bit(rings, config):
    args = rings["train"], rings["validation"], rings["test"]
    adapted = config.change(adaptation__steps=2)
    clean = LSFADetector(adapted).fit(args[0], args[1]).score(args[2])
    assert earlier.run("none", adapted, *args) == evaluate(clean, args[2])


def test_an_unknown_error_is_refused(config):
    with pytest.raises(ValueError, match="eight_bit_blur"):
        earlier.run("nine_bit_blur", config, [], [], [])


@pytest.mark.parametrize("what", [w for w in earlier.WHAT if w != "batch_norm_batch"])
def test_every_error_gives_a_whole_table(what, config, rings, scored):
    clean = evaluate(scored("none"), rings["test"])
    table = evaluate(scored(what), rings["test"])
    assert table.keys() == clean.keys()
    assert all(np.isfinite(value) for value in table["all"].values())


def test_swapped_statistics_are_those_of_the_other(fit):
    clean, wrong = (fit(w).calibration.fusion.normalisers for w in ("none", "swapped_statistics"))
    for kind in ("image", "map"):
        of = {m: getattr(clean[m], kind) for m in clean}
        for m in ("rgb", "3d"):
            assert getattr(wrong[m], kind).spread == of["rgb"].spread
            assert getattr(wrong[m], kind).centre == of["3d"].centre
        assert of["rgb"] != of["3d"]


def test_swapping_undoes_the_normalisation_and_leaves_each_modality_alone(scored, rings, config):
    clean, wrong = scored("none"), scored("swapped_statistics")
    for a, b in zip(clean, wrong, strict=True):
        assert a.modality_scores == b.modality_scores
        assert all(np.array_equal(a.modality_maps[m], b.modality_maps[m]) for m in a.modality_maps)
    raw = LSFADetector(config.change(scoring__normalise="none"))
    raw = raw.fit(rings["train"], rings["validation"]).score(rings["test"])
    x, y = ([s.image_score for s in rows] for rows in (raw, wrong))
    slope, shift = np.polyfit(x, y, 1)  # one straight line maps the plain sum to it
    assert slope > 0
    assert np.allclose(np.multiply(slope, x) + shift, y, atol=1e-4)
    assert [s.is_anomalous for s in raw] == [s.is_anomalous for s in wrong]


def test_swapped_statistics_have_thresholds_of_their_own(fit, rings):
    detector = fit("swapped_statistics")
    good = [s.image_score for s in detector.score(rings["validation"])]
    assert detector.calibration.thresholds["rgb+3d"].value == pytest.approx(max(good), rel=1e-5)


def test_the_rgb_bank_keeps_a_tenth_of_a_tenth(fit, rings, config):
    clean, wrong = fit("none"), fit("rgb_bank_1_percent")
    features = wrong.extractor.stack(rings["train"])
    patches = int(features.foreground.sum())
    assert torch.equal(clean.banks["3d"].bank, wrong.banks["3d"].bank)
    assert len(clean.banks["rgb"].bank) == round(0.1 * patches)
    count = round(0.1 * round(0.1 * patches))
    assert len(wrong.banks["rgb"].bank) == len(wrong.banks["rgb"].samples) == count
    # the same rows that a coreset of that size would have
    small = dataclasses.replace(config.scoring, coreset=count / patches)
    adapted = wrong.adapted(features)
    fresh = PatchCore.fit(adapted.features["rgb"], adapted.foreground, small, config.seed)
    assert torch.equal(fresh.bank, wrong.banks["rgb"].bank)


def test_a_small_rgb_bank_scores_rgb_higher_and_3d_the_same(scored):
    for a, b in zip(scored("none"), scored("rgb_bank_1_percent"), strict=True):
        assert a.modality_scores["3d"] == b.modality_scores["3d"]
        assert (b.modality_maps["rgb"] >= a.modality_maps["rgb"] - 1e-4).all()
        assert b.modality_maps["rgb"].sum() > a.modality_maps["rgb"].sum()


def test_eight_bits_hold_256_levels(scored):
    for a, b in zip(scored("none"), scored("eight_bit_blur"), strict=True):
        assert a.image_score == b.image_score
        assert a.modality_scores == b.modality_scores
        for m in ("rgb", "3d"):
            exact, coarse = a.modality_maps[m], b.modality_maps[m]
            assert len(np.unique(exact)) > 1000
            assert len(np.unique(coarse)) <= 256
            assert coarse.max() == pytest.approx(exact.max())
            assert np.abs(coarse - exact).max() <= exact.max() / 255 / 2 * 1.001
            assert not np.array_equal(exact, coarse)


def test_eight_bits_of_an_empty_map():
    assert torch.equal(earlier.eight_bit(torch.zeros(3, 3)), torch.zeros(3, 3))


def own_places(patches: int) -> int:
    """How many p = c N / 4 + r are 4 r + c, by trying all."""
    return sum(4 * r + c == c * (patches // 4) + r for r in range(patches // 4) for c in range(4))


@pytest.mark.parametrize("side", [14, 28, 56])
def test_few_tokens_stay_at_their_own_place(side):
    patches = side * side
    index = torch.arange(patches)[:, None]
    moved = earlier.misplaced(index)
    assert sorted(moved[:, 0].tolist()) == list(range(patches))  # nothing is lost or doubled
    assert int((moved == index).sum()) == own_places(patches) <= 4


def test_misplaced_does_what_the_list_arithmetic_does():
    """On M3DM's own case: 28 x 28 tokens, each four times in a list, reshaped to 56 x 56."""
    tokens = torch.arange(784)
    listed = earlier.misplaced(torch.cat([tokens] * 4)[:, None])[:, 0]  # 3136
    rows, columns = torch.meshgrid(torch.arange(56), torch.arange(56), indexing="ij")
    right = ((rows // 2) * 28 + columns // 2).flatten()
    assert int((listed == right).sum()) == 8  # 0.26 %
    assert int(torch.bincount(listed).max()) == 4


def test_misplaced_needs_a_multiple_of_four():
    with pytest.raises(ValueError, match="multiple of 4"):
        earlier.misplaced(torch.zeros(9, 2))


def test_only_rgb_is_misplaced_in_training_and_test(fit, rings):
    clean, wrong = fit("none").extractor, fit("misaligned_tokens").extractor
    for samples in (rings["train"], rings["test"]):
        a, b = clean.stack(samples), wrong.stack(samples)
        assert torch.equal(a.features["3d"], b.features["3d"])
        assert torch.equal(a.foreground, b.foreground)
        for patch in (1, 50, 195):  # 4 r + c goes to 49 c + r
            place = patch % 4 * 49 + patch // 4
            assert torch.equal(a.features["rgb"][:, patch], b.features["rgb"][:, place])


def test_misaligned_training_touches_the_learning_only(fit, rings, config, scored):
    clean, wrong = fit("none"), fit("misaligned_training")
    a, b = clean.extractor(rings["test"][0]), wrong.extractor(rings["test"][0])
    assert all(torch.equal(a.features[m], b.features[m]) for m in ("rgb", "3d"))
    assert torch.equal(clean.banks["3d"].bank, wrong.banks["3d"].bank)
    quick = config.change(adaptation__steps=2)
    pair = [
        earlier.fit(what, quick, rings["train"], rings["validation"])
        for what in ("none", "misaligned_training")
    ]
    learned = [d.adaptation.adapt("3d", a.features["3d"][None], a.foreground[None]) for d in pair]
    assert not torch.equal(*learned)  # the pairs were others


def test_batch_statistics_need_the_network_that_has_them(config, rings):
    with pytest.raises(ValueError, match="point_mae"):
        earlier.fit("batch_norm_batch", config, rings["train"], rings["validation"])
    points = dataclasses.replace(
        config.features.points, backbone="point_mae", groups=32, group_size=16
    )
    with_network = config.change(features__points=points)
    clean, wrong = (
        earlier.fit(what, with_network, rings["train"], rings["validation"])
        for what in ("none", "batch_norm_batch")
    )
    kinds = [
        {m.statistics for m in d.extractor.network("3d").modules() if hasattr(m, "statistics")}
        for d in (clean, wrong)
    ]
    assert kinds == [{"running"}, {"batch"}]
    changed = wrong.config.change(features__points__batch_norm="running")
    assert changed == clean.config
    a, b = clean.extractor(rings["train"][0]), wrong.extractor(rings["train"][0])
    assert torch.equal(a.features["rgb"], b.features["rgb"])
    assert not torch.allclose(a.features["3d"], b.features["3d"])


def slow_few_thresholds(maps, masks, limit, count):
    """Threshold by threshold, region by region."""
    good = sorted(float(v) for m, d in zip(maps, masks, strict=True) for v in m[~d])
    points = []
    for step in range(count):
        position = int(step * (len(good) - 1) / (count - 1))
        overlaps = [float((m[d] > good[position]).mean()) for m, d in zip(maps, masks, strict=True)]
        points.append((1 - (position + 1) / len(good), sum(overlaps) / len(overlaps)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise([*sorted(points), (1.0, 1.0)]):
        if x0 < limit:
            end = min(x1, limit)
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / limit


@pytest.mark.parametrize("limit", [0.3, 0.01])
def test_a_hundred_thresholds_against_a_slow_count(limit):
    rng = np.random.default_rng(0)
    masks = [np.zeros((40, 50), dtype=bool) for _ in range(3)]
    for k, mask in enumerate(masks):
        mask[5 : 12 + k, 5 : 20 + 2 * k] = True  # one region each
    maps = [rng.random((40, 50)) + 0.4 * mask for mask in masks]
    curve = earlier.few_thresholds_curve(maps, masks, 100)
    got = earlier.area_below(*curve, limit) / limit
    assert got == pytest.approx(slow_few_thresholds(maps, masks, limit, 100), abs=1e-9)
    many = earlier.few_thresholds_curve(maps, masks, 5000)
    assert earlier.area_below(*many, limit) / limit == pytest.approx(
        aupro(maps, masks, limit), abs=2e-3
    )


def test_a_hundred_thresholds_change_the_aupro_only(rings, scored, config):
    args = rings["train"], rings["validation"], rings["test"]
    clean, wrong = (earlier.run(what, config, *args) for what in ("none", "hundred_thresholds"))
    groups = [
        (clean["all"], wrong["all"]),
        *((clean[k][name], wrong[k][name]) for k in ("modalities", "defects") for name in clean[k]),
    ]
    for a, b in groups:
        assert a.keys() == b.keys()
        assert {k for k in a if a[k] != b[k]} <= {"aupro_30", "aupro_1"}
        assert a["aupro_1"] != b["aupro_1"]
    rest = ("samples", "false_alarms", "misses")
    assert all(clean[k] == wrong[k] for k in rest)
    again = earlier.with_few_thresholds(clean, scored("none"), rings["test"])
    assert again == wrong  # without refitting
