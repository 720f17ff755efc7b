"""A terminal that shows bars and messages at once: each on a line of its own."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


def say(text: object, error: bool = False) -> None:
    """A line on stdout, or on stderr; a bar is taken away before it and drawn anew below it."""
    stream = sys.stderr if error else sys.stdout
    tqdm.write(str(text), stream)
    stream.flush()


@contextmanager
def whole_lines() -> Iterator[None]:
    """Meanwhile what the package logs (from WARNING on) and any warning is said in one line."""

    class Beside(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(self.format(record), error=True)

    def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
        say(f"{category.__name__}: {message}", error=True)

    logger, handler = logging.getLogger("lsfa_lite"), Beside(logging.WARNING)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show  # type: ignore[assignment]
            yield
    finally:
        logger.removeHandler(handler)
