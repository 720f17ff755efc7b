"""How fast a machine is: three GPUs by their data sheets, this machine by running something."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_lite.config import BackgroundConfig, PointConfig
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.sample import valid_pixels
from lsfa_lite.features.extract import square_pixels
from lsfa_lite.features.fpfh import fpfh
from lsfa_lite.scoring.metrics import aupro, merged, pixel_auroc, rank, take_apart

UTILISATION = 0.5  # assumed share of the data sheet's rates that large float32 work reaches
LAUNCH = 1e-5  # assumed seconds that a GPU takes to start one operation, however small


@dataclass(frozen=True)
class Device:
    """flops and bandwidth per second, memory in bytes, and where the numbers come from; double:
    flops in float64.
    """

    name: str
    flops: float
    bandwidth: float
    memory: float
    source: str
    utilisation: float = UTILISATION
    launch: float = LAUNCH
    double: float = 0.0

    def seconds(self, flops: float, traffic: float = 0.0, launches: float = 0.0) -> float:
        """The slower of computing and of moving `traffic` bytes, and what starting takes."""
        compute, move, start = self.parts(flops, traffic, launches)
        return max(compute, move) + start

    def parts(
        self, flops: float, traffic: float = 0.0, launches: float = 0.0, double: bool = False
    ) -> tuple[float, float, float]:
        """Seconds of computing (in float64 if double), of moving bytes, and of starting."""
        rate = self.double if double else self.flops
        return (
            flops / (rate * self.utilisation),
            traffic / (self.bandwidth * self.utilisation),
            launches * self.launch,
        )


# Peak rates outside the tensor cores, as printed by the vendor; a T4 computes float64 at 1/32 of
# its float32 (NVIDIA Turing GPU Architecture, white paper).
DEVICES = {
    "T4": Device(
        "T4", 8.1e12, 320e9, 16e9, "NVIDIA T4 Tensor Core GPU, data sheet", double=8.1e12 / 32
    ),
    "A100": Device(
        *("A100", 19.5e12, 2039e9, 80e9, "NVIDIA A100 Tensor Core GPU, data sheet (SXM, 80 GB)"),
        double=9.7e12,
    ),
    "H100": Device(
        *("H100", 67e12, 3350e9, 80e9, "NVIDIA H100 Tensor Core GPU, data sheet (SXM)"),
        double=34e12,
    ),
}


def measure_cpu() -> Device:
    """This machine with the threads that torch has: a matrix product, a long read, small steps."""
    square, long = torch.rand(1024, 1024), torch.rand(200_000, 128)
    column, small, double = torch.rand(128), torch.rand(100), square.double()
    return Device(
        f"this CPU, {torch.get_num_threads()} threads",
        2 * 1024**3 / best(lambda: square @ square),
        4 * long.numel() / best(lambda: long @ column),
        float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        "measured",
        utilisation=1.0,
        launch=best(lambda: [small.argmax() for _ in range(100)]) / 100,
        double=2 * 1024**3 / best(lambda: double @ double),
    )


@dataclass(frozen=True)
class Host:
    """What the CPU does beside any GPU, in seconds per pixel."""

    clean: float  # background removal, one process; per pixel of the raw scan
    fpfh: float  # FPFH; per pixel of the part, at the size that the networks see
    metrics: float  # pixel AUROC and two AUPRO from one sort; per pixel of the test scans


def measure_host() -> Host:
    """From one scan of mini3d and eight small maps: a few seconds of this machine."""
    scan = make_sample("ring", "test/hole", 0, Mini3DConfig())
    assert scan.mask is not None
    noise = np.random.default_rng(0).random((8, *scan.shape), dtype=np.float32)
    maps = [np.where(scan.valid, one, np.float32(0)) for one in noise]
    masks = [scan.mask] * len(maps)
    background, points = BackgroundConfig(), PointConfig()
    clean = best(lambda: remove_background(scan, background))
    cloud = square_pixels(remove_background(scan, background), 224)[1]
    assert cloud is not None
    part = cloud[valid_pixels(cloud)]  # (P, 3)
    describe = best(lambda: fpfh(part, points.fpfh_radius, points.fpfh_neighbours))

    def measure() -> None:
        ranks = rank(merged(take_apart(maps, masks)))
        pixel_auroc(ranks)
        aupro(ranks, limit=0.3)
        aupro(ranks, limit=0.01)

    return Host(clean / scan.mask.size, describe / len(part), best(measure) / noise.size)


def best(work: Callable[[], object], times: int = 2) -> float:
    """Seconds of the fastest of some calls, after one to warm up."""
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)
