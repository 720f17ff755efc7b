"""People's own folders become a data set: each layout, camera and unit, and what is no use."""

from __future__ import annotations

import csv
import hashlib
import json
import shlex
import unicodedata
from collections import Counter

import numpy as np
import pytest
import tifffile
import yaml
from conftest import SMALL
from PIL import Image
from test_cli import QUICK

from lsfa_book.mini3d import make_sample
from lsfa_lite.cli import main
from lsfa_lite.data.depth import seen_by
from lsfa_lite.data.importing import MANIFEST, plan
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.mvtec3d import MVTec3D

H, W = 24, 32
CAMERA = {"fx": 500.0, "fy": 520.0, "cx": 15.0, "cy": 12.5}


def rgb(i: int) -> np.ndarray:
    return np.random.default_rng(i).integers(1, 256, (H, W, 3), dtype=np.uint8)


def depth_mm(i: int) -> np.ndarray:
    v, u = np.indices((H, W))
    depth = (500 + 3 * i + (u + v) // 3).astype(np.uint16)
    depth[3:5, 6:9] = 0
    return depth


def slow_xyz(i: int) -> np.ndarray:
    """Metres, by the pinhole model pixel by pixel."""
    out = np.zeros((H, W, 3))
    for v in range(H):
        for u in range(W):
            z = int(depth_mm(i)[v, u]) / 1000
            matrix = [[CAMERA["fx"], 0, CAMERA["cx"]], [0, CAMERA["fy"], CAMERA["cy"]], [0, 0, 1]]
            out[v, u] = np.linalg.solve(matrix, [u, v, 1]) * z
    return out


XYZ = [slow_xyz(i) for i in range(9)]


def save(path, i: int, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "rgb":
        Image.fromarray(rgb(i)).save(path)
    elif what == "mask":
        Image.fromarray(
            np.where(np.arange(W) < i, 255, 0).repeat(H).reshape(W, H).T.astype("u1")
        ).save(path)
    elif what in ("organised", "loose", "turned"):
        save_points(path, XYZ[i], what)
    else:
        scale = {
            "depth": 1,
            "metres": 0.001,
            "xyz": 1,
            "xyz mm": 1000,
            "xyz int": 1000,
            "xyz cm": 100,
        }[what]
        array = (
            depth_mm(i)
            if what == "depth"
            else depth_mm(i) * np.float32(scale)
            if what == "metres"
            else XYZ[i] * scale
        )
        array = np.rint(array).astype(np.int16) if what == "xyz int" else array
        array = array if array.dtype.kind in "iu" else array.astype(np.float32)
        if path.suffix == ".png":
            Image.fromarray(array).save(path)
        elif path.suffix == ".npy":
            np.save(path, array)
        else:
            tifffile.imwrite(
                path,
                array,
                photometric="minisblack",
                planarconfig="contig" if array.ndim == 3 else None,
            )


def save_points(path, xyz: np.ndarray, what: str) -> None:
    """Millimetres, as vendors have them; loose: only what was seen, anyhow; turned: OpenGL."""
    open3d = pytest.importorskip("open3d")
    points = np.where(xyz.any(-1, keepdims=True), xyz * 1000, np.nan).reshape(-1, 3)
    if what != "organised":
        points = np.random.default_rng(0).permutation(points[np.isfinite(points[:, 0])])
    points = points * [1, -1, -1] if what == "turned" else points
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    assert open3d.io.write_point_cloud(str(path), cloud)


def beside(folder, name="intrinsics.json", values=CAMERA) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(
        json.dumps(values) if name.endswith("json") else yaml.safe_dump(values)
    )


def fill(folder, pattern: str, count: int = 5, start: int = 0):
    """`rgb={}.png depth={}_depth.png`: files of the scans start, start + 1, ..."""
    for i in range(start, start + count):
        for one in pattern.split("  "):
            what, _, name = one.partition("=")
            save(folder / name.format(f"{i:04d}"), i, what)
    return folder


def good_scans(out, category="own"):
    data = MVTec3D(out, category)
    return [*data.train, *data.validation]


def check_scans(found, numbers) -> None:
    """Each sample is one of the numbered scans: its colours, and its points by the slow way."""
    by_colour = {rgb(i).tobytes(): i for i in numbers}
    assert sorted(by_colour[s.rgb.tobytes()] for s in found) == sorted(numbers)
    for sample in found:
        np.testing.assert_allclose(sample.xyz, XYZ[by_colour[sample.rgb.tobytes()]], atol=2e-6)


LAYOUTS = {
    "side by side": "rgb={}.png  depth={}_depth.png",
    "beginnings": "rgb=rgb_{}.png  depth=depth_{}.png",
    "endings": "rgb={}_color.png  depth={}_depth.png",
    "dashes": "rgb=Color-{}.png  depth=Depth-{}.png",
    "no dashes": "rgb=color{}.png  depth=depth{}.png",
    "frames": "rgb=frame-{}.color.png  depth=frame-{}.depth.png",
    "folders": "rgb=color/{}.png  depth=depth/{}.png",
    "folders and words": "rgb=RGB/rgb_{}.png  depth=Depth/depth_{}.png",
    "kind, then role": "rgb=good/rgb/{}.png  depth=good/depth/{}.png",
    "role, then kind": "rgb=images/ok/{}.png  depth=depth/ok/{}.png",
    "a folder a scan": "rgb=scan{}/color.png  depth=scan{}/depth.png",
    "a folder a good scan": "rgb=normal/{}/rgb.png  depth=normal/{}/depth.png",
    "days": "rgb=good/monday/{}.png  depth=good/monday/{}_depth.png",
    "training": "rgb=train/{}.png  depth=train/{}_depth.tiff",
    "splits": "rgb=train/good/rgb/{}.png  depth=train/good/depth/{}.npy",
    "picture and depth apart": "rgb=image/{}.png  depth={}_depth.png",
    "clouds": "rgb=rgb/{}.png  xyz=xyz/{}.tiff",
    "clouds beside": "rgb={}.png  xyz={}.npy",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    fill(beside_of(tmp_path / "own"), LAYOUTS[layout])
    planned = plan(tmp_path / "own", tmp_path / "out")
    batch = planned.run()
    assert (batch.done, batch.passed) == (5, [])
    check_scans(good_scans(tmp_path / "out"), range(5))
    data = MVTec3D(tmp_path / "out", "own")
    drawn = layout not in ("training", "splits")  # those say themselves what is trained on
    assert (len(data.train), len(data.validation), len(data.test)) == (
        (4, 1, 0) if drawn else (5, 0, 0)
    )


def beside_of(folder):
    beside(folder)
    return folder


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [
        ("rgb={}.png  xyz mm={}.tiff", "mm"),
        ("rgb={}.png  xyz cm={}.npy", "cm"),
        ("rgb={}.png  organised={}.ply", "mm"),
        ("rgb={}.png  loose={}.ply", "mm"),
        ("rgb=color/{}.png  loose=pointcloud/{}.pcd", "mm"),
        ("rgb={}_color.png  turned={}_cloud.ply", "mm"),
        ("rgb={}.png  metres={}_depth.tiff", "m"),
    ],
)
def test_units_are_asked_for_by_their_name(tmp_path, pattern, unit, capsys):
    fill(beside_of(tmp_path / "own"), pattern, 2)
    call = ["import", str(tmp_path / "own"), str(tmp_path / "out")]
    assert main(call) == 2
    assert f": add --unit {unit}, or --unit m" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*call, "--unit", unit]) == 0
    said = capsys.readouterr().out
    assert f"in {unit}" in said
    assert ("the camera puts each point on the picture" in said) == (
        "loose" in pattern or "turned" in pattern
    )
    check_scans(good_scans(tmp_path / "out"), range(2))


@pytest.mark.parametrize("steps", [10, 50])
def test_depth_in_small_steps(tmp_path, steps):
    """Tenths of a millimetre are seen to be odd; a fifth of one is in nobody's power to tell."""
    fill(beside_of(tmp_path / "own"), LAYOUTS["folders"], 2)
    for i in range(2):
        deep = depth_mm(i) * np.uint16(steps)
        Image.fromarray(deep).save(tmp_path / "own/depth" / f"{i:04d}.png")
    unit = f"{0.001 / steps:g}"
    with pytest.raises(ValueError, match=f"add --unit {unit if steps == 10 else ''}"):
        plan(tmp_path / "own", tmp_path / "out")
    plan(tmp_path / "own", tmp_path / "out", unit=unit).run()
    check_scans(good_scans(tmp_path / "out"), range(2))


def test_a_run_that_was_killed_before_its_manifest_goes_on(tmp_path):
    fill(tmp_path / "own", "rgb={}.png  xyz mm={}.tiff", 2)
    home = tmp_path / "out/own"
    home.mkdir(parents=True)
    (home / ".import.json.part").write_text("{")
    plan(tmp_path / "own", tmp_path / "out", unit="mm").run()
    check_scans(good_scans(tmp_path / "out"), range(2))


def test_integers_are_points_where_a_unit_is_said(tmp_path):
    fill(tmp_path / "own", "rgb={}.png  xyz int={}.tiff", 2)
    with pytest.raises(ValueError, match="int16"):
        plan(tmp_path / "own", tmp_path / "out")
    plan(tmp_path / "own", tmp_path / "out", unit="mm").run()
    for sample in good_scans(tmp_path / "out"):
        np.testing.assert_allclose(sample.xyz, XYZ[int(sample.path[-5])], atol=6e-4)


def test_a_unit_that_fits_badly_is_taken_if_it_is_insisted_on(tmp_path):
    fill(tmp_path / "own", "rgb={}.png  xyz cm={}.npy", 2)
    said = plan(tmp_path / "own", tmp_path / "out", unit="dm").said
    assert "unit: clouds in dm" in said
    for path in (tmp_path / "own").glob("*.npy"):
        np.save(path, np.load(path) / 10)
    planned = plan(tmp_path / "own", tmp_path / "out", unit="m")
    assert "unit: --unit m is taken, though --unit dm would fit better" in planned.said


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ("um", r"--unit um cannot be: .* --unit mm fits"),
        ("m", r"--unit m cannot be: .* --unit mm fits"),
        ("0", "expected one of um, mm"),
        ("furlong", "expected one of um, mm"),
    ],
)
def test_absurd_units(tmp_path, unit, words):
    fill(tmp_path / "own", "rgb={}.png  xyz mm={}.tiff", 2)
    with pytest.raises(ValueError, match=words):
        plan(tmp_path / "own", tmp_path / "out", unit=unit)


def test_one_scan_of_another_unit_is_passed_over(tmp_path):
    fill(tmp_path / "own", LAYOUTS["clouds beside"])
    np.save(tmp_path / "own/0002.npy", XYZ[2] * 10)
    batch = plan(tmp_path / "own", tmp_path / "out").run()
    assert batch.done == 4
    ((_, words),) = batch.passed
    assert "0002.npy: seems to be in another unit (decimetres) than the rest" in words


MATRIX = [500.0, 0, 15.0, 0, 520.0, 12.5, 0, 0, 1]
CAMERAS = {
    "realsense.json": {
        "width": W,
        "height": H,
        "fx": 500,
        "fy": 520,
        "ppx": 15,
        "ppy": 12.5,
        "coeffs": [0] * 5,
    },
    "open3d.json": {
        "width": W,
        "height": H,
        "intrinsic_matrix": [500, 0, 0, 0, 520, 0, 15, 12.5, 1],
    },
    "ros.yaml": {
        "image_width": W,
        "image_height": H,
        "camera_matrix": {"rows": 3, "cols": 3, "data": MATRIX},
    },
    "info.yaml": {"width": W, "height": H, "k": MATRIX, "d": [0.0] * 5},
}


@pytest.mark.parametrize("name", CAMERAS)
def test_cameras(tmp_path, name):
    own = fill(tmp_path / "own", LAYOUTS["folders"], 2)
    beside(own, f"calibration-{name}", CAMERAS[name])
    with pytest.raises(
        ValueError, match=rf"needs the camera.*is it --intrinsics .*calibration-{name}"
    ):
        plan(own, tmp_path / "out")
    plan(own, tmp_path / "out", intrinsics=own / f"calibration-{name}").run()
    check_scans(good_scans(tmp_path / "out"), range(2))


@pytest.mark.parametrize("name", ["intrinsic.json", "camera_info.yaml", "camera.yml"])
@pytest.mark.parametrize("place", [".", "good", "good/depth"])
def test_a_camera_in_any_folder_above_the_scans(tmp_path, name, place):
    own = fill(tmp_path / "own", LAYOUTS["kind, then role"], 2)
    place = "good/rgb" if place == "good/depth" else place
    beside(own / place, name, {"K": MATRIX})
    plan(own, tmp_path / "out").run()
    check_scans(good_scans(tmp_path / "out"), range(2))


def test_a_point_lands_on_its_pixel_and_the_nearest_is_seen():
    camera = Intrinsics(100, 100, 2, 1)
    points = np.array(
        [[0, 0, 2], [0, 0, 1], [0.01, 0.01, 1], [0, 0, 0], [np.nan, 0, 1]], np.float32
    )
    xyz = seen_by(camera, points, (3, 5))
    expected = np.zeros((3, 5, 3), np.float32)
    expected[1, 2], expected[2, 3] = [0, 0, 1], [0.01, 0.01, 1]
    np.testing.assert_array_equal(xyz, expected)
    np.testing.assert_array_equal(seen_by(camera, points * [1, -1, -1], (3, 5)), expected)
    with pytest.raises(ValueError, match="0% of the points fall into the picture"):
        seen_by(camera, points + np.array([50, 0, 0]), (3, 5))
    with pytest.raises(ValueError, match="those of 7 x 3"):
        seen_by(Intrinsics(100, 100, 2, 1, width=7, height=3), points, (3, 5))


# good parts, defects, splits


def splits(out, category="own") -> dict[str, dict[str, int]]:
    data = MVTec3D(out, category)
    return {s: dict(Counter(getattr(data, s).defects)) for s in ("train", "validation", "test")}


def test_defects_masks_and_the_draw(tmp_path):
    own = fill(beside_of(tmp_path / "own"), "rgb=good/{}.png  depth=good/{}_depth.png", 6)
    fill(
        own,
        "rgb=defects/dent/{}.png  depth=defects/dent/{}_depth.png  mask=defects/dent/{}_mask.png",
        2,
        6,
    )
    fill(own, "rgb=bad/rgb/{}.png  depth=bad/depth/{}.png", 1, 8)
    planned = plan(own, tmp_path / "out")
    planned.run()
    assert splits(tmp_path / "out") == {
        "train": {"good": 4},
        "validation": {"good": 1},
        "test": {"defect": 1, "dent": 2, "good": 1},
    }
    assert "drawn from the 6 good parts with seed 0: 1 validation, 1 test, 4 train" in planned.said
    data = MVTec3D(tmp_path / "out", "own")
    check_scans(
        [*data.train, *data.validation, *(s for s in data.test if s.defect == "good")], range(6)
    )
    dents = [s for s in data.test if s.defect == "dent"]
    assert [int(s.mask.sum()) for s in dents] == [6 * H, 7 * H]


def test_ground_truth_apart_as_mvtec_ad_has_it(tmp_path):
    own = fill(
        beside_of(tmp_path / "own"), "rgb=train/good/{}.png  depth=depth/train/good/{}.png", 2
    )
    fill(
        own,
        "rgb=test/cut/{}.png  depth=depth/test/cut/{}.png  mask=ground_truth/cut/{}_mask.png",
        2,
        2,
    )
    fill(own, "rgb=test/good/{}.png  depth=depth/test/good/{}.png", 1, 4)
    plan(own, tmp_path / "out").run()
    data = MVTec3D(tmp_path / "out", "own")
    assert splits(tmp_path / "out")["test"] == {"cut": 2, "good": 1}
    assert [int(s.mask.sum()) for s in data.test] == [2 * H, 3 * H, 0]
    assert (len(data.train), len(data.validation)) == (2, 0)


def test_masks_tell_good_from_bad_in_a_flat_folder(tmp_path):
    """Scan 0's mask is empty."""
    own = fill(beside_of(tmp_path / "own"), "rgb={}.png  depth={}_depth.png  mask={}_mask.png", 3)
    fill(own, "rgb={}.png  depth={}_depth.png", 3, 3)
    planned = plan(own, tmp_path / "out")
    planned.run()
    found = splits(tmp_path / "out")
    assert found["test"] == {"defect": 2, "good": 1}
    assert any("2 scans -> test/defect (by their masks)" in line for line in planned.said)
    assert any("nothing says otherwise" in line for line in planned.said)


@pytest.mark.parametrize("typed", ["name", "path"])
def test_good_and_test_folders_that_are_named(tmp_path, typed):
    own = fill(beside_of(tmp_path / "own"), "rgb=monday/{}.png  depth=monday/{}_depth.png", 4)
    fill(own, "rgb=tuesday/dent/{}.png  depth=tuesday/dent/{}_depth.png", 2, 4)
    fill(own, "rgb=tuesday/{}.png  depth=tuesday/{}_depth.png", 1, 6)
    names = ["monday", "tuesday"] if typed == "name" else [own / "monday", own / "tuesday"]
    planned = plan(own, tmp_path / "out", good=names[0], test=names[1])
    assert planned.run().done == 6
    assert splits(tmp_path / "out")["test"] == {"dent": 2, "good": 1}
    (line,) = (line for line in planned.said if "left out" in line)
    assert "tuesday: 1 scans left out: good or not?" in line
    with pytest.raises(ValueError, match=r"no good parts.*found: monday, tuesday.*--good DIR"):
        plan(own, tmp_path / "other")


def test_defects_among_the_training_parts_go_to_the_test(tmp_path):
    own = fill(
        beside_of(tmp_path / "own"), "rgb=train/good/{}.png  depth=train/good/{}_depth.png", 2
    )
    fill(own, "rgb=train/scratch/{}.png  depth=train/scratch/{}_depth.png", 1, 2)
    planned = plan(own, tmp_path / "out")
    planned.run()
    assert splits(tmp_path / "out") == {
        "train": {"good": 2},
        "validation": {},
        "test": {"scratch": 1},
    }
    assert f"{own / 'train/scratch'}: 1 scans -> test/scratch" in planned.said


def test_the_draw_is_the_seeds_and_stays_when_scans_are_added(tmp_path):
    own = fill(beside_of(tmp_path / "own"), LAYOUTS["folders"], 5)

    def drawn(out, seed):
        plan(own, out, seed=seed).run()
        return [s.path[-8:] for s in MVTec3D(out, "own").validation]

    first = drawn(tmp_path / "a", 0)
    assert first == drawn(tmp_path / "b", 0)
    assert len({*first, *(drawn(tmp_path / f"s{s}", s)[0] for s in range(1, 9))}) > 1
    fill(own, LAYOUTS["folders"], 4, 5)
    again = drawn(tmp_path / "a", 0)
    assert set(first) < set(again)
    assert len(again) == 2
    check_scans(good_scans(tmp_path / "a"), range(9))


def test_a_name_that_comes_twice_gets_a_number(tmp_path):
    own = fill(beside_of(tmp_path / "own"), "rgb=ok/a/{}.png  depth=ok/a/{}_depth.png", 2)
    fill(own, "rgb=ok/b/{}.png  depth=ok/b/{}_depth.png", 2)
    for _ in range(2):
        plan(own, tmp_path / "out").run()
    names = sorted(p.name for p in (tmp_path / "out/own").rglob("rgb/*.png"))
    assert len(names) == 4
    assert Counter(rgb(i).tobytes() for i in (0, 0, 1, 1)) == Counter(
        s.rgb.tobytes() for s in good_scans(tmp_path / "out")
    )


# nothing of theirs is touched; a repeat goes on


def tree(folder) -> dict[str, tuple[str, int]]:
    return {
        str(p.relative_to(folder)): (
            hashlib.sha256(p.read_bytes()).hexdigest(),
            p.stat().st_mtime_ns,
        )
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_a_repeat_goes_on_and_touches_nothing(tmp_path):
    own, out = fill(beside_of(tmp_path / "own"), LAYOUTS["folders"]), tmp_path / "out"
    before = tree(own)
    plan(own, out).run()
    whole = tree(out)
    gone = next((out / "own/train/good/xyz").iterdir())
    gone.unlink()  # killed before it was written
    assert plan(own, out).run().done == 5
    again = tree(out)
    assert {k: v[0] for k, v in again.items()} == {k: v[0] for k, v in whole.items()}
    written = {name for name in again if again[name] != whole[name]}
    assert {n.rpartition("/")[2] for n in written} == {gone.name, f"{gone.stem}.png", MANIFEST}
    assert tree(own) == before


@pytest.mark.parametrize(
    "change", [{"unit": "cm"}, {"seed": 1}, {"intrinsics": True}, {"source": True}]
)
def test_a_repeat_that_asks_for_something_else_is_refused(tmp_path, change):
    own, out = fill(beside_of(tmp_path / "own"), LAYOUTS["folders"]), tmp_path / "out"
    plan(own, out).run()
    if "intrinsics" in change:
        change = {"intrinsics": own / "intrinsics.json"}
    if change.pop("source", False):
        own.rename(tmp_path / "moved")
        own, change = tmp_path / "moved", {"category": "own"}
    with pytest.raises(ValueError, match=r"import\.json: begun with .*choose another folder"):
        plan(own, out, **change)
    (out / "own" / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match=r"import\.json: damaged"):
        plan(own, out, **change)
    (out / "own" / MANIFEST).unlink()
    with pytest.raises(ValueError, match="is there already, and import did not make it"):
        plan(own, out, **change)


def test_a_mask_that_comes_later_is_brought_and_what_went_is_told(tmp_path):
    pattern = "rgb={0}/{{}}.png  depth={0}/{{}}_depth.png"
    own = fill(beside_of(tmp_path / "own"), pattern.format("good"), 4)
    fill(own, pattern.format("dent"), 1, 4)
    plan(own, tmp_path / "out").run()
    save(own / "dent/0004_mask.png", 4, "mask")
    for name in ("0000.png", "0000_depth.png"):
        (own / "good" / name).rename(own / "dent" / name)  # it was bad after all
    save(own / "mask/nowhere.png", 4, "mask")
    planned = plan(own, tmp_path / "out")
    assert planned.run().done == 5
    data = MVTec3D(tmp_path / "out", "own")
    assert [int(s.mask.sum()) for s in data.test if s.defect == "dent" and "0004" in s.path] == [
        4 * H
    ]
    assert any("1 scans of an earlier run are not there any more" in x for x in planned.said)
    assert any("1 masks without a scan, left out" in x and "nowhere" in x for x in planned.said)
    assert any("1 scans of an earlier run" in x for x in plan(own, tmp_path / "out").said)


def test_the_whole_folder_may_be_called_good(tmp_path):
    own = fill(beside_of(tmp_path / "own"), "rgb=monday/{}.png  depth=monday/{}_depth.png", 4)
    assert plan(own, tmp_path / "out", good=own).run().done == 4
    check_scans(good_scans(tmp_path / "out"), range(4))


@pytest.mark.parametrize("out", [".", "../here"])
def test_what_is_printed_names_a_folder_beside_wherever_one_stands(tmp_path, monkeypatch, out):
    fill(beside_of(tmp_path / "own"), LAYOUTS["folders"], 2)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    planned = plan("../own", out)
    planned.run()
    _, clean, src, cleaned = shlex.split(planned.next()[0])
    assert clean == "clean"
    assert (tmp_path / "here" / src / "own").is_dir()
    assert (tmp_path / "here" / cleaned).resolve() == tmp_path / "here-clean"


@pytest.mark.parametrize("place", ["../../x/0000", "train/good/../0000", "train", 3])
def test_a_manifest_leads_nowhere_else(tmp_path, place):
    own = fill(beside_of(tmp_path / "own"), LAYOUTS["folders"], 2)
    plan(own, tmp_path / "out").run()
    path = tmp_path / "out/own" / MANIFEST
    told = json.loads(path.read_text())
    told["scans"]["0000"] = place
    path.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"import\.json: damaged"):
        plan(own, tmp_path / "out")


@pytest.mark.parametrize("out", ["own", "own/out", "."])
def test_out_may_not_lie_in_the_folder_nor_hold_it(tmp_path, out, capsys):
    fill(beside_of(tmp_path / "own"), LAYOUTS["folders"], 2)
    before = tree(tmp_path)
    assert main(["import", str(tmp_path / "own"), str(tmp_path / out)]) == 2
    assert "name a folder beside it" in capsys.readouterr().err
    assert tree(tmp_path) == before


# nonsense


def broken_camera(own):
    beside(own, values=CAMERA | {"width": 640, "height": 480})


def two_colours(own):
    save(own / "color/0001_rgb.png", 1, "rgb")


def of_another_size(own):
    Image.fromarray(rgb(1)[:20]).save(own / "color/0001.png")


def cut(own):
    path = own / "depth/0001.png"
    path.write_bytes(path.read_bytes()[:40])


def eight_bit(own):
    Image.fromarray(depth_mm(1).astype(np.uint8)).save(own / "depth/0001.png")


def nothing_seen(own):
    Image.fromarray(np.zeros((H, W), np.uint16)).save(own / "depth/0001.png")


ONE = {  # what is wrong with one scan of five, and the words that name it
    "two colours": (two_colours, "0001_rgb.png: 0001.png of the same stem is rgb too"),
    "no depth": (lambda own: (own / "depth/0001.png").unlink(), "0001.png: has no 3D file"),
    "no colour": (lambda own: (own / "color/0001.png").unlink(), "0001.png: has no rgb file"),
    "another size": (of_another_size, "both must be the same size"),
    "cut short": (cut, "0001.png: cannot be read"),
    "8 bit": (eight_bit, "one channel of 16 bit"),
    "empty": (nothing_seen, "the sensor saw nothing"),
    "a dangling link": (lambda own: dangling(own / "depth/0001.png"), "no such file"),
    "a broken mask": (lambda own: (own / "0001_mask.png").write_text("no"), "0001_mask.png"),
}


def dangling(path):
    path.unlink()
    path.symlink_to("nowhere.png")


@pytest.mark.parametrize("fault", ONE)
def test_one_bad_scan_is_named_and_the_rest_is_done(tmp_path, fault, capsys):
    own = fill(beside_of(tmp_path / "own"), LAYOUTS["folders"])
    spoil, words = ONE[fault]
    spoil(own)
    assert main(["import", str(own), str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert "passed over, " in err
    assert words in err
    assert "4 done, 1 passed over" in err
    check_scans(good_scans(tmp_path / "out"), [0, 2, 3, 4])


def test_a_marked_good_part_is_passed_over(tmp_path):
    own = fill(beside_of(tmp_path / "own"), "rgb=good/{}.png  depth=good/{}_depth.png")
    save(own / "good/0001_mask.png", 3, "mask")
    batch = plan(own, tmp_path / "out").run()
    ((_, words),) = batch.passed
    assert "a defect is marked on a good part" in words


ALL = {  # what is wrong with all of them
    "intrinsics of another size": (broken_camera, "32 x 24 pixels of depth.*those of 640 x 480"),
    "no camera": (lambda own: (own / "intrinsics.json").unlink(), "needs the camera"),
    "camera of nonsense": (lambda own: (own / "intrinsics.json").write_text("[]"), "holds a list"),
    "no depth at all": (lambda own: [p.unlink() for p in (own / "depth").iterdir()], None),
    "no scans": (lambda own: [p.unlink() for p in own.rglob("*.png")], "no scans; expected"),
    "none of one name": (
        lambda own: [p.rename(p.with_name(f"x{p.name}")) for p in (own / "depth").iterdir()],
        "no picture has a cloud or depth of the same stem",
    ),
}


@pytest.mark.parametrize("fault", ALL)
def test_what_is_wrong_with_all_scans_is_said_once(tmp_path, fault):
    own = fill(beside_of(tmp_path / "own"), LAYOUTS["folders"])
    spoil, words = ALL[fault]
    spoil(own)
    if words is None:
        planned = plan(own, tmp_path / "out")
        assert "no 3D files: colour alone" in planned.said
        assert planned.run().done == 5
        assert planned.next()[0].startswith("lsfa-lite fit ")
        return
    with pytest.raises(ValueError, match=words):
        plan(own, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (["nowhere", "out"], "nowhere: no such folder"),
        (["empty", "out"], "empty: no scans"),
        (["own", "out", "--good", "nowhere"], "nowhere: no such folder"),
        (["own", "out", "--category", "a/b"], "--category 'a/b'"),
        (["own", "out", "--category", ".a"], "--category"),
        (["own", "out", "--intrinsics", "nowhere.json"], "nowhere.json"),
        (["own", "cleaned"], "holds cleaned scans"),
        (["own/color/0000.png", "out"], "0000.png: no such folder"),
    ],
)
def test_a_call_that_makes_no_sense_is_one_line(tmp_path, monkeypatch, call, words, capsys):
    monkeypatch.chdir(tmp_path)
    fill(beside_of(tmp_path / "own"), LAYOUTS["folders"], 2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "cleaned").mkdir()
    (tmp_path / "cleaned/clean.json").write_text("{}")
    assert main(["import", *call]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_with_umlauts_and_spaces(tmp_path, form, monkeypatch, capsys):
    """The command that is printed can be typed: the names are quoted."""
    monkeypatch.chdir(tmp_path)
    name = unicodedata.normalize(form, "Prüfling eins")
    own = fill(beside_of(tmp_path / name), "rgb=gut é {}.png  depth=gut é {}_depth.png", 4)
    Image.fromarray(rgb(8)).save(own / "._gut é 0000.png")  # another system's leavings
    assert main(["import", name, "aus gabe"]) == 0
    check_scans(good_scans(tmp_path / "aus gabe", "Prüfling eins"), range(4))
    after = ["Prüfling eins", "--out", "Prüfling eins-model"]
    clean, fit = (
        x.removeprefix("next: lsfa-lite ") for x in capsys.readouterr().out.splitlines()[-2:]
    )
    assert shlex.split(clean) == ["clean", "aus gabe", "aus gabe-clean"]
    assert shlex.split(fit) == ["fit", "aus gabe-clean", *after]


def test_other_files_are_counted(tmp_path):
    own = fill(beside_of(tmp_path / "own"), LAYOUTS["folders"], 2)
    for name in ("a.stl", "b.stl", "c.bag", "d.csv"):
        (own / name).write_text("")
    assert "left out: 1 .bag, 2 .stl files" in plan(own, tmp_path / "out").said


def test_from_a_folder_to_a_report_by_what_is_printed(tmp_path, monkeypatch, capsys):
    """mini3d's rings as a vendor writes them: colour, and a cloud in millimetres."""
    monkeypatch.chdir(tmp_path)
    for folder, count in (("good", 5), ("hole", 1)):
        for i in range(count):
            sample = make_sample(
                "ring", f"{'train' if folder == 'good' else 'test'}/{folder}", i, SMALL
            )
            save_as(tmp_path / "ring" / folder / f"{i}.png", sample)
    assert main(["import", "ring", "parts", "--unit", "mm"]) == 0
    lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith("next: lsfa-lite ")]
    commands = [shlex.split(line.removeprefix("next: lsfa-lite ")) for line in lines]
    assert [command[0] for command in commands] == ["clean", "fit", "evaluate", "score"]
    for command in commands:
        assert main([*command, *(QUICK if command[0] == "fit" else [])]) == 0
    assert (tmp_path / "ring-report/index.html").exists()
    new = ["score", "ring-model", "ring/hole", "--unit", "mm", "--out", "again"]
    assert main(new) == 0  # as the vendor writes them, table and all
    scores = []
    for folder in ("ring-scores", "again"):
        with (tmp_path / folder / "scores.csv").open() as file:
            scores += [row["image_score"] for row in csv.DictReader(file)]
    assert len(scores) == 2
    assert scores[0] == scores[1]


def save_as(path, sample) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sample.rgb).save(path)
    xyz = (sample.xyz * np.float32(1000)).astype(np.float32)
    tifffile.imwrite(path.with_suffix(".tiff"), xyz, photometric="rgb")
