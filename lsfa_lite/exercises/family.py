"""Chapter "What came after"."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lsfa_lite.exercises.checking import Exercise


def distance(seen: Tensor, guessed: Tensor) -> Tensor:
    """(Q, D) twice -> (Q,), over sqrt(D)."""
    return (seen - guessed).norm(dim=1) / seen.shape[1] ** 0.5


def product(rgb: Tensor, rgb_guess: Tensor, points: Tensor, points_guess: Tensor) -> Tensor:
    return distance(rgb, rgb_guess) * distance(points, points_guess)


def summed(rgb: Tensor, rgb_guess: Tensor, points: Tensor, points_guess: Tensor) -> Tensor:
    return distance(rgb, rgb_guess) + distance(points, points_guess)


def by_width(rgb: Tensor, rgb_guess: Tensor, points: Tensor, points_guess: Tensor) -> Tensor:
    widths = (rgb.shape[1] * points.shape[1]) ** 0.5
    return product(rgb, rgb_guess, points, points_guess) / widths


def variances(aurocs: np.ndarray, good: np.ndarray, defective: np.ndarray) -> np.ndarray:
    """Of the AUROC of each category, after Hanley and McNeil."""
    q1, q2 = aurocs / (2 - aurocs), 2 * aurocs**2 / (1 + aurocs)
    spread = aurocs * (1 - aurocs)
    spread = spread + (defective - 1) * (q1 - aurocs**2) + (good - 1) * (q2 - aurocs**2)
    return spread / (good * defective)


def error_of_mean(aurocs: np.ndarray, good: np.ndarray, defective: np.ndarray) -> float:
    return float(np.sqrt(variances(aurocs, good, defective).sum()) / len(aurocs))


def mean_of_errors(aurocs: np.ndarray, good: np.ndarray, defective: np.ndarray) -> float:
    return float(np.sqrt(variances(aurocs, good, defective)).mean())


def root_of_mean(aurocs: np.ndarray, good: np.ndarray, defective: np.ndarray) -> float:
    return float(np.sqrt(variances(aurocs, good, defective).mean()))


def senses(rows: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both senses and their guesses, of different widths."""
    draw = torch.Generator().manual_seed(seed)
    rgb, points = torch.randn(rows, 6, generator=draw), torch.randn(rows, 3, generator=draw)
    return (
        rgb,
        rgb + 0.3 * torch.randn(rows, 6, generator=draw),
        points,
        0.5 * points + 0.1 * torch.randn(rows, 3, generator=draw),
    )


EXERCISES = {
    "product": Exercise(
        cases=(senses(5, 0), senses(40, 1)),
        solution=product,
        mistakes={
            "this adds the two surprises; both must be large: multiply.": summed,
            "these are squared distances: take the root of each.": (
                lambda a, b, c, d: product(a, b, c, d) ** 2
            ),
            "divide each distance by sqrt(D) of its sense, or the wider sense counts more.": (
                lambda a, b, c, d: (a - b).norm(dim=1) * (c - d).norm(dim=1)
            ),
            "you divided by D, not by its root.": by_width,
            "this takes the mean over the patches (axis 0); one number per patch is wanted.": (
                lambda a, b, c, d: (a - b).square().mean(0).sqrt()
            ),
        },
    ),
    "error": Exercise(
        cases=(
            (np.array([0.97, 0.9, 0.99]), np.array([22, 21, 27]), np.array([88, 87, 132])),
            (np.array([0.8, 0.95]), np.array([10, 40]), np.array([30, 5])),
        ),
        solution=error_of_mean,
        mistakes={
            "independent errors add as squares: sum the variances, then take the root.": (
                mean_of_errors
            ),
            "the root of the mean variance is the error of one category, not of the mean.": (
                root_of_mean
            ),
            "this is the variance; take the root at the end.": (
                lambda a, g, d: error_of_mean(a, g, d) ** 2
            ),
            "good and defective parts are swapped: (defective - 1) goes with Q1.": (
                lambda a, g, d: error_of_mean(a, d, g)
            ),
        },
    ),
}
