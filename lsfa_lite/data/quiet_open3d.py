"""open3d, imported when it is first needed: that takes a second, and few boxes with a GPU have it.

PCD files that are compressed need it, and nothing else does.
"""

from __future__ import annotations

import os
from types import ModuleType

from lsfa_lite.errors import MissingPackage


def open3d() -> ModuleType:
    """The module, without the greeting that it prints into notebooks for its own viewer."""
    os.environ.setdefault("OPEN3D_DISABLE_WEB_VISUALIZER", "true")
    try:
        import open3d as module
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f'{error}: compressed PCD files need open3d: `pip install "lsfa-lite[open3d]"`; clouds '
            "in other files do without it"
        ) from error
    return module
