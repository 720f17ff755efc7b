"""Folders as recorders, systems and people lay them out: what is paired, and what is learned."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from conftest import without

from lsfa_lite import LSFADetector
from lsfa_lite.data import files
from lsfa_lite.data.folder import Folder
from lsfa_lite.data.mvtec3d import MVTec3D, write_sample
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.scans import Good, Scans

RGB = np.full((8, 8, 3), 90, np.uint8)
DEPTH = np.full((8, 8), 500, np.uint16)
XYZ = np.full((8, 8, 3), 0.5, np.float32)
NFC, NFD = (unicodedata.normalize(form, "prüf-Å-é") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("picture", "depth"),
    [
        ("color/000.png", "depth/000.png"),
        ("Color/000.png", "Depth/000.png"),
        ("colour/000.png", "depth/000.png"),
        ("images/000.png", "depth/000.png"),
        ("color/000_color.png", "depth/000_depth.png"),
        ("000_Color.png", "000_Depth.png"),
        ("image/000.png", "000_depth.png"),
    ],
)
def test_recorders(tmp_path, picture, depth):
    files.write_png(tmp_path / picture, RGB)
    files.write_png(tmp_path / depth, DEPTH)
    camera = {"fx": 500, "fy": 500, "cx": 4, "cy": 4}
    (tmp_path / "intrinsics.json").write_text(json.dumps(camera))
    for path in (tmp_path, tmp_path / picture, tmp_path / depth):
        (sample,) = Folder(path)
        np.testing.assert_array_equal(sample.rgb, RGB)
        assert (sample.xyz[..., 2] == 0.5).all()


@pytest.mark.parametrize(("one", "other"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
@pytest.mark.parametrize("layout", ["rgb/{}.png xyz/{}.tiff gt/{}.png", "{}.png {}.tiff {}_gt.png"])
def test_a_name_is_a_name_however_its_umlauts_are_written(tmp_path, one, other, layout):
    picture, cloud, mask = layout.split()
    files.write_png(tmp_path / picture.format(one), RGB)
    files.write_tiff(tmp_path / cloud.format(other), XYZ)
    files.write_png(tmp_path / mask.format(other), np.ones((8, 8), np.uint8))
    for path in (tmp_path, tmp_path / picture.format(one), tmp_path / cloud.format(other)):
        (sample,) = Folder(path)
        assert sample.rgb is not None
        assert sample.xyz is not None
        assert sample.mask.all()


def test_a_category_and_its_scans_too(tmp_path):
    files.write_png(tmp_path / NFD / "train/good/rgb" / f"{NFC}.png", RGB)
    files.write_tiff(tmp_path / NFD / "train/good/xyz" / f"{NFD}.tiff", XYZ)
    (sample,) = MVTec3D(tmp_path, NFC).train
    assert sample.xyz is not None


def test_a_defect_may_be_called_color(tmp_path):
    """MVTec 3D-AD has one of that name."""
    for folder in ("train/good", "test/color", "test/depth"):
        write_sample(tmp_path / "foam" / folder, "000", Sample(RGB, XYZ))
    data = MVTec3D(tmp_path, "foam")
    assert data.defects == ["color", "depth"]
    assert all(s.rgb is not None and s.xyz is not None for s in data.test)
    files.write_png(tmp_path / "color/a.png", RGB)
    files.write_tiff(tmp_path / "color/a.tiff", XYZ)
    assert Folder(tmp_path / "color")[0].xyz is not None


# labels among what is to be learned


@pytest.fixture
def mixed(tmp_path):
    for split in ("train", "validation", "test"):
        write_sample(tmp_path / "cup" / split / "good", "000", Sample(RGB, XYZ))
    return tmp_path


@pytest.mark.parametrize(
    "odd",
    [["train/scratch"], ["validation/dent"], ["train/a", "train/b", "validation/c"], ["train/OK"]],
)
def test_what_lies_beside_good_is_left_out_loudly(mixed, odd, caplog):
    for folder in odd:
        write_sample(mixed / "cup" / folder, "000", Sample(RGB, XYZ))
        write_sample(mixed / "cup" / folder, "001", Sample(RGB, XYZ))
    data = MVTec3D(mixed, "cup")
    assert data.train.labels == data.validation.labels == [0]
    assert len(caplog.records) == len({folder.split("/")[0] for folder in odd})
    for folder in odd:
        assert f"{folder.split('/')[1]} (2)" in caplog.text


def test_nothing_beside_good_nothing_said(mixed, caplog):
    write_sample(mixed / "cup/test/dent", "000", Sample(RGB, XYZ))
    assert MVTec3D(mixed, "cup").test.labels == [1, 0]
    assert not caplog.records


def test_only_defects_to_train_on(mixed):
    (mixed / "cup/train/good").rename(mixed / "cup/train/scratch")
    with pytest.raises(ValueError, match=r"train.good: no training scans"):
        MVTec3D(mixed, "cup")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_fit_refuses_a_labelled_defect(rings, quick, split):
    splits = {name: list(rings[name]) for name in ("train", "validation")}
    splits[split][1] = replace(rings["train"][1], label=1, path="bad.png")
    what = "training" if split == "train" else "validation"
    with pytest.raises(ValueError, match=rf"bad\.png: is labelled defective.*the {what} parts"):
        LSFADetector(quick).fit(*splits.values())


def test_fit_refuses_a_defect_that_only_a_mask_tells_and_one_of_a_scans_list(tmp_path):
    for stem, marked in (("a", 0), ("b", 1)):
        files.write_png(tmp_path / f"{stem}.png", RGB)
        files.write_png(tmp_path / f"{stem}_gt.png", np.full((8, 8), marked, np.uint8))
    parts = Good(Folder(tmp_path), "training")
    assert len(parts) == 2
    assert parts[0].label == 0
    with pytest.raises(ValueError, match=r"b\.png: is labelled defective"):
        parts[1]
    entries = [replace(entry, label=1) for entry in Folder(tmp_path).entries]
    with pytest.raises(ValueError, match=r"a\.png: is labelled defective"):
        Good(Scans(entries), "training")


@pytest.mark.parametrize("gone", ["xyz", "rgb"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_validation_split_that_lacks_a_modality_is_named(rings, quick, gone, count):
    validation = [without(s, gone) for s in rings["validation"][:count]] + rings["validation"][
        count:
    ]
    modality = {"xyz": "3d", "rgb": "rgb"}[gone]
    with pytest.raises(ValueError, match=rf"^validation: no {modality} in"):
        LSFADetector(quick).fit(rings["train"], validation)
