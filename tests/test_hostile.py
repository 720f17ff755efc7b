"""Files that would run code, or ask for more memory than there is: nothing runs, none is taken.

`make fuzz` looks for more of them.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

from lsfa_lite import LSFADetector
from lsfa_lite.adaptation import checkpoint
from lsfa_lite.config import FIRST, from_json, to_json
from lsfa_lite.data import files
from lsfa_lite.data.depth import read_cloud
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.features import cache
from lsfa_lite.features.point_weights import read_weights


class Evil:
    """Unpickled it makes a file."""

    def __init__(self, mark: Path):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def pickles(mark: Path) -> dict[str, bytes]:
    """The same in every form in which torch and NumPy may find it."""
    forms = {"plain": pickle.dumps(Evil(mark))}
    for name, zipped in (("zip", True), ("legacy", False)):
        buffer = io.BytesIO()
        torch.save({"base_model": Evil(mark)}, buffer, _use_new_zipfile_serialization=zipped)
        forms[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil(mark)], dtype=object), allow_pickle=True)
    forms["npy"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([Evil(mark)], dtype=object))
    forms["npz"] = buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(mark)))
        archive.writestr("../../outside.txt", "x")
    forms["archive"] = buffer.getvalue()
    return forms


def model_folder(path: Path) -> object:
    """Both of a model's files are the hostile one, then one of them alone."""
    (path.parent / "detector.safetensors").write_bytes(path.read_bytes())
    head = {"format": 1, "config": json.loads(to_json(FIRST)), "modalities": ["3d"]}
    (path.parent / "detector.json").write_text(json.dumps(head))
    return LSFADetector.load(path.parent)


def go_on(path: Path) -> object:
    network = torch.nn.Linear(1, 1)
    return checkpoint.resume(path, "x", network, torch.optim.AdamW(network.parameters()))


READERS = {
    "weights.pth": read_weights,
    "weights.safetensors": read_weights,
    "a.npy": read_cloud,
    "a.tiff": read_cloud,
    "a.ply": lambda path: read_cloud(path, None, (6, 8)),
    "a.pcd": read_cloud,
    "a.png": files.read_rgb,
    "camera.json": Intrinsics.from_json,
    "camera.yaml": Intrinsics.from_json,
    "model": model_folder,
    "training": go_on,
}


@pytest.mark.parametrize("form", ["plain", "zip", "legacy", "npy", "npz", "archive"])
@pytest.mark.parametrize("name", READERS)
def test_a_hostile_file_runs_nothing(tmp_path, name, form):
    mark, folder = tmp_path / "ran", tmp_path / "inside" / "deep"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(pickles(mark)[form])
    with pytest.raises((ValueError, OSError)):
        READERS[name](folder / name)
    assert not mark.exists()
    assert not list(tmp_path.rglob("outside.txt"))


def test_these_files_are_hostile_indeed(tmp_path):
    for number, form in enumerate(("zip", "legacy")):
        mark = tmp_path / str(number)
        torch.load(io.BytesIO(pickles(mark)[form]), weights_only=False)
        assert mark.exists()
    np.load(io.BytesIO(pickles(tmp_path / "npy")["npy"]), allow_pickle=True)
    assert (tmp_path / "npy").exists()


@pytest.mark.parametrize(
    "text",
    [
        "fx: !!python/object/apply:os.mkdir ['{mark}']\n",
        "!!python/object/new:os.mkdir ['{mark}']\n",
        'fx: !!python/name:os.system ""\n',
    ],
)
def test_a_hostile_camera_runs_nothing(tmp_path, text):
    path = tmp_path / "camera.yaml"
    path.write_text(text.format(mark=tmp_path / "ran"))
    with pytest.raises(ValueError, match=r"camera\.yaml"):
        Intrinsics.from_json(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("opening", ["[", "{", '{"a":', "- ", "? "])
def test_nested_text_is_refused_at_once(tmp_path, opening):
    for name in ("camera.json", "camera.yaml"):
        (tmp_path / name).write_text(opening * 3000)
        with pytest.raises(ValueError, match=name):
            Intrinsics.from_json(tmp_path / name)
    with pytest.raises(ValueError, match=r"JSON|Config"):
        from_json(opening * 3000)


# --- headers that ask for too much --------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def tiff(width: int, height: int) -> bytes:
    tags = ((256, width), (257, height), (258, 32), (259, 1), (262, 1), (273, 8), (277, 3),
            (278, height), (279, 64), (339, 3))  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + body + bytes(68)


def npy(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    head = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, head)
    return buffer.getvalue() + bytes(64)


XYZ = "property float x\nproperty float y\nproperty float z\nend_header\n"
PCD = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
PCD += "WIDTH {0}\nHEIGHT {0}\nPOINTS {1}\nDATA {2}\n"
PLY = "ply\nformat {0} 1.0\nelement vertex {1}\n" + XYZ
FAR = {"a": {"dtype": "F32", "shape": [2**31, 2**9], "data_offsets": [0, 2**42]}}
HUGE = 60_000
ABSURD = {
    "png": ("a.png", png(HUGE, HUGE)),
    "tiff": ("a.tiff", tiff(HUGE, HUGE)),
    "npy": ("a.npy", npy((HUGE, HUGE, 3))),
    "npy, of Python's numbers": ("a.npy", npy((2**62, 2**62, 3))),
    "ply": ("a.ply", PLY.format("binary_little_endian", HUGE**2).encode()),
    "ply, as text": ("a.ply", PLY.format("ascii", HUGE**2).encode() + b"0 0 1\n"),
    "pcd": ("a.pcd", PCD.format(HUGE, HUGE**2, "binary").encode() + bytes(64)),
    "pcd, compressed": ("a.pcd", PCD.format(HUGE, HUGE**2, "binary_compressed").encode()
                        + struct.pack("<II", 40, 2**32 - 8) + bytes(40)),
    "safetensors": ("a.safetensors", struct.pack("<Q", 2**40) + b"{}"),
    "safetensors, a tensor": ("a.safetensors", (lambda head: struct.pack("<Q", len(head)) + head)(
        json.dumps(FAR).encode())),
}  # fmt: skip


@pytest.mark.parametrize("kind", ABSURD)
def test_what_a_header_asks_for_is_not_taken(tmp_path, kind):
    name, content = ABSURD[kind]
    (tmp_path / name).write_bytes(content)
    read = {"a.png": files.read_rgb, "a.safetensors": read_weights}.get(name, read_cloud)
    with pytest.raises(ValueError, match=name):  # before anything is measured: libraries load
        read(tmp_path / name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=name):
        read(tmp_path / name)
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert taken < 64 * 1024  # kilobytes


# --- what fuzzing found -------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [{"other": (3,)}, {"features": (3, 2), "rows": (9,)}])
def test_a_cache_of_other_tensors_is_made_anew(tmp_path, monkeypatch, kept):
    monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
    made = {"features": torch.ones(2, 5), "rows": torch.ones(2, dtype=torch.bool)}
    from lsfa_lite.features.weight_files import write_file

    path = cache.cache_folder() / "ab" / "abc.safetensors"
    write_file(path, {name: torch.ones(shape, dtype=torch.bool) for name, shape in kept.items()})
    assert torch.equal(cache.cached("abc", lambda: made)["features"], made["features"])
    assert torch.equal(cache.cached("abc", dict)["features"], made["features"])


def test_a_checkpoint_of_another_network_is_named(tmp_path):
    network = torch.nn.Linear(2, 3)
    checkpoint.save(tmp_path / "c", "x", network, torch.optim.AdamW(network.parameters()), [])
    with pytest.raises(ValueError, match="c: not a whole checkpoint"):
        go_on(tmp_path / "c")


def test_a_hostile_model_does_nothing_in_the_shell_either(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("detector.json", "detector.safetensors"):
        (tmp_path / "model" / name).write_bytes(pickles(tmp_path / "ran")["plain"])
    words = ["-m", "lsfa_lite", "score", str(tmp_path / "model"), str(ROOT / "book"), "--out"]
    done = subprocess.run(
        [sys.executable, *words, str(tmp_path / "out")], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "detector.json: damaged" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]
