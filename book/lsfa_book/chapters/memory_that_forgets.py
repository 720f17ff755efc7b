"""Chapter "Memory that forgets". Its figures, then its exercises.

The rows of a memory bank in a plane, step by step: how old they are and how far they drifted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor

from lsfa_book.checking import Exercise
from lsfa_book.figures.charts import slider
from lsfa_book.figures.style import DEPTH, INK

Frame = tuple[str, np.ndarray, np.ndarray, np.ndarray]


def bank_slider(frames: Sequence[Frame], alt: str, title: str = "step") -> go.Figure:
    """One position of a slider per state of the bank: rows as dots, coloured by age.

    frames  (label, stored (M, 2), present (M, 2), ages (M,)): where each row was stored in the
            plane, where the same input lies now, and how many steps ago it was stored. A line
            leads from each row to where it belongs now. M may differ between frames; the oldest
            rows are yellow.
    Raises ValueError for arrays that do not fit each other.
    """
    oldest = max(float(ages.max()) for *_, ages in frames)
    steps = [
        (label, _traces(stored, present, ages, oldest)) for label, stored, present, ages in frames
    ]
    figure = slider(steps, title, "first direction", "second direction", alt, height=440)
    figure.layout.margin.r = 90  # the bar of ages
    return figure


def _traces(
    stored: np.ndarray, present: np.ndarray, ages: np.ndarray, oldest: float
) -> list[go.Scatter]:
    if stored.shape != present.shape or stored.shape != (len(ages), 2):
        raise ValueError(
            f"stored {stored.shape}, present {present.shape} and ages {ages.shape}: "
            "expected (M, 2), (M, 2) and (M,)"
        )
    gap = np.full_like(stored, np.nan)  # lifts the pen between two lines
    lines = np.stack([stored, present, gap], axis=1).reshape(-1, 2).astype(np.float32)
    bar = {"title": {"text": "age, steps", "side": "right"}, "thickness": 12, "len": 0.8}
    bar["dtick"] = max(1, round(oldest / 5))  # whole steps
    return [
        go.Scatter(
            x=lines[:, 0],
            y=lines[:, 1],
            mode="lines",
            line={"color": INK, "width": 1},
            name="from where it was stored to where it belongs now",
            hoverinfo="skip",
        ),
        go.Scatter(
            x=stored[:, 0].astype(np.float32),
            y=stored[:, 1].astype(np.float32),
            mode="markers",
            marker={
                "color": ages.astype(np.int16),
                "colorscale": DEPTH,
                "cmin": 0,
                "cmax": max(oldest, 1.0),
                "size": 7,
                "line": {"color": INK, "width": 0.6},
                "colorbar": bar,
            },
            hovertemplate="%{marker.color} steps old<extra></extra>",
            showlegend=False,
        ),
    ]


# --- exercises ------------------------------------------------------------------------------


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def nearest_distance(queries: Tensor, bank: Tensor) -> Tensor:
    return (queries[:, None] - bank).norm(dim=2).min(dim=1).values  # (Q,)


def share(near: Tensor) -> float:
    return near.float().mean().item()


def coverage(queries: Tensor, bank: Tensor, radius: float) -> float:
    return share(nearest_distance(queries, bank) < radius)


def of_the_bank(queries: Tensor, bank: Tensor, radius: float) -> float:
    return coverage(bank, queries, radius)


def of_all_pairs(queries: Tensor, bank: Tensor, radius: float) -> float:
    return share((queries[:, None] - bank).norm(dim=2) < radius)


def without_root(queries: Tensor, bank: Tensor, radius: float) -> float:
    return share(nearest_distance(queries, bank).square() < radius)


def to_the_mean(queries: Tensor, bank: Tensor, radius: float) -> float:
    return share((queries - bank.mean(0)).norm(dim=1) < radius)


def pull(
    weight: Tensor,
    inputs: Tensor,
    stored: Tensor,
    *,
    through_bank: bool = False,
    squared: bool = True,
    mean: bool = False,
    every_row: bool = False,
) -> Tensor:
    """The gradient of the compactness loss of a linear adaptor, and its usual wrong versions."""
    weight = weight.detach().clone().requires_grad_()
    bank = stored @ weight.T  # (M, D)
    if not through_bank:
        bank = bank.detach()
    distance = (inputs @ weight.T)[:, None] - bank  # (Q, M, D)
    distance = distance.square().sum(2) if squared else distance.norm(dim=2)  # (Q, M)
    terms = distance if every_row else distance.min(dim=1).values
    loss = terms.mean() if mean else terms.sum()
    return torch.autograd.grad(loss, weight)[0]


def gradient(weight: Tensor, inputs: Tensor, stored: Tensor) -> Tensor:
    return pull(weight, inputs, stored)


EXERCISES = {
    "coverage": Exercise(
        cases=(
            (torch.tensor([[0.0], [1.0], [5.0], [9.0]]), torch.tensor([[0.2], [8.5]]), 0.6),
            (draw(40, 3, seed=0), draw(10, 3, seed=1), 0.8),
            (draw(40, 3, seed=2), draw(10, 3, seed=3), 1.3),
            (draw(12, 5, seed=4), draw(60, 5, seed=5), 1.7),
        ),
        solution=coverage,
        drawn=lambda seed: (
            (draw(50, 3, seed=seed), draw(12, 3, seed=seed + 1), 1.0),
            (draw(20, 4, seed=seed + 2), draw(50, 4, seed=seed + 3), 1.4),
        ),
        mistakes={
            "this is the share of bank rows that have a query nearby: the minimum runs over the "
            "wrong axis. Each query looks for its nearest row.": of_the_bank,
            "this is the share of all pairs that are near. A query is covered if one row is near; "
            "take the minimum over the rows first.": of_all_pairs,
            "these are squared distances. Take the root before you compare.": without_root,
            "this is the distance to the mean of the bank, not to its nearest row.": to_the_mean,
            "this counts the queries that are not covered.": lambda *given: 1 - coverage(*given),
        },
    ),
    "gradient": Exercise(
        cases=(
            (torch.tensor([[1.0]]), torch.tensor([[3.0]]), torch.tensor([[1.0]])),
            (draw(3, 3, seed=6), draw(8, 3, seed=7), draw(5, 3, seed=8)),
            (draw(2, 2, seed=9), draw(4, 2, seed=10), draw(6, 2, seed=11)),
        ),
        solution=gradient,
        drawn=lambda seed: (
            (draw(3, 3, seed=seed), draw(9, 3, seed=seed + 1), draw(6, 3, seed=seed + 2)),
        ),
        mistakes={
            "a gradient flows through the bank. Detach its rows: they are fixed targets.": (
                lambda *given: pull(*given, through_bank=True)
            ),
            "this is the gradient of the distances. The exercise asks for squared ones.": (
                lambda *given: pull(*given, squared=False)
            ),
            "this is the mean over the inputs. Eq. 5 sums.": lambda *given: pull(*given, mean=True),
            "each input is pulled to all rows. Take only the nearest one.": (
                lambda *given: pull(*given, every_row=True)
            ),
            "the sign is turned: this is the step that descends, not the gradient.": (
                lambda *given: -pull(*given)
            ),
        },
    ),
}
