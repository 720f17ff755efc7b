"""Re-weighting and scores against slow NumPy versions."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.config import ScoringConfig
from lsfa_lite.scoring.patchcore import PatchCore, reweight


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def tensor(array):
    return torch.tensor(array, dtype=torch.float32)


def slow_nearest(queries, bank):
    all_pairs = np.linalg.norm(queries[:, None] - bank[None], axis=2)
    return all_pairs.min(axis=1), all_pairs.argmin(axis=1)


def slow_weight(patch, bank, neighbours, divisor):
    """PatchCore, Eq. 7, as printed, for one patch; in decimals, whose exp has no upper limit."""

    def grown(row):
        return (Decimal(float(np.linalg.norm(patch - row))) / Decimal(divisor)).exp()

    best = bank[slow_nearest(patch[None], bank)[1][0]]
    around = np.argsort(np.linalg.norm(bank - best, axis=1), kind="stable")[:neighbours]
    return float(1 - grown(best) / sum(grown(bank[k]) for k in around))


@pytest.mark.parametrize("neighbours", [2, 3, 9])
@pytest.mark.parametrize("scale", ["sqrt_width", "none"])
def test_reweight_equals_the_printed_formula(neighbours, scale):
    patches, bank = random(6, 16), random(30, 16, seed=1)
    rows = torch.tensor(slow_nearest(patches, bank)[1])
    weights = reweight(tensor(patches), rows, tensor(bank), neighbours, scale)
    divisor = 4.0 if scale == "sqrt_width" else 1.0
    expected = [slow_weight(p, bank, neighbours, divisor) for p in patches]
    np.testing.assert_allclose(weights, expected, rtol=1e-4)


def test_reweight_is_finite_where_exp_is_not():
    patches, bank = random(4, 16) * 1e4, random(30, 16, seed=1) * 1e3
    patches[0] = bank[7] + 0.5  # one with a weight that is not 1
    rows = torch.tensor(slow_nearest(patches, bank)[1])
    for scale, divisor in (("none", 1.0), ("sqrt_width", 4.0)):
        weights = reweight(tensor(patches), rows, tensor(bank), 3, scale)
        expected = [slow_weight(p, bank, 3, divisor) for p in patches]
        np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-6)
        assert torch.isfinite(weights).all()


def test_reweight_edges():
    bank = tensor(random(2, 4))
    patch, rows = tensor(random(1, 4, seed=1)), torch.tensor([0])
    assert reweight(patch, rows, bank, 0).tolist() == [1.0]  # off
    assert reweight(patch, rows, bank, 1).tolist() == [1.0]
    assert reweight(patch, rows[:1], bank[:1], 3).tolist() == [1.0]  # a bank of one row
    same = torch.ones(5, 4)
    # fewer rows than neighbours: all of them; all at one place: 1 - 1 / 5
    np.testing.assert_allclose(reweight(patch, rows, same, 9), [0.8], rtol=1e-5)


@pytest.mark.parametrize("top", [1, 4])
def test_score_equals_the_slow_version(top):
    features, bank = random(25, 8), random(40, 8, seed=1)
    foreground = np.arange(25) % 3 > 0
    scores = PatchCore(tensor(bank), top_patches=top).score(
        tensor(features), torch.tensor(foreground)
    )

    expected = np.zeros(25)
    expected[foreground] = slow_nearest(features[foreground], bank)[0]
    np.testing.assert_allclose(scores.distances, expected, rtol=1e-5)
    assert (scores.distances[~torch.tensor(foreground)] == 0).all()
    worst = np.argsort(expected)[::-1][:top]
    weighted = [slow_weight(features[i], bank, 3, 8**0.5) * expected[i] for i in worst]
    assert scores.image_score == pytest.approx(np.mean(weighted), rel=1e-4)


def test_background_neither_counts_nor_needs_to_be_finite():
    core = PatchCore(tensor(random(20, 4)))
    features = tensor(random(6, 4, seed=1))
    foreground = torch.tensor([True, True, True, False, False, False])
    plain = core.score(features, foreground)
    features[3:] = 1e6
    features[4] = float("nan")
    spoiled = core.score(features, foreground)
    assert spoiled.image_score == plain.image_score
    assert torch.equal(spoiled.distances, plain.distances)


def test_one_patch_and_a_bank_of_one_row():
    core = PatchCore(torch.zeros(1, 2), top_patches=5)
    scores = core.score(torch.tensor([[3.0, 4.0]]), torch.tensor([True]))
    assert scores.image_score == pytest.approx(5.0)
    assert scores.distances.tolist() == [5.0]


def training_set(samples=5, patches=16, width=6):
    features = tensor(random(samples, patches, width))
    foreground = torch.tensor(np.random.default_rng(1).random((samples, patches)) < 0.7)
    return features, foreground


def test_fit_takes_its_share_of_its_own_foreground():
    features, foreground = training_set()
    features[~foreground] = float("nan")  # the background is never looked at
    core = PatchCore.fit(features, foreground, ScoringConfig(coreset=0.25, neighbours=2))
    assert len(core.bank) == round(0.25 * int(foreground.sum()))
    assert (core.neighbours, core.top_patches) == (2, 1)
    for row, sample in zip(core.bank, core.samples, strict=True):
        assert (features[sample] == row).all(dim=1).any()  # the id is right
    top = ScoringConfig(image_score="top", top_patches=7)
    assert PatchCore.fit(features, foreground, top).top_patches == 7


def test_a_fixed_number_of_rows_are_the_first_of_the_share():
    features, foreground = training_set()
    share = PatchCore.fit(features, foreground, ScoringConfig(coreset=0.5))
    fixed = PatchCore.fit(features, foreground, ScoringConfig(coreset=0.5, coreset_rows=5))
    assert torch.equal(fixed.bank, share.bank[:5])
    assert torch.equal(fixed.samples, share.samples[:5])
    every = PatchCore.fit(features, foreground, ScoringConfig(coreset_rows=10**6))
    assert len(every.bank) == int(foreground.sum())


def test_an_approximate_bank_scores_nearly_as_an_exact_one():
    pytest.importorskip("faiss")
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(60, 8, generator=generator)
    bank = (centres[:, None] + torch.randn(60, 120, 8, generator=generator)).flatten(0, 1)
    features = centres[None, :40] + torch.randn(4, 40, 8, generator=generator)
    seen = torch.ones(4, 40, dtype=torch.bool)
    state = {"bank": bank, "samples": torch.arange(len(bank)) % 5}
    exact, quick = (
        PatchCore.from_state(state, ScoringConfig(search=how)) for how in ("exact", "approximate")
    )
    assert quick.nearest.cells  # the index is there, and asked
    pairs = zip(exact.score_all(features, seen), quick.score_all(features, seen), strict=True)
    for one, other in pairs:
        same = torch.isclose(one.distances, other.distances, rtol=1e-5)
        assert same.float().mean() > 0.9
        assert (other.distances >= one.distances - 1e-4).all()
    left = quick.leave_one_out(features, seen)
    assert [s.image_score for s in left] == [
        s.image_score for s in exact.leave_one_out(features, seen)
    ]


def test_leave_one_out_uses_the_other_samples_only():
    features, foreground = training_set()
    core = PatchCore.fit(features, foreground, ScoringConfig(coreset=1.0))
    left_out = core.leave_one_out(features, foreground)
    assert len(left_out) == len(features)
    for sample, scores in enumerate(left_out):
        seen = foreground[sample]
        assert core.score(features[sample], seen).image_score == 0  # it finds itself
        others = [s for s in range(5) if s != sample]
        bank = np.concatenate([features[s][foreground[s]].numpy() for s in others])
        expected = slow_nearest(features[sample][seen].numpy(), bank)[0]
        np.testing.assert_allclose(scores.distances[seen], expected, rtol=1e-5)
        assert scores.image_score > 0


@pytest.mark.parametrize("top", [1, 5])
def test_leave_one_out_is_a_bank_made_of_the_others_rows_bit_for_bit(top):
    features, foreground = training_set(samples=8, patches=40, width=12)
    config = ScoringConfig(coreset=0.3, image_score="top", top_patches=top)
    core = PatchCore.fit(features, foreground, config)
    for sample, found in enumerate(core.leave_one_out(features, foreground)):
        rest = PatchCore(core.bank[core.samples != sample], top_patches=top)
        expected = rest.score(features[sample], foreground[sample])
        assert found.image_score == expected.image_score
        assert torch.equal(found.distances, expected.distances)


def test_leave_one_out_needs_others_and_ids():
    features, foreground = training_set(samples=1)
    core = PatchCore.fit(features, foreground, ScoringConfig())
    with pytest.raises(ValueError, match="validation"):
        core.leave_one_out(features, foreground)
    with pytest.raises(ValueError, match=r"PatchCore\.fit"):
        PatchCore(core.bank).leave_one_out(features, foreground)


@pytest.mark.parametrize("config", [ScoringConfig(), ScoringConfig(image_score="top")])
def test_state_goes_through_safetensors(config):
    features, foreground = training_set()
    core = PatchCore.fit(features, foreground, config)
    again = PatchCore.from_state(load(save(core.state())), config)
    pairs = zip(
        core.leave_one_out(features, foreground),
        again.leave_one_out(features, foreground),
        strict=True,
    )
    for first, second in pairs:
        assert first.image_score == second.image_score
        assert torch.equal(first.distances, second.distances)
    assert set(PatchCore(core.bank).state()) == {"bank"}
    assert PatchCore.from_state({"bank": core.bank}, config).samples is None


def test_bad_input():
    bank, features = torch.zeros(3, 4), torch.zeros(5, 4)
    core, seen = PatchCore(bank), torch.ones(5, dtype=torch.bool)
    with pytest.raises(ValueError, match="background removal"):
        core.score(features, ~seen)
    with pytest.raises(ValueError, match="4 wide"):
        core.score(torch.zeros(5, 3), seen)
    with pytest.raises(ValueError, match="NaN"):
        core.score(features / 0, seen)
    with pytest.raises(ValueError, match="NaN"):
        PatchCore(bank / 0)
    with pytest.raises(ValueError, match=r"\(M, D\)"):
        PatchCore(torch.zeros(0, 4))
    with pytest.raises(ValueError, match="one per bank row"):
        PatchCore(bank, samples=torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="top_patches"):
        PatchCore(bank, top_patches=0)
    with pytest.raises(ValueError, match="foreground"):
        PatchCore.fit(features[None], ~seen[None], ScoringConfig())


def test_stays_on_its_device():
    """`score` chooses rows by value, which fakes do not have: its two parts are checked."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        queries, bank = torch.empty(4, 30, device="cuda"), torch.empty(70, 30, device="cuda")
        weights = reweight(queries, torch.empty(4, dtype=torch.long, device="cuda"), bank)
        assert (weights.device.type, weights.shape) == ("cuda", (4,))


@pytest.mark.parametrize("top", [1, 5])
def test_many_samples_score_as_each_alone(top):
    features, foreground = training_set()
    foreground[2, 3:] = False  # fewer patches than `top`
    core = PatchCore(tensor(random(40, 6, seed=3)), top_patches=top)
    together = core.score_all(features, foreground)
    for one, row, seen in zip(together, features, foreground, strict=True):
        alone = core.score(row, seen)
        assert one.image_score == pytest.approx(alone.image_score, rel=1e-6)
        torch.testing.assert_close(one.distances, alone.distances)
