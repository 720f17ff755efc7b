"""Pictures as cameras and phones write them: turned, deep, or of another kind."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from lsfa_lite.data.files import read_rgb


def png16(path, array: np.ndarray) -> None:
    """16 bits per channel, which Pillow does not write; 2 to 4 channels."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width, channels = array.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("value", [300, 2000, 65535])
def test_sixteen_bits_per_channel_are_refused(tmp_path, channels, value):
    png16(tmp_path / "deep.png", np.full((6, 8, channels), value, np.uint16))
    with pytest.raises(ValueError, match=r"deep\.png: 16 bits per channel.*8-bit.*divided by 16"):
        read_rgb(tmp_path / "deep.png")


@pytest.mark.parametrize("packed", [None, "zlib"])
def test_sixteen_bit_tiff(tmp_path, packed):
    deep = np.full((6, 8, 3), 2000, np.uint16)
    tifffile.imwrite(tmp_path / "deep.tiff", deep, photometric="rgb", compression=packed)
    with pytest.raises(ValueError, match=r"deep\.tiff: 16 bits per channel"):
        read_rgb(tmp_path / "deep.tiff")


def test_a_bitmap_of_sixteen_bits_per_pixel_has_few_per_channel(tmp_path):
    """5 + 6 + 5 bits, as old frame grabbers write them: no more than 8."""
    pixels = struct.pack("<2H", 0b11111_000000_00000, 0b00000_111111_00000)  # red, green
    masks = struct.pack("<3I", 0xF800, 0x07E0, 0x001F)
    info = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, len(pixels), 0, 0, 0, 0)
    start = 14 + len(info) + len(masks)
    head = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
    (tmp_path / "a.bmp").write_bytes(head + info + masks + pixels)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.bmp"), [[(255, 0, 0), (0, 255, 0)]])


# how the stored rows and columns come to lie as the picture is seen (EXIF 2.3, tag 274)
TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("turn", TURNS)
def test_the_orientation_is_applied(tmp_path, turn, kind):
    exif = Image.Exif()
    exif[274] = turn
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :8] = (250, 10, 10)
    stored[8:, :8] = 120
    Image.fromarray(stored).save(tmp_path / f"a.{kind}", exif=exif.tobytes(), quality=100)
    seen = read_rgb(tmp_path / f"a.{kind}").astype(int)
    assert seen.shape == TURNS[turn](stored).shape
    assert np.abs(seen - TURNS[turn](stored)).mean() < 3


def test_other_colour_spaces_are_refused(tmp_path):
    Image.new("CMYK", (8, 6)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg: mode CMYK"):
        read_rgb(tmp_path / "a.jpg")
