"""Which change of the maps each defect of each kind is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lsfa_book.mini3d.defects import (
    Bent,
    Change,
    Contamination,
    Groove,
    Hole,
    Stain,
    Swell,
)
from lsfa_book.mini3d.openings import Bore, Opening, Slit
from lsfa_book.mini3d.part import Part

_CRUMBS = ((0.05, 0.12, 0.35), (0.28, 0.30, 0.30), (0.55, 0.55, 0.50), (0.30, 0.03, 0.03))

FLAWS: dict[tuple[str, str], Callable[[Part, np.random.Generator, float], Change]] = {
    ("ring", "stain"): Stain(((0.035, 0.016, 0.008), (0.30, 0.34, 0.22))),
    ("ring", "dent"): Swell(-1),
    ("ring", "hole"): Hole((0.16, 0.075, 0.025)),
    ("ring", "contamination"): Contamination(_CRUMBS),
    ("biscuit", "stain"): Stain(((0.10, 0.045, 0.018), (0.62, 0.58, 0.48))),
    ("biscuit", "bump"): Swell(1),
    ("biscuit", "crack"): Groove((0.10, 0.042, 0.014), bends=1.0),
    ("biscuit", "contamination"): Contamination(_CRUMBS),
    ("handle", "burn"): Stain(((0.045, 0.020, 0.010), (0.08, 0.055, 0.045))),
    ("handle", "dent"): Swell(-1),
    ("handle", "cut"): Groove((0.66, 0.47, 0.25), bends=0.0),
    ("handle", "contamination"): Contamination((*_CRUMBS, (0.6, 0.55, 0.35)), gloss=0.4),
    ("bracket", "rust"): Stain(((0.26, 0.085, 0.022), (0.20, 0.10, 0.05))),
    ("bracket", "bent"): Bent(),
    ("bracket", "cut"): Groove((0.62, 0.63, 0.64), bends=0.0, depth=(0.4, 2.0), width=(1.0, 2.0)),
    ("bracket", "contamination"): Contamination((*_CRUMBS, (0.10, 0.07, 0.03))),
    ("carrot", "rot"): Stain(((0.085, 0.045, 0.018), (0.14, 0.075, 0.03)), opacity=(0.25, 0.95)),
    ("carrot", "knob"): Swell(1, depth=(0.6, 3.2), radius=(6.0, 8.5)),
    ("carrot", "hole"): Opening(Bore((1.3, 3.4)), (0.16, 0.060, 0.012), 0.2),
    ("carrot", "cut"): Opening(
        Slit((10, 30), (2, 7), 0.9), (0.64, 0.26, 0.05), 0.2, (0.05, 0.6), 4.0
    ),
    ("foam", "stain"): Stain(((0.06, 0.045, 0.02), (0.30, 0.22, 0.06)), opacity=(0.08, 0.55)),
    ("foam", "dent"): Swell(-1, depth=(0.8, 4.0)),
    ("foam", "hole"): Opening(Bore((2.0, 5.0)), (0.10, 0.10, 0.09), 0.2),
    ("foam", "cut"): Opening(
        Slit((16, 40), (2.4, 5.5), 0.75), (0.14, 0.13, 0.12), 0.2, (0.05, 0.5), 4.0
    ),
    ("peach", "bruise"): Stain(((0.16, 0.06, 0.022), (0.11, 0.05, 0.025))),
    ("peach", "dent"): Swell(-1, depth=(0.6, 3.4)),
    ("peach", "cut"): Groove((0.62, 0.38, 0.11), bends=0.35, width=(1.3, 3.0)),
    ("peach", "bite"): Opening(Bore((4.0, 12.0), 0.75), (0.74, 0.56, 0.22), 0.1, (0.05, 0.9), 8.0),
    ("potato", "green"): Stain(
        ((0.10, 0.125, 0.03), (0.14, 0.155, 0.045)), opacity=(0.3, 0.9), radius=(7.0, 12.0)
    ),
    ("potato", "dent"): Swell(-1, depth=(0.8, 3.6)),
    ("potato", "hole"): Opening(Bore((1.4, 3.2)), (0.075, 0.045, 0.02), 0.2),
    ("potato", "cut"): Opening(Bore((3.0, 9.0), 0.75), (0.56, 0.47, 0.24), 0.1, (0.05, 0.8), 4.0),
    ("rope", "stain"): Stain(
        ((0.05, 0.04, 0.03), (0.10, 0.12, 0.16)), opacity=(0.35, 0.95), radius=(5.0, 9.5)
    ),
    ("rope", "crushed"): Swell(-1, depth=(0.6, 2.4), radius=(8.0, 11.0)),
    ("rope", "cut"): Opening(
        Slit((16, 28), (3.5, 9.5), 0.97), (0.54, 0.39, 0.19), 0.1, (0.05, 0.5), 2.6
    ),
    ("rope", "open"): Opening(Slit((16, 34), (3, 8)), (0.12, 0.075, 0.035), 0.2, (0.05, 0.6), 3.0),
    ("tire", "bloom"): Stain(((0.14, 0.14, 0.135), (0.11, 0.09, 0.06)), opacity=(0.06, 0.45)),
    ("tire", "bulge"): Swell(1, depth=(0.6, 3.2)),
    ("tire", "cut"): Groove((0.030, 0.028, 0.026), bends=0.2, depth=(0.8, 3.6), opacity=(0.1, 0.4)),
    ("tire", "torn"): Opening(
        Bore((3.0, 8.5), 0.97), (0.03, 0.029, 0.028), 0.1, (0.05, 0.6), 4.0, opacity=(0.1, 0.4)
    ),
}
