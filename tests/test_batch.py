"""One verdict a scan, whatever is wrong with it; what concerns all scans is not swallowed."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from lsfa_lite.batch import judge, read_arriving, read_each, reader, scans_of
from lsfa_lite.data.files import write_sample
from lsfa_lite.data.sample import NoPart, Sample
from lsfa_lite.data.scans import Entry
from lsfa_lite.detector import Scored
from lsfa_lite.report import written


class Pretended:
    """A detector whose score is the picture's brightest value; 99 raises what it is told to."""

    modalities = ("rgb", "3d")
    background = None

    def __init__(self, error: BaseException | None = None):
        self.error = error

    def score(self, sample: Sample) -> Scored:
        value = int(sample.rgb.max())
        if value == 99 and self.error is not None:
            raise self.error
        heat, alone = np.zeros(sample.shape, np.float32), {"rgb": 1.0 * value}
        return Scored(value, heat, alone, {}, 100, 100, value > 100, sample.path)

    def no_part(self, path: str) -> Scored:
        return Scored(np.inf, np.zeros((1, 1), np.float32), {}, {}, 100, 100, True, path)


def sample(value: int) -> Sample:
    xyz = np.full((6, 8, 3), 0.4, np.float32)
    return Sample(np.full((6, 8, 3), value, np.uint8), xyz, path=f"{value}.png")


def test_each_scan_has_one_verdict_and_its_reason():
    found = [
        (Path("50.png"), sample(50)),
        (Path("cut.png"), ValueError("cut short")),
        (Path("locked.png"), PermissionError("locked")),
        (Path("black.png"), NoPart("black")),
        (Path("99.png"), sample(99)),
        (Path("200.png"), sample(200)),
    ]
    told = list(judge(Pretended(NoPart("nothing in front of the table")), found))
    assert [one.verdict for one in told] == [
        *("good", "failed", "failed", "no part seen", "no part seen", "anomalous")
    ]
    assert [one.path for one in told] == [str(path) for path, _ in found]
    assert [str(one.reason) for one in told[1:5]] == [
        *("cut short", "locked", "black", "nothing in front of the table")
    ]
    assert told[0].reason is None is told[5].reason
    assert told[3].sample is None
    assert told[4].sample == sample(99)  # there is a picture to look at
    assert told[5].scored.image_score == 200


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("CUDA"), MemoryError()])
def test_a_scan_that_cannot_be_scored_does_not_stop_the_others(error):
    found = [(Path("a"), sample(99)), (Path("b"), sample(1))]
    first, second = judge(Pretended(error), found)
    assert (first.verdict, first.reason, second.verdict) == ("failed", error, "good")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "full"), TypeError("a bug")])
def test_what_concerns_all_scans_is_raised(error):
    with pytest.raises(type(error)):
        list(judge(Pretended(error), [(Path("a"), sample(99))]))


def test_scans_are_read_one_by_one_where_they_are_asked_for(tmp_path):
    for value in (3, 4, 5):
        write_sample(tmp_path / "in", f"{value}", sample(value))
    (tmp_path / "in/rgb/4.png").write_text("no picture")
    alone = tmp_path / "in/rgb/5.png"
    folders = scans_of(Pretended(), [tmp_path / "in", alone])
    alone.write_bytes((tmp_path / "in/rgb/3.png").read_bytes())  # until now nothing was read
    found = list(read_each(folders))
    assert [path.name for path, _ in found] == ["3.png", "4.png", "5.png", "5.png"]
    assert "cannot be read as a picture" in str(found[1][1])
    assert [s.rgb.max() for _, s in (found[0], *found[2:])] == [3, 3, 3]


def test_a_scan_that_arrives_is_read_in_the_same_way(tmp_path):
    write_sample(tmp_path, "a", sample(7))
    (scans,), stop = scans_of(Pretended(), [tmp_path]), Event()
    for path, found in read_arriving(Pretended(), tmp_path, stop):
        stop.set()
        assert (path, found) == (tmp_path / "rgb/a.png", scans[0])
    workers = pickle.loads(pickle.dumps(reader(Pretended())))  # as `describe_ahead` sends it
    assert workers(Entry(tmp_path / "rgb/a.png", None)).rgb.max() == 7


def test_maps_are_written_as_they_come_and_the_table_at_the_end(tmp_path):
    found = [
        (Path("a"), ValueError("x")),
        (Path("b.png"), NoPart("b")),
        (Path("c.c.png"), sample(9)),
    ]
    passing, out = written(judge(Pretended(), found), tmp_path), []
    for one in passing:
        out.append(one.verdict)
        assert not (tmp_path / "scores.csv").exists()
    assert out == ["failed", "no part seen", "good"]
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["001-c.c.png", "001-c.c.tiff", "scores.csv"]
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["image_score"]) for row in rows] == [
        ("000-b", "inf"),
        ("001-c.c", "9"),
    ]
