"""open3d, imported when it is first needed: that takes a second."""

from __future__ import annotations

import os
from types import ModuleType


def open3d() -> ModuleType:
    """The module, without the greeting that it prints into notebooks for its own viewer."""
    os.environ.setdefault("OPEN3D_DISABLE_WEB_VISUALIZER", "true")
    import open3d as module

    return module
