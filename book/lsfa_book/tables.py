"""Results of the book's runs as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lsfa_book.studies.comparison import paired
from lsfa_book.studies.records import Values
from lsfa_book.studies.tables import Row
from lsfa_lite.evaluation import Table
from lsfa_lite.report import METRICS, align


def demo_table(rows: Iterable[Table]) -> str:
    """Per category and modality: every metric without adaptation -> with LSFA, and the time."""
    lines = [("category", "modality", *METRICS.values(), "seconds")]
    for row in rows:
        before, after = row["variants"].values()
        views = {"rgb+3d": (before["all"], after["all"])}
        for modality in after["modalities"]:
            views[modality] = before["modalities"][modality], after["modalities"][modality]
        for view, (none, lsfa) in views.items():
            cells = [f"{none[m]:.3f} -> {lsfa[m]:.3f}" for m in METRICS]
            seconds = f"{row['seconds']:.0f}" if view == "rgb+3d" else ""
            lines.append((row["category"], view, *cells, seconds))
    return align(lines) + "\n(without adaptation -> with LSFA)"


def reproduction_table(
    name: str, rows: Sequence[Row], measured: dict[str, dict[str, Values]]
) -> str:
    """One table of the paper: metric -> row -> {(category, seed): value}, as means over what ran,
    the paired change of image AUROC with its 95 % interval, and the paper's own numbers.
    """
    lines = [("", "runs", *METRICS.values(), "I-AUROC, change", "paper: I-AUROC", "AUPRO@30%")]
    for row in rows:
        runs = measured["i_auroc"][row.name]
        means = [_mean(measured[metric][row.name]) for metric in METRICS]
        paper = ["" if value is None else f"{value:.3f}" for value in (row.paper or (None, None))]
        change = _change(runs, measured["i_auroc"].get(row.against, {}))
        lines.append((row.name, str(len(runs)), *means, change, *paper[:2]))
    return f"{name}\n{align(lines)}"


def category_table(name: str, rows: Sequence[Row], measured: dict[str, Values]) -> str:
    """Tables 1 and 2 as the paper prints them: one metric, a column per category, the mean."""
    categories = sorted({category for values in measured.values() for category, _ in values})
    lines = [("", *categories, "mean")]
    for row in rows:
        cells = [
            _mean({key: v for key, v in measured[row.name].items() if key[0] == category})
            for category in categories
        ]
        lines.append((row.name, *cells, _mean(measured[row.name])))
    return f"{name}, by category\n{align(lines)}"


def _mean(values: Values) -> str:
    return f"{np.mean(list(values.values())):.3f}" if values else "not run"


def _change(after: Values, before: Values) -> str:
    if after is before or len(after.keys() & before.keys()) < 2:
        return ""
    d = paired(after, before)
    return f"{d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f})"
