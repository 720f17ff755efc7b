"""Thresholds, tails and fusion: the promise counted out, and what survives a file."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import torch
from drawn import numbers, places, row, seeds
from hypothesis import assume, given
from hypothesis import strategies as st

from lsfa_lite.config import LITE, ScoringConfig
from lsfa_lite.scoring.calibration import Calibration, calibrate
from lsfa_lite.scoring.fusion import Fusion, combine
from lsfa_lite.scoring.patchcore import PatchScores
from lsfa_lite.scoring.tails import Tail
from lsfa_lite.scoring.threshold import threshold

rates = st.sampled_from([0.01, 0.05, 0.1, 0.3, 0.44, 0.5, 0.9])


@given(st.data(), st.integers(2, 25), rates)
def test_of_n_plus_1_parts_no_more_alarm_than_promised(data, count, rate):
    """Each of them in turn is the new one, and the others calibrate: that is the whole theorem."""
    scores = data.draw(row(count))
    limits = [threshold(np.delete(scores, i), rate) for i in range(count)]
    alarms = sum(s > limit.value for s, limit in zip(scores, limits, strict=True))
    promised = limits[0].false_positive_rate
    assert alarms <= promised * count + 1e-9
    assert promised <= max(rate, 1 / count) + 1e-12
    assert limits[0].value in np.delete(scores, 0)


@given(st.data(), st.integers(1, 25), rates, seeds)
def test_a_threshold_moves_with_its_scores(data, count, rate, seed):
    scores = data.draw(row(count))
    found = threshold(scores, rate)
    assert threshold(np.random.default_rng(seed).permutation(scores), rate) == found
    assert threshold(2 * scores + 1, rate).value == 2 * found.value + 1
    assert threshold(scores, min(0.95, rate + 0.05)).value <= found.value


@given(st.data(), st.integers(2, 60))
def test_a_tail_is_the_conformal_p_inside_and_rises_for_ever(data, count):
    scores = data.draw(row(count, places))
    ordered = np.sort(scores)
    beyond = min(max(10, round(math.sqrt(count))), count - 1)
    start = ordered[count - 1 - beyond]
    assume(ordered[count - beyond :].mean() - start > 1e-12 * abs(start))
    tail = Tail.fit(scores, "test")
    at = np.linspace(-1, 3, 50)
    surprise = tail(torch.from_numpy(at)).numpy()
    assert (np.diff(surprise) >= -1e-12).all()
    assert (surprise >= 0).all()
    assert surprise[0] == 0
    assert np.isfinite(surprise).all()
    assert (np.diff(surprise[at > 1]) > 0).all()  # beyond every good score it still tells apart
    for value in ordered[: count - beyond]:
        p = (1 + np.count_nonzero(scores >= value)) / (count + 1)
        assert math.isclose(float(tail(torch.tensor(value))), -math.log(p), abs_tol=1e-9)


@st.composite
def calibrated(draw):
    """Scores of good parts of both senses, and what was fitted to them."""
    parts, patches = draw(st.integers(3, 6)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(seeds))
    scores = {
        name: [PatchScores(float(rng.gamma(2)), torch.from_numpy(rng.gamma(2, size=patches)))
               for _ in range(parts)]
        for name in ("rgb", "3d")
    }  # fmt: skip
    how = st.sampled_from([("zscore", "mean"), ("quantile", "sum"), ("none", "max"),
                           ("tail", "mean"), ("tail", "max"), ("zscore", "ocsvm")])  # fmt: skip
    normalise, fusion = draw(how)
    config = dataclasses.replace(ScoringConfig(), normalise=normalise, fusion=fusion)
    return scores, calibrate(scores, torch.ones(parts, patches, dtype=torch.bool), config), config


@given(calibrated(), st.floats(0, 50), st.floats(0, 50))
def test_a_calibration_is_the_same_behind_json_and_more_is_never_less(made, rgb, xyz):
    scores, calibration, config = made
    again = Calibration.from_state(json.loads(json.dumps(calibration.state())))
    assert again == calibration
    fuse = calibration.fusion.fuse_images
    both = {"rgb": torch.tensor(rgb), "3d": torch.tensor(xyz)}
    assert torch.equal(again.fusion.fuse_images(both), fuse(both))
    assert fuse({**both, "3d": torch.tensor(xyz + 1)}) >= fuse(both) - 1e-6
    for names, limit in calibration.thresholds.items():
        good = calibration.good[names]
        above = sum(score > limit.value for score in good)
        assert above / (len(good) + 1) <= limit.false_positive_rate
        assert set(names.split("+")) <= set(scores)
    assert len(calibration.thresholds) == len(calibration.map_thresholds) == 3
    assert config.false_positive_rate == LITE.scoring.false_positive_rate


@given(calibrated(), st.data())
def test_where_no_sense_sees_anything_a_fused_map_is_0_and_nowhere_below(made, data):
    fusion: Fusion = made[1].fusion
    maps = {m: torch.from_numpy(np.abs(data.draw(row(6, numbers)))) for m in ("rgb", "3d")}
    fused = fusion.fuse_maps(maps)
    nothing = (maps["rgb"] == 0) & (maps["3d"] == 0)
    assert (fused[nothing] == 0).all()
    assert (fused >= -1e-9).all()
    order = torch.tensor([5, 3, 1, 0, 2, 4])
    assert torch.equal(fusion.fuse_maps({m: x[order] for m, x in maps.items()}), fused[order])


@given(st.data(), st.integers(1, 5))
def test_fusion_is_what_its_name_says(data, count):
    a, b = (torch.from_numpy(data.draw(row(count))) for _ in range(2))
    pair, both = {"rgb": a, "3d": b}, np.stack([a, b])
    for how, rule in (("mean", np.mean), ("sum", np.sum), ("max", np.max)):
        np.testing.assert_array_equal(combine(pair, how, {}), rule(both, axis=0))
        assert torch.equal(combine({"3d": b, "rgb": a}, how, {}), combine(pair, how, {}))
        assert torch.equal(combine({"rgb": a}, how, {}), a)
