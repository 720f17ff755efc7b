"""The shapes by name, in the order of MVTec 3D-AD's categories, and how they fill the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lsfa_book.mini3d.food import biscuit, carrot, peach, potato, ring
from lsfa_book.mini3d.goods import bracket, foam, handle, rope, tire
from lsfa_book.mini3d.part import Part

SHAPES: dict[str, Callable[[np.random.Generator, float], Part]] = {
    shape.__name__: shape
    for shape in (ring, bracket, carrot, biscuit, handle, foam, peach, potato, rope, tire)
}
VIEW = {  # mm across the picture
    **{"ring": 120.0, "bracket": 120.0, "carrot": 107.0, "biscuit": 116.0, "handle": 109.0},
    **{"foam": 120.0, "peach": 110.0, "potato": 114.0, "rope": 118.0, "tire": 120.0},
}
HEIGHT = {  # mm above the table
    **{"ring": 24.0, "bracket": 18.0, "carrot": 27.0, "biscuit": 12.0, "handle": 32.0},
    **{"foam": 24.0, "peach": 38.0, "potato": 30.0, "rope": 20.0, "tire": 27.0},
}
