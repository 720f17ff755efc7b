"""Shapes made by code, seen from one side by a depth camera: the point network's first lessons.

A shape is a function: points (...,3) -> signed value, negative inside. That makes joining a
minimum, cutting a maximum, and a lumpy surface a sum. The camera looks along +z, as in a scan.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

Shape = Callable[[np.ndarray], np.ndarray]
REACH = 1.3  # half the side of the cube in which shapes lie


def superquadric(size: np.ndarray, round_side: float, round_top: float) -> Shape:
    """From a box (exponents near 0) over cylinders to an ellipsoid (1) and a double cone (2)."""

    def value(p: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(np.abs(p) / size + 1e-6, -1, 0)
        side = (x ** (2 / round_side) + y ** (2 / round_side)) ** (round_side / round_top)
        return ((side + z ** (2 / round_top)) ** (round_top / 2) - 1) * size.min()

    return value


def torus(radius: float, tube: float, squash: float) -> Shape:
    """A ring in the xy plane; `squash` < 1 makes it oval."""

    def value(p: np.ndarray) -> np.ndarray:
        ring = np.hypot(p[..., 0], p[..., 1] / squash) - radius
        return np.hypot(ring, p[..., 2]) - tube

    return value


def bent(shape: Shape, bend: float, taper: float) -> Shape:
    """Bend a shape along x, and make it thinner towards one end."""

    def value(p: np.ndarray) -> np.ndarray:
        x = p[..., 0]
        thin = 1 / np.clip(1 - taper * x, 0.4, 2)
        return shape(np.stack([x, p[..., 1] * thin, (p[..., 2] - bend * x**2) * thin], axis=-1))

    return value


def moved(shape: Shape, rotation: np.ndarray, shift: np.ndarray) -> Shape:
    return lambda p: shape((p - shift) @ rotation)


def lumpy(shape: Shape, waves: np.ndarray, phases: np.ndarray, heights: np.ndarray) -> Shape:
    """Displace the surface by a sum of plane waves."""
    return lambda p: shape(p) - np.sin(p @ waves.T + phases) @ heights


def joined(shapes: list[Shape]) -> Shape:
    return lambda p: np.min([shape(p) for shape in shapes], axis=0)


def cut(shape: Shape, tool: Shape) -> Shape:
    return lambda p: np.maximum(shape(p), -tool(p))


def primitive(rng: np.random.Generator) -> Shape:
    """One random body of about unit size."""
    kind = rng.choice(["disc", "ring", "long", "any"])
    if kind == "ring":
        tube = rng.uniform(0.15, 0.4)
        return torus(0.95 - tube, tube, rng.uniform(0.6, 1.0))
    sizes = {
        "disc": (rng.uniform(0.6, 1.0), rng.uniform(0.6, 1.0), rng.uniform(0.1, 0.4)),
        "long": (rng.uniform(0.7, 1.0), rng.uniform(0.12, 0.4), rng.uniform(0.12, 0.4)),
        "any": tuple(rng.uniform(0.25, 0.9, 3)),
    }
    round_side, round_top = rng.choice([0.1, 0.3, 0.6, 1.0, 1.4], 2, p=[0.25, 0.15, 0.2, 0.3, 0.1])
    shape = superquadric(np.array(sizes[kind]), round_side, round_top)
    return bent(shape, rng.uniform(-0.3, 0.3), rng.uniform(-0.4, 0.4))


def random_shape(rng: np.random.Generator) -> Shape:
    """One to three bodies joined, lumpy, with pieces cut out."""
    bodies = [primitive(rng)]
    for _ in range(rng.choice(3, p=[0.55, 0.3, 0.15])):
        small = primitive(rng)
        scale = rng.uniform(0.15, 0.6)
        bodies.append(_placed(lambda p, s=small, k=scale: s(p / k) * k, rng, 0.6))
    shape = joined(bodies)
    if rng.random() < 0.7:
        count = 6
        waves = rng.normal(size=(count, 3)) * rng.choice([3.0, 8.0, 20.0])
        heights = rng.uniform(0, 0.05) / (1 + np.linalg.norm(waves, axis=1))
        shape = lumpy(shape, waves, rng.uniform(0, 6.3, count), 4 * heights)
    for _ in range(rng.choice(3, p=[0.6, 0.3, 0.1])):
        tool = primitive(rng)
        scale = rng.uniform(0.1, 0.4)
        shape = cut(shape, _placed(lambda p, s=tool, k=scale: s(p / k) * k, rng, 0.7))
    return shape


def _placed(shape: Shape, rng: np.random.Generator, reach: float) -> Shape:
    rotation = Rotation.random(rng=rng).as_matrix()
    return moved(shape, rotation, rng.uniform(-reach, reach, 3) * [1, 1, 0.4])


def random_view(rng: np.random.Generator) -> np.ndarray:
    """A rotation (3,3): mostly from above, as a part lies under a camera; else from anywhere."""
    if rng.random() < 0.25:
        return Rotation.random(rng=rng).as_matrix()
    tilt = Rotation.from_rotvec(np.append(rng.normal(0, 0.25, 2), 0))
    spin = Rotation.from_rotvec([0, 0, rng.uniform(0, 2 * np.pi)])
    return (tilt * spin).as_matrix()


def scan(shape: Shape, rays: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """The points (P,3) at which rays along +z first meet the shape; P < rays, some miss it."""
    xy = rng.uniform(-REACH, REACH, (rays, 2)).astype(np.float32)
    depths = np.linspace(-REACH, REACH, steps, dtype=np.float32)
    points = np.empty((rays, steps, 3), np.float32)
    points[..., :2] = xy[:, None]
    points[..., 2] = depths
    inside = shape(points) < 0  # (rays, steps)
    hit = inside[:, 1:].any(axis=1) & ~inside[:, 0]
    first = inside.argmax(axis=1)[hit]
    xy, near, far = xy[hit], depths[first - 1], depths[first]
    for _ in range(12):  # bisection
        middle = (near + far) / 2
        within = shape(np.column_stack([xy, middle])) < 0
        near, far = np.where(within, near, middle), np.where(within, middle, far)
    return np.column_stack([xy, far])


def make_scan(seed: int, points: int = 8192, rays: int = 16384) -> np.ndarray:
    """The one-sided view (P,3) float32 of the random shape of a seed; points / 2 <= P <= points."""
    rng = np.random.default_rng(seed)
    while True:
        shape = moved(random_shape(rng), random_view(rng), np.zeros(3))
        trial = scan(shape, 2048, 24, rng)
        if len(trial) < 0.12 * 2048:
            continue  # too thin to see
        need = min(4 * rays, int(1.1 * points * 2048 / len(trial)))
        cloud = scan(shape, need, 24, rng)[:points]
        if len(cloud) >= points / 2:
            return cloud.astype(np.float32)


def add_details(cloud: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bumps, dents, grooves, rough spots, holes, as large as a few groups: (P,3) -> (P',3)."""
    cloud = cloud.copy()
    for kind in rng.choice(["bump", "dent", "groove", "rough", "hole"], rng.integers(0, 9)):
        centre = cloud[rng.integers(len(cloud)), :2]
        radius = np.exp(rng.uniform(np.log(0.04), np.log(0.25)))
        offset = cloud[:, :2] - centre
        if kind == "groove":  # narrow across, long along
            angle = rng.uniform(0, np.pi)
            offset = offset @ np.array(
                [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            )
            offset[:, 0] *= rng.uniform(2, 6)
        reach = np.hypot(*offset.T) / radius
        if kind == "hole":
            cloud = cloud[reach > 0.7]
            continue
        profile = (
            np.exp(-(reach**2)) if rng.random() < 0.6 else 0.5 - 0.5 * np.tanh(6 * (reach - 1))
        )
        height = radius * rng.uniform(0.05, 0.5)
        if kind == "rough":
            waves = rng.normal(size=(4, 2)) * 3 / radius
            profile = profile * np.sin(offset @ waves.T + rng.uniform(0, 6.3, 4)).mean(axis=1)
        # the camera looks along +z: towards it is a bump
        cloud[:, 2] += height * profile * (-1 if kind == "bump" else 1)
    return cloud
