"""The study of adaptation: runs, records, resuming, paired differences."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import SMALL
from scipy import stats

from lsfa_book import mini3d
from lsfa_book.studies import effect

RECORDS = [
    {
        "category": c,
        "seed": s,
        "variant": v,
        "steps": None,
        "table": {"all": {"i_auroc": x}, "modalities": {"rgb": {"i_auroc": x / 2}}},
    }
    for c, s, v, x in [
        ("ring", 0, "a", 0.5),
        ("ring", 0, "b", 0.6),
        ("ring", 1, "a", 0.7),
        ("ring", 1, "b", 0.9),
        ("handle", 0, "a", 0.4),
        ("handle", 0, "b", 0.4),
        ("handle", 1, "b", 0.9),  # has no partner
    ]
]


def test_paired_differences_against_scipy():
    before = effect.values(RECORDS, "i_auroc", "all", variant="a")
    after = effect.values(RECORDS, "i_auroc", "all", variant="b")
    difference = effect.paired(after, before)
    test = stats.ttest_rel([0.4, 0.6, 0.9], [0.4, 0.5, 0.7])
    low, high = test.confidence_interval(0.95)
    assert difference.n == 3
    assert np.isclose(difference.mean, 0.1)
    assert np.isclose(difference.low, low)
    assert np.isclose(difference.high, high)
    half = effect.paired(
        effect.values(RECORDS, "i_auroc", "rgb", variant="b"),
        effect.values(RECORDS, "i_auroc", "rgb", variant="a"),
    )
    assert np.isclose(half.mean, 0.05)


def test_p_is_that_of_the_paired_test():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3, 1.0):
        after, before = rng.normal(shift, 1, 9), rng.normal(0, 1, 9)
        found = effect.paired(dict(enumerate(after)), dict(enumerate(before)))
        assert np.isclose(found.p, stats.ttest_rel(after, before).pvalue)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    assert effect.Difference(0.0, 0.0, 0.0, 3).p == 1
    assert effect.Difference(0.1, 0.1, 0.1, 3).p == 0


def test_rows_stand_by_holms_stairs():
    """By hand: the limits for four rows are 0.0125, 0.0167, 0.025 and 0.05."""

    def row(p):
        half = stats.t.ppf(0.975, 11)
        mean = stats.t.isf(p / 2, 11)
        return effect.Difference(mean, mean - half, mean + half, 12)

    ps = {"a": 0.03, "b": 0.001, "c": 0.04, "d": 0.016}
    assert np.isclose([row(p).p for p in ps.values()], list(ps.values())).all()
    assert effect.standing({name: row(p) for name, p in ps.items()}) == ["b", "d"]
    assert effect.standing({"c": row(0.04)}) == ["c"]
    assert effect.standing({}) == []


def test_an_interval_needs_two_pairs():
    with pytest.raises(ValueError, match="at least two"):
        effect.paired({("ring", 0): 1.0}, {("ring", 0): 0.5})


def test_names_of_runs_differ():
    runs = effect.plan([0, 1], [0.0, 0.4], list(effect.VARIANTS), [None, 10])
    assert len({run.name for run in runs}) == len(runs) == 2 * 2 * len(effect.VARIANTS) * 2 * 4


def test_a_study_that_was_stopped_goes_on(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(mini3d, "Mini3DConfig", lambda seed, nuisance: SMALL)
    runs = effect.plan([0], [0.4], ["no adaptation", "LSFA"], categories=["ring"])
    effect.measure(quick, runs[:1], tmp_path / "data", tmp_path / "records")
    first = tmp_path / "records" / f"{runs[0].name}.json"
    stamp = first.stat().st_mtime_ns
    effect.measure(quick, runs, tmp_path / "data", tmp_path / "records")
    assert first.stat().st_mtime_ns == stamp  # not done again
    rows = list(effect.load(tmp_path / "records"))
    assert {row["variant"] for row in rows} == {"no adaptation", "LSFA"}
    assert all(0 <= row["table"]["all"]["i_auroc"] <= 1 for row in rows)
    assert json.loads(first.read_text())["variant"] == "no adaptation"


def test_the_shipped_records_hold_what_the_book_promises():
    """mini3d is neither hopeless nor solved, and two senses beat each alone."""
    records = effect.shipped()

    def mean(view: str) -> float:
        found = effect.values(
            records,
            "i_auroc",
            view,
            variant="no adaptation",
            nuisance=mini3d.Mini3DConfig(0).nuisance,
        )
        assert len(found) == 12  # four categories, three seeds
        return float(np.mean(list(found.values())))

    assert 0.80 < mean("all") < 0.95
    assert 0.65 < mean("rgb") < mean("all")
    assert 0.65 < mean("3d") < mean("all")
