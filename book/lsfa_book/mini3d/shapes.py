"""The shapes by name, and how they fill the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lsfa_book.mini3d.food import biscuit, ring
from lsfa_book.mini3d.goods import bracket, handle
from lsfa_book.mini3d.part import Part

SHAPES: dict[str, Callable[[np.random.Generator, float], Part]] = {
    "ring": ring,
    "biscuit": biscuit,
    "handle": handle,
    "bracket": bracket,
}
VIEW = {"ring": 120.0, "biscuit": 116.0, "handle": 109.0, "bracket": 120.0}  # mm across the picture
HEIGHT = {"ring": 24.0, "biscuit": 12.0, "handle": 32.0, "bracket": 18.0}  # mm above the table
