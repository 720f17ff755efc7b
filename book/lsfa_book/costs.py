"""Before you start: what the full reproduction costs, by arithmetic.

FLOPs follow from the configuration, seconds from a device's data sheet and the assumptions named
below: an estimate, good to a factor of a few, not a measurement. One multiply-add is 2 FLOPs.
Elementwise work is left out. All is float32, as the package runs it (no TF32, no half precision).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lsfa_book.counts import (
    adaptor_flops,
    adaptor_parameters,
    adaptor_training_flops,
    image_facts,
    point_mae_flops,
    width_of,
)
from lsfa_book.devices import Device, Host
from lsfa_book.studies.tables import TABLES
from lsfa_lite.config import Config, FeatureConfig, Modality

FOREGROUND = 0.4  # assumed share of a picture that shows the part: 20,000 of 224 x 224 points
FLOAT = 4  # bytes
SEARCH = 512  # queries at a time in features.nearest
SAVED = 16  # assumed: numbers per token and channel that one layer keeps for its backward pass
LOGITS = 5  # assumed: copies of Eq. 2's N x N products, with their gradients
METRIC_BYTES = 60  # per test pixel: scores, regions, and what sorting them takes
ONCE = ("background", "image network", "point network", "FPFH")  # kept on disk, shared by all runs
Widths = Mapping[Modality, int]  # of the features


@dataclass(frozen=True)
class Images:
    """Scans of one category, and their size in pixels before padding."""

    train: int
    validation: int
    test: int
    width: int = 800
    height: int = 800
    foreground: float = FOREGROUND
    test_good: int = 0  # of the test scans; it costs nothing, but says how sure a result can be

    @property
    def all(self) -> int:
        return self.train + self.validation + self.test

    @property
    def pixels(self) -> int:
        """Of one padded scan."""
        return max(self.width, self.height) ** 2


# Counts and sizes of the data set (Bergmann et al., arXiv 2112.09045): 2656, 294 and 1197 scans.
MVTEC3D = {
    "bagel": Images(244, 22, 110, 800, 800, test_good=22),
    "cable_gland": Images(223, 23, 108, 400, 400, test_good=21),
    "carrot": Images(286, 29, 159, 800, 800, test_good=27),
    "cookie": Images(210, 22, 131, 500, 500, test_good=28),
    "dowel": Images(288, 34, 130, 400, 400, test_good=26),
    "foam": Images(236, 27, 100, 900, 900, test_good=20),
    "peach": Images(361, 42, 132, 600, 600, test_good=26),
    "potato": Images(300, 33, 114, 800, 800, test_good=22),
    "rope": Images(298, 33, 101, 900, 400, test_good=32),
    "tire": Images(210, 29, 112, 600, 800, test_good=25),
}


@dataclass(frozen=True)
class Stage:
    """flops in all; bytes of memory on the device and on the host at the stage's peak; seconds.

    kind "estimate": arithmetic. "measured rate": what this machine did, scaled up. "not known":
    the host's own work, of which no rate was given; its seconds are NaN.
    """

    name: str
    flops: float
    bytes: float
    seconds: float
    kind: str = "estimate"
    host_bytes: float = 0.0


def plan(config: Config, images: Images, device: Device, host: Host | None = None) -> list[Stage]:
    """The stages of one category with one configuration, in the order in which they run."""
    stages = [
        _host("background", images.all * images.width * images.height, host.clean if host else None)
    ]
    if "rgb" in config.modalities:
        stages.append(image_network(config.features, images, device))
    if "3d" in config.modalities:
        stages.append(point_network(config.features, images, device, host))
    widths = {m: width_of(config.features, m) for m in config.modalities}
    if config.adaptation.steps > 0:
        stages.append(adaptation(config, images, device, widths))
        stages.append(adapted_features(config, images, device, widths))
    stages += [coreset(config, images, device, widths), scoring(config, images, device, widths)]
    pixels = images.test * images.pixels
    passes = 2 + len(widths)  # fused, each modality, and the defects together about once more
    kept = (1 + len(widths)) * FLOAT + METRIC_BYTES
    return [
        *stages,
        _host("metrics", passes * pixels, host.metrics if host else None, kept * pixels),
    ]


def _host(name: str, pixels: float, rate: float | None, host_bytes: float = 0.0) -> Stage:
    """Work that the CPU does on any machine; `rate` in seconds per pixel."""
    if rate is None:
        return Stage(name, 0.0, 0.0, math.nan, "not known", host_bytes)
    return Stage(name, 0.0, 0.0, pixels * rate, "measured rate", host_bytes)


# --- the two frozen networks ----------------------------------------------------------------


def image_network(config: FeatureConfig, images: Images, device: Device) -> Stage:
    """One picture at a time, as the package describes them."""
    image = config.image
    one, parameters, width, layers = image_facts(image.backbone, image.stages, config.image_size)
    memory = FLOAT * (parameters + SAVED * config.grid**2 * width)
    traffic = FLOAT * parameters * images.all
    seconds = device.seconds(one * images.all, traffic, 12 * layers * images.all)
    return Stage("image network", one * images.all, memory, seconds)


def point_network(
    config: FeatureConfig, images: Images, device: Device, host: Host | None = None
) -> Stage:
    """Farthest points, neighbours, tokens, blocks and Eq. 1; FPFH is the host's work."""
    points, count = config.points, images.foreground * config.image_size**2  # P
    if points.backbone == "fpfh":
        return _host("FPFH", count * images.all, host.fpfh if host else None)
    seen = min(count, points.max_points or count)
    groups, width = points.groups, len(points.layers) * points.width
    near = points.neighbours or groups
    search = 8 * groups * (2 * seen + count)  # centres, their neighbours, the distances of Eq. 1
    one = search + point_mae_flops(points) + 2 * count * near * width
    hidden = FLOAT * groups * points.group_size * 8 * points.token_hidden
    memory = hidden + FLOAT * (count * width + 2048 * (groups + width))
    traffic = FLOAT * groups * seen * 6  # each new centre is compared with all points
    launches = 7 * groups + 20 * points.depth
    seconds = device.seconds(one * images.all, traffic * images.all, launches * images.all)
    return Stage("point network", one * images.all, memory, seconds)


# --- adaptation -----------------------------------------------------------------------------


def adaptation(config: Config, images: Images, device: Device, widths: Widths) -> Stage:
    """Algorithm 1: forward, backward (twice the forward), the search in the local banks."""
    how = config.adaptation
    batch, tokens = min(how.batch_size, images.train), images.foreground * config.features.grid**2
    queries = batch * tokens
    filled = [min(how.local_bank, step * queries) for step in range(how.steps)]
    search = sum(filled) if how.local_compactness > 0 else 0.0  # rows of the bank, all steps
    local = len(widths) == 2 and how.consistency > 0 and how.local_alignment > 0
    flops = traffic = memory = 0.0
    for width in widths.values():
        head = 2 * tokens * width * how.projection if local else 0.0
        step = batch * (adaptor_training_flops(how, tokens, width) + 3 * head)
        flops += how.steps * step + 2 * queries * width * search
        traffic += FLOAT * width * (4 + math.ceil(queries / SEARCH)) * search
        state = 4 * adaptor_parameters(how, width) + 2 * width * how.local_bank
        memory += FLOAT * (state + SAVED * queries * width)
    if local:
        flops += how.steps * 6 * batch * tokens**2 * how.projection
        memory += FLOAT * LOGITS * batch * tokens**2
    memory += FLOAT * SEARCH * how.local_bank
    seconds = device.seconds(flops, traffic, 300 * how.steps)
    return Stage("adaptation", flops, memory, seconds, host_bytes=_held(config, images, widths))


def adapted_features(config: Config, images: Images, device: Device, widths: Widths) -> Stage:
    """Each scan once through the adaptors, with its background patches (masked)."""
    tokens = config.features.grid**2
    one = sum(adaptor_flops(config.adaptation, tokens, width) for width in widths.values())
    memory = FLOAT * SAVED * tokens * max(widths.values())
    seconds = device.seconds(one * images.all, 0.0, 30 * images.all)
    held = _held(config, images, widths)
    return Stage("adapted features", one * images.all, memory, seconds, host_bytes=held)


def _held(config: Config, images: Images, widths: Widths) -> float:
    """Bytes on the host in fit(): training features twice (raw, adapted), validation once."""
    row = FLOAT * config.features.grid**2 * sum(widths.values())
    return row * (2 * images.train + images.validation)


# --- PatchCore ------------------------------------------------------------------------------


def bank_rows(config: Config, images: Images) -> int:
    """M, of each modality."""
    patches = images.train * images.foreground * config.features.grid**2
    return max(1, round(config.scoring.coreset * patches))


def coreset(config: Config, images: Images, device: Device, widths: Widths) -> Stage:
    """Greedy k-centre: each of M choices compares with every patch, after a projection."""
    rows, kept = images.train * images.foreground * config.features.grid**2, 0
    if config.scoring.coreset < 1:
        kept = bank_rows(config, images)
    flops = traffic = memory = 0.0
    for width in widths.values():
        narrow = min(width, config.scoring.coreset_projection)
        flops += 2 * rows * width * narrow * (narrow < width) + 2 * kept * rows * narrow
        traffic += FLOAT * kept * rows * (narrow + 8)  # 8: the running minimum and its neighbours
        stacked = images.train * config.features.grid**2 * width
        memory = max(memory, FLOAT * (stacked + rows * (width + 2 * narrow)))
    seconds = device.seconds(flops, traffic, 10 * kept * len(widths))
    held = _held(config, images, widths)
    return Stage("coreset", flops, memory, seconds, host_bytes=held)


def scoring(config: Config, images: Images, device: Device, widths: Widths) -> Stage:
    """Validation and test patches against the banks."""
    queries, rows = images.foreground * config.features.grid**2, bank_rows(config, images)
    count = images.validation + images.test
    flops = traffic = memory = 0.0
    for width in widths.values():
        flops += 2 * queries * rows * width * count
        # the bank is centred anew for each scan, and read for every chunk of queries
        traffic += FLOAT * rows * width * (4 + math.ceil(queries / SEARCH)) * count
        memory += FLOAT * rows * width
    memory += FLOAT * rows * (max(widths.values()) + SEARCH)
    seconds = device.seconds(flops, traffic, 60 * count * len(widths))
    return Stage("scoring", flops, memory, seconds)


# --- sums and words -------------------------------------------------------------------------


def reproduction(
    tables: Sequence[str],
    preset: Config,
    device: Device,
    categories: Mapping[str, Images] = MVTEC3D,
    seeds: int = 1,
    host: Host | None = None,
) -> list[Stage]:
    """Whole tables: each of their different runs once, features once per category and network.

    Rows of other methods than LSFA's (peers, fine-tuning, earlier code) are not counted.
    """
    rows = [row for name in tables for row in TABLES[name] if row.method == "lsfa"]
    rows.sort(key=lambda row: row.shots is not None)  # those that describe all parts come first
    runs = dict.fromkeys((preset.change(**row.changes), row.shots) for row in rows)
    stages: list[Stage] = []
    described = set()
    for category, images in categories.items():
        for config, shots in runs:
            some = images if shots is None else replace(images, train=shots)
            for stage in plan(config, some, device, host):
                network = config.features if stage.name != "background" else None
                key = (category, stage.name, network)
                if stage.name not in ONCE or key not in described:
                    stages += [stage] * (1 if stage.name in ONCE else seeds)
                described.add(key)
    return added(stages)


def added(stages: Iterable[Stage]) -> list[Stage]:
    """Stages of the same name as one: work and time add up, memory is that of the largest."""
    sums: dict[str, Stage] = {}
    for stage in stages:
        old = sums.get(stage.name, replace(stage, flops=0.0, bytes=0.0, seconds=0.0))
        sums[stage.name] = replace(
            stage,
            flops=old.flops + stage.flops,
            bytes=max(old.bytes, stage.bytes),
            seconds=old.seconds + stage.seconds,
            host_bytes=max(old.host_bytes, stage.host_bytes),
        )
    return list(sums.values())


def seconds(stages: Iterable[Stage]) -> float:
    """Of the stages whose time is known."""
    return sum(stage.seconds for stage in stages if not math.isnan(stage.seconds))


def table(stages: Sequence[Stage]) -> str:
    """The plan as text: work, memory and time of each stage, and of all."""
    lines = [f"{'':17} {'TFLOP':>10} {'device GB':>10} {'host GB':>8} {'time':>9}"]
    for s in stages:
        time = "?" if math.isnan(s.seconds) else duration(s.seconds)
        memory = f"{s.bytes / 1e9:10.2f} {s.host_bytes / 1e9:8.1f}"
        lines.append(f"{s.name:17} {s.flops / 1e12:10.1f} {memory} {time:>9}  {s.kind}")
    peak = max(s.bytes for s in stages), max(s.host_bytes for s in stages)
    work = sum(s.flops for s in stages) / 1e12
    memory = f"{peak[0] / 1e9:10.2f} {peak[1] / 1e9:8.1f}"
    lines.append(f"{'all':17} {work:10.1f} {memory} {duration(seconds(stages)):>9}")
    return "\n".join(lines)


def duration(value: float) -> str:
    """Seconds in a unit that suits them."""
    for unit, length in (("h", 3600), ("min", 60)):
        if value >= 2 * length:
            return f"{value / length:.1f} {unit}"
    return f"{value:.1f} s"
