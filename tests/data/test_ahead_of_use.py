"""Reading ahead: the order and the errors of plain iteration, few samples, no thread left."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator

import pytest

from lsfa_lite.data.ahead import read_ahead


class Scan:
    def __init__(self, number: int) -> None:
        self.number = number


class Lazy:
    """A lazy sequence that knows which samples were begun, and which are still held."""

    def __init__(self, count: int, bad: int | None = None) -> None:
        self.count, self.bad, self.begun = count, bad, 0
        self.changed, self.held = threading.Condition(), weakref.WeakSet[Scan]()
        self.most = 0

    def __getitem__(self, index: int) -> Scan:
        if index >= self.count:
            raise IndexError
        scan = Scan(index)
        self.held.add(scan)
        with self.changed:
            self.begun += 1
            self.most = max(self.most, len(self.held))
            self.changed.notify_all()
        if index == self.bad:
            raise ValueError(f"scan {index} is bad")
        return scan

    def wait_for(self, begun: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.begun >= begun, 20)


def numbers(scans: Iterator[Scan]) -> Iterator[int]:
    for scan in scans:
        number = scan.number
        del scan
        yield number


@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_order_is_kept_and_the_thread_ends(count):
    before = threading.active_count()
    assert list(numbers(read_ahead(Lazy(20), count))) == list(range(20))
    assert list(read_ahead([], count)) == []
    assert threading.active_count() == before


def test_the_next_ones_are_read_while_the_caller_works_and_no_more():
    lazy = Lazy(20)
    scans = numbers(read_ahead(lazy, 3))
    assert next(scans) == 0
    assert lazy.wait_for(begun=4)  # the caller's and three
    assert lazy.begun == 4
    assert list(scans) == list(range(1, 20))
    assert lazy.most <= 4


def test_an_error_comes_where_its_sample_would_have_come():
    before = threading.active_count()
    seen: list[int] = []
    with pytest.raises(ValueError, match="scan 5 is bad"):
        seen.extend(numbers(read_ahead(Lazy(20, bad=5), 8)))
    assert seen == [0, 1, 2, 3, 4]
    assert threading.active_count() == before


def test_a_closed_generator_reads_no_further():
    before, lazy = threading.active_count(), Lazy(1000)
    scans = read_ahead(lazy, 2)
    next(scans)
    scans.close()
    assert threading.active_count() == before
    assert lazy.begun <= 4
    with pytest.raises(ValueError, match="count = 0"):
        next(read_ahead(lazy, 0))
