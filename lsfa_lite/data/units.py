"""In which unit a cloud seems to be, and which of its numbers are no distances at all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lsfa_lite.errors import SettingError

FARTHEST = 20.0  # metres; a cloud that reaches farther is not in metres
GAP = 10.0  # nothing real lies this many times farther than what is next to it in reach
BULK = 0.05  # share of the seen pixels that must lie before the gap: holes may be many
DISTANCE, SPACING = 0.6, 0.0005  # metres: of a part from its camera, and of its neighbour pixels
ODD = 2.25  # by so much (a factor of 9.5) must another unit fit better


class Unit(NamedTuple):
    name: str
    metres: float


METRES = Unit("metres", 1.0)
OTHERS = (
    Unit("millimetres", 0.001),
    Unit("centimetres", 0.01),
    Unit("decimetres", 0.1),
    Unit("micrometres", 1e-6),
    Unit("kilometres (divided by 1000 twice)", 1000.0),
)


ASKED = {"um": 1e-6, "mm": 0.001, "cm": 0.01, "dm": 0.1, "m": 1.0, "in": 0.0254}  # --unit


def metres_of(name: str) -> float:
    """Metres per unit of what may be typed: "mm" or "0.001" -> 0.001. ValueError for another."""
    try:
        metres = ASKED.get(name.lower()) or float(name)
    except ValueError:
        metres = np.nan
    if not 0 < metres <= 1:
        names = ", ".join(ASKED)
        raise SettingError(f"--unit {name}: expected one of {names}, or metres per unit: 0.0001")
    return metres


def name_of(metres: float) -> str:
    """What `metres_of` takes: 0.001 -> "mm", 0.00025 -> "0.00025"."""
    near = (name for name, its in ASKED.items() if np.isclose(metres, its, rtol=1e-6))
    return next(near, f"{metres:.6g}")


def spelled(unit: str) -> str:
    """For a sentence: "mm", or "steps of 0.00025 m"."""
    return unit if unit.lower() in ASKED else f"steps of {unit} m"


def outliers(xyz: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W) bool: saturated pixels and codes for holes (-9999, 1e10).

    Sorted by their largest coordinate, they come after a gap of a factor of ten. Judged by that
    gap and not by a bound, so that millimetres are not cut, but named.
    """
    reach = np.abs(xyz).max(axis=-1)  # (H, W)
    ranked = np.sort(reach[np.isfinite(reach) & (reach > 0)])  # (P,)
    first = max(1, int(np.ceil(BULK * len(ranked))))
    far = np.flatnonzero(ranked[first:] > GAP * ranked[first - 1 : -1])
    if not len(far):
        return np.zeros(reach.shape, dtype=bool)
    return np.isfinite(reach) & (reach >= ranked[first + far[0]])


def spacing(xyz: np.ndarray) -> float:
    """(H, W, 3) -> median distance of neighbours in a row; NaN where no two are seen."""
    seen = np.any(xyz != 0, axis=-1)
    pairs = seen[:, 1:] & seen[:, :-1]
    steps = np.linalg.norm((xyz[:, 1:] - xyz[:, :-1])[pairs], axis=-1)
    return float(np.median(steps)) if len(steps) else np.nan


def likely_unit(xyz: np.ndarray) -> Unit | None:
    """The unit that fits (H, W, 3) far better than metres do; None where metres may be right.

    By the distance from the camera, unless the origin lies in the part, and by the spacing.
    """
    z = xyz[..., 2][np.any(xyz != 0, axis=-1)]
    distance = float(np.median(z)) if len(z) and z.min() > 0 else np.nan
    logs = np.log([distance / DISTANCE, spacing(xyz) / SPACING or np.nan])
    logs = logs[np.isfinite(logs)]

    def misfit(unit: Unit) -> float:
        return float(np.abs(logs + np.log(unit.metres)).sum())

    best = min(OTHERS, key=misfit)
    return best if misfit(METRES) - misfit(best) > ODD else None
