"""How a run ends: in good order at a signal where it can, and within seconds in any case."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

from beautygan_cli.cli.console import shown
from beautygan_cli.cli.exit_status import DONE, SOME_FAILED
from beautygan_cli.errors import BeautyGANError
from beautygan_cli.photos.leftovers import take_away

LONGEST = 2.0  # seconds from a signal to the process's end, whatever it is at: `docker stop` waits ten
_SPEAKING = 0.2  # seconds for the last line, where nobody may be reading it

_AT_ONCE = "stopped at once; the results so far are kept, and the same command goes on from there"


@dataclass
class End:
    """How a run ended: how many failed, and by which signal it was stopped; running: whether it heeds `stop`."""

    failed: int = 0
    stopped_by: int = 0
    running: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def status(self) -> int:
        """The exit status; a signal's is 128 more than its number, as shells have it."""
        if self.stopped_by:
            return 128 + self.stopped_by
        return SOME_FAILED if self.failed else DONE


def say(message: str) -> None:
    """A line on stderr."""
    print(f"beautygan: {shown(message)}", file=sys.stderr, flush=True)


def _say_at_once() -> None:
    say(_AT_ONCE)


def until_stopped(work: Callable[[End], int], *, waits: bool = False, tell: Callable[[], object] = _say_at_once) -> int:
    """Do the work, in the main thread until a signal; returns the exit status, or ends the process with it.

    Ctrl-C and SIGTERM set `End.stop`, which ends a run in good order. A second one ends it at once; so does the first
    as long as `End.running` is not set. As the first process of a container, the command would be deaf to a signal
    that nothing is set for. waits: whether the work may take longer than LONGEST to end, since other processes do it;
    tell: says, in any thread, that the work was ended at once.
    """
    end = End()
    with _signals(end, None if waits else LONGEST, tell):
        try:
            status = work(end)
        except (BeautyGANError, KeyboardInterrupt):  # either may come of the stop
            if not end.stopped_by:
                raise
            tell()
            status = end.status
        if end.stopped_by and not waits:
            # A thread may still be opening the model, searching a photo or composing one: nobody can hurry that up,
            # and Python would wait for it.
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            sys.stderr.flush()
            take_away()
            os._exit(status)
    return status


@contextlib.contextmanager
def _signals(end: End, longest: float | None, tell: Callable[[], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        again = end.stop.is_set()
        end.stopped_by = number
        end.stop.set()
        if again or not end.running:
            raise KeyboardInterrupt

    # Python runs `note` when the main thread is back from whatever library it is in, which may take long. A byte for
    # each signal comes through the pipe at once.
    heard, told = os.pipe()
    with contextlib.suppress(AttributeError, OSError):  # Windows' pipes may lack it, and take so few bytes all the same
        os.set_blocking(told, False)
    over = threading.Event()
    threading.Thread(target=_watch, args=(heard, over, longest, tell), daemon=True, name="stopping").start()
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    wakened = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakened)
        for number, handler in before.items():
            signal.signal(number, handler)
        over.set()
        os.close(told)


def _watch(heard: int, over: threading.Event, longest: float | None, tell: Callable[[], object]) -> None:
    """End the process `longest` seconds after a signal if its work is not over by then; None: never. tell: says so."""
    while numbers := os.read(heard, 16):
        stopping = [number for number in numbers if number in (signal.SIGINT, signal.SIGTERM)]
        if stopping and not over.wait(longest):
            take_away()
            # Whoever reads stderr may have stopped doing so, and a line that is not read waits for ever.
            last = threading.Thread(target=tell, daemon=True)
            last.start()
            last.join(_SPEAKING)
            os._exit(128 + stopping[0])
    os.close(heard)
