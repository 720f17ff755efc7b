"""Approximate search: an index of the bank, of which a query sees a few cells only."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from lsfa_lite.errors import MissingPackage
from lsfa_lite.features.nearest import nearest

logger = logging.getLogger(__name__)
WIDTH = 96  # principal components in which wide features are searched; of others, half as many
CANDIDATES = 16  # rows of each query that are compared at full width
HELD_OUT = 1000  # rows of the bank that try the index before they join it


class ApproximateSearch:
    """Asked like `nearest`, of one bank (M, D), and right for at least the share `recall` of its
    own rows: 1000 of them are held out, and as many cells opened as these need.

    Where few cells are not enough (features without structure), or the bank is small, `cells` is 0
    and the search is exact. The index is made on the CPU, the same for the same bank, and not kept
    in files. Source: Jégou et al., Product quantization (PAMI 2011), the inverted file.

    Raises ModuleNotFoundError where faiss is missing.
    """

    def __init__(self, bank: Tensor, recall: float = 0.995) -> None:
        try:
            import faiss
        except ModuleNotFoundError as error:
            raise MissingPackage(
                f'{error}: scoring.search="approximate" needs faiss: `pip install faiss-cpu`; '
                '"exact" does without it'
            ) from error
        self.bank, self.cells = bank, 0  # cells: how many a query sees
        self.index: Any = None
        order = torch.randperm(len(bank), generator=torch.Generator().manual_seed(0))
        self.order = order.to(bank.device)  # of the rows in the index
        cells = min(round(4 * len(bank) ** 0.5), (len(bank) - HELD_OUT) // 40)  # 40 rows train one
        if cells < 64:
            return
        rows = bank.detach().float().cpu()[order].numpy()
        width = min(WIDTH, bank.shape[1] // 2)
        reduce = f"PCA{width}," if width > 48 else ""
        self.index = faiss.index_factory(bank.shape[1], f"{reduce}IVF{cells},Flat")
        self.index.train(rows[:-HELD_OUT])
        self.index.add(rows[:-HELD_OUT])
        tried = bank[self.order[-HELD_OUT:]]
        true = nearest(tried, bank[self.order[:-HELD_OUT]])[0]
        opened = 4
        while opened <= cells // 16 and not self.cells:
            faiss.extract_index_ivf(self.index).nprobe = opened
            found = (self._search(tried)[0] <= true * (1 + 1e-5)).float().mean().item()
            logger.info(
                "%d of %d cells find %.2f%% of the nearest rows", opened, cells, 100 * found
            )
            self.cells = opened if found >= recall else 0
            opened += max(2, opened // 3)
        self.index.add(rows[-HELD_OUT:])
        if not self.cells:
            logger.warning("few of %d cells are not enough for this bank: exact search", cells)

    def __call__(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """queries (Q, D) -> distances (Q,), by subtraction, and indices (Q,)."""
        if not self.cells or len(queries) == 0 or queries.shape[1:] != self.bank.shape[1:]:
            return nearest(queries, self.bank)
        return self._search(queries)

    def _search(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        _, found = self.index.search(queries.detach().float().cpu().numpy(), CANDIDATES)
        # -1 where the cells hold fewer rows; the first is always there
        rows = torch.from_numpy(found).to(self.bank.device)  # (Q, CANDIDATES)
        rows = self.order[torch.where(rows < 0, rows[:, :1], rows)]
        parts = zip(queries.split(256), rows.split(256), strict=True)
        apart = torch.cat([(self.bank[r] - q[:, None]).norm(dim=2) for q, r in parts])
        distances, best = apart.min(1)
        return distances, rows.gather(1, best[:, None])[:, 0]
