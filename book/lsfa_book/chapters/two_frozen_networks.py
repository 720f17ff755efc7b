"""Chapter "What do two frozen networks see?"."""

from __future__ import annotations

import torch
from torch import Tensor

from lsfa_book.checking import Exercise
from lsfa_lite.features.sampling import farthest_point_sampling


def covering_radius(points: Tensor, centres: Tensor) -> Tensor:
    return torch.cdist(points, centres).amin(dim=1).max()


def from_the_centres(points: Tensor, centres: Tensor) -> Tensor:
    return torch.cdist(points, centres).amin(dim=0).max()


def farthest_points(points: Tensor, count: int) -> Tensor:
    return farthest_point_sampling(points, count)


def greedy(points: Tensor, count: int, merge: str) -> Tensor:
    """Farthest point sampling with one thing wrong: how the distances to all chosen are merged."""
    chosen = [0]
    while len(chosen) < count:
        distance = torch.cdist(points, points[chosen])  # (P,chosen)
        if merge == "newest":
            chosen.append(int(distance[:, -1].argmax()))
        elif merge == "sum":
            chosen.append(int(distance.sum(dim=1).argmax()))
        elif merge == "centroid":
            middle = points[chosen].mean(dim=0)
            chosen.append(int((points - middle).norm(dim=1).argmax()))
        else:
            nearest = distance.amin(dim=1)
            nearest[chosen] = torch.inf
            chosen.append(int(nearest.argmin()))
    return torch.tensor(chosen)


def gap(values: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return ((values.mean(dim=0) - mean) / variance.sqrt()).abs().mean()


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CLOUDS = draw(0, 60, 3), draw(1, 40, 3) * 0.1 + torch.tensor([0.0, 0.0, 0.5])
STATISTICS = tuple((2 * draw(s, 90, 5) + 1, draw(s + 9, 5), draw(s + 5, 5).exp()) for s in (2, 3))

EXERCISES = {
    "covering_radius": Exercise(
        cases=tuple((cloud, cloud[::7] + 0.02) for cloud in CLOUDS),
        solution=covering_radius,
        drawn=lambda seed: ((draw(seed, 50, 3), draw(seed + 1, 8, 3)),),
        mistakes={
            "wrong axis: you ask every centre for its nearest point. Ask every point for its "
            "nearest centre.": from_the_centres,
            "this is the mean. The radius is a promise for every point: take the largest.": (
                lambda points, centres: torch.cdist(points, centres).amin(dim=1).mean()
            ),
            "this is squared; the square root is missing.": (
                lambda points, centres: covering_radius(points, centres) ** 2
            ),
            "this is the largest distance of all pairs. A point needs only one centre near it: "
            "take the minimum over the centres first.": (
                lambda points, centres: torch.cdist(points, centres).max()
            ),
        },
    ),
    "farthest_points": Exercise(
        cases=tuple((cloud, count) for cloud in CLOUDS for count in (4, 9)),
        solution=farthest_points,
        drawn=lambda seed: ((draw(seed, 70, 3), 7), (draw(seed + 1, 50, 3), 12)),
        mistakes={
            "you measure from the newest centre alone, so the choice jumps back and forth. "
            "What counts is the distance to the nearest of all chosen.": (
                lambda points, count: greedy(points, count, "newest")
            ),
            "you add the distances to all chosen centres, which favours the rim. Take the "
            "smallest of them.": lambda points, count: greedy(points, count, "sum"),
            "you measure from the mean of the chosen centres. Take the distance to the nearest "
            "of them.": lambda points, count: greedy(points, count, "centroid"),
            "you take the nearest point next. It is called farthest point sampling.": (
                lambda points, count: greedy(points, count, "nearest")
            ),
            "these are coordinates; return the indices of the points.": (
                lambda points, count: points[farthest_points(points, count)]
            ),
        },
    ),
    "gap": Exercise(
        cases=STATISTICS,
        solution=gap,
        drawn=lambda seed: (
            (2 * draw(seed, 80, 6) + 1, draw(seed + 1, 6), draw(seed + 2, 6).exp()),
        ),
        mistakes={
            "you divide by the variance. A distance in standard deviations needs its square "
            "root.": lambda values, mean, variance: (
                ((values.mean(dim=0) - mean) / variance).abs().mean()
            ),
            "the channels cancel: one is too high, one too low. Take the absolute value before "
            "the mean over channels.": lambda values, mean, variance: (
                ((values.mean(dim=0) - mean) / variance.sqrt()).mean().abs()
            ),
            "you take the absolute value of every row. Ask first where the channel's mean lies: "
            "average over the rows, then subtract.": lambda values, mean, variance: (
                ((values - mean) / variance.sqrt()).abs().mean()
            ),
            "nothing is divided by the standard deviation, so the unit of the channel is in it.": (
                lambda values, mean, variance: (values.mean(dim=0) - mean).abs().mean()
            ),
        },
    ),
}
