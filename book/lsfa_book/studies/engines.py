"""Where runs are done: here one after the other, in several processes, or on a Ray cluster.

An engine takes tasks (function, arguments...) and yields (index of the task, what it returned) in
the order in which they end. Results are written by the one who asked, so a lost worker loses the
run that it was doing, and nothing else.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any

import torch

Task = tuple[Any, ...]
Engine = Callable[[Sequence[Task]], Iterator[tuple[int, Any]]]


def in_this_process(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
    for index, (function, *arguments) in enumerate(tasks):
        yield index, function(*arguments)


def in_processes(workers: int) -> Engine:
    """An engine of `workers` processes on this machine, the cores shared evenly."""
    if workers == 1:
        return in_this_process
    threads = max(1, torch.get_num_threads() // workers)

    def engine(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        context = get_context("spawn")  # a forked process must not use CUDA
        others = active_children()
        with ProcessPoolExecutor(workers, context, _begin, (threads,)) as pool:
            waiting = {pool.submit(*task): index for index, task in enumerate(tasks)}
            try:
                for future in as_completed(waiting):
                    yield waiting[future], future.result()
            except BrokenProcessPool as error:
                raise ValueError(
                    "a worker was killed, perhaps for want of memory; what is done is kept: "
                    "go on with --resume, and fewer --workers"
                ) from error
            except (KeyboardInterrupt, GeneratorExit):  # do not wait for what is half done
                for worker in set(active_children()) - set(others):
                    worker.terminate()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    return engine


def _begin(threads: int) -> None:
    """Start of a worker: its share of the cores; Ctrl-C is for the one who asked."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this a worker whose parent was killed would wait for work for ever."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


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
        raise ValueError("--engine ray needs Ray: pip install 'lsfa-lite[ray]'") from error

    def engine(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        started = not ray.is_initialized()
        if started:
            ray.init(
                address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR
            )
        try:
            remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries)(_call)
            waiting = {remote.remote(task): index for index, task in enumerate(tasks)}
            while waiting:
                (ready,), _ = ray.wait(list(waiting), num_returns=1)
                yield waiting.pop(ready), ray.get(ready)
        finally:
            if started:
                ray.shutdown()

    return engine


def _call(task: Task) -> Any:
    function, *arguments = task
    return function(*arguments)
