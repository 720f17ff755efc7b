"""The MVTec 3D-AD layout: discovered, not known by name; lazy; and clear about what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lsfa_lite.data import files
from lsfa_lite.data.mvtec3d import MVTec3D, categories, write_sample
from lsfa_lite.data.sample import Sample


def scan(value: int, size: tuple[int, int] = (6, 8), defect: bool = False) -> Sample:
    rgb = np.full((*size, 3), value, np.uint8)
    xyz = np.full((*size, 3), 0.01 * (value + 1), np.float32)
    mask = np.zeros(size, bool)
    mask[1, 2] = defect
    return Sample(rgb, xyz, mask)


@pytest.fixture
def root(tmp_path):
    """Names and ids that no table of the real set holds; stems out of order on disk."""
    for stem in ("010", "000", "003"):
        write_sample(tmp_path / "gear/train/good", stem, scan(int(stem)))
    for path in (tmp_path / "gear/train/good/gt").iterdir():
        path.unlink()  # training folders have none
    (tmp_path / "gear/train/good/gt").rmdir()
    write_sample(tmp_path / "gear/validation/good", "000", scan(20))
    write_sample(tmp_path / "gear/test/good", "000", scan(30))
    write_sample(tmp_path / "gear/test/worn", "000", scan(40, defect=True), class_id=253)
    write_sample(tmp_path / "gear/test/bent", "000", scan(50, defect=True), class_id=1)
    (tmp_path / "gear/calibration").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "gear/test/worn/rgb/._000.png").write_bytes(b"left by another system")
    return tmp_path


def test_splits_are_discovered_in_sorted_order(root):
    data = MVTec3D(root, "gear")
    assert categories(root) == ["gear"]
    assert [int(s.rgb[0, 0, 0]) for s in data.train] == [0, 3, 10]
    assert len(data.validation) == 1
    assert data.test.defects == ["bent", "good", "worn"]
    assert data.test.labels == [1, 0, 1]
    assert data.defects == ["bent", "worn"]
    assert "train 3, validation 1, test 3" in repr(data)


def test_masks_are_binary_whatever_the_class_id(root):
    test = MVTec3D(root, "gear").test
    assert [int(s.mask.sum()) for s in test] == [1, 0, 1]
    assert all(s.mask.dtype == bool for s in test)
    assert test[0].mask[1, 2]


def test_good_without_gt_is_empty_and_a_defect_without_gt_is_unknown(root):
    assert not MVTec3D(root, "gear").train[0].mask.any()
    (root / "gear/test/bent/gt/000.png").unlink()
    assert MVTec3D(root, "gear").test[0].mask is None
    assert MVTec3D(root, "gear").test[0].label == 1


def test_sequence(root):
    train = MVTec3D(root, "gear").train
    part = train[1:]
    assert len(part) == 2
    assert part[0].path == train[1].path
    assert train[-1].path.endswith("010.png")
    assert len(train[:1][5:]) == 0
    with pytest.raises(IndexError):
        train[3]


def test_lazy(root):
    (root / "gear/train/good/xyz/003.tiff").write_bytes(b"no tiff")
    train = MVTec3D(root, "gear").train  # nothing is opened
    assert train[0].shape == (6, 8)
    with pytest.raises(ValueError, match=r"003\.tiff.*damaged"):
        train[1]


@pytest.mark.parametrize(("gone", "kept"), [("xyz", "rgb"), ("rgb", "xyz")])
def test_a_split_of_one_modality(root, gone, kept):
    before = MVTec3D(root, "gear").train[0]
    for path in (root / "gear/train/good" / gone).iterdir():
        path.unlink()
    sample = MVTec3D(root, "gear").train[0]
    assert getattr(sample, gone) is None
    np.testing.assert_array_equal(getattr(sample, kept), getattr(before, kept))


@pytest.mark.parametrize(
    ("gone", "word"), [("train/good/xyz/003.tiff", "003"), ("test/worn/xyz/000.tiff", "worn")]
)
def test_a_picture_without_cloud_is_named(root, gone, word):
    (root / "gear" / gone).unlink()
    with pytest.raises(ValueError, match=rf"{word}.*(3D|xyz)"):
        MVTec3D(root, "gear")


def test_a_cloud_without_picture_is_named(root):
    (root / "gear/train/good/rgb/003.png").unlink()
    with pytest.raises(ValueError, match=r"003\.tiff: has no rgb"):
        MVTec3D(root, "gear")


def test_what_was_not_marked_has_no_mask_and_a_mask_without_scan_is_named(root):
    write_sample(root / "gear/test/worn", "001", Sample(scan(1).rgb, scan(1).xyz))
    masks = {Path(s.path).name: s.mask is None for s in MVTec3D(root, "gear").test[2:]}
    assert masks == {"000.png": False, "001.png": True}
    files.write_png(root / "gear/test/worn/gt/007.png", np.ones((6, 8), np.uint8))
    with pytest.raises(ValueError, match=r"worn.gt.007\.png: has no scan"):
        MVTec3D(root, "gear")


def test_two_files_of_one_stem(root):
    files.write_png(root / "gear/train/good/rgb/000.jpg", scan(0).rgb)
    with pytest.raises(ValueError, match="same stem"):
        MVTec3D(root, "gear")


def test_sizes_that_disagree(root):
    files.write_tiff(root / "gear/train/good/xyz/000.tiff", scan(0, (5, 8)).xyz)
    with pytest.raises(ValueError, match=r"000\.png: rgb is \(6, 8\) but xyz is \(5, 8\)"):
        MVTec3D(root, "gear").train[0]
    files.write_png(root / "gear/test/bent/gt/000.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(ValueError, match=r"bent.*mask is \(9, 9\)"):
        MVTec3D(root, "gear").test[0]


def test_wrong_addresses(root):
    with pytest.raises(ValueError, match="no category 'gaer'; there are gear"):
        MVTec3D(root, "gaer")
    with pytest.raises(ValueError, match="itself a category"):
        MVTec3D(root / "gear", "gear")
    with pytest.raises(ValueError, match="holds no category"):
        MVTec3D(root / "notes", "gear")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        MVTec3D(root / "nowhere", "gear")


def test_category_without_training_scans(root):
    for path in (root / "gear/train/good").rglob("*.*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"train.good: no training scans"):
        MVTec3D(root, "gear")


def test_clouds_of_any_format(root):
    """The folder says what a file is: what `Folder` reads is read here too."""
    before = MVTec3D(root, "gear").train[1]
    np.save(root / "gear/train/good/xyz/003.npy", before.xyz)
    (root / "gear/train/good/xyz/003.tiff").unlink()
    np.testing.assert_array_equal(MVTec3D(root, "gear").train[1].xyz, before.xyz)


def test_class_id_out_of_range(tmp_path):
    with pytest.raises(ValueError, match="class_id 0"):
        write_sample(tmp_path, "000", scan(1, defect=True), class_id=0)
    assert not list(tmp_path.iterdir())


def test_what_there_is_is_said_in_one_line_without_reading(root):
    data = MVTec3D(root, "gear")
    for path in root.rglob("000.*"):
        path.write_bytes(b"unread")
    assert repr(data) == "MVTec3D(gear: train 3, validation 1, test 3; defects bent, worn)"
    assert repr(data.test) == f"Scans(3 scans, 1 bent, 1 good, 1 worn, {root}/gear/test)"
    assert repr(data.train[:1]) == f"Scans(1 scans, 1 good, {root}/gear/train/good/rgb)"
    assert repr(data.train[:0]) == "Scans(0 scans, -)"
    first, last = data.train.entries[0], data.test.entries[-1]
    assert repr(first) == f"Entry(rgb + xyz, good, {root}/gear/train/good/rgb/000.png)"
    assert repr(last) == f"Entry(rgb + xyz + gt, worn, {root}/gear/test/worn/rgb/000.png)"
