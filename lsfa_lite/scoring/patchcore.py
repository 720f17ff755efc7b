"""PatchCore: a patch is as anomalous as it is far from its nearest normal patch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor

from lsfa_lite.config import ScoringConfig
from lsfa_lite.errors import DataError, SettingError
from lsfa_lite.features.nearest import nearest
from lsfa_lite.scoring.approximate import ApproximateSearch
from lsfa_lite.scoring.coreset import greedy_coreset

logger = logging.getLogger(__name__)


@torch.no_grad()
def reweight(
    patches: Tensor,
    rows: Tensor,
    bank: Tensor,
    neighbours: int = 3,
    scale: Literal["sqrt_width", "none"] = "sqrt_width",
) -> Tensor:
    """The weight w of each patch: smaller where its nearest normal patch m* is a common one.

        w = 1 - exp(||m_test - m*||) / sum over m in N_b(m*) of exp(||m_test - m||)

    patches (K, D), rows (K,) the index of m* in bank (M, D); returns (K,) in 0..1. N_b(m*) are
    the b = `neighbours` bank rows nearest to m*, m* among them (M3DM leaves m* out of the sum).
    scale="sqrt_width" divides every distance in exp by sqrt(D) (M3DM): without it, wide features
    make one term outweigh all others; "none" is the printed formula. One neighbour alone would
    always give w = 0, so b < 2 or M < 2 gives w = 1.
    Source: Roth et al., PatchCore (CVPR 2022), Eq. 7.
    """
    count = min(neighbours, len(bank))
    if count < 2:
        return torch.ones_like(patches[:, 0])
    exact = "donot_use_mm_for_euclid_dist"
    around = torch.cdist(bank.index_select(0, rows), bank, compute_mode=exact)  # (K, M)
    near = around.topk(count, dim=1, largest=False).indices  # (K, b)
    distances = (patches[:, None] - bank[near]).norm(dim=2)  # (K, b)
    own = (patches - bank.index_select(0, rows)).norm(dim=1)  # (K,)
    divisor = patches.shape[1] ** 0.5 if scale == "sqrt_width" else 1.0
    # log-sum-exp: exp of a distance beyond 88 is infinite in float32
    return -torch.expm1(own / divisor - torch.logsumexp(distances / divisor, dim=1))  # (K,)


def rows_kept(config: ScoringConfig, patches: int) -> int:
    """M, the length of a bank of so many patches of the training samples."""
    # of this modality's own patches: M3DM's code takes a share of the other, reduced bank
    return config.coreset_rows or max(1, round(config.coreset * patches))


@dataclass(frozen=True)
class PatchScores:
    """image_score, and the nearest distance of every patch (N,), exactly 0 on the background."""

    image_score: float
    distances: Tensor


@dataclass(frozen=True)
class PatchCore:
    """The bank of one modality and how it scores.

    bank (M, D); samples (M,) long, the training sample of each row, or None if unknown.
    neighbours: b of `reweight`, 0 is off. top_patches: the image score is the mean of that many
    largest re-weighted patch distances; 1 is PatchCore's maximum. search: `scoring.approximate`.
    """

    bank: Tensor
    samples: Tensor | None = None
    neighbours: int = 3
    top_patches: int = 1
    scale: Literal["sqrt_width", "none"] = "sqrt_width"
    chunk: int = 512
    search: Literal["exact", "approximate"] = "exact"

    @cached_property
    def nearest(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Queries (Q, D) -> distances to the nearest bank row and its index, (Q,) each."""
        if self.search == "exact":
            return partial(nearest, bank=self.bank, chunk=self.chunk)
        return ApproximateSearch(self.bank)

    def __post_init__(self) -> None:
        if self.bank.ndim != 2 or 0 in self.bank.shape:
            raise DataError(f"bank has shape {tuple(self.bank.shape)}, expected (M, D), M, D > 0")
        if not self.bank.is_floating_point():
            raise DataError(f"bank is {self.bank.dtype}, expected floats")
        if not torch.isfinite(self.bank).all():
            raise DataError("bank holds NaN or Inf; look for the training sample with bad features")
        if self.samples is not None and self.samples.shape != self.bank.shape[:1]:
            raise DataError(
                f"samples has shape {tuple(self.samples.shape)}, expected one per bank row: "
                f"({len(self.bank)},)"
            )
        if self.neighbours < 0 or self.top_patches < 1 or self.chunk < 1:
            raise SettingError("expected neighbours >= 0, top_patches >= 1 and chunk >= 1")

    @classmethod
    def fit(
        cls,
        features: Tensor,
        foreground: Tensor,
        config: ScoringConfig,
        seed: int = 0,
        *,
        progress: bool = False,
    ) -> PatchCore:
        """features (B, N, D), foreground (B, N) bool -> the bank: a coreset of all B samples.

        Raises ValueError when there is no foreground, and for NaN or Inf in it.
        """
        if not foreground.any():
            raise DataError("no training sample has a foreground patch; check background removal")
        samples = foreground.nonzero()[:, 0]  # (Q,)
        return cls.of_rows(features[foreground], samples, config, seed, progress=progress)

    @classmethod
    def of_rows(
        cls,
        rows: Tensor,
        samples: Tensor,
        config: ScoringConfig,
        seed: int = 0,
        *,
        progress: bool = False,
    ) -> PatchCore:
        """The same from foreground patches (Q, D) and the training sample of each (Q,)."""
        count = rows_kept(config, len(rows))
        logger.info("bank: %d of %d patches", min(count, len(rows)), len(rows))
        kept = greedy_coreset(rows, count, config.coreset_projection, seed, progress)  # (M,)
        return cls.from_state({"bank": rows[kept], "samples": samples[kept]}, config)

    def score(self, features: Tensor, foreground: Tensor) -> PatchScores:
        """features (N, D), foreground (N,) bool -> PatchScores. Only the foreground is searched.

        Raises ValueError for a wrong width, NaN or Inf, or a sample without foreground.
        """
        return self.score_all(features[None], foreground[None])[0]

    @torch.no_grad()
    def score_all(
        self, features: Tensor, foreground: Tensor, left_out: Tensor | None = None
    ) -> list[PatchScores]:
        """`score` of several samples, (B, N, D) and (B, N), in one search.

        left_out (M,) bool: bank rows that are not there; the search is exact then: an index
        without them would take longer to make than looking at all rows. A GPU is waited for once,
        if the foreground lies on the host and all rows are there.
        """
        if features.ndim != 3 or features.shape[2] != self.bank.shape[1]:
            raise DataError(
                f"features have shape {tuple(features.shape[1:])}, but the bank is "
                f"{self.bank.shape[1]} wide; use the backbone that the bank was fitted with"
            )
        foreground = foreground.cpu()
        counts = foreground.sum(1).tolist()
        if not all(counts):
            raise DataError(
                "the sample has no foreground patch; check its background removal, "
                "or lower min_foreground"
            )
        seen = foreground.flatten().nonzero()[:, 0].to(features.device, non_blocking=True)
        patches = features.flatten(0, 1)[seen]  # (Q, D)
        if left_out is None:
            bank, (found, rows) = self.bank, self.nearest(patches)  # (Q,), (Q,)
        else:
            found, rows = nearest(patches, self.bank, self.chunk, left_out)
            bank, rows = self.bank[~left_out], rows - left_out.cumsum(0)[rows]
        tops = [min(self.top_patches, count) for count in counts]
        begins = [sum(counts[:i]) for i in range(len(counts))]
        worst = torch.cat(
            [
                begin + part.topk(top).indices
                for part, top, begin in zip(found.split(counts), tops, begins, strict=True)
            ]
        )  # (B*K,)
        weight = reweight(patches[worst], rows[worst], bank, self.neighbours, self.scale)
        scores = torch.stack([part.mean() for part in (weight * found[worst]).split(tops)]).cpu()
        if not torch.isfinite(scores).all():  # what is not finite is farthest from any row
            raise DataError("features hold NaN or Inf on the foreground; check the scan")
        distances = found.new_zeros(foreground.numel()).index_copy_(0, seen, found)  # (B*N,)
        pairs = zip(scores.tolist(), distances.view(foreground.shape), strict=True)
        return [PatchScores(score, row) for score, row in pairs]

    def leave_one_out(self, features: Iterable[Tensor], foreground: Tensor) -> list[PatchScores]:
        """Scores of the training samples, each against the bank rows of the *other* samples.

        features B times (N, D), foreground (B, N), in the order of `fit`. A sample finds its own
        rows in the bank, at distance 0: scored plainly, training data looks far too normal to set
        a threshold or a normalisation by. Raises ValueError where no other sample's row is left.
        """
        if self.samples is None:
            raise DataError("the bank does not know its samples; make it with PatchCore.fit")
        logger.info("%d training samples scored, each without its own bank rows", len(foreground))
        if (self.samples == self.samples[0]).all():
            raise DataError(
                f"every bank row comes from training sample {int(self.samples[0])}; leaving it out "
                "leaves nothing. Give more training samples, a larger coreset, or validation data"
            )
        scores = []
        for index, (patches, seen) in enumerate(zip(features, foreground, strict=True)):
            scores += self.score_all(patches[None], seen[None], self.samples == index)
        return scores

    def to(self, device: torch.device | str) -> PatchCore:
        samples = None if self.samples is None else self.samples.to(device)
        return replace(self, bank=self.bank.to(device), samples=samples)

    def state(self) -> dict[str, Tensor]:
        """Plain tensors for safetensors; `from_state` reads them back."""
        state = {"bank": self.bank.contiguous()}
        return state if self.samples is None else {**state, "samples": self.samples.contiguous()}

    @classmethod
    def from_state(cls, state: dict[str, Tensor], config: ScoringConfig) -> PatchCore:
        top = 1 if config.image_score == "max" else config.top_patches
        bank, samples = state["bank"], state.get("samples")
        return cls(bank, samples, config.neighbours, top, search=config.search)
