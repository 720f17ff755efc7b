"""From raw files to metrics on the embedded data set, without adaptation and with LSFA."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from lsfa_book import mini3d
from lsfa_lite.config import BackgroundConfig, Config
from lsfa_lite.data.background import clean_folder
from lsfa_lite.data.mvtec3d import MVTec3D
from lsfa_lite.detector import LSFADetector
from lsfa_lite.evaluation import Table, evaluate

VARIANTS = {"no adaptation": {"adaptation__steps": 0}, "LSFA": {}}


def demo(
    config: Config,
    data: mini3d.Mini3DConfig,
    out: Path | None = None,
    categories: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
) -> Iterator[Table]:
    """One row per category: {"category", "seconds", "variants": {name: evaluation table}}.

    The time runs from raw files to metrics, both variants together; making the data is not in it.
    """
    with tempfile.TemporaryDirectory(prefix="lsfa-demo-") as scratch:
        folder = Path(scratch) if out is None else out
        for category in categories or mini3d.CATEGORIES:
            raw, cleaned = folder / "raw" / category, folder / "clean" / category
            mini3d.write(raw, data, [category], progress=True)
            started = time.perf_counter()
            clean_folder(raw, cleaned, BackgroundConfig(), progress=True)
            variants = {
                name: fit_and_evaluate(config.change(**changes), cleaned, category, device)
                for name, changes in VARIANTS.items()
            }
            seconds = time.perf_counter() - started
            yield {"category": category, "seconds": seconds, "variants": variants}


def fit_and_evaluate(
    config: Config,
    root: Path,
    category: str,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> Table:
    """Fit on a category's good parts, score its test split, measure."""
    data = MVTec3D(root, category)
    detector = LSFADetector(config, device).fit(data.train, data.validation, progress=progress)
    return evaluate(detector.score(data.test, progress=progress), data.test)
