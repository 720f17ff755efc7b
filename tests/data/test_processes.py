"""Tasks in several processes: the same answers, one error, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lsfa_lite.data.processes import in_processes


def test_answers_come_with_their_index_from_any_number_of_processes():
    tasks = [(divmod, number, 3) for number in range(5)]
    expected = {number: divmod(number, 3) for number in range(5)}
    for workers in (1, 2, 8):
        assert dict(in_processes(workers)(tasks)) == expected
        assert list(in_processes(workers)([])) == []
    with pytest.raises(ValueError, match="workers = 0: at least one"):
        in_processes(0)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_of_a_task_is_raised_as_it_is(workers):
    with pytest.raises(ValueError, match="base 10: 'seven'"):
        list(in_processes(workers)([(int, "6"), (int, "seven"), (int, "8")]))


def test_a_worker_has_its_share_of_the_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(max(2, os.cpu_count() or 2)))
    code = "import torch; assert torch.get_num_threads() == 1"
    assert len(list(in_processes(2, threads=1)([(exec, code, {})] * 2))) == 2


def test_a_killed_worker_is_told():
    with pytest.raises(ValueError, match="fewer --workers"):
        list(in_processes(2)([(signal.raise_signal, signal.SIGKILL), (str, 1)]))


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


SLEEPERS = """
import os, signal, sys, time
from pathlib import Path
from lsfa_lite.data.files import written_beside
from lsfa_lite.data.processes import in_processes

def sleep(folder):
    with written_beside(folder / "scan") as temporary:
        temporary.touch()
        (folder / str(os.getpid())).touch()
        time.sleep(300)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    list(in_processes(2)([(sleep, Path(sys.argv[1]))] * 4))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_one_who_asked_and_leave_no_half_file(way, tmp_path):
    script, folder = tmp_path / "sleepers.py", tmp_path / "out"
    script.write_text(SLEEPERS)
    folder.mkdir()

    def marks() -> list[int]:
        return [int(path.name) for path in folder.glob("[0-9]*")]

    process = subprocess.Popen([sys.executable, script, folder], stderr=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: len(marks()) == 2)
        assert len(list(folder.glob(".scan*.part"))) == 2
        process.send_signal(way)
        assert process.wait(20) != 0
        assert wait_for(lambda: not any(map(alive, marks())), 20)
        assert len(list(folder.iterdir())) == len(marks()) == 2  # nothing half, no task begun since
    finally:
        process.kill()
        for pid in filter(alive, marks()):
            os.kill(pid, signal.SIGKILL)
