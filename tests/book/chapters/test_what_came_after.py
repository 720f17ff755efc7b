"""The family tree: every method has its place, its line and its words."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book.chapters.what_came_after import SHOWN, family_tree, told
from lsfa_book.literature.published import methods

METHODS = {m.method: m for m in methods()}
ALT = "Methods of the field as dots over the years"


@pytest.fixture(scope="module")
def figure():
    return family_tree(methods(), ALT)


def test_one_position_for_everything_that_can_stand_below_a_name(figure):
    assert [step.label for step in figure.layout.sliders[0].steps] == list(SHOWN)
    assert sum(trace.visible for trace in figure.data) == 2
    assert figure.layout.meta["alt"] == ALT


def test_no_two_methods_stand_in_one_place(figure):
    dots = figure.data[1]
    places = np.stack([dots.x, dots.y], axis=1)
    assert len(np.unique(places, axis=0)) == len(METHODS)
    np.testing.assert_array_equal(dots.x, [m.year for m in METHODS.values()])


def test_a_line_leads_from_each_parent_to_its_child(figure):
    lines, dots = figure.data[:2]
    where = dict(zip(METHODS, zip(dots.x, dots.y, strict=True), strict=True))
    ends = list(zip(lines.x, lines.y, strict=True))
    drawn = list(zip(ends[0::5], ends[3::5], strict=True))
    wanted = [(where[m.parent], where[m.method]) for m in METHODS.values() if m.parent]
    assert drawn == wanted
    assert len(wanted) >= 6


def test_a_number_that_was_not_checked_is_pale_and_said_in_words(figure):
    names = list(METHODS)
    dots = figure.data[1]
    assert "not checked" in dots.text[names.index("CFM")]
    assert "0.971" in dots.text[names.index("LSFA")]
    pale, full = (dots.marker.color[names.index(n)] for n in ("CFM", "LSFA"))
    assert pale != full
    aupro = figure.data[3]
    assert aupro.marker.color[names.index("MAFR")] == pale  # only its image AUROC was read


def test_a_dot_tells_its_source():
    words = told(METHODS["G2SF"])
    assert "README of the repository" in words
    assert "github.com/ctaoaa/G2SF" in words
    assert "0.979" in words
    assert "claimed: not checked" in told(METHODS["3DSR"])
