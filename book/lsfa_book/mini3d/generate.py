"""One sample by its address, and the whole set on disk in the layout of MVTec 3D-AD."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from lsfa_book.mini3d.config import CATEGORIES, KINDS, Mini3DConfig, class_id, folders
from lsfa_book.mini3d.defects import along
from lsfa_book.mini3d.flaws import FLAWS
from lsfa_book.mini3d.maps import nearest
from lsfa_book.mini3d.render import intersect, shade
from lsfa_book.mini3d.scene import draw, rays
from lsfa_book.mini3d.sensor import colour_picture, scan
from lsfa_book.mini3d.shapes import HEIGHT, SHAPES, VIEW
from lsfa_lite.data.files import write_sample, written_beside
from lsfa_lite.data.sample import Sample
from lsfa_lite.errors import FileThere, LSFAError

GOLDEN = (5**0.5 - 1) / 2  # its multiples modulo 1 spread evenly, however many are drawn


def make_sample(
    category: str, folder: str, index: int, config: Mini3DConfig, strength: float | None = None
) -> Sample:
    """The index-th scan of a folder such as "train/good" or "test/hole".

    It depends on nothing but the arguments: not on the counts in config, nor on other samples.
    strength overrides the defect's; 0 gives the same part, light and sensor noise without it.
    Raises ValueError for an unknown category or folder.
    """
    defect = _check(category, folder, index)
    words = [config.seed, zlib.crc32(category.encode()), zlib.crc32(folder.encode()), index]
    streams = np.random.SeedSequence(words).spawn(5)
    pose, shape, flaw, mat, sensor = (np.random.default_rng(s) for s in streams)
    if strength is None:
        strength = along((flaw.uniform() * 0.05 + index * GOLDEN) % 1, *config.strength)

    scene = draw(pose, config, VIEW[category], 0.5 * HEIGHT[category])
    part = good = SHAPES[category](shape, scene["contrast"])
    footprint = np.zeros(part.height.shape, dtype=bool)
    if defect != "good" and strength > 0:
        part, footprint = FLAWS[category, defect](part, flaw, strength)
    hit = intersect(part, scene)
    noise = np.exp(scene["noise"])
    rgb = colour_picture(shade(part, hit, scene, mat), sensor, noise)
    blind = nearest(part.blind, hit.x, hit.y) if part.blind is not None else 0.0
    xyz = scan(hit, rays(scene), sensor, noise * config.depth_noise, blind)
    mask = nearest(footprint, hit.x, hit.y)
    if part.blind is not None:  # where a piece is gone, the good part says what is missing
        whole = intersect(good, scene)
        mask |= nearest(footprint, whole.x, whole.y)
    path = f"mini3d/{category}/{folder}/{index:03d}"
    return Sample(rgb, xyz, mask, int(mask.any()), defect if mask.any() else "good", path)


def _check(category: str, folder: str, index: int) -> str:
    """The folder's defect name; ValueError for an address that does not exist."""
    if category not in KINDS:
        raise LSFAError(f"no category {category!r} in mini3d; it has {', '.join(KINDS)}")
    names = [name for name, _ in folders(category, Mini3DConfig())]
    if folder not in names:
        raise LSFAError(f"no folder {folder!r} in {category}; it has {', '.join(names)}")
    if index < 0:
        raise LSFAError(f"index is {index}, expected 0 or more")
    return folder.split("/")[1]


def write(
    root: str | Path,
    config: Mini3DConfig | None = None,
    categories: Sequence[str] = CATEGORIES,
    *,
    progress: bool = False,
) -> Path:
    """Write the set as root/<category>/<split>/<defect>/{rgb,xyz,gt}/000.*; returns root.

    A category is written beside and renamed when it is whole. Raises FileExistsError where a
    category's folder already holds files, ValueError for an unknown category.
    """
    root, config = Path(root), config or Mini3DConfig()
    for category in categories:
        _check(category, "train/good", 0)
        target = root / category
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise FileThere(
                f"{target} is not empty; choose another folder, or delete it to make it anew"
            )
    root.mkdir(parents=True, exist_ok=True)
    for category in categories:
        _write_category(root, category, config, progress)
    return root


def _write_category(root: Path, category: str, config: Mini3DConfig, progress: bool) -> None:
    jobs = [(f, i) for f, count in folders(category, config) for i in range(count)]
    with written_beside(root / category) as beside:
        beside.mkdir()
        for folder, index in tqdm(jobs, desc=f"mini3d {category}", disable=not progress):
            sample = make_sample(category, folder, index, config)
            ident = class_id(category, sample.defect) if sample.label else 255
            write_sample(beside / folder, f"{index:03d}", sample, ident)
