"""Algorithm 1: adaptors are trained on the frozen features of good parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from tqdm.auto import trange

from lsfa_lite.adaptation import checkpoint as checkpoints
from lsfa_lite.adaptation import losses
from lsfa_lite.adaptation.batches import Batch, Features, check, draw, pack
from lsfa_lite.adaptation.diagnostics import effective_rank, variance, warn_of_collapse
from lsfa_lite.adaptation.memory import MemoryBank
from lsfa_lite.adaptation.model import Adaptation
from lsfa_lite.adaptation.prototypes import assign, cluster_means
from lsfa_lite.adaptation.whitening import InputTransform
from lsfa_lite.config import AdaptationConfig

__all__ = ["Adaptation", "train"]


def train(
    features: Features,
    foreground: Tensor,
    config: AdaptationConfig,
    seed: int = 0,
    device: str | torch.device = "cpu",
    *,
    progress: bool = False,
    callback: Callable[[int, Adaptation], None] | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 25,
) -> Adaptation:
    """Algorithm 1: features {"rgb": (B, N, D), "3d": (B, N, D')}, foreground (B, N) bool.

    One modality alone is trained without the consistency losses. The features stay where they are,
    batches move to `device`. callback(step, adaptation) is called after each step (1, 2, ...).
    With `checkpoint` (a file) an interrupted training goes on where it was, to the same result.
    Raises ValueError for features that do not fit, or a loss that is not finite.
    """
    check(features, foreground)
    adaptation = start(features, foreground, config, seed).to(device)
    if config.steps == 0:
        return adaptation
    optimiser = AdamW(adaptation.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    run = checkpoints.run_name(features, foreground, config, seed)
    if checkpoint is not None:
        adaptation.history = checkpoints.resume(checkpoint, run, adaptation, optimiser)
    features, foreground = pack(features, foreground)
    done, steps = len(adaptation.history), config.steps
    for step in trange(done, steps, initial=done, total=steps, desc="adapt", disable=not progress):
        batch = draw(features, foreground, step, config.batch_size, seed, device)
        adaptation.history.append(iterate(adaptation, optimiser, batch, step, seed))
        warn_of_collapse(adaptation.history)
        if checkpoint is not None and ((step + 1) % checkpoint_every == 0 or step + 1 == steps):
            checkpoints.save(checkpoint, run, adaptation, optimiser, adaptation.history)
        if callback is not None:
            callback(step + 1, adaptation)
    return adaptation


def start(
    features: Features, foreground: Tensor, config: AdaptationConfig, seed: int
) -> Adaptation:
    """Fresh adaptors, drawn from the seed alone, behind transforms fitted on the foreground."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        adaptation = Adaptation({m: f.shape[2] for m, f in features.items()}, config, seed)
    for name, values in features.items():
        rows = values[foreground].float()  # (Q, D)
        adaptation.inputs[name] = InputTransform.fit(rows, config.input)
    return adaptation


def iterate(
    adaptation: Adaptation, optimiser: Optimizer, batch: Batch, step: int, seed: int
) -> dict[str, float]:
    """One pass through the loop of Algorithm 1; returns the record of this step.

    Implements: alg-1

    The paper optimises L_CLC, then L_IFC (Algorithm 1), or their sum (Eq. 9): here one step on the
    sum. The banks are filled after the step with the features that the losses saw.
    """
    adapted = {m: adaptation(m, x, batch.foreground) for m, x in batch.features.items()}  # F
    globals_ = shared_prototypes(
        adapted, batch.foreground, adaptation.config.prototypes, seed + step
    )
    terms = loss_terms(adaptation, adapted, globals_, batch)
    record = {"step": step + 1.0} | descend(adaptation, optimiser, terms, step)
    for name in adapted:
        adaptation.local_bank(name).enqueue(adapted[name].flatten(0, 1)[batch.rows])
        adaptation.global_bank(name).enqueue(globals_[name].flatten(0, 1))
    return record | diagnose(adaptation, adapted, batch)


def shared_prototypes(adapted: Features, foreground: Tensor, k: int, seed: int) -> Features:
    """G of each modality (B, k, D) from one assignment, made on RGB where there is RGB."""
    leader = adapted["rgb"] if "rgb" in adapted else next(iter(adapted.values()))
    labels = assign(leader.detach(), foreground, k, seed)  # (B, N)
    return {m: cluster_means(values, foreground, labels, k) for m, values in adapted.items()}


def loss_terms(
    adaptation: Adaptation, adapted: Features, globals_: Features, batch: Batch
) -> dict[str, Tensor]:
    """Eq. 2, 3 across the modalities, Eq. 5, 6 in each; a term of weight 0 is not computed."""
    config = adaptation.config
    terms: dict[str, Tensor] = {}
    if len(adapted) == 2 and config.consistency > 0:
        heads, how = adaptation.heads, (config.temperature, config.cosine, config.denominator)
        if config.local_alignment > 0:
            rgb, points = (heads[m](adapted[m]) for m in ("rgb", "3d"))  # F' (B, N, D)
            terms["local_alignment"] = losses.local_alignment(rgb, points, batch.foreground, *how)
        if config.global_alignment > 0:
            rgb, points = (heads[m](globals_[m].flatten(0, 1)) for m in ("rgb", "3d"))  # G'
            terms["global_alignment"] = losses.global_alignment(rgb, points, *how)  # B*k pairs
    reduction, squared = config.reduction, config.squared
    for name in adapted:
        bank = adaptation.local_bank(name)
        if config.local_compactness > 0 and ready(bank, config.min_fill):
            rows = adapted[name].flatten(0, 1)[batch.rows]  # (Q, D)
            loss = losses.local_compactness(rows, bank.rows(), reduction, squared)
            terms[f"local_compactness/{name}"] = loss
        bank = adaptation.global_bank(name)
        if config.global_compactness > 0 and ready(bank, config.min_fill):
            rows = globals_[name].flatten(0, 1)  # (B*k, D)
            loss = losses.global_compactness(rows, bank.rows(), reduction, squared)
            terms[f"global_compactness/{name}"] = loss
    return terms


def ready(bank: MemoryBank, min_fill: int) -> bool:
    """A bank that cannot hold min_fill rows is ready when it is full."""
    return len(bank) >= max(1, min(min_fill, bank.capacity))


def objective(terms: dict[str, Tensor], config: AdaptationConfig) -> Tensor:
    """Eq. 9 from the terms, both modalities added; a term that was not computed counts as zero."""

    def weighted(name: str) -> Tensor:
        parts = [value for key, value in terms.items() if key.split("/")[0] == name]
        return getattr(config, name) * sum(parts, torch.zeros(()))

    clc = losses.consistency(weighted("local_alignment"), weighted("global_alignment"))
    ifc = losses.compactness(weighted("local_compactness"), weighted("global_compactness"))
    return losses.total(ifc, clc, config.consistency)


def descend(
    adaptation: Adaptation, optimiser: Optimizer, terms: dict[str, Tensor], step: int
) -> dict[str, float]:
    """One AdamW step on Eq. 9 and what is recorded of it. No term (all banks empty): no step."""
    config, norm = adaptation.config, 0.0
    record = {name: value.item() for name, value in terms.items()}
    bad = [f"{name} is {value}" for name, value in record.items() if not math.isfinite(value)]
    if bad:
        cure = "lower lr, or set clip, cosine or reduction='mean'"
        raise ValueError(f"step {step + 1}: the loss {' and '.join(bad)}; {cure}")
    total, lr = objective(terms, config), learning_rate(step, config)
    if total.requires_grad:
        optimiser.param_groups[0]["lr"] = lr
        optimiser.zero_grad()
        total.backward()
        limit = config.clip if config.clip > 0 else math.inf
        norm = torch.nn.utils.clip_grad_norm_(adaptation.parameters(), limit).item()
        if not math.isfinite(norm):
            raise ValueError(f"step {step + 1}: the gradient's norm is {norm}; losses: {record}")
        optimiser.step()
    return record | {"total": total.item(), "lr": lr, "gradient_norm": norm}


def learning_rate(step: int, config: AdaptationConfig) -> float:
    """Linear warm-up over the first share of the steps, then half a cosine to zero (4.1)."""
    warm = round(config.warmup * config.steps)
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, config.steps - warm)))


@torch.no_grad()
def diagnose(adaptation: Adaptation, adapted: Features, batch: Batch) -> dict[str, float]:
    """Spread and rank of the batch's adapted foreground, and how full the banks are."""
    record: dict[str, float] = {}
    for name, values in adapted.items():
        rows = values.detach().flatten(0, 1)[batch.rows]  # (Q, D)
        record[f"variance/{name}"] = variance(rows).item()
        record[f"effective_rank/{name}"] = effective_rank(rows).item()
        record[f"local_fill/{name}"] = adaptation.local_bank(name).fill
        record[f"global_fill/{name}"] = adaptation.global_bank(name).fill
    return record
