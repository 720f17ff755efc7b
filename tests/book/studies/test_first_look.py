"""The first real category: settings that no preset moves, figures beside the review's, looks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from lsfa_book import mini3d
from lsfa_book.studies import records
from lsfa_book.studies.first_look import FIRST, REVIEWED, SOURCE
from lsfa_book.studies.tables import FIRST_REAL, REAL, Row, rows_of
from lsfa_book.tables import first_look_short, first_look_table
from lsfa_lite.cli import main
from lsfa_lite.config import LITE, PAPER, to_json

ROWS = {row.name: row for row in rows_of(FIRST_REAL)}
BARE, FINE = "28 x 28, no adaptation", "56 x 56, no adaptation"
KEYS = {
    "28 x 28, no adaptation": "41b37b4c84",
    "28 x 28, LITE's adaptation": "6faa9a0c7b",
    "28 x 28, LayerNorm of each patch": "9149fd3efd",
    "28 x 28, patches of length 1": "7bddafd073",
    "56 x 56, no adaptation": "0cd3795dbc",
    "56 x 56, LITE's adaptation": "e3adc04c67",
    "56 x 56, patches of length 1": "2251f9372f",
    "28 x 28, whitening": "735b057145",
    "56 x 56, whitening": "985139b74d",
    "28 x 28, min_foreground 0": "60023c0f04",
    "28 x 28, top five patches": "d0d744ba61",
    "28 x 28, all rows in the bank": "ba5265d3db",
    "28 x 28, the shipped Point-MAE": "6a0859db0f",
}


def test_the_settings_are_those_that_the_review_ran():
    """Records are found by these keys. Where a preset or a default moved, FIRST needs a line."""
    assert {name: records.row_key(ROWS[name], LITE) for name in REVIEWED} == KEYS


def test_no_preset_and_no_option_moves_a_setting():
    moved = LITE.change(name="new", modalities=("rgb",), scoring__fusion="max", features__grid=40)
    for row in ROWS.values():
        assert len({records.row_key(row, preset) for preset in (LITE, PAPER, moved)}) == 1, row.name
    assert len({records.row_key(row, LITE) for row in ROWS.values()}) == len(ROWS)


def test_fields_younger_than_the_review_are_off():
    config = json.loads(to_json(LITE.change(**FIRST)))
    for part, younger in records.LATER.items():
        assert {name: config[part][name] for name in younger} == younger


def metrics(both: float, rgb: float, depth: float, misses: float = 0.5) -> dict[str, Any]:
    def view(i_auroc: float) -> dict[str, float]:
        return {"i_auroc": i_auroc, "p_auroc": 0.9, "aupro_30": 0.86, "aupro_1": 0.31}

    alone = {"rgb": view(rgb), "3d": view(depth)}
    shares = {"false_alarms": 0.04, "misses": misses}
    return {"samples": 9, "all": view(both), "modalities": alone, "defects": {}, **shares}


def record(row: Row, seed: int, category: str = "cable_gland", **more: Any) -> dict[str, Any]:
    config = LITE.change(**FIRST).change(**row.changes)
    return {
        **{"category": category, "seed": seed, "row": records.row_key(row, LITE)},
        **{"method": row.method, "shots": row.shots, "data": "/somewhere/clean"},
        **{"config": json.loads(to_json(config)), "date": "2026-01-02T03:04"},
        **{"machine": {"device": "cpu"}, "seconds": 12.3 + seed, "peak_mb": 70, **more},
    }


@pytest.fixture
def found() -> list[dict[str, Any]]:
    other = Row("?", {"scoring__fusion": "max"}, shots=5)
    return [
        record(ROWS[BARE], 1, metrics=metrics(0.7871, 0.91, 0.579, misses=0.9)),
        record(ROWS[BARE], 0, metrics=metrics(0.8234, 0.88, 0.579)),
        record(ROWS[BARE], 0, "widget", metrics=metrics(1.0, 0.99, 0.5)),
        record(ROWS[FINE], 0, error="no memory"),
        record(other, 2, metrics=metrics(0.8, 0.8, 0.8)),
    ]


def lines(text: str) -> dict[str, list[str]]:
    cells = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    return {first: rest for first, *rest in cells}


def test_figures_stand_beside_the_reviews_and_the_papers(found: list[dict[str, Any]]):
    text = first_look_table(found)
    table = lines(text)
    ours = [".787-.823", ".880-.910", ".579", ".860", ".310", ".040", ".100-.500", "12-13"]
    review = [".787-.823", ".880-.910", ".579", "review, 2026, coreset seeds 0-4; AUPRO@30% .858"]
    assert table[BARE] == ["2", *ours, *review]
    assert table[FINE][:5] == ["0", "not run here", ".941-.946", ".949-.963", ".706"]
    assert table["the paper, no adaptation"][:3] == [".831", ".918", ".651"]
    assert table["the paper, LSFA"][:3] == [".939", ".920", ".669"]
    assert table["the paper, LSFA"][3].endswith("AUPRO@30% .974")


def test_a_page_shows_a_few_settings_and_all_looks(found: list[dict[str, Any]]):
    text = first_look_short(found, [BARE, FINE])
    table = lines(text)
    assert table[BARE] == [".787-.823", ".880-.910", ".579", ".860", ".310", ".100-.500"]
    assert table[FINE] == ["not run here"]
    assert table["the paper, LSFA"] == [".939", ".920", ".669", ".974"]
    assert text.endswith("looked at 3 times, with 2 settings in all")
    assert max(map(len, text.splitlines())) <= 100


def test_every_look_is_counted_once_whatever_table_it_was_for(found: list[dict[str, Any]]):
    again = dict(found[0])  # the same setting and seed, of another folder of records
    text = first_look_table([*found, again])
    assert "cable gland was looked at 3 times with these 2 settings" in text
    assert f"\n  {BARE}: seeds 0, 1\n" in text
    assert "\n  scoring.fusion max, shots 5: seeds 2\n" in text
    assert "the review before: at least 32 times, 14 settings" in text


def test_another_category_has_its_own_figures_and_none_of_the_reviews(
    found: list[dict[str, Any]],
):
    text = first_look_table(found, "widget")
    assert lines(text)[BARE] == ["1", "1.000", ".990", ".500", ".860", ".310", ".040", ".500", "12"]
    assert "widget was looked at 1 times with these 1 settings" in text
    assert "review, 2026" not in text
    assert "paper" not in text
    tire = first_look_table(found, "tire")
    assert lines(tire)["the paper, no adaptation"][:3] == [".780", ".767", ".765"]
    assert "tire was not looked at here" in tire


def test_without_records_every_line_says_not_run_here(tmp_path: Path, capsys, monkeypatch):
    def none(study: str) -> None:
        raise FileNotFoundError(study)

    monkeypatch.setattr(records, "_shipped", none)
    assert main(["reproduce", FIRST_REAL, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert text.count("not run here") == len(ROWS)
    assert "--data ROOT" in text
    assert not (tmp_path / "out").exists()


def gathered(folder: Path, found: list[dict[str, Any]]) -> tuple[int, str, Path]:
    for number, one in enumerate(found):
        records.write(folder / "records", f"run{number}", one)
    out = folder / "shipped.json"
    script = ROOT / "book/scripts/gather_records.py"
    command = [sys.executable, script, FIRST_REAL, folder / "records", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, out


def test_what_is_shipped_has_every_look_and_no_folder(found: list[dict[str, Any]], tmp_path: Path):
    made = record(ROWS[BARE], 0, metrics=metrics(0.5, 0.5, 0.5)) | {"data": "mini3d Mini3DConfig()"}
    code, text, out = gathered(tmp_path, [*found, made])
    assert code == 0, text
    assert "somewhere" not in out.read_text()
    shown = json.loads(out.read_text())
    assert [machine["data"] for machine in shown["machines"]] == [SOURCE]
    assert {(r["category"], r["seed"]) for r in shown["records"]} == {
        ("cable_gland", seed) for seed in range(3)
    }
    assert first_look_table(shown["records"]) == first_look_table(found)


def test_records_of_another_category_are_not_shipped(found: list[dict[str, Any]], tmp_path: Path):
    code, text, out = gathered(tmp_path, found[2:3])
    assert (code, out.exists()) == (2, False)
    assert "none of 1 records belongs to first-real-category" in text


def test_one_command_runs_the_table_on_a_folder(tmp_path: Path, capsys, monkeypatch):
    names = (BARE, "28 x 28, LayerNorm of each patch")
    monkeypatch.setitem(REAL, FIRST_REAL, tuple(ROWS[name] for name in names))
    small = mini3d.Mini3DConfig(train=4, validation=3, test_good=2, test_per_defect=1, size=128)
    mini3d.write(tmp_path / "raw", small, ["ring"])
    assert main(["clean", str(tmp_path / "raw"), str(tmp_path / "parts")]) == 0
    (tmp_path / "parts/ring").rename(tmp_path / "parts/widget")
    command = ["reproduce", FIRST_REAL, "--data", str(tmp_path / "parts"), "--seeds", "2"]
    command += ["--preset", "paper", "--out", str(tmp_path / "out")]
    capsys.readouterr()
    assert main(command) == 0
    first = capsys.readouterr().out
    assert "widget was looked at 4 times with these 2 settings" in first
    assert first.count(": seeds 0, 1\n") == 2
    assert "not run here" not in first
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/records").iterdir()}
    assert len(written) == 4
    assert main([*command, "--resume"]) == 0
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in written} == written
