"""An interrupted training goes on as if nothing had happened: one safetensors file, no pickle.

Tensors (weights, banks, AdamW's moments) are the file's body; history, config and seed are JSON in
its header. All random draws of the training are functions of seed and step, so that the number of
records in the history is the whole state of the random generators.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lsfa_lite.adaptation.batches import Features
from lsfa_lite.config import AdaptationConfig, to_json
from lsfa_lite.errors import FileError
from lsfa_lite.features.weight_files import write_file

logger = logging.getLogger(__name__)


def run_name(features: Features, foreground: Tensor, config: AdaptationConfig, seed: int) -> str:
    """What a training is determined by; a checkpoint with another name is not continued."""
    digest = hashlib.sha256()
    for name, values in [*features.items(), ("foreground", foreground)]:
        flat = values.reshape(-1)
        some = flat[:: max(1, len(flat) // 100_000)].cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        digest.update(some.view(torch.uint8).numpy().tobytes())
    return json.dumps([to_json(config), seed, digest.hexdigest()])


def save(
    path: Path,
    run: str,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    history: list[dict[str, float]],
) -> None:
    """Written beside and renamed: `path` is always a whole checkpoint, the old or the new one."""
    tensors = {f"model/{key}": value for key, value in model.state_dict().items()}
    for number, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{key}": value for key, value in moments.items()}
    write_file(path, tensors, {"run": run, "history": json.dumps(history)})


def resume(
    path: Path, run: str, model: nn.Module, optimiser: torch.optim.Optimizer
) -> list[dict[str, float]]:
    """Load `path` into model and optimiser and return the history (one record per step done).

    No file is a training that begins: []. Raises ValueError for a damaged file, and for the
    checkpoint of other data, another config or another seed.
    """
    if not path.exists():
        return []
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path}: not a whole checkpoint ({error}); delete it") from error
    if header.get("run") != run:
        other = "a training with other data, config or seed"
        raise FileError(f"{path}: belongs to {other}; delete it, or give another path")
    try:
        model.load_state_dict(_part(tensors, "model/"))
        moments: dict[int, dict[str, Any]] = {}
        for key, value in _part(tensors, "optimiser/").items():
            number, name = key.split("/")
            moments.setdefault(int(number), {})[name] = value
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        history = json.loads(header["history"])
    except (LookupError, ValueError, RuntimeError, RecursionError) as error:
        raise FileError(f"{path}: not a whole checkpoint ({error}); delete it") from error
    logger.info("the training of %s goes on after step %d", path, len(history))
    return history


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
