"""Background removal (section 4.1): find the table, cut it away, keep the part."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.cluster import DBSCAN
from tqdm.auto import tqdm

from lsfa_lite.checked import differences
from lsfa_lite.config import BackgroundConfig, from_json, to_json
from lsfa_lite.data.files import read_ids, write_png, write_sample, written_beside
from lsfa_lite.data.mvtec3d import categories, list_all, not_there
from lsfa_lite.data.processes import in_processes
from lsfa_lite.data.sample import Sample, valid_pixels
from lsfa_lite.data.scans import SPLITS, Batch, Entry, PassedOver, read_scan
from lsfa_lite.data.units import likely_unit, spacing
from lsfa_lite.errors import DataError, FileError, NoPart, SettingError

logger = logging.getLogger(__name__)

SETTINGS = "clean.json"  # in the root of a cleaned data set
JUDGES = 1000  # points of the border, and as many of the scan, that judge a hypothesis
MOSTLY = 0.5  # of the border that a table fills; a part that touches the frame fills less
REFITS = 5  # three points carry the sensor's noise; a few rounds of least squares settle it


def remove_background(sample: Sample, config: BackgroundConfig | None = None) -> Sample:
    """Sample -> new Sample without table: xyz and rgb are zero off the part; square if config.pad.

    A pass is repeated until nothing changes: its result is a fixed point, and so a second call
    changes nothing. Raises ValueError without xyz, and if nothing is left.
    """
    config = config or BackgroundConfig()
    if sample.xyz is None:
        raise DataError(f"{sample.path}: no xyz; the background is found in the 3D data")
    while True:
        cleaned = remove_once(sample, config)
        if np.array_equal(cleaned.valid, sample.valid):
            return padded(cleaned) if config.pad else cleaned
        sample = cleaned


def remove_once(sample: Sample, config: BackgroundConfig) -> Sample:
    """One pass: cut the plane, keep the clustered part, blank the rest."""
    xyz = sample.xyz
    assert xyz is not None  # remove_background has made sure
    # cut already: no plane fills all of a border that is mostly empty, so none is found
    looked = (
        dataclasses.replace(config, border_share=1.0) if cut_already(sample, config) else config
    )
    kept = part_pixels(xyz, looked)  # (H, W)
    if not kept.any():
        raise nothing_left(sample, config)
    coloured = kept | holes(kept, sample.valid)
    rgb = None if sample.rgb is None else blank(sample.rgb, coloured)
    return dataclasses.replace(sample, xyz=blank(xyz, kept), rgb=rgb)


class Ready:
    """Scans made as a model's training data was: `Ready(detector.background)(sample)`.

    A scan that still shows its table loses it, in its own frame (`pad` is left out: the scores are
    the same, and maps lie on the raw pixels); one without is a fixed point. With as_is=True nothing
    is removed, and a table is told of. Each thing is said once, as a warning of the log.
    Raises what `remove_background` raises. None, of a model that was fitted on whatever there was,
    changes nothing.
    """

    def __init__(self, background: BackgroundConfig | None, as_is: bool = False):
        self.background = background and dataclasses.replace(background, pad=False)
        self.as_is, self.said = as_is, False

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"said": True}  # in a worker: whoever asked it reads the scan too

    def __call__(self, sample: Sample) -> Sample:
        if self.background is None:
            return sample
        if sample.xyz is None or self.as_is:
            if not self.said and shows_table(sample, self.background):
                why = "cannot be found without 3D" if sample.xyz is None else "is left as it is"
                text = "%s: its background %s, and the training data had none: scores mislead"
                self._say(text, sample.path, why)
            return sample
        cleaned = remove_background(sample, self.background)
        if cleaned == sample:
            return sample
        how = {"plane_distance": self.background.plane_distance}
        how |= differences(BackgroundConfig(), self.background)
        settings = ", ".join(f"{name}={value}" for name, value in how.items())
        self._say("background removed as in training (%s)", settings)
        return cleaned

    def _say(self, text: str, *values: object) -> None:
        if not self.said:
            logger.warning(text, *values)
        self.said = True


def shows_table(sample: Sample, config: BackgroundConfig) -> bool:
    """Whether a table is under the part; of a picture alone, whether its border shows anything."""
    if sample.xyz is not None:
        return table_plane(sample, config) is not None
    return bool(sample.foreground[strips(sample.shape, config)].mean() >= MOSTLY)


def nothing_left(sample: Sample, config: BackgroundConfig) -> DataError:
    """Why: another unit, pixels too far apart for a cluster, or that no part was there."""
    assert sample.xyz is not None
    text, apart = f"{sample.path}: nothing is left of the part", spacing(sample.xyz)
    if unit := likely_unit(sample.xyz):
        cure = f"multiply by {unit.metres:g}, or give that as depth_scale"
        return DataError(f"{text}: the cloud seems to be in {unit.name}, not metres; {cure}")
    if apart > config.cluster_radius:
        far = f"its pixels lie {apart * 1000:.1f} mm apart, farther than cluster_radius"
        return DataError(f"{text}: {far}; raise it to {3 * apart:.2g} (metres)")
    cure = "lower plane_distance or cluster_points, or raise cluster_radius"
    return NoPart(f"{text}; {cure}")


def table_plane(sample: Sample, config: BackgroundConfig) -> np.ndarray | None:
    """The table's plane (4,), or None where there is none, or where it was cut away already."""
    assert sample.xyz is not None
    return None if cut_already(sample, config) else border_plane(sample.xyz, config)


def cut_already(sample: Sample, config: BackgroundConfig) -> bool:
    """Whether a table was removed: a second look must not take a flat part at the edge for one.

    Most of the border is empty, and black around what is left; where only the sensor has holes, a
    camera sees something.
    """
    if sample.valid[strips(sample.shape, config)].mean() >= MOSTLY:
        return False
    around = ~ndimage.binary_fill_holes(sample.valid)  # (H, W)
    return sample.rgb is None or not sample.rgb[around].any()


def strips(shape: tuple[int, int], config: BackgroundConfig) -> np.ndarray:
    """(H, W) bool: the border in which a table is looked for."""
    found, b = np.ones(shape, dtype=bool), config.border
    found[b:-b, b:-b] = False
    return found


def part_pixels(xyz: np.ndarray, config: BackgroundConfig) -> np.ndarray:
    """(H, W, 3) metres -> (H, W) bool: seen, in front of the table, and in the kept cluster."""
    kept = valid_pixels(xyz)
    plane = border_plane(xyz, config)
    if plane is not None:
        # Signed, not absolute: what lies behind the table is no part either.
        kept &= plane_distance(xyz, plane) > config.plane_distance
    kept[kept] = largest_cluster(xyz[kept], config)
    return kept


def border_plane(xyz: np.ndarray, config: BackgroundConfig) -> np.ndarray | None:
    """(H, W, 3) metres -> the table's plane (4,), or None if the border shows no table.

    The plane must hold at least config.border_share of the border strips' pixels; the ends of a
    part that reaches the border hold less, and a cleaned scan is left alone. Where two opposite
    sides were seen and the other two not, these may be the ends of a cleaned part that runs
    through the frame: judged as if it were padded to a square, they hold least.
    """
    b, (height, width) = config.border, xyz.shape[:2]
    long, valid = max(height, width), valid_pixels(xyz)
    border, square = np.ones((height, width), dtype=bool), np.ones((long, long), dtype=bool)
    border[b:-b, b:-b] = square[b:-b, b:-b] = False
    judges, needed = border & valid, max(3, config.border_share * border.sum())
    points, scan = (xyz[where].astype(np.float64) for where in (judges, valid))  # (P, 3)
    sides = valid[:b], valid[-b:], valid[:, :b], valid[:, -b:]
    seen = [side.mean() >= config.border_share for side in sides]
    if seen in ([True, True, False, False], [False, False, True, True]):
        top, left = (long - height) // 2, (long - width) // 2
        judges = judges & square[top : top + height, left : left + width]
        needed = max(3, config.border_share * square.sum())
    if judges.sum() < needed:
        return None
    plane = fit_plane(points, scan, config)
    on_plane = np.abs(plane_distance(xyz[judges], plane)) < config.ransac_distance
    return plane if on_plane.sum() >= needed else None


def fit_plane(border: np.ndarray, points: np.ndarray, config: BackgroundConfig) -> np.ndarray:
    """RANSAC: border (P, 3), points (Q, 3), metres -> (a, b, c, d), plane a x + b y + c z + d = 0.

    Each hypothesis goes through a few border points and is judged by border and scan in equal
    parts: by the scan alone a large flat part could win, by the border alone a plane could turn
    about it where only one side of the frame shows the table. The winner is fitted again to all
    its inliers. The normal has length 1 and points to the camera. Deterministic for config.seed.
    """
    rng = np.random.default_rng(config.seed)
    drawn = rng.integers(0, len(border), (config.ransac_iterations, config.ransac_points))
    planes = least_squares_plane(border[drawn])  # (I, 4)
    judges = np.concatenate([rng.choice(border, JUDGES), rng.choice(points, JUDGES)])  # (J, 3)
    heights = judges @ planes[:, :3].T + planes[:, 3]  # (J, I)
    plane = planes[(np.abs(heights) < config.ransac_distance).sum(axis=0).argmax()]
    for _ in range(REFITS):
        inliers = np.abs(plane_distance(points, plane)) < config.ransac_distance
        plane = least_squares_plane(points[inliers])
    return plane


def least_squares_plane(points: np.ndarray) -> np.ndarray:
    """(..., P, 3) -> (..., 4): through the mean, along the direction of least variance."""
    centre = points.mean(axis=-2)  # (..., 3)
    offset = points - centre[..., None, :]
    covariance = np.swapaxes(offset, -1, -2) @ offset  # (..., 3, 3)
    normal = np.linalg.eigh(covariance).eigenvectors[..., 0]  # (..., 3)
    d = -(normal * centre).sum(axis=-1, keepdims=True)  # (..., 1)
    towards_camera = np.where(d < 0, -1.0, 1.0)  # the camera, (0, 0, 0), has height d
    return np.concatenate([normal, d], axis=-1) * towards_camera  # (..., 4)


def plane_distance(points: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """(..., 3), (4,) -> (...): signed height in metres, positive on the camera's side."""
    return points.astype(np.float64) @ plane[:3] + plane[3]


def largest_cluster(points: np.ndarray, config: BackgroundConfig) -> np.ndarray:
    """DBSCAN: (P, 3) metres -> (P,) bool. Noise, label -1, is never kept.

    keep="largest" keeps one cluster, keep="sizeable" all of at least config.sizeable points.
    Points are first pooled in cubes of a third of the radius, each weighing as many as it
    holds: dense scans take seconds instead of hours, and neighbours are exact to that third.
    """
    if not len(points):
        return np.zeros(0, dtype=bool)
    grid = np.floor(points.astype(np.float64) / (config.cluster_radius / 3)).astype(np.int64)
    grid -= grid.min(axis=0)  # (P, 3) cube of each point
    flat = np.ravel_multi_index(tuple(grid.T), tuple(grid.max(axis=0) + 1))  # (P,)
    _, cube, weight = np.unique(flat, return_inverse=True, return_counts=True)
    centre = np.stack([np.bincount(cube, axis) for axis in points.T], axis=-1) / weight[:, None]
    dbscan = DBSCAN(eps=config.cluster_radius, min_samples=config.cluster_points)
    label = dbscan.fit(centre, sample_weight=weight).labels_[cube]  # (P,)
    sizes = np.bincount(label[label >= 0], minlength=1)
    if config.keep == "largest":
        wanted = np.arange(len(sizes)) == sizes.argmax()
    else:
        wanted = sizes >= config.sizeable
    return (label >= 0) & wanted[label]


def padded(sample: Sample) -> Sample:
    """The scan in a centred square, with its mask. Scores stay: the networks see no difference."""
    arrays: dict[str, Any] = {"rgb": sample.rgb, "xyz": sample.xyz, "mask": sample.mask}
    arrays = {name: None if a is None else pad_square(a) for name, a in arrays.items()}
    return dataclasses.replace(sample, **arrays)


def pad_square(array: np.ndarray) -> np.ndarray:
    """(H, W, ...) -> (side, side, ...) with side = max(H, W), centred, zeros around."""
    height, width = array.shape[:2]
    side = max(height, width)
    rows, columns = side - height, side - width
    border = [(rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)]
    return np.pad(array, border + [(0, 0)] * (array.ndim - 2))


def blank(array: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(H, W, ...) and (H, W) bool -> copy that is zero where `kept` is False."""
    out = array.copy()
    out[~kept] = 0
    return out


def holes(kept: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(H, W) bool: gaps inside the part in which the sensor saw nothing at all.

    The camera saw the part there (a shiny spot has no depth), so its colour stays. A gap with a
    table pixel in it, as in the middle of a bagel, is a view of the table and goes.
    """
    gap, count = ndimage.label(ndimage.binary_fill_holes(kept) & ~kept)  # (H, W)
    seen = np.bincount(gap[valid & ~kept], minlength=count + 1) > 0
    seen[0] = True  # 0 is "no gap"
    return ~seen[gap]


def clean_folder(
    src: str | Path,
    out: str | Path,
    config: BackgroundConfig | None = None,
    *,
    only: Sequence[str] | None = None,
    workers: int = 1,
    progress: bool = False,
) -> int:
    """Write a cleaned copy of an MVTec-layout root; returns how many scans were written.

    Scans that `out` already holds are skipped, so an interrupted run goes on. `only` names the
    categories wanted (default: all). Class ids of the ground truth are kept. `workers` processes
    write the same bytes as one (`in_processes` says what a script needs for them).
    A scan that cannot be read, or shows no part, does not stop the others: PassedOver, a ValueError
    that names all such scans, is raised at the end. Raises ValueError at once if `out` is `src` or
    in it, for no or an unknown category, and if `out` was begun with another config.
    """
    src, out, config = Path(src), Path(out), config or BackgroundConfig()
    engine = in_processes(workers)
    inside, around = (Path(os.path.realpath(folder)) for folder in (out, src))  # of loops too
    if around in (inside, *inside.parents):
        raise SettingError(f"{out}: lies in {src}; the originals are never touched, name another")
    found = categories(src)
    wanted = found if only is None else list(only)
    unknown = [name for name in wanted if name not in found]
    if unknown or not found:
        raise FileError(not_there(src, "".join(unknown[:1]), found))
    settings, begun = out / SETTINGS, background_of(out)
    if begun is not None and begun != config:
        other = ", ".join(f"{name}={value}" for name, value in differences(config, begun).items())
        cure = "ask for the same, or choose another folder"
        raise FileError(f"{settings}: the folder was begun with {other}; {cure}")
    with written_beside(settings) as temporary:
        temporary.write_text(to_json(config))
    entries = [e for name in wanted for split in SPLITS for e in list_all(src / name / split)]
    batch, pictured = Batch(), {e.path.parents[2] for e in entries if e.rgb}
    lone = [e for e in entries if e.rgb is None and e.path.parents[2] in pictured]
    batch.passed = [("no such file", f"{e.path}: has no rgb file, but others have") for e in lone]
    entries = [e for e in entries if e not in lone]
    folders = [out / entry.path.parents[1].relative_to(src) for entry in entries]
    tasks = [
        (try_scan, entry, folder, config)
        for entry, folder in zip(entries, folders, strict=True)
        if not (folder / "xyz" / f"{entry.stem}.tiff").exists()  # the file that is written last
    ]
    for _, refused in tqdm(engine(tasks), "clean", len(tasks), unit="scan", disable=not progress):
        batch.done += refused is None
        batch.passed += [] if refused is None else [refused]
    if batch.passed:
        batch.passed.sort(key=lambda pair: pair[1])  # whichever process was first
        raise PassedOver(batch)
    return batch.done


def background_of(root: str | Path) -> BackgroundConfig | None:
    """How `clean_folder` made this root; None for one that it did not make.

    Raises ValueError for settings that cannot be read.
    """
    path = Path(root) / SETTINGS
    try:
        return from_json(path.read_text(), BackgroundConfig) if path.is_file() else None
    except ValueError as error:
        raise FileError(f"{path}: {error}; clean anew into another folder") from error


def warn_if_padded(root: str | Path, trained: BackgroundConfig | None = None) -> None:
    """Log that metrics of this root may count pixels that no camera took.

    Or that it was not cleaned, where that is known of what a detector was `trained` on.
    """
    how = background_of(root)
    if trained is not None and how is None:
        logger.warning(
            "%s: not cleaned by lsfa-lite, and the model's training data was: where a table is "
            "still there, scores mislead",
            root,
        )
    if how is not None and how.pad:
        logger.warning(
            "%s: pad is true: the frames may hold added pixels, AUPRO and P-AUROC count them; "
            "clean again without it for the frames as recorded",
            Path(root) / SETTINGS,
        )


def try_scan(entry: Entry, folder: Path, config: BackgroundConfig) -> tuple[str, str] | None:
    """`clean_scan`; None, or why this scan is passed over."""
    try:
        clean_scan(entry, folder, config)
    except Batch.REFUSED as error:
        return Batch.sort(error), str(error)
    return None


def clean_scan(entry: Entry, folder: Path, config: BackgroundConfig) -> None:
    """Read, clean and write one scan as folder/{gt,rgb,xyz}/stem."""
    cleaned = remove_background(read_scan(entry), config)
    if entry.gt is not None:  # ids, not only > 0
        ids = np.minimum(read_ids(entry.gt), 255).astype(np.uint8)
        write_png(folder / "gt" / f"{entry.stem}.png", pad_square(ids) if config.pad else ids)
    write_sample(folder, entry.stem, dataclasses.replace(cleaned, mask=None))
