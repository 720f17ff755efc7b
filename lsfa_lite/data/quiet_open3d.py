"""open3d, imported when it is first needed: that takes a second, and few boxes with a GPU have it.

FPFH and PLY or PCD files need it; background removal and Point-MAE do not.
"""

from __future__ import annotations

import os
from types import ModuleType


def open3d() -> ModuleType:
    """The module, without the greeting that it prints into notebooks for its own viewer."""
    os.environ.setdefault("OPEN3D_DISABLE_WEB_VISUALIZER", "true")
    try:
        import open3d as module
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}: FPFH and PLY or PCD files need open3d: `pip install open3d-cpu` (Linux) or "
            '`pip install open3d`; features.points.backbone="point_mae" does without it',
            name=error.name,
        ) from error
    return module
