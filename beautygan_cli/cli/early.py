"""Signals before there is anything to end in good order: while libraries are imported, which takes seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def ended_at_once(command: str) -> Iterator[None]:
    """While this is open, Ctrl-C and SIGTERM end the process with one line and exit status 130 or 143.

    As the first process of a container a command is deaf to a signal that nothing is set for, and to Ctrl-C Python
    answers with where in its libraries it is. `stopping.until_stopped` takes over for as long as it works. command:
    what the line begins with. Does nothing in another thread than the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # whoever reads it may be gone
            sys.stdout.flush()
        with contextlib.suppress(OSError, ValueError):  # past its buffer, which the signal may have come into
            os.write(sys.stderr.fileno(), f"{command}: stopped at once\n".encode())
        os._exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
