"""How much memory a fit takes at its highest, in a process of its own: what came before counts too.

python -m lsfa_book.bench.memory 250      one line of JSON
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsfa_book.bench.inputs import normal
from lsfa_lite.config import PAPER, Config, Modality
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector
from lsfa_lite.features.extract import FeatureExtractor, PatchFeatures

WIDTHS: dict[Modality, int] = {"rgb": 768, "3d": 1152}
ROWS = 4000  # of the coreset: a tenth of the patches would take hours on a CPU, and 0.3 GB more


class Made(FeatureExtractor):
    """Draws what the networks of PAPER would say of a part that covers `share` of the patches."""

    share = 0.4

    def fingerprint(self, modality: Modality) -> str:
        return "made"

    def __call__(
        self, sample: Sample, modalities: Sequence[Modality] = ("rgb", "3d")
    ) -> PatchFeatures:
        count = self.config.grid**2
        foreground = torch.arange(count) < self.share * count  # (N,)
        each = enumerate(modalities)
        features = {m: self.drawn(sample, count, WIDTHS[m], i) for i, m in each}
        return PatchFeatures(features, foreground)

    def drawn(self, sample: Sample, count: int, width: int, seed: int) -> Tensor:
        return normal(count, width, seed=2 * int(sample.path) + seed)


def peak_of_fit(config: Config, parts: int, device: str = "cpu") -> dict[str, Any]:
    """Fit on that many made parts -> megabytes at most on host and card, and seconds."""
    import resource

    blank = np.zeros((1, 1, 3), np.uint8)
    samples = [Sample(blank, None, path=str(index)) for index in range(parts)]
    detector = LSFADetector(config, device, extractor=Made(config.features, device))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    started = time.perf_counter()
    detector.fit(samples, samples[:20])  # some to calibrate on
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    card = torch.cuda.max_memory_allocated() >> 20 if device.startswith("cuda") else None
    seconds = round(time.perf_counter() - started, 1)
    return {
        "parts": parts,
        "before_mb": before,
        "fit_mb": peak,
        "card_mb": card,
        "seconds": seconds,
    }


def measured(parts: int, device: str = "cpu") -> dict[str, Any]:
    """`peak_of_fit` of PAPER in a fresh process."""
    command = [sys.executable, "-m", "lsfa_book.bench.memory", str(parts), "--device", device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("parts", type=int)
    given.add_argument("--device", default="cpu")
    given.add_argument("--steps", type=int, default=1)
    given.add_argument("--rows", type=int, default=ROWS, help="of the coreset; 0: a tenth")
    asked = given.parse_args()
    changes = {"adaptation__steps": asked.steps, "scoring__coreset_rows": asked.rows}
    found = peak_of_fit(PAPER.change(**changes), asked.parts, asked.device)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
