"""What must be taken away when the process ends in the middle of its work: temporary files, folders, processes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

TEMPORARY = "beautygan-"  # what temporary folders' names begin with

beginning = threading.Lock()  # held while something comes into being that is to be taken away, until it is known
_MOMENT = 0.5  # seconds that this may take

_waiting: dict[object, Callable[[], object]] = {}


@contextlib.contextmanager
def taken_away_by(away: Callable[[], object]) -> Iterator[None]:
    """While this is open, `take_away` calls `away`; it may run in any thread, at any moment."""
    key = object()
    _waiting[key] = away
    try:
        yield
    finally:
        _waiting.pop(key, None)


def take_away() -> None:
    """Take all away that is there at this moment, the latest first; for a process that is about to end."""
    beginning.acquire(timeout=_MOMENT)  # and nothing more begins
    for away in reversed(list(_waiting.values())):
        with contextlib.suppress(OSError):
            away()


@contextlib.contextmanager
def temporary_folder(prefix: str = TEMPORARY) -> Iterator[Path]:
    """A temporary folder that is gone at the end, however the process ends, unless it is killed."""
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as name,
        taken_away_by(lambda: shutil.rmtree(name, ignore_errors=True)),
    ):
        yield Path(name)
