"""Tasks in several processes: each has its share of the cores, and none outlives who asked for it.

A task is (function, arguments...). An engine takes tasks and yields (index of the task, what it
returned) in the order in which they end; the first error of a task is raised, and those that have
not begun are dropped.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any

from lsfa_lite.errors import LSFAError, SettingError

Task = tuple[Any, ...]
Engine = Callable[[Sequence[Task]], Iterator[tuple[int, Any]]]


def in_this_process(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
    for index, (function, *arguments) in enumerate(tasks):
        yield index, function(*arguments)


def in_processes(workers: int, threads: int = 1) -> Engine:
    """An engine of `workers` processes on this machine, with `threads` each; of 1, this process.

    Ctrl-C, or a generator that is closed, ends them where they are; `finally` is still done there.
    Functions and arguments must be picklable; a script that calls it needs its `if __name__ ==
    "__main__":`. Raises ValueError for workers < 1, and where a worker was killed.
    """
    if workers < 1:
        raise SettingError(f"workers = {workers}: at least one process is needed")
    if workers == 1:
        return in_this_process

    def engine(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        context = get_context("spawn")  # a forked process must not use CUDA
        others, size = active_children(), max(1, min(workers, len(tasks)))
        with ProcessPoolExecutor(size, context, _begin, (threads,)) as pool:
            waiting = {pool.submit(_whole, task): index for index, task in enumerate(tasks)}
            try:
                for future in as_completed(waiting):
                    yield waiting[future], future.result()
            except BrokenProcessPool as error:
                raise LSFAError(
                    "a worker was killed, perhaps for want of memory; what is done is kept: "
                    "go on with fewer --workers"
                ) from error
            except (KeyboardInterrupt, GeneratorExit):  # do not wait for what is half done
                for worker in set(active_children()) - set(others):
                    worker.terminate()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    return engine


def call(task: Task) -> Any:
    function, *arguments = task
    return function(*arguments)


def _whole(task: Task) -> Any:
    try:
        return call(task)
    except SystemExit:  # _end, in the middle of it; a pool would go on with the next task
        os._exit(1)


def _begin(threads: int) -> None:
    """Start of a worker: its share of the cores; Ctrl-C is for the one who asked."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of libraries that are yet to be loaded
    if "torch" in sys.modules:  # by a script that the worker has read again
        sys.modules["torch"].set_num_threads(threads)
    if sys.stderr and logging.lastResort:  # a warning is not to stand on the line of a bar
        start = "\r\x1b[K" if sys.stderr.isatty() else "\n"
        logging.lastResort.setFormatter(logging.Formatter(f"{start}%(message)s"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that half a file is cleared away
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this a worker whose parent was killed would wait for work for ever."""
    if parent := parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        os._exit(1)
