"""The device under test, and what it means that it gives the CPU's numbers.

LSFA_TEST_DEVICE=cpu runs the same tests on the CPU, against itself: it proves the tests, not a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

DEVICE = torch.device(os.environ.get("LSFA_TEST_DEVICE", "cuda"))
GPU = DEVICE.type == "cuda"
ABSENT = GPU and not torch.cuda.is_available()

MARKS = [
    pytest.mark.cuda,
    pytest.mark.skipif(ABSENT, reason="no CUDA device here; LSFA_TEST_DEVICE=cpu tries the tests"),
    pytest.mark.parametrize("device", [DEVICE], ids=str),
]

SUMS = 1e-4  # of the largest value: float32 sums in another order
# convolutions round their inputs to 10 bits on a GPU unless torch is told otherwise (TF32)
CONVOLUTIONS = 5e-3


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor | torch.nn.Module) else value


def close(found: Tensor, expected: Tensor, tolerance: float = SUMS) -> None:
    """Nowhere further apart than `tolerance` of the largest expected value."""
    found = found.detach().cpu()
    assert found.shape == expected.shape
    assert torch.isfinite(found).all()
    apart = float((found.double() - expected.detach().double()).abs().max())
    assert apart <= tolerance * float(expected.detach().abs().max()), apart


def both(work: Callable[..., Tensor], device: torch.device, *given: Any) -> tuple[Tensor, Tensor]:
    """`work` on the device, whose result must lie there, and on the CPU."""
    on_cpu = work(*given)
    on_device = work(*(moved(value, device) for value in given))
    assert on_device.device.type == device.type
    return on_device, on_cpu


def agrees(
    work: Callable[..., Tensor], device: torch.device, *given: Any, tolerance: float = SUMS
) -> None:
    close(*both(work, device, *given), tolerance)


def same(work: Callable[..., Tensor], device: torch.device, *given: Any) -> None:
    """The very same numbers: indices and labels."""
    on_device, on_cpu = both(work, device, *given)
    assert torch.equal(on_device.cpu(), on_cpu)
