"""What differs between two pictures of the same part: light, pose, size, exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lsfa_book.mini3d.config import Mini3DConfig

# name: (middle, half range that is always there, half range added at nuisance 1)
NUISANCE: dict[str, tuple[float, float, float]] = {
    "light_azimuth": (130.0, 4.0, 70.0),  # degrees around the table's normal
    "light_height": (48.0, 2.0, 14.0),  # degrees above the table
    "ambient": (0.42, 0.02, 0.14),  # share of light that comes from everywhere
    "gain": (0.0, 0.02, 0.30),  # log of the exposure
    "warmth": (0.0, 0.01, 0.14),  # log of red over blue
    "green": (0.0, 0.01, 0.06),  # log of green over the mean of the others
    "rotation": (0.0, 6.0, 34.0),  # degrees in the plane
    "shift_x": (0.0, 1.0, 3.0),  # mm
    "shift_y": (0.0, 1.0, 3.0),  # mm
    "tilt": (9.0, 0.5, 4.0),  # degrees between the camera's axis and the table's normal
    "tilt_azimuth": (-90.0, 3.0, 30.0),  # degrees: from which side the camera looks
    "distance": (0.0, 0.005, 0.045),  # relative
    "scale": (0.0, 0.008, 0.045),  # relative size of the part
    "contrast": (1.0, 0.10, 0.45),  # factor on the texture
    "brown": (0.0, 0.02, 0.16),  # log of the part's own brightness
    "table": (0.0, 0.05, 0.35),  # log of the table's brightness
    "noise": (0.3, 0.1, 0.6),  # log of the sensors' noise
}


@dataclass(frozen=True)
class Scene:
    """One draw of NUISANCE: value by name, and the camera's fixed focal length."""

    values: dict[str, float]
    focal: float  # pixels
    size: int  # pixels
    camera: np.ndarray  # (3, 3) rows right, down, forward in the table's frame (z up)
    eye: np.ndarray  # (3,) mm, where the camera is

    def __getitem__(self, name: str) -> float:
        return self.values[name]


def draw(rng: np.random.Generator, config: Mini3DConfig, view: float, height: float) -> Scene:
    """Light, pose and camera of one sample; the same rng at another nuisance bends the same draw.

    view is the picture's width in mm on the part, height the middle of the part in mm.
    """
    unit = rng.uniform(-1, 1, len(NUISANCE))
    values = {
        name: middle + u * (always + config.nuisance * dial)
        for u, (name, (middle, always, dial)) in zip(unit, NUISANCE.items(), strict=True)
    }
    camera, offset = look_at(
        values["tilt"], values["tilt_azimuth"], 1e3 * config.distance * (1 + values["distance"])
    )
    focal = config.size * 1e3 * config.distance / view
    return Scene(values, focal, config.size, camera, offset + np.array([0, 0, height]))


def look_at(tilt: float, azimuth: float, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Axes (3, 3: right, down, forward) and position (3,) of a camera that faces the origin."""
    t, a = np.deg2rad(tilt), np.deg2rad(azimuth)
    eye = distance * np.array([np.sin(t) * np.cos(a), np.sin(t) * np.sin(a), np.cos(t)])
    forward = -eye / distance
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward]), eye


def rays(scene: Scene) -> np.ndarray:
    """Pin-hole rays (H, W, 3) in the camera's frame with z = 1: depth * ray is the point."""
    axis = (np.arange(scene.size) + 0.5 - scene.size / 2) / scene.focal
    u, v = np.meshgrid(axis, axis)
    return np.stack([u, v, np.ones_like(u)], axis=-1)
