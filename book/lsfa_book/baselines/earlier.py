"""Errors of earlier public code, each as one change to the clean detector.

What such an error is worth can only be measured if nothing else changes. So every variant here is
the clean detector with one step replaced, and the clean path knows nothing of them. Facts are from
the public code of M3DM, of LSFA (commit a8dd6d7) and of 3D-ADS, read and not copied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from einops import rearrange
from scipy.ndimage import label
from torch import Tensor

from lsfa_lite.config import Config, Modality, ScoringConfig
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector, Scored
from lsfa_lite.errors import LSFAError
from lsfa_lite.evaluation import Table, evaluate
from lsfa_lite.features.extract import FeatureExtractor, PatchFeatures, PatchStack
from lsfa_lite.scoring.calibration import Calibration, calibrate
from lsfa_lite.scoring.fusion import Normaliser, Scale
from lsfa_lite.scoring.metrics import NEIGHBOURS, area_below
from lsfa_lite.scoring.patchcore import PatchScores
from lsfa_lite.scoring.tails import Tail
from lsfa_lite.scoring.threshold import threshold

Device = str | torch.device
Samples = Sequence[Sample]


def run(
    what: str,
    config: Config,
    train: Samples,
    validation: Samples,
    test: Samples,
    device: Device = "cpu",
) -> Table:
    """Fit and evaluate with one error, or "none"; adapted or not, as the config says.

    Raises ValueError for an error that is not in WHAT, and for one that the config cannot have.
    """
    scored = score(what, fit(what, config, train, validation, device), test)
    table = evaluate(scored, test)
    return with_few_thresholds(table, scored, test) if what == "hundred_thresholds" else table


def fit(
    what: str, config: Config, train: Samples, validation: Samples, device: Device = "cpu"
) -> LSFADetector:
    """The detector with this error, fitted. Raises ValueError as `run` does."""
    if what not in WHAT:
        raise LSFAError(f"no error {what!r}; there are {', '.join(WHAT)}")
    return FITS.get(what, clean)(config, train, validation, device)


def score(what: str, detector: LSFADetector, test: Samples) -> list[Scored]:
    scored = detector.score(test)
    return eight_bit_blur(detector, scored) if what == "eight_bit_blur" else scored


def clean(config: Config, train: Samples, validation: Samples, device: Device) -> LSFADetector:
    return LSFADetector(config, device).fit(train, validation)


def swapped_statistics(
    config: Config, train: Samples, validation: Samples, device: Device
) -> LSFADetector:
    """M3DM and LSFA, two banks: xyz_std is the deviation of RGB, rgb_mean the mean of XYZ.

    There: both modalities are shifted by the mean of 3D and divided by the deviation of RGB. That
    is one and the same map for both, so the normalisation brings the two no nearer to each other.
    Here: the scores, which is what we normalise, get the same two numbers of the wrong owner.
    Clean: each modality has its own mean and deviation. A modality alone keeps its order either
    way: only the fused score can change.
    """
    return LSFADetector(config, device, calibration=swapped_calibration).fit(train, validation)


def swapped_calibration(
    scores: Mapping[Modality, Sequence[PatchScores]],
    foreground: Tensor,
    config: ScoringConfig,
    seed: int = 0,
) -> Calibration:
    right = calibrate(scores, foreground, config, seed)
    fusion = dataclasses.replace(right.fusion, normalisers=swapped(right.fusion.normalisers))
    images = {m: torch.tensor([s.image_score for s in rows]) for m, rows in scores.items()}
    maps = {m: torch.stack([s.distances for s in rows]).cpu() for m, rows in scores.items()}
    rate, both = config.false_positive_rate, "+".join(scores)
    highest = fusion.fuse_maps(maps).amax(dim=1)  # B
    return Calibration(
        fusion,
        right.thresholds | {both: threshold(fusion.fuse_images(images), rate)},
        right.map_thresholds | {both: threshold(highest, rate)},
    )


def swapped(normalisers: dict[Modality, Normaliser]) -> dict[Modality, Normaliser]:
    """Everybody gets the mean of 3D and the deviation of RGB. ValueError for one modality alone."""
    if set(normalisers) != {"rgb", "3d"}:
        raise LSFAError(f"statistics of {', '.join(normalisers)} alone cannot be swapped")
    rgb, shape = normalisers["rgb"], normalisers["3d"]
    mixed = Normaliser(mix(shape.image, rgb.image), mix(shape.map, rgb.map))
    return dict.fromkeys(normalisers, mixed)


def mix(centre: Scale | Tail, spread: Scale | Tail) -> Scale:
    """ValueError where a sense has no mean and deviation to swap: normalise="tail"."""
    if isinstance(centre, Tail) or isinstance(spread, Tail):
        raise LSFAError('normalise="tail" has no statistics to swap; use "zscore"')
    return Scale(centre.centre, spread.spread)


def small_rgb_bank(
    config: Config, train: Samples, validation: Samples, device: Device
) -> LSFADetector:
    """M3DM and LSFA, two banks: the size of the RGB coreset is a tenth of the 3D *coreset*.

    There: the 3D bank is reduced first, and its new length is used for RGB. 3D keeps 10 % of its
    patches, RGB 1 % of that number (in M3DM four 3D patches share an RGB token: 4 % of the tokens).
    Here: as many rows as that, the first that the greedy coreset chose.
    Clean: a tenth of the modality's own patches.
    """
    detector = LSFADetector(config, device)
    parts, held_out = described(detector, train, validation)
    detector.adapt_to(parts).remember(parts)
    if set(detector.banks) != {"rgb", "3d"}:
        raise LSFAError("the RGB bank is cut by the 3D bank's size: both are needed")
    rgb = detector.banks["rgb"]
    count = max(1, round(config.scoring.coreset * len(detector.banks["3d"].bank)))
    rows = None if rgb.samples is None else rgb.samples[:count]
    detector.banks["rgb"] = dataclasses.replace(rgb, bank=rgb.bank[:count], samples=rows)
    return detector.calibrate(parts, held_out)


def described(
    detector: LSFADetector, train: Samples, validation: Samples
) -> tuple[PatchStack, PatchStack | None]:
    names, stack = detector.config.modalities, detector.extractor.stack
    return stack(train, names), stack(validation, names) if len(validation) else None


def eight_bit_blur(detector: LSFADetector, scored: Sequence[Scored]) -> list[Scored]:
    """3D-ADS, M3DM, LSFA: the blur of the anomaly map goes through an 8-bit picture.

    There: each map is divided by its maximum, made a picture of whole numbers 0 to 255, blurred as
    such, and multiplied by the maximum again.
    Here: the clean blur; then each modality's map is rounded to 255 steps of its own maximum.
    Clean: floating-point numbers all the way. Image scores do not come from maps and stay.
    """
    assert detector.calibration is not None
    fusion, found = detector.calibration.fusion, []
    for one in scored:
        maps = {m: eight_bit(torch.from_numpy(v)) for m, v in one.modality_maps.items()}
        fused = fusion.fuse_maps(maps).numpy().astype(np.float32)
        coarse = {m: values.numpy() for m, values in maps.items()}
        found.append(dataclasses.replace(one, anomaly_map=fused, modality_maps=coarse))
    return found


def eight_bit(values: Tensor) -> Tensor:
    """(H, W) >= 0 -> the same to the nearest of 256 equidistant levels from 0 to its maximum."""
    highest = values.max()
    if not highest > 0:
        return values
    return (values / highest * 255).round() / 255 * highest


def batch_statistics(
    config: Config, train: Samples, validation: Samples, device: Device
) -> LSFADetector:
    """M3DM and its followers never call eval() on Point-MAE.

    There: BatchNorm normalises by the statistics of the cloud at hand, in the banks and at the
    test (and whole layers are dropped at random, one in ten in the last block: not done here).
    Here: config.features.points.batch_norm = "batch".
    Clean: the statistics of pretraining, for clouds scaled as in pretraining.
    """
    if config.features.points.backbone != "point_mae":
        raise LSFAError(
            f"the backbone {config.features.points.backbone!r} has no BatchNorm; "
            'set features.points.backbone="point_mae"'
        )
    return clean(config.change(features__points__batch_norm="batch"), train, validation, device)


class MisalignedExtractor(FeatureExtractor):
    """Describes as the clean one does, then puts the RGB features at other patches."""

    def __call__(
        self, sample: Sample, modalities: Sequence[Modality] = ("rgb", "3d")
    ) -> PatchFeatures:
        row = super().__call__(sample, modalities)
        moved = {m: misplaced(f) if m == "rgb" else f for m, f in row.features.items()}
        return dataclasses.replace(row, features=moved)


def misplaced(features: Tensor) -> Tensor:
    """(..., N, D) -> (..., N, D): what belongs to patch 4 r + c is put at patch c N / 4 + r.

    The arithmetic of M3DM's `--save_feature`, which wants to enlarge 28 x 28 RGB tokens to the
    3D patches' 56 x 56 by reshaping a list in which each stands four times. There 8 of 3136
    patches get their own token; on a grid where each token stands once, 4 of 784.
    Raises ValueError where N is not a multiple of 4.
    """
    if features.shape[-2] % 4:
        raise LSFAError(f"{features.shape[-2]} patches; the arithmetic needs a multiple of 4")
    return rearrange(features, "... (row four) d -> ... (four row) d", four=4)


def misaligned_tokens(
    config: Config, train: Samples, validation: Samples, device: Device
) -> LSFADetector:
    """M3DM's features for training its fusion, LSFA's for its adaptation: RGB at wrong places.

    There: the arithmetic of `misplaced` (LSFA's extraction lacks the permutation altogether), in
    the features that the fusion is trained on; M3DM's own test has them right.
    Here: in training and test, so that a patch's colour is judged at another patch.
    Clean: patch j of RGB is patch j of 3D.
    """
    extractor = MisalignedExtractor(config.features, device, config.seed)
    return LSFADetector(config, device, extractor=extractor).fit(train, validation)


def misaligned_training(
    config: Config, train: Samples, validation: Samples, device: Device
) -> LSFADetector:
    """The same error where M3DM has it: adaptation learns from misplaced pairs, the rest is right.

    There: as in misaligned_tokens. Here and in M3DM banks and test use features at their places.
    """
    detector = LSFADetector(config, device)
    parts, held_out = described(detector, train, validation)
    moved = {m: misplaced(f) if m == "rgb" else f for m, f in parts.features.items()}
    detector.adapt_to(dataclasses.replace(parts, features=moved))
    return detector.remember(parts).calibrate(parts, held_out)


FITS: dict[str, Callable[[Config, Samples, Samples, Device], LSFADetector]] = {
    "swapped_statistics": swapped_statistics,
    "rgb_bank_1_percent": small_rgb_bank,
    "batch_norm_batch": batch_statistics,
    "misaligned_tokens": misaligned_tokens,
    "misaligned_training": misaligned_training,
}
# the last two leave the fit alone: an error of the map, and one of the measurement
WHAT: tuple[str, ...] = ("none", *FITS, "eight_bit_blur", "hundred_thresholds")


def with_few_thresholds(
    table: Table, scored: Sequence[Scored], samples: Sequence[Sample], count: int = 100
) -> Table:
    """A table of `evaluate` with every AUPRO measured at `count` thresholds; nothing is refitted.

    There: 100 positions in the sorted scores of good pixels (3D-ADS, M3DM, LSFA; 99 in CFM). About
    thirty of them have a false positive rate below 30 %, and one or two below 1 %.
    Clean: every threshold that there is.
    """
    read = [(s.label, s.defect, s.mask, s.shape) for s in samples]  # each file once
    masks = [np.zeros(shape, bool) if mask is None else mask for _, _, mask, shape in read]

    def measured(old: Table, maps: Sequence[np.ndarray], rows: Sequence[int]) -> Table:
        kept, regions = [maps[i] for i in rows], [masks[i] for i in rows]
        curve = few_thresholds_curve(kept, regions, count)
        area = {f"aupro_{name}": area_below(*curve, limit) / limit for name, limit in LIMITS}
        return old | area

    fused, everything = [s.anomaly_map for s in scored], range(len(read))
    table = table | {"all": measured(table["all"], fused, everything)}
    table["modalities"] = {
        m: measured(old, [s.modality_maps[m] for s in scored], everything)
        for m, old in table["modalities"].items()
    }
    table["defects"] = {
        d: measured(old, fused, [i for i in everything if read[i][0] == 0 or read[i][1] == d])
        for d, old in table["defects"].items()
    }
    return table


LIMITS = (("30", 0.3), ("1", 0.01))


def few_thresholds_curve(
    maps: Sequence[np.ndarray], masks: Sequence[np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """False positive rate and mean overlap with the regions at `count` thresholds, rising.

    maps, masks: (H, W) each. The thresholds lie at equidistant positions in the sorted scores of
    good pixels; what is greater counts as anomalous. The position p of n stands for the rate
    1 - (p + 1) / n, also where good pixels have equal scores. The curve ends at (1, 1).
    Source: MVTec's evaluation code, which is exact only for scores that are all different.
    """
    good = np.sort(np.concatenate([m[~d] for m, d in zip(maps, masks, strict=True)]))
    positions = np.linspace(0, len(good) - 1, count).astype(int)  # (T,)
    overlap, regions = np.zeros(count), 0
    for scores, mask in zip(maps, masks, strict=True):
        numbers, found = label(mask, structure=NEIGHBOURS)
        for region in range(1, found + 1):
            inside = np.sort(scores[numbers == region])
            not_above = np.searchsorted(inside, good[positions], side="right")  # (T,)
            overlap += 1 - not_above / len(inside)
            regions += 1
    rate = 1 - (positions + 1) / len(good)
    return np.append(rate[::-1], 1.0), np.append(overlap[::-1] / regions, 1.0)
