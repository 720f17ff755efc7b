"""Chapter "Pull normal together"."""

from __future__ import annotations

import torch
from torch import Tensor

from lsfa_book.checking import Exercise


def differences(features: Tensor, bank: Tensor) -> Tensor:
    """features (Q, D), bank (M, D) -> from its nearest row to each feature (Q, D)."""
    return features - bank[torch.cdist(features, bank).argmin(1)]


def pull(features: Tensor, bank: Tensor) -> Tensor:
    """The negative gradient of Eq. 5, as printed (Q, D)."""
    difference = differences(features, bank)
    norm = difference.norm(dim=1, keepdim=True)
    return torch.where(norm > 0, -difference / norm.clamp(min=1e-12), 0.0)


def forgot_the_root(features: Tensor, bank: Tensor) -> Tensor:
    return -2 * differences(features, bank)


def whole_difference(features: Tensor, bank: Tensor) -> Tensor:
    return -differences(features, bank)


def away(features: Tensor, bank: Tensor) -> Tensor:
    return -pull(features, bank)


def mean_not_sum(features: Tensor, bank: Tensor) -> Tensor:
    return pull(features, bank) / len(features)


def farthest(features: Tensor, bank: Tensor) -> Tensor:
    difference = features - bank[torch.cdist(features, bank).argmax(1)]
    return -difference / difference.norm(dim=1, keepdim=True)


def towards_the_mean(features: Tensor, bank: Tensor) -> Tensor:
    difference = features - bank.mean(0)
    return -difference / difference.norm(dim=1, keepdim=True)


def weight_gradient(weight: Tensor, patches: Tensor, rows: Tensor) -> Tensor:
    """d mean ||W x - [W x_n]||^2 / dW, the bracket detached (D, D)."""
    error, _ = pairs(weight, patches, rows)
    return 2 * error.T @ patches / len(patches)


def pairs(weight: Tensor, patches: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """weight (D, D), patches (Q, D), rows (M, D) -> W (x - x_n) and x - x_n, (Q, D) each."""
    adapted = torch.cdist(patches @ weight.T, rows @ weight.T)  # (Q, M)
    difference = patches - rows[adapted.argmin(1)]
    return difference @ weight.T, difference


def through_the_bank(weight: Tensor, patches: Tensor, rows: Tensor) -> Tensor:
    error, difference = pairs(weight, patches, rows)
    return 2 * error.T @ difference / len(patches)


def raw_neighbours(weight: Tensor, patches: Tensor, rows: Tensor) -> Tensor:
    return 2 * (differences(patches, rows) @ weight.T).T @ patches / len(patches)


def raw_bank(weight: Tensor, patches: Tensor, rows: Tensor) -> Tensor:
    return 2 * differences(patches @ weight.T, rows).T @ patches / len(patches)


def summed(weight: Tensor, patches: Tensor, rows: Tensor) -> Tensor:
    return weight_gradient(weight, patches, rows) * len(patches)


def without_the_two(weight: Tensor, patches: Tensor, rows: Tensor) -> Tensor:
    return weight_gradient(weight, patches, rows) / 2


def transposed(weight: Tensor, patches: Tensor, rows: Tensor) -> Tensor:
    return weight_gradient(weight, patches, rows).T


def rectangles(seed: int, *shapes: tuple[int, int]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


SIX = torch.tensor([[3, 4], [0, 1], [-0.6, -0.8], [8, 2], [8.8, -0.6], [8, 0]])
TWO = torch.tensor([[0.0, 0.0], [8.0, 0.0]])
STRETCH = torch.diag(torch.tensor([3.0, 1.0, 0.2])) + 0.1  # other neighbours than before it

EXERCISES = {
    "pull": Exercise(
        cases=((SIX, TWO), rectangles(0, (7, 3), (5, 3))),
        solution=pull,
        drawn=lambda seed: (rectangles(seed, (9, 4), (6, 4)),),
        mistakes={
            "this points away from the bank. Downhill is minus the gradient.": away,
            "these arrows grow with the distance: that is the squared norm, without the root.": (
                forgot_the_root
            ),
            "these arrows go all the way to the row. Divide each by its length.": whole_difference,
            "this is the pull of the mean. Eq. 5 is a sum.": mean_not_sum,
            "this looks up the farthest row. Eq. 5 has a minimum.": farthest,
            "this pulls to the mean of the bank. Eq. 5 pulls to one row, the nearest.": (
                towards_the_mean
            ),
        },
    ),
    "weight_gradient": Exercise(
        cases=tuple((STRETCH, *rectangles(seed, (12, 3), (9, 3))) for seed in (1, 2)),
        solution=weight_gradient,
        drawn=lambda seed: ((STRETCH, *rectangles(seed, (14, 3), (10, 3))),),
        mistakes={
            "this is the gradient through the bank, too. Its rows are detached: only x moves.": (
                through_the_bank
            ),
            "the neighbours were looked up before the adaptor. Search among the adapted rows.": (
                raw_neighbours
            ),
            "the rows of the bank have to pass the adaptor, too.": raw_bank,
            "this is the gradient of the sum. Divide by the number of patches.": summed,
            "the 2 of the square is missing.": without_the_two,
            "this is transposed. Rows of W make outputs, so the error comes first.": transposed,
        },
    ),
}
