"""Background removal: the part stays, the table goes, and a second time nothing happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SCANS

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data import background, files
from lsfa_lite.data.depth import read_cloud
from lsfa_lite.data.mvtec3d import MVTec3D, write_sample
from lsfa_lite.data.sample import Sample

CONFIG = BackgroundConfig()


def scene(
    height: int = 120, width: int = 120, radius: float = 0.03, seed: int = 0
) -> tuple[Sample, np.ndarray]:
    """A dome on a tilted, noisy table, half a metre away, and (H, W) bool: where the dome is."""
    v, u = np.indices((height, width))
    x, y = (u - width / 2) * 0.001, (v - height / 2) * 0.001
    rise = 0.02 * np.sqrt(np.clip(1 - (x**2 + y**2) / radius**2, 0, None))
    rng = np.random.default_rng(seed)
    z = 0.5 + 0.2 * y - 0.1 * x - rise + rng.normal(0, 0.0005, x.shape)
    xyz = np.stack([x, y, z], axis=-1).astype(np.float32)
    rgb = rng.integers(1, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), bool)
    mask[height // 2, width // 2 + 5] = True
    return Sample(rgb, xyz, mask, 1, "dent", "scene"), rise > 0.009


def same(a: Sample, b: Sample) -> bool:
    return all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("rgb", "xyz", "mask"))


def test_part_stays_and_table_goes():
    sample, dome = scene()
    before = sample.xyz.copy(), sample.rgb.copy()
    cleaned = background.remove_background(sample, CONFIG)
    assert cleaned.valid[dome].all()
    far = np.hypot(*(np.indices((120, 120)) - 60)) > 30
    assert not cleaned.xyz[far].any()
    assert not cleaned.rgb[far].any()
    np.testing.assert_array_equal(cleaned.xyz[cleaned.valid], sample.xyz[cleaned.valid])
    np.testing.assert_array_equal(cleaned.rgb[cleaned.valid], sample.rgb[cleaned.valid])
    assert np.array_equal(before[0], sample.xyz)  # out of place
    assert np.array_equal(before[1], sample.rgb)
    assert (cleaned.label, cleaned.defect, cleaned.path) == (1, "dent", "scene")


def test_plane_of_a_known_tilt():
    """The table is z = 0.5 + 0.2 y - 0.1 x: its unit normal, towards the camera, is known."""
    sample, _ = scene()
    plane = background.border_plane(sample.xyz, CONFIG)
    normal = np.array([-0.1, 0.2, -1]) / np.sqrt(0.1**2 + 0.2**2 + 1)
    np.testing.assert_allclose(plane[:3], normal, atol=2e-3)
    assert plane[3] == pytest.approx(0.5 / np.sqrt(1.05), abs=5e-4)
    height = background.plane_distance(np.array([[0.0, 0.0, 0.4]], np.float32), plane)
    assert height[0] == pytest.approx(0.1 / np.sqrt(1.05), abs=5e-4)


def test_least_squares_plane_is_a_batch_of_svds():
    points = np.random.default_rng(0).normal((0, 0, 4), 1, size=(7, 5, 3))
    for one, plane in zip(points, background.least_squares_plane(points), strict=True):
        normal = np.linalg.svd(one - one.mean(0))[2][2]
        assert abs(normal @ plane[:3]) == pytest.approx(1)
        assert plane[:3] @ one.mean(0) + plane[3] == pytest.approx(0, abs=1e-12)
        assert plane[3] >= 0  # the camera is above


@pytest.mark.parametrize("shape", [(120, 120), (100, 140), (140, 100), (101, 120)])
@pytest.mark.parametrize("keep", ["largest", "sizeable"])
@pytest.mark.parametrize("pad", [True, False])
def test_idempotent(shape, keep, pad):
    config = replace(CONFIG, keep=keep, pad=pad)
    sample, _ = scene(*shape)
    once = background.remove_background(sample, config)
    assert same(once, background.remove_background(once, config))
    assert not same(once, sample)
    assert background.border_plane(once.xyz, config) is None


def test_idempotent_for_a_part_with_a_flat_top_that_reaches_the_border():
    """Its rim lies in one plane, its top in another: neither may be taken for a table."""
    sample, _ = scene()
    xyz = sample.xyz.copy()
    plank = np.zeros((120, 120), bool)
    plank[50:66] = True
    xyz[plank, 2] -= 0.012
    once = background.remove_background(replace(sample, xyz=xyz), CONFIG)
    assert once.valid[plank].all()
    assert same(once, background.remove_background(once, CONFIG))


def test_deterministic():
    sample, _ = scene()
    assert same(background.remove_background(sample), background.remove_background(sample))
    points = sample.xyz.reshape(-1, 3).astype(float)
    planes = [background.fit_plane(points, points, replace(CONFIG, seed=s)) for s in (0, 0, 1)]
    np.testing.assert_array_equal(planes[0], planes[1])
    np.testing.assert_allclose(planes[0], planes[2], atol=1e-3)


@pytest.mark.parametrize("points", [3, 8])
def test_ransac_ignores_outliers(points):
    sample, _ = scene()
    xyz = sample.xyz.copy()
    xyz[:40, :, 2] -= np.random.default_rng(1).uniform(0.02, 0.2, (40, 120)).astype(np.float32)
    plane = background.border_plane(xyz, replace(CONFIG, ransac_points=points))
    clean = background.border_plane(sample.xyz, CONFIG)
    assert plane[:3] @ clean[:3] > np.cos(np.deg2rad(0.5))


def test_part_with_nothing_around_it_is_left_alone():
    sample, dome = scene()
    xyz = np.where(dome[..., None], sample.xyz, 0)
    cleaned = background.remove_background(replace(sample, xyz=xyz), CONFIG)
    np.testing.assert_array_equal(cleaned.xyz, xyz)


def test_points_behind_the_table_go():
    sample, _ = scene()
    xyz = sample.xyz.copy()
    xyz[5:30, 5:30, 2] += 0.05
    cleaned = background.remove_background(
        replace(sample, xyz=xyz), replace(CONFIG, keep="sizeable")
    )
    assert not cleaned.valid[5:30, 5:30].any()


def slow_dbscan(points: np.ndarray, radius: float, least: int) -> np.ndarray:
    """Textbook DBSCAN with a full distance matrix: (P,) labels, -1 is noise."""
    near = np.linalg.norm(points[:, None] - points[None], axis=-1) <= radius
    core = near.sum(1) >= least
    label = np.full(len(points), -1)
    for seed in np.nonzero(core)[0]:
        if label[seed] >= 0:
            continue
        label[seed] = new = label.max() + 1
        todo = [seed]
        while todo:
            for other in np.nonzero(near[todo.pop()] & (label < 0))[0]:
                label[other] = new
                if core[other]:
                    todo.append(other)
    return label


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Two dense patches of 400 and 150 points 5 cm apart, and 600 far-flung single points."""
    rng = np.random.default_rng(0)
    big = rng.uniform(0, 0.02, (400, 3)) * [1, 1, 0.1]
    small = rng.uniform(0, 0.01, (150, 3)) * [1, 1, 0.1] + [0.07, 0, 0]
    noise = rng.uniform((-2, -2, 3), (2, 2, 7), (600, 3))
    points = np.concatenate([noise, small, big])
    return points, slow_dbscan(points, CONFIG.cluster_radius, CONFIG.cluster_points)


def test_clusters_against_textbook_dbscan_and_noise_never_wins():
    points, truth = blobs()
    assert (truth == -1).sum() > 500  # noise is the most frequent label
    largest = background.largest_cluster(points, CONFIG)
    np.testing.assert_array_equal(largest, truth == truth[-1])
    both = background.largest_cluster(points, replace(CONFIG, keep="sizeable", sizeable=100))
    np.testing.assert_array_equal(both, truth >= 0)
    one = background.largest_cluster(points, replace(CONFIG, keep="sizeable", sizeable=200))
    np.testing.assert_array_equal(one, largest)


def test_only_noise_keeps_nothing():
    points, truth = blobs()
    for keep in ("largest", "sizeable"):
        noise = background.largest_cluster(points[truth < 0], replace(CONFIG, keep=keep))
        assert not noise.any()
    assert background.largest_cluster(np.zeros((0, 3)), CONFIG).shape == (0,)


def test_colour_stays_in_gaps_of_the_sensor_and_goes_where_the_table_shows():
    ring = np.zeros((12, 12), bool)
    ring[1:11, 1:11] = True
    ring[3:5, 3:5] = False  # the sensor saw nothing
    ring[6:9, 6:9] = False  # the table shows
    valid = np.ones((12, 12), bool)
    valid[3:5, 3:5] = False
    valid[6, 6] = False
    valid[0, 0] = False
    gaps = np.zeros((12, 12), bool)
    gaps[3:5, 3:5] = True
    np.testing.assert_array_equal(background.holes(ring, valid), gaps)


def test_pad_square_centres():
    array = np.arange(6).reshape(2, 3) + 1
    np.testing.assert_array_equal(
        background.pad_square(np.arange(1, 13).reshape(2, 6)),
        [[0] * 6, [0] * 6, [1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12], [0] * 6, [0] * 6],
    )
    np.testing.assert_array_equal(background.pad_square(array), [[1, 2, 3], [4, 5, 6], [0, 0, 0]])


def test_padding_moves_all_arrays_alike():
    sample, _ = scene(100, 140)
    wide = background.remove_background(sample, replace(CONFIG, pad=True))
    plain = background.remove_background(sample, CONFIG)
    assert wide.xyz.shape == (140, 140, 3)
    for key in ("xyz", "rgb", "mask"):
        np.testing.assert_array_equal(getattr(wide, key)[20:120], getattr(plain, key))
        assert not getattr(wide, key)[:20].any()
    assert wide.mask.sum() == 1


@pytest.mark.parametrize("shape", [(120, 120), (60, 140), (141, 70)])
def test_the_part_is_the_same_with_and_without_padding(shape):
    """In the flat frames the dome reaches the border; a square gets no pixel at all."""
    sample, _ = scene(*shape)
    plain = background.remove_background(sample, CONFIG)
    wide = background.remove_background(sample, replace(CONFIG, pad=True))
    top, left = ((max(shape) - side) // 2 for side in shape)
    inside = slice(top, top + shape[0]), slice(left, left + shape[1])
    for key in ("xyz", "rgb", "mask"):
        whole, recorded = getattr(wide, key), getattr(plain, key)
        np.testing.assert_array_equal(whole[inside], recorded)
        assert np.count_nonzero(whole) == np.count_nonzero(recorded)
    assert plain.shape == shape
    assert wide.shape == (max(shape), max(shape))


@pytest.mark.parametrize("pad", [False, True])
def test_a_bar_that_runs_through_a_narrow_frame_is_no_table(pad):
    """Without its table a fifth of the border is its two ends, which lie in one plane."""
    sample, _ = scene(141, 70, radius=1e-9)
    bar = np.zeros(sample.shape, dtype=bool)
    bar[50:90] = True
    xyz = sample.xyz.copy()
    xyz[bar, 2] -= 0.02
    config = replace(CONFIG, pad=pad)
    once = background.remove_background(replace(sample, xyz=xyz), config)
    np.testing.assert_array_equal(once.valid[:, 35:105] if pad else once.valid, bar)
    assert same(once, background.remove_background(once, config))


def test_errors_name_the_sample():
    sample, _ = scene()
    with pytest.raises(ValueError, match="scene: no xyz"):
        background.remove_background(replace(sample, xyz=None), CONFIG)
    table, _ = scene(radius=1e-9)
    with pytest.raises(ValueError, match="scene: nothing is left"):
        background.remove_background(table, CONFIG)


# clean_folder


@pytest.fixture
def root(tmp_path):
    for category in ("dome", "knob"):
        for index in range(2):
            good = replace(scene(100, 120, seed=index)[0], mask=None, label=0)
            write_sample(tmp_path / "src" / category / "train/good", f"{index:03d}", good)
        write_sample(tmp_path / "src" / category / "test/dent", "000", scene(100, 120)[0], 253)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_clean_folder_keeps_layout_and_ids(root):
    before = content(root / "src")
    assert background.clean_folder(root / "src", root / "out") == 6
    assert content(root / "src") == before
    assert set(content(root / "out")) == set(before) | {"clean.json"}
    data = MVTec3D(root / "out", "knob")
    wanted = background.remove_background(MVTec3D(root / "src", "knob").test[0])
    assert same(data.test[0], wanted)
    assert data.train[0].shape == (100, 120)
    ids = files.read_ids(root / "out/knob/test/dent/gt/000.png")
    assert set(np.unique(ids)) == {0, 253}


@pytest.mark.parametrize("pad", [False, True])
def test_clean_folder_in_two_processes_writes_the_same_bytes_and_goes_on(root, pad):
    config, side = replace(CONFIG, pad=pad), 120 if pad else 100
    background.clean_folder(root / "src", root / "one", config)
    both = root / "src", root / "two", config
    assert background.clean_folder(*both, only=["knob"], workers=2) == 3
    assert background.clean_folder(*both, workers=2) == 3
    assert content(root / "two") == content(root / "one")
    assert MVTec3D(root / "two", "knob").test[0].shape == (side, 120)
    assert background.clean_folder(*both, workers=2) == 0
    with pytest.raises(ValueError, match="workers = 0"):
        background.clean_folder(root / "src", root / "none", workers=0)
    assert not (root / "none").exists()


def test_clean_folder_goes_on_where_it_stopped(root):
    assert background.clean_folder(root / "src", root / "out", only=["dome"]) == 3
    assert not (root / "out/knob").exists()
    lost = root / "out/dome/train/good/xyz/001.tiff"
    content_before = lost.read_bytes()
    lost.unlink()
    assert background.clean_folder(root / "src", root / "out", only=["dome"]) == 1
    assert lost.read_bytes() == content_before
    assert background.clean_folder(root / "src", root / "out") == 3


def test_clean_folder_never_mixes_settings(root, caplog):
    """A folder of the time when pad was the default is named as that, and goes on as it was."""
    earlier = replace(CONFIG, pad=True, keep="sizeable")
    assert background.clean_folder(root / "src", root / "out", earlier, only=["dome"]) == 3
    before = content(root / "out")
    words = r"clean\.json: the folder was begun with keep=sizeable, pad=True; ask for the same"
    with pytest.raises(ValueError, match=words):
        background.clean_folder(root / "src", root / "out")
    assert content(root / "out") == before
    assert background.clean_folder(root / "src", root / "out", earlier) == 3
    background.warn_if_padded(root / "src")
    assert not caplog.records
    background.warn_if_padded(root / "out")
    assert "out/clean.json: pad is true" in caplog.text
    (root / "out/clean.json").write_text("{}")
    with pytest.raises(ValueError, match=r"out/clean\.json: .*missing fields .*another folder"):
        background.clean_folder(root / "src", root / "out")


@pytest.mark.parametrize("out", ["src", "src/dome", "src/../src/new"])
def test_clean_folder_never_in_place(root, out):
    before = content(root / "src")
    with pytest.raises(ValueError, match="never touched"):
        background.clean_folder(root / "src", root / out)
    assert content(root / "src") == before


@pytest.mark.parametrize("workers", [1, 2])
def test_clean_folder_names_a_bad_file_and_leaves_nothing_half(root, workers):
    bad = root / "src/dome/train/good/xyz/001.tiff"
    bad.write_bytes(bad.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"001\.tiff: cannot be read as a TIFF"):
        background.clean_folder(root / "src", root / "out", workers=workers)
    left = content(root / "out")
    assert not [name for name in left if Path(name).match("dome/train/good/*/001.*")]
    assert not [name for name in left if ".part" in name]
    with pytest.raises(ValueError, match="no category 'cup'; there are dome, knob"):
        background.clean_folder(root / "src", root / "out", only=["cup"])


# a real sensor


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.skipif(not SCANS.is_dir(), reason="no real scans; set LSFA_REAL_SCANS to their folder")
def test_real_kinect_scans():
    """Table removed = valid pixels cut by the plane, against label 1; kept against labels > 1."""
    # Several boxes of decimetres, pixels 2 mm apart and noise of millimetres: a wider radius.
    config = BackgroundConfig(plane_distance=0.01, cluster_radius=0.02, keep="sizeable", pad=False)
    table, kept, largest = [], [], []
    for folder in sorted(SCANS.glob("*/")):
        xyz = read_cloud(folder / "xyz.tiff")
        label = files.read_ids(folder / "label.png")
        sample = Sample(files.read_rgb(folder / "rgb.png"), xyz, path=folder.name)
        height = background.plane_distance(xyz, background.border_plane(xyz, config))
        table.append(iou(sample.valid & (height <= config.plane_distance), label == 1))
        cleaned = background.remove_background(sample, config)
        kept.append(iou(cleaned.valid, label > 1))
        assert same(cleaned, background.remove_background(cleaned, config))
        one = background.remove_background(cleaned, replace(config, keep="largest"))
        largest.append(iou(one.valid, label > 1))
    assert len(table) >= 6
    print(f"\ntable {np.mean(table):.4f}, kept {np.mean(kept):.4f}, largest {np.mean(largest):.4f}")
    assert np.mean(table) >= 0.98
    assert np.mean(kept) >= 0.93
    assert np.mean(largest) < np.mean(kept)  # several objects lie there
