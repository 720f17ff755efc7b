"""Image AUROC, pixel AUROC and AUPRO: exact at every threshold, ties included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

from lsfa_lite.errors import DataError, SettingError

NEIGHBOURS = np.ones((3, 3))  # pixels that touch at a corner belong to one region


def image_auroc(scores: Any, labels: Any) -> float:
    """Area under the ROC curve over images (I-AUROC).

    scores (S,) larger is more anomalous; labels (S,) 0 good, 1 defective.
    Raises ValueError for NaN or Inf, for other labels, and when one class is missing.
    """
    scores, labels = _numpy(scores), _numpy(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise DataError(f"scores {scores.shape} and labels {labels.shape}: expected (S,) for both")
    if scores.dtype.kind not in "buif":
        raise DataError(f"scores are {scores.dtype}, expected numbers")
    if not np.isfinite(scores).all():
        raise DataError("scores hold NaN or Inf; look for the sample whose features do")
    if not np.isin(labels, (0, 1)).all():
        raise DataError("labels must be 0 (good) or 1 (defective); leave unlabelled samples out")
    if len(np.unique(labels)) < 2:
        raise DataError("labels hold one class only; AUROC needs good and defective samples")
    return float(roc_auc_score(labels.astype(bool), scores))


def pixel_auroc(maps: Sequence[Any] | Ranks, masks: Sequence[Any] = ()) -> float:
    """Area under the ROC curve over all pixels of all images (P-AUROC).

    The share of pairs, a pixel on a defect and a good one, in which the first scores higher; half
    of those in which both score the same. Arguments and ValueError as of `pro_curve`.
    """
    ranks = _ranked(maps, masks)
    found = np.bincount(ranks.which)  # (T,) pixels on defects of each score
    lost = int(found @ (ranks.above + ranks.reached))  # twice: a pair of equals is lost by half
    pairs = 2 * len(ranks.which) * ranks.good
    return (pairs - lost) / pairs  # of whole numbers: exact


def aupro(maps: Sequence[Any] | Ranks, masks: Sequence[Any] = (), limit: float = 0.3) -> float:
    """Area under the per-region overlap curve up to a false positive rate, divided by it.

    1 is perfect; a map of random numbers gets limit / 2. Arguments and ValueError as of
    `pro_curve`; ValueError also for a limit outside 0 < limit <= 1.
    Source: Bergmann et al., MVTec AD (IJCV 2021), section 5.2.
    """
    if not 0 < limit <= 1:
        raise SettingError(f"limit is {limit}; a false positive rate lies in 0 < limit <= 1")
    return area_below(*pro_curve(maps, masks), limit) / limit


def pro_curve(
    maps: Sequence[Any] | Ranks, masks: Sequence[Any] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The false positive rate and the mean overlap with the regions, exact at every threshold.

    maps, masks: (H, W) each, sizes may differ between images; mask is true on the defect. Or, for
    several numbers from one sort, their `Ranks` alone. Returns two arrays from (0, 0) to (1, 1):
    the corners of the curve, before and after each score that occurs inside a region (between
    those the overlap does not change). Pixels of equal score pass the threshold together. Every
    8-connected region weighs the same, whatever its size.
    Raises ValueError for NaN or Inf, sizes that disagree, no region, or no good pixel.
    """
    ranks = _ranked(maps, masks)
    share = 1.0 / np.bincount(ranks.regions)  # (R,) what one pixel adds to its region's overlap
    gained = np.bincount(ranks.which, weights=share[ranks.regions]) / len(share)  # (T,)
    overlap = np.cumsum(gained)
    overlap = overlap / overlap[-1]  # ends at 1, free of rounding
    x = np.stack([ranks.above, ranks.reached], axis=1).ravel() / ranks.good  # (2T,)
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


class Regions(NamedTuple):
    """The defects of one mask; `take_apart` takes them in its place, labelled once for all maps."""

    shape: tuple[int, ...]  # (H, W)
    where: np.ndarray  # (Q,) places in the flat picture, rising
    number: np.ndarray  # (Q,) from 0: the 8-connected region of each


class Pixels(NamedTuple):
    """The pixels of one map or of several (`merged`): good ones, and those on defects."""

    good: np.ndarray  # (P,) scores, rising once they are merged
    scores: np.ndarray  # (Q,)
    regions: np.ndarray  # (Q,) from 0


class Ranks(NamedTuple):
    """Where the pixels on defects stand among the good ones: all that the curves need."""

    regions: np.ndarray  # (Q,) from 0, over all images
    which: np.ndarray  # (Q,) the place of its score among the T different ones, highest first
    above: np.ndarray  # (T,) how many good pixels have a higher score
    reached: np.ndarray  # (T,) and how many have that score or a higher one
    good: int  # how many there are


def find_regions(mask: Any) -> Regions:
    """(H, W), true on the defect, in any type."""
    marked = _numpy(mask) > 0
    where = np.flatnonzero(marked)
    if not len(where):
        return Regions(marked.shape, where, where)
    rows = where[[0, -1]] // marked.shape[1]
    band = marked[rows[0] : rows[1] + 1]  # a defect is small: most rows need no look
    return Regions(marked.shape, where, label(band, structure=NEIGHBOURS)[0][band] - 1)


def take_apart(maps: Sequence[Any], masks: Sequence[Any]) -> list[Pixels]:
    """One `Pixels` per image. ValueError for NaN or Inf, and for sizes that disagree."""
    if len(maps) != len(masks):
        raise DataError(f"{len(maps)} maps but {len(masks)} masks; give one mask per map")
    return [_pixels(i, *pair) for i, pair in enumerate(zip(maps, masks, strict=True))]


def merged(parts: Sequence[Pixels]) -> Pixels:
    """All in one row, the good ones sorted."""
    good = _row([part.good for part in parts])
    good.sort()  # here, not in a copy: this is the largest array
    return Pixels(good, *_defects(parts))


def rank(*parts: Pixels) -> Ranks:
    """Of merged pixels. Counts add: sets that share their good parts need not sort those again.

    Raises ValueError where there is no region or no good pixel.
    """
    scores, regions = _defects(parts)
    good = sum(len(part.good) for part in parts)
    if not len(scores):
        raise DataError("no mask marks a defect; AUPRO and P-AUROC need at least one")
    if not good:
        raise DataError("every pixel is marked as a defect; a false positive rate needs good ones")
    thresholds, which = np.unique(scores, return_inverse=True)  # (T,) rising, (Q,)
    falling = thresholds[::-1]
    above, reached = (
        good - np.sum([np.searchsorted(p.good, falling, side=side) for p in parts], axis=0)
        for side in ("right", "left")
    )
    return Ranks(regions, len(thresholds) - 1 - which.ravel(), above, reached, good)


def _ranked(maps: Sequence[Any] | Ranks, masks: Sequence[Any]) -> Ranks:
    return maps if isinstance(maps, Ranks) else rank(merged(take_apart(maps, masks)))


def _pixels(index: int, scored: Any, mask: Any) -> Pixels:
    if mask is None:
        raise DataError(f"masks[{index}] is None; give zeros for a good sample")
    scored, mask = _numpy(scored), mask if isinstance(mask, Regions) else _numpy(mask)
    if scored.ndim != 2 or scored.shape != mask.shape:
        raise DataError(
            f"maps[{index}] is {scored.shape} and masks[{index}] is {mask.shape}; "
            "both must be (H, W), pixel on pixel"
        )
    if not np.isfinite(scored).all():
        raise DataError(f"maps[{index}] holds NaN or Inf; look for it in the features")
    found, flat = mask if isinstance(mask, Regions) else find_regions(mask), scored.ravel()
    good = np.delete(flat, found.where) if len(found.where) else flat
    return Pixels(good, flat[found.where], found.number)


def _defects(parts: Sequence[Pixels]) -> tuple[np.ndarray, np.ndarray]:
    """The scores (Q,) on defects and their regions (Q,), numbered over all parts."""
    counts = [part.regions.max(initial=-1) + 1 for part in parts]
    first = np.cumsum([0, *counts])
    regions = [part.regions + start for part, start in zip(parts, first, strict=False)]
    return _row([part.scores for part in parts]), _row(regions)


def _row(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0)


def _numpy(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
    return np.asarray(values)
