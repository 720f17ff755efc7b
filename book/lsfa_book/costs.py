"""Before you start: what the full reproduction costs, by arithmetic.

FLOPs follow from the configuration, seconds from a device's data sheet and the assumptions named
below: an estimate, good to a factor of a few, not a measurement. One multiply-add is 2 FLOPs.
Elementwise work is left out. All is float32 (no TF32, no half precision) but for the coreset's
loop, which takes float64 so that it chooses the same rows everywhere.
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
FLOAT, HALF, DOUBLE = 4, 2, 8  # bytes
AT_ONCE = 8  # scans that a GPU sees together, as in features.extract
SEARCH = 512  # queries at a time in features.nearest
CHOSEN = 150  # assumed: rows that the coreset takes from one shortlist before it looks at all again
REPLAYED = 0.2  # assumed: what a launch out of a CUDA graph takes of a launch by hand
SAVED = 16  # assumed: numbers per token and channel that one layer keeps for its backward pass
ON_DEVICE = 4 << 30  # bytes of training features that move to the device at once, if they fit
LOGITS = 5  # assumed: copies of Eq. 2's N x N products, with their gradients
METRIC_BYTES = (
    12  # per test pixel beside the maps: one sorted row, copies where a defect is cut out
)
ONCE = ("background", "image network", "point network", "FPFH")  # kept on disk, shared by all runs
Widths = Mapping[Modality, int]  # of the features


@dataclass(frozen=True)
class Images:
    """Scans of one category, and their size in pixels."""

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
        """Of one scan, in the frame as recorded."""
        return self.width * self.height


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
    parts: the three of which `seconds` is made, see `Device.parts`.
    """

    name: str
    flops: float
    bytes: float
    seconds: float
    kind: str = "estimate"
    host_bytes: float = 0.0
    parts: tuple[float, float, float] = (0.0, 0.0, 0.0)


def plan(config: Config, images: Images, device: Device, host: Host | None = None) -> list[Stage]:
    """The stages of one category with one configuration, in the order in which they run."""
    stages = [_host("background", images.all * images.pixels, host.clean if host else None)]
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


def _on(
    device: Device,
    name: str,
    flops: float,
    memory: float,
    traffic: float,
    launches: float,
    host_bytes: float = 0.0,
    double: bool = False,
) -> Stage:
    parts = device.parts(flops, traffic, launches, double)
    seconds = max(parts[:2]) + parts[2]
    return Stage(name, flops, memory, seconds, host_bytes=host_bytes, parts=parts)


# --- the two frozen networks ----------------------------------------------------------------


def image_network(config: FeatureConfig, images: Images, device: Device) -> Stage:
    """Some pictures at a time, as the package describes them on a GPU."""
    image, batches = config.image, images.all / AT_ONCE
    one, parameters, width, layers = image_facts(image.backbone, image.stages, config.image_size)
    memory = FLOAT * (parameters + AT_ONCE * SAVED * config.grid**2 * width)
    work, traffic = one * images.all, FLOAT * parameters * batches
    return _on(device, "image network", work, memory, traffic, 12 * layers * batches)


def point_network(
    config: FeatureConfig, images: Images, device: Device, host: Host | None = None
) -> Stage:
    """Farthest points, neighbours, tokens, blocks and Eq. 1, of AT_ONCE clouds together; tokens are
    made cloud by cloud. FPFH: by the rate of the host; that of a card is not known.
    """
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
    launches = ((7 * groups + 20 * points.depth) / AT_ONCE + 30) * images.all
    return _on(device, "point network", one * images.all, memory, traffic * images.all, launches)


# --- adaptation -----------------------------------------------------------------------------


def adaptation(config: Config, images: Images, device: Device, widths: Widths) -> Stage:
    """Algorithm 1: forward, backward (twice the forward), the search in the local banks."""
    how = config.adaptation
    batch, tokens = min(how.batch_size, images.train), images.foreground * config.features.grid**2
    queries = batch * tokens
    filled = [min(how.local_bank, step * queries) for step in range(how.steps)]
    enough = min(how.min_fill, how.local_bank)
    seen = sum(rows for rows in filled if rows >= enough)  # rows of the bank, all steps
    search = seen if how.local_compactness > 0 else 0.0
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
    trained = feature_bytes(config, images.train, images.foreground)
    memory += trained if trained <= ON_DEVICE else 0.0
    held = _held(config, images)
    return _on(device, "adaptation", flops, memory, traffic, 300 * how.steps, held)


def adapted_features(config: Config, images: Images, device: Device, widths: Widths) -> Stage:
    """Each scan once through the adaptors, with its background patches (masked)."""
    tokens = config.features.grid**2
    one = sum(adaptor_flops(config.adaptation, tokens, width) for width in widths.values())
    memory = FLOAT * SAVED * tokens * max(widths.values())
    held = _held(config, images)
    return _on(device, "adapted features", one * images.all, memory, 0.0, 30 * images.all, held)


def feature_bytes(config: Config, scans: float, share: float = 1.0) -> float:
    """Features of `scans`, both senses, as config.features.keep holds them; share: of the patches
    of a scan, 1 with the background.
    """
    size = HALF if config.features.keep == "float16" else FLOAT
    width = sum(width_of(config.features, m) for m in config.modalities)
    return scans * share * config.features.grid**2 * width * size


def _held(config: Config, images: Images) -> float:
    """Bytes on the host in fit(): features of the patches on a part, as the networks gave them.

    Beyond 1 GiB of a modality they lie in a file: memory that the system may take back.
    """
    return feature_bytes(config, images.train + images.validation, images.foreground)


# --- PatchCore ------------------------------------------------------------------------------


def bank_rows(config: Config, images: Images) -> int:
    """M, of each modality."""
    patches = images.train * images.foreground * config.features.grid**2
    if config.scoring.coreset_rows:
        return min(config.scoring.coreset_rows, round(patches))
    return max(1, round(config.scoring.coreset * patches))


def coreset(config: Config, images: Images, device: Device, widths: Widths) -> Stage:
    """Greedy k-centre: every distance between a choice and a patch, but few looks at all patches.

    The rows are read once for some hundred choices, which are made from a shortlist; the products
    of those with all rows pass through a GPU's memory (a CPU's tiles stay in its cache).
    """
    rows = images.train * images.foreground * config.features.grid**2
    kept = bank_rows(config, images)
    if kept >= round(rows):
        kept = 0  # all are taken as they are
    looks = math.ceil(kept / CHOSEN)
    flops = traffic = memory = 0.0
    for width in widths.values():
        narrow = min(width, config.scoring.coreset_projection)
        flops += 2 * kept * rows * narrow
        traffic += DOUBLE * rows * (looks * (narrow + 8) + 2 * kept)
        loop = (FLOAT + DOUBLE) * rows * narrow  # the projection, and the same on a grid
        memory = max(memory, FLOAT * rows * width + loop)
    launches = len(widths) * (6 * kept * REPLAYED + looks * (20 + rows / 8192))
    held = _held(config, images)
    return _on(device, "coreset", flops, memory, traffic, launches, held, double=True)


def scoring(config: Config, images: Images, device: Device, widths: Widths) -> Stage:
    """Validation and test patches against the banks."""
    queries, rows = images.foreground * config.features.grid**2, bank_rows(config, images)
    count = images.validation + images.test
    flops = traffic = memory = 0.0
    for width in widths.values():
        flops += 2 * queries * rows * width * count
        # the bank is centred anew for each batch, and read for every chunk of queries
        chunks = math.ceil(AT_ONCE * queries / SEARCH)
        traffic += FLOAT * rows * width * (4 + chunks) * count / AT_ONCE
        memory += FLOAT * rows * width
    memory += FLOAT * rows * (max(widths.values()) + SEARCH)
    return _on(device, "scoring", flops, memory, traffic, 60 * count / AT_ONCE * len(widths))


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


def of_a_scan(config: Config, images: Images, device: Device) -> dict[str, float]:
    """Seconds of each stage for one scan that is scored against this category's banks."""
    seen, judged = images.all, images.validation + images.test
    scans = {"image network": seen, "point network": seen, "adapted features": seen}
    scans["scoring"] = judged
    stages = plan(config, images, device)
    return {s.name: s.seconds / scans[s.name] for s in stages if s.name in scans}


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
