"""The whole way on "cuda" without a GPU: torch's FakeTensorMode says where every tensor would lie.

FakeTensorMode knows shapes and devices, and stops where the code looks at a value. Here the numbers
go along on the CPU, so that the real code is followed everywhere, whatever it decides by them: what
lies on "cuda" is a fake that carries its numbers, what lies on the CPU is an ordinary tensor.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from test_device import configs
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from lsfa_lite.detector import LSFADetector
from lsfa_lite.scoring import coreset

CUDA = torch.device("cuda", 0)
VALUE = (DataDependentOutputException, DynamicOutputShapeException)


class Fake(TorchDispatchMode):
    """Each operation twice: on fakes, which complain of mixed devices, and on their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fakes = FakeTensorMode(allow_non_fake_inputs=True)

    def __enter__(self) -> Fake:
        self.fakes.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.fakes.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        fakes = [x for x in leaves if isinstance(x, FakeTensor)]
        device = kwargs.get("device")
        here = kwargs
        if device is not None and torch.device(device).type == "cuda":
            here = kwargs | {"device": torch.device("cpu")}
        elif not fakes:
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        known = {id(x.here): x for x in fakes}  # what is returned in place, or as it is
        with unset_fake_temporarily():
            real = func(*tree_map(numbers, args), **tree_map(numbers, here))
        try:
            fake = func(*args, **kwargs)
        except VALUE:
            fake = tree_map(stands_for, real)

        def both(fake: Any, real: Any) -> Any:
            if not isinstance(fake, FakeTensor):
                return fake
            if fake.device.type == "cpu":
                return real
            fake = known.get(id(real), fake)
            fake.here = real
            return fake

        if isinstance(fake, FakeTensor):  # of several, some are a device's own business
            assert fake.shape == real.shape, func
        return tree_map(both, fake, real)


def stands_for(real: Any) -> Any:
    return torch.empty_like(real, device=CUDA) if isinstance(real, torch.Tensor) else real


def numbers(x: Any) -> Any:
    return x.here if isinstance(x, FakeTensor) else x


# ---- what cannot be followed without a driver, all of it torch's own; `detector` replaces it ----


def not_recorded(steps: Any, device: torch.device) -> Any:
    """For `coreset.replayed`: the same launches, not recorded as a CUDA graph."""
    return steps


def backward(loss: torch.Tensor) -> None:
    """For `Tensor.backward`, whose engine asks the driver: every leaf gets some gradient."""
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [following for following, _ in node.next_functions]
        if hasattr(node, "variable"):
            node.variable.grad = torch.full_like(node.variable.detach(), 1e-3)


@pytest.fixture
def detector(request, quick, monkeypatch):
    """Its networks are loaded: under FakeTensorMode torch.load gives tensors without numbers."""
    monkeypatch.setattr(coreset, "replayed", not_recorded)
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: x)
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)  # operations that a CPU has too
    config = configs(quick)[request.param]
    detector = LSFADetector(config.change(adaptation__steps=4, adaptation__global_bank=6))
    for modality in ("rgb", "3d"):
        detector.extractor.network(modality)
    with Fake():
        yield detector.to(CUDA)


def on_cuda(tensors: Any) -> bool:
    return {x.device for x in tree_leaves(tensors) if isinstance(x, torch.Tensor)} == {CUDA}


@pytest.mark.parametrize("detector", ["lite", "lite with point_mae", "paper"], indirect=True)
def test_the_whole_way_lies_where_it_should(detector, rings):
    """extract, adapt with all losses and full banks, remember, calibrate, score, map."""
    parts = detector.extractor.stack(rings["train"])
    held_out = detector.extractor.stack(rings["validation"])
    assert not any(isinstance(x, FakeTensor) for x in tree_leaves(vars(parts)))
    detector.adapt_to(parts)
    adaptation = detector.adaptation
    losses = [key for key in adaptation.history[-1] if "/" in key or "alignment" in key]
    assert sum("compactness" in key for key in losses) == 4
    assert sum("alignment" in key for key in losses) == 2
    banks = [*adaptation.local_banks.values(), *adaptation.global_banks.values()]
    assert [bank.fill for bank in banks] == [1.0] * 4
    extra = {key for key in adaptation.state_dict() if key.endswith("_extra_state")}
    assert on_cuda({k: v for k, v in adaptation.state_dict().items() if k not in extra})
    detector.remember(parts)
    assert on_cuda([core.bank for core in detector.banks.values()])
    detector.calibrate(parts)  # the parts left out one by one
    detector.calibrate(parts, held_out)
    detector.config = detector.config.change(scoring__calibrate_on="folds")
    detector.calibrate(parts, held_out)  # and by banks made anew
    for sample, scored in zip(rings["test"], detector.score(rings["test"]), strict=True):
        assert math.isfinite(scored.image_score)
        assert scored.anomaly_map.shape == sample.shape
        assert scored.anomaly_map.max() > 0


def test_two_devices_do_not_mix_and_values_are_known():
    with Fake():
        moved = torch.arange(4.0).to(CUDA)
        assert moved.device == CUDA
        with pytest.raises(RuntimeError, match="device"):
            moved + torch.ones(4)
        assert (moved + torch.tensor(1.0)).sum().item() == 10
        assert moved[moved > 1].cpu().tolist() == [2, 3]
        assert moved.nonzero().device == CUDA
        moved.clamp_(max=1)
        assert moved.cpu().tolist() == [0, 1, 1, 1]
        assert not isinstance(torch.ones(2), FakeTensor)
