"""Image AUROC, pixel AUROC and AUPRO: exact at every threshold, ties included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

NEIGHBOURS = np.ones((3, 3))  # pixels that touch at a corner belong to one region


def image_auroc(scores: Any, labels: Any) -> float:
    """Area under the ROC curve over images (I-AUROC).

    scores (S,) larger is more anomalous; labels (S,) 0 good, 1 defective.
    Raises ValueError for NaN or Inf, for other labels, and when one class is missing.
    """
    scores, labels = _numpy(scores), _numpy(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape}: expected (S,) for both")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or Inf; look for the sample whose features do")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (good) or 1 (defective); leave unlabelled samples out")
    if len(np.unique(labels)) < 2:
        raise ValueError("labels hold one class only; AUROC needs good and defective samples")
    return float(roc_auc_score(labels.astype(bool), scores))


def pixel_auroc(maps: Sequence[Any], masks: Sequence[Any]) -> float:
    """Area under the ROC curve over all pixels of all images (P-AUROC).

    maps, masks: (H, W) each, sizes may differ between images; mask is true on the defect.
    Raises ValueError as `pro_curve` does.
    """
    scores, regions = _pixels(maps, masks)
    return float(roc_auc_score(regions > 0, scores))


def aupro(maps: Sequence[Any], masks: Sequence[Any], limit: float = 0.3) -> float:
    """Area under the per-region overlap curve up to a false positive rate, divided by it.

    maps, masks: (H, W) each. 1 is perfect; a map of random numbers gets limit / 2.
    Raises ValueError as `pro_curve` does, and for a limit outside 0 < limit <= 1.
    Source: Bergmann et al., MVTec AD (IJCV 2021), section 5.2.
    """
    if not 0 < limit <= 1:
        raise ValueError(f"limit is {limit}; a false positive rate lies in 0 < limit <= 1")
    false_positive_rate, overlap = pro_curve(maps, masks)
    return area_below(false_positive_rate, overlap, limit) / limit


def pro_curve(maps: Sequence[Any], masks: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The false positive rate and the mean overlap with the regions, exact at every threshold.

    maps, masks: (H, W) each, sizes may differ between images. Returns two arrays from (0, 0) to
    (1, 1): the corners of the curve, before and after each score that occurs inside a region
    (between those the overlap does not change). Pixels of equal score pass the threshold
    together. Every 8-connected region weighs the same, whatever its size.
    Raises ValueError for NaN or Inf, sizes that disagree, no region, or no good pixel.
    """
    scores, regions = _pixels(maps, masks)
    defect = regions > 0
    good = np.sort(scores[~defect])
    share = 1.0 / np.bincount(regions)[1:]  # (R,) what one pixel adds to its region's overlap
    thresholds, which = np.unique(scores[defect], return_inverse=True)  # (T,) rising
    gained = np.bincount(which.ravel(), weights=share[regions[defect] - 1]) / len(share)  # (T,)

    falling = thresholds[::-1]
    before = len(good) - np.searchsorted(good, falling, side="right")  # good pixels above it
    after = len(good) - np.searchsorted(good, falling, side="left")  # and those equal to it
    overlap = np.cumsum(gained[::-1])  # (T,)
    overlap = overlap / overlap[-1]  # ends at 1, free of rounding
    x = np.stack([before, after], axis=1).ravel() / len(good)  # (2T,)
    y = np.stack([np.append(0.0, overlap[:-1]), overlap], axis=1).ravel()  # (2T,)
    return np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [1.0]])


def area_below(x: np.ndarray, y: np.ndarray, limit: float) -> float:
    """Trapezoids under a curve with rising x that starts at 0, up to x = limit (interpolated)."""
    inside = int(np.searchsorted(x, limit, side="right"))  # how many points have x <= limit
    if x[inside - 1] < limit:
        between = slice(inside - 1, inside + 1)
        y = np.append(y[:inside], np.interp(limit, x[between], y[between]))
        x = np.append(x[:inside], limit)
    else:
        x, y = x[:inside], y[:inside]
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


def _pixels(maps: Sequence[Any], masks: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """All pixels in one row: scores (Q,) and region numbers (Q,), 0 where nothing is wrong."""
    if len(maps) != len(masks):
        raise ValueError(f"{len(maps)} maps but {len(masks)} masks; give one mask per map")
    scores, regions, count = [], [], 0
    for index, (scored, mask) in enumerate(zip(maps, masks, strict=True)):
        scored, mask = _checked(index, scored, mask)
        numbers, found = label(mask, structure=NEIGHBOURS)
        numbers[numbers > 0] += count  # numbered over the data set, not per image
        count += found
        scores.append(scored.ravel())
        regions.append(numbers.ravel())
    if count == 0:
        raise ValueError("no mask marks a defect; AUPRO and P-AUROC need at least one")
    every_region = np.concatenate(regions)
    if every_region.all():
        raise ValueError("every pixel is marked as a defect; a false positive rate needs good ones")
    return np.concatenate(scores), every_region


def _checked(index: int, scored: Any, mask: Any) -> tuple[np.ndarray, np.ndarray]:
    if mask is None:
        raise ValueError(f"masks[{index}] is None; give zeros for a good sample")
    scored, mask = _numpy(scored), _numpy(mask) > 0
    if scored.ndim != 2 or scored.shape != mask.shape:
        raise ValueError(
            f"maps[{index}] is {scored.shape} and masks[{index}] is {mask.shape}; "
            "both must be (H, W), pixel on pixel"
        )
    if not np.isfinite(scored).all():
        raise ValueError(f"maps[{index}] holds NaN or Inf; look for it in the features")
    return scored, mask


def _numpy(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
    return np.asarray(values)
