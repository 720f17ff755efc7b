"""Broken and hostile files for every reader, for a bounded time.

    python tests/fuzz.py [--seconds 300] [--targets picture ply ...] [--seed 0] [--engine both]

A target is a reader and whole files of its kind. They are changed blindly here (bits, lengths,
numbers in text, pieces cut and pasted, a PNG's checksums put right again) and, where atheris is
installed, by coverage of our readers, Pillow, tifffile and yaml. A worker is a process of its own.
A finding is an error that is no ValueError or OSError, the end of the process, ten seconds over one
file, or memory taken for what a header merely says. Its input is kept in _build/fuzz.
Not collected by pytest; exits with 1 if anything was found.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
try:
    import atheris
except ModuleNotFoundError:
    atheris = None
with (
    atheris.instrument_imports(include=["lsfa_lite.data", "PIL", "tifffile", "yaml"])
    if (atheris and "mutations" not in sys.argv)
    else contextlib.nullcontext()
):
    import numpy as np
    import tifffile
    import torch
    from PIL import Image
    from safetensors.torch import save

    from lsfa_lite.adaptation import checkpoint
    from lsfa_lite.config import FIRST, from_json, to_json
    from lsfa_lite.data import files
    from lsfa_lite.data.depth import read_cloud
    from lsfa_lite.data.intrinsics import Intrinsics
    from lsfa_lite.detector import LSFADetector
    from lsfa_lite.features import cache
    from lsfa_lite.features.extract import FeatureExtractor
    from lsfa_lite.features.patches import PatchStack
    from lsfa_lite.features.point_weights import read_weights

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "_build" / "fuzz"
SECONDS, MEGABYTES = 10, 400  # for one file of a few kilobytes
ALLOWED = (ValueError, OSError)
NUMBERS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**63)
TEXTS = (
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"99999999999",
    b"4294967295",
    b"0.5",
    b"null",
    b"[]",
    b"{}",
)
CAMERA = Intrinsics(500, 500, 4, 3, 0.001)


class Target(NamedTuple):
    """read(path) of a file of that name; wholes: bytes that it takes."""

    file: str
    read: Callable[[Path], object]
    wholes: list[bytes]


def saved(save_to: Callable[..., object], *arguments, **options) -> bytes:
    buffer = io.BytesIO()
    save_to(buffer, *arguments, **options)
    return buffer.getvalue()


def picture(array: np.ndarray, form: str, **options) -> bytes:
    return saved(Image.fromarray(array).save, format=form, **options)


def fitted() -> tuple[LSFADetector, Callable[[Path], object]]:
    """A model of two parts of made features, and what reads one."""
    config = FIRST.change(modalities=("3d",), adaptation__steps=1, adaptation__local_bank=20)
    extractor = FeatureExtractor(config.features)
    drawn = torch.rand(4, 9, 33, generator=torch.Generator().manual_seed(0))
    parts = PatchStack({"3d": drawn}, torch.ones(4, 9, dtype=torch.bool))
    detector = LSFADetector(config, extractor=extractor).fit_features(parts)
    return detector, lambda path: LSFADetector.load(path, extractor=extractor)


def targets(scratch: Path) -> dict[str, Target]:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    depth = rng.integers(400, 900, (6, 8), dtype=np.uint16)
    xyz = rng.uniform(0.2, 0.6, (6, 8, 3)).astype(np.float32)
    mask = (rgb[..., 0] > 128).astype(np.uint8) * 255
    pictures = [picture(rgb, "PNG"), picture(rgb, "JPEG"), picture(rgb, "BMP"),
                picture(mask, "PNG"), picture(rgb, "GIF")]  # fmt: skip
    rows = "\n".join(" ".join(f"{x:.3f}" for x in point) for point in xyz.reshape(-1, 3))
    names = "property float x\nproperty float y\nproperty float z\nend_header\n"
    plies = [
        f"ply\nformat ascii 1.0\nelement vertex 48\n{names}{rows}\n".encode(),
        f"ply\nformat binary_little_endian 1.0\nelement vertex 48\n{names}".encode()
        + xyz.tobytes(),
    ]
    pcd = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 8\nHEIGHT 6\n"
    pcd += "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 48\nDATA "
    pcds = [f"{pcd}ascii\n{rows}\n".encode(), f"{pcd}binary\n".encode() + xyz.tobytes()]
    tiffs = [saved(tifffile.imwrite, xyz), saved(tifffile.imwrite, depth.astype(np.float32)),
             saved(tifffile.imwrite, xyz, compression="zlib", predictor=True)]  # fmt: skip
    cameras = [
        {"fx": 500, "fy": 500.0, "cx": 4, "cy": 3, "depth_scale": 0.001, "width": 8, "height": 6},
        {"ppx": 4, "ppy": 3, "fx": 500, "fy": 500, "coeffs": [0, 0, 0, 0, 0]},
        {"intrinsic_matrix": [500, 0, 0, 0, 500, 0, 4, 3, 1], "width": 8, "height": 6},
    ]
    ros = b"image_width: 8\nK: [500, 0, 4, 0, 500, 3, 0, 0, 1]\nD: [0.0, 0.0]\n"
    tensors = save({"a": torch.zeros(3, 2), "b": torch.ones(4)}, {"run": "x", "history": "[]"})
    detector, load = fitted()
    detector.save(scratch / "model")
    told, body = ((scratch / "model" / f"detector.{end}").read_bytes() for end in
                  ("json", "safetensors"))  # fmt: skip

    def model(name: str, other: str, content: bytes) -> Callable[[Path], object]:
        def read(path: Path) -> object:
            (path.parent / other).write_bytes(content)
            return load(path.parent)

        return read

    def kept(path: Path) -> object:
        os.environ["LSFA_CACHE"] = str(path.parent)
        place = cache.cache_folder() / "ke" / "key.safetensors"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
        return cache.grown(cache.cached("key", lambda: {"features": torch.zeros(4, 2)}), 1)

    def continued(path: Path) -> object:
        network = torch.nn.Linear(2, 3)
        return checkpoint.resume(path, "x", network, torch.optim.AdamW(network.parameters()))

    network = torch.nn.Linear(2, 3)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(2)).sum().backward()
    optimiser.step()
    checkpoint.save(scratch / "training", "x", network, optimiser, [{"loss": 1.0}])
    return {
        "picture": Target("a.png", files.read_rgb, pictures),
        "mask": Target("a.png", lambda p: (files.read_ids(p), files.soft_mask(p)), pictures),
        "depth": Target("a.png", lambda p: read_cloud(p, CAMERA), [picture(depth, "PNG")]),
        "tiff": Target("a.tiff", lambda p: read_cloud(p, CAMERA), tiffs),
        "npy": Target("a.npy", lambda p: read_cloud(p, CAMERA),
                      [saved(np.save, xyz), saved(np.save, depth)]),
        "ply": Target("a.ply", lambda p: read_cloud(p, None, (6, 8)), plies),
        "pcd": Target("a.pcd", read_cloud, pcds),
        "json": Target("a.json", Intrinsics.from_json, [json.dumps(c).encode() for c in cameras]),
        "yaml": Target("a.yaml", Intrinsics.from_json, [ros]),
        "safetensors": Target("a.safetensors", read_weights, [tensors]),
        "pth": Target("a.pth", read_weights, [
            saved(lambda b, x: torch.save(x, b), {"base_model": {"a": torch.zeros(3)}}),
            saved(lambda b, x: torch.save(x, b, _use_new_zipfile_serialization=False),
                  {"base_model": {"a": torch.zeros(3)}})]),
        "config": Target("a.json", lambda p: from_json(p.read_text("utf-8")),
                         [to_json(FIRST).encode()]),
        "model": Target("detector.json", model("json", "detector.safetensors", body), [told]),
        "bank": Target("detector.safetensors", model("safetensors", "detector.json", told), [body]),
        "cache": Target("a.safetensors", kept, [save({"features": torch.zeros(4, 2)})]),
        "checkpoint": Target("training", continued, [(scratch / "training").read_bytes()]),
    }  # fmt: skip


# --- blind changes ----------------------------------------------------------------------------


def changed(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        at, kind = draw.randrange(len(data) + 1), draw.randrange(8)
        end = min(len(data), at + draw.choice((1, 2, 4, 8, 64)))
        numbers = list(re.finditer(rb"-?\d[\d.]*", data))
        if kind == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            form, number = draw.choice(("<I", ">I", "<H", ">H", "<Q")), draw.choice(NUMBERS)
            word = struct.pack(form, number % 256 ** struct.calcsize(form))
            data = data[:at] + word + data[at + len(word) :]
        elif kind == 2:
            data = data[:at] + data[end:]
        elif kind == 3:
            data = data[:at] + data[at:end] * draw.randint(2, 40) + data[end:]
        elif kind == 4:
            data = data[: draw.randrange(len(data) + 1)]
        elif kind == 5 and numbers:
            found = draw.choice(numbers)
            data = data[: found.start()] + draw.choice(TEXTS) + data[found.end() :]
        elif kind == 6:
            other = draw.choice(others)
            data = data[:at] + other[draw.randrange(len(other)) :]
        elif kind == 7:
            data = data[:at] + draw.choice((b"[" * 3000, b'{"a":' * 3000, draw.randbytes(8)))
    return with_checksums(data) if draw.random() < 0.7 else data


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks are believed; anything else as it is."""
    if not data.startswith(b"\x89PNG"):
        return data
    out, at = data[:8], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return out + data[at:]


# --- one file, many files ----------------------------------------------------------------------


def attempt(target: Target, folder: Path, data: bytes) -> None:
    """Raises what is no answer; a timer ends the process."""
    path = folder / target.file
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of work: the machine may have more to do
    signal.alarm(20 * SECONDS)
    with contextlib.suppress(*ALLOWED):
        target.read(path)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    if taken > MEGABYTES:
        raise MemoryError(f"{taken} MB for {len(data)} bytes")


def worker(target: Target, folder: Path, seconds: float, seed: int, engine: str) -> None:
    """In a process of its own: writes the number of runs, and what stopped it, into `folder`."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    runs, draw, end = 0, random.Random(seed), time.monotonic() + seconds

    def one(data: bytes) -> None:
        nonlocal runs
        runs += 1
        (folder / "runs").write_text(str(runs))
        try:
            attempt(target, folder, data)
        except BaseException as error:
            (folder / "why").write_text(f"{type(error).__name__}: {error}"[:300])
            os._exit(1)

    if engine == "atheris":
        (folder / "corpus").mkdir()
        for number, whole in enumerate(target.wholes):
            (folder / "corpus" / str(number)).write_bytes(whole)
        limits = [f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", "-max_len=8192"]
        atheris.Setup([sys.argv[0], *limits, "-rss_limit_mb=0", str(folder / "corpus")], one)
        atheris.Fuzz()
    for whole in target.wholes:
        target.read(Path(folder, target.file)) if Path(folder, target.file).write_bytes(
            whole
        ) else 0
    while time.monotonic() < end:
        one(changed(draw.choice(target.wholes), target.wholes, draw))


def fuzz(name: str, target: Target, scratch: Path, seconds: float, seed: int, engine: str):
    """(runs, what was found); a worker that was stopped by a finding has a successor."""
    runs, found, end = 0, [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0.5 and len(found) < 10:
        folder = Path(tempfile.mkdtemp(dir=scratch))
        sys.stdout.flush()
        if not (child := os.fork()):
            for stream in (1, 2):
                os.dup2(os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
            worker(target, folder, left, seed + len(found), engine)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        runs += int((folder / "runs").read_text()) if (folder / "runs").exists() else 0
        if code:
            why = (folder / "why").read_text() if (folder / "why").exists() else f"ended by {code}"
            KEPT.mkdir(parents=True, exist_ok=True)
            kept = KEPT / f"{name}-{engine}-{seed}-{len(found)}{Path(target.file).suffix}"
            if (folder / target.file).exists():
                kept.write_bytes((folder / target.file).read_bytes())
            found.append(f"{why} ({kept.relative_to(ROOT)})")
    return runs, found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=300, help="for all targets together")
    options.add_argument("--targets", nargs="+")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--engine", choices=["mutations", "atheris", "both"], default="both")
    asked = options.parse_args()
    torch.set_num_threads(1)
    engines = ["mutations", "atheris"] if asked.engine == "both" else [asked.engine]
    if atheris is None:
        engines = ["mutations"]
        print("atheris is not installed: blind changes alone")
    total = bad = 0
    with tempfile.TemporaryDirectory(prefix="lsfa-fuzz-") as name:
        every = targets(Path(name))
        wanted = asked.targets or list(every)
        share = asked.seconds / len(wanted) / len(engines)
        for target in wanted:
            for engine in engines:
                how = Path(name), share, asked.seed, engine
                runs, found = fuzz(target, every[target], *how)
                print(f"{target}, {engine}: {runs} files, {len(found)} found", *found,
                      sep="\n    ", flush=True)  # fmt: skip
                total, bad = total + runs, bad + len(found)
    print(f"{total} files, {bad} found, seed {asked.seed}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
