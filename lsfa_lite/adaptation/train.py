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
from lsfa_lite.adaptation.batches import Batch, Features, check, draw, held, pack
from lsfa_lite.adaptation.diagnostics import Record, effective_rank, settle, variance
from lsfa_lite.adaptation.memory import MemoryBank
from lsfa_lite.adaptation.model import Adaptation
from lsfa_lite.adaptation.prototypes import assign, cluster_means
from lsfa_lite.adaptation.whitening import EACH_PATCH, InputTransform
from lsfa_lite.config import AdaptationConfig

__all__ = ["Adaptation", "train"]

Terms = dict[str, Tensor]
SETTLE = 25  # steps for which an accelerator is left alone


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

    One modality alone is trained without the consistency losses. Features that fit move to `device`
    once, others batch by batch. callback(step, adaptation) is called after each step (1, 2, ...).
    With `checkpoint` (a file) an interrupted training goes on where it was, to the same result.
    Raises ValueError for features that do not fit, or a loss that is not finite.

    An accelerator is not waited for in each step but every `SETTLE` steps: then the history grows,
    and what is not finite or collapses is told. The effective rank, which costs it more than the
    step, is taken at those steps and stands until the next. A callback makes every step settle.
    """
    check(features, foreground)
    adaptation = start(features, foreground, config, seed).to(device)
    if config.steps == 0:
        return adaptation
    optimiser = AdamW(adaptation.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    run = ""
    if checkpoint is not None:
        run = checkpoints.run_name(features, foreground, config, seed)
        adaptation.history = checkpoints.resume(checkpoint, run, adaptation, optimiser)
    features, foreground = pack(features, foreground)
    features, foreground = held(features, device), foreground.cpu()
    done, steps, pending = len(adaptation.history), config.steps, []
    every = 1 if torch.device(device).type == "cpu" or callback is not None else SETTLE
    for step in trange(done, steps, initial=done, total=steps, desc="adapt", disable=not progress):
        save = checkpoint is not None and ((step + 1) % checkpoint_every == 0 or step + 1 == steps)
        rest = save or step == done or (step + 1) % every == 0 or step + 1 == steps
        batch = draw(features, foreground, step, config.batch_size, seed, device)
        pending.append(iterate(adaptation, optimiser, batch, step, seed, rank=rest))
        if rest:
            settle(adaptation.history, pending)
        if checkpoint is not None and save:
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
        rows = values[0] if config.input in EACH_PATCH else values[foreground]  # (Q, D)
        adaptation.inputs[name] = InputTransform.fit(rows.float(), config.input)
    return adaptation


def iterate(
    adaptation: Adaptation,
    optimiser: Optimizer,
    batch: Batch,
    step: int,
    seed: int,
    *,
    rank: bool = True,
) -> Record:
    """One pass through the loop of Algorithm 1; returns the record of this step.

    Implements: alg-1

    updates="joint": one step on the sum (Eq. 9). "successive", as Algorithm 1 prints it: both
    adaptors by lambda L_CLC, then each by its own L_IFC, whose features are those of the moved
    adaptors (the two share no weight: one step on their sum is both). Read so: the heads, which
    Algorithm 1 leaves alone, move with L_CLC; one AdamW and one rate serve all; total and
    gradient_norm are sums. The banks are filled after the step with the features that the losses
    (L_IFC) saw.
    """
    moves = {"joint": [loss_terms], "successive": [consistency_terms, compactness_terms]}
    record: Record = {"step": step + 1.0}
    for terms_of in moves[adaptation.config.updates]:
        adapted = {m: adaptation(m, x, batch.foreground) for m, x in batch.features.items()}  # F
        globals_ = shared_prototypes(
            adapted, batch.foreground, adaptation.config.prototypes, seed + step
        )
        terms = terms_of(adaptation, adapted, globals_, batch)
        one = descend(adaptation, optimiser, terms, step)
        sums = {key: one[key] + record.get(key, 0.0) for key in ("total", "gradient_norm")}
        record |= one | sums
    for name in adapted:
        adaptation.local_bank(name).enqueue(adapted[name].flatten(0, 1)[batch.rows])
        adaptation.global_bank(name).enqueue(globals_[name].flatten(0, 1))
    return record | diagnose(adaptation, adapted, batch, rank)


def shared_prototypes(adapted: Features, foreground: Tensor, k: int, seed: int) -> Features:
    """G of each modality (B, k, D) from one assignment, made on RGB where there is RGB."""
    leader = adapted["rgb"] if "rgb" in adapted else next(iter(adapted.values()))
    labels = assign(leader.detach(), foreground, k, seed)  # (B, N)
    return {m: cluster_means(values, foreground, labels, k) for m, values in adapted.items()}


def loss_terms(
    adaptation: Adaptation, adapted: Features, globals_: Features, batch: Batch
) -> Terms:
    """All terms of Eq. 9; one of weight 0 is not computed."""
    given = adaptation, adapted, globals_, batch
    return consistency_terms(*given) | compactness_terms(*given)


def consistency_terms(
    adaptation: Adaptation, adapted: Features, globals_: Features, batch: Batch
) -> Terms:
    """Eq. 2, 3 across the modalities; nothing for one alone."""
    config, terms = adaptation.config, Terms()
    if len(adapted) < 2 or config.consistency == 0:
        return terms
    heads, reduction = adaptation.heads, config.alignment_reduction
    how = config.temperature, config.cosine, config.denominator, reduction
    if config.local_alignment > 0:
        rgb, points = (heads[m](adapted[m]) for m in ("rgb", "3d"))  # F' (B, N, D)
        terms["local_alignment"] = losses.local_alignment(rgb, points, batch.foreground, *how)
    if config.global_alignment > 0:
        rgb, points = (heads[m](globals_[m].flatten(0, 1)) for m in ("rgb", "3d"))  # G'
        terms["global_alignment"] = losses.global_alignment(rgb, points, *how)  # B*k pairs
    return terms


def compactness_terms(
    adaptation: Adaptation, adapted: Features, globals_: Features, batch: Batch
) -> Terms:
    """Eq. 5, 6 in each modality whose bank is filled enough."""
    config, terms = adaptation.config, Terms()
    for name in adapted:
        bank = adaptation.local_bank(name)
        if config.local_compactness > 0 and ready(bank, config.min_fill):
            rows = adapted[name].flatten(0, 1)[batch.rows]  # (Q, D)
            loss = losses.local_compactness(rows, bank.rows(), config.reduction, config.squared)
            terms[f"local_compactness/{name}"] = loss
        bank = adaptation.global_bank(name)
        if config.global_compactness > 0 and ready(bank, config.min_fill):
            rows = globals_[name].flatten(0, 1)  # (B*k, D)
            loss = losses.global_compactness(rows, bank.rows(), config.reduction, config.squared)
            terms[f"global_compactness/{name}"] = loss
    return terms


def ready(bank: MemoryBank, min_fill: int) -> bool:
    """A bank that cannot hold min_fill rows is ready when it is full."""
    return len(bank) >= max(1, min(min_fill, bank.capacity))


def objective(terms: Terms, config: AdaptationConfig) -> Tensor:
    """Eq. 9 from the terms, both modalities added; a term that was not computed counts as zero."""

    def weighted(name: str) -> Tensor:
        parts = [value for key, value in terms.items() if key.split("/")[0] == name]
        return getattr(config, name) * sum(parts, torch.zeros(()))

    clc = losses.consistency(weighted("local_alignment"), weighted("global_alignment"))
    ifc = losses.compactness(weighted("local_compactness"), weighted("global_compactness"))
    return losses.total(ifc, clc, config.consistency)


def descend(adaptation: Adaptation, optimiser: Optimizer, terms: Terms, step: int) -> Record:
    """One AdamW step on these terms of Eq. 9 and what is recorded of it. No term (all banks empty):
    no step.

    Numbers stay on the device: to look at one here would wait for it. `settle` asks whether they
    are finite.
    """
    config, norm = adaptation.config, torch.zeros(())
    total, lr = objective(terms, config), learning_rate(step, config)
    if total.requires_grad:
        optimiser.param_groups[0]["lr"] = lr
        optimiser.zero_grad()
        total.backward()
        limit = config.clip if config.clip > 0 else math.inf
        norm = torch.nn.utils.clip_grad_norm_(adaptation.parameters(), limit)
        optimiser.step()
    record: Record = {k: value.detach() for k, value in (terms | {"total": total}).items()}
    return record | {"lr": lr, "gradient_norm": norm}


def learning_rate(step: int, config: AdaptationConfig) -> float:
    """Linear warm-up over the first share of the steps, then half a cosine to zero (4.1)."""
    warm = round(config.warmup * config.steps)
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, config.steps - warm)))


@torch.no_grad()
def diagnose(adaptation: Adaptation, adapted: Features, batch: Batch, rank: bool) -> Record:
    """Spread and rank of the batch's adapted foreground, and how full the banks are."""
    record: Record = {}
    for name, values in adapted.items():
        rows = values.detach().flatten(0, 1)[batch.rows]  # (Q, D)
        record[f"variance/{name}"] = variance(rows)
        if rank:
            record[f"effective_rank/{name}"] = effective_rank(rows)
        record[f"local_fill/{name}"] = adaptation.local_bank(name).fill
        record[f"global_fill/{name}"] = adaptation.global_bank(name).fill
    return record
