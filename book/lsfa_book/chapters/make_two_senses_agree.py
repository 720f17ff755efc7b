"""Chapter "Make two senses agree". Its figures, then its exercises.

Which patches of the other sense does one patch take for its partner? Clouds with a slider. And whom
do the adaptors hear, the consistency of the two senses or the compactness of each?
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor
from torch.optim import AdamW

from lsfa_book.checking import Exercise
from lsfa_book.figures.clouds import _arrange, _thin
from lsfa_book.figures.style import DEFECT, LIKENESS
from lsfa_lite.adaptation import batches
from lsfa_lite.adaptation.batches import Batch, Features, pack
from lsfa_lite.adaptation.model import Adaptation
from lsfa_lite.adaptation.train import (
    Terms,
    compactness_terms,
    consistency_terms,
    iterate,
    objective,
    shared_prototypes,
    start,
)
from lsfa_lite.config import AdaptationConfig
from lsfa_lite.data.sample import Sample


def partner_clouds(
    sample: Sample,
    similarity: Mapping[str, np.ndarray],
    foreground: np.ndarray,
    patches: Mapping[str, tuple[int, int]],
    *,
    points: int = 1200,
    alt: str = "",
    height: int = 440,
    seed: int = 0,
) -> go.Figure:
    """One cloud per matrix, and a slider over the patches that ask.

    sample      a square scan of H x W pixels.
    similarity  title -> (n, n), row: a foreground patch of one sense, column: of the other.
    foreground  (N,) bool with n True; N is a square number, the patches row by row.
    patches     name -> (row, column), a pixel; its patch must be foreground, or ValueError.
    points      of each cloud.

    A point shows its patch's place in the asking patch's list: the share, in percent, of the part's
    patches that are less alike. A diamond marks the asking patch, where the partner should be.
    """
    grid, side = round(len(foreground) ** 0.5), sample.shape[0]
    number = np.cumsum(foreground) - 1  # (N,) patch -> row of the matrix
    row, column = np.divmod(np.arange(side * side), side)
    patch = row * grid // side * grid + column * grid // side  # (H * W,)
    keep = foreground[patch].reshape(sample.shape)
    pixels = _thin(sample, keep, points, np.random.default_rng(seed))
    asking = {name: patch[r * side + c] for name, (r, c) in patches.items()}
    missing = [name for name, p in asking.items() if not foreground[p]]
    if missing:
        raise ValueError(f"{', '.join(missing)}: the patch is not on the part")

    figure = go.Figure()
    for i in range(len(similarity)):
        figure.add_trace(_cloud(sample, pixels, f"scene{i + 1 if i else ''}"))
    bar = {"title": {"text": "less alike, % of patches", "side": "right"}, "thickness": 12}
    figure.data[-1].marker.update(showscale=True, colorbar={**bar, "len": 0.7})
    for name, asker in asking.items():
        for i in range(len(similarity)):
            centre = _centre(sample, keep.ravel() & (patch == asker))
            figure.add_trace(_pin(centre, name, f"scene{i + 1 if i else ''}"))
    pins = len(asking) * len(similarity)
    steps: list[dict[str, Any]] = []
    trace_numbers = list(range(len(figure.data)))
    for name, asker in asking.items():
        colours: list[dict[str, str] | str] = []
        for matrix in similarity.values():
            rank = np.argsort(np.argsort(matrix[number[asker]]))  # (n,) 0 is the least alike
            percent = (100 * rank // max(len(rank) - 1, 1)).astype(np.uint8)
            colours.append(_packed(percent[number[patch[pixels]]]))
        colours += [DEFECT] * pins
        seen = [True] * len(similarity) + [n == name for n in asking for _ in similarity]
        if not steps:  # the figure starts there
            for trace, colour, visible in zip(figure.data, colours, seen, strict=True):
                trace.update(marker={"color": colour}, visible=visible)
        change = {"marker.color": colours, "visible": seen}
        steps.append({"label": name, "method": "restyle", "args": [change, trace_numbers]})
    _arrange(figure, len(similarity), list(similarity), height)
    figure.update_scenes(xaxis_visible=False, yaxis_visible=False, zaxis_visible=False)
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 28, "b": 100},
        sliders=[
            {
                "steps": steps,
                "currentvalue": {"prefix": "the camera's patch: "},
                "font": {"size": 10},
                "x": 0.05,
                "len": 0.9,
            }
        ],
        meta={"alt": alt or "Point clouds coloured by likeness", "linked": len(similarity) > 1},
    )
    return figure


def _packed(values: np.ndarray) -> dict[str, str]:
    """uint8 as plotly.js reads it; in a slider's list each number would take a line of its own."""
    return {"dtype": "u1", "bdata": base64.b64encode(values.tobytes()).decode()}


def _cloud(sample: Sample, pixels: np.ndarray, scene: str) -> go.Scatter3d:
    x, y, z = _millimetres(sample, pixels).T
    marker = {"size": 4, "cmin": 0, "cmax": 100, "colorscale": LIKENESS}
    hover = "less alike: %{marker.color} %<extra></extra>"
    return go.Scatter3d(
        x=x, y=y, z=z, mode="markers", marker=marker, hovertemplate=hover, scene=scene,
        showlegend=False,
    )  # fmt: skip


def _pin(centre: np.ndarray, name: str, scene: str) -> go.Scatter3d:
    x, y, z = centre.astype(float).round(1)
    return go.Scatter3d(
        x=[x], y=[y], z=[z - 3],  # millimetres, towards the camera: not buried in the surface
        mode="markers", marker={"size": 7, "symbol": "diamond", "color": DEFECT},
        hovertemplate=f"asking: {name}<extra></extra>", scene=scene, showlegend=False,
    )  # fmt: skip


def _centre(sample: Sample, inside: np.ndarray) -> np.ndarray:
    """The middle of the points that were seen: (H * W,) bool -> (3,) millimetres."""
    return _millimetres(sample, np.flatnonzero(inside & sample.valid.ravel())).mean(0)


def _millimetres(sample: Sample, pixels: np.ndarray) -> np.ndarray:
    assert sample.xyz is not None  # _thin() has made sure
    return (sample.xyz.reshape(-1, 3)[pixels] * 1000).astype(np.float32)  # (P, 3)


def pulls(
    features: Features,
    foreground: Tensor,
    config: AdaptationConfig,
    after: Iterable[int] = (1, 11),
    seed: int = 0,
) -> dict[int, float]:
    """How much harder compactness pulls at the adaptors than consistency, after so many steps.

    features {"rgb": (B, N, D), "3d": (B, N, D')}, foreground (B, N) bool -> {steps: ratio of the
    lengths of the two gradients on the batch that comes next, with the weights of Eq. 9}.
    """
    adaptation, wanted = start(features, foreground, config, seed), set(after)
    optimiser = AdamW(adaptation.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    features, foreground = pack(features, foreground)
    found = {}
    for step in range(max(wanted) + 1):
        batch = batches.draw(features, foreground, step, config.batch_size, seed, "cpu")
        if step in wanted:
            found[step] = _ratio(adaptation, batch, seed + step)
        iterate(adaptation, optimiser, batch, step, seed, rank=False)
    return found


def _ratio(adaptation: Adaptation, batch: Batch, seed: int) -> float:
    adapted = {m: adaptation(m, x, batch.foreground) for m, x in batch.features.items()}
    k = adaptation.config.prototypes
    globals_ = shared_prototypes(adapted, batch.foreground, k, seed)
    given = adaptation, adapted, globals_, batch

    def length(terms: Terms) -> float:
        loss, weights = objective(terms, adaptation.config), [*adaptation.adaptors.parameters()]
        gradients = torch.autograd.grad(loss, weights, retain_graph=True)
        return float(torch.cat([g.flatten() for g in gradients]).norm())

    return length(compactness_terms(*given)) / length(consistency_terms(*given))


# --- exercises ------------------------------------------------------------------------------


def joint_gradient(logits: Tensor) -> Tensor:
    """d/d logits of the mean of Eq. 2 over j: (N, N) -> (N, N)."""
    probability = logits.flatten().softmax(0).view_as(logits)
    return probability - torch.eye(len(logits)) / len(logits)


def of_the_rows(logits: Tensor) -> Tensor:
    n = len(logits)
    return (logits.softmax(1) - torch.eye(n)) / n


def summed(logits: Tensor) -> Tensor:
    return len(logits) * joint_gradient(logits)


def without_mean(logits: Tensor) -> Tensor:
    return logits.flatten().softmax(0).view_as(logits) - torch.eye(len(logits))


def row_without_twins(logits: Tensor, twins: Tensor) -> Tensor:
    """InfoNCE whose denominator leaves out twins: (N, N), (N, N) bool -> scalar."""
    out = twins & ~torch.eye(len(logits), dtype=torch.bool)
    denominator = logits.masked_fill(out, -torch.inf).logsumexp(1)  # (N,)
    return (denominator - logits.diagonal()).mean()


def partner_left_out(logits: Tensor, twins: Tensor) -> Tensor:
    hidden = torch.finfo(logits.dtype).min
    denominator = logits.masked_fill(twins, hidden).logsumexp(1)
    return (denominator - logits.diagonal()).mean()


def zeros_left_in(logits: Tensor, twins: Tensor) -> Tensor:
    out = twins & ~torch.eye(len(logits), dtype=torch.bool)
    return (logits.masked_fill(out, 0.0).logsumexp(1) - logits.diagonal()).mean()


def only_twins(logits: Tensor, twins: Tensor) -> Tensor:
    keep = twins | torch.eye(len(logits), dtype=torch.bool)
    denominator = logits.masked_fill(~keep, -torch.inf).logsumexp(1)
    return (denominator - logits.diagonal()).mean()


def columns(logits: Tensor, twins: Tensor) -> Tensor:
    return row_without_twins(logits.T, twins.T)


def draw(n: int, scale: float, seed: int) -> Tensor:
    return scale * torch.randn(n, n, generator=torch.Generator().manual_seed(seed))


def groups(*sizes: int) -> Tensor:
    """(N, N) bool: patches of one group are twins; each is its own twin."""
    label = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return label[:, None] == label


EXERCISES = {
    "joint_gradient": Exercise(
        cases=(
            (torch.tensor([[16.0, 2, 2], [2, 4, 2], [1, 1, 2]]).log(),),
            (draw(5, 2.0, 0),),
            (draw(4, 300.0, 1),),  # exp would overflow
        ),
        solution=joint_gradient,
        drawn=lambda seed: ((draw(6, 1.5, seed),), (draw(5, 300.0, seed + 1),)),
        mistakes={
            "this is the gradient of the row form. Eq. 2 has one softmax over all N * N pairs.": (
                of_the_rows
            ),
            "the sign is turned: descent goes against the gradient.": lambda s: -joint_gradient(s),
            "the diagonal loses 1 instead of 1 / N: the loss is a mean over j.": without_mean,
            "this is N times too large. The loss is the mean over j, not the sum.": summed,
            "the diagonal is missing: what pulls the pairs together?": lambda s: (
                s.flatten().softmax(0).view_as(s)
            ),
        },
    ),
    "row_without_twins": Exercise(
        cases=(
            (draw(6, 1.0, 2), groups(3, 2, 1)),
            (draw(5, 30.0, 3), groups(2, 2, 1)),
            (draw(4, 1.0, 4), torch.eye(4, dtype=torch.bool)),
        ),
        solution=row_without_twins,
        drawn=lambda seed: (
            (draw(7, 1.0, seed), groups(4, 2, 1)),
            (draw(6, 30.0, seed + 1), groups(2, 3, 1)),
        ),
        mistakes={
            "a patch is its own twin, and you left the partner out of the denominator too.": (
                partner_left_out
            ),
            "a twin set to 0 still adds exp(0) = 1. Set it to -inf, then logsumexp.": zeros_left_in,
            "you kept the twins and left out the strangers. Turn the mask.": only_twins,
            "you summed over columns: row j is patch j of the picture.": columns,
            "nothing was left out: this is the plain row form.": lambda s, twins: (
                s.logsumexp(1) - s.diagonal()
            ).mean(),
        },
    ),
}
