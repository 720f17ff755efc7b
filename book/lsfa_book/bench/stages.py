"""Every stage in the order in which data flows, then the whole way: sizes of FIRST and PAPER."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsfa_book import mini3d
from lsfa_book.bench import inputs, memory, peers
from lsfa_book.bench.stage import Reference, Stage
from lsfa_lite.adaptation.losses import local_compactness
from lsfa_lite.adaptation.train import iterate
from lsfa_lite.config import FIRST, PAPER, BackgroundConfig, Config, Modality
from lsfa_lite.data.background import clean_folder, remove_background
from lsfa_lite.data.mvtec3d import MVTec3D
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector, Scored
from lsfa_lite.evaluation import Table, evaluate
from lsfa_lite.features.fpfh import fpfh
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.nearest import nearest
from lsfa_lite.features.point_network import PointMAE
from lsfa_lite.features.points import describe_points, group, load_point_mae
from lsfa_lite.features.projection import interpolate
from lsfa_lite.features.sampling import farthest_point_sampling, nearest_groups
from lsfa_lite.scoring.coreset import greedy_coreset
from lsfa_lite.scoring.metrics import aupro

POINTS = FIRST.change(features__points__backbone="point_mae")
FINE = FIRST.change(name="lite at grid 56", features__grid=56)
WIDTHS: dict[str, dict[Modality, int]] = {
    "lite": {"rgb": 152, "3d": 33},
    "lite at grid 56": {"rgb": 152, "3d": 33},
    "paper": {"rgb": 768, "3d": 1152},
}


def stages(quick: bool, device: torch.device) -> Iterator[Stage]:
    """All of them; `quick` takes smaller sizes, and on a CPU smaller ones still."""
    yield from data_stages(quick)
    yield from feature_stages()
    yield from adaptation_stages(quick, quick and device.type == "cpu")
    yield from scoring_stages(quick)
    yield from metric_stages()
    yield from detector_stages(quick, device)


# --- data, features ------------------------------------------------------------------------------


def data_stages(quick: bool) -> Iterator[Stage]:
    size, background = (400 if quick else 800), BackgroundConfig()
    yield Stage(
        "background removal",
        f"{size} x {size}",
        lambda _: (inputs.scan(size), background),
        remove_background,
        host=True,
    )


def feature_stages() -> Iterator[Stage]:
    yield image_stage(FIRST)
    yield image_stage(PAPER)
    yield Stage(
        "farthest points",
        "1024 of 20,000",
        lambda device: (inputs.cloud(20_000, device), 1024),
        farthest_point_sampling,
        peers.FPS,
    )
    yield Stage("neighbours", "128 for 1024 of 20,000", grouping, nearest_groups, peers.GROUPS)
    yield Stage("FPFH", "8192 points", histogram_input, fpfh, peers.FPFH)
    yield point_stage(POINTS, 8192)
    yield point_stage(PAPER, 20_000)
    yield mixing_stage("8192 points, 3 of 512, 288 wide", 8192, 512, 288, 3)
    yield mixing_stage("20,000 points, all of 1024, 1152 wide", 20_000, 1024, 1152, None)


def image_stage(config: Config) -> Stage:
    features = inputs.random_weights(config).features

    def make(device: torch.device) -> tuple[ImageBackbone, Tensor]:
        size = features.image_size
        network = ImageBackbone(features.image, size, features.grid).to(device)
        return network, inputs.normal(1, 3, size, size, device=device).sigmoid()

    def alone(network: ImageBackbone, colour: Tensor) -> Any:
        inner = network.network
        return inner.forward_features(colour) if network.transformer else inner(colour)

    size = f"{config.name}: one picture of {features.image_size}, {features.image.backbone}"
    timm = Reference("timm's network alone", torch.no_grad()(alone))
    return Stage("image network", size, make, torch.no_grad()(ImageBackbone.__call__), (timm,))


def grouping(device: torch.device) -> tuple[Tensor, Tensor, int]:
    points = inputs.cloud(20_000, device)
    return points, points[farthest_point_sampling(points, 1024)], 128


def histogram_input(device: torch.device) -> tuple[Tensor, float, int]:
    config = FIRST.features.points
    return inputs.cloud(8192, device), config.fpfh_radius, config.fpfh_neighbours


def point_stage(config: Config, count: int) -> Stage:
    points = inputs.random_weights(config).features.points

    def make(device: torch.device) -> tuple[PointMAE, Tensor, tuple[Tensor, Tensor]]:
        cloud = inputs.cloud(count, device)
        around, centres, _ = group(cloud, points.groups, points.group_size)
        return load_point_mae(points, device), cloud, (around[None], centres[None])

    def run(network: PointMAE, cloud: Tensor, groups: object) -> Tensor:
        return describe_points(network, cloud, points)[1]

    def alone(network: PointMAE, cloud: Tensor, groups: tuple[Tensor, Tensor]) -> Tensor:
        return network(*groups)

    size = f"{config.name}: {count:,} points, {points.groups} groups of {points.group_size}"
    without = Reference("without sampling, grouping", torch.no_grad()(alone))
    return Stage("point network", size, make, run, (without,))


def mixing_stage(size: str, points: int, groups: int, width: int, k: int | None) -> Stage:
    def make(device: torch.device) -> tuple[Tensor, Tensor, Tensor, int | None]:
        cloud = inputs.cloud(points, device)
        return cloud, cloud[:groups] + 1e-4, inputs.normal(groups, width, device=device), k

    return Stage(
        "interpolation, Eq. 1", size, make, interpolate, peers.MIX_FEW if k else peers.MIX_ALL
    )


# --- adaptation ----------------------------------------------------------------------------------


def adaptation_stages(quick: bool, small: bool) -> Iterator[Stage]:
    queries, rows = (3000, 10_000) if quick else (12_000, 50_000)
    yield Stage(
        "local compactness, Eq. 5",
        f"{queries:,} x {rows:,} x 768, forward and backward",
        lambda device: (
            inputs.normal(queries, 768, device=device),
            inputs.normal(rows, 768, seed=1, device=device),
        ),
        compactness,
        peers.COMPACTNESS,
    )
    yield training_stage(FIRST)
    fewer = PAPER.change(adaptation__batch_size=2, adaptation__local_bank=5000)
    yield training_stage(fewer if small else PAPER)


def compactness(features: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    features = features.detach().requires_grad_(True)
    loss = local_compactness(features, bank)
    return loss.detach(), torch.autograd.grad(loss, features)[0]


def training_stage(config: Config) -> Stage:
    how, grid = config.adaptation, config.features.grid
    size = f"{config.name}: {how.batch_size} parts, grid {grid}, bank of {how.local_bank:,}"
    widths = WIDTHS[config.name]
    return Stage(
        "training step", size, lambda device: inputs.training(config, widths, device), iterate
    )


# --- scoring -------------------------------------------------------------------------------------


def scoring_stages(quick: bool) -> Iterator[Stage]:
    for rows, width in [(3000, 1152)] if quick else [(20_000, 1152), (130_000, 128)]:
        yield Stage(
            "coreset",
            f"{rows // 10:,} of {rows:,} x {width}",
            lambda device, r=rows, w=width: (inputs.normal(r, w, device=device), r // 10),  # type: ignore[misc]
            greedy_coreset,
            peers.CORESET if quick else peers.CORESET[:1] if rows < 100_000 else (),
        )
    queries, bank = (1500, 20_000) if quick else (1500, 76_518)
    yield Stage(
        "nearest patch",
        f"{queries:,} x {bank:,} x 1152",
        lambda device: (
            inputs.normal(queries, 1152, device=device),
            inputs.normal(bank, 1152, seed=1, device=device),
        ),
        nearest,
        peers.NEAREST,
    )


# --- metrics -------------------------------------------------------------------------------------


def metric_stages() -> Iterator[Stage]:
    yield Stage("AUPRO@30%", "100 maps of 224 x 224", marked_maps, aupro, peers.AUPRO, host=True)
    yield Stage(
        "evaluation",
        "12 maps of 800 x 800, 3 views, 3 defects",
        lambda _: inputs.verdicts(12, 800),
        evaluate,
        (Reference("sort of the fused view alone", fused_sort),),
        host=True,
    )


def marked_maps(_: torch.device) -> tuple[list[np.ndarray], list[np.ndarray]]:
    marked = inputs.masks(100, 224)
    return inputs.maps(marked), marked


def fused_sort(scored: list[Scored], samples: object) -> np.ndarray:
    return peers.sort([one.anomaly_map for one in scored], samples)


# --- the whole way -------------------------------------------------------------------------------


def detector_stages(quick: bool, device: torch.device) -> Iterator[Stage]:
    gpu = device.type == "cuda"
    rows = 10_000 if quick and not gpu else 40_000
    yield scan_stage("lite", FIRST, 5000)
    yield scan_stage("lite, Point-MAE", POINTS, 5000)
    yield scan_stage("paper", PAPER, rows)
    if not quick:
        yield scan_stage(FINE.name, FINE, 5000)
        yield fit_stage(FINE, 40)
        yield category_stage(FINE)
        yield memory_stage(250)
    yield fit_stage(FIRST.change(adaptation__steps=10) if quick else FIRST, 10 if quick else 40)
    steps = {(True, True): 20, (True, False): PAPER.adaptation.steps}.get((gpu, quick), 1)
    fewer = PAPER.change(adaptation__steps=steps)
    if quick and not gpu:
        fewer = fewer.change(adaptation__batch_size=2)
    yield fit_stage(fewer, 10 if gpu else 2)


def scan_stage(name: str, config: Config, rows: int) -> Stage:
    def run(detector: LSFADetector, sample: Sample) -> Scored:
        return detector.score(sample)

    def alone(detector: LSFADetector, sample: Sample) -> Any:
        return detector.extractor(sample, detector.modalities)

    def make(device: torch.device) -> tuple[LSFADetector, Sample]:
        return inputs.detector(config, rows, device)

    size = f"{name}: banks of {rows:,}"
    return Stage("one scan, scored", size, make, run, (Reference("features alone", alone),))


def fit_stage(config: Config, parts: int) -> Stage:
    grid, steps = config.features.grid, config.adaptation.steps

    def make(device: torch.device) -> tuple[Any, ...]:
        made = inputs.stack(parts, grid, WIDTHS[config.name])
        return LSFADetector(inputs.random_weights(config), device), made

    size = f"{config.name}: {parts} parts, grid {grid}, {steps} steps"
    fit: Callable[..., Any] = LSFADetector.fit_features
    return Stage("fit from features", size, make, fit, FIT)


def category_stage(config: Config) -> Stage:
    """All that a user waits for: a category of mini3d, from raw scans to the table of metrics."""

    def make(device: torch.device) -> tuple[TemporaryDirectory[str], torch.device]:
        raw = TemporaryDirectory()  # gone with the last who knows it
        mini3d.write(raw.name, mini3d.Mini3DConfig(), ["ring"])
        return raw, device

    def run(raw: TemporaryDirectory[str], device: torch.device) -> Table:
        with TemporaryDirectory() as clean:
            clean_folder(raw.name, clean, workers=os.cpu_count() or 1)
            parts = MVTec3D(clean, "ring")
            detector = LSFADetector(config.change(features__cache=False), device)
            detector.fit(parts.train, parts.validation)
            return evaluate(detector.score(parts.test), parts.test)

    size = f"{config.name}: grid {config.features.grid}, 40 + 16 + 56 scans of 256 x 256"
    return Stage("a category, raw to metrics", size, make, run)


def memory_stage(parts: int) -> Stage:
    size = f"paper: {parts} parts, a coreset of {memory.ROWS:,}, 1 step"
    return Stage(
        "memory of a fit",
        size,
        lambda device: (parts, str(device)),
        memory.measured,
        facts=lambda found: {key: found[key] for key in ("fit_mb", "card_mb", "before_mb")},
    )


FIT = (  # of one detector, in this order: each finds what the last has left
    Reference("adaptation alone", lambda detector, parts: detector.adapt_to(parts)),
    Reference("banks alone", lambda detector, parts: detector.remember(parts)),
    Reference("calibration alone", lambda detector, parts: detector.calibrate(parts)),
)
