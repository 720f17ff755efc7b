"""From scores and ground truth to the numbers of the paper's tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.errors import DataError
from lsfa_lite.scoring.metrics import (
    Pixels,
    aupro,
    find_regions,
    image_auroc,
    merged,
    pixel_auroc,
    rank,
    take_apart,
)

Table = dict[str, Any]


def evaluate(
    scored: Sequence[Scored], samples: Sequence[Sample], *, progress: bool = False
) -> Table:
    """Metrics of the fused score and of each modality alone, over all defects and per defect.

    Returns {"samples": n, "all": metrics, "modalities": {"rgb": metrics, ...}, "defects": {...},
    "promised": rate of false alarms that the threshold promises, or None, "false_alarms": share of
    good parts above it, "misses": share of defective below}. Where defective parts have no mask, or
    an empty one, their pixels count nowhere: what is left without any is None, and "unmarked" has
    {defect: (parts without mask, parts)}.
    Pixels are those of each sample's own frame. Where that was padded (`BackgroundConfig.pad`) the
    added ones are easy negatives, and AUPRO and P-AUROC rise: only to imitate earlier code.
    Raises ValueError where the test split has no good or no defective sample.
    """
    # A sequence may read its scans anew at each pass: what is needed is taken in one.
    if not len(scored) or len(scored) != len(samples):
        raise DataError(f"{len(scored)} scores of {len(samples)} samples; give one for each")
    shown = partial(tqdm, delay=2, disable=not progress)
    truth = [(_label(one), _mask(one), one.defect) for one in shown(samples, "masks")]
    labels = np.array([label for label, _, _ in truth])
    regions = [find_regions(mask) for _, mask, _ in truth]  # once for every view
    marked = np.array([label == 0 or mask.any() for label, mask, _ in truth])
    called = np.array([s.is_anomalous for s in scored])
    scores = np.array([s.image_score for s in scored])
    fused = take_apart([s.anomaly_map for s in scored], regions)
    table: Table = {
        "samples": len(samples),
        "all": metrics(scores, labels, _known(fused, marked)),
        "modalities": {},
        "defects": {},
        "promised": scored[0].promised,
        "false_alarms": float(called[labels == 0].mean()),
        "misses": float((~called[labels == 1]).mean()),
    }
    good = merged([fused[i] for i in np.flatnonzero(labels == 0)])  # every defect's; sorted once
    for defect in shown(sorted({name for label, _, name in truth if label == 1}), "defects"):
        its = np.array([label == 1 and name == defect for label, _, name in truth])
        rows = its | (labels == 0)
        bad = merged([fused[i] for i in np.flatnonzero(its & marked)])
        table["defects"][defect] = metrics(scores[rows], labels[rows], good, bad)
        if unmarked := int((its & ~marked).sum()):
            table.setdefault("unmarked", {})[defect] = (unmarked, int(its.sum()))
    del fused, good  # a copy each of nearly all pixels
    for modality in shown(scored[0].modality_scores, "senses"):
        alone = np.array([s.modality_scores[modality] for s in scored])
        parts = take_apart([s.modality_maps[modality] for s in scored], regions)
        pixels = _known(parts, marked)
        table["modalities"][modality] = metrics(alone, labels, pixels)
    return table


def metrics(scores: np.ndarray, labels: np.ndarray, *pixels: Pixels) -> dict[str, float | None]:
    """Image AUROC, pixel AUROC, AUPRO up to 30 % and up to 1 % false positives.

    scores, labels: (S,); pixels: those of the S maps, in one or more merged parts. Where none of
    them lies on a defect, what needs masks is None.
    """
    i_auroc = image_auroc(scores, labels)
    if not any(len(part.scores) for part in pixels):
        return {"i_auroc": i_auroc, "p_auroc": None, "aupro_30": None, "aupro_1": None}
    ranks = rank(*pixels)
    return {
        "i_auroc": i_auroc,
        "p_auroc": pixel_auroc(ranks),
        "aupro_30": aupro(ranks, limit=0.3),
        "aupro_1": aupro(ranks, limit=0.01),
    }


def _label(sample: Sample) -> int:
    if sample.label is None:
        raise DataError(
            f"{sample.path}: no label; evaluation needs a test split with known defects"
        )
    return sample.label


def _mask(sample: Sample) -> np.ndarray:
    return np.zeros(sample.shape, dtype=bool) if sample.mask is None else sample.mask


def _known(parts: list[Pixels], marked: np.ndarray) -> Pixels:
    """Without the defective parts that nobody marked: which of their pixels are good?"""
    return merged([part for part, known in zip(parts, marked, strict=True) if known])
