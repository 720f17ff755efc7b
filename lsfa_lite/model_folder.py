"""A fitted detector on disk: one folder, safetensors and JSON, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import lsfa_lite
from lsfa_lite.adaptation.model import Adaptation
from lsfa_lite.config import Config, from_json, to_json
from lsfa_lite.data.files import written_beside
from lsfa_lite.scoring.calibration import Calibration
from lsfa_lite.scoring.patchcore import PatchCore

if TYPE_CHECKING:
    from lsfa_lite.detector import LSFADetector

FORMAT = 1  # raised when an older folder can no longer be read
DESCRIPTION, TENSORS = "detector.json", "detector.safetensors"


def save(detector: LSFADetector, folder: Path) -> None:
    """Write the folder beside and rename it: it is there whole, or not at all.

    Raises FileExistsError if it is there already, ValueError for a detector that was not fitted.
    """
    if detector.adaptation is None or detector.calibration is None:
        raise ValueError("this detector has seen no training data: call fit() before save()")
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; name a new folder or remove it")
    tensors: dict[str, Tensor] = {}
    for key, value in detector.adaptation.state_dict().items():
        if key.startswith(("inputs.", "adaptors.")):  # heads and banks are for training only
            tensors[f"adaptation.{key}"] = value
    for modality, core in detector.banks.items():
        tensors |= {f"bank.{modality}.{key}": value for key, value in core.state().items()}
    description = {
        "format": FORMAT,
        "version": lsfa_lite.__version__,
        "config": json.loads(to_json(detector.config)),
        "modalities": list(detector.modalities),
        "widths": detector.adaptation.widths,
        "backbones": {m: detector.extractor.fingerprint(m) for m in detector.modalities},
        "calibration": detector.calibration.state(),
    }
    with written_beside(folder) as beside:
        beside.mkdir()
        save_file({k: v.cpu().contiguous() for k, v in tensors.items()}, beside / TENSORS)
        (beside / DESCRIPTION).write_text(json.dumps(description, indent=2))


def load(kind: type[LSFADetector], folder: Path, device: str | torch.device) -> LSFADetector:
    """Read the folder back. ValueError for another version, other backbones, or damage."""
    description, tensors = _read(folder)
    config: Config = from_json(json.dumps(description["config"]))
    detector = kind(config, device)
    detector.modalities = tuple(description["modalities"])
    _check_backbones(detector, description["backbones"], folder)
    adaptation = Adaptation(description["widths"], config.adaptation, config.seed)
    adaptation.drop_training_state().load_state_dict(_part(tensors, "adaptation."))
    detector.adaptation = adaptation.to(detector.device)
    for modality in detector.modalities:
        state = _part(tensors, f"bank.{modality}.")
        core = PatchCore.from_state(state, config.scoring)
        detector.banks[modality] = core.to(detector.device)
    detector.calibration = Calibration.from_state(description["calibration"])
    return detector


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    for name in (DESCRIPTION, TENSORS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: missing; expected the folder that `lsfa-lite fit --out` made"
            )
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        found = description["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / DESCRIPTION}: damaged ({error}); fit the model again"
        ) from error
    if found != FORMAT:
        raise ValueError(
            f"{folder}: model format {found}, written by lsfa-lite {description.get('version')}; "
            f"this is {lsfa_lite.__version__}, which reads format {FORMAT}: fit the model again, "
            "or install that version"
        )
    try:
        return description, load_file(folder / TENSORS)
    except SafetensorError as error:
        raise ValueError(f"{folder / TENSORS}: damaged ({error}); fit the model again") from error


def _check_backbones(detector: LSFADetector, expected: dict[str, str], folder: Path) -> None:
    for modality in detector.modalities:
        if detector.extractor.fingerprint(modality) != expected[modality]:
            raise ValueError(
                f"{folder}: was fitted with other weights of the {modality} backbone than those "
                "found here; use the same weights file, or fit the model again"
            )


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
