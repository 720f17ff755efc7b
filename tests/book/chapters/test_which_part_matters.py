"""The figures of the ablation: what is drawn where, and what the menu shows."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book.chapters.which_part_matters import forest, tiles
from lsfa_book.studies.comparison import Difference

GROUPS = {"one": ["a", "b"], "two": ["c"]}
FOUND = {"a": Difference(0.02, 0.01, 0.04, 12, 0.01), "c": Difference(-0.01, -0.03, 0.01, 4, 0.3)}


def of_forest():
    other = {"a": Difference(0.0, -0.01, 0.01, 12, 1.0)}
    steps = [("first", FOUND, {"b": 0.03}), ("second", other, {})]
    return forest(steps, GROUPS, alt="Rows with intervals")


def test_a_row_has_its_mean_and_interval_in_points_under_its_heading():
    figure = of_forest()
    words = dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True))
    assert list(words) == ["<b>one</b>", "a", "b", "<b>two</b>", "c"]
    measured, printed = figure.data[:2]
    np.testing.assert_allclose(measured.x, [2, -1])
    assert list(measured.y) == [words["a"], words["c"]]
    np.testing.assert_allclose(measured.error_x.array, [2, 2])
    np.testing.assert_allclose(measured.error_x.arrayminus, [1, 2])
    np.testing.assert_allclose(printed.x, [3])
    assert list(printed.y) == [words["b"]]


def test_the_menu_shows_one_metric_at_a_time():
    figure = of_forest()
    assert [trace.visible for trace in figure.data] == [True, True, False, False]
    first, second = figure.layout.updatemenus[0].buttons
    assert (first.label, second.label) == ("first", "second")
    assert second.args[0]["visible"] == [False, False, True, True]
    assert figure.layout.meta["alt"] == "Rows with intervals"


def test_a_forest_needs_no_measurement_but_different_names():
    assert len(forest([("first", {}, {})], GROUPS, alt="Nothing yet").data) == 2
    with pytest.raises(ValueError, match="two groups"):
        forest([("first", {}, {})], {"one": ["a"], "two": ["a"]}, alt="Twice")


def test_tiles_are_in_points_around_zero_and_empty_where_nothing_was_run():
    values = np.array([[0.01, np.nan, -0.02]])
    words = [["+1", "", "-2"]]
    figure = tiles(
        [("now", values, words), ("later", -values, words)], ["r"], ["x", "y", "z"], 0.05, "Tiles"
    )
    np.testing.assert_allclose(np.array(figure.data[0].z, float), [[1, np.nan, -2]])
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-5, 5)
    assert [trace.visible for trace in figure.data] == [True, False]
    with pytest.raises(ValueError, match=r"now: values \(1, 3\), not \(2, 3\)"):
        tiles([("now", values, words)], ["r", "s"], ["x", "y", "z"], 0.05, "Tiles")
