"""Scans that arrive: none is read half, none twice, and a bad one stops nobody."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from lsfa_lite.data.arrivals import arrivals
from lsfa_lite.data.files import write_sample
from lsfa_lite.data.sample import Sample

QUICK = {"every": 0.01, "settle": 0.1, "patience": 0.5}


def write(folder: Path, stem: str, shade: int = 9) -> None:
    xyz = np.full((6, 8, 3), 0.4, np.float32)
    write_sample(folder, stem, Sample(np.full((6, 8, 3), shade, np.uint8), xyz))


@pytest.fixture
def seen(tmp_path: Path):
    """What was told so far, by a thread that watches tmp_path/in; stopped at the end."""
    stop, told = Event(), list[tuple[str, object]]()
    folder = tmp_path / "in"
    folder.mkdir()

    def work() -> None:
        for path, found in arrivals(folder, stop=stop, **QUICK):
            told.append((path.relative_to(folder).as_posix(), found))

    thread = Thread(target=work)
    thread.start()
    yield told
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def wait(told: list, count: int) -> None:
    end = time.monotonic() + 30
    while len(told) < count:
        assert time.monotonic() < end, told
        time.sleep(0.01)
    time.sleep(0.3)  # nothing more comes
    assert len(told) == count, told


def test_each_scan_comes_once_and_again_when_it_was_changed(seen, tmp_path):
    write(tmp_path / "in", "a")
    write(tmp_path / "in", "b")
    wait(seen, 2)
    assert sorted(path for path, _ in seen) == ["rgb/a.png", "rgb/b.png"]
    assert all(isinstance(found, Sample) for _, found in seen)
    write(tmp_path / "in", "b", shade=200)
    wait(seen, 3)
    assert seen[2][1].rgb.max() == 200
    shutil.rmtree(tmp_path / "in/rgb")  # what goes says nothing, or that a half is left
    time.sleep(0.2)


def test_a_file_that_is_still_written_is_waited_for(seen, tmp_path):
    write(tmp_path / "whole", "a")
    content = (tmp_path / "whole/xyz/a.tiff").read_bytes()
    shutil.copytree(tmp_path / "whole/rgb", tmp_path / "in/rgb")
    (tmp_path / "in/xyz").mkdir()
    with (tmp_path / "in/xyz/a.tiff").open("wb", buffering=0) as file:
        for start in range(0, len(content), len(content) // 12):
            file.write(content[start : start + len(content) // 12])
            time.sleep(0.05)
            assert seen == []
    wait(seen, 1)
    assert isinstance(seen[0][1], Sample)
    assert (seen[0][1].xyz == np.float32(0.4)).all()


def test_bad_scans_are_told_with_their_reason_and_the_others_go_on(seen, tmp_path):
    folder = tmp_path / "in"
    write(folder, "a-good")
    (folder / "rgb/b-broken.png").write_bytes(b"\x89PNG nothing")
    (folder / "xyz/b-broken.tiff").write_bytes(b"II*")
    shutil.copy(folder / "rgb/a-good.png", folder / "rgb/c-alone.png")
    write(folder, "d-twice")
    shutil.copy(folder / "rgb/d-twice.png", folder / "d-twice.png")
    (folder / ".hidden.png").write_text("x")
    (folder / "e.png.part").write_text("x")
    write(folder, "f-good")
    wait(seen, 5)
    told = {Path(path).stem: found for path, found in seen}
    assert isinstance(told["a-good"], Sample)
    assert isinstance(told["f-good"], Sample)
    assert "cannot be read as a picture" in str(told["b-broken"])
    assert str(told["c-alone"]) == "c-alone: no xyz file of this stem has come"
    assert "of the same stem is rgb too" in str(told["d-twice"])
    shutil.copy(folder / "xyz/a-good.tiff", folder / "xyz/c-alone.tiff")  # it comes after all
    wait(seen, 6)
    assert isinstance(seen[5][1], Sample)


def test_it_stops_while_it_waits_and_between_two_scans(tmp_path):
    stop = Event()
    for stem in "abc":
        write(tmp_path, stem)
    found = arrivals(tmp_path, stop=stop, **QUICK)
    next(found)
    stop.set()
    assert list(found) == []
    assert list(arrivals(tmp_path / "nowhere", stop=stop)) == []
