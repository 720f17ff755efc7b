"""A category of mini3d, made and cleaned once for all runs that need it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lsfa_book import mini3d
from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import clean_folder
from lsfa_lite.data.files import written_beside


def prepared(folder: Path, config: mini3d.Mini3DConfig, category: str) -> Path:
    """folder/<category>/clean in the layout of MVTec 3D-AD; only the cleaned parts are kept."""
    clean = folder / category / "clean"
    if clean.is_dir():
        return clean
    try:
        with tempfile.TemporaryDirectory(prefix="lsfa-raw-") as scratch, written_beside(clean) as c:
            clean_folder(mini3d.write(scratch, config, [category]), c, BackgroundConfig())
    except OSError:
        if not clean.is_dir():  # else another process was faster, with the same bytes
            raise
    return clean
