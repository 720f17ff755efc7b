"""Tables 8 and 9: no adaptors, the backbones themselves are trained with LSFA's losses (4.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.optim import AdamW
from tqdm.auto import tqdm, trange

from lsfa_lite.adaptation.batches import Batch, check, draw
from lsfa_lite.adaptation.diagnostics import settle
from lsfa_lite.adaptation.train import Adaptation, iterate, start
from lsfa_lite.adaptation.trainable import (
    WHAT,
    FineTuneConfig,
    check_name,
    make_trainable,
    orthogonality,
    trainable,
)
from lsfa_lite.adaptation.views import Networks, View, describe, look
from lsfa_lite.config import Config, Modality
from lsfa_lite.data.sample import Sample
from lsfa_lite.errors import SettingError
from lsfa_lite.features.extract import FeatureExtractor, PatchStack

__all__ = ["WHAT", "FineTuneConfig", "FineTuned", "fine_tune", "parameters", "trainable"]


@dataclass(frozen=True)
class FineTuned:
    """What fine-tuning leaves.

    extractor  with the trained networks, frozen again, and without a cache
    features   what it says of the training parts' foreground; rows of background are 0
    history    one record per step, as `adaptation.train` keeps them
    """

    extractor: FeatureExtractor
    features: PatchStack
    history: list[dict[str, float]]


def fine_tune(
    what: str,
    config: Config,
    train: Sequence[Sample],
    device: str | torch.device = "cpu",
    progress: bool = False,
    settings: FineTuneConfig | None = None,
) -> FineTuned:
    """Algorithm 1 with the networks in the place of the adaptors (section 4.5).

    Losses, banks, heads and the order of the parts are those of `adaptation.train`; its input
    transform is fitted before the training and stays. Both networks are trained together. Weights
    of BatchNorm are trained where `what` names them, its statistics stay those of pretraining: a
    part is scored alone, and the few parts of a batch would replace them by their own.

    Raises ValueError for an unknown `what`, for a point network without weights (FPFH), and for a
    loss that is not finite.
    """
    settings = settings or FineTuneConfig()
    check_request(what, config)
    # the networks as they were, as in any run without adaptation: only these may use the cache
    frozen = FeatureExtractor(config.features, device, config.seed)
    before = frozen.stack(train, config.modalities, progress)
    check(before.features, before.foreground)
    extractor, networks, low_rank = in_training(what, config, before.features, settings, device)
    masks = zip(tqdm(train, "views", disable=not progress), before.foreground, strict=True)
    seen = config.features, device, config.seed
    views = [look(networks, part, mask, *seen) for part, mask in masks]
    # losses, banks and input of the config, no adaptor, the settings' optimisation
    steps, batch, lr = settings.steps, settings.batch_size, settings.lr
    how = replace(config.adaptation, adaptor="identity", steps=steps, batch_size=batch, lr=lr)
    how = replace(how, updates="joint")  # a batch of views is described once
    adaptation = start(before.features, before.foreground, how, config.seed)
    # their weights are its weights
    adaptation.add_module("networks", nn.ModuleDict({m: n for m, n in networks.items()}))
    adaptation.to(device)
    train_networks(adaptation, networks, low_rank, views, settings, config.seed, progress)
    for model in low_rank:
        model.merge_and_unload()
    adaptation.requires_grad_(False)
    after = {m: torch.zeros_like(f) for m, f in before.features.items()}  # B N D
    for m, network in networks.items():
        after[m][before.foreground] = torch.cat([describe(network, v[m]).cpu() for v in views])
    return FineTuned(extractor, replace(before, features=after), adaptation.history)


def parameters(
    what: str, config: Config, settings: FineTuneConfig | None = None
) -> dict[Modality, int]:
    """How many parameters of each backbone `what` trains (the heads H are not counted)."""
    check_request(what, config)
    settings = settings or FineTuneConfig()
    _, networks, _ = in_training(what, config, config.modalities, settings)
    return {m: trainable(network) for m, network in networks.items()}


def in_training(
    what: str,
    config: Config,
    modalities: Iterable[Modality],
    settings: FineTuneConfig,
    device: str | torch.device = "cpu",
) -> tuple[FeatureExtractor, Networks, list[Any]]:
    """An extractor without cache, its own networks, changed in place, and peft's around them."""
    extractor = FeatureExtractor(replace(config.features, cache=False), device, config.seed)
    found = {m: extractor.network(m) for m in modalities}
    networks = {m: network for m, network in found.items() if network is not None}
    models = [make_trainable(what, n, settings, config.seed) for n in networks.values()]
    return extractor, networks, [model for model in models if model is not None]


def check_request(what: str, config: Config) -> None:
    check_name(what)
    if "3d" in config.modalities and config.features.points.backbone == "fpfh":
        raise SettingError(
            "FPFH has no weights to train: config.change(features__points__backbone='point_mae')"
        )


def see(networks: Networks, views: list[dict[Modality, View]], recompute: bool) -> Batch:
    """A batch as `adaptation.batches.pack` leaves it, of features that carry a gradient."""
    described = {m: [describe(net, v[m], recompute) for v in views] for m, net in networks.items()}
    features = {m: pad_sequence(rows, batch_first=True) for m, rows in described.items()}  # B N' D
    rows = next(iter(described.values()))
    foreground = pad_sequence([x.new_ones(len(x), dtype=torch.bool) for x in rows], True)  # B N'
    return Batch(features, foreground, foreground.flatten().nonzero()[:, 0])


def train_networks(
    adaptation: Adaptation,
    networks: Networks,
    low_rank: list[Any],
    views: list[dict[Modality, View]],
    settings: FineTuneConfig,
    seed: int,
    progress: bool,
) -> None:
    """The loop of Algorithm 1; a record of each step goes into adaptation.history."""
    config = adaptation.config
    chosen = [p for p in adaptation.parameters() if p.requires_grad]
    optimiser = AdamW(chosen, lr=config.lr, weight_decay=config.weight_decay)
    pruned = [model for model in low_rank if hasattr(model, "update_and_allocate")]  # AdaLoRA's

    def regularise(*_: Any) -> None:  # adds its gradient to that of Eq. 9
        for model in pruned:
            (settings.orthogonality * orthogonality(model)).backward()

    optimiser.register_step_pre_hook(regularise)
    numbers: Any = {"part": torch.arange(len(views))[:, None]}  # B 1, for draw to shuffle
    every = torch.ones(len(views), 1, dtype=torch.bool)
    for step in trange(config.steps, desc="fine-tune", disable=not progress):
        parts = draw(numbers, every, step, config.batch_size, seed, "cpu")
        (drawn,) = parts.features.values()  # B 1
        batch = see(networks, [views[int(number)] for number in drawn], settings.recompute)
        settle(adaptation.history, [iterate(adaptation, optimiser, batch, step, seed)])
        for model in pruned:
            if adaptation.history[-1]["gradient_norm"] > 0:  # one modality's first step has no loss
                model.update_and_allocate(step + 1)
