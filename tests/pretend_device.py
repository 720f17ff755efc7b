"""An accelerator that is not there: its tensors compute on the CPU and say they live elsewhere.

`with Pretend() as device:` watches every operation inside. A tensor that was moved `.to(DEVICE)`
and one that was not may not meet in one operation; what a real accelerator would make the host wait
for, and what it would copy, is counted by line of the package. Numbers are those of the CPU.
"""

from __future__ import annotations

import traceback
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")  # the one device that needs no driver and can go backward
# the host must know a value, or a status, before it can go on
WAITING = {
    *("_local_scalar_dense", "nonzero", "masked_select", "bincount", "equal", "linalg_eigh"),
    *("_unique2", "unique_dim", "unique_consecutive", "_linalg_eigh", "_linalg_svd", "linalg_svd"),
}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class Elsewhere(torch.Tensor):
    """A tensor that says device="meta"; `here` holds its numbers."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            layout=here.layout,
            device=DEVICE,
        )
        made.here = here
        return made

    def __repr__(self) -> str:
        return f"Elsewhere({self.here})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: a tensor of the pretended device outside of `with Pretend()`")

    __torch_function__ = torch._C._disabled_torch_function_impl


class Pretend(TorchDispatchMode):
    """waits, there, back: how often each line of the package made the host wait, or copied to the
    device or from it. A copy back waits, and so does one there that does not say non_blocking.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0
        self.waits: Counter[str] = Counter()
        self.there: Counter[str] = Counter()
        self.back: Counter[str] = Counter()

    def counts(self) -> dict[str, int]:
        kinds = {"waits": self.waits, "there": self.there, "back": self.back}
        return {name: sum(lines.values()) for name, lines in kinds.items()}

    def forget(self) -> None:
        self.launches = 0
        for lines in (self.waits, self.there, self.back):
            lines.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.overloadpacket.__name__, dict(kwargs or {})
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        moved = [x for x in tensors if isinstance(x, Elsewhere)]
        to = kwargs.get("device")
        if to is not None:
            kwargs |= {"device": torch.device("cpu"), "pin_memory": False}
        elsewhere = bool(moved) if to is None else torch.device(to).type == DEVICE.type
        self._watch(name, args, kwargs, tensors, moved, elsewhere)
        arguments, named = tree_map(unwrapped, (args, kwargs))
        result = func(*arguments, **named)
        if not elsewhere:
            return result
        known = {id(x.here): x for x in moved}  # an operation in place returns what it was given

        def wrapped(x: Any) -> Any:
            if not isinstance(x, torch.Tensor) or isinstance(x, Elsewhere):
                return x
            return known[id(x)] if id(x) in known else Elsewhere(x)

        return tree_map(wrapped, result)

    def _watch(
        self,
        name: str,
        args: Any,
        kwargs: dict[str, Any],
        tensors: list[torch.Tensor],
        moved: list[Elsewhere],
        elsewhere: bool,
    ) -> None:
        left = [x for x in tensors if not isinstance(x, Elsewhere)]
        if not moved and not (elsewhere and left):
            self.launches += elsewhere
            return
        if name == "_to_copy":
            there, back = elsewhere and bool(left), not elsewhere
            self._copied(there, back, bool(kwargs.get("non_blocking")))
        elif name == "copy_":
            there, back = not isinstance(args[1], Elsewhere), not isinstance(args[0], Elsewhere)
            self._copied(there, back, len(args) > 2 and bool(args[2]))
        elif name in INDEXING and isinstance(args[0], Elsewhere):
            index = [x for x in args[1] if x is not None]
            if any(not isinstance(x, Elsewhere) for x in index):
                self._copied(True, False, False)
            elif any(x.dtype == torch.bool for x in index):
                self.waits[line()] += 1
        elif any(x.ndim > 0 for x in left) and moved:
            raise RuntimeError(f"{name} of two devices at {line()}")
        elif name in WAITING:
            self.waits[line()] += 1
        self.launches += 1

    def _copied(self, there: bool, back: bool, non_blocking: bool) -> None:
        self.there[line()] += there
        self.back[line()] += back
        self.waits[line()] += back or (there and not non_blocking)


def unwrapped(x: Any) -> Any:
    return x.here if isinstance(x, Elsewhere) else x


def line() -> str:
    """The innermost line of the package that led here."""
    for frame in reversed(traceback.extract_stack()):
        if "/lsfa_lite/" in frame.filename:
            return f"{frame.filename.split('/lsfa_lite/')[-1]}:{frame.lineno} {frame.line}"
    return "outside of the package"
