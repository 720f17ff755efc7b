"""Numbers as sentences: what the threshold promises, and why a part was called what it was."""

from __future__ import annotations

import math

import numpy as np

from lsfa_lite.batch import Judgement, printable
from lsfa_lite.config import Modality
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.report_page.rows import Row
from lsfa_lite.scoring.calibration import Calibration

SENSE: dict[Modality, str] = {"rgb": "colour", "3d": "depth"}


def promise(calibration: Calibration, senses: str, wanted: float | None = None) -> str:
    """What the threshold of these senses ("rgb+3d") promises; `wanted` is the rate asked for."""
    value, rate = calibration.thresholds[senses]
    count = len(calibration.good.get(senses, ()))
    seen = f"{count} good ones" if count else "good ones"
    text = (
        f"Threshold {value:.4g}: of 100 good parts at most {100 * rate:.3g} are called anomalous, "
        f"as far as they are like the {seen} seen."
    )
    if wanted is not None and count and rate > wanted + 1e-9:
        need = math.ceil(1 / wanted - 1 - 1e-9)
        text += f" {100 * wanted:.3g} were asked for: that takes {need} good parts or more."
    return text


def judged(one: Judgement, calibration: Calibration, key: str = "") -> Row:
    """One scan as a row without pictures; of one without a score, why there is none."""
    if (scored := one.scored) is None:
        return Row(key, one.where, one.verdict, printable(one.reason))
    if one.sample is None or one.reason is not None:
        text = f"No part seen, the worst of defects: {printable(one.reason)}"
    else:
        text = verdict(one.sample, scored, calibration)
    numbers = scored.image_score, scored.threshold, scored.promised
    senses = "+".join(scored.modality_scores)
    return Row(key, one.where, one.verdict, text, *numbers, senses, scored.modality_scores)


def verdict(sample: Sample, scored: Scored, calibration: Calibration) -> str:
    """Why a part is called what it is: against the threshold, the good parts, by which sense."""
    senses = "+".join(scored.modality_scores)
    good = calibration.good.get(senses, ())
    side = "above" if scored.is_anomalous else "not above"
    text = f"{scored.verdict.capitalize()}: score {scored.image_score:.4g} is {side} the threshold "
    text += f"{scored.threshold:.4g}"
    if good:
        lower = sum(score < scored.image_score for score in good)
        text += f", and higher than {lower} of the {len(good)} good parts seen"
    sentences = [text + "."]
    if len(scored.modality_scores) > 1:
        alone = {m: _alone(m, s, calibration) for m, s in scored.modality_scores.items()}
        told = (f"{SENSE[m]} alone would call it {word}" for m, word in alone.items())
        sentences.append(f"{'; '.join(told).capitalize()}.")
    on = sample.foreground
    lit = np.count_nonzero((scored.anomaly_map > scored.map_threshold) & on) / max(on.sum(), 1)
    row, column = np.unravel_index(scored.anomaly_map.argmax(), scored.anomaly_map.shape)
    sentences.append(
        f"{lit:.1%} of the part is hotter than good parts get; "
        f"hottest at column {column}, row {row} of the picture."
    )
    return " ".join(sentences)


def _alone(modality: Modality, score: float, calibration: Calibration) -> str:
    fused = float(calibration.fusion.fuse_images({modality: score}))
    return "anomalous" if fused > calibration.thresholds[modality].value else "good"
