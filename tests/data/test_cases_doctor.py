"""The doctor knows what the readers convert, leave out or cannot use; a healthy folder stays so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lsfa_lite.cli import main
from lsfa_lite.data import files
from lsfa_lite.data.doctor import examine
from lsfa_lite.data.mvtec3d import write_sample
from lsfa_lite.data.sample import Sample

v, u = np.indices((64, 64))
MASK = (np.hypot(u - 32, v - 32) < 6).astype(np.uint8) * 255


def scan(table: bool = False, mask: np.ndarray | None = None) -> Sample:
    rise = 0.02 * np.sqrt(np.clip(1 - ((u - 32) ** 2 + (v - 32) ** 2) / 20**2, 0, None))
    xyz = np.stack([(u - 32) / 1000, (v - 32) / 1000, 0.5 - rise], -1).astype(np.float32)
    xyz[(rise < 0.005) & (not table)] = 0
    return Sample(np.full((64, 64, 3), 90, np.uint8), xyz, None if mask is None else mask > 0)


@pytest.fixture
def root(tmp_path):
    for folder in ("train/good", "validation/good", "test/good"):
        for index in range(2):
            write_sample(tmp_path / "cup" / folder, f"{index:03d}", scan())
    write_sample(tmp_path / "cup/test/dent", "000", scan(mask=MASK))
    return tmp_path


def put(name: str, array: np.ndarray, **options: object):
    def spoil(root: Path) -> None:
        path = root / "cup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f"{path.stem}.*"):
            old.unlink()
        if path.suffix == ".tiff":
            tifffile.imwrite(path, array.astype(np.float32), photometric="minisblack")
        else:
            Image.fromarray(array).save(path, **options)

    return spoil


def with_code(code: float) -> np.ndarray:
    xyz = scan().xyz.copy()
    xyz[30, 30:33] = code
    return xyz


GT, XYZ = "test/dent/gt/000", "train/good/xyz/001.tiff"
SMALLER = Image.fromarray(MASK).resize((32, 32)).resize((64, 64))
ILLNESSES = {  # what is done, the level of the one finding, and its words
    "lossy mask": (put(f"{GT}.jpg", MASK, quality=90), "warning", r"lossy or resampled mask in 1"),
    "resampled": (put(f"{GT}.png", np.array(SMALLER)), "warning", r"lossy or resampled mask in 1"),
    "inverted": (put(f"{GT}.png", 255 - MASK), "warning", r"over half the picture.*97%; inverted"),
    "dark jpeg": (put(f"{GT}.jpg", MASK // 100, quality=95), "error", r"unreadable gt.*PNG"),
    "16 bit": (
        put("train/good/rgb/001.png", np.full((64, 64), 2000, np.uint16)),
        "error",
        r"unreadable rgb in 1.*001\.png.*8-bit",
    ),
    "code -9999": (put(XYZ, with_code(-9999)), "warning", r"no distances in 1.*\(3 pixels"),
    "code 1e10": (put(XYZ, with_code(1e10)), "warning", r"no distances in 1.*\(3 pixels"),
    "code 65.535": (put(XYZ, with_code(65.535)), "warning", r"no distances in 1.*\(3 pixels"),
    "decimetres": (put(XYZ, scan().xyz * 10), "warning", r"odd unit in 1.*decimetres: .*0\.1"),
    "centimetres": (put(XYZ, scan().xyz * 100), "error", r"unreadable xyz.*centimetres.*0\.01"),
    "millimetres": (put(XYZ, scan().xyz * 1000), "error", r"unreadable xyz.*divided by 1000"),
    "small millimetres": (
        put(XYZ, (scan().xyz - [0, 0, 0.49]) * 1000 * (scan().xyz != 0) * 0.8),
        "warning",
        r"odd unit in 1.*millimetres",
    ),
    "train/scratch": (
        lambda r: write_sample(r / "cup/train/scratch", "000", scan(mask=MASK)),
        "warning",
        r"cup/train/scratch: beside good/, so nothing is learned",
    ),
    "validation/dent": (
        lambda r: write_sample(r / "cup/validation/dent", "000", scan(mask=MASK)),
        "warning",
        r"cup/validation/dent: beside good/",
    ),
    "no masks": (
        lambda r: write_sample(r / "cup/test/bent", "000", scan()),
        "warning",
        r"cup/test/bent: no ground truth for 1 of 1; only image AUROC",
    ),
    "no cloud": (lambda r: (r / "cup" / XYZ).unlink(), "error", r"001\.png: has no 3D file"),
    "a lone mask": (put("test/dent/gt/007.png", MASK), "error", r"007\.png: has no scan"),
}


def odd(report) -> list[tuple[str, str]]:
    return [(level, text) for level, text in report.findings if level != "info"]


def test_a_healthy_root_has_no_finding(root):
    assert odd(examine(root)) == []


@pytest.mark.parametrize("illness", ILLNESSES)
def test_one_illness_one_finding(root, illness):
    spoil, level, words = ILLNESSES[illness]
    spoil(root)
    ((found, text),) = odd(examine(root))
    assert found == level
    assert re.search(words, text), text


def test_mixed_sizes_are_counted(root):
    sample = scan()
    write_sample(root / "cup/train/good", "001", Sample(sample.rgb[:62], sample.xyz[:62]))
    ((level, text),) = odd(examine(root))
    assert level == "warning"
    assert "different sizes: 64 x 64 (1), 64 x 62 (1)" in text


@pytest.mark.parametrize("plain", [False, True])
def test_the_advice_about_a_table_is_one_that_works(root, plain, tmp_path_factory):
    for index in range(2):
        write_sample(root / "cup/train/good", f"{index:03d}", scan(table=True))
    path = root / "cup/train/good" if plain else root
    ((_, text),) = odd(examine(path))
    assert "the table is still there in 2 of 2" in text
    assert ("lsfa-lite clean" in text) != plain  # it takes data sets only
    if not plain:
        out = tmp_path_factory.mktemp("data") / "out"
        assert main(["clean", str(root), str(out)]) == 0
        assert odd(examine(out)) == []


@pytest.mark.parametrize("gone", ["rgb/001.png", "xyz/001.tiff"])
def test_a_plain_folder_may_lack_some_and_is_told(tmp_path, gone):
    for index in range(3):
        write_sample(tmp_path, f"{index:03d}", scan())
    (tmp_path / gone).unlink()
    ((level, text),) = odd(examine(tmp_path))
    kind = "rgb" if gone.startswith("rgb") else "3D"
    assert level == "warning"
    assert f"no {kind} for 1 scans" in text


@pytest.mark.parametrize("spoil", [None, "lossy mask", "millimetres"])
def test_json_says_the_same(root, spoil, capsys):
    if spoil:
        ILLNESSES[spoil][0](root)
    status = main(["doctor", str(root), "--json"])
    told = json.loads(capsys.readouterr().out)
    report = examine(root)
    assert told["path"] == str(root)
    assert told["ok"] is report.ok is (status == 0)
    assert [(f["level"], f["text"]) for f in told["findings"]] == report.findings
    assert status == (spoil == "millimetres")


def test_files_are_left_as_they_are(root):
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    examine(root)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    assert files.read_mask(root / "cup/test/dent/gt/000.png").sum() == (MASK > 0).sum()


@pytest.mark.parametrize("odd_one", ["smaller", "brighter", None])
def test_an_odd_part_among_the_good_ones_stands_out(tmp_path, odd_one):
    rng = np.random.default_rng(0)
    for index in range(12):
        rgb = rng.integers(80, 100, (64, 64, 3), dtype=np.uint8)
        xyz = scan().xyz
        if index == 7 and odd_one == "smaller":
            xyz = np.where((u < 32)[..., None], xyz, 0)
        if index == 7 and odd_one == "brighter":
            rgb = rgb + np.uint8(60)
        write_sample(tmp_path, f"{index:03d}", Sample(rgb, xyz))
    found = odd(examine(tmp_path))
    if odd_one is None:
        assert found == []
    else:
        ((level, text),) = found
        what = "size" if odd_one == "smaller" else "brightness"
        assert level == "warning"
        assert f"007.png stands out by its {what}" in text
