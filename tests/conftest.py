"""Shared by the tests: one thread, a cache of their own, and a few small scans."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["LSFA_CACHE"] = tempfile.mkdtemp(prefix="lsfa-test-cache-")

import pytest
import torch

from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_lite.config import FIRST, Config
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.sample import Sample

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]  # of the repository
# six scans of real sensors, for checks on a machine that has them
SCANS = Path(os.environ.get("LSFA_REAL_SCANS", ROOT.parent / "shared/real_scans"))

# LITE of the first edition at half the resolution, with a short training
QUICK = FIRST.change(
    features__image_size=112,
    features__grid=14,
    adaptation__steps=4,
    adaptation__local_bank=500,
)
SMALL = Mini3DConfig(seed=7, train=4, validation=3, test_good=2, test_per_defect=1, size=128)


@pytest.fixture(scope="session")
def rings() -> dict[str, list[Sample]]:
    """Cleaned rings of 128 pixels: 4 to train, 3 to validate, 3 to test, the last with a hole."""

    def scans(folder: str, count: int) -> list[Sample]:
        return [remove_background(make_sample("ring", folder, i, SMALL)) for i in range(count)]

    hole = make_sample("ring", "test/hole", 0, SMALL, strength=1.0)
    return {
        "train": scans("train/good", 4),
        "validation": scans("validation/good", 3),
        "test": [*scans("test/good", 2), remove_background(hole)],
    }


@pytest.fixture(scope="session")
def quick() -> Config:
    return QUICK


def without(sample: Sample, name: str) -> Sample:
    """The same scan without its "rgb" or its "xyz"."""
    return dataclasses.replace(sample, **{name: None})


# --- a real browser ---------------------------------------------------------------------------

BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]


def load(path: Path) -> Any:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unavailable(variable: str, reason: str) -> None:
    """Skip the test, or fail it where the variable says that nothing may be missing."""
    if os.environ.get(variable):
        pytest.fail(f"{reason} ({variable} is set)")
    pytest.skip(reason)


@pytest.fixture(scope="module")  # no longer: it has an event loop running
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        unavailable("LSFA_REQUIRE_BROWSER", "no Chromium: install it, or set CHROMIUM to its path")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("LSFA_REQUIRE_BROWSER", "no playwright: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield browser
        browser.close()
