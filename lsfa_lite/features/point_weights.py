"""Where the point network's weights come from, and how the published checkpoint is read."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_data_dir
from torch import Tensor

from lsfa_lite.config import PointConfig
from lsfa_lite.errors import FileError, MissingFile
from lsfa_lite.features.point_network import PointMAE
from lsfa_lite.features.weight_files import load_weights, read_file, tensors_by_name

logger = logging.getLogger(__name__)

PACKAGE_WEIGHTS = Path(__file__).parent / "weights" / "point_mae_lite.safetensors"
PUBLISHED = "https://github.com/Pang-Yatian/Point-MAE/releases/download/main/pretrain.pth"
PUBLISHED_SHA256 = "27ded932bb0a2625d5a8eb006df199b2578598c774aee6d86b985300b6a5fd20"

# the decoder of the masked autoencoding: needed to pretrain, not to describe
DECODER = ("mask_token", "decoder_pos_embed.", "MAE_decoder.", "increase_dim.")


def load_point_mae(
    config: PointConfig, device: torch.device | str = "cpu", seed: int = 0
) -> PointMAE:
    """phi_P with its weights, frozen and in evaluation mode, on `device`.

    config.weights: "package" (LITE's, made by data_scripts/pretrain_point_mae.py), "random" (drawn
    by `seed`), or a file as `find_weights` looks for it: .safetensors of this package, or the
    published pretrain.pth. Raises FileNotFoundError, or ValueError if it does not fit the config.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        model = PointMAE(config)
    if config.weights == "random":
        logger.info("Point-MAE with random weights, drawn by seed %d", seed)
    else:
        package = config.weights == "package"
        path = PACKAGE_WEIGHTS if package else find_weights(config.weights)
        misfit = f"{path} does not fit PointConfig (width, token_hidden, depth)"
        load_weights(model, read_weights(path), misfit)
        logger.info("Point-MAE with the weights of %s", path)
    return model.requires_grad_(False).eval().to(device)


def weights_folder() -> Path:
    """Where downloaded weights lie; LSFA_WEIGHTS in the environment moves it."""
    return Path(os.environ.get("LSFA_WEIGHTS") or Path(user_data_dir("lsfa-lite"), "weights"))


def find_weights(name: str) -> Path:
    """A file that is there as named, else the one of that name in `weights_folder()`."""
    places = [Path(name).expanduser(), weights_folder() / name]  # an absolute name twice
    for path in places:
        if path.is_file():
            return path
    raise MissingFile(
        f"{' and '.join(dict.fromkeys(map(str, places)))}: no such weights file; fetch it with "
        f"`python data_scripts/download_weights.py point-mae` (from {PUBLISHED}), give its path "
        'as features.points.weights, or use "package" or "random"'
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """A weights file -> parameters under the names of PointMAE."""
    found = read_file(path)
    return found if path.suffix == ".safetensors" else published_weights(found, str(path))


def published_weights(checkpoint: Any, path: str = "checkpoint") -> dict[str, Tensor]:
    """The published layout -> parameters under the names of PointMAE.

    checkpoint["base_model"] holds `[module.]MAE_encoder.<name>` and the decoder's parameters, which
    are left out knowingly; other names stay, for `load_weights` to refuse. Raises ValueError if
    "base_model" is missing.
    """
    if not isinstance(checkpoint, dict) or "base_model" not in checkpoint:
        found = ", ".join(map(str, checkpoint)) if isinstance(checkpoint, dict) else "no dict"
        raise FileError(f'{path}: expected "base_model", as in pretrain.pth; found {found}')
    base = tensors_by_name(checkpoint["base_model"], path)
    names = {key: key.removeprefix("module.") for key in base}
    return {
        name.removeprefix("MAE_encoder."): base[key]
        for key, name in names.items()
        if not name.startswith(DECODER)
    }
