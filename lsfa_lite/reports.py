"""Results as text and files, for people and for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lsfa_lite.data.files import write_png, write_tiff, written_beside
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.evaluation import Table
from lsfa_lite.experiments.effect import paired
from lsfa_lite.experiments.records import Values
from lsfa_lite.experiments.tables import Row
from lsfa_lite.plots import anomaly_overlay

METRICS = {
    "i_auroc": "I-AUROC",
    "p_auroc": "P-AUROC",
    "aupro_30": "AUPRO@30%",
    "aupro_1": "AUPRO@1%",
}


def evaluation_table(table: Table) -> str:
    """One evaluation: the fused score, each modality alone, each defect."""
    lines = [("", *METRICS.values()), _line("fused", table["all"])]
    lines += [_line(f"{m} alone", values) for m, values in table["modalities"].items()]
    lines += [_line(f"defect {d}", values) for d, values in table["defects"].items()]
    text = align(lines)
    return (
        f"{text}\n{table['samples']} test samples; at the threshold from validation "
        f"{table['false_alarms']:.1%} of the good parts are called anomalous "
        f"and {table['misses']:.1%} of the defective ones are missed"
    )


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


def _line(name: str, values: dict[str, float]) -> tuple[str, ...]:
    return (name, *(f"{values[m]:.3f}" for m in METRICS))


def align(lines: list[tuple[str, ...]]) -> str:
    """Columns of equal width."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def write_scores(folder: Path, sample: Sample, scored: Scored, name: str) -> None:
    """name.tiff, the anomaly map (H, W) float32, and name.png, the map over the picture.

    In the picture half the colour is the threshold that good parts stay below.
    """
    write_tiff(folder / f"{name}.tiff", scored.anomaly_map)
    picture = sample.colour
    if picture is None:
        assert sample.xyz is not None
        picture = np.repeat(sample.foreground[..., None], 3, axis=-1) * np.float32(0.5)
    mixed = anomaly_overlay(
        picture, scored.anomaly_map, (0.5 * scored.map_threshold, 1.5 * scored.map_threshold)
    )
    write_png(folder / f"{name}.png", np.rint(mixed * 255).astype(np.uint8))


def write_score_table(path: Path, rows: list[tuple[str, Scored]]) -> None:
    """scores.csv: one line per sample."""
    with written_beside(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        modalities = list(rows[0][1].modality_scores) if rows else []
        table.writerow(["name", "image_score", "threshold", "is_anomalous", *modalities, "path"])
        for name, s in rows:
            alone = [s.modality_scores.get(m, np.nan) for m in modalities]
            table.writerow([name, s.image_score, s.threshold, s.is_anomalous, *alone, s.path])
