"""Clouds and depth as devices write them: codes for holes, units, compression, and their words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data import files
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.depth import depth_to_xyz, read_cloud
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.sample import Sample
from lsfa_lite.data.units import likely_unit, outliers
from lsfa_lite.errors import NoPart

CAMERA = Intrinsics(500, 500, 32, 32)
v, u = np.indices((64, 64))


def cloud(z: float = 0.5, centred: bool = False) -> np.ndarray:
    """A dome on a plane, pixels z / 500 apart."""
    rise = 0.02 * np.sqrt(np.clip(1 - ((u - 32) ** 2 + (v - 32) ** 2) / 20**2, 0, None))
    depth = z - rise
    xyz = np.stack([(u - 32) / 500 * depth, (v - 32) / 500 * depth, depth], -1)
    return (xyz - [0, 0, z] if centred else xyz).astype(np.float32)


def write(path, xyz: np.ndarray) -> None:
    tifffile.imwrite(path, xyz.astype(np.float32), photometric="minisblack", planarconfig="contig")


@pytest.mark.parametrize("share", [1 / 4096, 0.05, 0.6, 0.9])
@pytest.mark.parametrize(
    "code", [(0, 0, 65.535), (-9999, -9999, -9999), (0, 0, 1e10), (-9.999,) * 3]
)
def test_codes_for_holes_become_holes(tmp_path, code, share, caplog):
    xyz, hole = cloud(), np.random.default_rng(0).permutation(4096).reshape(64, 64) < share * 4096
    xyz[hole] = code
    np.testing.assert_array_equal(outliers(xyz), hole)
    write(tmp_path / "a.tiff", xyz)
    caplog.set_level("INFO")
    np.testing.assert_array_equal(
        read_cloud(tmp_path / "a.tiff"), np.where(hole[..., None], 0, cloud())
    )
    assert f"a.tiff: {hole.sum()} pixels hold no distance" in caplog.text


@pytest.mark.parametrize("kind", ["saturated", "flying", "float -1", "float 1e10", "float nan"])
def test_codes_in_a_depth_picture(tmp_path, kind):
    depth = np.full((64, 64), 500, np.uint16)
    depth[:2] = 65535 if kind == "saturated" else 20000 if kind == "flying" else 500
    path = tmp_path / "a.png"
    if kind.startswith("float"):
        values = depth.astype(np.float32)
        values[:2] = float(kind.split()[1])
        path = tmp_path / "a.npy"
        np.save(path, values)
    else:
        files.write_png(path, depth)
    xyz = read_cloud(path, CAMERA)
    assert not xyz[:2].any()
    assert (xyz[2:, :, 2] == np.float32(0.5)).all()


@pytest.mark.parametrize("scale", [0.001, 0.0001])
def test_saturation_is_no_distance_at_any_scale(scale):
    depth = np.full((64, 64), 500, np.uint16)
    depth[5, 5] = 65535
    assert not depth_to_xyz(depth, replace(CAMERA, depth_scale=scale))[5, 5].any()


def test_nothing_real_is_taken_for_a_code():
    room = cloud(0.5)
    room[:20] *= 9  # a wall at 4.5 m behind a part at half a metre
    for xyz in (cloud(), cloud(centred=True), room, cloud() * 1000, np.ones((8, 8, 3), np.float32)):
        assert not outliers(xyz).any()


UNITS = {"decimetres": 10, "centimetres": 100, "millimetres": 1000, "micrometres": 1e6}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("z", [0.3, 0.5, 1.0])
def test_the_unit_is_named_by_reader_or_cleaner(tmp_path, unit, z):
    xyz = cloud(z) * np.float32(UNITS[unit])
    assert likely_unit(xyz).name == unit
    write(tmp_path / "a.tiff", xyz)
    config = BackgroundConfig(plane_distance=100)  # so that nothing is left, whatever it is
    with pytest.raises(ValueError, match=rf"{unit}|cannot be metres") as error:
        remove_background(Sample(None, read_cloud(tmp_path / "a.tiff")), config)
    assert unit in str(error.value)
    assert not isinstance(error.value, NoPart)


@pytest.mark.parametrize("side", [20, 30, 64])
def test_millimetres_about_the_parts_own_centre(side):
    """A small one stays within 20: the distance of its pixels tells what its reach does not."""
    xyz = cloud(centred=True)[32 - side // 2 :, 32 - side // 2 :][:side, :side] * np.float32(1000)
    assert likely_unit(xyz).name == "millimetres"
    with pytest.raises(ValueError, match="millimetres"):
        remove_background(Sample(None, xyz), BackgroundConfig())


@pytest.mark.parametrize("z", [0.1, 0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("focal", [300, 533, 1000, 4000])
def test_metres_are_left_alone(z, focal):
    xyz = np.stack([(u - 32) / focal * z, (v - 32) / focal * z, np.full((64, 64), z)], -1)
    if z / focal < 0.005:
        assert likely_unit(xyz) is None


def test_pixels_too_far_apart_are_said(tmp_path):
    xyz = cloud(1.6)  # 3.2 mm apart
    config = BackgroundConfig(cluster_radius=0.002)
    with pytest.raises(ValueError, match=r"nothing is left.*3\.2 mm apart.*raise it to 0\.0096"):
        remove_background(Sample(None, xyz), config)


def test_an_empty_table_is_no_part_seen():
    flat = np.stack([(u - 32) / 1000, (v - 32) / 1000, np.full((64, 64), 0.5)], -1)
    with pytest.raises(NoPart, match="nothing is left of the part; lower plane_distance"):
        remove_background(Sample(None, flat))
    with pytest.raises(NoPart, match="zero everywhere"):
        Sample(None, 0 * flat)


@pytest.mark.parametrize("packed", ["lzw", "zlib", "zstd", "lzma", "packbits"])
@pytest.mark.parametrize("predictor", [None, 3])
def test_compressed_tiffs_load(tmp_path, packed, predictor):
    pytest.importorskip("imagecodecs")
    options = {"compression": packed, "predictor": predictor if packed != "packbits" else None}
    tifffile.imwrite(tmp_path / "a.tiff", cloud(), photometric="rgb", **options)
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.tiff"), cloud())


@pytest.mark.parametrize("packed", [5, 8])
def test_what_opencv_writes(tmp_path, packed):
    cv2 = pytest.importorskip("cv2")
    options = [cv2.IMWRITE_TIFF_COMPRESSION, packed]
    cv2.imwrite(str(tmp_path / "a.tiff"), cloud()[..., ::-1], options)
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.tiff"), cloud())


def test_a_codec_that_is_missing_is_the_cause_that_is_told(tmp_path, monkeypatch):
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "a.tiff", cloud(), photometric="rgb", compression="lzw")

    def read(path: object) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile, "imread", read)
    with pytest.raises(ValueError, match=r"a\.tiff.*LZW.*pip install imagecodecs") as error:
        read_cloud(tmp_path / "a.tiff")
    assert "damaged" not in str(error.value)
