"""Greedy k-centre: the few patches that stand for all patches of the training set."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm, trange

from lsfa_lite.errors import DataError, SettingError

SHORTLIST, STEPS = 1024, 64  # rows that may be chosen next; choices between two looks of the host
TILE, CENTRES = 512, 512  # rows and centres of one matrix product: 2 MiB, what a cache holds


@torch.no_grad()
def greedy_coreset(
    features: Tensor, count: int, projection: int = 128, seed: int = 0, progress: bool = False
) -> Tensor:
    """Choose `count` rows such that every row has a chosen one nearby (PatchCore, Algorithm 1).

    features (M, D); returns (count,) long, in the order of choice, no index twice; all M in
    their own order when count >= M. Distances are taken after a random projection to
    `projection` columns, which nearly keeps them; narrower features are used as they are.
    Raises ValueError for a wrong shape, NaN or Inf, or count < 1.
    """
    if features.ndim != 2 or 0 in features.shape:
        raise DataError(f"features have shape {tuple(features.shape)}, expected (M, D), M, D > 0")
    if count < 1:
        raise SettingError(f"count is {count}; a memory bank needs at least one row")
    if not all(torch.isfinite(some).all() for some in features.split(1 << 16)):
        raise DataError("features hold NaN or Inf; look for the sample that brought them")
    if count >= len(features):
        return torch.arange(len(features), device=features.device)  # (M,)
    return k_centres_in_blocks(project(features, projection, seed), count, progress)  # (count,)


def project(features: Tensor, width: int, seed: int) -> Tensor:
    """(M, D) -> (M, width) by a seeded Gaussian matrix, the same on every device.

    Source: the lemma of Johnson and Lindenstrauss; rows keep their distances up to a few percent.
    """
    features = features.float()
    if features.shape[1] <= width:
        return features
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(features.shape[1], width, generator=generator) / width**0.5
    return features @ matrix.to(features.device)  # (M, width)


def on_a_grid(points: Tensor) -> Tensor:
    """(M, D) -> (M, D) float64, whole numbers so small that no squared distance is ever rounded.

    Such sums come out the same in any order, with any number of threads: both loops below choose
    the same rows, and of equal rows the first. The grid's step is 2^-25 of the longest row.
    """
    low, high = points.aminmax(dim=0)
    points = points - (low.double() + high) / 2  # a mean would depend on the order of its sum
    longest = torch.linalg.vector_norm(points, dim=1).max().clamp(min=1e-300)
    return points.mul_(2**25 / longest).round_()  # |x - c|^2 <= 2^52


def k_centres(points: Tensor, count: int, progress: bool = False) -> Tensor:
    """(M, D) -> (count,) long: from row 0 on, always the row farthest from the chosen ones."""
    points = on_a_grid(points)
    squares = points.square().sum(dim=1)  # (M,)
    distance = torch.full_like(squares, torch.inf)  # (M,) squared, to the nearest chosen row
    chosen = torch.zeros(count, dtype=torch.long, device=points.device)
    current = chosen[:1]  # kept on the device: a Python number would wait for the GPU each step
    for step in trange(count, desc="coreset", disable=not progress):
        chosen[step] = current[0]
        centre = points.index_select(0, current)[0]  # (D,)
        to_centre = squares - points @ (2 * centre) + centre.square().sum()  # (M,)
        distance = torch.minimum(distance, to_centre)
        distance = distance.index_fill(0, current, -1.0)  # a chosen row is never chosen again
        current = distance.argmax(dim=0, keepdim=True)  # (1,)
    return chosen


def k_centres_in_blocks(points: Tensor, count: int, progress: bool = False) -> Tensor:
    """The rows of `k_centres`, in its order, and much sooner where M is large.

    A distance only ever shrinks. So while the farthest row of a shortlist is at least as far as
    all others were when the list was made, it is the next one: the loop needs to look at the list
    alone. The others hear of all its choices at once, in one product of matrices.
    """
    points = on_a_grid(points)
    squares = points.square().sum(dim=1)  # (M,)
    distance = torch.full_like(squares, torch.inf)  # (M,)
    shortlist = Shortlist(points, min(SHORTLIST, len(points)))
    chosen = [torch.zeros(1, dtype=torch.long, device=points.device)]
    with tqdm(total=count, initial=1, desc="coreset", disable=not progress) as bar:
        while missing := count - sum(map(len, chosen)):
            bring_nearer(distance, points, squares, chosen[-1])
            top = distance.topk(min(SHORTLIST + 1, len(points))).values
            least = torch.minimum(top[-1] + 1, top[0])  # whole numbers: above the last, or a tie
            rows = (distance >= least).nonzero()[:SHORTLIST, 0]  # of more ties the first
            shortlist.fill(points, squares, distance, rows)
            chosen.append(rows[shortlist.choose(least, missing)])
            bar.update(len(chosen[-1]))
    return torch.cat(chosen)


def bring_nearer(distance: Tensor, points: Tensor, squares: Tensor, chosen: Tensor) -> None:
    """distance (M,), in place: now also to the rows `chosen`, tile by tile."""
    size = TILE if points.device.type == "cpu" else 64 * TILE  # a GPU would wait for launches
    for centres in chosen.split(CENTRES):
        turned = -2 * points[centres].T  # (D, C)
        for start in range(0, len(points), size):
            tile = slice(start, start + size)
            nearest = torch.addmm(squares[centres], points[tile], turned).amin(dim=1)  # (Q,)
            torch.minimum(distance[tile], nearest + squares[tile], out=distance[tile])
    distance.index_fill_(0, chosen, -1.0)


class Shortlist:
    """The rows that can be next, in buffers that stay in place: a CUDA graph needs that."""

    def __init__(self, points: Tensor, size: int):
        self.points = points.new_zeros(size, points.shape[1])  # (Q, D)
        self.squares = points.new_zeros(size)  # (Q,)
        self.distance = points.new_full((size,), -1.0)  # (Q,), -1: chosen, or not in use
        self.picked = torch.zeros(STEPS, dtype=torch.long, device=points.device)
        self.far = points.new_zeros(STEPS)  # how far each picked row was
        buffers = self.points, self.squares, self.distance, self.picked, self.far
        self.run = replayed(lambda: greedy_steps(*buffers), points.device)

    def fill(self, points: Tensor, squares: Tensor, distance: Tensor, rows: Tensor) -> None:
        """Take up `rows`, at most as many as there is room for."""
        self.points[: len(rows)] = points[rows]
        self.squares[: len(rows)] = squares[rows]
        self.distance.fill_(-1.0)[: len(rows)] = distance[rows]

    def choose(self, least: Tensor, missing: int) -> Tensor:
        """Up to `missing` places in the list, until the farthest is nearer than `least`."""
        picked = []
        while missing:
            self.run()  # blindly; what it chose too much is dropped here
            valid = min(int((self.far >= least).sum()), missing)
            picked.append(self.picked[:valid].clone())
            missing -= valid
            if valid < STEPS:
                break
        return torch.cat(picked)


def greedy_steps(
    points: Tensor, squares: Tensor, distance: Tensor, picked: Tensor, far: Tensor
) -> None:
    """The loop of `k_centres` for len(picked) steps, in place, never waiting for the device."""
    for step in range(len(picked)):
        current = picked[step : step + 1]
        torch.max(distance, dim=0, keepdim=True, out=(far[step : step + 1], current))
        centre = points.index_select(0, current)[0]  # (D,)
        to_centre = torch.addmv(squares, points, centre, alpha=-2)  # (Q,)
        to_centre += squares.index_select(0, current)
        torch.minimum(distance, to_centre, out=distance)
        distance.index_fill_(0, current, -1.0)


def replayed(steps: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """On a GPU the launches of `steps`, recorded once, start with one call; elsewhere `steps`."""
    if device.type != "cuda":
        return steps
    with torch.cuda.device(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            steps()  # libraries set themselves up, which cannot be recorded
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                steps()
        except RuntimeError:  # a device or driver without graphs: slower, the same rows
            return steps
    return graph.replay
