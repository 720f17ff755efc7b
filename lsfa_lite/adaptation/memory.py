"""Memory banks (section 3.3, Eq. 7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from lsfa_lite.errors import DataError, SettingError
from lsfa_lite.features.nearest import nearest


class MemoryBank(nn.Module):
    """The last `capacity` features: M <- M u {F}, the oldest leaves first (Eq. 7).

    Implements: eq-7

    policy "fifo" is the paper's; "reservoir" keeps a uniform sample of all features ever seen
    (Vitter's algorithm R, seeded), so that old features never die out. The rows are buffers, thus
    part of the state_dict and moved by .to(device); no gradient enters them.
    """

    storage: Tensor  # (M, D)
    stamps: Tensor  # (M,) in which call of enqueue the row came

    def __init__(
        self,
        capacity: int,
        width: int,
        policy: Literal["fifo", "reservoir"] = "fifo",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if capacity < 1 or width < 1:
            raise SettingError(f"capacity ({capacity}) and width ({width}) must be at least 1")
        if policy not in ("fifo", "reservoir"):
            raise SettingError(f"policy is {policy!r}, expected 'fifo' or 'reservoir'")
        self.policy, self.seed = policy, seed
        self.register_buffer("storage", torch.zeros(capacity, width))
        self.register_buffer("stamps", torch.zeros(capacity, dtype=torch.long))
        # Python numbers: reading them never waits for a GPU
        self.seen = 0  # rows ever enqueued
        self.calls = 0  # calls of enqueue
        self.pointer = 0  # where the next row goes (fifo)

    @property
    def capacity(self) -> int:
        return len(self.storage)

    def __len__(self) -> int:
        return min(self.seen, self.capacity)

    @property
    def fill(self) -> float:
        """0 empty, 1 full."""
        return len(self) / self.capacity

    def rows(self) -> Tensor:
        """The filled part (len, D), in storage order."""
        return self.storage[: len(self)]

    def ages(self) -> Tensor:
        """(len,): how many calls of enqueue ago each row came in; 0 is the last call."""
        return self.calls - 1 - self.stamps[: len(self)]

    def nearest(self, x: Tensor, chunk: int = 512) -> tuple[Tensor, Tensor]:
        """x (Q, D) -> distances (Q,), indices into rows() (Q,)."""
        return nearest(x, self.rows(), chunk)

    @torch.no_grad()
    def enqueue(self, x: Tensor) -> None:
        """Store x (n, D), detached; of more rows than fit, the fifo bank keeps the last ones."""
        if x.ndim != 2 or x.shape[1] != self.storage.shape[1]:
            raise DataError(
                f"x is {tuple(x.shape)}, expected (n, {self.storage.shape[1]}) as the bank is wide"
            )
        for slots, kept in self._fifo(len(x)) if self.policy == "fifo" else self._reservoir(x):
            self.storage[slots] = x.detach()[kept].to(self.storage.dtype)
            self.stamps[slots] = self.calls
        self.seen += len(x)
        self.calls += 1

    def _fifo(self, n: int) -> Iterator[tuple[slice, slice]]:
        """Up to the end of the storage, then from its beginning: slots, and rows that go there."""
        row = max(0, n - self.capacity)
        while row < n:
            count = min(n - row, self.capacity - self.pointer)
            yield slice(self.pointer, self.pointer + count), slice(row, row + count)
            row, self.pointer = row + count, (self.pointer + count) % self.capacity

    def _reservoir(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        order = np.arange(self.seen, self.seen + len(x))  # row number since the beginning
        draw = np.random.default_rng([self.seed, self.calls]).integers(0, order + 1)
        slot_of = np.where(order < self.capacity, order, draw)
        # a slot that is drawn twice keeps the later row
        winner = {int(slot): row for row, slot in enumerate(slot_of) if slot < self.capacity}
        pairs = torch.tensor([*winner.keys(), *winner.values()], dtype=torch.long)
        slots, kept = pairs.to(x.device, non_blocking=True).view(2, -1)
        yield slots, kept

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.seen, self.calls, self.pointer])

    def set_extra_state(self, state: Tensor) -> None:
        self.seen, self.calls, self.pointer = (int(value) for value in state)
