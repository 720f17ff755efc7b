"""Results as text and files: every number stands under its own name."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest

from lsfa_lite.detector import Scored
from lsfa_lite.report import align, evaluation_table, overlay, write_score_table


def numbers(start: float) -> dict[str, float]:
    """Four different ones, in another order than the table's."""
    names = ("aupro_1", "aupro_30", "p_auroc", "i_auroc")
    return {name: start + 0.01 * i for i, name in enumerate(names)}


def test_every_number_of_an_evaluation_has_its_place():
    table = {
        "samples": 7,
        "all": numbers(0.1),
        "modalities": {"rgb": numbers(0.2), "3d": numbers(0.3)},
        "defects": {"hole": numbers(0.4)},
        "promised": 0.077,
        "false_alarms": 1 / 3,
        "misses": 0.25,
    }
    head, *lines, sentence = evaluation_table(table).splitlines()
    assert head.split() == ["I-AUROC", "P-AUROC", "AUPRO@30%", "AUPRO@1%"]
    assert [re.split(r" {2,}", line) for line in lines] == [
        ["fused", "0.130", "0.120", "0.110", "0.100"],
        ["rgb alone", "0.230", "0.220", "0.210", "0.200"],
        ["3d alone", "0.330", "0.320", "0.310", "0.300"],
        ["defect hole", "0.430", "0.420", "0.410", "0.400"],
    ]
    assert "7 test samples" in sentence
    assert "false alarms are promised 7.7%, seen 33.3%;" in sentence
    assert sentence.endswith("75.0% of the defective ones are found")
    without = evaluation_table(table | {"promised": None})
    assert "false alarms are seen 33.3%;" in without


def test_columns_are_aligned_and_no_line_ends_in_a_blank():
    lines = align([("", "long name"), ("ring", "x")]).splitlines()
    assert lines == ["      long name", "ring  x"]


def scored(image_score: float, threshold: float, alone: dict[str, float], path: str) -> Scored:
    empty = np.zeros((2, 2), np.float32)
    over = image_score > threshold
    return Scored(image_score, empty, alone, {}, threshold, 9.0, over, path)


def test_scores_csv_to_the_letter(tmp_path):
    rows = [
        ("000-n", scored(np.inf, 1.25, {}, "n.png")),
        ("001-a", scored(1.5, 1.25, {"rgb": 2.0, "3d": 3.0}, "a.png")),
        ("002-b", scored(0.5, 1.0, {"rgb": 4.0}, "b.png")),  # a scan without depth
    ]
    write_score_table(tmp_path / "scores.csv", rows)
    with (tmp_path / "scores.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["name", "image_score", "threshold", "is_anomalous", "verdict", "rgb", "3d", "path"],
            ["000-n", "inf", "1.25", "True", "no part seen", "nan", "nan", "n.png"],
            ["001-a", "1.5", "1.25", "True", "anomalous", "2.0", "3.0", "a.png"],
            ["002-b", "0.5", "1.0", "False", "good", "4.0", "nan", "b.png"],
        ]


def test_a_table_without_scores_has_its_head(tmp_path):
    write_score_table(tmp_path / "scores.csv", [])
    assert (tmp_path / "scores.csv").read_text().split(",")[0] == "name"


def test_the_overlay_shows_the_picture_to_half_the_threshold_and_heat_above():
    picture = np.full((1, 4, 3), 0.5, np.float32)
    anomaly = np.array([[0.0, 1.0, 2.0, 3.0]])  # threshold 2
    mixed = overlay(picture, anomaly, 2.0)
    assert mixed.dtype == np.float32
    assert np.array_equal(mixed[0, :2], picture[0, :2])
    purple = (np.array([0.58, 0.15, 0.40]) + np.array([0.87, 0.32, 0.23])) / 2  # between two steps
    assert mixed[0, 2] == pytest.approx(0.6 * 0.5 + 0.4 * purple, abs=1e-6)
    yellow = np.array([0.99, 1.00, 0.64])
    assert mixed[0, 3] == pytest.approx(0.2 * 0.5 + 0.8 * yellow, abs=1e-6)
    assert np.array_equal(overlay(picture, anomaly + 5, 2.0)[0, 0], mixed[0, 3])
