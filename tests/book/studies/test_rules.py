"""Every rule of scoring on the same distances, of settings that are fitted once and kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lsfa_book.studies import rules
from lsfa_book.studies.reproduce import few
from lsfa_book.studies.rules import IMAGE_SCORES, LEARNED, TOP, Seen, image_score, judge
from lsfa_lite.config import FIRST
from lsfa_lite.features.patches import PatchStack
from lsfa_lite.scoring.patchcore import PatchScores


def seen(seed=0, blind=False):
    """Good scores around 5; colour sees the first half of the flaws, shape the rest."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 1], 30)

    def rows(count, lift=0.0):
        values = np.sort(rng.gamma(25, 0.2, (count, TOP)) + lift, axis=1)[:, ::-1]
        return np.concatenate([values[:, :1] * 0.66, values], axis=1)

    def test(half):
        lift = np.where(np.arange(90) // 30 == half, 1.2, 0.0)[:, None] * (not blind)
        return rows(90) + lift

    scores = {
        m: {
            "train": rows(40),
            "validation": rows(20),
            "test": test(half),
            "stain": rows(20, 1.2 if m == "rgb" else 0.0),
            "dent": rows(20, 1.2 if m == "3d" else 0.0),
        }
        for half, m in ((1, "rgb"), (2, "3d"))
    }
    return Seen(scores, labels)


def test_every_rule_is_judged_on_the_same_distances():
    found, table = seen(), judge(seen())
    assert {how for how, _ in table} == set(IMAGE_SCORES)
    assert {"rgb", "3d", LEARNED, *rules.FUSIONS} == {view for _, view in table}
    top = found.scores["rgb"]["test"][:, 1:6].mean(axis=1)
    assert table["top 5", "rgb"] == pytest.approx(roc_auc_score(found.labels, top))
    assert table["top 5", "Fisher"] > max(table["top 5", "rgb"], table["top 5", "3d"]) + 0.1


def test_planted_flaws_weigh_a_blind_sense_down():
    found = seen()
    blind = Seen({"rgb": found.scores["rgb"], "3d": seen(1, blind=True).scores["3d"]}, found.labels)
    blind.scores["3d"]["dent"] = blind.scores["3d"]["validation"].copy()
    only_colour = np.where(np.arange(90) < 60)[0]
    for scores in blind.scores.values():
        scores["test"] = scores["test"][only_colour]
    table = judge(Seen(blind.scores, found.labels[only_colour]))
    assert table["max", LEARNED] > table["max", "mean of z-scores"]


def test_largest_distances_of_a_part():
    distances = torch.arange(40.0)[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    kept = rules.largest([PatchScores(7.0, distances)])
    np.testing.assert_array_equal(kept[0], [7.0, *np.arange(39.0, 39.0 - TOP, -1)])
    assert image_score(kept, 0)[0] == 7.0
    assert image_score(kept, 3)[0] == 38.0


def test_training_parts_are_scored_without_their_own_rows():
    rng = torch.Generator().manual_seed(0)
    settings = FIRST.change(adaptation__steps=0, scoring__coreset=1.0)
    stacks = {
        name: PatchStack(
            {"rgb": torch.randn(count, 25, 8, generator=rng)}, torch.ones(count, 25) > 0
        )
        for name, count in (("train", 4), ("validation", 3), ("test", 5))
    }
    found = rules.see(settings, stacks, np.array([0, 0, 1, 1, 1]), extractor=None)
    rows = found.scores["rgb"]
    assert {k: v.shape for k, v in rows.items()} == {
        "train": (4, 1 + TOP),
        "validation": (3, 1 + TOP),
        "test": (5, 1 + TOP),
    }
    assert (rows["train"][:, 1:] > 0).all()


def test_training_parts_are_scored_by_banks_of_other_folds_where_asked():
    rng = torch.Generator().manual_seed(0)
    settings = FIRST.change(adaptation__steps=0, scoring__coreset=1.0, scoring__neighbours=0)
    stacks = {
        name: PatchStack(
            {"rgb": torch.randn(count, 25, 8, generator=rng)}, torch.ones(count, 25) > 0
        )
        for name, count in (("train", 5), ("validation", 3))  # a fold is a part
    }
    plain = rules.see(settings, stacks, np.zeros(0), extractor=None)
    asked = rules.see(settings, stacks, np.zeros(0), extractor=None, folds=True)
    assert plain.scores["rgb"].keys() == {"train", "validation"}
    assert asked.scores["rgb"].keys() == {"train", "validation", "folds"}
    np.testing.assert_allclose(asked.scores["rgb"]["folds"], plain.scores["rgb"]["train"])


def test_what_was_seen_comes_back_from_its_file(tmp_path):
    found = seen()
    rules.save(found, tmp_path / "ring-0-28, bank of 12,000.npz")
    again = rules.load(tmp_path / "ring-0-28, bank of 12,000.npz")
    np.testing.assert_array_equal(again.labels, found.labels)
    assert {m: set(of) for m, of in again.scores.items()} == {
        m: set(of) for m, of in found.scores.items()
    }
    for m, of in found.scores.items():
        for name, kept in of.items():
            np.testing.assert_array_equal(again.scores[m][name], kept)
    assert judge(again) == judge(found)


def test_a_few_parts_are_those_that_the_tables_draw():
    features = {"rgb": torch.arange(30.0).reshape(10, 3, 1)}
    stack = PatchStack(features, torch.ones(10, 3) > 0)
    chosen = rules.some(stack, 4, seed=3)
    drawn = few([10.0 * i for i in range(10)], 4, 3)
    assert chosen.features["rgb"][:, 0, 0].tolist() == [0.3 * x for x in drawn]
    assert rules.some(stack, None, 3) is stack


class Extractor:
    """Two numbers for each of 25 patches, made of the sample's own; counts its calls."""

    made = 0

    def __init__(self, features, device, seed):
        self.features = features

    def stack(self, samples, modalities):
        Extractor.made += 1
        rng = torch.Generator().manual_seed(len(samples))
        features = {m: torch.randn(len(samples), 25, 8, generator=rng) for m in modalities}
        return PatchStack(features, torch.ones(len(samples), 25) > 0)


class Part:
    def __init__(self, label):
        self.label = label


def test_what_has_a_file_is_not_seen_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "FeatureExtractor", Extractor)
    data = {
        "train": [Part(0)] * 6,
        "validation": [Part(0)] * 4,
        "test": [Part(i % 2) for i in range(5)],
    }
    frozen = FIRST.change(adaptation__steps=0, scoring__coreset=1.0)
    paths = {name: tmp_path / f"{name}.npz" for name in ("all", "few")}
    settings = {paths["all"]: rules.Setting(frozen), paths["few"]: rules.Setting(frozen, 3)}
    rules.measure(data, settings)
    assert Extractor.made == 3  # once for each split, for both settings
    assert rules.load(paths["all"]).scores["rgb"]["train"].shape[0] == 6
    assert rules.load(paths["few"]).scores["rgb"]["train"].shape[0] == 3
    assert "folds" not in rules.load(paths["few"]).scores["rgb"]
    folded = tmp_path / "folded.npz"
    rules.measure(data, {folded: settings[paths["few"]]}, folds=True)
    assert rules.load(folded).scores["3d"]["folds"].shape == (3, 1 + TOP)
    paths["few"].unlink()
    before = paths["all"].stat().st_mtime_ns
    rules.measure(data, settings)
    assert paths["few"].exists()
    assert paths["all"].stat().st_mtime_ns == before
