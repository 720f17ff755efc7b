"""Clouds with a slider over the patches that ask for their partner; who pulls how hard."""

from __future__ import annotations

import base64
import dataclasses

import numpy as np
import pytest
import torch

from lsfa_book.chapters.make_two_senses_agree import partner_clouds, pulls
from lsfa_lite.config import AdaptationConfig
from lsfa_lite.data.sample import Sample


@pytest.fixture
def scan():
    """8 x 8 pixels on a 4 x 4 grid; the right half is part, each patch 2 x 2 pixels."""
    v, u = np.mgrid[:8, :8] / 1000
    xyz = np.stack([u, v, np.full_like(u, 0.5)], -1).astype(np.float32)
    foreground = np.zeros((4, 4), dtype=bool)
    foreground[:, 2:] = True
    return Sample(np.full((8, 8, 3), 90, dtype=np.uint8), xyz), foreground.ravel()


def unpacked(colour):
    return np.frombuffer(base64.b64decode(colour["bdata"]), dtype=np.uint8)


def test_the_partner_gets_the_highest_share_and_the_slider_changes_only_colours_and_pins(scan):
    sample, foreground = scan
    same = np.eye(8)  # each patch is like itself alone
    figure = partner_clouds(
        sample, {"one": same, "two": -same}, foreground, {"top": (0, 4), "bottom": (7, 7)}
    )
    first, second = figure.data[:2]
    assert len(first.x) == 32
    top = (np.asarray(first.x) < 5.5) & (np.asarray(first.y) < 1.5)  # millimetres
    assert set(unpacked(first.marker.color)[top]) == {100}
    assert set(unpacked(second.marker.color)[top]) == {0}
    assert [trace.visible for trace in figure.data[2:]] == [True, True, False, False]
    bottom = figure.layout.sliders[0].steps[1].args[0]
    assert list(bottom["visible"]) == [True, True, False, False, True, True]
    last = (np.asarray(first.x) > 5.5) & (np.asarray(first.y) > 5.5)
    assert set(unpacked(bottom["marker.color"][0])[last]) == {100}
    assert figure.layout.meta["linked"]


def test_a_patch_off_the_part_is_named(scan):
    sample, foreground = scan
    with pytest.raises(ValueError, match="lost"):
        partner_clouds(sample, {"": np.eye(8)}, foreground, {"lost": (0, 0)})


def test_compactness_as_a_sum_pulls_as_much_harder_as_it_has_patches():
    generator = torch.Generator().manual_seed(0)
    features = {
        "rgb": torch.randn(6, 9, 4, generator=generator),
        "3d": torch.randn(6, 9, 5, generator=generator),
    }
    foreground = torch.ones(6, 9, dtype=torch.bool)
    how = AdaptationConfig(batch_size=2, global_alignment=0.0, global_compactness=0.0, heads=1)
    how = dataclasses.replace(how, lr=0.0)  # both readings see the same features
    mean, total, sums = (
        pulls(features, foreground, dataclasses.replace(how, **change), after=(1, 3))
        for change in (
            {},
            {"reduction": "sum"},
            {"reduction": "sum", "alignment_reduction": "sum"},
        )
    )
    assert list(mean) == [1, 3]
    for step, ratio in mean.items():
        assert total[step] == pytest.approx(2 * 9 * ratio, rel=1e-4)
        assert sums[step] == pytest.approx(ratio, rel=1e-4)
    louder = pulls(features, foreground, dataclasses.replace(how, consistency=0.3), after=(1,))
    assert louder[1] == pytest.approx(2 * mean[1], rel=1e-4)
