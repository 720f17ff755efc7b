"""The study's arithmetic: kinds before seeds, exact sign flips, Holm, verdicts that can fail."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from lsfa_book.studies import why
from lsfa_book.studies.rules import FUSIONS, IMAGE_SCORES
from lsfa_book.studies.why import MARGIN, PREDICTIONS, WAYS, Prediction, minus, outcome

KINDS = [f"kind {i}" for i in range(10)]
CLAIM = Prediction("x", "after beats before", minus("after", "before"), "above")


def row(category, seed, setting, value):
    keys = {f"{how} | {f}" for how, fusion in WAYS.values() for f in (fusion, "rgb", "3d")}
    return {
        "category": category,
        "seed": seed,
        "setting": setting,
        "i_auroc": dict.fromkeys(keys, value),
    }


def rows(changes, before=0.7):
    for kind, change in zip(KINDS, changes, strict=True):
        yield row(kind, 0, "before", before)
        yield row(kind, 0, "after", before + change)


def test_every_way_is_a_rule_that_is_tried():
    for how, fusion in WAYS.values():
        assert how in IMAGE_SCORES
        assert fusion in FUSIONS


def test_rows_come_back_from_the_shipped_text():
    some = [row("ring", 0, "28, bank of 12,000", 0.5), row("cable_gland", 2, "28, none", 0.25)]
    assert why.unpacked(why.packed(some)) == some
    assert why.of_kinds(some, ["ring"]) == some[:1]


def test_every_cell_of_a_prediction_is_a_setting_that_is_run():
    settings = {name for part in why.PARTS.values() for name in part}
    for prediction in PREDICTIONS:
        signs = [sign for sign, _ in prediction.cells]
        assert sum(signs) == 0  # a level is no difference
        for _, (setting, way, view) in prediction.cells:
            assert setting in settings
            assert way in WAYS
            assert view in ("both", "rgb", "3d")
    assert len({p.key for p in PREDICTIONS}) == len(PREDICTIONS)


def test_seeds_of_a_kind_are_averaged_and_only_shared_ones_count():
    found = why.table(
        [
            row("ring", 0, "before", 0.5),
            row("ring", 0, "after", 0.6),
            row("ring", 1, "before", 0.5),
            row("ring", 1, "after", 0.9),
            row("ring", 2, "after", 0.0),  # no partner
            row("tire", 0, "before", 0.5),
        ]
    )
    assert why.by_kind(CLAIM.cells, found) == {"ring": pytest.approx(0.25)}


def test_sign_flips_against_a_count_by_hand():
    assert why.sign_flips(np.full(10, 0.1)) == pytest.approx(2 / 1024)
    assert why.sign_flips(np.array([1.0, -1.0])) == 1.0
    values = np.random.default_rng(0).normal(0.3, 1, 7)
    means = [abs(np.dot(s, values)) for s in itertools.product((1, -1), repeat=7)]
    expected = np.mean([m >= abs(values.sum()) - 1e-12 for m in means])
    assert why.sign_flips(values) == pytest.approx(expected)


def test_interval_and_equivalence_against_scipy():
    values = np.random.default_rng(1).normal(0.002, 0.01, 10)
    changes = dict(zip(KINDS, values, strict=True))
    seen = outcome(changes, "within")
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (seen.low, seen.high) == pytest.approx(tuple(interval))
    sides = (
        stats.ttest_1samp(values, -MARGIN, alternative="greater").pvalue,
        stats.ttest_1samp(values, MARGIN, alternative="less").pvalue,
    )
    assert seen.p == pytest.approx(max(sides))
    with pytest.raises(ValueError, match="at least two"):
        outcome({"ring": 0.1}, "above")


@pytest.mark.parametrize(
    ("claim", "centre", "verdict"),
    [
        ("above", 0.10, "stands"),
        ("above", -0.10, "failed"),
        ("below", -0.10, "stands"),
        ("below", 0.10, "failed"),
        ("within", 0.0, "stands"),
        ("within", 0.10, "failed"),
    ],
)
def test_verdicts(claim, centre, verdict):
    noise = np.tile([0.001, -0.001], 5)
    found = why.table(rows(centre + noise))
    told = why.judged(found, [Prediction("x", "", CLAIM.cells, claim)])
    assert told["x"][1] == verdict


def test_noise_is_open_whatever_was_said():
    noise = np.tile([0.2, -0.19], 5)
    for claim in ("above", "below", "within"):
        told = why.judged(why.table(rows(noise)), [Prediction("x", "", CLAIM.cells, claim)])
        assert told["x"][1] == "open"


def test_holm_asks_more_of_each_the_more_there_are():
    changes = np.full(10, 0.05)
    changes[:2] = -0.02, -0.03  # p between 0.05 / 20 and 0.05
    found = why.table(rows(changes))
    one = why.judged(found, [CLAIM])["x"]
    many = [Prediction(f"x{i}", "", CLAIM.cells, "above") for i in range(20)]
    assert 0.05 / 20 < one[0].p < 0.05
    assert one[1] == "stands"
    assert {verdict for _, verdict in why.judged(found, many).values()} == {"open"}


def test_the_text_prints_what_failed_and_what_was_not_run():
    setting = PREDICTIONS[0].cells
    after, before = (cell[0] for _, cell in setting)
    table = why.table(
        [row(k, 0, after, 0.5) for k in KINDS] + [row(k, 0, before, 0.6) for k in KINDS]
    )
    lines = why.told(table).splitlines()
    assert lines[0].endswith("FAILED")
    assert "-0.100" in lines[1]
    assert lines[-1].endswith("not run here")
