"""Files of tensors: written whole, read without running what may be in them, loaded if they fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lsfa_lite.data.files import written_beside
from lsfa_lite.errors import FileError

COUNTER = "num_batches_tracked"  # of BatchNorm, absent in old files, of no use to frozen networks


def write_file(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> dict[str, Tensor]:
    """Tensors -> safetensors, whole or not at all; returned as stored, on the CPU. A disk that is
    full is an OSError."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_beside(path) as beside:
        try:
            save_file(stored, beside, metadata)
        except SafetensorError as error:  # its own kind, for what is wrong with the disk
            raise OSError(f"{path}: cannot be written ({error})") from error
    return stored


def read_file(path: Path) -> Any:
    """What a .safetensors or .pth file holds; ValueError if it is damaged or holds code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds for a truncated or foreign file
        raise FileError(
            f"{path}: cannot be read as weights, download it again; a file that holds more than "
            f"tensors is refused, since it could run code ({error})"
        ) from error


def tensors_by_name(state: Any, path: object) -> dict[str, Tensor]:
    """The same; FileError for anything but a dict of tensors by name."""
    if not isinstance(state, dict):
        raise FileError(f"{path}: a {type(state).__name__}, expected tensors by name")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            what = f"{name!r} is a {type(value).__name__}"
            raise FileError(f"{path}: {what}, expected tensors; take the network's file")
    return state


def load_weights(network: nn.Module, given: dict[str, Tensor], misfit: str) -> None:
    """Copy the weights into the network; all of them and nothing else.

    Raises ValueError, `misfit` followed by the missing, unexpected and oddly shaped tensors.
    """
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    shapes = {name: tuple(value.shape) for name, value in given.items()}
    missing = [name for name in wanted if name not in given and not name.endswith(COUNTER)]
    unexpected = [name for name in given if name not in wanted]
    odd = [
        f"{name} has shape {shapes[name]}, expected {shape}"
        for name, shape in wanted.items()
        if shapes.get(name, shape) != shape
    ]
    lists = {"missing": missing, "unexpected": unexpected, "odd": odd}
    if found := [f"{kind}: {_short(names)}" for kind, names in lists.items() if names]:
        raise FileError(f"{misfit}: {'; '.join(found)}")
    if nan := [name for name in wanted if name in given and not given[name].isfinite().all()]:
        raise FileError(f"{misfit}: NaN or Inf in {_short(nan)}; download it again")
    network.load_state_dict(given, strict=False)  # without its counters


def _short(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f", ... ({len(names)})" if len(names) > 5 else "")
