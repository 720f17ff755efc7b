"""The doctor finds each illness that was put in, none in a healthy folder, and never faints."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile

from lsfa_lite.data import files
from lsfa_lite.data.doctor import examine
from lsfa_lite.data.mvtec3d import write_sample
from lsfa_lite.data.sample import Sample


def scan(table: bool = False, defect: bool = False) -> Sample:
    v, u = np.indices((60, 80))
    x, y = (u - 40) * 0.001, (v - 30) * 0.001
    rise = 0.02 * np.sqrt(np.clip(1 - (x**2 + y**2) / 0.02**2, 0, None))
    xyz = np.stack([x, y, 0.5 + 0.1 * x - rise], axis=-1).astype(np.float32)
    if not table:
        xyz[rise < 0.005] = 0
    mask = np.zeros((60, 80), bool)
    mask[30, 40] = defect
    return Sample(np.full((60, 80, 3), 90, np.uint8), xyz, mask)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    for index in range(3):
        write_sample(folder / "cup/train/good", f"{index:03d}", scan())
    write_sample(folder / "cup/validation/good", "000", scan())
    write_sample(folder / "cup/test/good", "000", scan())
    write_sample(folder / "cup/test/crack", "000", scan(defect=True), 254)
    return folder


def test_healthy_root(root):
    report = examine(root)
    text = str(report)
    assert report.ok
    assert "MVTec 3D-AD layout: cup" in text
    assert "cup/train/good: 3 scans of rgb + 3D, 3 opened, 80 x 60 pixels" in text
    assert "cup/test/crack" in text
    assert "mask ids 254" in text
    invalid = 100 * np.mean(~scan().valid)
    assert f"{invalid:.0f} % of the pixels without depth" in text
    assert "verdict  0 errors, 0 warnings" in text


def test_one_category_and_counts_beyond_the_limit(root):
    report = examine(root / "cup", limit=2)
    assert "one category" in str(report)
    assert "cup/train/good: 3 scans of rgb + 3D, 2 opened" in str(report)
    assert report.ok


def put(root, array) -> None:
    tifffile.imwrite(root / "cup/train/good/xyz/001.tiff", array, photometric="minisblack")


def set_depth(value: float) -> np.ndarray:
    xyz = scan().xyz.copy()
    xyz[30, 40, 2] = value
    return xyz


ILLNESSES = {
    "millimetres": (lambda r: put(r, scan().xyz * 1000), "divided by 1000"),
    "nan": (lambda r: put(r, set_depth(np.nan)), r"NaN or Inf.*1 pixels"),
    "inf": (lambda r: put(r, set_depth(np.inf)), r"NaN or Inf.*1 pixels"),
    "zero": (lambda r: put(r, np.zeros((60, 80, 3), np.float32)), "zero everywhere"),
    "8-bit": (lambda r: put(r, np.ones((60, 80, 3), np.uint8)), "expected float32 metres"),
    "channels": (
        lambda r: put(r, np.ones((60, 80, 4), np.float32)),
        r"expected x, y, z: \(H, W, 3\)",
    ),
    "size": (lambda r: put(r, scan().xyz[:50]), "sizes that disagree.*xyz 80 x 50"),
    "tiff": (
        lambda r: (r / "cup/train/good/xyz/001.tiff").write_bytes(b"II*\0nonsense"),
        r"unreadable.*001\.tiff",
    ),
    "png": (
        lambda r: (r / "cup/train/good/rgb/001.png").write_bytes(b""),
        r"unreadable.*001\.png",
    ),
    "unpaired": (lambda r: (r / "cup/train/good/rgb/001.png").unlink(), r"001\.tiff: has no rgb"),
    "marked": (
        lambda r: files.write_png(r / "cup/test/good/gt/000.png", np.ones((60, 80), np.uint8)),
        r"marked on a good part.*000\.png",
    ),
}


@pytest.mark.parametrize("illness", ILLNESSES)
def test_errors_are_found(root, illness):
    infect, words = ILLNESSES[illness]
    infect(root)
    report = examine(root)
    assert not report.ok
    found = [text for level, text in report.findings if level == "error"]
    assert len(found) == 1, report
    assert re.search(words, found[0]), report


def test_one_finding_for_each_sort_of_illness_whatever_its_numbers(root):
    clouds = {"000": scan().xyz * 1000, "001": set_depth(np.nan), "002": scan().xyz * 2000}
    for stem, xyz in clouds.items():
        path = root / f"cup/train/good/xyz/{stem}.tiff"
        tifffile.imwrite(path, xyz, photometric="minisblack")
    found = [text for level, text in examine(root).findings if level == "error"]
    assert len(found) == 2
    assert re.search(r"unreadable xyz in 2 of 3; the first: .*000\.tiff.*metres", found[0])
    assert re.search(r"unreadable xyz in 1 of 3; the first: .*001\.tiff.*NaN", found[1])


def test_warnings_are_found(root):
    for index in range(3):
        write_sample(root / "cup/train/good", f"{index:03d}", scan(table=True))
    files.write_png(root / "cup/test/crack/gt/000.png", np.zeros((60, 80), np.uint8))
    text = str(examine(root))
    assert examine(root).ok
    assert "the table is still there in 3 of 3" in text
    assert "lsfa-lite clean SRC OUT" in text
    assert "empty mask on a defective part" in text
    assert "verdict  0 errors, 2 warnings" in text


def test_missing_split(root):
    for path in sorted((root / "cup/train").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    report = examine(root)
    assert ("error", "cup/train: no scans; expected good/rgb and good/xyz") in report.findings


def test_plain_folder_and_single_file(tmp_path):
    sample = scan()
    files.write_png(tmp_path / "a.png", sample.rgb)
    files.write_tiff(tmp_path / "a.tiff", sample.xyz)
    for path, words in ((tmp_path, "a plain folder"), (tmp_path / "a.tiff", "a single file")):
        report = examine(path)
        assert report.ok, report
        assert words in str(report)
        assert "1 scans of rgb + 3D" in str(report)
    files.write_png(tmp_path / "b_depth.png", np.full((60, 80), 500, np.uint16))
    files.write_png(tmp_path / "b.png", sample.rgb)
    assert "intrinsics.json" in str(examine(tmp_path))
    assert not examine(tmp_path).ok


@pytest.mark.parametrize("what", ["missing", "empty", "text", "folders", "link", "json"])
def test_nonsense_becomes_a_finding(tmp_path, what):
    path = tmp_path / what
    if what == "text":
        path.write_text("hello")
    elif what != "missing":
        path.mkdir()
    if what == "folders":
        (path / "train/good/rgb").mkdir(parents=True)
        (path / "train/file").write_text("?")
        (path / "test").mkdir()
    elif what == "link":
        (path / "a.png").symlink_to(path / "nowhere.png")
    elif what == "json":
        (path / "intrinsics.json").write_text("{")
        files.write_png(path / "a.png", scan().rgb)
    report = examine(path)
    assert not report.ok
    assert what in str(report)
