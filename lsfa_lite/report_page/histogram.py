"""Scores of a batch under those of the good parts that the threshold came from, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS, HALF = 40, 50  # bars; height of the half above the line, and of the one below


def histogram(good: Sequence[float], scores: Sequence[float], threshold: float) -> str:
    """Up: the good parts, down: these parts; bars as long as the share of their group.

    Scores beyond three times the way from the lowest to the threshold are in the last bar.
    """
    edges = bins(good, scores, threshold)
    low, high = edges[0], edges[-1]
    groups = [counted(some, edges) for some in (good, scores)]
    most = max((counts / max(counts.sum(), 1)).max() for counts in groups)
    parts = []
    for kind, counts, sign in zip(("seen", "these"), groups, (-1, 1), strict=True):
        for i in np.flatnonzero(counts):
            tall = max(HALF * counts[i] / counts.sum() / most, 2)  # a single one is seen, too
            top = HALF - tall if sign < 0 else HALF
            over = " over" if sign > 0 and edges[i] >= threshold else ""
            what = "good parts seen" if kind == "seen" else "of these parts"
            end = " and more" if i == BINS - 1 else f" to {edges[i + 1]:.3g}"
            title = f"{counts[i]} {what}: {edges[i]:.3g}{end}"
            shape = f'x="{i}" y="{top:.2f}" width="0.9" height="{tall:.2f}"'
            parts.append(f'<rect class="{kind}{over}" {shape}><title>{title}</title></rect>')
    at = BINS * (threshold - low) / (high - low)
    line = f'<line class="line" x1="{at:.3f}" x2="{at:.3f}" y1="0" y2="{2 * HALF}"/>'
    base = f'<line class="base" x1="0" x2="{BINS}" y1="{HALF}" y2="{HALF}"/>'
    label = (
        f"Histogram of scores: {len(good)} good parts seen above the line, {len(scores)} parts of "
        f"this batch below it, {sum(s > threshold for s in scores)} of them beyond the threshold "
        f"{threshold:.4g}"
    )
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {BINS} {2 * HALF}" '
        f'preserveAspectRatio="none">{"".join(parts)}{base}{line}</svg>'
        f'<p class="scale" aria-hidden="true"><span>{low:.3g}</span>'
        f'<b style="left:{100 * at / BINS:.1f}%">{threshold:.4g}</b>'
        f"<span>{high:.3g}{'+' if max([*good, *scores]) > high else ''}</span></p>"
    )


def bins(good: Sequence[float], scores: Sequence[float], threshold: float) -> np.ndarray:
    """(BINS + 1,) even edges, the threshold one of them: no bar is on both sides of it."""
    low = min([*good, *scores, threshold])
    high = min(max([*good, *scores, threshold]), low + 3 * (threshold - low))
    if not threshold > low:  # no score on one of its sides
        return np.linspace(low, max([*good, *scores, low + 1]), BINS + 1)
    share = max(round(BINS * (threshold - low) / (high - low)), 1)
    edges = low + (threshold - low) / share * np.arange(BINS + 1)
    edges[share] = threshold
    return edges


def counted(scores: Sequence[float], edges: np.ndarray) -> np.ndarray:
    """(BINS,) counts; a score on an edge is in the bin that ends there, as the threshold has it."""
    at = np.searchsorted(edges, scores) - 1
    return np.bincount(np.clip(at, 0, BINS - 1).astype(int), minlength=BINS)
