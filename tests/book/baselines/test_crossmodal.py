"""Crossmodal mapping: what is guessed, what surprises, and what both senses must agree on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import without

from lsfa_book.baselines import crossmodal
from lsfa_book.baselines.crossmodal import CrossmodalDetector, Training, combined, learn, surprise
from lsfa_book.mini3d import Mini3DConfig
from lsfa_book.workshop import workshop
from lsfa_lite.config import FIRST

SHORT = Training(hidden=32, steps=200, rows=256, lr=3e-3)


def pairs(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Two senses of one hidden pair of numbers: each is a function of the other."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.rand(count, 2, generator=generator) * 4 - 2
    a, b = hidden.T
    return {"rgb": torch.stack([a, b, a + b], 1), "3d": torch.stack([a - b, a + b], 1)}


def test_surprise_and_its_combinations_by_hand():
    seen = torch.tensor([[3.0, 4.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    found = surprise(seen, torch.zeros(2, 4))
    np.testing.assert_allclose(found, [2.5, 1.0])  # 5 / 2, 2 / 2
    both = {"rgb": found, "3d": torch.tensor([0.1, 2.0])}
    np.testing.assert_allclose(combined(both, "product"), [0.25, 2.0])
    np.testing.assert_allclose(combined(both, "sum"), [2.6, 3.0])


def test_guessing_the_mean_of_standardised_features_is_a_surprise_of_one():
    rows = torch.randn(20_000, 50, generator=torch.Generator().manual_seed(0))
    assert np.isclose(surprise(rows, torch.zeros_like(rows)).square().mean(), 1, atol=0.01)


def test_partners_are_guessed_and_strangers_surprise():
    mapping = learn(pairs(4000), SHORT)
    held_out = pairs(500, seed=1)
    known = mapping(held_out)
    strangers = mapping({"rgb": held_out["rgb"], "3d": held_out["3d"].roll(1, 0)})
    for name in ("rgb", "3d"):
        assert known[name].median() < 0.15
        assert strangers[name].median() > 5 * known[name].median()


def test_what_is_odd_in_one_sense_surprises_in_both():
    mapping = learn(pairs(4000), SHORT)
    good = pairs(500, seed=1)
    usual = mapping(good)
    odd = mapping({"rgb": good["rgb"] + torch.tensor([3.0, -3.0, 0.0]), "3d": good["3d"]})
    assert odd["rgb"].median() > 5 * usual["rgb"].median()
    assert odd["3d"].median() > 5 * usual["3d"].median()


def test_shuffled_partners_teach_nothing_but_the_mean():
    rows = pairs(4000)
    mapping = learn(crossmodal.among_strangers(rows), SHORT)
    found = mapping(pairs(500, seed=1))
    assert all(values.square().mean() > 0.9 for values in found.values())


def test_strangers_keep_each_sense_and_lose_the_pairs():
    rows = pairs(200)
    found = crossmodal.among_strangers(rows, seed=1)
    assert torch.equal(found["rgb"], rows["rgb"])
    assert torch.equal(found["3d"].sort(0).values, rows["3d"].sort(0).values)
    assert (found["3d"] == rows["3d"]).all(1).float().mean() < 0.1
    assert torch.equal(found["3d"], crossmodal.among_strangers(rows, seed=1)["3d"])


def test_same_seed_same_mapping_and_the_global_generator_stays():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (learn(pairs(500), Training(steps=5), seed=3) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    other = learn(pairs(500), Training(steps=5), seed=4)
    assert not torch.equal(next(other.parameters()), next(first.parameters()))


def test_a_feature_that_never_varies_does_no_harm():
    rows = pairs(500)
    rows["3d"] = torch.cat([rows["3d"], torch.ones(500, 1)], dim=1)
    found = learn(rows, Training(steps=5))(rows)
    assert all(torch.isfinite(values).all() for values in found.values())


@pytest.fixture(scope="module")
def detector(rings, quick):
    return CrossmodalDetector("product", quick).fit(rings["train"], rings["validation"])


def test_a_hole_is_found_where_it_is(detector, rings):
    scored = detector.score(rings["test"])
    scores = [s.image_score for s in scored]
    assert scores[2] > max(scores[:2])
    hole, heat = rings["test"][2], scored[2].anomaly_map
    assert heat.shape == hole.shape
    assert heat.dtype == np.float32
    assert (heat[~hole.foreground] == 0).all()
    on_part = hole.foreground
    assert heat[hole.mask & on_part].mean() > 1.5 * heat[on_part].mean()


def test_the_score_is_the_product_of_both_surprises(detector, rings):
    scored = detector.score(rings["test"][:1])[0]
    assert set(scored.modality_scores) == {"rgb", "3d"}
    largest = scored.modality_scores["rgb"] * scored.modality_scores["3d"]
    assert 0 < scored.image_score <= largest * (1 + 1e-6)
    assert scored.is_anomalous == (scored.image_score > scored.threshold)


def test_run_measures_and_gives_the_same_twice(rings, quick):
    parts = rings["train"], rings["validation"], rings["test"]
    first, second = (crossmodal.run("sum", quick, *parts) for _ in range(2))
    assert first == second
    assert first["samples"] == 3
    assert set(first["modalities"]) == {"rgb", "3d"}
    assert 0 <= first["all"]["i_auroc"] <= 1


def test_strangers_give_another_detector_with_the_same_rule(detector, rings, quick):
    other = CrossmodalDetector("strangers", quick).fit(rings["train"], rings["validation"])
    found = [d.score(rings["test"][:1])[0].modality_scores for d in (detector, other)]
    assert found[0] != found[1]


def test_the_record_has_both_for_every_category_and_seed():
    both = [crossmodal.shipped(what) for what in ("product", "strangers")]
    assert set(both[0]) == set(both[1])
    assert {seed for _, seed in both[0]} == {0, 1, 2}
    assert len(both[0]) == 12
    assert all(0 <= x <= 1 for values in both for x in values.values())


@pytest.mark.slow
def test_the_record_is_what_run_finds():
    """One of its entries, on parts made anew."""
    parts = workshop("ring", Mini3DConfig())
    table = crossmodal.run("product", FIRST, parts.train, parts.validation, parts.test)
    assert np.isclose(table["all"]["i_auroc"], crossmodal.shipped("product")["ring", 0], atol=0.01)


def test_what_cannot_be_done_is_said(rings, quick):
    with pytest.raises(ValueError, match="there are product, sum, strangers"):
        crossmodal.run("quotient", quick, [], [], [])
    blind = [without(sample, "rgb") for sample in rings["train"]]
    with pytest.raises(ValueError, match="needs both"):
        CrossmodalDetector("product", quick).fit(blind, rings["validation"])
    detector = CrossmodalDetector("product", quick)
    with pytest.raises(ValueError, match=r"crossmodal mapping needs both rgb and xyz"):
        detector.fit(rings["train"], [without(rings["validation"][0], "xyz")])
