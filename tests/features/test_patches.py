"""Many samples' features in one place: the same numbers, in no more memory than they need."""

from __future__ import annotations

import resource

import numpy as np
import pytest
import torch

from lsfa_lite.adaptation.batches import pack
from lsfa_lite.features import patches
from lsfa_lite.features.cache import grown, shrunk
from lsfa_lite.features.image import to_grid
from lsfa_lite.features.patches import PatchFeatures, PatchStack


def rows(count: int = 5, patches: int = 16, width: int = 3) -> list[PatchFeatures]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for index in range(count):
        features = torch.randn(patches, width, generator=generator)
        made.append(PatchFeatures({"rgb": features}, torch.arange(patches) % (index + 2) == 0))
    return made


def test_packed_is_what_packing_a_dense_stack_gives():
    dense, packed = PatchStack.of(rows(), 5), PatchStack.of(iter(rows()), 5, packed=True)
    features, foreground = pack(dense.features, dense.foreground)
    assert torch.equal(packed.foreground, foreground)
    assert torch.equal(packed.features["rgb"][foreground], features["rgb"][foreground])
    assert not packed.features["rgb"][~foreground].any()
    again, _ = pack(packed.features, packed.foreground)
    assert again["rgb"] is packed.features["rgb"]  # nothing is copied a second time


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_file_holds_what_memory_would(monkeypatch, packed, dtype):
    here = PatchStack.of(rows(), 5, packed=packed, dtype=dtype)
    monkeypatch.setattr(patches, "IN_MEMORY", 0)
    there = PatchStack.of(rows(), 5, packed=packed, dtype=dtype)
    assert there.features["rgb"].dtype == dtype
    assert torch.equal(here.features["rgb"], there.features["rgb"])
    there.features["rgb"][0] = 7  # a view of one's own: no error, and nothing reaches the disk
    assert there.sample(0).features["rgb"].eq(7).all()


def test_empty_patches_take_no_memory():
    """Two thousand samples of 3136 patches, of which ten are on the part: 4.8 GB if all were."""
    foreground = torch.zeros(3136, dtype=torch.bool)
    foreground[1000:1010] = True
    one = PatchFeatures({"rgb": torch.ones(3136, 192)}, foreground)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stack = PatchStack.of((one for _ in range(2000)), 2000, packed=True)
    assert stack.features["rgb"].shape == (2000, 10, 192)
    assert stack.features["rgb"].sum() == 2000 * 10 * 192
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < 500e6


def test_what_float16_cannot_hold_is_told():
    large = PatchFeatures({"rgb": torch.full((4, 2), 1e6)}, torch.ones(4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"65504.*features\.keep"):
        PatchStack.of([large], 1, dtype=torch.float16)


@pytest.mark.parametrize("copies", [1, 2])
def test_the_cache_gives_back_what_it_was_given(copies):
    own = torch.randn(1, 5, 6, 6)
    features = to_grid(own, 6 * copies, nearest=True)[0].flatten(1).T.contiguous()  # N D
    features[: 6 * copies * copies] = 0  # a row of the network's own patches without a point
    kept = shrunk(features, copies, torch.float32)
    assert len(kept["features"]) == 30
    assert torch.equal(grown(kept, copies), features)
    half = grown(shrunk(features, copies, torch.float16), copies)
    np.testing.assert_allclose(half, features, rtol=2**-11, atol=1e-7)
