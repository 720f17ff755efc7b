"""Raw scans for a model whose training data had no table: scored as if `clean` had been there."""

from __future__ import annotations

import csv
import dataclasses
import json
import pickle
import shutil
import threading

import numpy as np
import pytest
import tifffile
from conftest import QUICK, SMALL, without

from lsfa_book.mini3d import make_sample
from lsfa_lite.cli import main
from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.arrivals import arrivals, look
from lsfa_lite.data.background import Ready, clean_folder, remove_background
from lsfa_lite.data.files import write_png, write_sample
from lsfa_lite.data.folder import Folder
from lsfa_lite.data.mvtec3d import MVTec3D
from lsfa_lite.data.scans import role_and_stem
from lsfa_lite.detector import LSFADetector

HOW = BackgroundConfig(plane_distance=0.004, pad=True)  # not the defaults: they must be remembered
TOLD = "background removed as in training (plane_distance=0.004)"
WIDE = 96  # rows that are kept of 128: pad makes a square of what is none


def raw(index: int, folder: str = "train/good"):
    sample = make_sample("ring", folder, index, SMALL)
    cut = slice(16, 16 + WIDE)
    arrays = {n: getattr(sample, n) for n in ("rgb", "xyz", "mask")}
    return dataclasses.replace(sample, **{n: a if a is None else a[cut] for n, a in arrays.items()})


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """raw/, clean/ and model/ (which remembers HOW) and old/ (which remembers nothing)."""
    folder = tmp_path_factory.mktemp("bench")
    for i in range(4):
        write_sample(folder / "raw/ring/train/good", f"{i:03d}", raw(i))
    write_sample(folder / "raw/ring/test/good", "000", raw(0, "test/good"))
    for i in range(2):
        write_sample(folder / "raw/ring/test/hole", f"{i:03d}", raw(i, "test/hole"))
    clean_folder(folder / "raw", folder / "clean", HOW)
    config = QUICK.change(adaptation__steps=0)
    data = MVTec3D(folder / "clean", "ring")
    detector = LSFADetector(config, background=HOW).fit(data.train)
    detector.save(folder / "model")
    detector.background = None
    detector.save(folder / "old")
    return folder


def score(bench, model, scans, out, *more) -> list[dict[str, object]]:
    """Its table, without the paths; numbers as numbers."""
    call = ["score", str(bench / model), str(bench / scans), "--out", str(out), *more]
    assert main(call) == 0
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [row | {"path": "", "image_score": float(row["image_score"])} for row in rows]


def test_a_raw_scan_scores_as_its_cleaned_one_to_the_last_bit(bench, tmp_path, caplog):
    cleaned = score(bench, "model", "clean/ring/test/hole", tmp_path / "a")
    assert not caplog.records  # clean already: nothing is done, nothing said
    as_raw = score(bench, "model", "raw/ring/test/hole", tmp_path / "b")
    assert [r.getMessage() for r in caplog.records] == [TOLD]  # once for two scans
    assert as_raw == cleaned
    for name in ("000-000", "001-001"):
        one, other = (tifffile.imread(tmp_path / x / f"{name}.tiff") for x in "ab")
        assert other.shape == (WIDE, 128)  # the raw scan's own pixels
        np.testing.assert_array_equal(one[16 : 16 + WIDE], other)  # of the padded square
        assert other.any()


def test_as_is_leaves_the_table_and_says_so(bench, tmp_path, caplog):
    cleaned = score(bench, "model", "clean/ring/test/hole", tmp_path / "a")
    as_is = score(bench, "model", "raw/ring/test/hole", tmp_path / "b", "--as-is")
    (record,) = caplog.records
    assert "000.png: its background is left as it is" in record.getMessage()
    assert all(raw["image_score"] > c["image_score"] for raw, c in zip(as_is, cleaned, strict=True))
    score(bench, "model", "clean/ring/test/hole", tmp_path / "c", "--as-is")
    assert len(caplog.records) == 1


def test_a_model_that_remembers_nothing_is_as_before(bench, tmp_path, caplog):
    as_is = score(bench, "model", "raw/ring/test/hole", tmp_path / "a", "--as-is")
    caplog.clear()
    assert score(bench, "old", "raw/ring/test/hole", tmp_path / "b") == as_is
    assert not caplog.records


def test_evaluate_warns_of_a_data_set_that_is_not_cleaned(bench, caplog):
    for kind in ("raw", "clean"):
        assert main(["evaluate", str(bench / "model"), str(bench / kind), "ring", "--json"]) == 0
    told = [r.getMessage() for r in caplog.records if "not cleaned by lsfa-lite" in r.getMessage()]
    assert len(told) == 1
    assert told[0].startswith(f"{bench / 'raw'}: ")


def test_recalibrate_on_raw_scans_makes_the_model_of_the_cleaned_ones(bench, tmp_path, caplog):
    for kind in ("raw", "clean"):
        good, out = bench / kind / "ring/train/good", tmp_path / kind
        assert main(["recalibrate", str(bench / "model"), str(good), "--out", str(out)]) == 0
    one, other = (
        json.loads((tmp_path / k / "detector.json").read_text()) for k in ("raw", "clean")
    )
    assert one["calibration"] == other["calibration"]
    assert [r.getMessage() for r in caplog.records] == [TOLD]


def test_watch_reads_raw_scans_and_depth_beside_colour(bench, tmp_path, monkeypatch, capsys):
    """Both pictures of a recorder's folders are PNGs: the folder tells them apart."""
    monkeypatch.setattr("lsfa_lite.batch.arrivals", ended(tmp_path))
    sample = raw(0, "test/hole")
    write_png(tmp_path / "color/7.png", sample.rgb)
    write_png(tmp_path / "depth/7.png", np.rint(sample.xyz[..., 2] * 10000).astype(np.uint16))
    camera = {"fx": 500, "fy": 500, "cx": 64, "cy": 48, "depth_scale": 0.0001}
    (tmp_path / "camera_info.json").write_text(json.dumps(camera))
    assert main(["watch", str(tmp_path), "--model", str(bench / "model"), "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["verdict"] in ("good", "anomalous"), line["words"]
    assert line["path"].endswith("7.png")


def ended(folder):
    """`arrivals` that looks once."""

    def once(where, roles, stop, read, **_):
        for found in arrivals(where, roles, threading.Event(), read, every=0, settle=0, patience=0):
            yield found
            return

    return once


def test_the_roles_of_what_arrives_are_those_of_its_folders(tmp_path):
    for name in ("Color/1.png", "depth/1.png", "mask/1.png"):
        write_png(tmp_path / name, np.ones((2, 2), np.uint8))
    found = look(tmp_path)
    assert {role: [p.parent.name for p in some] for role, some in found["1"].items()} == {
        "rgb": ["Color"],
        "xyz": ["depth"],
        "gt": ["mask"],
    }
    assert look(tmp_path / "gone") == {}


# the function alone


def test_ready_is_remove_background_and_leaves_alone_what_is_clean():
    sample, ready = raw(0), Ready(BackgroundConfig())
    cleaned = ready(sample)
    assert cleaned == remove_background(sample, BackgroundConfig())
    assert ready(cleaned) is cleaned
    assert Ready(None)(sample) is sample
    assert ready(remove_background(sample, HOW)).shape == (128, 128)  # padded by `clean`: kept


def test_a_picture_alone_cannot_be_cleaned_and_that_is_said(caplog):
    ready, bare = Ready(BackgroundConfig()), without(raw(0), "xyz")
    assert ready(bare) is bare
    assert "cannot be found without 3D" in caplog.text
    caplog.clear()
    assert Ready(BackgroundConfig())(without(remove_background(raw(0)), "xyz")) is not None
    assert not caplog.records


def test_other_settings_than_the_usual_are_told_and_a_worker_says_nothing(caplog):
    ready = Ready(dataclasses.replace(BackgroundConfig(), keep="sizeable", border=12))
    pickle.loads(pickle.dumps(ready))(raw(0))
    assert not caplog.records
    ready(raw(0))
    assert "(plane_distance=0.005, border=12, keep=sizeable)" in caplog.text


def test_a_table_without_a_part_is_no_part_seen(bench, tmp_path, capsys):
    sample = raw(0)
    z = np.full((WIDE, 128), 0.5, np.float32)
    v, u = np.indices(z.shape)
    empty = dataclasses.replace(sample, xyz=np.stack([u / 1e3, v / 1e3, z], -1).astype(np.float32))
    write_sample(tmp_path / "scans", "0", empty)
    shutil.rmtree(tmp_path / "scans/gt", ignore_errors=True)
    (row,) = score(bench, "model", tmp_path / "scans", tmp_path / "out")
    assert row["verdict"] == "no part seen"
    assert "1 done, 0 passed over" in capsys.readouterr().err


def test_millimetres_are_read_where_they_are_said(tmp_path):
    sample = raw(0)
    write_sample(tmp_path, "0", dataclasses.replace(sample, mask=None))
    tifffile.imwrite(tmp_path / "xyz/0.tiff", sample.xyz * 1000, photometric="rgb")
    np.testing.assert_allclose(Folder(tmp_path, unit=0.001)[0].xyz, sample.xyz, atol=1e-6)
    with pytest.raises(ValueError, match="millimetres"):
        Folder(tmp_path)[0]


@pytest.mark.parametrize(
    ("name", "role", "expected"),
    [
        ("rgb_0001.png", None, ("rgb", "0001")),
        ("depth_0001.png", None, ("xyz", "0001")),
        ("0001-depth.png", None, ("xyz", "0001")),
        ("frame-000001.color.jpg", None, ("rgb", "frame-000001")),
        ("frame-000001.depth.png", None, ("xyz", "frame-000001")),
        ("Depth12.png", None, ("xyz", "12")),
        ("depth.png", None, ("xyz", "")),
        ("000_mask.png", "gt", ("gt", "000")),
        ("image_7.tiff", None, ("xyz", "7")),  # as image_7.png has it: the type decides
        ("cloud_7.png", None, ("rgb", "7")),
        ("color_7.ply", None, ("xyz", "7")),
        ("color_7.tif", None, ("rgb", "7")),
        ("image_7.tiff", "xyz", ("xyz", "7")),
        ("imagery_7.png", None, ("rgb", "imagery_7")),
        ("ring.png", None, ("rgb", "ring")),
    ],
)
def test_words_in_names(tmp_path, name, role, expected):
    assert role_and_stem(tmp_path / name, role) == expected
