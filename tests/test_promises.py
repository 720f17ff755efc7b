"""What `book/promises.md` says of equal bytes: the same seed, the same model, in any process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

from lsfa_lite.features.sampling import farthest_point_sampling, nearest_groups
from lsfa_lite.scoring.coreset import greedy_coreset

FIT = """
import random, sys, numpy, torch
random.seed({stir}); numpy.random.seed({stir}); torch.manual_seed({stir})
torch.set_num_threads(1)
from lsfa_lite.config import FIRST
from lsfa_lite.detector import LSFADetector
from lsfa_lite.features.patches import PatchStack
drawn = torch.Generator().manual_seed(0)
features = {{m: torch.rand(5, 9, d, generator=drawn) for m, d in (("rgb", 24), ("3d", 33))}}
config = FIRST.change(seed=3, adaptation__steps=4, adaptation__batch_size=2,
                      features__image__weights="random", scoring__fusion="ocsvm")
parts = PatchStack(features, torch.ones(5, 9, dtype=torch.bool))
LSFADetector(config).fit_features(parts).save(sys.argv[1])
"""


def fitted(folder: Path, stir: int) -> dict[str, str]:
    """A model fitted in a process of its own, with its own hash seed and random state."""
    environment = os.environ | {"PYTHONHASHSEED": str(stir), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "book")])
    words = [sys.executable, "-c", FIT.format(stir=stir), str(folder)]
    subprocess.run(words, env=environment, check=True, cwd=folder.parent)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_equal_seeds_give_equal_bytes_in_any_process(tmp_path):
    one, other = fitted(tmp_path / "one", 1), fitted(tmp_path / "other", 2)
    assert len(one) == 2
    assert one == other


@pytest.mark.parametrize("threads", [2, 3])
def test_what_is_chosen_does_not_depend_on_threads(threads):
    """Whole numbers and subtractions alone: which rows, centres and neighbours there are."""
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(3000, 40)).astype(np.float32))
    points = rows[:, :3].contiguous()

    def chosen() -> list[torch.Tensor]:
        centres = farthest_point_sampling(points, 50)
        return [greedy_coreset(rows, 200), centres, nearest_groups(points, points[centres], 16)]

    expected = chosen()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert all(torch.equal(a, b) for a, b in zip(chosen(), expected, strict=True))
    finally:
        torch.set_num_threads(before)
