"""Photos as they arrive in folders, each when it is whole."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from beautygan_cli.photos.clip import clips_readable
from beautygan_cli.photos.find import Found, find_photos
from beautygan_cli.photos.formats import PHOTO_SUFFIXES, SOURCE_SUFFIXES

SETTLED = 1.0  # seconds without any change of size or time after which a file counts as whole
PAUSES = 5  # times as long for one that was seen to grow: a slow copy pauses
LOOK_EVERY = 0.25  # seconds between two looks at files that are still changing


def arrivals(
    folders: Sequence[Path], stop: threading.Event, wanted: Callable[[Path], bool], *, settled: float = SETTLED
) -> Iterator[Found | None]:
    """The photos that are in the folders, then those that arrive or change, until `stop` is set.

    A file that is still being copied is waited for: until `settled` seconds have passed without a change, PAUSES times
    as many once it was seen to change. None says that nothing more waits at the moment. `wanted` tells of a path
    whether it is to be looked at.
    """
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    news: queue.SimpleQueue[Path] = queue.SimpleQueue()

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            # What reading itself causes (opened, closed unwritten) is no news.
            if event.event_type in ("created", "modified", "moved", "closed"):
                news.put(Path(str(event.dest_path or event.src_path)))

    # It reports its own end, too, if a change comes at that moment; whoever listens to its log still hears it.
    logging.getLogger("watchdog").addHandler(logging.NullHandler())
    observer = _started(Observer(), Handler(), folders)
    try:
        yield from _settling(folders, stop, wanted, news, settled)
    finally:
        observer.stop()
        observer.join()


def _started(observer: Any, handler: Any, folders: Sequence[Path]) -> Any:
    """The observer at work; where the system gives no notice of changes, one that looks again and again."""
    from watchdog.observers.polling import PollingObserver

    try:
        for folder in folders:
            observer.schedule(handler, str(folder), recursive=True)
        observer.start()
    except OSError:
        if isinstance(observer, PollingObserver):
            raise
        return _started(PollingObserver(), handler, folders)  # more folders than the system gives notice of
    return observer


def _settling(
    folders: Sequence[Path],
    stop: threading.Event,
    wanted: Callable[[Path], bool],
    news: Any,
    settled: float,
) -> Iterator[Found | None]:
    given: dict[Path, tuple[int, int]] = {}  # what each file was when it was handed out
    changing: dict[Path, _Changing] = {}
    # After the observer's start, so that nothing falls between.
    for found in find_photos(folders, suffixes=SOURCE_SUFFIXES)[0]:
        news.put(found.path)
    idle = False
    while not stop.is_set():
        for path in _all(news, LOOK_EVERY):
            # A folder that arrives as a whole may bring its photos before it can be watched.
            arrived = find_photos([path], suffixes=SOURCE_SUFFIXES)[0] if path.is_dir() else [Found(path, Path())]
            for found in arrived:
                if _is_photo(found.path, folders) and wanted(found.path):
                    changing.setdefault(found.path, _Changing())
        now = time.monotonic()
        whole = []
        for path, (seen, since, changes) in sorted(changing.items()):
            stamp = _stamp(path)
            if stamp is None or stamp == given.get(path):
                del changing[path]
            elif stamp != seen:
                # One that was handed out and changed again was no more than a part of itself.
                changing[path] = _Changing(stamp, now, changes + 1 + (seen is None and path in given))
            elif now - since >= settled * (PAUSES if changes > 1 else 1) or _old(stamp, settled):
                whole.append((path, stamp))
        for path, stamp in whole:
            del changing[path]
            given[path] = stamp
            idle = False
            yield Found(path, _inside(path, folders))
        if not whole and not idle:
            idle = True
            yield None


class _Changing(NamedTuple):
    """A file that may still be written: its stamp when it last changed, when that was, and how many were seen."""

    stamp: tuple[int, int] | None = None
    since: float = 0.0
    changes: int = 0


def _all(news: Any, patience: float) -> set[Path]:
    """What has come in, after waiting up to `patience` seconds for the first."""
    paths: set[Path] = set()
    try:
        paths.add(news.get(timeout=patience))
        while True:
            paths.add(news.get_nowait())
    except queue.Empty:
        return paths


def _is_photo(path: Path, folders: Sequence[Path]) -> bool:
    if path.suffix.lower() not in (SOURCE_SUFFIXES if clips_readable() else PHOTO_SUFFIXES):
        return False
    return not any(part.startswith(".") for part in (_inside(path, folders) / path.name).parts)


def _inside(path: Path, folders: Sequence[Path]) -> Path:
    """The sub-folder that a photo lies in below the first watched folder that holds it."""
    for folder in folders:
        if path.is_relative_to(folder):
            return path.parent.relative_to(folder)
    return Path()


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file with something in it; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if status.st_size else None


def _old(stamp: tuple[int, int], settled: float) -> bool:
    """Whether a file was last written so long ago that nobody can still be at it: no need to wait at the start."""
    return time.time() - stamp[1] / 1e9 > 60 * settled
