"""Within the walls: run a notebook's code, and call its answers on the cases that were sent.

Nothing here judges. What the code can reach is its own answers and the arguments; the right ones,
and the check, are in the grader's process. `walls` starts this.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any


class TooLong(BaseException):
    """A cell or a call took longer than it may."""


def main() -> None:
    channel, folder, limits = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    steps = json.load(sys.stdin)
    send, walls = sender(channel), limits["walls"]
    send({"walls": walls})
    os.chdir(folder)
    import lsfa_book.teaching.exchange as exchange
    from lsfa_book.teaching.watch import watch

    allowed = limits["processes"] if "files" in walls else 0
    watch(folder, lambda kind, what: send({"incident": [kind, what]}), allowed)
    names: dict[str, Any] = {"__name__": "__main__"}
    for step in steps:
        code = compile(step["code"], f"<cell {step['number']}>", "exec")
        error = guarded(limits["cell"], lambda code=code: exec(code, names))  # type: ignore[misc]
        if error:
            send({"error": [step["number"], error]})
        for ask in step["asks"]:
            answer(ask, names, limits["cell"], send, exchange)
    sys.stdout.flush()
    send({"done": True})
    os._exit(0)


def answer(
    ask: dict[str, Any],
    names: dict[str, Any],
    seconds: float,
    send: Callable[[Any], None],
    form: Any,
) -> None:
    """Call the answer on each case, up to the first that fails."""
    for number, case in enumerate(ask["cases"]):
        given, result = form.decode(case), [None]

        def work(given: Any = given, result: list[Any] = result) -> None:
            result[0] = form.encode(eval(ask["answer"], names)(*given))

        error = guarded(seconds, work)
        changed = not error and form.encode(given) != case
        send({"answer": [ask["name"], number, result[0], error, changed]})
        if error or changed:
            return


def guarded(seconds: float, work: Callable[[], Any]) -> str:
    """Do it; what it raised in words, or "". Whatever catches the alarm is called again."""

    def late(*_: Any) -> None:
        raise TooLong(f"not done after {seconds:g} seconds")

    try:
        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)
        work()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as error:  # SystemExit, too: the next exercise has its own right
        signal.setitimer(signal.ITIMER_REAL, 0)
        return f"{type(error).__name__}: {error}"[:500]
    return ""


def sender(channel: int) -> Callable[[Any], None]:
    write, dump, owner, process, leave = os.write, json.dumps, os.getpid(), os.getpid, os._exit

    def send(message: Any) -> None:
        if process() != owner:  # a fork of the notebook's came back: it has nothing to say
            leave(0)
        line = (dump(message) + "\n").encode()
        while line:
            line = line[write(channel, line) :]

    return send


if __name__ == "__main__":
    main()
