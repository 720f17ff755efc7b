"""Where runs are done: here one after the other, in several processes, or on a Ray cluster.

Results are written by the one who asked, so a lost worker loses the run that it was doing, and
nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from lsfa_lite.data import processes
from lsfa_lite.data.processes import Engine, Task, call, in_this_process
from lsfa_lite.errors import LSFAError

__all__ = ["Engine", "in_processes", "in_this_process", "on_ray"]


def in_processes(workers: int) -> Engine:
    """An engine of `workers` processes on this machine, the cores shared evenly."""
    return processes.in_processes(workers, max(1, torch.get_num_threads() // max(1, workers)))


def on_ray(
    address: str | None = None, gpus: float = 0, cpus: float = 1, retries: int = 3
) -> Engine:
    """An engine of Ray tasks, each with its share of a GPU; address None starts Ray here.

    A task whose worker dies is tried again, `retries` times. Paths in a task must mean the same on
    every machine of the cluster. Raises ValueError where Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise LSFAError("--engine ray needs Ray: pip install 'lsfa-lite[ray]'") from error

    def engine(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        started = not ray.is_initialized()
        if started:
            ray.init(
                address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR
            )
        try:
            remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries)(call)
            waiting = {remote.remote(task): index for index, task in enumerate(tasks)}
            while waiting:
                (ready,), _ = ray.wait(list(waiting), num_returns=1)
                yield waiting.pop(ready), ray.get(ready)
        finally:
            if started:
                ray.shutdown()

    return engine
