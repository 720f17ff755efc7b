"""One bad scan never stops a batch: it is named and passed over, and the rest is done."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lsfa_lite.cli import main
from lsfa_lite.data import files
from lsfa_lite.data.background import clean_folder
from lsfa_lite.data.folder import Folder
from lsfa_lite.data.mvtec3d import write_sample
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import Batch, PassedOver
from lsfa_lite.detector import LSFADetector, Scored
from lsfa_lite.errors import NoPart

v, u = np.indices((64, 64))


def scan(part: bool = True) -> Sample:
    rise = 0.02 * np.sqrt(np.clip(1 - ((u - 32) ** 2 + (v - 32) ** 2) / 20**2, 0, None))
    xyz = np.stack([(u - 32) / 1000, (v - 32) / 1000, 0.5 - part * rise], -1).astype(np.float32)
    return Sample(np.full((64, 64, 3), 90, np.uint8), xyz)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def cloud(value: np.ndarray):
    return lambda path: tifffile.imwrite(path, value.astype(np.float32), photometric="minisblack")


FAULTS = {  # file, what is done to it, and as what it is passed over
    "zero cloud": ("xyz/001.tiff", cloud(np.zeros((64, 64, 3))), "no part seen"),
    "only a table": ("xyz/001.tiff", cloud(scan(False).xyz), "no part seen"),
    "cut PNG": ("rgb/001.png", cut, "cannot be used"),
    "cut TIFF": ("xyz/001.tiff", cut, "cannot be used"),
    "empty": ("rgb/001.png", lambda path: path.write_bytes(b""), "cannot be used"),
    "NaN": ("xyz/001.tiff", cloud(scan().xyz * np.nan), "cannot be used"),
    "millimetres": ("xyz/001.tiff", cloud(scan().xyz * 1000), "cannot be used"),
    "another size": ("xyz/001.tiff", cloud(scan().xyz[:50]), "cannot be used"),
    "dangling": ("rgb/001.png", dangling, "no such file"),
    "no cloud": ("xyz/001.tiff", os.unlink, "cannot be used"),
    "no picture": ("rgb/001.png", os.unlink, "no such file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_clean_does_the_rest_and_says_what_not(tmp_path, fault, capsys):
    good = tmp_path / "src/cup/train/good"
    for index in range(3):
        write_sample(good, f"{index:03d}", scan())
    name, spoil, sort = FAULTS[fault]
    spoil(good / name)
    assert main(["clean", str(tmp_path / "src"), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert f"passed over, {sort}: {good}" in said
    assert "001" in said.split("passed over, ")[1]
    assert f"2 done, 1 passed over: 1 {sort}" in said
    out = tmp_path / "out/cup/train/good"
    assert sorted(p.name for p in (out / "xyz").iterdir()) == ["000.tiff", "002.tiff"]
    with pytest.raises(PassedOver, match=r"0 done, 1 passed over") as error:  # again; none is lost
        clean_folder(tmp_path / "src", tmp_path / "out")
    assert [sort for sort, _ in error.value.batch.passed] == [sort]
    write_sample(good, "001", scan())
    assert main(["clean", str(tmp_path / "src"), str(tmp_path / "out")]) == 0


class Pretended:
    """A detector that gives every scan the score 1, and what else `score` asks of one."""

    modalities = ("rgb", "3d")
    background = None

    def score(self, sample: Sample) -> Scored:
        has = [m for m, x in (("rgb", sample.rgb), ("3d", sample.xyz)) if x is not None]
        zeros = np.zeros(sample.shape, np.float32)
        return Scored(1.0, zeros, dict.fromkeys(has, 1.0), {}, 0.5, 0.5, True, sample.path)

    def no_part(self, path: str) -> Scored:
        return Scored(np.inf, np.zeros((1, 1), np.float32), {}, {}, 0.5, 0.5, True, path)


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr(LSFADetector, "load", lambda *_: Pretended())
    monkeypatch.setattr("lsfa_lite.commands.describe_ahead", lambda *_, **__: None)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "only a table"])
def test_score_does_the_rest_and_writes_the_table(tmp_path, fault, capsys, pretended):
    for index in range(3):
        write_sample(tmp_path / "scans", f"{index:03d}", scan())
    name, spoil, sort = FAULTS[fault]
    spoil(tmp_path / "scans" / name)
    status = main(["score", "model", str(tmp_path / "scans"), "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    with (tmp_path / "out/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    verdicts = {Path(row["path"]).stem: row["verdict"] for row in rows}
    whole = {"000": "anomalous", "002": "anomalous"}
    if sort == "no part seen":  # a verdict, and the worst of them, but no error
        assert (status, verdicts) == (0, whole | {"001": sort})
        assert max(float(row["image_score"]) for row in rows) == np.inf
        assert "inf  no part seen" in out
        assert "3 done, 0 passed over" in err
    elif fault in ("no cloud", "no picture"):  # scored by what is there, and said
        assert (status, verdicts) == (0, whole | {"001": "anomalous"})
        (line,) = (line for line in out.splitlines() if "without" in line)
        assert line.endswith(f"(without {'3d' if fault == 'no cloud' else 'rgb'})")
        assert "001." in line
    else:
        assert (status, verdicts) == (1, whole)
        assert f"passed over, {sort}: " in err
        assert "001" in err
        assert f"2 done, 1 passed over: 1 {sort}" in err


def test_a_scan_without_a_sense_does_not_take_its_column_from_the_others(tmp_path, pretended):
    write_sample(tmp_path / "scans", "001", scan())
    files.write_png(tmp_path / "scans/rgb/000.png", scan().rgb)
    assert main(["score", "m", str(tmp_path / "scans"), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out/scores.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["rgb"], first["3d"]) == ("1.0", "nan")
    assert (second["rgb"], second["3d"]) == ("1.0", "1.0")


def test_a_real_detector_has_the_verdict(rings, quick):
    detector = LSFADetector(quick).fit(rings["train"])
    scored = detector.no_part("a.png")
    assert scored.verdict == "no part seen"
    assert scored.is_anomalous
    assert scored.threshold == detector.score(rings["test"][0]).threshold
    black = Sample(np.zeros((64, 64, 3), np.uint8), None, path="black.png")
    with pytest.raises(NoPart, match=r"black\.png"):
        detector.score(black)


def test_the_account_counts_by_sort():
    batch = Batch()
    batch.done = 7
    for error in (NoPart("a"), NoPart("b"), ValueError("c"), FileNotFoundError("d")):
        batch.pass_over(error)
    text = "7 done, 4 passed over: 2 no part seen, 1 cannot be used, 1 no such file"
    assert str(batch) == text
    assert str(PassedOver(batch)).splitlines() == [text, "a", "b", "c", "d"]


def test_a_full_disk_concerns_all_and_stops(tmp_path, monkeypatch, capsys):
    write_sample(tmp_path / "src/cup/train/good", "000", scan())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lsfa_lite.data.background.write_sample", full)
    assert main(["clean", str(tmp_path / "src"), str(tmp_path / "out")]) == 2
    assert "No space left" in capsys.readouterr().err


def test_a_folder_of_scans_reads_them_alone(tmp_path):
    write_sample(tmp_path, "000", scan())
    scans = Folder(tmp_path)
    assert scans.read(scans.entries[0]) == scans[0]
