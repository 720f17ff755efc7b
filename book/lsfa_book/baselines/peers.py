"""Other published methods, as anomalib has them (extra "peers"), on our parts and by our metrics.

anomalib's torch models are driven directly: its networks, losses, maps and scores, in a loop of
ours. With `weights="package"` or "random" every peer looks through our frozen colour network, so
that methods are compared and not networks. With any other weights a peer takes its own network,
which anomalib fetches from a hub.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lsfa_lite.config import Config, Modality
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.evaluation import Table, evaluate
from lsfa_lite.features.extract import FeatureExtractor, square_pixels
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.scoring.maps import unsquare
from lsfa_lite.scoring.threshold import threshold

Inputs = tuple[Tensor, ...]  # of one part: colour (3, S, S); for CFM xyz (3, S, S) in metres, too

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation, the peers' own
FPFH_WIDTH = 33


@dataclass(frozen=True)
class Training:
    """How the peers that learn are trained; the defaults are as published.

    Optimisers are in the methods below. Sources: the papers and their authors' code.
    """

    stfpm_epochs: int = 100
    stfpm_batch: int = 32
    flow_epochs: int = 240
    flow_batch: int = 16
    flow_lr: float = 2e-4
    flow_hidden: int = 1024  # channels inside CS-Flow's coupling layers
    cfm_epochs: int = 50
    cfm_batch: int = 4


PUBLISHED = Training()
# of the preset "lite": a minute on one CPU core. Small batches, so that few parts give steps, and
# for CS-Flow a tenfold rate and a thirtieth of the width.
CUT = Training(
    stfpm_epochs=8,
    stfpm_batch=4,
    flow_epochs=30,
    flow_batch=8,
    flow_lr=2e-3,
    flow_hidden=32,
)


def run(
    what: str,
    config: Config,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    test: Sequence[Sample],
    device: str | torch.device = "cpu",
) -> Table:
    """Fit one peer to good parts and measure it as our own method is measured.

    The image score is the peer's own (class CFM says where it is not anomalib's). The map, which
    covers the whole picture, is brought to the sample's own pixels and set to zero off the part,
    as our maps are. Thresholds come from `validation`. Training is cut short for the preset
    "lite" (CUT), else as published.
    Raises ValueError for a name not in WHAT, without anomalib, or for parts that lack a modality;
    FileNotFoundError where weights cannot be had.
    """
    peer = make_peer(what, config, device)
    return evaluate(peer.fit(train, validation).score(test), test)


def available() -> bool:
    """Whether anomalib is installed."""
    return find_spec("anomalib") is not None


def make_peer(what: str, config: Config, device: str | torch.device = "cpu") -> Peer:
    """The peer, not yet fitted. Raises as `run` does."""
    if what not in PEERS:
        raise ValueError(f"no peer {what!r}; there are {', '.join(WHAT)}")
    if not available():
        raise ValueError(f"peer {what!r} needs anomalib: pip install 'lsfa-lite[peers]'")
    if what == "cfm" and not has_cfm():
        raise ValueError("this anomalib has no CFM; 2.5.0 and later have: pip install -U anomalib")
    return PEERS[what](config, torch.device(device))


def has_cfm() -> bool:
    with _quiet():
        return find_spec("anomalib.models.image.cfm") is not None


class Peer(ABC):
    """A method of anomalib: how its model is built and fitted is said by the subclasses."""

    modalities: tuple[Modality, ...] = ("rgb",)

    def __init__(self, config: Config, device: torch.device):
        self.config, self.device = config, device
        self.training = CUT if config.name == "lite" else PUBLISHED
        self.ours = config.features.image.weights in ("package", "random")
        image = config.features.image
        self.mean, self.std = (image.mean, image.std) if self.ours else IMAGENET
        self.size = config.features.image_size
        with self._seeded():
            built = self.build_ours() if self.ours else fetched(self.build_own)
        self.model = built.to(device)

    @abstractmethod
    def build_ours(self) -> Any:
        """anomalib's model around our frozen network."""

    @abstractmethod
    def build_own(self) -> Any:
        """anomalib's model with the network that it fetches."""

    @abstractmethod
    def learn(self, inputs: Sequence[Inputs]) -> None:
        """Fit the model to the good parts."""

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample]) -> Peer:
        """Good parts to learn from; good parts, not learnt from, for the thresholds."""
        if not len(train) or not len(validation):
            raise ValueError("train and validation: each needs good parts")
        with self._seeded():
            self.learn([self._inputs(sample) for sample in train])
        self.model.eval()
        pairs = [self._predict(sample) for sample in validation]
        rate = self.config.scoring.false_positive_rate
        self.threshold = threshold([score for score, _ in pairs], rate).value
        self.map_threshold = threshold([float(values.max()) for _, values in pairs], rate).value
        return self

    def score(self, samples: Sequence[Sample]) -> list[Scored]:
        return [self._score(sample) for sample in samples]

    def _score(self, sample: Sample) -> Scored:
        score, values = self._predict(sample)
        alone = len(self.modalities) == 1
        return Scored(
            image_score=score,
            anomaly_map=values,
            modality_scores={"rgb": score} if alone else {},
            modality_maps={"rgb": values} if alone else {},
            threshold=self.threshold,
            map_threshold=self.map_threshold,
            is_anomalous=score > self.threshold,
            path=sample.path,
        )

    @torch.no_grad()
    def _predict(self, sample: Sample) -> tuple[float, np.ndarray]:
        """The peer's score, and its map (H, W) in the sample's own pixels, 0 off the part."""
        with self._seeded():  # CFM draws points, also when it predicts
            found = self.model(*(rearrange(x, "c h w -> 1 c h w") for x in self._inputs(sample)))
        square = found.anomaly_map.reshape(found.anomaly_map.shape[-2:])  # S S
        values = unsquare(square.float().cpu(), sample.shape).numpy() * sample.foreground  # H W
        return float(found.pred_score), values.astype(np.float32)

    def _inputs(self, sample: Sample) -> Inputs:
        colour, xyz = square_pixels(sample, self.size)
        both = {"rgb": colour, "3d": xyz}
        missing = [name for name in self.modalities if both[name] is None]
        if missing:
            raise ValueError(f"{sample.path}: has no {missing[0]}, which this peer needs")
        normal = (torch.as_tensor(colour) - torch.tensor(self.mean)) / torch.tensor(self.std)
        given = (normal, torch.as_tensor(xyz)) if "3d" in self.modalities else (normal,)
        return tuple(rearrange(x, "h w c -> c h w").contiguous().to(self.device) for x in given)

    @contextlib.contextmanager
    def _seeded(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(self.config.seed)
            yield


class Padim(Peer):
    """PaDiM (arXiv 2011.08785): in each place a Gaussian of 100 channels of three stages."""

    def build_ours(self) -> Any:
        network, name, layers = our_network(self.config, (1, 2, 3))  # strides of ResNet's layers
        channels = min(100, sum(network.feature_info.channels()))
        model = anomalib("padim").PadimModel(name, layers, False, channels)
        model.feature_extractor.feature_extractor = network
        return model

    def build_own(self) -> Any:
        return anomalib("padim").PadimModel()  # ResNet-18

    @torch.no_grad()
    def learn(self, inputs: Sequence[Inputs]) -> None:
        self.model.train()
        for (colour,) in inputs:
            self.model(colour[None])
        self.model.fit()


class PatchCore(Peer):
    """PatchCore (arXiv 2106.08265), anomalib's own: distances to 10 % of the training patches."""

    def build_ours(self) -> Any:
        network, name, layers = our_network(self.config, (2, 3))
        model = anomalib("patchcore").PatchcoreModel(layers, name, pre_trained=False)
        model.feature_extractor.feature_extractor = network
        return model

    def build_own(self) -> Any:  # Wide ResNet-50
        return anomalib("patchcore").PatchcoreModel(["layer2", "layer3"])

    @torch.no_grad()
    def learn(self, inputs: Sequence[Inputs]) -> None:
        self.model.train()
        patches = torch.cat([self.model(colour[None]) for (colour,) in inputs])  # M D
        self.model.embedding_store.clear()
        sampler = frugal(anomalib("patchcore").KCenterGreedy)(patches, 0.1)
        # its projection draws from NumPy, without a seed of its own
        sampler.model.random_state = np.random.RandomState(self.config.seed)
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that cannot be turned off
            self.model.memory_bank = sampler.sample_coreset()


def frugal(sampler: Any) -> Any:
    """anomalib's greedy coreset without a copy of all patches in every step.

    Those copies, between the few bytes that each step keeps, tear the heap to pieces: more than
    20 GB for 31,000 patches on a CPU under Linux.
    """

    class Frugal(sampler):
        min_distances: Any

        def update_distances(self, cluster_center: Any) -> None:
            centre = self.features[cluster_center].reshape(1, -1)  # 1 D
            mode = "donot_use_mm_for_euclid_dist"
            new = torch.cdist(self.features, centre, compute_mode=mode)  # M 1
            old = self.min_distances
            self.min_distances = new if old is None else torch.minimum(old, new)

    return Frugal


class STFPM(Peer):
    """STFPM (arXiv 2103.04257): a student, from scratch, imitates three stages of the network."""

    def build_ours(self) -> Any:
        module = anomalib("stfpm")
        network, name, layers = our_network(self.config, (1, 2, 3))
        teacher = module.TimmFeatureExtractor(name, layers, pre_trained=False)
        teacher.feature_extractor = network
        return assembled(
            module.STFPMModel,
            tiler=None,
            teacher_model=teacher,
            student_model=module.TimmFeatureExtractor(name, layers, False, requires_grad=True),
            anomaly_map_generator=module.AnomalyMapGenerator(),
        )

    def build_own(self) -> Any:  # ResNet-18
        return anomalib("stfpm").STFPMModel(["layer1", "layer2", "layer3"])

    def learn(self, inputs: Sequence[Inputs]) -> None:
        summed = anomalib("stfpm", "loss").STFPMLoss()
        weights = self.model.student_model.parameters()
        optimiser = torch.optim.SGD(weights, lr=0.4, momentum=0.9, weight_decay=1e-4)

        def loss(batch: Sequence[Inputs]) -> Tensor:
            colour = torch.stack([colour for (colour,) in batch])  # B 3 S S
            return summed(*self.model(colour)) / len(batch)  # the authors' is a mean

        epochs, size = self.training.stfpm_epochs, self.training.stfpm_batch
        descend(self.model, loss, inputs, epochs, size, optimiser)


class CSFlow(Peer):
    """CS-Flow (arXiv 2110.02855): the likelihood of a picture's features on three scales.

    It wants pictures of a multiple of 128 pixels. anomalib's flow is made for 304 channels, those
    of EfficientNet-B5; of our network's last stage it gets as many, drawn by the seed.
    """

    def __init__(self, config: Config, device: torch.device):
        side = 128 * -(-config.features.image_size // 128)  # rounded up
        super().__init__(config.change(features__image_size=side), device)

    def build_ours(self) -> Any:
        module, picture = anomalib("csflow"), (3, self.size, self.size)
        network, _, _ = our_network(self.config, (4,))
        return assembled(
            module.CsFlowModel,
            feature_extractor=Scales(network, 304),
            graph=module.CrossScaleFlow(picture, 4, 3, self.training.flow_hidden),
            anomaly_map_generator=module.AnomalyMapGenerator(picture),
        )

    def build_own(self) -> Any:  # EfficientNet-B5
        size, hidden = (self.size, self.size), self.training.flow_hidden
        return anomalib("csflow").CsFlowModel(size, hidden)

    def learn(self, inputs: Sequence[Inputs]) -> None:
        likelihood, flow = anomalib("csflow", "loss").CsFlowLoss(), self.model.graph
        optimiser = torch.optim.Adam(
            flow.parameters(), self.training.flow_lr, (0.5, 0.9), eps=1e-4, weight_decay=1e-5
        )
        with torch.no_grad():  # the network is frozen: each picture is described once
            maps = [tuple(self.model.feature_extractor(colour[None])) for (colour,) in inputs]

        def loss(batch: Sequence[Inputs]) -> Tensor:
            z, change = flow([torch.cat(scale) for scale in zip(*batch, strict=True)])
            return likelihood(z, change / len(batch))  # anomalib sums it over the batch

        epochs, size = self.training.flow_epochs, self.training.flow_batch
        descend(flow, loss, maps, epochs, size, optimiser, clip=1.0)


class Scales(nn.Module):
    """Pictures (B, 3, S, S) -> the last stage's maps at S, S / 2 and S / 4, of `width` channels."""

    chosen: Tensor

    def __init__(self, network: Any, width: int):
        super().__init__()
        channels = network.feature_info.channels()[-1]
        if channels < width:
            raise ValueError(f"CS-Flow needs {width} channels; the last stage has {channels}")
        self.network = network
        self.register_buffer("chosen", torch.randperm(channels)[:width].sort().values)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        side = pictures.shape[-1]
        smaller = [F.interpolate(pictures, size=(side // k, side // k)) for k in (1, 2, 4)]
        return [self.network(picture)[-1][:, self.chosen] for picture in smaller]


class CFM(Peer):
    """CFM (CVPR 2024): each modality's features are predicted from the other's.

    With our networks the features are those of our detector, on its grid of patches. Its own are
    DINO's from a hub and Point-MAE's, whose file is `config.features.points.weights`. Where there
    is no point the map is zero before it is blurred and its largest values become the score: so it
    is with the authors, but not in anomalib, whose score is then one of the background.
    """

    modalities = ("rgb", "3d")

    def build_ours(self) -> Any:
        module, described = anomalib("cfm"), OurFeatures(self.config, self.device)
        rgb, xyz = described.widths
        return assembled(
            module.CFMModel,
            feature_extractors=described,
            xyz_to_rgb_mapper=module.FeatureProjectionMLP(xyz, rgb),
            rgb_to_xyz_mapper=module.FeatureProjectionMLP(rgb, xyz),
            cos_sim=nn.CosineSimilarity(dim=1, eps=1e-6),
            anomaly_map_generator=on_points(module.CFMAnomalyMapGenerator),
        )

    def build_own(self) -> Any:
        points = self.config.features.points
        if not Path(points.weights).is_file():  # anomalib would fetch them itself
            raise FileNotFoundError(f"no file {points.weights!r} with the weights of Point-MAE")
        module = anomalib("cfm")
        model = module.CFMModel(
            "vit_base_patch8_224.dino", points.group_size, points.groups, points.weights
        )
        model.anomaly_map_generator = on_points(module.CFMAnomalyMapGenerator)
        return model

    def learn(self, inputs: Sequence[Inputs]) -> None:
        optimiser = torch.optim.Adam(self.model.mapper_parameters(), lr=1e-3)

        def loss(batch: Sequence[Inputs]) -> Tensor:  # one by one: each part has its own pixels
            return torch.stack([self.model(c[None], p[None])["loss"] for c, p in batch]).mean()

        epochs, size = self.training.cfm_epochs, self.training.cfm_batch
        descend(self.model, loss, inputs, epochs, size, optimiser)


def on_points(generator: Any) -> Any:
    """anomalib's map of CFM, zero where a modality has no features."""

    class OnPoints(generator):
        @staticmethod
        def compute_distance(real: Tensor, predicted: Tensor) -> Tensor:
            there = real.abs().sum(dim=1) > 0  # B h w
            return generator.compute_distance(real, predicted) * there

    return OnPoints()


class OurFeatures(nn.Module):
    """Our detector's patch features where CFM looks for its own: one part, (1, D, grid, grid)."""

    def __init__(self, config: Config, device: torch.device):
        super().__init__()
        self.extractor = FeatureExtractor(config.features, device, config.seed)
        networks = [self.extractor.network(modality) for modality in CFM.modalities]
        self.widths = [getattr(network, "width", FPFH_WIDTH) for network in networks]
        self.image = config.features.image

    def get_features_maps(self, rgb: Tensor, pc: Tensor) -> tuple[Tensor, ...]:
        colour, xyz = (rearrange(x, "1 c h w -> h w c").cpu() for x in (rgb, pc))
        colour = colour * torch.tensor(self.image.std) + torch.tensor(self.image.mean)  # 0..1 again
        found = self.extractor(Sample(colour.clamp(0, 1).numpy(), xyz.numpy())).features
        grid = self.extractor.config.grid
        maps = (rearrange(found[m], "(h w) d -> 1 d h w", h=grid) for m in CFM.modalities)
        return tuple(m.to(rgb.device) for m in maps)


def descend(
    model: nn.Module,
    loss: Callable[[Sequence[Inputs]], Tensor],
    inputs: Sequence[Inputs],
    epochs: int,
    batch: int,
    optimiser: torch.optim.Optimizer,
    clip: float = 0.0,
) -> None:
    """Gradient descent in batches of shuffled parts; clip is the largest norm of a gradient."""
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(batch):
            optimiser.zero_grad()
            loss([inputs[int(row)] for row in rows]).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimiser.step()


def our_network(config: Config, stages: tuple[int, ...]) -> tuple[Any, str, list[str]]:
    """Our frozen network, normalised pictures -> its maps of these stages; timm's names of both."""
    image = dataclasses.replace(config.features.image, stages=stages)
    backbone = ImageBackbone(image, config.features.image_size, config.features.grid, config.seed)
    if backbone.transformer:
        raise ValueError(f"{image.backbone}: the peers need a CNN, or weights='timm' for their own")
    return backbone.network, image.backbone, backbone.network.feature_info.module_name()


def assembled(kind: Any, **parts: Any) -> Any:
    """A model of anomalib from its parts, without its constructor, which would fetch weights."""
    model = kind.__new__(kind)
    nn.Module.__init__(model)
    for name, part in parts.items():
        setattr(model, name, part)
    return model


def anomalib(method: str, module: str = "torch_model") -> Any:
    with _quiet():
        return import_module(f"anomalib.models.image.{method}.{module}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Importing anomalib warns of older names of timm's and of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def fetched(build: Callable[[], Any]) -> Any:
    """What `build` returns; FileNotFoundError with a cure for all that hubs raise."""
    try:
        return build()
    except OSError as error:
        raise FileNotFoundError(
            f"the peer's own network cannot be had ({error}); go online once, "
            "or take ours: features.image.weights='package'"
        ) from error


PEERS: dict[str, type[Peer]] = {
    "padim": Padim,
    "patchcore": PatchCore,
    "stfpm": STFPM,
    "cs_flow": CSFlow,
    "cfm": CFM,
}
WHAT = tuple(PEERS)
