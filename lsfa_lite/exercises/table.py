"""Chapter "The table is not the part"."""

from __future__ import annotations

import numpy as np

from lsfa_lite.exercises.checking import Exercise


def plane_through(three: np.ndarray) -> tuple[np.ndarray, float]:
    """(3, 3) -> unit normal (3,) and d of n . p + d = 0; the camera, (0, 0, 0), lies above."""
    normal = np.cross(three[1] - three[0], three[2] - three[0])
    normal = normal / np.linalg.norm(normal)
    d = -float(normal @ three[0])
    return (normal, d) if d > 0 else (-normal, -d)


def height(points: np.ndarray, three: np.ndarray) -> np.ndarray:
    normal, d = plane_through(three)
    return points @ normal + d


def along_z(points: np.ndarray, three: np.ndarray) -> np.ndarray:
    normal, _ = plane_through(three)
    return height(points, three) / -normal[2]


def not_turned(points: np.ndarray, three: np.ndarray) -> np.ndarray:
    normal = np.cross(three[1] - three[0], three[2] - three[0])
    return (points - three[0]) @ normal / np.linalg.norm(normal)


def length_left(points: np.ndarray, three: np.ndarray) -> np.ndarray:
    normal = np.cross(three[1] - three[0], three[2] - three[0])
    return height(points, three) * np.linalg.norm(normal)


def without_d(points: np.ndarray, three: np.ndarray) -> np.ndarray:
    return points @ plane_through(three)[0]


def behind(points: np.ndarray, three: np.ndarray) -> np.ndarray:
    return -height(points, three)


def unsigned(points: np.ndarray, three: np.ndarray) -> np.ndarray:
    return np.abs(height(points, three))


def heights(points: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Signed height of every point (P,) over each hypothesis (I, 3): (I, P)."""
    return np.stack([height(points, points[draw]) for draw in draws])


def ransac(points: np.ndarray, draws: np.ndarray, band: float) -> np.ndarray:
    inside = np.abs(heights(points, draws)) < band  # (I, P)
    return inside[inside.sum(axis=1).argmax()]


def one_sided(points: np.ndarray, draws: np.ndarray, band: float) -> np.ndarray:
    inside = heights(points, draws) < band
    return inside[inside.sum(axis=1).argmax()]


def long_normals(points: np.ndarray, draws: np.ndarray, band: float) -> np.ndarray:
    inside = np.stack([np.abs(length_left(points, points[draw])) < band for draw in draws])
    return inside[inside.sum(axis=1).argmax()]


def last_one(points: np.ndarray, draws: np.ndarray, band: float) -> np.ndarray:
    return np.abs(heights(points, draws)[-1]) < band


def least_squares(points: np.ndarray, draws: np.ndarray, band: float) -> np.ndarray:
    far = np.abs(heights(points, draws))
    return far[(far**2).mean(axis=1).argmin()] < band


def most_outliers(points: np.ndarray, draws: np.ndarray, band: float) -> np.ndarray:
    inside = np.abs(heights(points, draws)) < band
    return inside[inside.sum(axis=1).argmin()]


def other_side(points: np.ndarray, draws: np.ndarray, band: float) -> np.ndarray:
    return ~ransac(points, draws, band)


def scene(seed: int, wrong: int) -> tuple[np.ndarray, np.ndarray]:
    """A tilted table of 40 points with noise, `wrong` points above it, and 30 draws of three.

    One draw in the middle is of table points far apart, the last one is of the part.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-0.06, 0.06, (2, 40 + wrong))
    x[:3], y[:3] = [-0.06, 0.06, 0.0], [-0.05, -0.05, 0.06]
    z = 0.5 + 0.15 * y - 0.05 * x + rng.normal(0, 0.0002, x.shape)
    z[40:] -= rng.uniform(0.02, 0.06, wrong)
    points = np.stack([x, y, z], axis=1)
    draws = np.stack([rng.choice(40 + wrong, 3, replace=False) for _ in range(30)])
    draws[17] = [0, 1, 2]
    draws[-1] = [40, 41, 42]
    return points, draws


def height_cases() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Three points of a tilted table, once clockwise and once not, seen from half a metre."""
    points, _ = scene(0, 12)
    three = np.array([[-0.05, -0.04, 0.496], [0.06, -0.05, 0.4895], [0.01, 0.05, 0.507]])
    return (points, three), (points, three[::-1].copy())


EXERCISES = {
    "height": Exercise(
        cases=height_cases(),
        solution=height,
        mistakes={
            "the normal does not have length 1; divide it by its length.": length_left,
            "the sign hangs on the order of the three points. Turn the normal so that the camera, "
            "(0, 0, 0), has a positive height.": not_turned,
            "this is positive behind the table; the camera's side should be.": behind,
            "this is the distance without its sign. What lies behind the table must be "
            "told from what stands on it.": unsigned,
            "d is missing: this is the height above a plane through the camera.": without_d,
            "this is measured along z. Measure along the normal.": along_z,
        },
    ),
    "ransac": Exercise(
        cases=tuple((*scene(seed, wrong), 0.001) for seed, wrong in ((1, 12), (2, 25), (3, 30))),
        solution=ransac,
        mistakes={
            "points far behind a hypothesis count as its inliers; take the absolute value.": (
                one_sided
            ),
            "normals that are not of length 1 turn the band into another unit; divide by the "
            "length.": long_normals,
            "this is the last hypothesis, not the best one.": last_one,
            "this takes the least mean square. Outliers pull it most; count inliers.": (
                least_squares
            ),
            "this is the hypothesis with the fewest inliers.": most_outliers,
            "this marks the outliers; return True on the table.": other_side,
        },
    ),
}
