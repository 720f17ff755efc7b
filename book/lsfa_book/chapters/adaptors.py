"""Chapter "The smallest thing that can learn: adaptors". Its figures, then its exercises.

Maps over the patches of a part, one set per position of a slider.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor

from lsfa_book.checking import Exercise
from lsfa_book.figures.charts import positions
from lsfa_book.figures.style import DEFECT, INK, LIKENESS


def patch_maps(
    steps: Sequence[tuple[str, Sequence[np.ndarray]]],
    titles: Sequence[str],
    marks: Sequence[int],
    scale: str,
    alt: str,
    limits: tuple[float, float],
    title: str = "patch",
    height: int = 330,
) -> go.Figure:
    """[(label, one (grid, grid) map per title), ...] -> panels that a slider changes together.

    NaN is left empty. marks: the flat index of the patch that each step is about, outlined in
    every panel. scale: what the colours mean, in words; limits: their ends. title stands before
    the slider's value. Raises ValueError when the maps of a step do not fit the titles.
    """
    figure = go.Figure()
    count = len(titles)
    for index, ((label, maps), mark) in enumerate(zip(steps, marks, strict=True)):
        if len(maps) != count:
            raise ValueError(f"step {label!r} has {len(maps)} maps for {count} titles")
        for panel, values in enumerate(maps):
            grid = np.asarray(values, dtype=np.float32)
            axes = {"xaxis": _axis("x", panel), "yaxis": _axis("y", panel)}
            figure.add_trace(
                go.Heatmap(
                    z=grid,
                    coloraxis="coloraxis",
                    hovertemplate="%{z:.2f}<extra></extra>",
                    visible=index == 0,
                    **axes,
                )
            )
            row, column = divmod(mark, grid.shape[1])
            frame = {"size": 11, "symbol": "square-open", "color": DEFECT, "line": {"width": 2}}
            figure.add_trace(
                go.Scatter(
                    x=[column],
                    y=[row],
                    mode="markers",
                    marker=frame,
                    hoverinfo="skip",
                    showlegend=False,
                    visible=index == 0,
                    **axes,
                )
            )
    owner = [trace // (2 * count) for trace in range(len(figure.data))]
    buttons = positions([label for label, _ in steps], owner)
    bar = {"title": {"text": scale, "side": "right"}, "thickness": 12}
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": 5, "r": 5, "t": 30, "b": 20},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
        coloraxis={
            "colorscale": LIKENESS,
            "cmin": limits[0],
            "cmax": limits[1],
            "colorbar": bar,
        },
        sliders=[{"currentvalue": {"prefix": f"{title}: "}, "steps": buttons, "pad": {"t": 10}}],
        meta={"alt": alt},
    )
    for panel, words in enumerate(titles):
        _place(figure, panel, count, words, np.shape(steps[0][1][panel]))
    return figure


def _axis(letter: str, panel: int) -> str:
    return f"{letter}{panel + 1 if panel else ''}"


def _place(figure: go.Figure, panel: int, count: int, words: str, shape: tuple[int, ...]) -> None:
    """Panel number `panel` of a row: square patches, row 0 on top, no ticks, its title above."""
    rows, columns = shape
    left, right = panel / count, (panel + 0.96) / count
    name = str(panel + 1) if panel else ""
    hidden = {"visible": False, "constrain": "domain"}
    across = {"domain": [left, right], "range": [-0.5, columns - 0.5], **hidden}
    down = {"range": [rows - 0.5, -0.5], "scaleanchor": f"x{name}", **hidden}
    figure.update_layout({f"xaxis{name}": across, f"yaxis{name}": down})
    place = {"x": (left + right) / 2, "y": 1.0, "xref": "paper", "yref": "paper"}
    anchor = {"xanchor": "center", "yanchor": "bottom"}
    figure.add_annotation(text=words, showarrow=False, **anchor, **place)


# --- exercises ------------------------------------------------------------------------------


def attend(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    scores = queries @ keys.T / keys.shape[1] ** 0.5  # (N, N)
    weights = scores.masked_fill(~foreground, -torch.inf).softmax(dim=1)
    return weights @ values


def without_scale(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    return attend(queries * keys.shape[1] ** 0.5, keys, values, foreground)


def over_queries(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    scores = queries @ keys.T / keys.shape[1] ** 0.5
    hidden = torch.finfo(scores.dtype).min  # minus infinity alone would give NaN here
    return scores.masked_fill(~foreground, hidden).softmax(dim=0) @ values


def without_mask(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    return attend(queries, keys, values, torch.ones_like(foreground))


def zero_scores(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    scores = queries @ keys.T / keys.shape[1] ** 0.5
    return scores.masked_fill(~foreground, 0.0).softmax(dim=1) @ values


def mask_after_softmax(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    weights = (queries @ keys.T / keys.shape[1] ** 0.5).softmax(dim=1)
    return weights.masked_fill(~foreground, 0.0) @ values


def masked_queries(queries: Tensor, keys: Tensor, values: Tensor, foreground: Tensor) -> Tensor:
    out = without_mask(queries, keys, values, foreground)
    return out.masked_fill(~foreground[:, None], 0.0)


def scene(patches: int, width: int, seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    queries, keys, values = torch.randn(3, patches, width, generator=generator)
    return queries, keys, values, torch.arange(patches) % 3 > 0


def whiten(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(features))
    return centred @ (vectors / values.sqrt()) @ vectors.T


def not_centred(features: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(features.T @ features / len(features))
    return features @ (vectors / values.sqrt()) @ vectors.T


def standardise(features: Tensor) -> Tensor:
    return (features - features.mean(0)) / features.std(0, unbiased=False)


def inverse(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    return centred @ torch.linalg.inv(centred.T @ centred / len(features))


def not_turned_back(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(features))
    return centred @ (vectors / values.sqrt())


def square_root(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(features))
    return centred @ (vectors * values.sqrt()) @ vectors.T


def mixed(rows: int, width: int, seed: int) -> tuple[Tensor]:
    """Correlated columns that do not have mean zero."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(width) + 0.4 * torch.randn(width, width, generator=generator)
    return (3 + torch.randn(rows, width, generator=generator) @ mixing,)


EXERCISES = {
    "attend": Exercise(
        cases=(scene(6, 4, 0), scene(9, 2, 1)),
        solution=attend,
        drawn=lambda seed: (scene(7, 3, seed), scene(11, 5, seed + 1)),
        mistakes={
            "divide the scores by the square root of the width D.": without_scale,
            "the weights of one query must sum to one: take the softmax over the keys.": (
                over_queries
            ),
            "background is listened to. Mask the keys before the softmax.": without_mask,
            "a score of 0 is not silence, exp(0) is 1. Use minus infinity.": zero_scores,
            "masked after the softmax: the weights that are left no longer sum to one.": (
                mask_after_softmax
            ),
            "you masked the queries. What must be silent are the keys.": masked_queries,
        },
    ),
    "whiten": Exercise(
        cases=(mixed(50, 3, 0), mixed(80, 4, 1)),
        solution=whiten,
        drawn=lambda seed: (mixed(60, 3, seed), mixed(90, 5, seed + 1)),
        mistakes={
            "subtract the mean first; the covariance is that of centred features.": not_centred,
            "this is standardising: each column alone. Whitening uses the covariance.": standardise,
            "this is C^(-1). Whitening needs its square root, C^(-1/2).": inverse,
            "white, but turned: multiply by the transposed eigenvectors, too.": not_turned_back,
            "this is C^(1/2): wide directions got wider. Divide by the root.": square_root,
        },
        tolerance=1e-3,
    ),
}
