"""Chapter "Memory that forgets"."""

from __future__ import annotations

import torch
from torch import Tensor

from lsfa_lite.exercises.checking import Exercise


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
