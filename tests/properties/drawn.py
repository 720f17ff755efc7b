"""What the properties are tried on, and how often.

In the suite the examples are always the same few; LSFA_EXAMPLES=2000 (`make properties`) draws that
many new ones for each property, and prints how to repeat one that fails.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

pytest.importorskip("hypothesis", reason="properties need hypothesis (in the extra `test`)")
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
COMMON = {"deadline": None, "database": None, "suppress_health_check": SLOW}
settings.register_profile("suite", derandomize=True, max_examples=20, **COMMON)
more = int(os.environ.get("LSFA_EXAMPLES", "0"))
settings.register_profile("long", max_examples=more or 1, print_blob=True, **COMMON)
settings.load_profile("long" if more else "suite")

counts = st.integers(1, 6)
seeds = st.integers(0, 2**20)
# halves and their multiples: equals are frequent, and sums of squares are exact
numbers = st.integers(-16, 16).map(lambda n: n / 2)
places = st.integers(0, 64).map(lambda n: n / 64)


def table(rows: int, columns: int, elements=numbers) -> st.SearchStrategy[torch.Tensor]:
    """(rows, columns) float32."""
    return arrays(np.float32, (rows, columns), elements=elements.map(np.float32)).map(
        torch.from_numpy
    )


def row(length: int, elements=numbers) -> st.SearchStrategy[np.ndarray]:
    """(length,) float64."""
    return arrays(np.float64, length, elements=elements)


def some(length: int) -> st.SearchStrategy[np.ndarray]:
    """(length,) bool."""
    return arrays(bool, length)
