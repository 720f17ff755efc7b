"""The parts that every chapter comes back to: forty good ones, a small test split, three riddles.

They are made and cleaned once and then lie in the cache folder, as the features do.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from lsfa_book.mini3d import KINDS, Mini3DConfig, make_sample
from lsfa_book.mini3d.config import folders
from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.sample import Sample
from lsfa_lite.errors import LSFAError
from lsfa_lite.features.cache import cached, content_key

# The first parts of the full mini3d: 28 good ones to learn from and 12 to calibrate with.
FACTORY = Mini3DConfig(train=28, validation=12, test_good=8, test_per_defect=4)

# Parts on which the verdict is close; their fate is told at the end of every chapter.
RIDDLES: dict[str, tuple[str, int]] = {
    "the pale stain": ("test/stain", 1),
    "the shallow dent": ("test/dent", 0),
    "the odd but good one": ("test/good", 1),
}
FORMAT = 1  # of the stored parts; raised when the generator or the cleaning changes


@dataclass(frozen=True)
class Workshop:
    """Cleaned parts of one category; `riddles` are three of `test`, by name."""

    category: str
    train: list[Sample]
    validation: list[Sample]
    test: list[Sample]
    riddles: dict[str, Sample]


def workshop(
    category: str = "ring", config: Mini3DConfig = FACTORY, progress: bool = False
) -> Workshop:
    """Make (or find in the cache) the cleaned parts of one category of mini3d.

    The riddles are rings; for another category there are none. ValueError for an unknown one.
    """
    if category not in KINDS:
        raise LSFAError(f"no category {category!r} in mini3d; it has {', '.join(KINDS)}")
    jobs = [(folder, i) for folder, count in folders(category, config) for i in range(count)]
    splits: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
    by_address: dict[tuple[str, int], Sample] = {}
    for folder, index in tqdm(jobs, f"parts {category}", disable=not progress):
        sample = cleaned(category, folder, index, config)
        splits[folder.split("/")[0]].append(sample)
        by_address[folder, index] = sample
    wanted = RIDDLES if category == "ring" else {}
    riddles = {n: by_address[where] for n, where in wanted.items() if where in by_address}
    return Workshop(category, splits["train"], splits["validation"], splits["test"], riddles)


def cleaned(category: str, folder: str, index: int, config: Mini3DConfig = FACTORY) -> Sample:
    """One part without its table: `make_sample`, then `remove_background`, kept in the cache."""
    background = BackgroundConfig()

    def make() -> dict[str, Tensor]:
        part = remove_background(make_sample(category, folder, index, config), background)
        assert part.rgb is not None
        assert part.xyz is not None
        mask = np.zeros(part.shape, dtype=bool) if part.mask is None else part.mask
        return {
            "rgb": torch.from_numpy(np.ascontiguousarray(part.rgb)),
            "xyz": torch.from_numpy(np.ascontiguousarray(part.xyz)),
            "mask": torch.from_numpy(np.ascontiguousarray(mask)),
        }

    one = dataclasses.replace(config, train=0, validation=0, test_good=0, test_per_defect=0)
    made_of = json.dumps([dataclasses.asdict(one), dataclasses.asdict(background)])
    key = content_key(f"part {FORMAT}", category, folder, str(index), made_of)
    stored = {name: tensor.numpy() for name, tensor in cached(key, make).items()}
    defect = folder.split("/")[1] if stored["mask"].any() else "good"
    path = f"mini3d/{category}/{folder}/{index:03d}"
    label = int(stored["mask"].any())
    return Sample(stored["rgb"], stored["xyz"], stored["mask"], label, defect, path)
