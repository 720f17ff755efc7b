"""The study of adaptation: runs, records, resuming, paired differences."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import SMALL

from lsfa_lite.data import mini3d
from lsfa_lite.experiments import effect

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
    from scipy import stats

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
