"""Reading and writing: round trips, and an error that names the file for every odd one."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file

from lsfa_lite.data import files
from lsfa_lite.data.depth import read_cloud
from lsfa_lite.data.sample import Sample


def cloud(height: int = 6, width: int = 8) -> np.ndarray:
    v, u = np.mgrid[:height, :width]
    xyz = np.stack([u * 0.001, v * 0.001, np.full(u.shape, 0.5)], axis=-1).astype(np.float32)
    xyz[0, 0] = 0
    return xyz


def test_sample_round_trip(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:5] = True
    files.write_sample(tmp_path, "000", Sample(rgb, cloud(), mask), class_id=253)
    names = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert names == ["gt/000.png", "rgb/000.png", "xyz/000.tiff"]  # and no temporary file
    np.testing.assert_array_equal(files.read_rgb(tmp_path / "rgb/000.png"), rgb)
    np.testing.assert_array_equal(read_cloud(tmp_path / "xyz/000.tiff"), cloud())
    np.testing.assert_array_equal(files.read_mask(tmp_path / "gt/000.png"), mask)
    assert set(np.unique(files.read_ids(tmp_path / "gt/000.png"))) == {0, 253}


def test_float_rgb_is_written_as_bytes(tmp_path):
    rgb = np.linspace(0, 1, 6 * 8 * 3).reshape(6, 8, 3)
    files.write_sample(tmp_path, "000", Sample(rgb, None))
    back = files.read_rgb(tmp_path / "rgb/000.png")
    assert np.abs(back / 255 - rgb).max() <= 0.5 / 255 + 1e-9
    assert not (tmp_path / "xyz").exists()
    assert not (tmp_path / "gt").exists()


def test_same_array_same_bytes(tmp_path):
    for name in "ab":
        files.write_tiff(tmp_path / f"{name}.tiff", cloud())
        files.write_png(tmp_path / f"{name}.png", np.arange(48, dtype=np.uint8).reshape(6, 8))
    assert (tmp_path / "a.tiff").read_bytes() == (tmp_path / "b.tiff").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "1"])
def test_picture_modes_become_rgb(tmp_path, mode):
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(mode).save(tmp_path / "a.png")
    rgb = files.read_rgb(tmp_path / "a.png")
    assert rgb.shape == (6, 8, 3)
    assert rgb.dtype == np.uint8
    assert (rgb == 255).all()


def test_mask_in_colour_ignores_alpha(tmp_path):
    picture = np.zeros((6, 8, 4), np.uint8)
    picture[..., 3] = 255
    picture[1, 2, 0] = 7
    Image.fromarray(picture).save(tmp_path / "gt.png")
    assert files.read_mask(tmp_path / "gt.png").sum() == 1
    assert files.read_mask(tmp_path / "gt.png")[1, 2]


@pytest.mark.parametrize("reader", [files.read_rgb, files.read_mask, read_cloud])
def test_missing_file(tmp_path, reader):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        reader(tmp_path / "nowhere.png")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_truncated_files(tmp_path, share):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    files.write_png(tmp_path / "cut.png", noise)
    files.write_tiff(tmp_path / "cut.tiff", cloud(60, 80))
    for name, reader in (("cut.png", files.read_rgb), ("cut.tiff", read_cloud)):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=rf"{name}.*(again|zero)"):
            reader(tmp_path / name)


def spoil(value: float) -> np.ndarray:
    xyz = cloud()
    xyz[3, 3, 2] = value
    return xyz


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((6, 8, 3), 7, np.uint8), "float32 metres"),
        (np.full((6, 8), 0.5, np.float32), "needs the camera"),
        (np.full((6, 8, 4), 0.5, np.float32), r"\(H, W, 3\)"),
        (np.full((3, 6, 8), 0.5, np.float32), "move the first axis last"),
        (cloud() * 1000, "divided by 1000"),
        (np.zeros((6, 8, 3), np.float32), "zero everywhere"),
        (spoil(np.nan), r"1 pixels; write \(0, 0, 0\)"),
        (spoil(np.inf), r"1 pixels; write \(0, 0, 0\)"),
    ],
    ids=["8-bit", "one", "four", "channel-first", "millimetres", "zero", "nan", "inf"],
)
def test_clouds_that_cannot_be(tmp_path, array, words):
    tifffile.imwrite(tmp_path / "odd.tiff", array, photometric="minisblack")
    with pytest.raises(ValueError, match=rf"odd\.tiff.*{words}"):
        read_cloud(tmp_path / "odd.tiff")


def test_sixteen_bit_picture_is_refused(tmp_path):
    files.write_png(tmp_path / "deep.png", np.full((6, 8), 900, np.uint16))
    with pytest.raises(ValueError, match=r"deep\.png.*8-bit"):
        files.read_rgb(tmp_path / "deep.png")


def test_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fill_the_disk() -> None:
        with files.written_beside(target) as temporary:
            temporary.write_bytes(b"half")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        fill_the_disk()
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_png_of_floats_is_refused(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        files.write_png(tmp_path / "a.png", np.zeros((6, 8), np.float32))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_what_is_written_has_the_modes_of_any_other_file(tmp_path, umask):
    """safetensors writes files that only their owner may read; a colleague loads models too."""
    old = os.umask(umask)
    try:
        with files.written_beside(tmp_path / "rooms" / "one.safetensors") as temporary:
            save_file({"x": torch.zeros(3)}, temporary)
        with files.written_beside(tmp_path / "model") as folder:
            (folder / "deep").mkdir(parents=True)
            save_file({"x": torch.zeros(3)}, folder / "deep" / "x.safetensors")
            (folder / "x.json").write_text("{}")
        files.write_png(tmp_path / "a.png", np.zeros((6, 8), np.uint8))
    finally:
        os.umask(old)
    written = sorted(tmp_path.rglob("*"))
    assert len(written) == 7
    for path in written:
        usual = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == usual & ~umask, path
