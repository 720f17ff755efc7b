"""A fitted detector on disk: one folder, safetensors and JSON, no pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

import lsfa_lite
from lsfa_lite.data.files import written_beside
from lsfa_lite.errors import FileError, FileThere, MissingFile, ModelError
from lsfa_lite.features.weight_files import write_file

FORMAT = 1  # raised when an older folder can no longer be read
MOST = 1 << 28  # bytes of a description: calibration scores of a million parts
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
        with (folder / DESCRIPTION).open("rb") as file:
            description = json.loads(file.read(MOST))
        found = description["format"]
    except (ValueError, LookupError, TypeError, RecursionError, OSError) as error:
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
        tensors = load_file(folder / TENSORS)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{folder / TENSORS}: damaged ({error}); fit the model again") from error
    if odd := [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]:
        raise ModelError(f"{folder / TENSORS}: NaN or Inf in {odd[0]}; fit the model again")
    return description, tensors


@contextmanager
def named(folder: Path) -> Iterator[None]:
    """Whatever is odd about what a folder holds becomes one error that names it."""
    try:
        yield
    except (FileError, ModelError):
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as e:
        text = f"{folder}: damaged, or of another version ({type(e).__name__}: {e})"
        raise ModelError(f"{text}; fit the model again") from e


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
