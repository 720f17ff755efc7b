"""anomalib's data sets and predictions as ours, and ours as anomalib's (extra "anomalib").

    data = AnomalibCategory(Folder3D(...))               # any of its datamodules
    detector = LSFADetector().fit(data.train, data.validation)

    samples, scored = from_anomalib(engine.predict(...))  # what one of its models says
    evaluate(scored, samples)                            # judged as ours are

    batch = to_anomalib(samples, scored)                 # ImageBatch or DepthBatch, for its metrics

What comes in is read by the names of its fields: batches and items of anomalib 2, and the
dictionaries of 1.x. Only `to_anomalib` imports anomalib.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange

from lsfa_lite.data.depth import depth_to_xyz
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import ROLES, Category, Entry, Scans, read_scan
from lsfa_lite.detector import Scored
from lsfa_lite.errors import DataError, MissingPackage

logger = logging.getLogger(__name__)

INSTALL = "anomalib is not installed: pip install 'lsfa-lite[anomalib]'"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation, anomalib's default
HALF = 0.5  # anomalib's threshold, once its scores are normalised
FIELDS = {  # of anomalib 2: the key of 1.x
    "image": "image",
    "image_path": "image_path",
    "depth_map": "depth_image",
    "gt_label": "label",
    "gt_mask": "mask",
    "pred_score": "pred_scores",
    "pred_label": "pred_labels",
    "anomaly_map": "anomaly_maps",
}


# --- its data sets in -------------------------------------------------------------------------


class AnomalibCategory(Category):
    """A datamodule's splits: `.train`, `.validation` and `.test` are lazy sequences of Sample.

    The files are anomalib's choice, whatever the layout (MVTec3D, Folder, Folder3D, MVTecAD, ...);
    the reading is ours: what it refuses is refused. Only good parts are learned from. A validation
    split that shares parts with the test split (anomalib's "same_as_test") is left out: a threshold
    taken from test parts promises nothing. `MVTec3D(root, category)` of `lsfa_lite.data.mvtec3d`
    reads validation/ of the same folder, which anomalib passes over.
    intrinsics: the camera of depth files of one channel. Raises ValueError as `scans` does.
    """

    def __init__(self, datamodule: Any, intrinsics: Intrinsics | None = None):
        if not hasattr(datamodule, "setup"):
            raise DataError(f"{type(datamodule).__name__}: expected a datamodule of anomalib")
        if not hasattr(datamodule, "test_data"):
            datamodule.setup()
        self.category = datamodule.category or datamodule.name
        read = partial(scans, intrinsics=intrinsics)
        self.train, self.test = read(datamodule.train_data), read(datamodule.test_data)
        held_out = getattr(datamodule, "val_data", None)
        self.validation = read(held_out) if held_out is not None else Scans([])
        tested = {entry.path for entry in self.test.entries}
        if any(entry.path in tested for entry in self.validation.entries):
            logger.warning("%s: its validation split is of the test split: left out", self.category)
            self.validation = Scans([])
        self.train, self.validation = self._good(self.train), self._good(self.validation)

    def _good(self, split: Scans) -> Scans:
        entries = [entry for entry in split.entries if not entry.label]
        if odd := len(split) - len(entries):
            words = "%s: %d defective parts left out: only good parts are learned from"
            logger.warning(words, self.category, odd)
        return Scans(entries, split.read)


def scans(dataset: Any, intrinsics: Intrinsics | None = None) -> Scans:
    """A dataset of anomalib's -> Scans, in its order; it pairs files by their order in a folder.

    Raises ValueError for a picture that was paired with a cloud or a mask of another name, and for
    a dataset without labels (predict_dataloader's).
    """
    if "label_index" not in getattr(dataset, "samples", ()):
        raise DataError(f"{type(dataset).__name__}: expected a labelled dataset of anomalib")
    entries = [_entry(row._asdict()) for row in dataset.samples.itertuples(index=False)]
    return Scans(entries, partial(read_scan, intrinsics=intrinsics))


def _entry(row: dict[str, Any]) -> Entry:
    label, rgb = int(row["label_index"]), Path(row["image_path"])
    xyz, gt = (_file(row.get(name)) for name in ("depth_path", "mask_path"))
    for other in (xyz, gt):
        if other and rgb.stem not in other.stem:
            raise DataError(
                f"{rgb}: anomalib pairs it with {other}; the files of a part need names that "
                "contain the picture's, and the folders one file for each"
            )
    # a good part's mask is empty, whatever its file says: anomalib does not open it
    return Entry(rgb, xyz, gt if label else None, label, _defect(rgb, label))


def _file(name: Any) -> Path | None:
    """A cell of the table; pandas writes a missing one in several ways."""
    return Path(name) if isinstance(name, (str, Path)) and str(name) not in ("", "nan") else None


def _defect(path: str | Path, label: int | None) -> str:
    """What kind of part it is: the folder above, rgb/ and the like passed over."""
    if label != 1:
        return "" if label is None else "good"
    above = [folder.name for folder in Path(path).parents]
    return next((name for name in above if name and name.lower() not in ROLES), "")


# --- its predictions in -----------------------------------------------------------------------


def from_anomalib(
    batches: Any,
    *,
    intrinsics: Intrinsics | None = None,
    threshold: float = HALF,
    normalised: tuple[Sequence[float], Sequence[float]] = IMAGENET,
) -> tuple[list[Sample], list[Scored]]:
    """Batches or items with predictions, one or many -> what `evaluation.evaluate` takes.

    A picture that leaves 0..1 was normalised by the model's preprocessor: `normalised` has the mean
    and the deviation to undo it by. A depth map is kept where it has the picture's size, that of
    one channel if `intrinsics` are given. The verdict is pred_label, or pred_score > threshold; a
    score that is missing is the largest value of the map, as anomalib has it. Maps are taken as
    they are: anomalib's own post-processor has clipped them to 0..1, and what it has clipped is
    equal from then on.
    Raises ValueError, naming the part, for an item without anomaly_map, or arrays that disagree.
    """
    rows = [row for batch in _flat(batches) for row in _rows(batch)]
    samples = [_sample(row, intrinsics, normalised) for row in rows]
    return samples, [_scored(r, s, threshold) for r, s in zip(rows, samples, strict=True)]


def _flat(batches: Any) -> Iterator[Any]:
    """One batch, several, or lists of them, as a trainer with several loaders returns."""
    if isinstance(batches, Mapping) or hasattr(batches, "image"):
        yield batches
    elif isinstance(batches, Iterable) and not isinstance(batches, str):
        for some in batches:
            yield from _flat(some)
    else:
        raise DataError(f"{type(batches).__name__}: expected batches or items of anomalib")


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    """A batch, or a single item, -> the fields of each part."""
    if isinstance(batch, Mapping):
        fields = {name: batch.get(key) for name, key in FIELDS.items()}
    else:
        fields = {name: getattr(batch, name, None) for name in FIELDS}
    image = fields["image"]
    if image is None or image.ndim not in (3, 4):
        found = "none" if image is None else tuple(image.shape)
        raise DataError(f"an item's image is {found}, expected (3, H, W) or (B, 3, H, W)")
    several = range(len(image)) if image.ndim == 4 else ()
    yield from ({name: None if x is None else x[i] for name, x in fields.items()} for i in several)
    if image.ndim == 3:
        yield fields


def _sample(row: dict[str, Any], intrinsics: Intrinsics | None, normalised: Any) -> Sample:
    path = str(row["image_path"] or "<anomalib item>")
    label = None if row["gt_label"] is None else int(row["gt_label"])
    rgb = rearrange(_picture(_array(row["image"]), path, normalised), "c h w -> h w c")
    xyz = None if row["depth_map"] is None else _cloud(_array(row["depth_map"]), intrinsics)
    if xyz is not None and xyz.shape != rgb.shape:
        logger.info("%s: depth of %s, picture of %s: left out", path, xyz.shape, rgb.shape)
        xyz = None
    mask = None if row["gt_mask"] is None else _plane(row["gt_mask"]) > 0
    if mask is None and label == 0:
        mask = np.zeros(rgb.shape[:2], bool)
    if mask is not None and label is None:
        label = int(mask.any())
    return Sample(rgb, xyz, mask, label, _defect(path, label), path)


def _picture(image: np.ndarray, path: str, normalised: Any) -> np.ndarray:
    """(3, H, W) float32 in 0..1."""
    if image.dtype == np.uint8:
        return image.astype(np.float32) / 255
    if image.min() >= 0 and image.max() <= 1:
        return image.astype(np.float32)
    mean, std = (np.array(x, np.float32)[:, None, None] for x in normalised)
    image = image * std + mean
    if not (image.min() >= -0.01 and image.max() <= 1.01):  # what resampling overshoots
        raise DataError(
            f"{path}: the picture leaves 0..1; give the mean and the deviation that the model's "
            "preprocessor takes: from_anomalib(..., normalised=(mean, std))"
        )
    return image.clip(0, 1)


def _cloud(depth: np.ndarray, intrinsics: Intrinsics | None) -> np.ndarray | None:
    """(3, H, W) points -> (H, W, 3); depth, (H, W) or (1, H, W), if the camera is known."""
    if depth.ndim == 3 and depth.shape[0] == 3:
        return rearrange(depth, "c h w -> h w c")
    return depth_to_xyz(_plane(depth), intrinsics) if intrinsics else None


def _scored(row: dict[str, Any], sample: Sample, threshold: float) -> Scored:
    if row["anomaly_map"] is None:
        raise DataError(
            f"{sample.path}: no anomaly_map; the scores alone can be judged by "
            "lsfa_lite.scoring.metrics.image_auroc"
        )
    values = _plane(row["anomaly_map"])
    if values.shape != sample.shape:
        raise DataError(
            f"{sample.path}: the map is {values.shape}, the picture {sample.shape}; expected one "
            "size, as the model's preprocessor leaves them"
        )
    score = float(values.max() if row["pred_score"] is None else row["pred_score"])
    said = row["pred_label"]
    verdict = score > threshold if said is None else bool(said)
    return Scored(score, values, {}, {}, threshold, threshold, verdict, sample.path)


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)


def _plane(values: Any) -> np.ndarray:
    """(H, W) or (1, H, W) -> (H, W)."""
    array = _array(values)
    return array[0] if array.ndim == 3 and len(array) == 1 else array


# --- our predictions out ----------------------------------------------------------------------


def to_anomalib(samples: Sequence[Sample], scored: Sequence[Scored]) -> Any:
    """Samples and what a detector says -> one ImageBatch, or DepthBatch where all have a cloud.

    As anomalib's own are: scores and maps in 0..1 with the threshold at one half (`half_way`), and
    pred_mask where the map is above it. depth_map is (3, H, W), metres. A path is left out where
    anomalib would refuse it: no file, or not all ASCII. Scans of several sizes are resized to the
    largest by anomalib.
    Raises ModuleNotFoundError without anomalib, ValueError for samples without a picture.
    """
    try:
        theirs = import_module("anomalib.data")  # so written, mypy does not follow it
    except ModuleNotFoundError as error:
        raise MissingPackage(INSTALL) from error
    deep = all(sample.xyz is not None for sample in samples)
    kind = "Depth" if deep else "Image"
    item, batch = getattr(theirs, f"{kind}Item"), getattr(theirs, f"{kind}Batch")
    return batch.collate([item(**_fields(*x, deep)) for x in zip(samples, scored, strict=True)])


def _fields(sample: Sample, scored: Scored, deep: bool) -> dict[str, Any]:
    if (colour := sample.colour) is None:
        raise DataError(f"{sample.path}: no picture; an item of anomalib needs one")
    path = sample.path if Path(sample.path).is_file() and sample.path.isascii() else None
    label = None if sample.label is None else torch.tensor(bool(sample.label))
    depth = {"depth_map": _first(sample.xyz)} if deep and sample.xyz is not None else {}
    return depth | {
        "image": _first(colour),
        "image_path": path,
        "gt_label": label,
        "gt_mask": None if sample.mask is None else torch.from_numpy(sample.mask),
        "pred_score": torch.tensor(half_way(scored.image_score, scored.threshold)),
        "pred_label": torch.tensor(scored.is_anomalous),
        "anomaly_map": torch.tensor(half_way(scored.anomaly_map, scored.map_threshold)),
        "pred_mask": torch.from_numpy(scored.anomaly_map > scored.map_threshold),
    }


def _first(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(rearrange(array, "h w c -> c h w")))


def half_way(values: Any, threshold: float) -> Any:
    """Scores -> 0..1, in the same order, the threshold at one half: ``(1 + x / (1 + |x|)) / 2``.

    Outside 0..1 anomalib's AUROC would take them for logits, whose sigmoid is 1 from about 17 on:
    there all would be equal.
    """
    x = np.asarray(values, dtype=np.float64) - threshold
    with np.errstate(invalid="ignore"):
        share = np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x)))
    return ((1 + share) / 2).astype(np.float32)
