"""What the chapter reads out of a report of the bench: differences, shares, and "not run here"."""

from __future__ import annotations

import copy

import pytest

from lsfa_book.bench import records


def row(stage: str, size: str, seconds: float, **references: float) -> dict:
    beside = [{"name": name.replace("_", " "), "seconds": s} for name, s in references.items()]
    return {"stage": stage, "size": size, "seconds": seconds, "calls": 3, "references": beside}


STEPS = {"adaptation_alone": 5.0, "banks_alone": 2.0, "calibration_alone": 1.0}
REPORT = {
    "machine": {"device": "a CPU", "torch": "2.14.1"},
    **{"threads": 1, "cores": 2, "date": "2030-01-02T03:04:05", "quick": True},
    "stages": [
        row("background removal", "400 x 400", 0.3),
        row("image network", "lite: one picture of 224, net", 0.1),
        row("image network", "paper: one picture of 224, vit", 2.0),
        row("one scan, scored", "lite: banks of 5,000", 1.5, features_alone=1.2),
        row("one scan, scored", "lite, Point-MAE: banks of 5,000", 9.0, features_alone=8.0),
        {"stage": "one scan, scored", "size": "paper: banks", "error": "RuntimeError: no memory"},
        row("fit from features", "lite: 10 parts, grid 28, 10 steps", 8.5, **STEPS),
        row("fit from features", "paper: 2 parts, grid 56, 1 steps", 20.0),
    ],
}


def test_a_scan_is_the_sum_of_its_parts():
    parts = records.of_a_scan(REPORT, "lite")
    assert parts == pytest.approx(
        {"table removed": 0.3, "colour": 0.1, "shape": 1.1, "search and map": 0.3}
    )


def test_what_failed_is_left_out_and_a_rest_is_never_negative():
    assert records.of_a_scan(REPORT, "paper") == {"table removed": 0.3, "colour": 2.0}
    noisy = copy.deepcopy(REPORT)
    records.find(noisy, "one scan, scored", "lite:")["seconds"] = 1.1  # less than its features
    assert records.of_a_scan(noisy, "lite")["search and map"] == 0.0


def test_a_fit_describes_all_its_parts_first():
    parts = records.of_a_fit(REPORT, "lite")
    assert parts == pytest.approx(
        {
            **{"table removed": 3.0, "colour": 1.0, "shape": 11.0},
            **{"adaptation": 5.0, "banks": 2.0, "calibration": 1.0},
        }
    )
    whole = records.of_a_fit(REPORT, "paper")
    assert whole["adaptation, banks, calibration"] == 20.0
    assert whole["colour"] == 4.0


def test_absent_stages_are_unknown_and_asking_for_their_row_names_them():
    assert records.seconds(REPORT, "coreset") is None
    assert records.seconds(REPORT, "image network", "lite", "timm's network alone") is None
    with pytest.raises(KeyError, match="coreset"):
        records.find(REPORT, "coreset")


def test_devices_stand_side_by_side():
    card = copy.deepcopy(REPORT)
    card["stages"] = [row("image network", "lite: one picture of 224, net", 0.002)]
    lines = records.table({"cpu": REPORT, "cuda": card}).splitlines()
    assert lines[0].split() == ["stage", "size", "cpu", "cuda"]
    assert lines[2].split()[-4:] == ["100", "ms", "2", "ms"]
    assert lines[1].split()[-5:] == ["300", "ms", "not", "run", "here"]
    assert "RuntimeError: no memory" in lines[6]
    alone = records.table({"cpu": REPORT, "cuda": None}).splitlines()
    assert all(line.endswith("not run here") for line in alone[1:])
    assert len(alone) == len(REPORT["stages"]) + 1


def test_what_ships():
    report = records.shipped("cpu")
    assert report["complete"]
    assert report["threads"] >= 1
    assert report["date"][:10] in records.told(report)
    for preset in ("lite", "paper"):
        assert {"colour", "shape", "search and map"} <= records.of_a_scan(report, preset).keys()
        assert records.parts_of_a_fit(report, preset) > 0
        assert sum(records.of_a_fit(report, preset).values()) > 0
    assert records.shipped("no such device") is None
    assert records.told(None) == "not run here"
