"""From scores and ground truth to the numbers of the paper's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.scoring.metrics import aupro, image_auroc, pixel_auroc

Table = dict[str, Any]


def evaluate(scored: Sequence[Scored], samples: Sequence[Sample]) -> Table:
    """Metrics of the fused score and of each modality alone, over all defects and per defect.

    Returns {"samples": n, "all": metrics, "modalities": {"rgb": metrics, ...}, "defects": {...},
    "false_alarms": share of good parts above the threshold, "misses": share of defective below}.
    Raises ValueError where the test split has no good or no defective sample.
    """
    # A sequence may read its scans anew at each pass: what is needed is taken in one.
    truth = [(_label(sample), _mask(sample), sample.defect) for sample in samples]
    labels = np.array([label for label, _, _ in truth])
    masks = [mask for _, mask, _ in truth]
    called = np.array([s.is_anomalous for s in scored])
    fused = [s.anomaly_map for s in scored]
    table: Table = {
        "samples": len(samples),
        "all": metrics(np.array([s.image_score for s in scored]), fused, labels, masks),
        "modalities": {},
        "defects": {},
        "false_alarms": float(called[labels == 0].mean()),
        "misses": float((~called[labels == 1]).mean()),
    }
    for modality in scored[0].modality_scores:
        alone = np.array([s.modality_scores[modality] for s in scored])
        maps = [s.modality_maps[modality] for s in scored]
        table["modalities"][modality] = metrics(alone, maps, labels, masks)
    image_scores = np.array([s.image_score for s in scored])
    for defect in sorted({name for label, _, name in truth if label == 1}):
        rows = [i for i, (label, _, name) in enumerate(truth) if label == 0 or name == defect]
        table["defects"][defect] = metrics(
            image_scores[rows], [fused[i] for i in rows], labels[rows], [masks[i] for i in rows]
        )
    return table


def metrics(
    scores: np.ndarray, maps: Sequence[np.ndarray], labels: np.ndarray, masks: Sequence[np.ndarray]
) -> dict[str, float]:
    """Image AUROC, pixel AUROC, AUPRO up to 30 % and up to 1 % false positives."""
    return {
        "i_auroc": image_auroc(scores, labels),
        "p_auroc": pixel_auroc(maps, masks),
        "aupro_30": aupro(maps, masks, limit=0.3),
        "aupro_1": aupro(maps, masks, limit=0.01),
    }


def _label(sample: Sample) -> int:
    if sample.label is None:
        raise ValueError(
            f"{sample.path}: no label; evaluation needs a test split with known defects"
        )
    return sample.label


def _mask(sample: Sample) -> np.ndarray:
    if sample.mask is not None:
        return sample.mask
    if sample.label == 0:
        return np.zeros(sample.shape, dtype=bool)
    raise ValueError(f"{sample.path}: a defective sample without a ground-truth mask (gt/*.png)")
