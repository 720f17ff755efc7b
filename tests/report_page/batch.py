"""A batch of made parts, from arrays alone: no model, no picture of anything real."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lsfa_lite.batch import Judgement
from lsfa_lite.config import LITE
from lsfa_lite.data.sample import NoPart, Sample
from lsfa_lite.detector import Scored
from lsfa_lite.report_page import About, open_report
from lsfa_lite.scoring.calibration import Calibration
from lsfa_lite.scoring.fusion import Fusion, Normaliser
from lsfa_lite.scoring.threshold import Threshold

ODD_NAMES = (
    "<script>alert(1)</script>.png",
    "\"quotes\" & 'more'.png",
    "Prüfteil 零件 №5.png",
    "a b  c.png",
    "50% #1?.png",
    "</script><img src=x onerror=alert(2)>.png",
    "=1+1.png",
    "$title ${style}.png",
    "back\\slash.png",
    "bytes \udcff.png",
)
BOTH, GOOD = "rgb+3d", 19


def about(good: int = GOOD) -> About:
    """Sum of colour and depth as they are; threshold 2 from good parts with scores 0.1, 0.2, ..."""
    fusion = Fusion("sum", {"rgb": Normaliser(), "3d": Normaliser()}, {}, {})
    lines = {"rgb": Threshold(1.0, 0.05), "3d": Threshold(1.5, 0.05), BOTH: Threshold(2.0, 0.05)}
    scores = {name: tuple(0.1 * i for i in range(1, good + 1)) for name in lines} if good else {}
    return About("a model", LITE, Calibration(fusion, lines, lines, scores))


def sample(seed: int = 0, size: int = 64, path: str = "scans/part.png") -> Sample:
    """A dome in the middle of an empty picture, 1 mm from pixel to pixel, 0.4 m away."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:size, :size] - size / 2) * 1e-3
    on = x**2 + y**2 < (0.4e-3 * size) ** 2
    z = 0.4 - 0.5 * np.sqrt(np.maximum((0.45e-3 * size) ** 2 - x**2 - y**2, 0))
    xyz = np.where(on[..., None], np.stack([x, y, z], axis=-1), 0).astype(np.float32)
    colour = rng.integers(90, 200, 3) + rng.integers(-12, 13, (size, size, 1))
    return Sample((on[..., None] * colour).astype(np.uint8), xyz, path=path)


def scored(part: Sample, rgb: float, depth: float) -> Scored:
    """Image scores as given; a hot spot of as much in each map, colour's left, depth's right."""
    height, width = part.shape
    v, u = np.mgrid[:height, :width] / max(part.shape)
    maps = {
        name: (peak * np.exp(-((u - at) ** 2 + (v - 0.5) ** 2) / 0.005)).astype(np.float32)
        for name, peak, at in (("rgb", rgb, 0.4), ("3d", depth, 0.6))
    }
    fused = (maps["rgb"] + maps["3d"]) * part.foreground
    score = rgb + depth
    alone = {"rgb": rgb, "3d": depth}
    return Scored(score, fused, alone, maps, 2.0, 2.0, score > 2.0, part.path, 0.05)  # type: ignore[arg-type]


def judged(part: Sample, rgb: float, depth: float) -> Judgement:
    return Judgement(part.path, part, scored(part, rgb, depth))


def missing(path: str) -> Judgement:
    empty = np.zeros((1, 1), np.float32)
    none = Scored(np.inf, empty, {}, {}, 2.0, 2.0, True, path, 0.05)
    return Judgement(path, None, none, NoPart(f"{path}: xyz is zero everywhere"))


def write_batch(folder: Path, count: int, failed: int = 3, gone: int = 2, size: int = 256) -> None:
    """`count` scans, every eighth a bad part; the last `gone` see none, `failed` cannot be read."""
    rng = np.random.default_rng(0)
    with open_report(folder, about()) as report:
        for i in range(count - failed - gone):
            odd = ODD_NAMES[i] if i < len(ODD_NAMES) else f"part-{i:03d}.png"
            part = sample(i, size, path=f"scans/{odd}")
            low = rng.uniform(0.1, 0.95, 2)
            report.add(judged(part, *(low + (i % 8 == 0) * rng.uniform(0.5, 3, 2))))
        for i in range(failed):
            why = ValueError("cannot be read as a TIFF; damaged or cut short")
            report.add(Judgement(f"scans/broken-{i}.tiff", reason=why))
        for i in range(gone):
            report.add(missing(f"scans/gone-{i}.png"))
