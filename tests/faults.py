"""Is anything lost or wrong after a crash? Kill the long jobs at random moments and look.

    python tests/faults.py [--kills 240] [--seed 0] [--jobs clean fit ...]

Each job runs in a process that is forked here and killed (SIGKILL): half of the times after a time
that is drawn, half at an operation on files that is drawn (it kills itself there, and so between
two of them for certain). Then

- each file that is there is whole: byte for byte one of those that an undisturbed job leaves, a
  checkpoint can be continued, and what was half written bears a hidden name;
- the same command, given again, ends with the bytes of the undisturbed job.

Then two processes at once on one cache, one of them killed in half of the rounds; and a full disk,
by a limit on the size of files and, where it can be mounted, in a small tmpfs: the job ends with an
error that the command line knows, leaves no half file, and goes on when there is room.
Not collected by pytest. Prints one line a job, and exits with 1 if anything was found.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from safetensors import safe_open

from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_book.studies.tables import TABLES
from lsfa_lite.cli import main as command
from lsfa_lite.cli import parser as command_parser
from lsfa_lite.config import FIRST
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.files import write_sample
from lsfa_lite.detector import LSFADetector

torch.set_num_threads(1)
SMALL = Mini3DConfig(seed=3, train=3, validation=2, test_good=1, test_per_defect=1, size=64)
TINY = FIRST.change(
    modalities=("3d",),  # no network to load
    features__image_size=64,
    features__grid=8,
    adaptation__steps=75,  # three checkpoints
    adaptation__batch_size=2,
    adaptation__local_bank=100,
)
SET = 'modalities=["3d"] features.image_size=64 features.grid=8 adaptation.steps=2 '
SET += "adaptation.batch_size=2 adaptation.local_bank=100"
RUNS = ("seconds", "peak_mb", "date", "machine")  # of a record: what no second run says again
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.rmdir", "shutil.rmtree")


class Job(NamedTuple):
    """work(place) does it in an empty folder, or goes on there. moving: files that change."""

    name: str
    work: Callable[[Path], object]
    moving: tuple[str, ...] = ()


def told(place: Path) -> dict[str, str]:
    """File -> hash of what it says, hidden ones left out: those are no results."""
    found = {}
    for path in sorted(place.rglob("*")):
        parts = path.relative_to(place).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            text = path.read_bytes()
            if path.suffix == ".json" and "records" in parts:
                record = json.loads(text)  # a half file ends here
                text = json.dumps({k: v for k, v in record.items() if k not in RUNS}).encode()
            found["/".join(parts)] = hashlib.sha256(text).hexdigest()
    return found


# --- the jobs -------------------------------------------------------------------------------


def scans(root: Path) -> Path:
    """A root in MVTec's layout, with its table."""
    folders = {"train/good": 3, "validation/good": 2, "test/good": 1, "test/hole": 1}
    for folder, count in folders.items():
        for i in range(count):
            write_sample(root / "ring" / folder, f"{i:03d}", make_sample("ring", folder, i, SMALL))
    return root


def typed(*words: str | Path) -> None:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        status = command([str(word) for word in words])
    if status:
        os.write(2, told.getvalue()[-300:].encode())
        raise SystemExit(status)


def jobs(work: Path) -> Iterator[Job]:
    raw, clean = scans(work / "raw"), work / "clean"
    typed("clean", raw, clean)
    yield Job("clean", lambda place: typed("clean", raw, place / "out"))

    if "import" in command_parser().format_help():
        loose = work / "loose"
        for i in range(5):
            write_sample(loose, f"{i:03d}", make_sample("ring", "train/good", i, SMALL))
        yield Job("import", lambda place: typed("import", loose, place / "out"))

    detector = LSFADetector(TINY)
    cleaned = [make_sample("ring", "train/good", i, SMALL) for i in range(5)]
    parts = detector.extractor.stack([remove_background(one) for one in cleaned[:3]], ["3d"])
    others = detector.extractor.stack([remove_background(one) for one in cleaned[3:]], ["3d"])

    def fit(place: Path) -> None:
        if not (place / "model").exists():
            fresh = LSFADetector(TINY, extractor=detector.extractor)
            fresh.fit_features(parts, others, checkpoint=place / "training").save(place / "model")

    yield Job("fit with checkpoint", fit, ("training",))

    saved = LSFADetector(TINY, extractor=detector.extractor).fit_features(parts, others)

    def save(place: Path) -> None:
        if not (place / "model").exists():
            saved.save(place / "model")

    yield Job("save a model", save)

    def reproduce(place: Path) -> None:
        os.environ["LSFA_CACHE"] = str(place / "cache")
        where = ("--data", clean, "--categories", "ring", "--out", place / "out", "--seeds", "1")
        typed("reproduce", "table4", *where, "--resume", "--set", *SET.split())

    yield Job("reproduce --resume", reproduce)


# --- a process that is disturbed --------------------------------------------------------------


def started(job: Job, place: Path, before: Callable[[], object] = lambda: None) -> int:
    """Forked; its exit status is 0, 3 for an error that the command line tells, or 4."""
    sys.stdout.flush(), sys.stderr.flush()
    if child := os.fork():
        return child
    status = 4
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        log = os.open(place.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(quiet, 1), os.dup2(log, 2)
        before()
        job.work(place)
        status = 0
    except SystemExit as error:
        status = 3 if error.code == 2 else 4
    except (ValueError, OSError):
        status = 3
    except BaseException as error:
        os.write(2, f"{type(error)}: {error}".encode())
    finally:
        os._exit(status)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_after(child: int, seconds: float) -> bool:
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, 9)
    return ended(child) == -9


def at_event(number: int, count: list[int]) -> Callable[[], None]:
    """In the child: count its operations on files, and die at the number-th."""

    def hook(event: str, arguments: tuple) -> None:
        source = event == "open" and str(arguments[0]).endswith((".py", ".pyc"))
        if event in EVENTS and not source:
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), 9)

    return lambda: sys.addaudithook(hook)


def counted(job: Job, place: Path) -> int:
    """How many operations on files the undisturbed job does."""
    out, count = place.parent / "count", [0]
    counting = job._replace(work=lambda p: (job.work(p), out.write_text(str(count[0]))))
    assert ended(started(counting, place, at_event(0, count))) == 0, job.name
    return int(out.read_text())


# --- what must hold ---------------------------------------------------------------------------


class Seen:
    """What an undisturbed job leaves, how long it takes, and what was found of disturbed ones."""

    def __init__(self, job: Job, work: Path):
        self.job, self.work, self.found = job, work, list[str]()
        place = self.fresh()
        begun = time.monotonic()
        assert ended(started(job, place)) == 0, (work / "log").read_text()
        self.seconds = time.monotonic() - begun
        self.whole = told(place)
        assert self.whole, job.name
        self.events = counted(job, self.fresh())

    def fresh(self) -> Path:
        shutil.rmtree(self.work / "place", ignore_errors=True)
        (self.work / "place").mkdir(parents=True)
        return self.work / "place"

    def check_half(self, place: Path, when: str) -> None:
        """No file that has its name yet is anything but whole."""
        try:
            here = told(place)
        except ValueError as error:
            self.found.append(f"{when}: half a record: {error}")
            return
        for name, digest in here.items():
            if name in self.job.moving:
                try:
                    with safe_open(place / name, framework="pt") as file:
                        assert all(file.get_tensor(key) is not None for key in list(file.keys()))
                except Exception as error:
                    self.found.append(f"{when}: {name} is no whole checkpoint: {error}")
            elif self.whole.get(name) != digest:
                self.found.append(f"{when}: {name} is not as the undisturbed job leaves it")

    def check_again(self, place: Path, when: str) -> None:
        """Given again, undisturbed: the same bytes."""
        if status := ended(started(self.job, place)):
            log = (self.work / "log").read_text()[-300:]
            self.found.append(f"{when}: given again it ends with {status}: {log}")
            return
        now = told(place)
        for name in sorted(now.keys() | self.whole.keys()):
            same = now.get(name) == self.whole.get(name)
            if not same and not (name in self.job.moving and {name} <= now.keys()):
                self.found.append(f"{when}: {name} differs after the second run")


def kills(seen: Seen, count: int, draw: random.Random) -> int:
    """`count` kills; one to three of them before the run that is left alone."""
    done = 0
    while done < count:
        place, when = seen.fresh(), []
        for _ in range(min(draw.randint(1, 3), count - done)):
            if draw.random() < 0.5:
                seconds = draw.uniform(0, seen.seconds)
                hit = kill_after(started(seen.job, place), seconds)
                when.append(f"after {seconds:.3f} s")
            else:
                number = draw.randint(1, seen.events)
                hit = ended(started(seen.job, place, at_event(number, [0]))) == -9
                when.append(f"at operation {number}")
            done += hit
            seen.check_half(place, ", ".join(when))
            if not hit:
                break  # it had less to do than the first time, and came to its end
        seen.check_again(place, ", ".join(when))
    return done


def two_at_once(seen: Seen, rounds: int, draw: random.Random) -> int:
    """Two processes describe the same scans into one cache; in every second round one dies."""
    for number in range(rounds):
        place = seen.fresh()
        pair = [started(seen.job, place) for _ in range(2)]
        if number % 2:
            kill_after(pair.pop(), draw.uniform(0, seen.seconds))
        for child in pair:
            if status := ended(child):
                log = (seen.work / "log").read_text()[-300:]
                seen.found.append(f"two at once, round {number}: ends with {status}: {log}")
        seen.check_half(place, f"two at once, round {number}")
        seen.check_again(place, f"two at once, round {number}")
    return rounds


def full_disk(seen: Seen, rounds: int, draw: random.Random) -> int:
    """No file may grow beyond a drawn size: the error is told, and nothing half is left."""
    place = seen.fresh()
    assert ended(started(seen.job, place)) == 0
    sizes = [path.stat().st_size for path in place.rglob("*") if path.is_file()]
    for _ in range(rounds):
        place, limit = seen.fresh(), draw.randint(0, max(sizes) - 1)
        set_limit = (resource.RLIMIT_FSIZE, (limit, limit))
        status = ended(started(seen.job, place, lambda s=set_limit: resource.setrlimit(*s)))
        log = (seen.work / "log").read_text()[-300:] if (seen.work / "log").exists() else ""
        check_full(seen, place, status, f"files of {limit} bytes at most", log)
    return rounds


def check_full(seen: Seen, place: Path, status: int, when: str, log: str = "") -> None:
    if status not in (3, 0):
        seen.found.append(f"{when}: ends with {status}, not with an error that is told: {log}")
    if parts := [path.name for path in place.rglob("*.part")]:
        seen.found.append(f"{when}: left {parts[0]}")
    seen.check_half(place, when)
    seen.check_again(place, when)


def small_disk(seen: Seen, rounds: int, draw: random.Random) -> int:
    """The same on a tmpfs that is too small; 0 rounds where none may be mounted."""
    place = seen.fresh()
    assert ended(started(seen.job, place)) == 0
    whole = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    for number in range(rounds):
        place, size = seen.fresh(), max(4096, int(draw.uniform(0.05, 0.95) * whole) // 4096 * 4096)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "lsfa-faults", str(place)]
        if subprocess.run(mount, capture_output=True).returncode:
            return number
        try:
            status = ended(started(seen.job, place))
            log = (seen.work / "log").read_text()[-300:]
            grow = ["mount", "-o", f"remount,size={64 << 20}", str(place)]
            subprocess.run(grow, check=True, capture_output=True)
            check_full(seen, place, status, f"a disk of {size} bytes", log)
        finally:
            subprocess.run(["umount", str(place)], check=True)
    return rounds


def main() -> int:
    TABLES["table4"] = TABLES["table4"][:2]  # two runs are enough to stand between
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=240, help="of all jobs together")
    options.add_argument("--rounds", type=int, default=8, help="of the other faults, each job")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    options.add_argument("--jobs", nargs="+", help="names, or beginnings of them")
    asked = options.parse_args()
    draw, found, total = random.Random(asked.seed), [], 0
    with tempfile.TemporaryDirectory(prefix="lsfa-faults-") as scratch:
        os.environ["LSFA_CACHE"] = str(Path(scratch, "cache"))
        every = list(jobs(Path(scratch, "data")))
        names = tuple(asked.jobs or [""])
        wanted = [job for job in every if job.name.startswith(names)]
        for job in wanted:
            begun, seen = time.monotonic(), Seen(job, Path(scratch, "work"))
            hit = kills(seen, -(-asked.kills // len(wanted)), draw)
            told_ = [f"{hit} kills", f"{full_disk(seen, asked.rounds, draw)} size limits"]
            told_.append(f"{small_disk(seen, asked.rounds, draw)} full disks")
            if job.name.startswith("reproduce"):
                told_.append(f"{two_at_once(seen, asked.rounds, draw)} rounds of two at once")
            total, found = total + hit, found + seen.found
            took = f"{time.monotonic() - begun:.0f} s; undisturbed {seen.seconds:.2f} s"
            print(f"{job.name}: {', '.join(told_)}; {len(seen.found)} found ({took}, ", end="")
            print(f"{seen.events} operations on files)", flush=True)
            for line in seen.found:
                print(f"    {line}", flush=True)
    print(f"{total} kills in {len(wanted)} jobs, seed {asked.seed}: {len(found)} found")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
