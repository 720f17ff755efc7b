"""A report as a folder: pictures and clouds part by part, tables and the page at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from lsfa_lite.batch import Judgement
from lsfa_lite.config import Modality
from lsfa_lite.data.files import written_beside
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.errors import FileThere
from lsfa_lite.report import overlay
from lsfa_lite.report_page import clouds, words
from lsfa_lite.report_page.page import page
from lsfa_lite.report_page.pictures import grounds, write_pictures
from lsfa_lite.report_page.rows import About, Row, worst_first
from lsfa_lite.report_page.tables import write_tables
from lsfa_lite.scoring.calibration import Calibration


@contextmanager
def open_report(folder: str | Path, about: About) -> Iterator[Report]:
    """with open_report(folder, About.of(detector, "model")) as report:
        for one in judge(detector, read_each(scans_of(detector, ["incoming"]))):
            report.add(one)

    The folder is made beside and renamed when all is there: index.html, scores.csv, scores.jsonl,
    and parts/KEY/ with the pictures, cloud.js and heat.ply of each part. After an error in the
    block there is none. Raises FileExistsError for a folder that has something in it.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileThere(f"{folder} is there already; name a new folder or remove it")
    with written_beside(folder) as beside:
        report = Report(beside, about)
        yield report
        rows = worst_first(report.rows)
        write_tables(beside, rows)
        (beside / "index.html").write_text(page(about, rows), encoding="utf-8")


class Report:
    """Writes what belongs to a part below folder/parts and keeps its row; see `open_report`."""

    def __init__(self, folder: Path, about: About):
        self.folder, self.about, self.rows = folder, about, list[Row]()
        (folder / "parts").mkdir(parents=True)

    def add(self, one: Judgement) -> Row:
        """One scan, whatever came of it; its arrays are not kept."""
        row = words.judged(one, self.about.calibration, self._key(one.path))
        if one.sample is not None and one.scored is not None and one.scored.modality_scores:
            row = self._with_pictures(row, one.sample, one.scored)
        self.rows.append(row)
        return row

    def _with_pictures(self, row: Row, sample: Sample, scored: Scored) -> Row:
        key, calibration = row.key, self.about.calibration
        folder, under = self.folder / "parts" / key, grounds(sample)
        folder.mkdir()
        heats: dict[str, np.ndarray] = {}
        for modality, values in scored.modality_maps.items():
            heats[modality] = sense_heat(calibration, modality, values)
        fused = scored.anomaly_map / max(scored.map_threshold, 1e-12)
        if len(heats) > 1:
            heats["fused"] = fused
        return replace(
            row,
            pictures=write_pictures(folder, under, heats, sample.foreground),
            points=write_clouds(folder, key, sample, scored, next(iter(under.values())), fused),
        )

    def _key(self, path: str) -> str:
        """A number, and of the name what any file system and any address can hold."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", Path(path).stem).strip("-")[:40]
        return f"{len(self.rows):04d}-{plain}".rstrip("-")


def sense_heat(calibration: Calibration, modality: Modality, values: np.ndarray) -> np.ndarray:
    """A sense's map (H, W) of distances -> (H, W) float32, 1 what good parts stay below in it."""
    scaled = calibration.fusion.fuse_maps({modality: values})
    return np.asarray(scaled, np.float32) / max(calibration.map_thresholds[modality].value, 1e-12)


def write_clouds(
    folder: Path, key: str, sample: Sample, scored: Scored, own: np.ndarray, heat: np.ndarray
) -> int:
    """cloud.js and heat.ply, in the part's `own` colours (H, W, 3) where it is not hot.

    Returns the points of the latter, 0 without a depth sensor.
    """
    if sample.xyz is None or not (on := sample.valid).any():
        return 0
    some = clouds.thinned(on, heat)  # (P,)
    byte = np.rint(own.reshape(-1, 3)[some] * 255).astype(np.uint8)
    script = clouds.as_script(key, sample.xyz.reshape(-1, 3)[some], byte, heat.ravel()[some])
    (folder / "cloud.js").write_text(script, encoding="ascii")
    score, line = scored.anomaly_map[on], scored.map_threshold  # (Q,)
    mixed = np.rint(overlay(own[on], score, line) * 255).astype(np.uint8)  # (Q, 3)
    clouds.write_ply(folder / "heat.ply", sample.xyz[on], mixed, score, line)
    return len(score)
