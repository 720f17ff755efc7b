"""The embedded set's dials: sizes, nuisance, strength of the defects, camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from lsfa_lite.checked import Checked, NotNegative, Positive, Rule, Share, Whole

# Ten kinds in the order of MVTec 3D-AD's ten, whose nature they echo: bagel, cable gland, carrot,
# cookie, dowel, foam, peach, potato, rope, tire. Four defects each, in the order in which class ids
# are given out: 255, 254, 253, 252. The first is seen in RGB only, the second in 3D only (shading
# shows it faintly), the rest in both.
DEFECTS: dict[str, tuple[str, ...]] = {
    "ring": ("stain", "dent", "hole", "contamination"),
    "bracket": ("rust", "bent", "cut", "contamination"),
    "carrot": ("rot", "knob", "hole", "cut"),
    "biscuit": ("stain", "bump", "crack", "contamination"),
    "handle": ("burn", "dent", "cut", "contamination"),
    "foam": ("stain", "dent", "hole", "cut"),
    "peach": ("bruise", "dent", "cut", "bite"),
    "potato": ("green", "dent", "hole", "cut"),
    "rope": ("stain", "crushed", "cut", "open"),
    "tire": ("bloom", "bulge", "cut", "torn"),
}
KINDS: tuple[str, ...] = tuple(DEFECTS)
CATEGORIES = ("ring", "biscuit", "handle", "bracket")  # those of the shipped records


Pixels = Annotated[int, Rule("int >= 32", lambda x: x >= 32)]
Strength = Annotated[
    tuple[float, float], Rule("0 < low <= high <= 1", lambda x: 0 < x[0] <= x[1] <= 1)
]


@dataclass(frozen=True)
class Mini3DConfig(Checked):
    """What is made. Two configurations that are equal make the same bytes."""

    seed: Whole = 0
    train: Whole = 40  # good parts
    validation: Whole = 16  # good parts
    test_good: Whole = 24
    test_per_defect: Whole = 8  # per defect folder, four folders per category
    size: Pixels = 256  # pixels, square pictures
    nuisance: Share = 0.4  # light, pose, size, texture, sensor (ranges: scene.NUISANCE)
    strength: Strength = (0.15, 1.0)  # of the defects: barely visible .. obvious
    distance: Positive = 0.5  # metres from the camera to the part
    depth_noise: NotNegative = 1.0  # factor on the depth sensor's noise (sensor.DEPTH_NOISE)


def folders(category: str, config: Mini3DConfig) -> Iterator[tuple[str, int]]:
    """Yields ("train/good", 40), ..., ("test/hole", 8): each folder and how many scans it holds."""
    yield "train/good", config.train
    yield "validation/good", config.validation
    yield "test/good", config.test_good
    for defect in DEFECTS[category]:
        yield f"test/{defect}", config.test_per_defect


def class_id(category: str, defect: str) -> int:
    """The grey value of a defect in the ground truth: 255 for the category's first, then down."""
    return 255 - DEFECTS[category].index(defect)
