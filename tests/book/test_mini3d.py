"""The embedded set: layout, determinism, geometry, masks, the nuisance dial, bad input."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from lsfa_book.mini3d import CATEGORIES, DEFECTS, KINDS, Mini3DConfig, make_sample, write
from lsfa_book.mini3d.shapes import VIEW
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.sample import Sample

SMALL = Mini3DConfig(size=64, train=2, validation=1, test_good=1, test_per_defect=1)
FULL = Mini3DConfig()
MEDIUM = dataclasses.replace(FULL, size=128)  # for the kinds of which nothing is shipped
NEW = [kind for kind in KINDS if kind not in CATEGORIES]
FLAWED = [(c, d) for c in KINDS for d in DEFECTS[c]]
COLOUR_ONLY = ("stain", "burn", "rust", "rot", "bruise", "green", "bloom")
SHAPE_ONLY = ("dent", "bump", "bent", "knob", "crushed", "bulge")
OPENED = [
    *(("carrot", "hole"), ("carrot", "cut"), ("foam", "hole"), ("foam", "cut"), ("peach", "bite")),
    *(("potato", "hole"), ("potato", "cut"), ("rope", "cut"), ("rope", "open"), ("tire", "torn")),
]

# Folder -> mean of the picture, pixels seen, sum of their depths in metres, pixels of the mask.
PINNED: dict[str, dict[str, tuple[float, int, float, int]]] = {
    "ring": {
        "train/good": (112.5294, 3263, 1681.0069, 0),
        "test/stain": (101.8274, 3201, 1644.1228, 57),
        "test/dent": (112.8302, 3270, 1677.6670, 57),
        "test/hole": (100.1762, 3239, 1626.3536, 14),
        "test/contamination": (93.4153, 3192, 1622.6717, 17),
    },
    "biscuit": {
        "train/good": (123.5260, 3714, 1909.2207, 0),
        "test/stain": (113.6260, 3696, 1879.1533, 56),
        "test/bump": (120.4280, 3670, 1878.5414, 62),
        "test/crack": (115.0457, 3693, 1814.3546, 12),
        "test/contamination": (119.9669, 3688, 1825.6074, 12),
    },
    "handle": {
        "train/good": (116.7004, 3448, 1776.0627, 0),
        "test/burn": (112.1117, 3391, 1721.3185, 69),
        "test/dent": (105.8070, 3430, 1727.5474, 87),
        "test/cut": (105.4598, 3435, 1736.0227, 11),
        "test/contamination": (105.8079, 3427, 1740.3001, 21),
    },
    "bracket": {
        "train/good": (120.5050, 3486, 1729.9155, 0),
        "test/rust": (116.4386, 3500, 1767.6866, 48),
        "test/bent": (111.9993, 3536, 1772.9440, 140),
        "test/cut": (114.7718, 3558, 1786.9673, 7),
        "test/contamination": (130.3575, 3487, 1760.9540, 11),
    },
}


def digest(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def heights(xyz: np.ndarray) -> np.ndarray:
    """Height in mm above the plane fitted to the border strip; NaN where nothing was seen."""
    seen = xyz[..., 2] > 0
    strip = np.ones_like(seen)
    strip[10:-10, 10:-10] = False
    points = xyz[strip & seen].astype(np.float64)
    middle = points.mean(axis=0)
    normal = np.linalg.svd(points - middle, full_matrices=False)[2][2]
    normal *= -np.sign(normal[2])  # towards the camera
    return np.where(seen, 1e3 * ((xyz - middle) @ normal), np.nan)


def dial(category: str) -> Mini3DConfig:
    return FULL if category in CATEGORIES else MEDIUM


def with_twin(category: str, defect: str, index: int = 0) -> tuple[Sample, Sample]:
    """A plain defect, and the same part, light and sensor noise without it."""
    address = category, f"test/{defect}", index, dial(category)
    return make_sample(*address, strength=0.8), make_sample(*address, strength=0)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("mini3d") / "set", SMALL, ("ring", "bracket"))


def test_layout_is_that_of_mvtec_3d_ad(written: Path) -> None:
    assert sorted(p.name for p in written.iterdir()) == ["bracket", "ring"]
    folders = ["train/good", "validation/good", *(f"test/{d}" for d in ("good", *DEFECTS["ring"]))]
    for folder in folders:
        for kind, name in (("rgb", "000.png"), ("xyz", "000.tiff"), ("gt", "000.png")):
            assert (written / "ring" / folder / kind / name).is_file(), (folder, kind)
    assert len(list((written / "ring").rglob("*.tiff"))) == 2 + 1 + 1 + 4
    xyz = tifffile.imread(written / "ring/train/good/xyz/001.tiff")
    assert xyz.shape == (64, 64, 3)
    assert xyz.dtype == np.float32


def test_ground_truth_holds_one_class_id_per_defect(written: Path) -> None:
    for number, defect in enumerate(DEFECTS["bracket"]):
        gt = np.asarray(Image.open(written / "bracket/test" / defect / "gt/000.png"))
        assert gt.ndim == 2
        assert set(np.unique(gt)) == {0, 255 - number}
    assert not np.asarray(Image.open(written / "bracket/test/good/gt/000.png")).any()


def test_same_seed_same_bytes_and_another_seed_others(written: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again", SMALL, ("ring",))
    first = {k: v for k, v in digest(written).items() if k.startswith("ring")}
    assert digest(again) == first
    other = digest(write(tmp_path / "other", dataclasses.replace(SMALL, seed=1), ("ring",)))
    assert other.keys() == first.keys()
    scans = [k for k in first if "/gt/" not in k]
    assert not any(other[k] == first[k] for k in scans)


def test_a_sample_does_not_depend_on_counts_and_differs_from_its_neighbours() -> None:
    more = dataclasses.replace(SMALL, train=9, test_per_defect=5)
    a, b = (make_sample("ring", "train/good", 1, c) for c in (SMALL, more))
    np.testing.assert_array_equal(a.rgb, b.rgb)
    np.testing.assert_array_equal(a.xyz, b.xyz)
    others = [("ring", "train/good", 2), ("ring", "validation/good", 1), ("ring", "test/good", 1)]
    for address in others:
        assert not np.array_equal(a.rgb, make_sample(*address, SMALL).rgb)


@pytest.mark.parametrize("category", KINDS)
def test_geometry_is_a_part_on_a_table_under_a_pin_hole_camera(category: str) -> None:
    size = dial(category).size
    sample = make_sample(category, "train/good", 0, dial(category))
    xyz, rgb = sample.xyz.astype(np.float64), sample.rgb
    assert rgb.shape == (size, size, 3)
    assert rgb.dtype == np.uint8
    seen = sample.valid
    assert 0.001 < (~seen).mean() < 0.12 * 256 / size  # edges: a pixel wide at any size
    assert not sample.xyz[~seen].any()
    assert 0.4 < xyz[seen][:, 2].min() < xyz[seen][:, 2].max() < 0.6
    # each point lies on its pixel's ray
    focal = size * FULL.distance / (1e-3 * VIEW[category])
    v, u = np.nonzero(seen)
    z = xyz[seen][:, 2]
    np.testing.assert_allclose(xyz[seen][:, 0] / z * focal, u + 0.5 - size / 2, atol=2e-3)
    np.testing.assert_allclose(xyz[seen][:, 1] / z * focal, v + 0.5 - size / 2, atol=2e-3)
    assert np.median(z) / focal < 1.3e-3  # pixel pitch about a millimetre at most
    # the cut at 5 mm above the table leaves one part, of the size meant, clear of the border
    height = heights(xyz)
    part = ndimage.binary_closing(np.nan_to_num(height) > 5, np.ones((3, 3)))
    labels, _ = ndimage.label(part, np.ones((3, 3)))
    largest = np.bincount(labels.flat)[1:].max()
    assert largest > 0.995 * part.sum()
    assert 0.20 < part.mean() < 0.45
    assert 12 < np.nanpercentile(height[part], 98) < 40
    rim = size // 42
    assert not part[:rim].any() and not part[-rim:].any()  # noqa: PT018
    assert not part[:, :rim].any() and not part[:, -rim:].any()  # noqa: PT018
    table = height[:10][np.isfinite(height[:10])]
    assert 0.08 < table.std() < 0.5  # mm: sensor noise, and nothing else


@pytest.mark.parametrize(("category", "defect"), FLAWED)
def test_mask_marks_what_changed(category: str, defect: str) -> None:
    """Against the twin without the defect: same part, light and sensor noise."""
    bad, twin = with_twin(category, defect)
    assert (bad.label, twin.label, twin.defect) == (1, 0, "good")
    assert not twin.mask.any()
    assert 6e-4 < bad.mask.mean() < 0.07
    near = ndimage.binary_dilation(bad.mask, iterations=2)
    both = bad.valid & twin.valid
    deep = 1e3 * np.linalg.norm(bad.xyz - twin.xyz, axis=-1)
    tone = np.abs(bad.colour - twin.colour).max(axis=-1)
    assert (deep[both & ~near] > 0.3).mean() < 0.002
    assert (tone[~near] > 0.03).mean() < 0.04  # its shadow may fall beside it
    inside = bad.mask & both
    plain = 0.05 if category != "tire" else 0.03  # black in black
    if defect in COLOUR_ONLY:
        assert deep[both].max() < 1e-3
        assert np.median(tone[bad.mask]) > (0.08 if category != "foam" else 0.04)
    elif defect in SHAPE_ONLY:
        assert np.median(deep[inside]) > 0.4
        assert np.median(tone[bad.mask]) < 0.12
    elif (category, defect) in OPENED:  # what has changed may be that no point is left
        gone = twin.valid & ~bad.valid
        assert (gone | (both & (deep > 0.3)))[bad.mask & twin.valid].mean() > 0.7
        assert np.median(tone[bad.mask]) > plain
    else:
        assert np.median(deep[inside]) > 0.4
        assert np.median(tone[bad.mask]) > plain


@pytest.mark.parametrize(("category", "defect"), FLAWED)
def test_masks_are_never_empty(category: str, defect: str) -> None:
    hard = dataclasses.replace(FULL, nuisance=1.0, strength=(0.02, 0.02), size=128)
    for index in range(2):
        assert make_sample(category, f"test/{defect}", index, hard).mask.sum() >= 4


def test_ten_kinds_with_four_defects_each_and_the_four_of_the_records_among_them() -> None:
    assert len(KINDS) == len(set(KINDS)) == 10
    assert all(len(set(DEFECTS[kind])) == 4 for kind in KINDS)
    assert CATEGORIES == ("ring", "biscuit", "handle", "bracket")
    assert set(CATEGORIES) < set(KINDS)
    for kind in KINDS:
        first, second, *both = DEFECTS[kind]
        assert first in COLOUR_ONLY
        assert second in SHAPE_ONLY
        assert not {*both} & {*COLOUR_ONLY, *SHAPE_ONLY}


@pytest.mark.parametrize("kind", NEW)
def test_a_new_kind_is_the_same_again_and_varies_from_part_to_part(kind: str) -> None:
    small = dataclasses.replace(SMALL, nuisance=0.0)
    one, again, other = (make_sample(kind, "train/good", i, small) for i in (0, 0, 1))
    np.testing.assert_array_equal(one.rgb, again.rgb)
    np.testing.assert_array_equal(one.xyz, again.xyz)
    assert np.abs(one.colour - other.colour).mean() > 0.01  # nature's share, with the dial at zero
    reseeded = make_sample(kind, "train/good", 0, dataclasses.replace(small, seed=1))
    assert not np.array_equal(one.rgb, reseeded.rgb)


@pytest.mark.parametrize("kind", NEW)
def test_a_new_kind_survives_the_removal_of_its_table_as_one_part(kind: str) -> None:
    sample = make_sample(kind, "train/good", 1, MEDIUM)
    above = np.nan_to_num(heights(sample.xyz)) > 6
    kept = remove_background(sample).valid
    assert (kept & above).sum() > 0.9 * above.sum()  # at 128 pixels steep flanks are thin
    assert (kept & ~ndimage.binary_dilation(above, iterations=2)).sum() <= 0.002 * kept.sum()


@pytest.mark.parametrize(("kind", "defect"), OPENED)
def test_masks_of_opened_parts_reach_past_the_points_as_far_as_real_ones(
    kind: str, defect: str
) -> None:
    """Of a real cut's mask a fifth has no point once the table is removed, of a bend's a sixth."""
    parts = [make_sample(kind, f"test/{defect}", index, FULL) for index in range(4)]
    share = np.mean([(~part.valid)[part.mask].mean() for part in map(remove_background, parts)])
    assert 0.1 < share < 0.35  # four samples scatter; over a folder .12 to .30


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_kinds_of_the_shipped_records_stay_as_they_are(category: str) -> None:
    for folder, expected in PINNED[category].items():
        sample = make_sample(category, folder, 1, SMALL)
        sums = sample.rgb.mean(), sample.valid.sum(), sample.xyz[..., 2].sum(), sample.mask.sum()
        assert sums == pytest.approx(expected, abs=2e-3), folder


def test_strength_spreads_from_easy_to_hard() -> None:
    """The default strengths of a folder reach both ends: seen as the change that they cause."""
    change = []
    for index in range(8):
        bad = make_sample("biscuit", "test/stain", index, FULL)
        twin = make_sample("biscuit", "test/stain", index, FULL, strength=0)
        change.append(np.abs(bad.colour - twin.colour)[bad.mask].mean())
    assert max(change) > 3 * min(change)


def test_nuisance_dial_moves_the_brightness_of_the_pictures() -> None:
    spread = []
    for nuisance in (0.0, 0.5, 1.0):
        config = dataclasses.replace(SMALL, nuisance=nuisance)
        samples = [make_sample("biscuit", "train/good", i, config) for i in range(12)]
        spread.append(np.std([s.rgb[24:40, 24:40].mean() for s in samples]))
    assert spread[0] * 2 < spread[1] < spread[2]


def test_depth_noise_grows_with_distance() -> None:
    noise = []
    for distance in (0.4, 0.6):
        config = dataclasses.replace(FULL, distance=distance, nuisance=0.0)
        height = heights(make_sample("biscuit", "train/good", 0, config).xyz)
        noise.append(np.nanstd(height[:10]))
    assert noise[1] / noise[0] == pytest.approx(1.5**2, rel=0.15)


def test_write_refuses_a_folder_that_holds_files(tmp_path: Path) -> None:
    (tmp_path / "ring").mkdir()
    (tmp_path / "ring" / "mine.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match=r"ring is not empty.*delete"):
        write(tmp_path, SMALL, ("bracket", "ring"))
    assert [p.name for p in tmp_path.rglob("*")] == ["ring", "mine.txt"]  # nothing half done


def test_a_broken_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lsfa_book.mini3d.generate.write_sample", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "set", SMALL, ("ring",))
    assert list((tmp_path / "set").iterdir()) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (("bagel", "train/good", 0), f"no category 'bagel'.*{', '.join(KINDS)}"),
        (("ring", "test/rust", 0), "no folder 'test/rust'.*test/dent"),
        (("ring", "train/good", -1), "index is -1"),
    ],
)
def test_wrong_address_is_named(address: tuple[str, str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_sample(*address, SMALL)


@pytest.mark.parametrize(
    ("field", "value"),
    [("nuisance", 1.5), ("strength", (0.0, 1.0)), ("strength", (0.9, 0.1)), ("size", 8)],
)
def test_wrong_configuration_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(FULL, **{field: value})
