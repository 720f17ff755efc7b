"""The rules of scoring tried on the same distances, and the flaws planted to weigh the senses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_book.studies import choosing
from lsfa_book.studies.choosing import IMAGE_SCORES, LEARNED, TOP, Seen, image_score, judge
from lsfa_book.studies.planted import dent, spacing, stain
from lsfa_lite.config import FIRST
from lsfa_lite.data.background import remove_background
from lsfa_lite.features.patches import PatchStack
from lsfa_lite.scoring.patchcore import PatchScores


@pytest.fixture(scope="module")
def part():
    return remove_background(make_sample("ring", "train/good", 0, Mini3DConfig(size=96)))


def test_a_stain_is_seen_by_colour_alone(part):
    flawed = stain(part, np.random.default_rng(0))
    np.testing.assert_array_equal(flawed.xyz, part.xyz)
    changed = (flawed.rgb.astype(int) != part.rgb).any(axis=-1)
    assert changed.any()
    assert not changed[~part.foreground].any()
    assert flawed.mask.any()
    assert (changed[flawed.mask].mean(), changed[~flawed.mask].mean()) > (0.5, 0.0)
    assert changed[~flawed.mask].mean() < 0.1


def test_a_dent_is_seen_by_shape_alone_and_every_pixel_keeps_its_ray(part):
    flawed = dent(part, np.random.default_rng(0))
    np.testing.assert_array_equal(flawed.rgb, part.rgb)
    np.testing.assert_array_equal(flawed.valid, part.valid)
    moved = np.linalg.norm(flawed.xyz - part.xyz, axis=-1)
    far = np.unravel_index(moved.argmax(), moved.shape)
    assert flawed.mask[far]
    assert 0.002 * 0.1 < moved[far] < 0.05
    there, was = flawed.xyz[far], part.xyz[far]
    np.testing.assert_allclose(np.cross(there, was), 0, atol=1e-6)  # along the line of sight


def test_spacing_is_the_pixel_in_metres(part):
    right = part.foreground[:, 1:] & part.foreground[:, :-1]
    by_hand = np.median(np.linalg.norm(part.xyz[:, 1:] - part.xyz[:, :-1], axis=-1)[right])
    assert spacing(part.xyz, part.foreground) == pytest.approx(by_hand)


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
    assert {"rgb", "3d", LEARNED, *choosing.FUSIONS} == {view for _, view in table}
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
    kept = choosing.largest([PatchScores(7.0, distances)])
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
    found = choosing.see(settings, stacks, np.array([0, 0, 1, 1, 1]), extractor=None)
    rows = found.scores["rgb"]
    assert {k: v.shape for k, v in rows.items()} == {
        "train": (4, 1 + TOP),
        "validation": (3, 1 + TOP),
        "test": (5, 1 + TOP),
    }
    assert (rows["train"][:, 1:] > 0).all()


def test_the_text_has_the_means(tmp_path):
    rows = [
        {
            "category": "ring",
            "seed": s,
            "setting": "28, none",
            "i_auroc": {
                f"{how} | {view}": value for how in IMAGE_SCORES for view in ("rgb", "Fisher")
            },
        }
        for s, value in ((100, 0.5), (101, 0.7))
    ]
    text = choosing.told(rows)
    assert text.splitlines()[0].split()[-2:] == ["rgb", "Fisher"]
    assert text.splitlines()[1].split()[-2:] == ["0.600", "0.600"]
