"""One's own folder: every way to store a cloud gives the same sample, and odd ones are named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from lsfa_lite.data import files
from lsfa_lite.data.folder import Folder, Intrinsics, depth_to_xyz

CAMERA = Intrinsics(fx=100.0, fy=120.0, cx=3.5, cy=2.5, depth_scale=0.001)
H, W = 6, 8


def depth_mm() -> np.ndarray:
    depth = np.full((H, W), 500, np.uint16)
    depth[2:4, 3:6] = 480
    depth[0, 0] = 0
    return depth


def slow_xyz(depth: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """The pinhole model pixel by pixel."""
    out = np.zeros((*depth.shape, 3))
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            z = float(depth[v, u]) * camera.depth_scale
            if np.isfinite(z) and z > 0:
                ray = np.linalg.solve(
                    [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], [u, v, 1]
                )
                out[v, u] = ray * z
    return out


def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)


def write_cloud(path, xyz: np.ndarray) -> None:
    open3d = pytest.importorskip("open3d")
    points = np.where(xyz.any(-1, keepdims=True), xyz, np.nan).reshape(-1, 3).astype(float)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    assert open3d.io.write_point_cloud(str(path), cloud)


def test_depth_to_xyz_is_the_pinhole_model():
    depth = depth_mm().astype(np.float32)
    depth[1, 1], depth[1, 2], depth[1, 3] = np.nan, np.inf, -4
    xyz = depth_to_xyz(depth, CAMERA)
    assert xyz.dtype == np.float32
    np.testing.assert_allclose(xyz, slow_xyz(depth, CAMERA), atol=1e-7)
    assert not xyz[1, 1:4].any()
    with pytest.raises(ValueError, match=r"one channel: \(H, W\)"):
        depth_to_xyz(np.zeros((H, W, 3)), CAMERA)


def save_depth(folder, kind: str, name: str) -> None:
    """One of the supported 3D files under `name` (without suffix)."""
    xyz = depth_to_xyz(depth_mm(), CAMERA)
    folder.mkdir(exist_ok=True)
    if kind == "tiff":
        files.write_tiff(folder / f"{name}.tiff", xyz)
    elif kind == "npy":
        np.save(folder / f"{name}.npy", xyz)
    elif kind == "depth.png":
        files.write_png(folder / f"{name}.png", depth_mm())
    elif kind == "depth.tiff":
        files.write_tiff(folder / f"{name}.tiff", depth_mm().astype(np.float32))
    elif kind == "depth.npy":
        np.save(folder / f"{name}.npy", depth_mm())
    else:
        write_cloud(folder / f"{name}.{kind}", xyz)


KINDS = ["tiff", "npy", "ply", "pcd", "depth.png", "depth.tiff", "depth.npy"]


@pytest.mark.parametrize("layout", ["side by side", "subfolders"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_format_in_every_layout(tmp_path, kind, layout):
    for stem in ("b", "a"):
        if layout == "subfolders":
            files.write_png(tmp_path / "rgb" / f"{stem}.png", rgb())
            place = {"tiff": "xyz", "npy": "xyz", "ply": "cloud", "pcd": "cloud"}.get(kind, "depth")
            save_depth(tmp_path / place, kind, stem)
        else:
            files.write_png(tmp_path / f"{stem}.png", rgb())
            save_depth(tmp_path, kind, f"{stem}_depth" if "depth" in kind else stem)
    data = Folder(tmp_path, CAMERA)
    assert [sample.path[-5:] for sample in data] == ["a.png", "b.png"]
    np.testing.assert_array_equal(data[0].rgb, rgb())
    np.testing.assert_allclose(data[1].xyz, slow_xyz(depth_mm(), CAMERA), atol=1e-6)
    assert data[0].valid.sum() == H * W - 1  # NaN of PLY and PCD has become (0, 0, 0)
    assert data[0].label is None
    assert len(data[1:]) == 1


def test_only_pictures_and_only_clouds(tmp_path):
    Image.fromarray(rgb()).save(tmp_path / "a.jpg")
    assert Folder(tmp_path)[0].xyz is None
    (tmp_path / "a.jpg").unlink()
    save_depth(tmp_path, "tiff", "a")
    assert Folder(tmp_path)[0].rgb is None


def test_single_file_brings_its_companions(tmp_path):
    for stem, other in (("a", 1), ("b", 0)):
        files.write_png(tmp_path / f"{stem}.png", rgb() + np.uint8(other))
        files.write_png(tmp_path / f"{stem}_depth.png", depth_mm() + np.uint16(other))
    files.write_png(tmp_path / "intrinsics.png.bak", rgb())
    for name in ("b.png", "b_depth.png"):
        data = Folder(tmp_path / name, CAMERA)
        assert len(data) == 1
        np.testing.assert_array_equal(data[0].rgb, rgb())
        np.testing.assert_allclose(data[0].xyz, slow_xyz(depth_mm(), CAMERA), atol=1e-6)


def test_ground_truth_gives_mask_and_label(tmp_path):
    for stem, value in (("a", 0), ("b", 3)):
        files.write_png(tmp_path / f"{stem}.png", rgb())
        files.write_png(tmp_path / f"{stem}_gt.png", np.full((H, W), value, np.uint8))
    assert Folder(tmp_path).entries[0].gt is not None
    assert [s.label for s in Folder(tmp_path)] == [0, 1]
    assert Folder(tmp_path)[1].mask.all()


def test_intrinsics_json(tmp_path):
    path = tmp_path / "intrinsics.json"
    path.write_text(json.dumps({"fx": 100, "fy": 120, "cx": 3.5, "cy": 2.5}))
    assert Intrinsics.from_json(path) == CAMERA  # millimetres unless told
    save_depth(tmp_path, "depth.png", "a_depth")
    np.testing.assert_allclose(Folder(tmp_path)[0].xyz, slow_xyz(depth_mm(), CAMERA), atol=1e-6)
    for text in ("{", "[1]", '{"fx": 1}', '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "skew": 0}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"intrinsics\.json.*fx, fy, cx, cy, depth_scale"):
            Intrinsics.from_json(path)


def test_depth_scale_is_metres_per_unit():
    with pytest.raises(ValueError, match=r"0\.001 for millimetres"):
        Intrinsics(100, 100, 4, 3, depth_scale=1000)


def test_depth_without_intrinsics_says_what_to_do(tmp_path):
    save_depth(tmp_path, "depth.png", "a_depth")
    with pytest.raises(ValueError, match=r"a_depth\.png.*intrinsics\.json"):
        Folder(tmp_path)[0]


def test_depth_in_the_wrong_unit_is_millimetres(tmp_path):
    save_depth(tmp_path, "depth.png", "a_depth")
    with pytest.raises(ValueError, match=r"a_depth\.png.*divided by 1000"):
        Folder(tmp_path, Intrinsics(100, 120, 3.5, 2.5, depth_scale=1))[0]


def test_eight_bit_depth_is_refused(tmp_path):
    files.write_png(tmp_path / "a_depth.png", np.full((H, W), 7, np.uint8))
    with pytest.raises(ValueError, match=r"a_depth\.png.*16 bit"):
        Folder(tmp_path, CAMERA)[0]


@pytest.mark.parametrize("kind", ["ply", "pcd"])
def test_unorganised_cloud_is_refused(tmp_path, kind):
    files.write_png(tmp_path / "a.png", rgb())
    write_cloud(tmp_path / f"a.{kind}", np.full((1, 17, 3), 0.5))
    with pytest.raises(ValueError, match=rf"a\.{kind}: 17 points.*6 x 8.*organised"):
        Folder(tmp_path)[0]
    (tmp_path / f"a.{kind}").write_text("nonsense")
    with pytest.raises(ValueError, match=rf"a\.{kind}.*(no points|cannot be read)"):
        Folder(tmp_path)[0]


def test_pcd_says_its_own_size_and_ply_needs_a_picture(tmp_path):
    save_depth(tmp_path, "pcd", "a")
    text = (tmp_path / "a.pcd").read_bytes()
    text = text.replace(b"WIDTH 48\nHEIGHT 1", b"WIDTH 8\nHEIGHT 6")
    (tmp_path / "a.pcd").write_bytes(text)
    assert Folder(tmp_path)[0].shape == (H, W)
    (tmp_path / "a.pcd").unlink()
    save_depth(tmp_path, "ply", "a")
    with pytest.raises(ValueError, match=r"a\.ply: 48 points, expected a picture beside it"):
        Folder(tmp_path)[0]


@pytest.mark.parametrize("name", ["a.tiff", "a.npy"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x * np.nan, "NaN or Inf"),
        (lambda x: x * 0, "zero everywhere"),
        (lambda x: x[..., :2], r"\(H, W, 3\)"),
        (lambda x: (x * 100).astype(np.uint8), "float32"),
    ],
    ids=["nan", "zero", "channels", "8-bit"],
)
def test_bad_clouds_name_the_file(tmp_path, name, change, words):
    array = change(depth_to_xyz(depth_mm(), CAMERA))
    if name.endswith("npy"):
        np.save(tmp_path / name, array)
    else:
        tifffile.imwrite(tmp_path / name, array, photometric="minisblack")
    with pytest.raises(ValueError, match=rf"{name}.*{words}"):
        Folder(tmp_path)[0]


def test_pickled_and_truncated_arrays_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy.*cannot be read"):
        Folder(tmp_path)[0]
    np.save(tmp_path / "a.npy", depth_to_xyz(depth_mm(), CAMERA))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:300])
    with pytest.raises(ValueError, match=r"a\.npy.*cannot be read"):
        Folder(tmp_path)[0]


def test_a_scan_may_lack_what_others_have_and_two_of_one_stem_are_named(tmp_path):
    files.write_png(tmp_path / "a.png", rgb())
    files.write_png(tmp_path / "b.png", rgb())
    save_depth(tmp_path, "tiff", "a")
    save_depth(tmp_path, "tiff", "c")
    has = [(sample.rgb is not None, sample.xyz is not None) for sample in Folder(tmp_path)]
    assert has == [(True, True), (True, False), (False, True)]
    save_depth(tmp_path, "npy", "c")
    with pytest.raises(ValueError, match=r"c\.tiff.*remove one"):
        Folder(tmp_path)


def test_empty_and_missing(tmp_path):
    with pytest.raises(ValueError, match="no scans"):
        Folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Folder(tmp_path / "nowhere")


def test_real_stereo_frame(tmp_path):
    """scikit-image's motorcycle: real colour and disparity, the camera out of its docstring."""
    data = pytest.importorskip("skimage.data")  # the frame lies in scikit-image's wheel
    left, _, disparity = data.stereo_motorcycle()
    focal, cx, cy, shift, baseline = 994.978, 311.193, 254.877, 31.086, 0.193001
    with np.errstate(divide="ignore"):
        depth = baseline * focal / (disparity + shift)  # metres; NaN where there is no disparity
    Image.fromarray(left).save(tmp_path / "frame.png")
    np.save(tmp_path / "frame_depth.npy", depth)
    sample = Folder(tmp_path, Intrinsics(focal, focal, cx, cy, depth_scale=1.0))[0]
    assert sample.shape == (500, 741)
    assert sample.valid.mean() == pytest.approx(np.isfinite(disparity).mean())
    x, y, z = sample.xyz[sample.valid].T
    assert 1.5 < z.min() < z.max() < 5.5  # a motorcycle in a room, in metres
    assert 1.0 < np.ptp(x[z < 3]) < 4.0
    v, u = np.nonzero(sample.valid)
    assert np.corrcoef(v, y)[0, 1] > 0.9  # y down with the rows, x right with the columns
    assert np.corrcoef(u, x)[0, 1] > 0.9
    np.testing.assert_allclose(focal * x / z + cx, u, atol=0.01)  # back to its own pixel
    floor = np.median(sample.xyz[460:, 300:450][sample.valid[460:, 300:450]], axis=0)
    wall = np.median(sample.xyz[:40, 300:450][sample.valid[:40, 300:450]], axis=0)
    assert floor[1] > 0 > wall[1]  # right side up: the floor is below the camera, the wall above
    assert floor[2] < wall[2]  # and nearer


def test_a_folder_says_how_many_scans_it_holds(tmp_path):
    for stem in ("a", "b"):
        files.write_png(tmp_path / "rgb" / f"{stem}.png", rgb())
    assert repr(Folder(tmp_path)) == f"Folder(2 scans, {tmp_path}/rgb)"
    assert repr(Folder(tmp_path).entries[0]) == f"Entry(rgb, unlabelled, {tmp_path}/rgb/a.png)"
