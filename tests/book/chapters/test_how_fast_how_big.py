"""The lazy loop against the plain one, the sums by hand, and what the figures show."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from lsfa_book.chapters import how_fast_how_big as chapter
from lsfa_lite.scoring.coreset import greedy_coreset, k_centres


def cloud(seed: int, rows: int, width: int) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


# --- the shortlist --------------------------------------------------------------------------


@pytest.mark.parametrize("room", [1, 7, 40, 400])
def test_the_lazy_loop_chooses_the_rows_of_both_others(room):
    rows = cloud(room, 300, 5)
    found = chapter.chosen(chapter.lazy_k_centres(rows, 60, room))
    assert found == k_centres(rows, 60).tolist() == greedy_coreset(rows, 60).tolist()


def test_a_longer_list_needs_fewer_looks():
    looks = [len(chapter.lazy_k_centres(cloud(0, 300, 3), 60, room)) for room in (1, 20, 299, 300)]
    assert looks[0] == 59  # one choice from a list of one
    assert looks[0] > looks[1] > looks[2] >= looks[3] == 1  # a list of all rows lasts


def test_a_look_by_hand():
    """Rows at 0, 1, 2, 6, 7, 10; 10 is chosen, then 6; 7 is then nearer than 2 may be."""
    line = torch.tensor([0.0, 1, 2, 6, 7, 10])[:, None]
    (look, *_) = chapter.lazy_k_centres(line, 4, room=3)
    assert line[look.rows, 0].tolist() == [10, 7, 6]
    assert look.then.tolist() == [100, 49, 36]
    assert look.least == 4
    assert look.picked == [5, 3]


def test_the_tally_counts_what_was_done():
    looks = chapter.lazy_k_centres(cloud(1, 200, 4), 30, room=25)
    told = chapter.tally(looks, 200)
    assert told["choices"] == (30, 30)
    assert told["looks at all rows"] == (30, len(looks) + 1)
    assert told["distances to all rows"] == (30 * 200, 30 * 200)
    assert told["distances to a shortlist"] == (0, 29 * 25)


# --- sums -----------------------------------------------------------------------------------


def test_the_exponent_of_a_power_is_its_exponent():
    sizes = np.array([3.0, 10.0, 50.0])
    assert chapter.exponent(sizes, 7 * sizes**1.5) == pytest.approx(1.5)


def test_a_thousand_parts_by_hand():
    """A part in 3.6 s is a thousand in an hour; half of each hour is idle."""
    assert chapter.per_thousand(3.6, 0.5, 2.0) == pytest.approx(4.0)


def test_a_line_pays_whole_machines():
    pace = [chapter.thousand_on_a_line(3.6, parts, 2.0) for parts in (100, 1000, 1001)]
    assert pace == pytest.approx([20.0, 2.0, 4.0 * 1000 / 1001])


def test_the_last_run_ends_when_it_must():
    assert chapter.makespan([3, 3, 2, 2, 2], 1) == 12
    assert chapter.makespan([3, 3, 2, 2, 2], 2) == 7  # 3 + 2 + 2; the best would be 6
    assert chapter.makespan([5, 1, 1], 9) == 5


def test_a_wait_keeps_both_from_working():
    host, device = chapter.schedule(4, 1.0, 3.0)
    assert host[-1] == (3, 4)
    assert device == [(1, 4), (4, 7), (7, 10), (10, 13)]
    host, device = chapter.schedule(4, 1.0, 3.0, waits=[1])
    assert host[2] == (7, 8)  # when two pieces are done
    assert device[2:] == [(8, 11), (11, 14)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0123, "12 ms"), (1.0, "1.0 s"), (119, "119.0 s"), (600, "10.0 min"), (7200, "2.0 h")],
)
def test_a_clock_has_a_unit_that_suits(seconds, words):
    assert chapter.clock(seconds) == words


# --- figures --------------------------------------------------------------------------------


def test_bars_are_shares_and_carry_their_seconds():
    figure = chapter.stage_bars({"one": {"colour": 1.0, "banks": 3.0}, "two": {"colour": 5.0}}, "A")
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["colour"].x) == [25, 100]
    assert list(by_name["banks"].x) == [75, 0]
    assert list(by_name["banks"].customdata) == ["3.0 s", "0 ms"]
    assert [note.text for note in figure.layout.annotations] == ["4.0 s", "5.0 s"]


def test_growth_shows_one_position_and_always_both_rulers():
    measured = chapter.Sweep("a", [10, 20, 40], [1.0, 4.0, 16.0])
    counted = chapter.Sweep("b", [1, 2], [5.0, 10.0], measured=False)
    figure = chapter.growth({"rows": [measured], "parts": [counted]}, "An alt text")
    assert figure.data[0].name == "a: 2.00, measured now"
    assert figure.data[1].name == "b: 1.00, arithmetic"
    np.testing.assert_allclose(figure.data[0].x, [1, 2, 4])
    assert [t.visible for t in figure.data[:2]] == [True, False]
    shown = [step.args[0]["visible"] for step in figure.layout.sliders[0].steps]
    assert shown == [[True, False, True, True], [False, True, True, True]]
    assert list(figure.data[-1].y) == [1, 16]  # slope 2 up to four times the size


def test_in_the_film_dots_only_fall():
    plane = cloud(2, 60, 2)
    looks = chapter.lazy_k_centres(plane, 8, room=20)
    figure = chapter.film(plane.numpy(), looks, "An alt text")
    steps = figure.layout.sliders[0].steps
    assert len(steps) == sum(len(look.picked) + 1 for look in looks)
    assert all(step.args[0]["visible"][0] for step in steps)  # all rows stay
    per_frame = [figure.data[1 + 5 * i : 6 + 5 * i] for i in range(len(steps))]
    first = per_frame[: len(looks[0].picked) + 1]
    for (_, _, _, old, _), (_, _, _, new, line) in pairwise(first):
        assert (np.array(new.y) <= np.array(old.y) + 1e-6).all()
        assert line.y[0] == pytest.approx(math.sqrt(looks[0].least))
    assert max(first[-1][3].y) < first[-1][4].y[0]  # why the next look came
    assert len(per_frame[-1][1].x) == 8


def test_lanes_and_line_can_be_drawn():
    assert len(chapter.lanes(6, 1e-5, 2e-5, waits=[2]).axes) == 2
    figure = chapter.line_figure({"a": (1.0, True), "b": (2.0, False)}, [1, 2], "An alt text")
    cheap, dear = figure.data[0].y, figure.data[2].y
    np.testing.assert_allclose(np.array(dear), 2 * np.array(cheap), rtol=1e-6)
    assert figure.data[1].line.dash == "dot"
    assert [trace.visible for trace in figure.data] == [True, True, False, False]
