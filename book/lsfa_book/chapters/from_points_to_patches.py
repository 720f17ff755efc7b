"""Chapter "From points to patches"."""

from __future__ import annotations

import torch
from torch import Tensor

from lsfa_book.checking import Exercise


def weights(distances: Tensor, power: float = 1.0) -> Tensor:
    """(P, G) -> (P, G), each row sums to one; all of it on a centre at distance 0."""
    nearest = distances.amin(dim=1, keepdim=True)
    ratio = torch.where(distances == 0, 1.0, nearest / distances) ** power
    return ratio / ratio.sum(dim=1, keepdim=True)


def between(points: Tensor, centres: Tensor) -> Tensor:
    return (points[:, None] - centres[None]).norm(dim=2)  # (P, G)


def equation_one(points: Tensor, centres: Tensor, features: Tensor) -> Tensor:
    return weights(between(points, centres)) @ features


def squared(points: Tensor, centres: Tensor, features: Tensor) -> Tensor:
    return weights(between(points, centres), power=2) @ features


def three_nearest(points: Tensor, centres: Tensor, features: Tensor) -> Tensor:
    near, index = between(points, centres).topk(3, dim=1, largest=False)
    return (weights(near)[..., None] * features[index]).sum(dim=1)


def only_the_nearest(points: Tensor, centres: Tensor, features: Tensor) -> Tensor:
    return features[between(points, centres).argmin(dim=1)]


def far_weighs_most(points: Tensor, centres: Tensor, features: Tensor) -> Tensor:
    distances = between(points, centres)
    return distances / distances.sum(dim=1, keepdim=True) @ features


def over_the_points(points: Tensor, centres: Tensor, features: Tensor) -> Tensor:
    inverse = 1 / between(points, centres).clamp_min(1e-12)
    return inverse / inverse.sum(dim=0, keepdim=True) @ features


def with_epsilon(points: Tensor, centres: Tensor, features: Tensor) -> Tensor:
    inverse = 1 / (between(points, centres) + 1e-6)
    return inverse / inverse.sum(dim=1, keepdim=True) @ features


def patch_mean(values: Tensor, pixels: Tensor, size: int, grid: int) -> Tensor:
    row, column = pixels // size, pixels % size
    patch = row * grid // size * grid + column * grid // size  # (P,)
    total = values.new_zeros(grid * grid, values.shape[1]).index_add(0, patch, values)
    return total / patch.bincount(minlength=grid * grid).clamp_min(1)[:, None]


def summed(values: Tensor, pixels: Tensor, size: int, grid: int) -> Tensor:
    row, column = pixels // size, pixels % size
    patch = row * grid // size * grid + column * grid // size
    return values.new_zeros(grid * grid, values.shape[1]).index_add(0, patch, values)


def background_too(values: Tensor, pixels: Tensor, size: int, grid: int) -> Tensor:
    return summed(values, pixels, size, grid) / (size // grid) ** 2


def rows_for_columns(values: Tensor, pixels: Tensor, size: int, grid: int) -> Tensor:
    return patch_mean(values, pixels % size * size + pixels // size, size, grid)


def cloud(seed: int, on_a_centre: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Six points and five centres within a centimetre, in metres."""
    generator = torch.Generator().manual_seed(seed)
    points, centres = (0.01 * torch.rand(n, 3, generator=generator) for n in (6, 5))
    if on_a_centre:
        points[2] = centres[3]
    return points, centres, torch.rand(5, 2, generator=generator)


def part(seed: int, size: int, grid: int) -> tuple[Tensor, Tensor, int, int]:
    """A third of the pixels, none of them in the first two rows."""
    generator = torch.Generator().manual_seed(seed)
    seen = torch.rand(size, size, generator=generator) < 1 / 3
    seen[:2] = False
    pixels = seen.flatten().nonzero()[:, 0]
    return torch.rand(len(pixels), 2, generator=generator) + 1, pixels, size, grid


EXERCISES = {
    "equation_one": Exercise(
        cases=(cloud(0, False), cloud(1, True)),
        solution=equation_one,
        drawn=lambda seed: (cloud(seed, False), cloud(seed + 1, True)),
        mistakes={
            "this weighs with 1 / d squared. Eq. 1 has the distance itself.": squared,
            "these are the three nearest centres. Eq. 1 takes all of them.": three_nearest,
            "this is the nearest centre alone. Eq. 1 is a mean over all.": only_the_nearest,
            "the farthest centre weighs most. Divide by the distance.": far_weighs_most,
            "the weights of a centre sum to one over the points. They must sum to one over the "
            "centres, for each point: the other axis.": over_the_points,
            "an epsilon of 1e-6 metres shows beside distances of a millimetre. Take the limit: "
            "at a centre, all weight is its own.": with_epsilon,
        },
    ),
    "patch_mean": Exercise(
        cases=(part(0, 8, 4), part(1, 12, 4)),
        solution=patch_mean,
        drawn=lambda seed: (part(seed, 12, 3), part(seed + 1, 16, 8)),
        mistakes={
            "this is the sum. Divide by the number of points in the patch.": summed,
            "the background is averaged in as zeros. Divide by the points that are there, not by "
            "the pixels of the patch.": background_too,
            "rows and columns are swapped. A pixel is row * size + column.": rows_for_columns,
        },
    ),
}
