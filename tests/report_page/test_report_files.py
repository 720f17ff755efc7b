"""What a report writes beside its page, read by others: csv, json, Pillow, open3d."""

from __future__ import annotations

import base64
import csv
import dataclasses
import json
import re

import numpy as np
import pytest
from batch import BOTH, ODD_NAMES, about, judged, missing, sample, scored
from conftest import without
from PIL import Image

from lsfa_lite.batch import Judgement
from lsfa_lite.report_page import Row, open_report
from lsfa_lite.report_page.clouds import MOST, thinned
from lsfa_lite.report_page.histogram import BINS, bins, counted
from lsfa_lite.report_page.pictures import SIDE, relief, window
from lsfa_lite.report_page.words import promise, verdict

SCORES = [(0.3, 0.4), (2.0, 1.5), (0.9, 0.2), (1.2, 1.3)]  # two bad ones, neither comes first


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "out"
    with open_report(folder, about()) as written:
        for i, pair in enumerate(SCORES):
            part = sample(i, path=f"scans/{ODD_NAMES[i]}")
            written.add(judged(part, *pair))
        cut = ValueError("cannot be read, it is cut short\nat byte 7")
        written.add(Judgement("scans/cut.tiff", reason=cut))
        written.add(Judgement("scans/bytes \udcff.png", reason=ValueError("no picture")))
        written.add(missing("scans/gone.png"))
    return folder


def test_the_tables_hold_every_scan_the_highest_score_first(report):
    with (report / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == list("1234567")
    scores = [float(r["image_score"]) for r in rows[:5]]
    assert scores == pytest.approx([np.inf, 3.5, 2.5, 1.1, 0.7])
    assert [r["verdict"] for r in rows] == [
        *("no part seen", "anomalous", "anomalous", "good", "good", "failed", "failed")
    ]
    expected = ["gone.png", *(ODD_NAMES[i] for i in (1, 3, 2, 0))]
    assert [r["path"] for r in rows[:5]] == [f"scans/{name}" for name in expected]
    told = "No part seen, the worst of defects: scans/gone.png: xyz is zero everywhere"
    assert (rows[0]["words"], rows[0]["rgb"], rows[0]["cloud"]) == (told, "", "")
    assert (rows[1]["rgb"], rows[1]["3d"]) == ("2.0", "1.5")
    assert {(r["threshold"], r["promised"]) for r in rows[:5]} == {("2.0", "0.05")}
    assert rows[5]["words"] == "cannot be read, it is cut short\nat byte 7"
    assert (rows[5]["image_score"], rows[5]["cloud"]) == ("", "")
    assert rows[6]["path"] == "scans/bytes \\udcff.png"  # a name that is no text can be written
    text = (report / "scores.jsonl").read_bytes().decode("utf-8")
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert [list(line) for line in lines] == [list(rows[0])] * 7
    assert lines[0]["image_score"] is None  # JSON has no infinity
    rows[0]["image_score"] = ""
    for line, row in zip(lines, rows, strict=True):
        assert {k: "" if v is None else str(v) for k, v in line.items()} == row


def test_all_files_have_names_that_any_disk_and_any_address_can_hold(report):
    names = [p.relative_to(report).as_posix() for p in report.rglob("*")]
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", name) for name in names)
    assert sorted(p.name for p in (report / "parts").iterdir()) == [
        "0000-script",  # of a name with a slash, the file
        "0001-quotes-more",
        "0002-Pr-fteil-5",
        "0003-a-b-c",
    ]


def test_the_ply_has_every_point_its_score_and_heat_above_the_threshold(report):
    part = sample(1)
    told, on = scored(part, *SCORES[1]), part.valid
    content = (report / "parts/0001-quotes-more/heat.ply").read_bytes()
    head, _, body = content.partition(b"end_header\n")
    assert head.startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert f"element vertex {on.sum()}\n".encode() in head
    names = [line.split()[1:] for line in head.decode().splitlines() if "property" in line]
    assert names == [
        *(["float", n] for n in "xyz"),
        *(["uchar", n] for n in ("red", "green", "blue")),
        ["float", "score"],
    ]
    rows = np.frombuffer(body, dtype="<f4,<f4,<f4,u1,u1,u1,<f4")
    assert np.array_equal(np.stack([rows[f"f{i}"] for i in range(3)], -1), part.xyz[on])
    assert np.array_equal(rows["f6"], told.anomaly_map[on])
    colour = np.stack([rows[f"f{i}"] for i in (3, 4, 5)], -1).astype(int)
    cool = rows["f6"] < 1.0  # half the threshold
    assert np.array_equal(colour[cool], part.rgb[on][cool])
    assert (colour[rows["f6"].argmax()] != part.rgb[on][rows["f6"].argmax()]).any()


def test_open3d_reads_the_ply(report):
    o3d = pytest.importorskip("open3d")
    cloud = o3d.t.io.read_point_cloud(str(report / "parts/0001-quotes-more/heat.ply"))
    part = sample(1)
    assert np.array_equal(cloud.point.positions.numpy(), part.xyz[part.valid])
    assert cloud.point.score.numpy().shape == (part.valid.sum(), 1)
    assert cloud.point.colors.numpy().dtype == np.uint8


def test_the_cloud_of_the_page_says_where_what_colour_and_how_hot(report):
    text = (report / "parts/0001-quotes-more/cloud.js").read_text()
    key, data = json.loads("[" + re.fullmatch(r"lsfaCloud\((.*)\);\n", text)[1] + "]")
    assert key == "0001-quotes-more"

    def column(name: str, kind: str, *shape: int) -> np.ndarray:
        return np.frombuffer(base64.b64decode(data[name]), kind).reshape(data["count"], *shape)

    part = sample(1)
    seen = part.xyz[part.valid]
    assert data["count"] == len(seen) < MOST
    side = np.ptp(seen, axis=0).max()
    assert data["millimetres"] == pytest.approx(1000 * side)
    cube = (column("xyz", "<u2", 3) / 65534 - 0.5) * side
    middle = (seen.min(axis=0) + seen.max(axis=0)) / 2
    assert np.abs(cube + middle - seen).max() < side / 30_000
    assert np.array_equal(column("rgb", "u1", 3), part.rgb[part.valid])
    heat = scored(part, *SCORES[1]).anomaly_map[part.valid] / 2.0
    assert np.abs(column("heat", "<u2") / 4096 - heat).max() < 1e-3


def test_thinning_spreads_evenly_and_keeps_what_is_small_and_hot():
    on = np.zeros((400, 500), bool)
    on[20:380, 30:470] = True
    heat = np.zeros(on.shape)
    heat[133, 217] = heat[21, 31] = 1.0
    kept = thinned(on, heat)
    assert 0.9 * MOST < len(kept) < 1.1 * MOST
    assert on.ravel()[kept].all()
    assert {133 * 500 + 217, 21 * 500 + 31} <= set(kept.tolist())
    counts = np.histogram2d(*np.divmod(kept, 500), bins=[4, 4], range=[[20, 380], [30, 470]])[0]
    assert counts.min() > 0.8 * counts.max()
    few = np.zeros((9, 9), bool)
    few[3, 4] = True
    assert thinned(few, np.zeros((9, 9))).tolist() == [31]
    assert thinned(~few & few, np.zeros((9, 9))).tolist() == []


@pytest.mark.parametrize(
    ("blind", "expected"),
    [
        ("", ["3d.jpg", "colour.jpg", "depth.jpg", "fused.jpg", "rgb.jpg", "cloud.js", "heat.ply"]),
        ("xyz", ["colour.jpg", "rgb.jpg"]),
        ("rgb", ["3d.jpg", "depth.jpg", "cloud.js", "heat.ply"]),
    ],
)
def test_a_part_of_one_sense_has_what_there_is(blind, expected, tmp_path):
    part = sample(0, size=300)
    told = scored(part, 0.2, 0.3)
    if blind:
        part = without(part, blind)
        one = "rgb" if blind == "xyz" else "3d"
        alone = {one: told.modality_scores[one]}
        told = dataclasses.replace(
            told, modality_scores=alone, modality_maps={one: told.modality_maps[one]}
        )
    with open_report(tmp_path / "out", about()) as report:
        row = report.add(Judgement(part.path, part, told))
    folder = tmp_path / "out/parts" / row.key
    assert sorted(p.name for p in folder.iterdir()) == sorted(expected)
    sizes = {Image.open(p).size for p in folder.glob("*.jpg")}
    assert len(sizes) == 1  # the same cut for all
    assert 200 < max(sizes.pop()) <= SIDE
    assert row.points == (0 if blind == "xyz" else part.valid.sum())
    assert row.senses == (one if blind else BOTH)


def test_heat_is_where_it_is_in_the_scan(report):
    """Colour's spot left of the middle over the colour, depth's right of it over the relief."""
    folder = report / "parts/0001-quotes-more"
    shown = {p.stem: np.asarray(Image.open(p)).astype(int) for p in folder.glob("*.jpg")}
    for heat, ground, at in (("rgb", "colour", 0.4), ("3d", "depth", 0.6)):
        changed = np.abs(shown[heat] - shown[ground]).sum(axis=-1)
        row, column = np.unravel_index(changed.argmax(), changed.shape)
        height, width = changed.shape
        assert row / height == pytest.approx(0.5, abs=0.08)
        assert (column / width - 0.5) * (at - 0.5) > 0
        assert changed[: height // 4].max() < 60  # of JPEG


def test_the_window_is_around_the_part_and_stays_in_the_picture():
    on = np.zeros((100, 200), bool)
    assert window(on) == (slice(0, 100), slice(0, 200))
    on[50:90, 0:60] = True
    rows, columns = window(on)
    assert (rows.start, rows.stop) == (47, 93)
    assert (columns.start, columns.stop) == (0, 63)
    assert on[rows, columns].sum() == on.sum()


def test_relief_is_bright_where_it_is_near_whatever_the_tilt():
    part = sample(0)
    tilted = part.xyz.copy()
    tilted[..., 2] += 0.8 * tilted[..., 0] * part.valid
    flat, other = relief(part.xyz), relief(tilted)
    assert flat[32, 32] > 0.95
    assert flat[32, 7] < 0.3
    assert (flat[~part.valid] == 0).all()
    np.testing.assert_allclose(flat, other, atol=1e-3)
    assert np.isfinite(relief(np.where(part.valid[..., None], [0.0, 0.0, 0.4], 0))).all()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ring/test/hole/rgb/000.png", "hole/000.png"),
        ("mine/part1.png", "part1.png"),
        ("rgb/part1.png", "part1.png"),
        ("<array>", "<array>"),
    ],
)
def test_a_part_is_called_by_its_file_and_where_all_are_alike_by_its_defect_too(path, name):
    assert Row("0000", path, "good", "").name == name


def test_the_promise_in_words():
    text = promise(about().calibration, BOTH)
    assert text == (
        "Threshold 2: of 100 good parts at most 5 are called anomalous, "
        "as far as they are like the 19 good ones seen."
    )
    short = promise(about().calibration, BOTH, wanted=0.01)
    assert short.endswith("seen. 1 were asked for: that takes 99 good parts or more.")
    assert promise(about().calibration, BOTH, wanted=0.05) == text
    assert promise(about(good=0).calibration, BOTH, wanted=0.01).endswith(
        "like the good ones seen."
    )


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (
            (1.5, 0.7),
            "Anomalous: score 2.2 is above the threshold 2, and higher than 19 of",
        ),
        ((0.8, 1.2), "Good: score 2 is not above the threshold 2, and higher than 19"),
        (
            (0.5, 0.55),
            "score 1.05 is not above the threshold 2, and higher than 10 of the 19 good",
        ),
        ((1.5, 0.7), " Colour alone would call it anomalous; depth alone would call it good. "),
        ((0.4, 1.8), " Colour alone would call it good; depth alone would call it anomalous. "),
        ((0.4, 3.0), "hottest at column 38, row 32 of the picture."),
        ((0.1, 0.1), " 0.0% of the part is hotter than good parts get; "),
    ],
)
def test_the_verdict_in_words(pair, words):
    part = sample()
    assert words in verdict(part, scored(part, *pair), about().calibration)


def test_no_bar_of_the_histogram_is_on_both_sides_of_the_threshold():
    rng = np.random.default_rng(0)
    for _ in range(50):
        good, these = rng.gamma(2, size=15), rng.gamma(2, 2, size=30)
        line = float(np.sort(good)[12])  # a threshold is one of the good parts' scores
        edges = bins(good, these, line)
        at = int(np.flatnonzero(edges == line)[0])
        for scores in (good, these):
            counts = counted(scores, edges)
            assert counts.sum() == len(scores)
            assert counts[at:].sum() == (scores > line).sum()
        assert (np.diff(edges) > 0).all()
        assert len(edges) == BINS + 1


@pytest.mark.parametrize(
    ("good", "these", "line"),
    [([1.0], [1.0], 1.0), ([], [2.0], 2.0), ([], [5.0], 1.0), ([], [], 0)],
)
def test_a_histogram_of_almost_nothing_has_bins(good, these, line):
    edges = bins(good, these, line)
    assert (np.diff(edges) > 0).all()
    assert counted(these, edges).sum() == len(these)


def test_a_folder_that_is_in_use_is_refused_and_an_error_leaves_none(tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used/mine.txt").write_text("mine")
    for there in ("used", "used/mine.txt"):
        with (
            pytest.raises(FileExistsError, match="there already; name a new folder"),
            open_report(tmp_path / there, about()),
        ):
            raise AssertionError("must not be entered")
    with pytest.raises(AttributeError), open_report(tmp_path / "new", about()) as report:
        report.add(None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["used"]
    (tmp_path / "empty").mkdir()
    with open_report(tmp_path / "empty", about()):
        pass  # no scan at all is a page, too
    assert "0 no part seen, 0 anomalous, 0 good, 0 failed" in (
        (tmp_path / "empty/index.html").read_text()
    )
