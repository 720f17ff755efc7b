"""The colour half of a fitted detector as one ONNX file, for machines without torch (extra "onnx").

    lsfa-lite export MODEL OUT.onnx

In: picture (B, 3, S, S) float32 in 0..1, and part (B, S, S) bool, where the part is; S is the
config's image_size. Out, each equal to what the detector says with the colour alone:

    distances (B, N)     of each patch to its nearest row of the bank, 0 off the part
    score (B,)           `Scored.modality_scores["rgb"]`
    map (B, S, S)        `Scored.modality_maps["rgb"]`, before it is brought to the scan's own size
    normalised (B,)      `Scored.image_score` of `detector.score(sample, ["rgb"])`
    anomalous (B,) bool  normalised > the threshold for colour alone

Network, input transform, adaptor, bank, scales and thresholds are constants of the graph. What it
does not do is in `LIMITS`, which goes into the file's metadata too.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

import lsfa_lite
from lsfa_lite.data.files import written_beside
from lsfa_lite.detector import LSFADetector
from lsfa_lite.errors import FileError, FileThere, MissingPackage, ModelError
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.nearest import ROWS
from lsfa_lite.features.projection import patch_area
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.maps import anomaly_map
from lsfa_lite.scoring.patchcore import PatchCore
from lsfa_lite.scoring.tails import Tail

INSTALL = "the export needs onnx and onnxscript: pip install 'lsfa-lite[onnx]'"
INPUTS = ("picture", "part")
OUTPUTS = ("distances", "score", "map", "normalised", "anomalous")
OPSET = 18
LARGEST = 1.9e9  # bytes; a file of one piece holds 2 GiB
LIMITS = (
    "colour alone: the cloud and the fusion with it stay in the detector",
    "the picture comes with its background removed, padded to a centred square and resized to S "
    "with Pillow's bicubic filter, as lsfa_lite.features.extract.square_pixels does it; the map is "
    "of that square (lsfa_lite.scoring.maps.unsquare undoes it)",
    "part says where the depth sensor saw the part; without a sensor, where the picture is not "
    "black. A picture without a patch on it scores infinity: no part is the worst of defects",
    "float32 on any device; the bank is searched exactly, also where the detector searches "
    "approximately, and features are not rounded where it keeps them in half precision",
)


class ColourHalf(nn.Module):
    """What the file computes, as a module: the picture's way through a fitted detector."""

    rows: Tensor  # (M, D), the bank less its mean
    centre: Tensor  # (D,)
    halves: Tensor  # (M,), half the squared length of each row
    strips: Tensor  # (G, S), 1 where a row of pixels lies in a row of patches
    areas: Tensor  # (N,)

    def __init__(self, detector: LSFADetector):
        super().__init__()
        network, core, adaptation, fusion = copy.deepcopy(
            _parts_of(detector)
        )  # it goes on as it is
        features, scoring = detector.config.features, detector.config.scoring
        self.network, self.size, self.least = network, network.image_size, features.min_foreground
        self.input, self.adaptor = adaptation.inputs["rgb"], adaptation.adaptors["rgb"]
        self.neighbours, self.top, self.root = core.neighbours, core.top_patches, core.scale
        self.blur, self.rim = scoring.blur, scoring.rim
        self.scale = fusion.normalisers["rgb"].image
        assert detector.calibration is not None
        self.threshold = detector.calibration.thresholds["rgb"].value
        bank = core.bank.float()
        self.register_buffer("centre", bank.mean(0))
        self.register_buffer("rows", bank - bank.mean(0))
        self.register_buffer("halves", self.rows.square().sum(1) / 2)
        patch = torch.arange(self.size) * features.grid // self.size  # S
        self.register_buffer("strips", (patch == torch.arange(features.grid)[:, None]).float())
        self.register_buffer("areas", patch_area(self.size, features.grid))
        self.requires_grad_(False)

    def forward(self, picture: Tensor, part: Tensor) -> tuple[Tensor, ...]:
        share = self.strips @ part.float() @ self.strips.T  # B G G
        share = rearrange(share, "b h w -> b (h w)") / self.areas  # B N
        on = share > 0 if self.least == 0 else share >= self.least
        patches = self.adaptor(self.input(self.network(picture)), on) - self.centre  # B N D
        found, row = self.nearest(patches)  # B N
        distances = torch.where(on, found, 0.0)
        score = self.score(patches, distances, row, on)
        drawn = anomaly_map(distances, on, self.size, self.blur, part, self.rim)  # B S S
        exact = score.double()
        scaled = self.scale
        normalised = surprise(scaled, exact) if isinstance(scaled, Tail) else scaled(score)
        normalised = torch.where(on.any(1), normalised.float(), torch.inf)
        return distances, score, drawn, normalised, normalised.double() > self.threshold

    def nearest(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """patches (B, N, D) -> distances to the nearest row, and which it is, (B, N) each.

        The bank in pieces, as `features.nearest` has it on a CPU: all distances at once would be
        large.
        """
        least = torch.full_like(patches[..., 0], torch.inf)
        row = torch.zeros_like(patches[..., 0], dtype=torch.long)
        for start in range(0, len(self.rows), ROWS):
            some = slice(start, start + ROWS)
            found, which = (self.halves[some] - patches @ self.rows[some].T).min(-1)  # B N
            row = torch.where(found < least, which + start, row)
            least = torch.minimum(found, least)
        return length(patches - self.rows[row]), row

    def score(self, patches: Tensor, distances: Tensor, row: Tensor, on: Tensor) -> Tensor:
        """The mean of the largest distances, re-weighted: (B,), infinite where nothing is on."""
        there = torch.where(on, distances, -1.0)
        largest, where = there.topk(min(self.top, there.shape[1]), dim=1)  # B K
        counts = largest >= 0
        own = torch.where(counts, largest, 0.0)
        picked = torch.gather(row, 1, where)  # B K
        wide = where[..., None].expand(-1, -1, patches.shape[-1])
        weighed = own * self.weight(torch.gather(patches, 1, wide), picked, own)
        total = torch.where(counts, weighed, 0.0).sum(1) / counts.sum(1).clamp(min=1)
        return torch.where(on.any(1), total, torch.inf)

    def weight(self, patches: Tensor, row: Tensor, own: Tensor) -> Tensor:
        """`patchcore.reweight`: patches (B, K, D), their rows and distances (B, K) -> (B, K)."""
        count = min(self.neighbours, len(self.rows))
        if count < 2:
            return torch.ones_like(own)
        nearest = self.rows[row]  # B K D
        around = self.halves - nearest @ self.rows.T  # B K M
        near = around.topk(count, dim=-1, largest=False).indices  # B K b
        distances = length(patches[:, :, None] - self.rows[near])  # B K b
        divisor = patches.shape[-1] ** 0.5 if self.root == "sqrt_width" else 1.0
        return -torch.expm1(own / divisor - torch.logsumexp(distances / divisor, dim=-1))


def length(x: Tensor) -> Tensor:
    return x.square().sum(-1).sqrt()


def surprise(tail: Tail, scores: Tensor) -> Tensor:
    """`Tail.__call__` in operations that ONNX has: scores (B,) float64 -> the same."""
    at, height = (torch.tensor(x, dtype=torch.float64) for x in (tail.values, tail.surprises))
    right = (at < scores[:, None]).sum(1).clamp(1, max(len(at) - 1, 1))
    left, right = right - 1, right.clamp(max=len(at) - 1)
    share = (scores.clamp(at[0], at[-1]) - at[left]) / (at[right] - at[left]).clamp(min=1e-300)
    inside = height[left] + share * (height[right] - height[left])
    return inside + tail.rate * (scores - at[-1]).clamp(min=0)


def _parts_of(detector: LSFADetector) -> tuple[ImageBackbone, PatchCore, Any, Fusion]:
    if detector.calibration is None or detector.adaptation is None:
        raise ModelError("this detector has seen no training data: call fit() or load() first")
    if "rgb" not in detector.modalities:
        raise ModelError(
            f"fitted on {', '.join(detector.modalities)}: it has no colour half to export"
        )
    network = getattr(detector.extractor, "network", lambda _: None)("rgb")
    if not isinstance(network, ImageBackbone):
        kind = type(detector.extractor).__name__
        raise ModelError(f"{kind} describes the pictures: only FeatureExtractor's can be exported")
    return network, detector.banks["rgb"], detector.adaptation, detector.calibration.fusion


def map_threshold(detector: LSFADetector) -> float:
    """Where on `map` the detector's threshold for a map of colour alone lies: found by halving.

    Its own is on the normalised scale, which rises with the map's.
    """
    calibration = detector.calibration
    assert calibration is not None
    wanted = calibration.map_thresholds["rgb"].value

    def beyond(value: float) -> bool:
        found = calibration.fusion.fuse_maps({"rgb": torch.tensor(value, dtype=torch.float64)})
        return float(found) > wanted

    low, high = 0.0, 1.0
    while not beyond(high) and high < 1e30:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return low


def export(detector: LSFADetector, path: str | Path) -> dict[str, str]:
    """Write the colour half of a fitted detector; returns the file's metadata.

    Raises ModuleNotFoundError without onnx, FileExistsError, and ValueError for a detector that
    was not fitted, has no colour, describes pictures in its own way, or is too large for one file.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise FileError(f"{path}: expected a name that ends in .onnx")
    if path.exists():
        raise FileThere(f"{path} is there already; name a new file or remove it")
    try:
        onnx = import_module("onnx")
        import_module("onnxscript")
    except ModuleNotFoundError as error:
        raise MissingPackage(INSTALL) from error
    half = ColourHalf(detector).cpu().eval()
    tensors = [*half.parameters(), *half.buffers()]
    if (held := sum(x.numel() * x.element_size() for x in tensors)) > LARGEST:
        raise ModelError(
            f"{held / 1e9:.1f} GB of constants: a file of one piece holds 2 GB; fit with a smaller "
            "scoring.coreset"
        )
    model = graph_of(half)
    about = metadata(detector)
    onnx.helper.set_model_props(model, about)
    with written_beside(path) as beside:
        onnx.save(model, beside)
    return about


@torch.no_grad()
def graph_of(half: ColourHalf) -> Any:
    """The module as a ModelProto with a batch of any size."""
    size, batch = half.size, torch.export.Dim("batch")
    example = torch.rand(2, 3, size, size), torch.ones(2, size, size, dtype=torch.bool)
    with quiet():
        program = torch.onnx.export(
            half,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=({0: batch}, {0: batch}),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextlib.contextmanager
def quiet() -> Any:
    """The exporter warns of its own older parts."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def metadata(detector: LSFADetector) -> dict[str, str]:
    """What the file says about itself: strings, as ONNX has them."""
    calibration, features = detector.calibration, detector.config.features
    assert calibration is not None
    threshold, promised = calibration.thresholds["rgb"]
    return {
        "lsfa_lite": lsfa_lite.__version__,
        "backbone": features.image.backbone,
        "weights": detector.extractor.fingerprint("rgb"),
        "image_size": str(features.image_size),
        "grid": str(features.grid),
        "bank_rows": str(len(detector.banks["rgb"].bank)),
        "threshold": repr(threshold),  # on `normalised`
        "false_positive_rate": repr(promised),
        "map_threshold": repr(map_threshold(detector)),  # on `map`
        "limits": json.dumps(LIMITS),
    }
