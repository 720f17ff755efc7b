"""Switches: numbers against means by hand, what was not run, and nothing real in a mean."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from scipy import stats

from lsfa_book.chapters.does_adaptation_help import (
    FUSIONS,
    REFERENCE,
    SWITCHES,
    setting,
    switchboard,
)
from lsfa_book.figures import switches
from lsfa_book.mini3d import KINDS
from lsfa_book.studies.why import FROZEN, PARTS, WAYS

ROWS = [("salt", ["none", "some"]), ("heat", ["low", "high"])]
RUNS = {
    ("none", "low"): {"a": 0.5, "b": 0.7, "c": 0.9, "real": 0.4},
    ("some", "low"): {"a": 0.6, "b": 0.7, "c": 0.98765, "real": 0.9, "new": 0.1},
    ("some", "high"): {"b": 0.75},
}
BASE = ("none", "low")
SHOWN = ["28, raw", "28, LSFA on raw", "28, none", "56, LSFA"]


def shown(figure, *choices):
    """The x of kinds, interval, mean and kinds apart, and the sentence."""
    (button,) = [b for b in figure.layout.updatemenus[0].buttons if b.label == " · ".join(choices)]
    moved, title, traces = button.args
    assert list(traces) == [0, 1, 2, 3]
    return *moved["x"], title["title.text"]


def row(kind, seed, name, value):
    keys = {f"{how} | {f}" for how, fusion in WAYS.values() for f in (fusion, "rgb", "3d")}
    return {"category": kind, "seed": seed, "setting": name, "i_auroc": dict.fromkeys(keys, value)}


def study(kinds=KINDS, names=SHOWN, seeds=range(3)):
    """Random rows, and the same numbers as an array: settings, kinds, seeds."""
    values = np.random.default_rng(0).uniform(0.5, 1, (len(names), len(kinds), len(seeds))).round(4)
    places = product(enumerate(names), enumerate(kinds), enumerate(seeds))
    rows = [row(kind, seed, name, values[i, k, s]) for (i, name), (k, kind), (s, seed) in places]
    return rows, values


@pytest.fixture(scope="module")
def small():
    return switches(ROWS, RUNS, BASE, start=("some", "low"), apart=["real"], alt="Salt and heat")


def test_changes_mean_and_interval_are_those_by_hand(small):
    dots, ends, mean, others, said = shown(small, "some", "low")
    assert dots == [0.1, 0.0, 0.0877]  # rounded once, to four digits; "new" has no reference
    assert mean == [pytest.approx(0.0626, abs=5e-5)]
    half = stats.sem(dots) * stats.t(2).ppf(0.975)
    np.testing.assert_allclose(ends, [0.1877 / 3 - half, 0.1877 / 3 + half], atol=5e-5)
    assert others == [0.5]
    assert said == (
        f"Mean change +0.063 (95 % interval {0.1877 / 3 - half:+.3f} to {0.1877 / 3 + half:+.3f}, "
        "n = 3 kinds); real +0.500"
    )


def test_a_single_kind_has_no_interval_and_missing_ones_no_dot(small):
    dots, ends, mean, others, said = shown(small, "some", "high")
    assert dots == [None, 0.05, None]
    assert (ends, mean, others) == ([], [0.05], [None])
    assert said == "Mean change +0.050 (n = 1 kind)"


def test_the_menu_has_what_was_run_and_nothing_else(small):
    (menu,) = small.layout.updatemenus
    assert [b.label for b in menu.buttons] == ["none · low", "some · low", "some · high"]
    assert menu.active == 1
    assert list(small.data[0].x) == [0.1, 0.0, 0.0877]
    assert list(small.data[0].y) == ["a", "b", "c"]
    assert list(small.data[3].y) == ["real"]


def test_the_script_finds_what_it_needs(small):
    meta = small.layout.meta["switches"]
    assert meta["rows"] == [[name, choices] for name, choices in ROWS]
    assert meta["levels"] == [[0.5, 0.7, 0.9], [0.4]]
    assert meta["t"] == [round(stats.t(n - 1).ppf(0.975), 5) for n in (2, 3)]
    (_, (low, high)), (_, (lowest, highest)) = meta["views"].values()
    assert low < 0 < 0.5 < high
    assert lowest < 0.4 < 0.98765 < highest
    assert small.layout.meta["alt"] == "Salt and heat"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"runs": {**RUNS, ("some", "cold"): {"a": 1.0}}},
            r"runs: .*'cold'\) is no choice",
        ),
        ({"reference": ("none", "high")}, "reference .* is not in runs"),
        ({"start": ("none", "high")}, "start .* is not in runs"),
    ],
)
def test_a_combination_that_is_not_there_is_named(changes, words):
    arguments = {"rows": ROWS, "runs": RUNS, "reference": BASE, "alt": "Salt and heat"} | changes
    with pytest.raises(ValueError, match=words):
        switches(**arguments)


# --- the study ------------------------------------------------------------------------------


def test_every_choice_leads_to_a_setting_that_the_study_runs():
    names = {name for part in PARTS.values() for name in part}
    run = [choices for choices in product(*SWITCHES.values()) if setting(*choices[:3]) in names]
    assert {choice for choices in run for choice in choices} == {*sum(SWITCHES.values(), ())}
    assert set(FUSIONS.values()) < set(WAYS)
    untrained = {setting(name, "off", "28") for name in SWITCHES["normalisation"]}
    assert untrained == {f"28, {name}" for name in FROZEN}


@pytest.mark.parametrize(
    ("choices", "name"),
    [
        (REFERENCE[:3], "28, raw"),
        (("one number", "off", "28"), "28, none"),
        (("raw", "on", "28"), "28, LSFA on raw"),
        (("one number", "on", "56"), "56, LSFA"),
        (("LayerNorm", "on", "28"), "28, LSFA on LayerNorm"),
        (("LayerNorm", "off", "40"), "40, LayerNorm"),
    ],
)
def test_choices_and_settings(choices, name):
    assert setting(*choices) == name


def test_the_real_category_has_a_marker_and_is_in_no_mean():
    rows, values = study([*KINDS, "cable_gland"])
    dots, ends, mean, others, said = shown(switchboard(rows), "raw", "on", "28", "plain mean")
    changes = dict(zip([*KINDS, "cable_gland"], (values[1] - values[0]).mean(1), strict=True))
    real = changes.pop("cable_gland")
    np.testing.assert_allclose(dots, [changes[kind] for kind in sorted(KINDS)], atol=1.1e-4)
    assert mean == [pytest.approx(np.mean([*changes.values()]), abs=1.1e-4)]
    assert others == [pytest.approx(real, abs=1.1e-4)]
    assert "n = 10 kinds); cable gland (real) " in said
    without = switchboard([r for r in rows if r["category"] in KINDS])
    assert shown(without, "raw", "on", "28", "plain mean")[:4] == (dots, ends, mean, [])


def test_fusions_take_their_own_way_to_a_score():
    rows, values = study()
    for r in rows:
        r["i_auroc"]["top 10 | Fisher"] = 0.25
    dots, *_ = shown(switchboard(rows), "one number", "on", "56", "tails of the top 10")
    before = dict(zip(KINDS, values[0].mean(1), strict=True))
    np.testing.assert_allclose(dots, [0.25 - before[kind] for kind in sorted(KINDS)], atol=1.1e-4)


def test_a_change_is_that_of_the_seeds_which_both_have():
    rows, values = study()
    kept = [r for r in rows if (r["category"], r["seed"], r["setting"]) != ("ring", 2, SHOWN[1])]
    dots, *_, said = shown(switchboard(kept), "raw", "on", "28", "plain mean")
    assert "n = 10 kinds" in said
    place = sorted(KINDS).index("ring")
    expected = (values[1] - values[0])[list(KINDS).index("ring"), :2].mean()
    assert dots[place] == pytest.approx(expected, abs=1.1e-4)


def test_a_study_without_its_reference_is_refused():
    with pytest.raises(ValueError, match="the reference, was not run"):
        switchboard(study(names=["28, none"])[0])


def test_the_figure_is_light():
    names = [name for part in PARTS.values() for name in part]
    figure = switchboard(study([*KINDS, "cable_gland"], names)[0])
    assert len(figure.layout.updatemenus[0].buttons) == 68  # of 120
    assert len(figure.to_json()) < 40_000
    assert len(json.dumps(figure.to_plotly_json(), indent=1, default=str)) < 80_000
