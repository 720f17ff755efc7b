"""The error contract: whatever is given to whichever entry point, the answer is a sentence.

Every row is an entry point, a maker of a bad input, and words of the answer: what it is about, and
the cure. It is an LSFAError (or, of the system, an OSError with its file's name), comes quickly,
and takes no more memory than the input is worth.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import pickle
import re
import resource
import shutil
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import QUICK, ROOT, without
from PIL import Image
from safetensors.torch import load_file, save_file

from lsfa_lite import LITE, LSFADetector, Sample
from lsfa_lite.adaptation import losses
from lsfa_lite.adaptation.checkpoint import resume
from lsfa_lite.adaptation.memory import MemoryBank
from lsfa_lite.adaptation.prototypes import assign
from lsfa_lite.adaptation.whitening import InputTransform
from lsfa_lite.cli import main
from lsfa_lite.config import BackgroundConfig, ImageConfig, PointConfig, from_json, to_json
from lsfa_lite.data.arrivals import attempt
from lsfa_lite.data.background import clean_folder, remove_background
from lsfa_lite.data.depth import read_cloud
from lsfa_lite.data.doctor import examine
from lsfa_lite.data.eyecandies import Eyecandies
from lsfa_lite.data.files import read_ids, read_rgb, write_png, write_sample
from lsfa_lite.data.folder import Folder, Intrinsics
from lsfa_lite.data.mvtec3d import MVTec3D
from lsfa_lite.data.processes import in_processes
from lsfa_lite.data.scans import read_scan
from lsfa_lite.errors import FileError, LSFAError, ModelError
from lsfa_lite.evaluation import evaluate
from lsfa_lite.features.ahead import describe_ahead
from lsfa_lite.features.fpfh import fpfh
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.nearest import nearest
from lsfa_lite.features.point_weights import load_point_mae
from lsfa_lite.features.projection import interpolate
from lsfa_lite.features.sampling import farthest_point_sampling
from lsfa_lite.report_page import open_report
from lsfa_lite.scoring.coreset import greedy_coreset
from lsfa_lite.scoring.fusion import Fusion
from lsfa_lite.scoring.maps import anomaly_map
from lsfa_lite.scoring.metrics import aupro, image_auroc, pixel_auroc
from lsfa_lite.scoring.patchcore import PatchCore
from lsfa_lite.scoring.threshold import threshold

SECONDS, MEGABYTES = 5.0, 500  # of the processor, for one bad input
CAMERA = Intrinsics(100.0, 100.0, 2.0, 1.5)
NAN, INF = float("nan"), float("inf")


@contextlib.contextmanager
def answered(*words: str, kind: Any = LSFAError) -> Iterator[None]:
    """Quickly, in bounded memory, one error of the contract that says all of `words`."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Exception) as caught:  # noqa: PT011, judged below
        yield
    error, text = caught.value, str(caught.value)
    assert isinstance(error, kind), f"{type(error).__name__}: {text}"
    assert isinstance(error, LSFAError | OSError)
    assert not [word for word in words if word not in text], text
    assert len(text) < 1500
    assert time.process_time() - began < SECONDS
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert taken < MEGABYTES, f"{taken:.0f} MB"


def as_bytes(write: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def picture(values: Any, form: str = "PNG") -> bytes:
    image = values if isinstance(values, Image.Image) else Image.fromarray(np.asarray(values))
    return as_bytes(lambda file: image.save(file, form))


def tiff(values: Any, **options: Any) -> bytes:
    return as_bytes(lambda file: tifffile.imwrite(file, np.asarray(values), **options))


def npy(values: Any) -> bytes:
    return as_bytes(lambda file: np.save(file, values, allow_pickle=True))


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def npy_that_says(shape: object, dtype: str = "<f4") -> bytes:
    return npy_header(f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n")


def png_that_says(width: int, height: int) -> bytes:
    """A whole PNG but for its pixels, of which there are none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


def tiff_that_says(width: int, height: int, own: bool = False) -> bytes:
    """One page of three floats a pixel, of which there are none; `own`: the next page is itself."""
    tags = {
        256: width,
        257: height,
        258: 32,
        259: 1,
        262: 2,
        273: 8,
        277: 3,
        278: height,
        279: 12,
        339: 3,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    following = struct.pack("<I", 8 if own else 0)
    return struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(tags)) + entries + following


def ply(count: object, rows: str = "", extra: str = "", end: str = "end_header\n") -> bytes:
    xyz = "".join(f"property float {axis}\n" for axis in "xyz")
    return f"ply\nformat ascii 1.0\nelement vertex {count}\n{xyz}{extra}{end}{rows}".encode()


def pcd(
    width: object, height: object, points: object, form: str = "ascii", rows: str = ""
) -> bytes:
    fields = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
    size = f"WIDTH {width}\nHEIGHT {height}\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {points}\n"
    return f"{fields}{size}DATA {form}\n{rows}".encode()


def weights(values: Any) -> bytes:
    return as_bytes(lambda file: torch.save(values, file))


def safetensors_that_says(length: int, header: bytes = b"") -> bytes:
    return struct.pack("<Q", length) + header


class Mark:
    """What a hostile pickle would do: leave a file."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/lsfa-test-was-run",)


RGB = np.full((3, 4, 3), 90, np.uint8)
NOISE = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
XYZ = np.random.default_rng(0).uniform(0.3, 0.4, (3, 4, 3)).astype(np.float32)
POINTS = "".join(f"{x} {y} {z}\n" for x, y, z in XYZ.reshape(-1, 3))
GOOD_PNG, GOOD_TIFF, DEPTH = picture(NOISE), tiff(XYZ), np.full((3, 4), 500, np.uint16)


def with_one(value: float) -> np.ndarray:
    xyz = XYZ.copy()
    xyz[1, 1, 2] = value
    return xyz


def sparse(path: Path, head: bytes, size: int) -> None:
    """A file of `size` bytes, of which the disk keeps the head only."""
    path.write_bytes(head)
    os.truncate(path, size)


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


# --- files: reader, name, bytes or maker (None: nothing is there), words of the cure

CUT = "export it again"
READERS: dict[str, Callable[[Path], Any]] = {
    "picture": read_rgb,
    "mask": read_ids,
    "cloud": read_cloud,
    "cloud beside a picture": lambda path: read_cloud(path, shape=(3, 4)),
    "depth": lambda path: read_cloud(path, CAMERA),
    "sized depth": lambda path: read_cloud(
        path, Intrinsics(9.0, 9.0, 2.0, 2.0, width=640, height=480)
    ),
    "intrinsics": Intrinsics.from_json,
    "colour weights": lambda path: ImageBackbone(ImageConfig(weights=str(path)), 64, 4),
    "point weights": lambda path: load_point_mae(
        PointConfig(backbone="point_mae", weights=str(path))
    ),
    "checkpoint": lambda path: resume(path, "run", torch.nn.Linear(1, 1), None),  # type: ignore[arg-type]
    "folder": Folder,
    "data set": lambda path: MVTec3D(path, "ring"),
    "eyecandies": lambda path: Eyecandies(path, "Lollipop"),
    "clean": lambda path: clean_folder(path, path.with_name("out")),
    "model": lambda path: LSFADetector.load(path),
    "report": lambda path: open_report(path, None).__enter__(),  # type: ignore[arg-type]
}

FILES: list[tuple[str, str, Any, str]] = [
    ("picture", "gone.png", None, "no such file; expected a picture"),
    ("picture", "empty.png", b"", CUT),
    ("picture", "text.png", b"no picture", CUT),
    ("picture", "cut.png", GOOD_PNG[:40], CUT),
    ("picture", "half.png", GOOD_PNG[: len(GOOD_PNG) // 2], CUT),
    ("picture", "flipped.png", GOOD_PNG[:60] + b"\xff\x00\xff" + GOOD_PNG[63:], CUT),
    ("picture", "half.jpg", picture(NOISE, "JPEG")[:400], CUT),
    ("picture", "half.bmp", picture(NOISE, "BMP")[:200], CUT),
    ("picture", "grey16.png", picture(DEPTH), "save it as an 8-bit RGB picture"),
    ("picture", "float.png", tiff(XYZ[..., 0]), "save it as an 8-bit RGB picture"),
    ("picture", "cmyk.jpg", picture(Image.new("CMYK", (4, 3)), "JPEG"), "8-bit RGB"),
    ("picture", "huge.png", png_that_says(100_000, 100_000), "smaller"),
    ("picture", "large.png", png_that_says(11_000, 11_000), "at most"),
    ("picture", "no-width.png", png_that_says(0, 3), CUT),
    ("picture", "4000 x 4000 cut.png", png_that_says(4000, 4000), CUT),
    ("picture", "script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage", CUT),
    ("picture", "page.png", b"%PDF-1.7\n", CUT),
    ("picture", "zip.png", as_bytes(lambda f: zipfile.ZipFile(f, "w").writestr("a", "b")), CUT),
    ("picture", "folder.png", Path.mkdir, "a folder; expected a picture"),
    ("picture", "loop.png", a_loop, "a link that leads nowhere"),
    ("picture", "dangling.png", dangling, "a link that leads nowhere"),
    ("picture", "Größe 部品 \N{SNOWMAN}.png", b"", CUT),
    ("picture", os.fsdecode(b"\xff\xfe.png"), b"", CUT),
    ("picture", "x" * 300 + ".png", None, "check the name"),
    ("picture", "zero\0byte.png", None, "no such file"),
    ("mask", "gone.png", None, "no such file; expected a ground-truth picture"),
    ("mask", "empty.png", b"", CUT),
    ("mask", "half.png", GOOD_PNG[: len(GOOD_PNG) // 2], CUT),
    ("mask", "dark.jpg", picture(np.full((16, 16), 3, np.uint8), "JPEG"), "save the mask as PNG"),
    ("mask", "nan.png", tiff(np.full((3, 4), NAN, np.float32)), "save the mask as PNG"),
    ("mask", "huge.png", png_that_says(70_000, 70_000), "smaller"),
    ("mask", "loop.png", a_loop, "a link that leads nowhere"),
    ("cloud", "gone.tiff", None, "no such file; expected a TIFF"),
    ("cloud", "empty.tiff", b"", CUT),
    ("cloud", "text.tiff", b"no cloud at all", CUT),
    ("cloud", "head.tiff", GOOD_TIFF[:8], "expected x, y, z"),
    ("cloud", "cut.tiff", GOOD_TIFF[:-30], CUT),
    ("cloud", "half.tiff", tiff(XYZ, compression="zlib")[:-20], CUT),
    (
        "cloud",
        "pages.tiff",
        tiff(np.moveaxis(XYZ, 2, 0), photometric="minisblack"),
        "move the first axis last",
    ),
    ("cloud", "two.tiff", tiff(XYZ[..., :2], photometric="minisblack"), "expected x, y, z"),
    (
        "cloud",
        "four.tiff",
        tiff(np.zeros((3, 4, 4), np.float32), photometric="rgb"),
        "expected x, y, z",
    ),
    ("cloud", "picture.tiff", tiff(RGB), "expected float32 metres"),
    ("cloud", "int.tiff", tiff((XYZ * 1000).astype(np.int16)), "expected float32 metres"),
    ("cloud", "nan.tiff", tiff(with_one(NAN)), "write (0, 0, 0)"),
    ("cloud", "inf.tiff", tiff(with_one(INF)), "write (0, 0, 0)"),
    ("cloud", "zero.tiff", tiff(0 * XYZ), "saw nothing"),
    ("cloud", "millimetres.tiff", tiff(1000 * XYZ), "divided by 1000"),
    ("cloud", "micrometres.tiff", tiff(1e6 * XYZ), "multiply by 1e-06"),
    ("cloud", "far.tiff", tiff(XYZ.astype(np.float64) * 1e300), "write (0, 0, 0)"),
    ("cloud", "depth.tiff", tiff(XYZ[..., 0]), "intrinsics.json"),
    ("cloud", "huge.tiff", tiff_that_says(200_000, 200_000), "at most"),
    ("cloud", "large.tiff", tiff_that_says(9000, 9000), CUT),
    ("cloud", "ring.tiff", tiff_that_says(4, 3, own=True), CUT),
    ("cloud", "loop.tiff", a_loop, "a link that leads nowhere"),
    ("cloud", "empty.npy", b"", CUT),
    ("cloud", "text.npy", b"no cloud at all", CUT),
    ("cloud", "cut.npy", npy(XYZ)[:-30], CUT),
    ("cloud", "head.npy", npy(XYZ)[:20], CUT),
    ("cloud", "objects.npy", npy(np.array([Mark()])), CUT),
    ("cloud", "pickle.npy", pickle.dumps(Mark()), CUT),
    ("cloud", "archive.npy", as_bytes(lambda f: np.savez(f, xyz=XYZ)), CUT),
    ("cloud", "huge.npy", npy_that_says((10**6, 10**6, 3)), CUT),
    ("cloud", "negative.npy", npy_that_says((-3, 4, 3)), CUT),
    ("cloud", "not a shape.npy", npy_that_says("'many'"), CUT),
    ("cloud", "odd.npy", npy_header("(" * 5000), CUT),
    (
        "cloud",
        "long.npy",
        lambda p: sparse(p, npy_that_says((60_000, 60_000, 3)), 43_200_000_256),
        "at most",
    ),
    (
        "cloud",
        "4000 x 4000.npy",
        lambda p: sparse(p, npy_that_says((4000, 4000, 3), "<f2"), 96_000_256),
        "saw nothing",
    ),
    ("cloud", "text array.npy", npy(np.full((3, 4, 3), "x")), "expected float32 metres"),
    ("cloud", "complex.npy", npy(XYZ.astype(np.complex64)), "expected float32 metres"),
    ("cloud", "fields.npy", npy(np.zeros((3, 4, 3), [("x", "f4")])), "expected float32 metres"),
    ("cloud", "number.npy", npy(np.float32(3)), "expected x, y, z"),
    ("cloud", "row.npy", npy(XYZ.reshape(-1)), "expected x, y, z"),
    ("cloud", "unordered.npy", npy(XYZ.reshape(-1, 3)), "intrinsics.json"),
    ("cloud", "nothing.npy", npy(np.zeros((0, 4, 3), np.float32)), "expected"),
    ("cloud", "one.npy", npy(np.zeros((1, 1, 3), np.float32)), "saw nothing"),
    ("cloud", "no picture.ply", ply(12, POINTS), "expected a picture beside it"),
    ("cloud", "flat.pcd", pcd(12, 1, 12, rows=POINTS), "export it so"),
    ("cloud", "word.pcd", pcd("many", "rows", "x", rows=POINTS), CUT),
    ("cloud", "wrong.pcd", pcd(5, 3, 12, rows=POINTS), "export it so"),
    ("cloud", "huge.pcd", pcd(100_000, 100_000, 10**10, rows=POINTS), CUT),
    ("cloud", "bomb.pcd", pcd(10**6, 10**6, 10**12, "binary_compressed"), CUT),
    ("cloud", "cut.pcd", pcd(4, 3, 12, "binary", rows="abc"), CUT),
    ("cloud", "form.pcd", pcd(4, 3, 12, "telepathy", rows=POINTS), CUT),
    ("cloud", "short.pcd", pcd(4, 3, 12, rows=POINTS[:90]), CUT),
    ("cloud", "words.pcd", pcd(4, 3, 12, rows=POINTS.replace("0.3", "zero", 1)), CUT),
    ("cloud beside a picture", "word in it.ply", ply(12, POINTS.replace("0.3", "zero", 1)), CUT),
    ("cloud", "empty.pcd", b"", CUT),
    ("cloud beside a picture", "gone.ply", None, "no such file"),
    ("cloud beside a picture", "empty.ply", b"", CUT),
    ("cloud beside a picture", "text.ply", b"no cloud", CUT),
    ("cloud beside a picture", "headless.ply", ply(12, end=""), CUT),
    ("cloud beside a picture", "cut.ply", ply(12, POINTS[:100]), CUT),
    ("cloud beside a picture", "huge.ply", ply(4_000_000_000, POINTS), CUT),
    ("cloud beside a picture", "face.ply", ply(9, POINTS).replace(b"vertex", b"face"), CUT),
    ("cloud beside a picture", "word.ply", ply("many", POINTS), CUT),
    ("cloud beside a picture", "fewer.ply", ply(3, POINTS[:90]), "export it"),
    ("cloud beside a picture", "nan.ply", ply(12, 12 * "nan nan nan\n"), "saw nothing"),
    (
        "cloud beside a picture",
        "mm.ply",
        ply(12, "".join(f"{i} 1 500\n" for i in range(12))),
        "divided by 1000",
    ),
    ("cloud beside a picture", "loop.ply", a_loop, "a link that leads nowhere"),
    ("depth", "gone.png", None, "no such file"),
    ("depth", "eight.png", picture(RGB[..., 0]), "one channel of 16 bit"),
    ("depth", "colour.png", picture(RGB), "one channel of 16 bit"),
    ("depth", "cut.png", picture(DEPTH)[:-30], CUT),
    ("depth", "huge.png", png_that_says(99_999, 99_999), "smaller"),
    ("depth", "zero.png", picture(0 * DEPTH), "saw nothing"),
    ("depth", "saturated.png", picture(DEPTH * 0 + 65535), "saw nothing"),
    ("depth", "nan.tiff", tiff(np.full((3, 4), NAN, np.float32)), "saw nothing"),
    ("depth", "negative.npy", npy(np.full((3, 4), -1.0)), "saw nothing"),
    ("depth", "words.npy", npy(np.full((3, 4), "x")), "numbers of one channel"),
    ("depth", "complex.npy", npy(np.full((3, 4), 1j)), "numbers of one channel"),
    ("depth", "yes-no.npy", npy(np.ones((3, 4), bool)), "numbers of one channel"),
    ("depth", "metres as mm.npy", npy(np.full((3, 4), 1e9)), "metres"),
    ("sized depth", "small.png", picture(DEPTH), "take the ones of this size"),
    ("intrinsics", "gone.json", None, "no such file; expected a camera's intrinsics"),
    ("intrinsics", "folder.json", Path.mkdir, "a folder"),
    ("intrinsics", "loop.json", a_loop, "a link that leads nowhere"),
    *(
        (
            "intrinsics",
            name,
            text if isinstance(text, bytes) else text.encode(),
            "expected a JSON object",
        )
        for name, text in {
            "empty.json": "",
            "text.json": "fx = 3",
            "cut.json": '{"fx": 1, "fy"',
            "list.json": "[1, 2, 3]",
            "number.json": "3",
            "null.json": "null",
            "binary.json": GOOD_PNG,
            "utf16 cut.json": b"\xff\xfe{",
            "missing.json": '{"fx": 1, "fy": 1, "cx": 1}',
            "unknown.json": '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "unit": "mm"}',
            "nulls.json": '{"fx": null, "fy": 1, "cx": 1, "cy": 1}',
            "zero.json": '{"fx": 0, "fy": 1, "cx": 1, "cy": 1}',
            "nan.json": '{"fx": NaN, "fy": 1, "cx": 1, "cy": 1}',
            "inf.json": '{"fx": 1, "fy": 1, "cx": 1e999, "cy": 1}',
            "word.json": '{"fx": "1", "fy": 1, "cx": 1, "cy": 1}',
            "yes.json": '{"fx": true, "fy": 1, "cx": 1, "cy": 1}',
            "long.json": f'{{"fx": 1{"0" * 400}, "fy": 1, "cx": 1, "cy": 1}}',
            "longest.json": f'{{"fx": 1{"0" * 5000}, "fy": 1, "cx": 1, "cy": 1}}',
            "scale.json": '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "depth_scale": 1000}',
            "no scale.json": '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "depth_scale": 0}',
            "size.json": '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "width": 0, "height": 2}',
            "eight.json": '{"K": [1, 0, 1, 0, 1, 1, 0, 0]}',
            "ragged.json": '{"K": [[1, 0, 1], [0, 1], [0, 0, 1]]}',
            "skew.json": '{"K": [1, 2, 1, 0, 1, 1, 0, 0, 1]}',
            "words.json": '{"K": ["a", 0, 1, 0, 1, 1, 0, 0, 1]}',
            "vast.json": f'{{"K": [1{"0" * 400}, 0, 1, 0, 1, 1, 0, 0, 1]}}',
            "lens.json": '{"fx": 1, "fy": 1, "cx": 1, "cy": 1, "coeffs": "none"}',
            "deep.json": "[" * 100_000,
            "deep.yaml": "[" * 5_000,
            "bad.yaml": "fx: [1, 2",
            "code.yaml": "!!python/object/apply:os.mkdir [/tmp/lsfa-test-was-run]",
            "laughs.yaml": "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"{c}: &{c} [{', '.join(9 * [f'*{b}'])}]\n"
                for b, c in zip("abcdefgh", "bcdefghi", strict=True)
            )
            + "K: *i\n",
        }.items()
    ),
    ("colour weights", "gone.pth", None, "no such file"),
    ("colour weights", "empty.pth", b"", "download it again"),
    ("colour weights", "text.pth", b"no weights", "download it again"),
    ("colour weights", "cut.pth", weights({"a": torch.ones(99)})[:-200], "download it again"),
    ("colour weights", "hostile.pth", pickle.dumps(Mark()), "could run code"),
    ("colour weights", "hostile zip.pth", weights({"a": Mark()}), "could run code"),
    ("colour weights", "list.pth", weights([torch.ones(1)]), "expected tensors by name"),
    ("colour weights", "numbers.pth", weights({"a": 3}), "take the network's file"),
    ("colour weights", "nameless.pth", weights({3: torch.ones(1)}), "take the network's file"),
    ("colour weights", "others.pth", weights({"a": torch.ones(1)}), "missing: "),
    ("colour weights", "empty.safetensors", b"", "download it again"),
    ("colour weights", "vast.safetensors", safetensors_that_says(2**63), "download it again"),
    ("colour weights", "cut.safetensors", safetensors_that_says(99, b'{"a"'), "download it again"),
    ("point weights", "gone.pth", None, "fetch it with"),
    ("point weights", "list.pth", weights([1, 2]), 'expected "base_model"'),
    ("point weights", "base.pth", weights({"base_model": [1]}), "expected tensors by name"),
    ("point weights", "numbers.pth", weights({"base_model": {"a": 1}}), "take the network's file"),
    ("point weights", "others.pth", weights({"base_model": {"a": torch.ones(1)}}), "missing: "),
    ("point weights", "folder.pth", Path.mkdir, "no such weights file"),
    ("checkpoint", "text.safetensors", b"no checkpoint", "delete it"),
    ("checkpoint", "other.safetensors", lambda p: save_file({"a": torch.ones(1)}, p), "delete it"),
    ("checkpoint", "folder.safetensors", Path.mkdir, "delete it"),
    ("folder", "gone", None, "no such file or folder"),
    ("folder", "empty", Path.mkdir, "no scans; expected pictures"),
    ("folder", "loop", a_loop, "no such file or folder"),
    ("folder", "notes.txt", b"no scan", "no scans; expected pictures"),
    ("data set", "gone", None, "no such folder; expected"),
    ("data set", "file", b"", "no such folder; expected"),
    ("data set", "empty", Path.mkdir, "holds no category; expected folders"),
    (
        "data set",
        "flat",
        lambda p: (p / "train/good/rgb").mkdir(parents=True),
        "pass its parent folder",
    ),
    (
        "data set",
        "bare",
        lambda p: (p / "ring/train/good/rgb").mkdir(parents=True),
        "expected rgb/000.png",
    ),
    (
        "data set",
        "other",
        lambda p: (p / "rope/train/good/rgb").mkdir(parents=True),
        "there are rope",
    ),
    ("data set", "loop", a_loop, "no such folder"),
    ("eyecandies", "gone", None, "no such folder; expected"),
    ("eyecandies", "empty", Path.mkdir, "no Eyecandies category 'Lollipop'"),
    ("clean", "gone", None, "no such folder"),
    ("clean", "empty", Path.mkdir, "holds no category; expected folders"),
    ("model", "gone", None, "detector.json: missing; expected the folder"),
    ("model", "file", b"", "detector.json: missing"),
    ("model", "loop", a_loop, "detector.json: missing"),
    ("report", "full", lambda p: (p / "deeper").mkdir(parents=True), "name a new folder"),
    ("report", "file", b"", "name a new folder"),
]


@pytest.mark.parametrize(
    ("reader", "name", "make", "cure"), FILES, ids=[f"{r}-{n!a}" for r, n, *_ in FILES]
)
def test_a_file_that_cannot_be_used_is_named_with_its_cure(reader, name, make, cure, tmp_path):
    path = tmp_path / name
    if isinstance(make, bytes):
        path.write_bytes(make)
    elif make:
        make(path)
    with answered(str(path), cure):
        READERS[reader](path)
    assert not Path("/tmp/lsfa-test-was-run").exists()
    assert not (tmp_path / "out").exists()


def test_a_point_that_was_not_seen_is_a_hole_however_it_is_printed(tmp_path):
    rows = ["nan nan nan", "-nan(ind) 0 0", "1.#QNAN 0 0", "-1.#IND 0 0", *POINTS.splitlines()[4:]]
    (tmp_path / "a.ply").write_bytes(ply(12, "\r\n".join(rows)))
    found = read_cloud(tmp_path / "a.ply", shape=(3, 4))
    assert np.array_equal(found, np.where(np.arange(12).reshape(3, 4, 1) < 4, 0, XYZ))


# --- a model folder: what is changed in it, words of the cure


@pytest.fixture(scope="module")
def fitted(rings) -> LSFADetector:
    detector = LSFADetector(QUICK.change(adaptation__steps=1))
    return detector.fit(rings["train"][:2], rings["validation"])


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "ring"
    fitted.save(folder)
    return folder


def text(content: bytes, name: str = "detector.json") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def about(**values: Any) -> Callable[[Path], None]:
    """Fields of the description replaced, `a__b` inside `a`; ... takes one out."""

    def change(folder: Path) -> None:
        whole = json.loads((folder / "detector.json").read_text())
        for key, value in values.items():
            *path, last = key.split("__")
            node = whole
            for name in path:
                node = node[name]
            node.pop(last) if value is ... else node.update({last: value})
        (folder / "detector.json").write_text(json.dumps(whole))

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        there = {k: v.clone() for k, v in load_file(folder / "detector.safetensors").items()}
        change(there)
        save_file(there, folder / "detector.safetensors")

    return rewrite


BANK, DAMAGED = "bank.rgb.bank", "fit the model again"
SAFE = "detector.safetensors"
MODELS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no description": (lambda folder: (folder / "detector.json").unlink(), "lsfa-lite fit --out"),
    "no tensors": (lambda folder: (folder / SAFE).unlink(), "lsfa-lite fit --out"),
    "empty": (text(b""), DAMAGED),
    "cut": (text(b'{"format": 1, "config": {'), DAMAGED),
    "binary": (text(b"\xff\xfe\0\1"), DAMAGED),
    "a list": (text(b"[1]"), DAMAGED),
    "null": (text(b"null"), DAMAGED),
    "a number": (text(b"1" * 5000), DAMAGED),
    "deep": (text(b"[" * 100_000), DAMAGED),
    "format alone": (text(b'{"format": 1}'), DAMAGED),
    "a later format": (about(format=2), "or install that version"),
    "a format in words": (about(format="one"), "or install that version"),
    "no config": (about(config=...), DAMAGED),
    "config of a later version": (about(config__seeds=3), DAMAGED),
    "config with a word": (about(config__seed="3"), DAMAGED),
    "config is null": (about(config=None), DAMAGED),
    "other background": (about(background={"border": 3}), DAMAGED),
    "no modalities": (about(modalities=...), DAMAGED),
    "empty modalities": (about(modalities=[]), DAMAGED),
    "a third sense": (about(modalities=["smell"]), DAMAGED),
    "modalities are a number": (about(modalities=3), DAMAGED),
    "modalities too few": (about(modalities=["rgb"]), DAMAGED),
    "no widths": (about(widths=...), DAMAGED),
    "absurd widths": (about(widths={"rgb": 10**9, "3d": 10**9}), DAMAGED),
    "negative widths": (about(widths__rgb=-1), DAMAGED),
    "no backbones": (about(backbones=...), DAMAGED),
    "backbones in a list": (about(backbones=["rgb", "3d"]), DAMAGED),
    "other weights": (about(backbones__rgb="0" * 16), "use the same weights file"),
    "no calibration": (about(calibration=...), DAMAGED),
    "calibration is null": (about(calibration=None), DAMAGED),
    "no fusion": (about(calibration__fusion=...), DAMAGED),
    "unknown fusion": (about(calibration__fusion__how="vote"), DAMAGED),
    "no scales": (about(calibration__fusion__normalisers={}), DAMAGED),
    "scale of 0": (
        about(calibration__fusion__normalisers__rgb__image={"centre": 0.0, "spread": 0.0}),
        DAMAGED,
    ),
    "scale in words": (
        about(calibration__fusion__normalisers__rgb__map={"centre": "a", "spread": "b"}),
        DAMAGED,
    ),
    "tail of nothing": (
        about(
            calibration__fusion__normalisers__rgb__map={"values": [], "surprises": [], "rate": 1}
        ),
        DAMAGED,
    ),
    "no thresholds": (about(calibration__thresholds={}), DAMAGED),
    "threshold NaN": (about(**{"calibration__thresholds__rgb+3d": [NAN, 0.1]}), DAMAGED),
    "threshold in words": (about(**{"calibration__thresholds__rgb+3d": ["a", 0.1]}), DAMAGED),
    "threshold of three": (about(**{"calibration__thresholds__rgb": [1, 2, 3]}), DAMAGED),
    "map threshold Inf": (about(calibration__map_thresholds__rgb=[INF, 0.1]), DAMAGED),
    "good scores in words": (about(calibration__good__rgb=["a"]), DAMAGED),
    "empty tensors": (text(b"", SAFE), DAMAGED),
    "cut tensors": (lambda folder: os.truncate(folder / SAFE, 2000), DAMAGED),
    "absurd tensors": (text(safetensors_that_says(2**62), SAFE), DAMAGED),
    "tensors are a folder": (
        lambda f: ((f / SAFE).unlink(), (f / SAFE).mkdir()),
        "lsfa-lite fit --out",
    ),
    "tensors loop": (lambda f: ((f / SAFE).unlink(), a_loop(f / SAFE)), "lsfa-lite fit --out"),
    "no bank": (tensors(lambda t: t.pop(BANK)), DAMAGED),
    "empty bank": (tensors(lambda t: t.update({BANK: torch.zeros(0, 3)})), DAMAGED),
    "flat bank": (tensors(lambda t: t.update({BANK: torch.zeros(3)})), DAMAGED),
    "other bank": (tensors(lambda t: t.update({BANK: torch.zeros(9, 3)})), DAMAGED),
    "bank of whole numbers": (tensors(lambda t: t.update({BANK: t[BANK].long()})), DAMAGED),
    "bank with NaN": (tensors(lambda t: t[BANK].fill_(NAN)), DAMAGED),
    "samples too few": (tensors(lambda t: t.update({"bank.rgb.samples": torch.zeros(1)})), DAMAGED),
    "no mean": (tensors(lambda t: t.pop("adaptation.inputs.rgb.mean")), DAMAGED),
    "other adaptor": (
        tensors(lambda t: t.update({"adaptation.adaptors.rgb.x": torch.zeros(1)})),
        DAMAGED,
    ),
    "adaptor with Inf": (tensors(lambda t: t["adaptation.inputs.3d.mean"].fill_(INF)), DAMAGED),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_folder_that_is_odd_is_named_with_its_cure(case, saved, fitted, tmp_path):
    change, cure = MODELS[case]
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    change(folder)
    with answered(str(folder), cure, kind=ModelError | FileError):
        LSFADetector.load(folder, extractor=fitted.extractor)


def test_a_model_folder_that_is_whole_is_read(saved, fitted, rings):
    again = LSFADetector.load(saved, extractor=fitted.extractor)
    assert again.score(rings["test"][0]).image_score == fitted.score(rings["test"][0]).image_score


# --- settings: as typed after --set, words

SETTINGS = {
    "adaptation.magic=1": ("magic", "it has"),
    "magic": ("magic", "it has"),
    "=3": ("no field ''", "it has"),
    "seed": ("seed", "expected int"),
    "seed=": ("seed", "expected int"),
    "seed=-1": ("seed", "expected int >= 0"),
    "seed=1e3": ("seed", "expected int >= 0"),
    f"seed={2**70}": ("seed", "expected int >= 0, < 2**32"),
    f"seed=1{'0' * 5000}": ("seed", "expected int >= 0"),
    f"seed={'[' * 50_000}": ("seed", "expected int >= 0"),
    "seed=null": ("seed", "expected int"),
    "seed=true": ("seed", "expected int"),
    "seed.deeper=1": ("deeper", "no fields"),
    "modalities=[]": ("modalities", "expected ('rgb', '3d')"),
    "modalities=rgb": ("modalities", "expected ('rgb', '3d')"),
    'modalities=["smell"]': ("modalities", "expected ('rgb', '3d')"),
    "features=nonsense": ("features", "expected FeatureConfig"),
    "features..grid=3": ("", "no field"),
    "features.grid=0": ("grid", "expected int >= 1"),
    "features.grid=1000": ("grid", "at most image_size"),
    "features.min_foreground=NaN": ("min_foreground", "expected float from 0 to 1"),
    "features.image.mean=[1,2]": ("mean", "expected"),
    "features.image.std=[0,1,1]": ("std", "float > 0"),
    "features.points.layers=[9]": ("layers", "blocks 0..5"),
    "features.points.fpfh_radius=-Infinity": ("fpfh_radius", "float > 0"),
    "adaptation.steps=1.5": ("steps", "expected int"),
    "adaptation.lr=quick": ("lr", "expected float"),
    "scoring.fusion=vote": ("fusion", "'ocsvm'"),
    "scoring.coreset=2": ("coreset", "at most 1"),
}


@pytest.mark.parametrize("typed", SETTINGS, ids=lambda typed: typed[:40])
def test_a_setting_that_cannot_be_is_named_with_what_can(typed, tmp_path, capsys):
    assert main(["fit", str(tmp_path), "ring", "--out", str(tmp_path / "m"), "--set", typed]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not [word for word in SETTINGS[typed] if word not in line], line


# --- arrays and samples: call, words


def cleaned(xyz: np.ndarray) -> Sample:
    return remove_background(Sample(None, xyz, path="a.tiff"))


def on_plane(height: int = 60, width: int = 80) -> np.ndarray:
    v, u = np.indices((height, width))
    return np.stack([u / 1000, v / 1000, 0.5 + 0 * u], axis=-1).astype(np.float32)


def some_points(*pixels: tuple[int, int]) -> np.ndarray:
    """A cloud of 60 x 80 in which only these pixels are seen."""
    xyz, out = on_plane(), np.zeros((60, 80, 3), np.float32)
    for v, u in pixels:
        out[v, u] = xyz[v, u]
    return out


ONE, LINE = [(30, 40)], [(30, u) for u in range(5, 70)]
BIG = np.broadcast_to(np.uint8(9), (4000, 4000, 3))
T = torch.ones
GOOD_SCORES = {"rgb": T(3)}

SAMPLES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "neither": (lambda: Sample(None, None, path="a.png"), ("a.png", "needs at least one")),
    "rgb a list": (lambda: Sample([[1]], None, path="a.png"), ("a.png: rgb", "NumPy array")),  # type: ignore[arg-type]
    "rgb a tensor": (lambda: Sample(T(3, 4, 3), None), ("rgb", "NumPy array")),  # type: ignore[arg-type]
    "rgb flat": (lambda: Sample(RGB[..., 0], None), ("rgb", "expected (H, W, 3)")),
    "rgb with alpha": (lambda: Sample(np.zeros((3, 4, 4), np.uint8), None), ("rgb", "(H, W, 3)")),
    "rgb of nothing": (lambda: Sample(RGB[:0], None), ("rgb", "(H, W, 3)")),
    "rgb 16 bit": (lambda: Sample(RGB.astype(np.uint16), None), ("rgb", "expected uint8")),
    "rgb objects": (lambda: Sample(RGB.astype(object), None), ("rgb", "expected uint8")),
    "rgb 255.0": (lambda: Sample(RGB.astype(float), None), ("rgb", "divide by 255")),
    "rgb NaN": (lambda: Sample(RGB * NAN, None), ("rgb", "NaN")),
    "xyz a list": (lambda: Sample(None, [[[0, 0, 1]]]), ("xyz", "NumPy array")),  # type: ignore[arg-type]
    "xyz points": (lambda: Sample(None, XYZ.reshape(-1, 3)), ("xyz", "expected (H, W, 3)")),
    "xyz integers": (lambda: Sample(None, np.ones((3, 4, 3), int)), ("xyz", "float32 in metres")),
    "xyz NaN": (lambda: Sample(None, with_one(NAN)), ("xyz", "write (0, 0, 0)")),
    "xyz Inf": (lambda: Sample(None, with_one(INF)), ("xyz", "write (0, 0, 0)")),
    "xyz zero": (lambda: Sample(None, 0 * XYZ), ("xyz", "saw nothing")),
    "xyz in mm": (lambda: Sample(None, 1000 * XYZ), ("xyz", "divided by 1000")),
    "two sizes": (lambda: Sample(RGB[:, :3], XYZ), ("rgb is", "same size")),
    "4000 x 4000 and 3 x 4": (lambda: Sample(BIG, XYZ), ("(4000, 4000)", "same size")),
    "mask of another size": (
        lambda: Sample(RGB, None, np.ones((9, 9))),
        ("mask", "size of the picture"),
    ),
    "mask a list": (lambda: Sample(RGB, None, [0]), ("mask", "NumPy array")),  # type: ignore[arg-type]
    "a label in words": (lambda: Sample(RGB, None, label="bad"), ("label", "expected 0")),  # type: ignore[arg-type]
    "a label of 2": (lambda: Sample(RGB, None, label=2), ("label", "expected 0")),
    "background of a picture": (
        lambda: remove_background(Sample(RGB, None, path="a")),
        ("a: no xyz",),
    ),
    "plane only": (
        lambda: cleaned(on_plane()),
        ("a.tiff", "nothing is left", "lower plane_distance"),
    ),
    "one point": (lambda: cleaned(some_points(*ONE)), ("a.tiff", "nothing is left")),
    "collinear": (lambda: cleaned(some_points(*LINE)), ("a.tiff", "nothing is left")),
    "1 x 1": (lambda: cleaned(XYZ[:1, :1]), ("a.tiff", "nothing is left")),
    "no such split": (lambda: in_processes(0), ("workers = 0", "at least one")),
    "a class of 300": (lambda: write_png("a.png", RGB.astype(float)), ("a.png", "pass uint8")),
    "json of nothing": (lambda: from_json(""), ("Config", "to_json")),
    "json cut": (lambda: from_json(to_json(LITE)[:50]), ("Config", "to_json")),
    "json deep": (lambda: from_json("[" * 100_000), ("Config", "to_json")),
    "json of a list": (lambda: from_json("[]"), ("Config", "expected fields")),
    "no config": (lambda: LSFADetector("lite"), ("config", "LITE")),  # type: ignore[arg-type]
    "no device": (lambda: LSFADetector(LITE, "abacus"), ("'abacus'", "use cpu")),
    "plane_distance": (
        lambda: BackgroundConfig(plane_distance=NAN),
        ("plane_distance", "float > 0"),
    ),
    "weights of another": (
        lambda: ImageBackbone(ImageConfig(backbone="resnet18")),
        ("choose 'timm'",),
    ),
    "no such backbone": (
        lambda: ImageBackbone(ImageConfig(backbone="x")),
        ("'x'", "timm.list_models()"),
    ),
    "scores in a list": (lambda: image_auroc([], []), ("one class only",)),
    "scores NaN": (lambda: image_auroc([NAN, 1], [0, 1]), ("NaN", "look for the sample")),
    "scores in words": (lambda: image_auroc(["a", "b"], [0, 1]), ("scores", "expected numbers")),
    "labels too few": (lambda: image_auroc([1.0, 2.0], [1]), ("expected (S,)",)),
    "labels of 2": (lambda: image_auroc([1.0, 2.0], [0, 2]), ("labels must be 0",)),
    "maps without masks": (lambda: pixel_auroc([np.ones((2, 2))], []), ("give one mask per map",)),
    "maps NaN": (lambda: pixel_auroc([NAN * T(2, 2)], [T(2, 2)]), ("maps[0]", "look for it")),
    "maps flat": (lambda: aupro([T(4)], [T(4)]), ("maps[0]", "must be (H, W)")),
    "mask is None": (lambda: aupro([T(2, 2)], [None]), ("masks[0]", "give zeros")),
    "no defect": (
        lambda: aupro([T(2, 2)], [0 * T(2, 2)]),
        ("no mask marks a defect", "at least one"),
    ),
    "limit of 0": (lambda: aupro([T(2, 2)], [T(2, 2)], 0), ("limit is 0", "0 < limit <= 1")),
    "nothing to evaluate": (lambda: evaluate([], []), ("0 scores of 0 samples", "one for each")),
    "no good scores": (lambda: threshold([], 0.1), ("scores", "n > 0")),
    "good scores NaN": (lambda: threshold([NAN], 0.1), ("scores", "finite")),
    "a rate of 1": (lambda: threshold([1.0], 1), ("false_positive_rate", "expected")),
    "no bank": (lambda: PatchCore(T(0, 3)), ("bank", "expected (M, D)")),
    "bank NaN": (lambda: PatchCore(NAN * T(2, 3)), ("bank", "look for")),
    "other width": (lambda: PatchCore(T(2, 3)).score(T(4, 5), T(4) > 0), ("use the backbone",)),
    "no patch on a part": (
        lambda: PatchCore(T(2, 3)).score(T(4, 3), T(4) < 0),
        ("lower min_foreground",),
    ),
    "patches NaN": (
        lambda: PatchCore(T(2, 3)).score(NAN * T(4, 3), T(4) > 0),
        ("NaN", "check the scan"),
    ),
    "coreset of nothing": (lambda: greedy_coreset(T(0, 3), 1), ("features", "expected (M, D)")),
    "coreset NaN": (lambda: greedy_coreset(NAN * T(2, 3), 1), ("NaN", "look for the sample")),
    "coreset of 0": (lambda: greedy_coreset(T(2, 3), 0), ("count is 0", "at least one")),
    "nearest of none": (lambda: nearest(T(1, 3), T(0, 3)), ("bank is empty", "enqueue")),
    "nearest of others": (lambda: nearest(T(1, 3), T(1, 4)), ("(1, 4)", "the same D")),
    "map of five patches": (lambda: anomaly_map(T(5), T(5) > 0, 8), ("(5,)", "a square number")),
    "scales of none": (lambda: Fusion.fit({}, {}, LITE.scoring), ("the same modalities",)),
    "scales without spread": (
        lambda: Fusion.fit(GOOD_SCORES, GOOD_SCORES, LITE.scoring),
        ("rgb image scores", "give more good samples"),
    ),
    "fpfh of three": (lambda: fpfh(T(3, 3), 0.1), ("3 points", "at least 4")),
    "fpfh of pixels": (lambda: fpfh(T(3, 4, 3), 0.1), ("points", "expected (P, 3)")),
    "fpfh of no radius": (lambda: fpfh(T(5, 3), 0.0), ("radius", "larger than 0")),
    "centres too many": (lambda: farthest_point_sampling(T(3, 3), 5), ("3 points", "5")),
    "interpolate": (lambda: interpolate(T(5, 3), T(2, 3), T(3, 4)), ("(3, 4)",)),
    "widths of two": (
        lambda: losses.local_compactness(T(0, 3), T(1, 3)),
        ("features has no rows",),
    ),
    "memory of 0": (lambda: MemoryBank(0, 3), ("capacity (0)", "at least 1")),
    "memory by chance": (lambda: MemoryBank(3, 3, "lottery"), ("'lottery'", "expected 'fifo'")),  # type: ignore[arg-type]
    "no prototypes": (lambda: assign(T(2, 3, 4), T(2, 3) > 0, 0), ("k is 0", "at least 1")),
    "no such input": (lambda: InputTransform(3, "wash"), ("'wash'", "expected one of")),  # type: ignore[arg-type]
    "ahead on a GPU": (
        lambda: describe_ahead(LITE.features, [], ("rgb",), 2, device="cuda"),
        ("workers = 2", "leave it at 1"),
    ),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_arrays_and_values_that_cannot_be_are_refused_in_words(case):
    call, words = SAMPLES[case]
    with answered(*words):
        call()


def fresh(fitted: LSFADetector) -> LSFADetector:
    return LSFADetector(fitted.config, extractor=fitted.extractor)


def relabelled(sample: Sample, label: int | None) -> Sample:
    return Sample(sample.rgb, sample.xyz, None, label, path="relabelled.png")


DETECTOR: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, ...]]] = {
    "score None": (lambda d, s: d.score(None), ("NoneType", "expected samples", "Folder")),
    "score a path": (lambda d, s: d.score("scans/"), ("str", "expected samples", "Folder")),
    "score a number": (lambda d, s: d.score(3), ("int", "expected samples")),
    "score an array": (lambda d, s: d.score(XYZ), ("ndarray", "expected samples")),
    "score paths": (lambda d, s: d.score([Path("a.png")]), ("PosixPath", "expected samples")),
    "score a generator": (lambda d, s: d.score(x for x in s), ("generator", "expected samples")),
    "score a third sense": (lambda d, s: d.score(s[0], ["smell"]), ("fitted on rgb, 3d", "smell")),
    "score without what is asked": (
        lambda d, s: d.score(without(s[0], "xyz"), ["3d"]),
        ("has none of the modalities 3d",),
    ),
    "score one point": (lambda d, s: d.score(Sample(None, some_points(*ONE), path="a")), ("a: ",)),
    "score a line": (lambda d, s: d.score(Sample(None, some_points(*LINE), path="a")), ("a: ",)),
    "score a black picture": (
        lambda d, s: d.score(Sample(0 * RGB, None, path="a")),
        ("a: no patch",),
    ),
    "score before fit": (lambda d, s: fresh(d).score(s[0]), ("call fit() or load() first",)),
    "save before fit": (lambda d, s: fresh(d).save("nowhere"), ("call fit() or load() first",)),
    "recalibrate before fit": (
        lambda d, s: fresh(d).recalibrate(s),
        ("call fit() or load() first",),
    ),
    "fit nothing": (lambda d, s: fresh(d).fit([]), ("0 training samples", "at least two")),
    "fit None": (lambda d, s: fresh(d).fit(None), ("NoneType", "expected samples")),
    "fit one": (lambda d, s: fresh(d).fit(s[0]), ("1 training samples", "at least two")),
    "fit a path": (lambda d, s: fresh(d).fit("scans/"), ("str", "expected samples")),
    "fit paths": (lambda d, s: fresh(d).fit(["a.png", "b.png"]), ("str", "expected samples")),
    "fit a generator": (lambda d, s: fresh(d).fit(x for x in s), ("generator", "expected samples")),
    "fit a defective one": (
        lambda d, s: fresh(d).fit([relabelled(s[0], 1), s[1]]),
        ("relabelled.png", "take it out"),
    ),
    "fit with nothing in common": (
        lambda d, s: fresh(d).fit([without(s[0], "xyz"), without(s[1], "rgb")]),
        ("share none", "each needs rgb"),
    ),
    "validate by paths": (lambda d, s: fresh(d).fit(s, "scans/"), ("str", "expected samples")),
    "validate without a sense": (
        lambda d, s: fresh(d).fit(s, [without(s[0], "xyz")]),
        ("validation: no 3d", "add it"),
    ),
    "recalibrate on one": (lambda d, s: d.recalibrate([s[0]]), ("two good samples",)),
    "recalibrate on a path": (lambda d, s: d.recalibrate("scans/"), ("str", "expected samples")),
    "recalibrate without a sense": (
        lambda d, s: d.recalibrate([without(x, "xyz") for x in s]),
        ("no 3d", "scan them with both"),
    ),
    "evaluate without labels": (
        lambda d, s: evaluate(d.score(s), [relabelled(x, None) for x in s]),
        ("relabelled.png: no label", "known defects"),
    ),
    "evaluate good ones only": (lambda d, s: evaluate(d.score(s), s), ("one class only", "needs")),
    "evaluate others": (
        lambda d, s: evaluate(d.score(s), s[:1]),
        ("2 scores of 1 samples", "each"),
    ),
}


@pytest.mark.parametrize("case", DETECTOR)
def test_what_a_detector_cannot_take_is_refused_in_words(case, fitted, rings):
    call, words = DETECTOR[case]
    with answered(*words):
        call(fitted, rings["train"][:2])


# --- what arrives: the reader of `watch` returns what it cannot use

ARRIVED: dict[str, tuple[dict[str, bytes], str]] = {
    "half a picture": ({"rgb/a.png": GOOD_PNG[:90], "xyz/a.tiff": GOOD_TIFF}, CUT),
    "half a cloud": ({"rgb/a.png": picture(RGB), "xyz/a.tiff": GOOD_TIFF[:60]}, CUT),
    "no cloud": ({"rgb/a.png": picture(RGB)}, "no xyz file"),
    "two sizes": ({"rgb/a.png": GOOD_PNG, "xyz/a.tiff": GOOD_TIFF}, "same size"),
    "two pictures": (
        {"rgb/a.png": GOOD_PNG, "rgb/a.jpg": b"", "xyz/a.tiff": GOOD_TIFF},
        "same stem",
    ),
    "no part": ({"rgb/a.png": picture(RGB), "xyz/a.tiff": tiff(0 * XYZ)}, "saw nothing"),
}


@pytest.mark.parametrize("case", ARRIVED)
def test_what_arrives_broken_is_told_and_not_raised(case, tmp_path):
    files, cure = ARRIVED[case]
    found: dict[str, list[Path]] = {}
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        found.setdefault(path.parent.name, []).append(path)
    error = attempt("a", found, ("rgb", "xyz"), read_scan)
    assert isinstance(error, LSFAError)
    assert cure in str(error)


# --- the doctor says it as a finding


@pytest.mark.parametrize(
    ("reader", "name", "make", "cure"), [f for f in FILES if f[0] == "cloud"][1::6]
)
def test_the_doctor_finds_it_and_goes_on(reader, name, make, cure, tmp_path):
    (tmp_path / "xyz").mkdir()
    path = tmp_path / "xyz" / name
    path.write_bytes(make) if isinstance(make, bytes) else make(path)
    (tmp_path / "xyz/other.tiff").write_bytes(GOOD_TIFF)
    report = examine(tmp_path)
    said = " ".join(words for level, words in report.findings if level == "error")
    assert cure in said
    assert "cannot be examined further" not in said
    assert any("2 opened" in words for _, words in report.findings)


# --- commands, as typed: {tmp} an empty folder, {data} a small data set, {model} a fitted one


@pytest.fixture(scope="module")
def data(rings, tmp_path_factory) -> Path:
    """Two parts to train on, one to validate, two to test; and a plain folder with bad files."""
    root = tmp_path_factory.mktemp("data")
    kinds = {"train/good": rings["train"][:2], "validation/good": rings["validation"][:1]}
    kinds |= {"test/good": rings["test"][:1], "test/hole": rings["test"][2:]}
    for kind, samples in kinds.items():
        for number, sample in enumerate(samples):
            write_sample(root / "set/ring" / kind, f"{number:03d}", sample)
    shutil.copytree(root / "set/ring", root / "broken/ring")
    (root / "broken/ring/train/good/xyz/001.tiff").write_bytes(GOOD_TIFF[:60])
    shutil.copytree(root / "set/ring", root / "uneven/ring")
    (root / "uneven/ring/train/good/xyz/001.tiff").unlink()
    shutil.copytree(root / "set/ring", root / "lone/ring")
    for path in (root / "lone/ring/train/good").glob("*/001.*"):
        path.unlink()
    shutil.copytree(root / "set", root / "begun")
    (root / "begun/clean.json").write_text('{"border": 3}')
    (root / "hole").symlink_to(root / "set/ring/test/hole")
    (root / "empty").mkdir()
    (root / "file").write_text("no scan")
    (root / "loop").symlink_to(root / "loop")
    (root / "lens.json").write_text('{"fx": 0, "fy": 1, "cx": 1, "cy": 1}')
    return root


COMMANDS = {
    "clean {data}/gone {tmp}/out": "gone: no such folder",
    "clean {data}/file {tmp}/out": "file: no such folder",
    "clean {data}/loop {tmp}/out": "loop: no such folder",
    "clean {data}/empty {tmp}/out": "expected folders with train/good",
    "clean {data}/set/ring {tmp}/out": "pass its parent folder",
    "clean {data}/set {data}/set/out": "name another",
    "clean {data}/set {data}/file": "{data}/file",
    "clean {data}/set {data}/file/out": "{data}/file",
    "clean {data}/set {data}/loop": "{data}/loop",
    "clean {data}/set {data}/begun": "clean anew into another folder",
    "clean {data}/set {tmp}/out --distance nan": "plane_distance = nan: expected float > 0",
    "clean {data}/set {tmp}/out --distance -1": "plane_distance = -1.0: expected float > 0",
    "clean {data}/set {tmp}/out --workers 0": "workers = 0: at least one",
    "fit {data}/gone ring --out {tmp}/m": "gone: no such folder",
    "fit {data}/set rope --out {tmp}/m": "no category 'rope'; there are ring",
    "fit {data}/set ../set/ring --out {tmp}/m": "there are ring",
    "fit {data}/set/ring ring --out {tmp}/m": "pass its parent folder",
    "fit {data}/set ring --out {data}/empty": "name a new folder",
    "fit {data}/set ring --out {data}/file": "name a new folder",
    "fit {data}/set ring --out {tmp}/m --device abacus": "--device abacus",
    "fit {data}/set ring --out {tmp}/m --workers -1": "workers = -1: at least one",
    "fit {data}/broken ring --out {tmp}/m": "001.tiff: cannot be read as a TIFF",
    "fit {data}/uneven ring --out {tmp}/m": "001.png: has no 3D file",
    "fit {data}/lone ring --out {tmp}/m": "1 training samples; at least two",
    "fit {data}/begun ring --out {tmp}/m": "clean.json: BackgroundConfig",
    "score {data}/gone {data}/set --out {tmp}/o": "detector.json: missing",
    "score {data}/file {data}/set --out {tmp}/o": "detector.json: missing",
    "score {model} {data}/gone --out {tmp}/o": "gone: no such file or folder",
    "score {model} {data}/empty --out {tmp}/o": "no scans; expected pictures",
    "score {model} {data}/loop --out {tmp}/o": "loop: no such file or folder",
    "score {model} {data}/file --out {tmp}/o": "no scans; expected pictures",
    "score {model} {data}/set --out {tmp}/o --intrinsics {data}/lens.json": "fx = 0: expected",
    "score {model} {data}/set --out {tmp}/o --intrinsics {data}/gone.json": "gone.json: no such",
    "score {model} {data}/set --out {tmp}/o --device abacus": "--device abacus",
    "score {model} {data}/hole --out {data}/file": "{data}/file",
    "score {model} {data}/hole --out {tmp}/o --report {tmp}": "name a folder of its own",
    "score {model} {data}/hole --out {tmp}/o --report {data}/set": "name a new folder",
    "score {model} {data}/hole --out {tmp}/o --workers 0": "workers = 0",
    "recalibrate {data}/gone {data}/set --out {tmp}/m": "detector.json: missing",
    "recalibrate {model} {data}/set/ring/test/good --out {tmp}/m": "two good samples are the least",
    "recalibrate {model} {data}/empty --out {tmp}/m": "no scans; expected pictures",
    "recalibrate {model} {data}/set --out {model}": "name a new folder",
    "watch {data}/gone --model {model}": "gone: no such folder",
    "watch {data}/file --model {model}": "file: no such folder",
    "watch {data}/empty --model {data}/gone": "detector.json: missing",
    "watch {data}/empty --model {model} --intrinsics {data}/lens.json": "fx = 0: expected",
    "evaluate {data}/gone {data}/set ring": "detector.json: missing",
    "evaluate {model} {data}/gone ring": "gone: no such folder",
    "evaluate {model} {data}/set rope": "there are ring",
    "data mini3d {tmp}/out --categories teapot": "teapot",
    "data eyecandies {data}/empty": "expected data mini3d OUT",
    "data eyecandies {data}/empty {tmp}/out": "no category; expected CandyCane",
    "reproduce table99 --out {tmp}/out": "table99",
}


@pytest.mark.parametrize("typed", COMMANDS)
def test_a_command_that_cannot_be_done_is_one_sentence(
    typed, data, saved, fitted, tmp_path, capsys, monkeypatch
):
    load = LSFADetector.load  # networks are loaded once for all rows
    monkeypatch.setattr(
        LSFADetector, "load", lambda path, device: load(path, extractor=fitted.extractor)
    )
    places = {"data": data, "model": saved, "tmp": tmp_path}
    before = sorted(tmp_path.rglob("*"))
    assert main([word.format(**places) for word in typed.split()]) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("lsfa-lite: ")]
    assert COMMANDS[typed].format(**places) in line
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind"


def test_a_name_that_is_no_text_is_scored_and_listed(data, saved, fitted, tmp_path, monkeypatch):
    load = LSFADetector.load
    monkeypatch.setattr(
        LSFADetector, "load", lambda path, device: load(path, extractor=fitted.extractor)
    )
    for role, end in (("rgb", "png"), ("xyz", "tiff")):
        (tmp_path / "in" / role).mkdir(parents=True)
        name = tmp_path / "in" / role / f"{os.fsdecode(bytes([255]))}.{end}"
        shutil.copy(data / "hole" / role / f"000.{end}", name)
    assert main(["score", str(saved), str(tmp_path / "in"), "--out", str(tmp_path / "o")]) == 0
    assert r"in/rgb/\udcff.png" in (tmp_path / "o/scores.csv").read_text()


# --- what may not be read or written, tried as somebody who may not


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that everybody may look into; the tests' own lies in one that only its owner may."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700)
    shutil.rmtree(folder)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read and write everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


LOCKED: dict[str, tuple[str, bytes | None, Callable[[Path], object]]] = {
    "a picture": ("a.png", GOOD_PNG, read_rgb),
    "a mask": ("a.png", GOOD_PNG, read_ids),
    "a TIFF": ("a.tiff", GOOD_TIFF, read_cloud),
    "an array": ("a.npy", npy(XYZ), read_cloud),
    "a cloud": ("a.ply", ply(12, POINTS), read_cloud),
    "intrinsics": ("a.json", b"{}", Intrinsics.from_json),
    "weights": ("a.pth", b"", READERS["colour weights"]),
    "a folder of scans": ("scans", None, Folder),
    "a data set": ("set", None, lambda path: MVTec3D(path, "ring")),
    "a model": ("model", None, LSFADetector.load),
    "a file in it": ("scans", None, lambda path: read_rgb(path / "a.png")),
    "writing into it": ("out", None, lambda path: write_png(path / "a.png", RGB)),
    "cleaning into it": ("out", None, lambda path: clean_folder(path.parent / "src", path)),
}


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="permissions of another kind")
@pytest.mark.parametrize("case", LOCKED)
def test_what_may_not_be_touched_is_named(case, locked):
    name, content, call = LOCKED[case]
    path = locked / name
    (locked / "src/ring/train").mkdir(parents=True)
    path.mkdir() if content is None else path.write_bytes(content)
    path.chmod(0)
    with as_nobody(), answered(str(path), "ermission", kind=LSFAError | OSError):
        call(path)


# --- degenerate, but no mistake: a verdict, or a refusal in words

DEGENERATE: dict[str, Callable[[], Sample]] = {
    "1 x 1": lambda: Sample(RGB[:1, :1], XYZ[:1, :1]),
    "1 x 1 picture": lambda: Sample(RGB[:1, :1], None),
    "one row": lambda: Sample(RGB[:1], XYZ[:1]),
    "1 x 300": lambda: Sample(None, np.ones((1, 300, 3), np.float32)),
    "plane only": lambda: Sample(None, on_plane()),
    "one place": lambda: Sample(None, np.full((60, 80, 3), 0.5, np.float32)),
    "thick line": lambda: Sample(
        None, some_points(*((v, u) for v in range(28, 33) for u in range(80)))
    ),
    "1000 x 3 picture": lambda: Sample(BIG[:1000, :3], None),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_a_degenerate_scan_gets_a_verdict_or_a_reason(case, fitted):
    try:
        scored = fitted.score(DEGENERATE[case]())
    except LSFAError as error:
        told = str(error)
        assert told.startswith("<array>: ")
    else:
        assert np.isfinite([scored.image_score, *scored.anomaly_map.ravel()]).all()


# --- the contract itself


def kinds(of: type = LSFAError) -> set[type]:
    found = {of}.union(*(kinds(kind) for kind in of.__subclasses__()))
    return {kind for kind in found if kind.__module__.startswith("lsfa_lite.")}


def test_the_page_lists_every_kind_and_every_exit_status():
    page = (ROOT / "book/errors.md").read_text()
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")}
    assert {f"`{kind.__name__}`" for kind in kinds()} <= rows
    assert {"0", "1", "2", "70", "130", "141"} <= rows
    named = {name.strip("`") for name in rows if name.startswith("`") and name[1].isupper()}
    assert named == {kind.__name__ for kind in kinds()}, "and no others"


@pytest.mark.parametrize(  # but PassedOver, which is made from a batch
    "kind", sorted((k for k in kinds() if "__init__" not in vars(k)), key=lambda k: k.__name__)
)
def test_a_kind_says_what_it_was_told_and_survives_another_process(kind):
    error = pickle.loads(pickle.dumps(kind("a.png: cut short")))
    assert (type(error), str(error)) == (kind, "a.png: cut short")
    assert inspect.getdoc(kind)


def test_the_library_raises_no_bare_kind_of_pythons():
    """But inside `checked` and `point_files`, where what asked for it makes a sentence of it, and
    in `weight_files`, for a disk that is full."""
    bare = re.compile(r"raise (Value|Type|Key|Index|Runtime|OS|FileNotFound|Import)Error\b")
    found = {
        path.stem for path in (ROOT / "lsfa_lite").rglob("*.py") if bare.search(path.read_text())
    }
    assert found == {"checked", "point_files", "weight_files"}


def test_there_are_rows_enough():
    rows = [FILES, MODELS, SETTINGS, SAMPLES, DETECTOR, ARRIVED, COMMANDS, LOCKED]
    assert sum(map(len, rows)) >= 150
