"""From maps to a picture: where each ray hits the height field, and how bright that point is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lsfa_book.mini3d.maps import PITCH, bilinear, nearest, noise
from lsfa_book.mini3d.part import Part
from lsfa_book.mini3d.scene import Scene, rays

STEP = 1.8  # mm of height between two looks along a ray
TABLE = np.array([0.045, 0.050, 0.058])  # linear RGB of the mat


@dataclass(frozen=True)
class Hit:
    """What each pixel sees, (H, W) each: depth in mm, position in the part's frame in mm."""

    depth: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    normal: np.ndarray  # (H, W, 3) in the table's frame
    ray: np.ndarray  # (H, W, 3) in the table's frame, unit length


def intersect(part: Part, scene: Scene) -> Hit:
    """The first point of each ray on the part or on the table (z = 0)."""
    turn = rotation(scene["rotation"])
    size = 1 + scene["scale"]
    shift = np.array([scene["shift_x"], scene["shift_y"], 0.0])
    ray = rays(scene) @ scene.camera  # (H, W, 3)
    origin = turn.T @ (scene.eye - shift) / size
    direction = ray @ turn / size  # (H, W, 3) in the part's frame
    depth = march(part.height, origin, direction.reshape(-1, 3)).reshape(ray.shape[:2])
    x, y, z = np.moveaxis(origin + depth[..., None] * direction, -1, 0)
    gy, gx = np.gradient(part.height, PITCH)
    slope = bilinear(np.stack([gx, gy], axis=-1), x, y) * (z > 1e-3)[..., None]
    normal = np.concatenate([-slope, np.ones_like(z)[..., None]], axis=-1) @ turn.T
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return Hit(depth, x, y, z, normal, ray / np.linalg.norm(ray, axis=-1, keepdims=True))


def rotation(degrees: float) -> np.ndarray:
    """(3, 3) turn around the table's normal."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def march(height: np.ndarray, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Depth (R,) at which rays (R, 3) meet the height field: steps, bisection, a secant."""
    levels = np.linspace(height.max() + 0.01, 0.0, int(np.ceil(height.max() / STEP)) + 1)
    depth = -origin[2] / direction[:, 2]  # the table
    slant = np.hypot(direction[:, 0], direction[:, 1]) / -direction[:, 2]
    reach = int(levels[0] * slant.max() / PITCH / 4) + 2
    around = ndimage.maximum_filter(height[::4, ::4], 2 * reach + 1).repeat(4, 0).repeat(4, 1)
    foot = origin[:2] + depth[:, None] * direction[:, :2]
    active = np.flatnonzero(nearest(around, foot[:, 0], foot[:, 1]) > 0)  # else only table is near

    def above(index: np.ndarray, t: np.ndarray) -> np.ndarray:
        p = origin + t[:, None] * direction[index]
        return p[:, 2] - bilinear(height, p[:, 0], p[:, 1])

    for low, high in zip(levels[1:], levels[:-1], strict=True):
        far = (low - origin[2]) / direction[active, 2]
        under = above(active, far) < 0
        found, after = active[under], far[under]
        before = (high - origin[2]) / direction[found, 2]
        for _ in range(4):
            middle = 0.5 * (before + after)
            inside = above(found, middle) < 0
            before, after = np.where(inside, before, middle), np.where(inside, middle, after)
        a, b = np.maximum(above(found, before), 0), np.minimum(above(found, after), 0)
        depth[found] = before + (after - before) * a / np.maximum(a - b, 1e-9)
        active = active[~under]
    return depth


def shadow(part: Part, hit: Hit, toward: np.ndarray) -> np.ndarray:
    """(H, W) share of the lamp that is hidden; toward (3,) points to it in the part's frame."""
    ratio = toward / toward[2]
    blocked = np.zeros_like(hit.z)
    for rise in np.geomspace(0.6, part.height.max(), 14):
        over = nearest(part.height, hit.x + rise * ratio[0], hit.y + rise * ratio[1])
        blocked = np.maximum(blocked, (over - hit.z - rise) / (0.5 + 0.25 * rise))
    return ndimage.gaussian_filter(np.clip(blocked, 0, 1), 0.8)


def openness(part: Part, hit: Hit) -> np.ndarray:
    """(H, W) ambient occlusion: how much of the sky is free, from the mean height around."""
    around = ndimage.uniform_filter(ndimage.uniform_filter(part.height, 21), 21)
    return np.exp(-np.maximum(bilinear(around, hit.x, hit.y) - hit.z, 0) / 9.0)


def shade(part: Part, hit: Hit, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) linear RGB: ambient + lamp with shadow + highlight (Blinn-Phong)."""
    a, e = np.deg2rad(scene["light_azimuth"]), np.deg2rad(scene["light_height"])
    lamp = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    free = 1 - 0.92 * shadow(part, hit, rotation(scene["rotation"]).T @ lamp)
    diffuse = np.maximum(hit.normal @ lamp, 0) * free
    ambient = scene["ambient"] * (0.55 + 0.45 * hit.normal[..., 2]) * openness(part, hit)
    half = lamp - hit.ray
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    shine = np.maximum(np.sum(hit.normal * half, axis=-1), 0) ** 28 * free

    on = (hit.z > 0.02)[..., None]
    weave = nearest(noise(rng, 1.2), hit.x, hit.y, repeat=True)
    mat = TABLE * np.exp(scene["table"]) * (1 + 0.12 * weave)[..., None]
    albedo = np.where(on, bilinear(part.albedo, hit.x, hit.y) * np.exp(scene["brown"]), mat)
    gloss = np.where(on[..., 0], bilinear(part.gloss, hit.x, hit.y), 0.02)
    tint = np.array([scene["warmth"] / 2, scene["green"], -scene["warmth"] / 2])
    light = 1.9 * np.exp(scene["gain"] + tint)
    return light * (
        albedo * (ambient + 0.75 * diffuse)[..., None] + 0.5 * (gloss * shine)[..., None]
    )
