"""Where the point network's weights come from, and how the published checkpoint is read."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_data_dir
from safetensors.torch import load_file
from torch import Tensor

from lsfa_lite.config import PointConfig
from lsfa_lite.features.point_network import PointMAE

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
    published pretrain.pth.

    Raises FileNotFoundError if the file is missing, ValueError if it does not fit the config.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        model = PointMAE(config)
    if config.weights == "random":
        logger.info("Point-MAE with random weights, drawn by seed %d", seed)
    else:
        package = config.weights == "package"
        path = PACKAGE_WEIGHTS if package else find_weights(config.weights)
        load_weights(model, read_weights(path), str(path))
        logger.info("Point-MAE with the weights of %s", path)
    return model.requires_grad_(False).eval().to(device)


def weights_folder() -> Path:
    """Where downloaded weights lie; LSFA_WEIGHTS in the environment moves it."""
    return Path(os.environ.get("LSFA_WEIGHTS") or Path(user_data_dir("lsfa-lite"), "weights"))


def find_weights(name: str) -> Path:
    """A file that is there as named, else the one of that name in `weights_folder()`.

    Raises FileNotFoundError with the places looked at and the command that downloads.
    """
    places = [Path(name).expanduser(), weights_folder() / name]  # an absolute name twice
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{' and '.join(dict.fromkeys(map(str, places)))}: no such weights file; fetch it with "
        f"`python data_scripts/download_weights.py point-mae` (from {PUBLISHED}), give its path "
        'as features.points.weights, or use "package" or "random"'
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """A weights file -> parameters under the names of PointMAE."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds for a truncated or foreign file
        raise ValueError(
            f"{path}: cannot be read as weights, download it again; a checkpoint that holds more "
            f"than tensors is refused, since it could run code ({error})"
        ) from error
    return published_weights(checkpoint, str(path))


def published_weights(checkpoint: Any, path: str = "checkpoint") -> dict[str, Tensor]:
    """The published layout -> parameters under the names of PointMAE.

    checkpoint["base_model"] holds `[module.]MAE_encoder.<name>` and the decoder's parameters, which
    are left out knowingly.

    Raises ValueError if "base_model" is missing, or naming every key that belongs to neither.
    """
    if not isinstance(checkpoint, dict) or "base_model" not in checkpoint:
        found = sorted(map(str, checkpoint)) if isinstance(checkpoint, dict) else type(checkpoint)
        raise ValueError(
            f'{path}: expected the layout of Point-MAE\'s pretrain.pth, with the key "base_model"; '
            f"found {found}"
        )
    weights, unexpected = {}, []
    for key, value in checkpoint["base_model"].items():
        name = key.removeprefix("module.")
        if name.startswith("MAE_encoder."):
            weights[name.removeprefix("MAE_encoder.")] = value
        elif not name.startswith(DECODER):
            unexpected.append(key)
    if unexpected:
        raise ValueError(
            f"{path}: unexpected keys {', '.join(unexpected)}; they belong neither to the encoder "
            "nor to the decoder of Point-MAE (is this a fine-tuned model or another network?)"
        )
    return weights


def load_weights(model: PointMAE, weights: dict[str, Tensor], path: str = "weights") -> None:
    """Copy the weights into the model; all of them and nothing else.

    Raises ValueError naming every missing key, unexpected key and wrong shape.
    """
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    problems = [f"missing {name}" for name in wanted if name not in given]
    problems += [f"unexpected {name}" for name in given if name not in wanted]
    problems += [
        f"{name} has shape {given[name]}, expected {wanted[name]}"
        for name in wanted
        if name in given and given[name] != wanted[name]
    ]
    if problems:
        raise ValueError(
            f"{path} does not fit PointConfig (width, token_hidden, depth): {'; '.join(problems)}"
        )
    model.load_state_dict(weights)
