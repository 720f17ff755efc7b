"""From raw files to metrics on the embedded data set, without adaptation and with LSFA."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from lsfa_book import mini3d
from lsfa_book.studies.tables import THREE
from lsfa_lite.config import BackgroundConfig, Config
from lsfa_lite.data.background import clean_folder
from lsfa_lite.data.mvtec3d import MVTec3D
from lsfa_lite.detector import LSFADetector
from lsfa_lite.evaluation import Table, evaluate


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
            variants = {}
            for row in (THREE[0], THREE[-1]):
                parts = MVTec3D(cleaned, category)
                splits, chosen = (parts.train, parts.validation), config.change(**row.changes)
                detector = LSFADetector(chosen, device).fit(*splits, progress=True)
                scored = detector.score(parts.test, progress=True)
                variants[row.name] = evaluate(scored, parts.test)
            seconds = time.perf_counter() - started
            yield {"category": category, "seconds": seconds, "variants": variants}
