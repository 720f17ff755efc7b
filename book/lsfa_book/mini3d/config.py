"""The embedded set's dials: sizes, nuisance, strength of the defects, camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Four defects per category, in the order in which class ids are given out: 255, 254, 253, 252.
# The first is seen in RGB only, the second in 3D only (shading shows it faintly), the rest in both.
DEFECTS: dict[str, tuple[str, ...]] = {
    "ring": ("stain", "dent", "hole", "contamination"),
    "biscuit": ("stain", "bump", "crack", "contamination"),
    "handle": ("burn", "dent", "cut", "contamination"),
    "bracket": ("rust", "bent", "cut", "contamination"),
}
CATEGORIES: tuple[str, ...] = tuple(DEFECTS)


@dataclass(frozen=True)
class Mini3DConfig:
    """What is made. Two configurations that are equal make the same bytes."""

    seed: int = 0
    train: int = 40  # good parts
    validation: int = 16  # good parts
    test_good: int = 24
    test_per_defect: int = 8  # per defect folder, four folders per category
    size: int = 256  # pixels, square pictures
    nuisance: float = 0.4  # 0..1: light, pose, size, texture, sensor (ranges: scene.NUISANCE)
    strength: tuple[float, float] = (0.15, 1.0)  # of the defects: barely visible .. obvious
    distance: float = 0.5  # metres from the camera to the part
    depth_noise: float = 1.0  # factor on the depth sensor's noise (sensor.DEPTH_NOISE)

    def __post_init__(self) -> None:
        low, high = self.strength
        if not 0 <= self.nuisance <= 1:
            raise ValueError(f"nuisance is {self.nuisance}, expected a number from 0 to 1")
        if not 0 < low <= high <= 1:
            raise ValueError(f"strength is {self.strength}, expected 0 < low <= high <= 1")
        if self.size < 32:
            raise ValueError(f"size is {self.size} pixels, expected at least 32")
        if self.seed < 0 or min(self.train, self.validation, self.test_good) < 0:
            raise ValueError("seed and counts must not be negative")
        if self.test_per_defect < 0 or self.distance <= 0 or self.depth_noise < 0:
            raise ValueError("test_per_defect, distance and depth_noise must not be negative")


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
