"""Chapter "A second opinion: Eyecandies". Its figures, then its exercises.

One scan under several lights: a cloud to turn, and a slider that changes the lamp.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from lsfa_book.checking import Exercise
from lsfa_book.figures.clouds import MAX_POINTS, PALETTE, cloud
from lsfa_lite.data.sample import Sample


def under_lights(
    pictures: Mapping[str, Sample],
    *,
    keep: np.ndarray | None = None,
    points: int = 2400,
    alt: str = "",
    height: int = 480,
) -> go.Figure:
    """Light -> the same scan in that light; only the colours change with the slider.

    keep    (H, W) bool, the pixels to draw; None is every pixel that the sensor saw.
    points  the cloud is thinned to at most this many, evenly over the picture; or to MAX_POINTS.
    Raises ValueError where a scan has no picture or no cloud, or the clouds differ.
    """
    first = next(iter(pictures.values()))
    for name, sample in pictures.items():
        if sample.rgb is None or sample.xyz is None or first.xyz is None:
            raise ValueError(f"{name}: {sample.path} lacks the picture or the cloud")
        if not np.array_equal(sample.xyz, first.xyz):
            raise ValueError(f"{name}: another cloud; only the light may differ")
    thin = _every_so_many(first.valid if keep is None else first.valid & keep, points)  # (H, W)
    figure = cloud(first, "rgb", keep=thin, height=height)
    colours, palette = _shared_palette(list(pictures.values()), np.flatnonzero(thin))
    last = max(len(palette) - 1, 1)
    stops = [[i / last, f"rgb({r},{g},{b})"] for i, (r, g, b) in enumerate(palette)]
    if len(stops) == 1:  # pictures of one colour
        stops.append([1.0, stops[0][1]])
    marker = {"color": _packed(colours[0]), "colorscale": stops, "cmin": 0, "cmax": last}
    figure.data[0].marker.update(marker)
    steps = [
        {"label": name, "method": "restyle", "args": [{"marker.color": [_packed(colour)]}, [0]]}
        for name, colour in zip(pictures, colours, strict=True)
    ]
    slider = {"steps": steps, "currentvalue": {"prefix": "light: "}, "x": 0.05, "len": 0.9}
    figure.update_layout(sliders=[slider], margin={"l": 0, "r": 0, "t": 28, "b": 110})
    figure.layout.meta = {"alt": alt or "A cloud under several lights"}
    return figure


def _every_so_many(wanted: np.ndarray, points: int) -> np.ndarray:
    """(H, W) bool -> every n-th of its rows and columns, n as small as `points` allows."""
    step, thin = 1, wanted
    while thin.sum() > min(points, MAX_POINTS):
        step += 1
        thin = np.zeros_like(wanted)
        thin[step // 2 :: step, step // 2 :: step] = wanted[step // 2 :: step, step // 2 :: step]
    return thin


def _shared_palette(samples: list[Sample], pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lights, P) uint8 indices into (colours, 3), one palette for all lights."""
    rows = []
    for sample in samples:
        assert sample.colour is not None  # under_lights has made sure
        rows.append((255 * sample.colour.reshape(-1, 3)[pixels]).round())
    rgb = np.stack(rows).astype(np.uint8)  # (lights, P, 3)
    indexed = Image.fromarray(rgb).quantize(PALETTE, method=Image.Quantize.MEDIANCUT)
    index = np.asarray(indexed, dtype=np.uint8)  # (lights, P)
    palette = np.asarray(indexed.getpalette(), dtype=int).reshape(-1, 3)
    return index, palette[: int(index.max()) + 1]


def _packed(values: np.ndarray) -> dict[str, str]:
    """uint8 as plotly.js reads it; in a slider's list each number would take a line of its own."""
    return {"dtype": "u1", "bdata": base64.b64encode(values.tobytes()).decode()}


# --- exercises ------------------------------------------------------------------------------


def tilt(pose: np.ndarray, normal: np.ndarray) -> float:
    """Degrees between the belt's normal and the world's z, the pose read as camera to world.

    pose (4, 4); normal (3,), of length 1, in the camera's frame.
    """
    up = pose[:3, :3] @ normal
    return float(np.degrees(np.arccos(np.clip(up[2], -1, 1))))


def turned_back(pose: np.ndarray, normal: np.ndarray) -> float:
    return tilt(np.linalg.inv(pose), normal)


def moved_too(pose: np.ndarray, normal: np.ndarray) -> float:
    up = pose[:3, :3] @ normal + pose[:3, 3]
    return float(np.degrees(np.arccos(up[2] / np.linalg.norm(up))))


def stereo(brightness: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    """Photometric stereo: brightness (L, P) under lamps (L, 3), of length 1 -> normals (P, 3).

    Lambert without ambient light, and every lamp reaches every point.
    """
    scaled = np.linalg.lstsq(lamps, brightness, rcond=None)[0].T  # (P, 3), normal times paint
    return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def painted(brightness: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(lamps, brightness, rcond=None)[0].T


def weighted_lamps(brightness: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    total = brightness.T @ lamps
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def three_only(brightness: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    return stereo(brightness[:3], lamps[:3])


def one_length(brightness: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    scaled = painted(brightness, lamps)
    return scaled / np.linalg.norm(scaled)


def looking(down: float, sideways: float) -> np.ndarray:
    """A camera-to-world pose: x right, y down, z away, `down` degrees below the horizon."""
    d, s = np.radians([down, sideways])
    right = np.array([np.cos(s), -np.sin(s), 0])
    away = np.array([np.sin(s) * np.cos(d), np.cos(s) * np.cos(d), -np.sin(d)])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(away, right), away], axis=1)
    pose[:3, 3] = 0.3, -0.2, 1.2
    return pose


def seen(pose: np.ndarray, lean: float) -> np.ndarray:
    """The camera's view of the normal of a belt that leans by so many degrees."""
    a = np.radians(lean)
    return pose[:3, :3].T @ np.array([0, np.sin(a), np.cos(a)])


RNG = np.random.default_rng(0)
LAMPS = np.array([[0, 0.8, -0.6], [0.8, 0, -0.6], [0, -0.8, -0.6], [-0.6, 0.0, -0.8]])
NORMALS = np.stack([*RNG.uniform(-0.35, 0.35, (2, 20)), -np.ones(20)], axis=1)
NORMALS /= np.linalg.norm(NORMALS, axis=1, keepdims=True)
PAINT = RNG.uniform(0.2, 1.0, 20)
# the sensor's noise makes four lamps disagree a little, so that each of them counts
BRIGHTNESS = LAMPS @ (PAINT[:, None] * NORMALS).T + RNG.normal(0, 0.01, (4, 20))
POSES = looking(40, 0), looking(55, 25), looking(70, -10)


def drawn_tilt(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    poses = [looking(*rng.uniform((30, -40), (75, 40))) for _ in range(3)]
    return tuple((pose, seen(pose, lean)) for pose, lean in zip(poses, (5, 20, 50), strict=True))


def drawn_stereo(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng = np.random.default_rng(seed)
    normals = np.stack([*rng.uniform(-0.35, 0.35, (2, 15)), -np.ones(15)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    brightness = LAMPS @ (rng.uniform(0.2, 1.0, (15, 1)) * normals).T
    return ((brightness + rng.normal(0, 0.01, brightness.shape), LAMPS),)


EXERCISES = {
    "tilt": Exercise(
        cases=(
            (POSES[0], seen(POSES[0], 0)),
            (POSES[1], seen(POSES[1], 12)),
            (POSES[2], seen(POSES[2], 30)),
        ),
        solution=tilt,
        drawn=drawn_tilt,
        mistakes={
            "this reads the pose the other way round, as world to camera.": turned_back,
            "a direction is turned, not moved: leave the last column out.": moved_too,
            "this is in radians.": lambda pose, normal: np.radians(tilt(pose, normal)),
            "this compares with the camera's axis; turn the normal into the world first.": (
                lambda pose, normal: float(np.degrees(np.arccos(normal[2])))
            ),
            "this is the cosine; the angle is its arccos.": (
                lambda pose, normal: float((pose[:3, :3] @ normal)[2])
            ),
        },
        # the first belt is level: arccos near 1 keeps half of the digits
        tolerance=1e-3,
    ),
    "stereo": Exercise(
        cases=((BRIGHTNESS, LAMPS), (BRIGHTNESS[:, :5] * 0.5, LAMPS)),
        solution=stereo,
        drawn=drawn_stereo,
        mistakes={
            "these are normals times paint: bring each to length 1.": painted,
            "all points were divided by one length; each has its own.": one_length,
            "lamps weighted by brightness point roughly there; solve lamps @ x = brightness.": (
                weighted_lamps
            ),
            "the fourth lamp was left out; least squares takes all of them.": three_only,
            "the normals point away from the camera.": lambda b, lamps: -stereo(b, lamps),
            "the shape should be (P, 3): transpose what lstsq returns.": (
                lambda b, lamps: stereo(b, lamps).T
            ),
        },
    ),
}
