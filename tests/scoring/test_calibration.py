"""Good parts of several kinds as one, and what thresholds from left-out parts promise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from lsfa_lite.config import ScoringConfig
from lsfa_lite.scoring import calibration
from lsfa_lite.scoring.calibration import Calibration, calibrate, cross_fitted, pooled
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


def parts_of(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    features = torch.tensor(drawn(rng, count)).repeat(1, 3, 1)  # twelve patches
    features += 0.1 * torch.tensor(rng.normal(size=features.shape))
    return features, torch.tensor(rng.random((count, 12)) < 0.7)


@pytest.mark.parametrize("changes", [{"coreset": 0.3}, {"coreset_rows": 9}, {"coreset": 1.0}])
def test_a_fold_is_scored_by_a_coreset_of_the_others_as_long_as_that_of_all(changes, monkeypatch):
    features, seen = parts_of(np.random.default_rng(0), 12)
    made = []
    of_rows = PatchCore.of_rows.__func__

    def watched(cls, patches, samples, *how):
        made.append((of_rows(cls, patches, samples, *how), sorted(set(samples.tolist()))))
        return made[-1][0]

    monkeypatch.setattr(PatchCore, "of_rows", classmethod(watched))
    config = ScoringConfig(neighbours=0, **changes)
    scores = cross_fitted(features, seen, config, 4)
    monkeypatch.undo()
    count = len(PatchCore.fit(features, seen, config).bank)
    assert sorted(12 - len(others) for _, others in made) == [2, 2, 2, 3, 3]
    judged_by = {}
    for core, others in made:
        of_others = features[others][seen[others]]
        assert len(core.bank) == min(count, len(of_others))
        assert all((of_others == row).all(dim=1).any() for row in core.bank)
        judged_by |= {i: core for i in range(12) if i not in others}
    assert len(judged_by) == 12
    for i, core in judged_by.items():
        far = np.linalg.norm(features[i][:, None] - core.bank[None], axis=2).min(axis=1)
        np.testing.assert_allclose(scores[i].distances, far * seen[i].numpy(), rtol=1e-6)
        assert scores[i].image_score == pytest.approx(far[seen[i]].max())


def test_folds_follow_the_seed_and_are_single_parts_where_parts_are_few():
    features, seen = parts_of(np.random.default_rng(0), 12)
    whole = ScoringConfig(coreset=1.0, neighbours=0)

    def images(count, seed, config=whole):
        return [s.image_score for s in cross_fitted(features[:count], seen[:count], config, seed)]

    assert images(12, 0) == images(12, 0)
    assert images(12, 0) != images(12, 1)
    core = PatchCore.fit(features[:4], seen[:4], whole)
    alone = [s.image_score for s in core.leave_one_out(features[:4], seen[:4])]
    assert images(4, 0) == images(4, 1) == pytest.approx(alone)  # of whole banks no holes
    assert len(images(calibration.FOLDS + 1, 0)) == 6
    with pytest.raises(ValueError, match="1 training samples; folds need two"):
        images(1, 0)
    with pytest.raises(ValueError, match="no foreground"):
        cross_fitted(features[:3], seen[:3] & (torch.arange(3) != 1)[:, None], whole)


def test_a_coreset_made_anew_has_no_holes_where_the_left_out_part_was():
    """Small banks of parts alike: who is left out seems odder than who is new, who is folded not.

    A share of the other folds' patches would be worse than holes.
    """
    rng, excess = np.random.default_rng(0), []
    for _ in range(6):
        features = torch.tensor(rng.normal(size=(40, 60, 2)))
        seen, config = torch.ones(40, 60, dtype=torch.bool), ScoringConfig(coreset=0.03)
        core = PatchCore.fit(features[:20], seen[:20], config)
        groups = (
            core.score_all(features[20:], seen[20:]),
            core.leave_one_out(features[:20], seen[:20]),
            cross_fitted(features[:20], seen[:20], config),
        )
        excess.append([np.mean([s.distances.mean() for s in found]) for found in groups])
    new, left_out, folded = np.mean(excess, axis=0)
    assert left_out > 1.05 * new
    assert abs(folded - new) < 0.03 * new
