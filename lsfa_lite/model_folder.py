"""A fitted detector on disk: one folder, safetensors and JSON, no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

import lsfa_lite
from lsfa_lite.data.files import written_beside
from lsfa_lite.errors import FileThere, MissingFile, ModelError
from lsfa_lite.features.weight_files import write_file

FORMAT = 1  # raised when an older folder can no longer be read
DESCRIPTION, TENSORS = "detector.json", "detector.safetensors"


def write(folder: Path, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Both files in a folder beside, which is then renamed: it is there whole, or not at all.

    Raises FileExistsError if it is there already.
    """
    if folder.exists():
        raise FileThere(f"{folder} is there already; name a new folder or remove it")
    head = {"format": FORMAT, "version": lsfa_lite.__version__}
    with written_beside(folder) as beside:
        beside.mkdir()
        write_file(beside / TENSORS, tensors)
        (beside / DESCRIPTION).write_text(json.dumps(head | description, indent=2))


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `write` wrote. FileNotFoundError, or ValueError for another version or damage."""
    for name in (DESCRIPTION, TENSORS):
        if not (folder / name).is_file():
            raise MissingFile(
                f"{folder / name}: missing; expected the folder that `lsfa-lite fit --out` made"
            )
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        found = description["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / DESCRIPTION}: damaged ({error}); fit the model again"
        ) from error
    if found != FORMAT:
        raise ModelError(
            f"{folder}: model format {found}, written by lsfa-lite {description.get('version')}; "
            f"this is {lsfa_lite.__version__}, which reads format {FORMAT}: fit the model again, "
            "or install that version"
        )
    try:
        return description, load_file(folder / TENSORS)
    except SafetensorError as error:
        raise ModelError(f"{folder / TENSORS}: damaged ({error}); fit the model again") from error


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
