"""Results as text and files, for people and for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lsfa_lite.batch import Judgement, printable
from lsfa_lite.data.files import write_png, write_tiff, written_beside
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.evaluation import Table

METRICS = {"i_auroc": "I-AUROC", "p_auroc": "P-AUROC"}
METRICS |= {"aupro_30": "AUPRO@30%", "aupro_1": "AUPRO@1%"}


def evaluation_table(table: Table) -> str:
    """One evaluation: the fused score, each modality alone, each defect."""
    rows = {"fused": table["all"]}
    rows |= {f"{m} alone": values for m, values in table["modalities"].items()}
    rows |= {f"defect {d}": values for d, values in table["defects"].items()}
    cells = [(name, *(_three(values[m]) for m in METRICS)) for name, values in rows.items()]
    promised, found = table.get("promised"), 1 - table["misses"]
    unmarked = [f"{d} ({n} of {m})" for d, (n, m) in table.get("unmarked", {}).items()]
    note = f"\nwithout a mask, so left out of all but I-AUROC: {', '.join(unmarked)}"
    return (
        f"{align([('', *METRICS.values()), *cells])}\n"
        f"{table['samples']} test samples; at the threshold from good parts false alarms are "
        f"{'' if promised is None else f'promised {promised:.1%}, '}"
        f"seen {table['false_alarms']:.1%}; {found:.1%} of the defective ones are found"
        f"{note if unmarked else ''}"
    )


def _three(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def align(lines: list[tuple[str, ...]]) -> str:
    """Columns of equal width."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


# "inferno" at six even steps (matplotlib's, CC0): black is normal, yellow anomalous
RED = (0.00, 0.26, 0.58, 0.87, 0.99, 0.99)
GREEN = (0.00, 0.04, 0.15, 0.32, 0.65, 1.00)
BLUE = (0.01, 0.41, 0.40, 0.23, 0.04, 0.64)


def overlay(picture: np.ndarray, anomaly: np.ndarray, threshold: float) -> np.ndarray:
    """Picture (H, W, 3) in 0..1 under its anomaly map (H, W) -> (H, W, 3) float32 in 0..1.

    The higher the score, the more of the map's colour and the less of the picture: nothing at half
    the threshold, all at one and a half.
    """
    share = np.clip(anomaly / max(threshold, 1e-12) - 0.5, 0, 1)  # (H, W)
    steps = np.linspace(0, 1, len(RED))
    colour = np.stack([np.interp(share, steps, c) for c in (RED, GREEN, BLUE)], axis=-1)
    most = 0.8 * share[..., None]  # (H, W, 1)
    return ((1 - most) * picture + most * colour).astype(np.float32)


def write_scores(folder: Path, name: str, sample: Sample, scored: Scored) -> None:
    """name.tiff, the anomaly map (H, W) float32, and name.png, the map over the picture.

    In the picture half the colour is the threshold that good parts stay below.
    """
    write_tiff(folder / f"{name}.tiff", scored.anomaly_map)
    picture = sample.colour
    if picture is None:
        assert sample.xyz is not None
        picture = np.repeat(sample.foreground[..., None], 3, axis=-1) * np.float32(0.5)
    mixed = overlay(picture, scored.anomaly_map, scored.map_threshold)
    write_png(folder / f"{name}.png", np.rint(mixed * 255).astype(np.uint8))


def written(judgements: Iterable[Judgement], folder: Path) -> Iterator[Judgement]:
    """The same judgements; each one's map is then in the folder, and scores.csv after the last."""
    rows = list[tuple[str, Scored]]()
    for one in judgements:
        if one.scored is not None:
            name = f"{len(rows):03d}-{Path(one.path).stem}"
            rows.append((name, one.scored))
            if one.sample is not None and one.scored.modality_scores:
                write_scores(folder, name, one.sample, one.scored)
        yield one
    write_score_table(folder / "scores.csv", rows)


def write_score_table(path: Path, rows: list[tuple[str, Scored]]) -> None:
    """scores.csv: one line per sample."""
    how: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
    with written_beside(path) as temporary, temporary.open("w", **how) as file:
        table = csv.writer(file)
        modalities = list(dict.fromkeys(m for _, s in rows for m in s.modality_scores))
        head = ["name", "image_score", "threshold", "is_anomalous", "verdict", *modalities, "path"]
        table.writerow(head)
        for name, s in rows:
            alone = [s.modality_scores.get(m, np.nan) for m in modalities]
            said = [s.image_score, s.threshold, s.is_anomalous, s.verdict]
            table.writerow([printable(name), *said, *alone, printable(s.path)])
