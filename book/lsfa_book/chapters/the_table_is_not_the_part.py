"""Chapter "The table is not the part". Its figures, then its exercises.

A scan from the side: one column of pixels, the table below, the camera above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes

from lsfa_book.checking import Exercise
from lsfa_book.figures.charts import colours_of, legend, slider
from lsfa_book.figures.style import INK, MODALITY
from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import border_plane, plane_distance
from lsfa_lite.data.sample import Sample

ACROSS, AWAY = "across the table (y), mm", "distance from the camera (z), mm"
STYLES = ("-", "--", "-.", ":")  # of up to four planes in one side view


def along_rays(points: np.ndarray, plane: np.ndarray, height: float = 0.0) -> np.ndarray:
    """Move points (P, 3) along their camera rays to `height` metres above the plane (4,).

    A pixel sees along one ray through the origin, so a moved point is still what it sees.
    """
    points = np.asarray(points, dtype=np.float64)
    stretch = (height - plane[3]) / (points @ plane[:3])  # (P,)
    return (points * stretch[:, None]).astype(np.float32)


def side_view(
    axis: Axes,
    sample: Sample,
    column: int,
    planes: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Draw what one column of pixels saw, and planes (4,) by name as lines, camera at the top."""
    points = _column(sample, column)  # (P, 3)
    y, z = 1000 * points[:, 1], 1000 * points[:, 2]
    axis.plot(y, z, ".", color=INK, markersize=3, label="points of the scan")
    planes = planes or {}
    colours = colours_of(np.arange(len(planes)), "viridis", -0.5, max(len(planes), 2) - 0.3) / 255
    for (name, plane), colour, style in zip(planes.items(), colours, STYLES, strict=False):
        on = 1000 * along_rays(points, plane)
        axis.plot(on[:, 1], on[:, 2], style, color=colour, linewidth=2, label=name)
    axis.invert_yaxis()
    axis.set_xlabel(ACROSS)
    axis.set_ylabel(AWAY)
    legend(axis, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)


def ransac_slider(
    sample: Sample,
    column: int,
    millimetres: Sequence[float],
    config: BackgroundConfig | None = None,
    active: int = 0,
    alt: str = "",
) -> go.Figure:
    """RANSAC anew at each inlier band (mm): which points of one column count as table then.

    The label of a step gives the band and the share of the whole scan inside it. Raises
    ValueError where no plane is found at all.
    """
    assert sample.xyz is not None
    config, steps = config or BackgroundConfig(), []
    points = _column(sample, column)[::2]  # every second one: the page stays light
    for band in millimetres:
        plane = border_plane(sample.xyz, replace(config, ransac_distance=band / 1000))
        if plane is None:
            raise ValueError(f"no plane holds enough of the border at {band} mm")
        share = (np.abs(plane_distance(sample.xyz[sample.valid], plane)) < band / 1000).mean()
        inside = np.abs(plane_distance(points, plane)) < band / 1000  # (P,)
        ends = points[[0, -1]]
        band_ends = [along_rays(ends, plane, side * band / 1000) for side in (1, -1)]
        traces = [
            _dots(points[inside], "counted as table", MODALITY["3d"], "circle"),
            _dots(points[~inside], "not counted", MODALITY["rgb"], "x"),
            _line(along_rays(ends, plane), "the plane", INK, "solid"),
            _line(band_ends[0], "edge of the band", INK, "dot"),
            _line(band_ends[1], "", INK, "dot"),
        ]
        steps.append((f"{band:g} mm, {share:.0%}", traces))
    figure = slider(steps, "band, share of the scan inside it", ACROSS, AWAY, alt, active)
    seen = 1000 * points[:, 2]
    figure.layout.yaxis.range = [float(seen.max() + 12), float(seen.min() - 12)]  # camera on top
    return figure


def _column(sample: Sample, column: int) -> np.ndarray:
    """(P, 3) metres: what the sensor saw in one column of pixels, from top to bottom."""
    if sample.xyz is None:
        raise ValueError(f"{sample.path}: no xyz; a side view needs the depth sensor's file")
    return sample.xyz[sample.valid[:, column], column]


def _dots(points: np.ndarray, name: str, colour: str, symbol: str) -> go.Scatter:
    y, z = (1000 * points[:, 1:]).astype(np.float32).T
    marker = {"color": colour, "size": 5, "symbol": symbol}
    return go.Scatter(x=y, y=z, mode="markers", name=name, marker=marker)


def _line(ends: np.ndarray, name: str, colour: str, dash: str) -> go.Scatter:
    y, z = (1000 * ends[:, 1:]).astype(np.float32).T
    line = {"color": colour, "dash": dash, "width": 1.5}
    return go.Scatter(x=y, y=z, mode="lines", name=name, line=line, showlegend=bool(name))


# --- exercises ------------------------------------------------------------------------------


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


def drawn_height(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    points, _ = scene(seed, 15)
    three = points[:3] + np.random.default_rng(seed).uniform(-0.01, 0.01, (3, 3))
    return (points, three), (points, three[::-1].copy())


EXERCISES = {
    "height": Exercise(
        cases=height_cases(),
        solution=height,
        drawn=drawn_height,
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
        drawn=lambda seed: tuple((*scene(seed + i, 10 + 9 * i), 0.001) for i in range(3)),
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
