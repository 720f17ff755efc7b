"""The film of a memory bank: what is drawn where, at each position of the slider."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book.chapters.memory_that_forgets import bank_slider


def frame(label: str, rows: int):
    stored = np.arange(2.0 * rows).reshape(rows, 2)
    return label, stored, stored + 0.5, np.arange(rows)


def test_each_position_shows_its_rows_their_ages_and_their_drift():
    figure = bank_slider([frame("1", 2), frame("2", 3)], alt="Rows of a bank in a plane")
    assert [step.label for step in figure.layout.sliders[0].steps] == ["1", "2"]
    assert [trace.visible for trace in figure.data] == [True, True, False, False]
    lines, rows = figure.data[2:]
    np.testing.assert_array_equal(rows.x, [0, 2, 4])
    np.testing.assert_array_equal(rows.marker.color, [0, 1, 2])
    np.testing.assert_array_equal(lines.x, [0, 0.5, np.nan, 2, 2.5, np.nan, 4, 4.5, np.nan])
    np.testing.assert_array_equal(lines.y, [1, 1.5, np.nan, 3, 3.5, np.nan, 5, 5.5, np.nan])


def test_one_colour_means_one_age_at_every_position():
    figure = bank_slider([frame("1", 2), frame("2", 5)], alt="Rows of a bank in a plane")
    assert {trace.marker.cmax for trace in figure.data if trace.mode == "markers"} == {4.0}
    assert figure.layout.meta["alt"] == "Rows of a bank in a plane"


def test_arrays_that_do_not_fit_are_refused():
    label, stored, present, ages = frame("1", 3)
    with pytest.raises(ValueError, match=r"expected \(M, 2\)"):
        bank_slider([(label, stored, present[:2], ages)], alt="nothing")
    with pytest.raises(ValueError, match=r"ages \(2,\)"):
        bank_slider([(label, stored, present, ages[:2])], alt="nothing")
