"""From raw files to a table on a data set laid out exactly as MVTec 3D-AD is.

Ten categories by their names, two of them lying and standing as there, class ids in the masks,
`calibration/` beside the splits. The parts are solids on a table, seen by a pinhole camera.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lsfa_book.studies.tables import TABLES
from lsfa_lite.cli import main
from lsfa_lite.data.doctor import examine
from lsfa_lite.data.files import read_ids
from lsfa_lite.data.mvtec3d import MVTec3D, categories

# category -> width, height and defects; rope as large as in the data set, tire half
LAYOUT: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "bagel": (160, 160, ("combined", "contamination", "crack", "hole")),
    "cable_gland": (120, 120, ("bent", "cut", "hole", "thread")),
    "carrot": (160, 160, ("combined", "contamination", "crack", "cut", "hole")),
    "cookie": (125, 125, ("combined", "contamination", "crack", "hole")),
    "dowel": (120, 120, ("bent", "combined", "contamination", "cut")),
    "foam": (180, 180, ("color", "combined", "contamination", "cut")),
    "peach": (150, 150, ("combined", "contamination", "cut", "hole")),
    "potato": (160, 160, ("combined", "contamination", "cut", "hole")),
    "rope": (900, 400, ("contamination", "cut", "open")),
    "tire": (300, 400, ("combined", "contamination", "cut", "hole")),
}
RADII = {"rope": (0.05, 0.018, 0.015), "carrot": (0.045, 0.018, 0.015)}  # metres; others are round
ROUND = (0.028, 0.024, 0.015)
DISTANCE, FIELD, TILT = 0.4, 0.12, 0.05  # metres to the table, metres of it seen, its slope
FLAT = ("contamination", "color")  # defects of colour; all others are dents
COUNTS = {"train": 3, "validation": 2}
TEST_GOOD = 1

FAST = [
    "--set",
    "features.image_size=112",
    "features.grid=14",
    "adaptation.steps=2",
    "adaptation.batch_size=2",
    "adaptation.local_bank=500",
]


def rays(width: int, height: int) -> np.ndarray:
    """(H, W, 3): the direction in which each pixel of a pinhole camera looks, z = 1."""
    focal = DISTANCE * max(width, height) / FIELD  # pixels
    v, u = np.mgrid[:height, :width]
    return np.dstack([(u - width / 2) / focal, (v - height / 2) / focal, np.ones((height, width))])


def scene(category: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour (H, W, 3) in 0..1, xyz (H, W, 3) in metres, and where the part is (H, W)."""
    width, height, _ = LAYOUT[category]
    ray = rays(width, height)
    table = DISTANCE / (1 - TILT * ray[..., 0])  # where a ray meets the table
    radii = np.array(RADII.get(category, ROUND)) * rng.uniform(0.95, 1.05, 3)
    direction, start = ray / radii, np.array([0, 0, DISTANCE]) / radii
    a, b = (direction**2).sum(-1), direction @ start
    root = b**2 - a * ((start**2).sum() - 1)  # the ray meets the ellipsoid where it is positive
    surface = np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    part = surface < table
    depth = np.where(part, surface, table) + rng.normal(0, 1e-4, table.shape)
    colour = np.where(part[..., None], rng.uniform(0.5, 0.6, 3), 0.25)
    return colour + rng.normal(0, 0.02, colour.shape), ray * depth[..., None], part


def spoil(
    defect: str, colour: np.ndarray, xyz: np.ndarray, part: np.ndarray, ids: dict[str, int], at: int
) -> np.ndarray:
    """Change colour or xyz in place in a disc on the part; the ground truth (H, W) of class ids."""
    gt = np.zeros(part.shape, dtype=np.uint8)
    kinds = [defect] if defect != "combined" else [d for d in ids if d != "combined"][:2]
    v, u = np.nonzero(part)
    size = 0.15 * min(np.ptp(v), np.ptp(u))
    for number, kind in enumerate(kinds):
        left = np.quantile(u, 0.35 + 0.3 * ((number + at) % 2))
        near = np.hypot(*(np.indices(part.shape) - np.array([v.mean(), left])[:, None, None]))
        disc = part & (near < size)
        if kind in FLAT:
            colour[disc] = (0.1, 0.2, 0.6)
        else:
            xyz[disc] *= 1 + 0.005 / DISTANCE  # five millimetres farther away
        gt[disc] = ids[kind]
    return gt


def write(folder: Path, stem: str, category: str, seed: int, defect: str = "good") -> None:
    """One scan as folder/{rgb,xyz}/stem, and gt/stem in the test split."""
    rng = np.random.default_rng([seed, *category.encode(), *defect.encode()])
    ids = class_ids(category)
    colour, xyz, part = scene(category, rng)
    gt = np.zeros(part.shape, dtype=np.uint8)
    if defect != "good":
        gt = spoil(defect, colour, xyz, part, ids, seed)
    xyz[rng.random(part.shape) < 0.02] = 0  # the sensor saw nothing
    names = ["rgb", "xyz"] + ["gt"] * (folder.parent.name == "test")
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    rgb = np.clip(colour * 255, 0, 255).astype(np.uint8)
    Image.fromarray(rgb).save(folder / "rgb" / f"{stem}.png")
    tifffile.imwrite(folder / "xyz" / f"{stem}.tiff", xyz.astype(np.float32))
    if "gt" in names:
        Image.fromarray(gt).save(folder / "gt" / f"{stem}.png")


def class_ids(category: str) -> dict[str, int]:
    """255, 254, 253, ... as the tire's first release has them."""
    return {defect: 255 - i for i, defect in enumerate(sorted(LAYOUT[category][2]))}


def write_category(root: Path, category: str) -> None:
    home = root / category
    for split, count in COUNTS.items():
        for i in range(count):
            write(home / split / "good", f"{i:03d}", category, 100 * len(split) + i)
    for i in range(TEST_GOOD):
        write(home / "test" / "good", f"{i:03d}", category, 50 + i)
    for defect in LAYOUT[category][2]:
        write(home / "test" / defect, "000", category, 0, defect)
    (home / "calibration").mkdir()
    width, height, _ = LAYOUT[category]
    camera = {"type": "area_scan_division", "image_width": width, "image_height": height}
    (home / "calibration" / "camera_parameters.json").write_text(json.dumps(camera))
    (home / "class_ids.json").write_text(json.dumps(class_ids(category)))


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("mvtec_3d_anomaly_detection")
    for category in LAYOUT:
        write_category(root, category)
    (root / "readme.txt").write_text("no category")
    return root


@pytest.fixture(scope="module")
def clean(raw: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cleaned") / "mvtec3d"
    assert main(["clean", str(raw), str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def thinned(clean: Path, tmp_path_factory) -> Path:
    """The same ten categories; of the two large ones the last defect only, for time's sake."""
    root = tmp_path_factory.mktemp("thinned")
    shutil.copytree(clean, root, dirs_exist_ok=True)
    for category in ("rope", "tire"):
        for defect in sorted(LAYOUT[category][2])[:-1]:
            shutil.rmtree(root / category / "test" / defect)
    return root


def command(tables: list[str], data: Path, out: Path, names: list[str], *more: str) -> list[str]:
    where = ["--data", str(data), "--out", str(out), "--categories", *names, "--seeds", "1"]
    return ["reproduce", *tables, *where, *FAST, *more]


def records(out: Path) -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in (out / "records").glob("*.json")}


# --- what the files hold ------------------------------------------------------------------


def test_the_doctor_reads_the_raw_release(raw: Path, capsys):
    assert main(["doctor", str(raw)]) == 0
    text = capsys.readouterr().out
    assert f"root in the MVTec 3D-AD layout: {', '.join(LAYOUT)}" in text
    assert "900 x 400 pixels" in text
    assert "300 x 400 pixels" in text
    assert "tire/test/combined: 1 scans of rgb + 3D, 1 opened" in text
    assert "mask ids 253, 254" in text  # two regions of two kinds in one mask
    assert "the table is still there" in text
    assert "calibration" not in text  # no split, no category


def test_defects_are_found_in_the_folders_and_ids_are_regions(raw: Path):
    assert categories(raw) == list(LAYOUT)
    for name, (width, height, defects) in LAYOUT.items():
        data = MVTec3D(raw, name)
        assert data.defects == sorted(defects)
        assert (len(data.train), len(data.validation)) == (3, 2)
        assert len(data.test) == TEST_GOOD + len(defects)
        assert data.train[0].shape == (height, width)
    tire = MVTec3D(raw, "tire").test
    for entry, sample in zip(tire.entries, tire, strict=True):
        assert sample.mask is not None
        assert sample.mask.any() == (sample.label == 1) == (sample.defect != "good")
        assert entry.gt is not None
        np.testing.assert_array_equal(sample.mask, read_ids(entry.gt) > 0)


def test_cleaning_leaves_the_part_alone_in_its_frame_and_keeps_the_ids(raw: Path, clean: Path):
    assert categories(clean) == list(LAYOUT)
    report = examine(clean)
    assert report.ok
    assert "the table is still there" not in str(report)
    for name, (width, height, _) in LAYOUT.items():
        before, after = MVTec3D(raw, name).test, MVTec3D(clean, name).test
        kept = after[0].valid
        assert kept.shape == (height, width)
        part = scene_part(name, after.defects[0])
        assert (kept & part).sum() / part.sum() > 0.85  # without its foot: 5 mm above the table
        assert (kept & ~part).sum() / kept.sum() < 0.01
        for raw_entry, entry in zip(before.entries, after.entries, strict=True):
            assert raw_entry.gt is not None
            assert entry.gt is not None
            np.testing.assert_array_equal(read_ids(entry.gt), read_ids(raw_entry.gt))


def scene_part(category: str, defect: str) -> np.ndarray:
    """Where the generator put the part of the first test scan."""
    rng = np.random.default_rng([0, *category.encode(), *defect.encode()])
    return scene(category, rng)[2]


def test_one_category_from_fit_to_evaluation(clean: Path, tmp_path: Path, capsys):
    model = tmp_path / "rope-model"
    assert main(["fit", str(clean), "rope", "--out", str(model), *FAST]) == 0
    scans = clean / "rope" / "test" / "cut"
    assert main(["score", str(model), str(scans), "--out", str(tmp_path / "scores")]) == 0
    assert tifffile.imread(tmp_path / "scores" / "000-000.tiff").shape == (400, 900)
    capsys.readouterr()
    assert main(["evaluate", str(model), str(clean), "rope", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["samples"] == 4
    assert list(table["defects"]) == ["contamination", "cut", "open"]
    # dents of five millimetres and blue stains: whoever misses these has mixed up the files
    assert table["all"]["p_auroc"] > 0.95
    assert table["modalities"]["3d"]["p_auroc"] > 0.8


# --- the table ----------------------------------------------------------------------------


def test_a_table_over_all_ten_categories(thinned: Path, tmp_path: Path, capsys, monkeypatch):
    rows = tuple(row for row in TABLES["table4"] if row.name in ("no adaptation", "IFC"))
    monkeypatch.setitem(TABLES, "table4", rows)  # the other rows are trained elsewhere
    assert main(command(["table4"], thinned, tmp_path, list(LAYOUT))) == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines()]
    assert [row for row in rows if row[:2] == ["IFC", "10"]], printed  # ten runs
    found = records(tmp_path)
    assert sorted({r["category"] for r in found.values()}) == list(LAYOUT)
    assert len(found) == 2 * len(LAYOUT)
    for record in found.values():
        assert "error" not in record
        assert list(record["metrics"]["defects"]) == MVTec3D(thinned, record["category"]).defects


def test_a_broken_category_fails_in_its_record_and_stops_nothing(
    clean: Path, tmp_path: Path, capsys
):
    data = tmp_path / "data"
    for name in ("dowel", "foam"):
        shutil.copytree(clean / name, data / name)
    cut = next((data / "dowel" / "test" / "bent" / "xyz").iterdir())
    cut.write_bytes(cut.read_bytes()[:200])
    shape = 'modalities=["3d"]'  # one network less to load
    assert main(command(["table4"], data, tmp_path / "out", ["dowel", "foam"], shape)) == 1
    shown = capsys.readouterr()
    assert "dowel, seed 0: FileError" in shown.err
    assert cut.name in shown.err
    by_category = {name: [] for name in ("dowel", "foam")}
    for record in records(tmp_path / "out").values():
        by_category[record["category"]].append("error" in record)
    assert by_category == {"dowel": [True] * 5, "foam": [False] * 5}
    assert [line for line in shown.out.splitlines() if line.split()[:2] == ["IFC", "1"]]


def test_killed_twice_and_resumed_it_is_the_same_table(clean: Path, tmp_path: Path, capsys):
    names, shape = ["peach"], 'modalities=["3d"]'  # one network less to load
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(command(["table4"], clean, whole, names, shape)) == 0
    expected = capsys.readouterr().out
    rows, survived = len(records(whole)), {}
    for _ in range(2):
        kill_after_a_record(command(["table4"], clean, broken, names, shape, "--resume"), broken)
        now = records(broken)  # each can be read whole
        assert survived.items() <= now.items()  # what was done is not done again
        assert len(survived) < len(now) < rows
        survived = now
    half = broken / "records" / f".{next(iter(survived))}.0123abcd.part"
    half.write_text('{"category": "bag')  # what a kill inside a write leaves
    assert main(command(["table4"], clean, broken, names, shape, "--resume")) == 0
    assert capsys.readouterr().out == expected
    assert len(records(broken)) == rows == 5
    again = records(broken)
    assert {name: again[name] for name in survived} == survived
    for name, record in records(whole).items():
        assert again[name]["metrics"] == record["metrics"]


def kill_after_a_record(arguments: list[str], out: Path) -> None:
    """Start the command, wait for one more record than there is, and kill it without warning."""
    before = len(list((out / "records").glob("*.json")))
    process = subprocess.Popen(
        [sys.executable, "-m", "lsfa_lite", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 180
        while len(list((out / "records").glob("*.json"))) == before:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline, "no record in three minutes"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
