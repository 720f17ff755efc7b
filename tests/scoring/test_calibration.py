"""Good parts of several kinds as one, and what thresholds from left-out parts promise."""

from __future__ import annotations

import json
import math

import numpy as np
import torch

from lsfa_lite.config import ScoringConfig
from lsfa_lite.scoring.calibration import Calibration, calibrate, pooled
from lsfa_lite.scoring.patchcore import PatchCore, PatchScores
from lsfa_lite.scoring.threshold import threshold


def group(count: int, patches: int, start: float):
    scores = [PatchScores(start + i, torch.full((patches,), start + i)) for i in range(count)]
    return {"rgb": scores, "3d": scores[::-1]}, torch.ones(count, patches, dtype=torch.bool)


def test_groups_of_any_width_become_one_in_their_order():
    scores, foreground = pooled([group(2, 5, 1.0), group(3, 4, 10.0)])
    assert [s.image_score for s in scores["rgb"]] == [1, 2, 10, 11, 12]
    assert [s.image_score for s in scores["3d"]] == [2, 1, 12, 11, 10]
    assert foreground.tolist() == [[True] * 5] * 2 + [[True] * 4 + [False]] * 3
    distances = torch.stack([s.distances for s in scores["rgb"]])
    assert (distances[foreground] > 0).all()
    assert not distances[~foreground].any()


def test_one_group_stays_as_it_is():
    before, rows = group(3, 4, 1.0)
    scores, foreground = pooled([(before, rows)])
    assert torch.equal(foreground, rows)
    for one, other in zip(scores["3d"], before["3d"], strict=True):
        assert one.image_score == other.image_score
        assert torch.equal(one.distances, other.distances)


def test_the_good_parts_scores_are_kept_and_models_without_them_are_read():
    config = ScoringConfig(normalise="none", fusion="sum", false_positive_rate=0.5)
    scores, rows = group(3, 4, 1.0)
    scores["3d"] = [PatchScores(10 * s.image_score, s.distances) for s in scores["rgb"]][::-1]
    found = calibrate(scores, rows, config)
    assert found.good == {
        "rgb": (1.0, 2.0, 3.0),
        "3d": (10.0, 20.0, 30.0),
        "rgb+3d": (13.0, 22.0, 31.0),
    }
    state = json.loads(json.dumps(found.state()))
    assert Calibration.from_state(state) == found
    del state["good"]
    assert Calibration.from_state(state).good == {}
    assert Calibration.from_state(state).thresholds == found.thresholds


def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """Exchangeable parts of four patches (count, 4, 3), one part in ten an odd one."""
    own = rng.normal(size=(count, 1, 3)) * np.where(rng.random((count, 1, 1)) < 0.1, 6, 1)
    return own + 0.3 * rng.normal(size=(count, 4, 3))


def apart(parts: np.ndarray) -> np.ndarray:
    """(B, N, B): from each patch of each part to the nearest patch of each part."""
    flat = parts.reshape(-1, parts.shape[-1])
    pairs = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    return pairs.reshape(*parts.shape[:2], *parts.shape[:2]).min(axis=3)


def test_left_out_parts_keep_the_promise_and_with_validation_the_factor():
    """Whole banks, distances as they are, nothing learned: the conditions of `pooled`."""
    rng, n, m, draws, rate = np.random.default_rng(0), 19, 10, 3000, 0.1
    alarms = np.zeros(2)
    for draw in range(draws):
        parts = drawn(rng, n + m + 1)
        far = apart(parts)[:, :, :n]
        unknown = far[n:].min(axis=2).max(axis=1)  # against the whole bank
        far[np.arange(n), :, np.arange(n)] = np.inf
        left_out = far[:n].min(axis=2).max(axis=1)
        lines = threshold(left_out, rate), threshold([*left_out, *unknown[:m]], rate)
        alarms += [unknown[m] > line.value for line in lines]
        if draw < 3:  # the package scores as the oracle
            features, seen = torch.tensor(parts), torch.ones(n + m + 1, 4, dtype=torch.bool)
            samples = torch.arange(n).repeat_interleave(4)
            core = PatchCore(features[:n].flatten(0, 1), samples, neighbours=0)
            found = core.leave_one_out(features[:n], seen[:n])
            found += core.score_all(features[n:], seen[n:])
            expected = np.concatenate([left_out, unknown])
            np.testing.assert_allclose([s.image_score for s in found], expected)
    noise = 3 * math.sqrt(rate / draws)
    alone, together = alarms / draws
    assert rate / 2 < alone < rate + noise
    assert rate / 2 < together < rate * (n + m + 1) / (n + 1) + noise
