"""The next few samples are read while the caller works with this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any, TypeVar

from lsfa_lite.errors import SettingError

Item = TypeVar("Item")


def read_ahead(samples: Iterable[Item], count: int) -> Iterator[Item]:
    """Yields the samples in order; a thread reads up to `count` of them that nobody asked for yet.

    What reading raises is raised where the sample would have come. The thread ends with the
    samples, and when the generator is closed, after the sample that it is reading.
    Raises ValueError for count < 1.
    """
    if count < 1:
        raise SettingError(f"count = {count}: at least one sample must be read ahead")
    places, stop = Semaphore(count), Event()
    read: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def work() -> None:
        rest = iter(samples)
        try:
            while places.acquire() and not stop.is_set():
                read.put((next(rest), None))
        except BaseException as error:  # the caller's, whatever it is
            read.put((None, error))

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            sample, error = read.get()
            places.release()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield sample
            del sample  # not held while the next is waited for
    finally:
        stop.set()
        places.release()
        thread.join()
