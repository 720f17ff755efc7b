"""The advice on odd good parts: how rarely it is wrong, and what it finds."""

from __future__ import annotations

import logging
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from lsfa_lite.scoring.odd import advise, limit
from lsfa_lite.scoring.patchcore import PatchScores


def named(draws: np.ndarray) -> float:
    """The share of fits in which any part is named."""
    return float(np.mean([scores.max() > limit(scores) for scores in draws]))


@pytest.mark.parametrize(("count", "gumbel"), [(20, 0.05), (60, 0.035), (250, 0.025)])
def test_a_part_that_is_not_odd_is_rarely_named(count, gumbel):
    rng = np.random.default_rng(count)
    assert named(rng.normal(size=(2000, count))) <= 0.003
    assert 0.003 < named(rng.gumbel(5, 0.3, size=(2000, count))) < gumbel


def test_the_limit_is_gumbels():
    quantiles = -np.log(-np.log((np.arange(100_000) + 0.5) / 100_000))  # of Gumbel's own law
    n, chance = len(quantiles), 0.01
    assert limit(quantiles) == pytest.approx(math.log(n / chance), rel=1e-3)
    assert (1 - chance) == pytest.approx(math.exp(-n * math.exp(-limit(quantiles))), rel=1e-3)
    assert limit(3 + 2 * quantiles) == pytest.approx(3 + 2 * math.log(n / chance), rel=1e-3)


def test_a_fifth_of_odd_parts_does_not_hide_itself():
    scores = np.random.default_rng(0).normal(5, 1, size=50)
    scores[:10] += 60
    assert (scores > limit(scores)).tolist() == [True] * 10 + [False] * 40


def test_few_parts_are_no_crowd():
    assert limit([1.0] * 18 + [100.0]) == math.inf
    assert limit([1.0, 2.0] * 9 + [1.5, 100.0]) < 100


def test_each_odd_part_is_named_once_with_its_senses(caplog):
    rng = np.random.default_rng(0)
    values = {"rgb": rng.normal(5, 1, 30), "3d": rng.normal(50, 9, 30)}
    values["rgb"][[3, 20]] = 91.5
    values["3d"][20] = 912
    scores = {m: [PatchScores(x, torch.zeros(1)) for x in v] for m, v in values.items()}
    advise(scores, [f"part {i}" for i in range(30)])
    first, second = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert first.startswith("part 3 looks odd among the good ones (rgb score 91.5, ")
    assert "the median of 30 is " in first
    assert "3d" not in first
    assert second.startswith("part 20 looks odd")
    assert "3d score 912, " in second


def test_the_command_line_shows_it():
    """Nobody has set up logging there: warnings go to stderr."""
    code = (
        "from lsfa_lite.scoring.odd import advise; from lsfa_lite.scoring.patchcore import *;"
        "some = [PatchScores(x, torch.zeros(1)) for x in [*range(30), 900.0]];"
        "advise({'rgb': some}, [f'training part {i}.png' for i in range(31)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("training part 30.png looks odd")
