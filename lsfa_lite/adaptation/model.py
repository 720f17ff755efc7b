"""What adaptation trains, and scoring uses: input transform and adaptor of each modality."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lsfa_lite.adaptation.adaptors import IdentityAdaptor, make_adaptor
from lsfa_lite.adaptation.memory import MemoryBank
from lsfa_lite.adaptation.whitening import InputTransform
from lsfa_lite.config import AdaptationConfig, Modality
from lsfa_lite.errors import DataError


class Adaptation(nn.Module):
    """psi_I and psi_P of one detector, with what only training needs: heads H and memory banks.

    widths {"rgb": D, "3d": D'}, one or both. With config.steps = 0 there is no adaptor: `adapt` is
    the input transform alone. `history` holds one record per training step (not in state_dict).
    """

    def __init__(
        self, widths: dict[Modality, int], config: AdaptationConfig, seed: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        self.widths = dict(widths)
        self.history: list[dict[str, float]] = []
        self.inputs, self.adaptors, self.heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.local_banks, self.global_banks = nn.ModuleDict(), nn.ModuleDict()
        for name, width in widths.items():
            self.inputs[name] = InputTransform(width, config.input)
            if config.steps == 0:
                self.adaptors[name] = IdentityAdaptor()
                continue
            self.adaptors[name] = make_adaptor(config, width)
            self.heads[name] = nn.Linear(width, config.projection)
            policy = config.bank_policy
            self.local_banks[name] = MemoryBank(config.local_bank, width, policy, seed)
            self.global_banks[name] = MemoryBank(config.global_bank, width, policy, seed)

    def forward(
        self, modality: Modality, features: Tensor, foreground: Tensor | None = None
    ) -> Tensor:
        """F = psi(input transform(features)): (B, N, D), foreground (B, N) -> (B, N, D)."""
        return self.adaptors[modality](self.inputs[modality](features), foreground)

    def local_bank(self, modality: Modality) -> MemoryBank:
        """M^L of one modality."""
        bank = self.local_banks[modality]
        assert isinstance(bank, MemoryBank)
        return bank

    def global_bank(self, modality: Modality) -> MemoryBank:
        """M^G of one modality."""
        bank = self.global_banks[modality]
        assert isinstance(bank, MemoryBank)
        return bank

    @torch.no_grad()
    def adapt(
        self, modality: Modality, features: Tensor, foreground: Tensor | None = None, chunk: int = 1
    ) -> Tensor:
        """The adapted features that PatchCore sees: (B, N, D), foreground (B, N) -> (B, N, D).

        `chunk` samples at a time on the module's device; the result lies where `features` lie. One
        at a time, a sample's features do not depend, even in the last bit, on what else is in the
        batch. Background rows of the result mean nothing. Raises ValueError for an unknown modality
        or width.
        """
        self._check(modality, features)
        mean = self.get_buffer(f"inputs.{modality}.mean")  # knows the module's device
        out = torch.empty(features.shape, dtype=mean.dtype, device=features.device)
        for start in range(0, len(features), chunk):
            part = slice(start, start + chunk)
            x = features[part].to(mean, non_blocking=True)
            mask = None if foreground is None else foreground[part].to(x.device, non_blocking=True)
            out[part] = self(modality, x, mask).to(out.device)
        return out

    def each(self, modality: Modality, features: Tensor, foreground: Tensor) -> Iterator[Tensor]:
        """`adapt` of B samples as B times (N, D) on the module's device: all would be too large."""
        device = self.get_buffer(f"inputs.{modality}.mean").device
        for raw, on in zip(features, foreground, strict=True):
            yield self.adapt(modality, raw[None].to(device, non_blocking=True), on[None])[0]

    def rows(self, modality: Modality, features: Tensor, foreground: Tensor) -> Tensor:
        """(Q, D) on the module's device: `adapt` of the patches on a part."""
        device = self.get_buffer(f"inputs.{modality}.mean").device
        counts = foreground.sum(1).tolist()
        rows = torch.empty(sum(counts), self.widths[modality], device=device)
        each = zip(self.each(modality, features, foreground), foreground, strict=True)
        for (adapted, on), some in zip(each, rows.split(counts), strict=True):
            some.copy_(adapted[on.nonzero()[:, 0].to(device, non_blocking=True)])
        return rows

    def drop_training_state(self) -> Adaptation:
        """Throw heads and banks away: scoring needs neither, and a saved detector gets small."""
        self.heads, self.local_banks = nn.ModuleDict(), nn.ModuleDict()
        self.global_banks = nn.ModuleDict()
        return self

    def _check(self, modality: Modality, features: Tensor) -> None:
        if modality not in self.widths:
            raise DataError(f"no adaptor for {modality!r}; it was trained on {list(self.widths)}")
        if features.ndim != 3 or features.shape[2] != self.widths[modality]:
            raise DataError(
                f"{modality} features are {tuple(features.shape)}, "
                f"expected (B, N, {self.widths[modality]})"
            )
