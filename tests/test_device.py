"""The whole way on a pretended accelerator: nothing is mixed, and little is waited for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, Pretend

from lsfa_lite import PAPER_LITERAL, LSFADetector
from lsfa_lite.config import Config

STEPS = 30
AT_MOST = {  # extract: 4 parts at once; adapt: the way there (40), 30 steps; score: 3 parts at once
    "extract": {"waits": 4, "there": 5, "back": 3},
    "adapt": {"waits": 50, "there": 40 + 5 * STEPS, "back": 3},  # three of the steps settle
    "score": {"waits": 8, "there": 15, "back": 6},
}


def configs(quick: Config) -> dict[str, Config]:
    """LITE with both point networks, and what PAPER_LITERAL chooses else, at a size for tests."""
    lite = quick.change(features__cache=False, adaptation__steps=STEPS)
    small = {"groups": 64, "group_size": 16, "width": 24, "token_hidden": 16, "depth": 2}
    mae = {"backbone": "point_mae", "weights": "random", "heads": 2, "layers": (0, 1), **small}
    mae = {f"features__points__{key}": value for key, value in mae.items()}
    paper = PAPER_LITERAL.adaptation
    printed = {
        f"adaptation__{key}": getattr(paper, key)
        for key in dataclasses.asdict(paper)
        if key not in ("steps", "batch_size", "local_bank", "heads", "projection", "lr")
    }
    printed |= {"features__min_foreground": 0.0, "features__points__neighbours": None}
    printed |= {"adaptation__lr": 1e-5}  # at the printed rate the last bit decides much
    printed |= {"features__points__point_norm": "none", "adaptation__prototypes": 2}
    return {
        "lite": lite,
        "lite with point_mae": lite.change(**mae),
        "paper": lite.change(**mae).change(**printed),
    }


@pytest.fixture(scope="module", params=["lite", "lite with point_mae", "paper"])
def way(request, rings, quick):
    """extract, adapt, remember, calibrate, score on the device, each counted; and on the CPU."""
    config = configs(quick)[request.param]
    here = LSFADetector(config).fit(rings["train"], rings["validation"])
    there, counts = LSFADetector(config), {}
    for modality in ("rgb", "3d"):
        there.extractor.network(modality)
    with Pretend() as device:
        there.to(DEVICE)

        def counted(name, work):
            device.forget()
            result = work()
            counts[name] = device.counts() | {"lines": str((device.waits, device.there))}
            return result

        parts = counted("extract", lambda: there.extractor.stack(rings["train"]))
        held_out = there.extractor.stack(rings["validation"])
        counted("adapt", lambda: there.adapt_to(parts))
        counted("remember", lambda: there.remember(parts))
        counted("calibrate", lambda: there.calibrate(parts, held_out))
        scored = counted("score", lambda: there.score(rings["test"]))
        there.calibrate(parts)  # the parts left out one by one
        left_out = there.calibration.thresholds
        there.calibrate(parts, held_out)
    return here, there, scored, left_out, counts


def test_scores_are_those_of_the_cpu(way, rings):
    here, _, scored, left_out, _ = way
    for one, other in zip(here.score(rings["test"]), scored, strict=True):
        assert other.modality_scores == pytest.approx(one.modality_scores, rel=1e-3)
        for modality, expected in one.modality_maps.items():
            np.testing.assert_allclose(
                other.modality_maps[modality], expected, rtol=1e-2, atol=1e-3 * expected.max()
            )
    assert all(np.isfinite(threshold.value) for threshold in left_out.values())


@pytest.mark.parametrize("stage", AT_MOST)
def test_waits_and_copies_are_few(way, stage):
    for kind, limit in AT_MOST[stage].items():
        assert way[4][stage][kind] <= limit, way[4][stage]["lines"]


def test_two_devices_do_not_mix():
    with Pretend() as device:
        moved = torch.ones(3).to(DEVICE, non_blocking=True)
        assert device.counts() == {"waits": 0, "there": 1, "back": 0}
        with pytest.raises(RuntimeError, match="add of two devices"):
            moved + torch.ones(3)
        assert (moved + torch.tensor(1.0)).sum().item() == 6
        moved[moved > 0]
        assert moved.cpu().tolist() == [1, 1, 1]
        assert device.counts() == {"waits": 3, "there": 1, "back": 1}
    with pytest.raises(RuntimeError, match="outside"):
        moved + 1
