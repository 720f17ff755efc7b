"""Features on disk, keyed by content: the frozen networks never see the same scan twice.

The folder is safe to delete at any time. LSFA_CACHE in the environment moves it.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, repeat
from platformdirs import user_cache_dir
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lsfa_lite.errors import DataError
from lsfa_lite.features.weight_files import write_file

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    return Path(os.environ.get("LSFA_CACHE") or user_cache_dir("lsfa-lite")) / "features"


def content_key(*parts: np.ndarray | str | None) -> str:
    """Hash of arrays (with shape and type) and texts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.shape}{part.dtype}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def cached(key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The stored tensors of `key`, or compute() stored under it. A broken file is made anew."""
    path = cache_folder() / key[:2] / f"{key}.safetensors"
    if path.is_file():
        try:
            tensors = load_file(path)
            grown(tensors, 1)
            logger.debug("features read from %s", path)
            return tensors
        except (SafetensorError, OSError, LookupError, RuntimeError) as error:
            logger.info("%s: damaged (%s), made anew", path, error)
            path.unlink(missing_ok=True)  # cut off while it was written by an older program
    stored = write_file(path, compute())
    logger.debug("features made and kept in %s", path)
    return stored


def shrunk(features: Tensor, copies: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """(N, D) -> what is kept of it: no patch without a point, and of copied patches one.

    copies: a network's own patch covers copies x copies of the N. Raises ValueError for numbers
    that `dtype` cannot hold.
    """
    grid = math.isqrt(len(features))
    if copies > 1:
        features = rearrange(features, "(h w) d -> h w d", h=grid)[::copies, ::copies].flatten(0, 1)
    rows = features.any(dim=1)  # (N,); a patch without a point is zero, and means nothing
    return {"features": narrowed(features[rows], dtype), "rows": rows}


def grown(stored: dict[str, Tensor], copies: int) -> Tensor:
    """What `shrunk` made -> (N, D) float32."""
    features = stored["features"].float()
    if "rows" not in stored:  # of an earlier version: nothing was left out
        return features
    whole = features.new_zeros(len(stored["rows"]), features.shape[1])
    whole[stored["rows"]] = features
    if copies == 1:
        return whole
    side = math.isqrt(len(whole))
    return repeat(whole, "(h w) d -> (h a w b) d", h=side, a=copies, b=copies)


def narrowed(values: Tensor, dtype: torch.dtype) -> Tensor:
    """In `dtype` on the CPU. Raises ValueError for numbers beyond float16."""
    narrow = values.detach().to("cpu", dtype)
    if dtype == torch.float16 and not torch.isfinite(narrow).all():
        cure = "use features.keep = float32"
        raise DataError(f"features beyond 65504, or not finite, do not fit float16; {cure}")
    return narrow


def fingerprint(module: torch.nn.Module) -> str:
    """Hash of a network's weights: two detectors agree only if their backbones do."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
