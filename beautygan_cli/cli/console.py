"""How far a run is: one bar on a terminal, elsewhere a line now and then; and results' paths on stdout."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.leftovers import TEMPORARY

STDIN = "stdin"  # what the photo that came in there is called
LINE_EVERY = 30.0  # seconds between two lines where there is no terminal for a bar
# How long the rest takes is said after so many results that took work, or so many seconds of it: the first ones wait
# for a batch to fill, and those of a batch come all at once.
ENOUGH_RESULTS = 8
ENOUGH_SECONDS = 60.0
NARROW = 70  # columns, below which the bar leaves out the rate and the time that is gone
SPIN_EVERY = 0.1  # seconds


def put(text: str, end: str = "\n") -> None:
    """Text to stdout: on a terminal whatever a file's name may do to it is escaped, elsewhere it is as it is, in bytes.

    end: a line's, or NUL, which is in no name.
    """
    out = sys.stdout
    if out.isatty() or not hasattr(out, "buffer"):
        encoding = out.encoding or "utf-8"
        print(printable(text).encode(encoding, "backslashreplace").decode(encoding), end=end, flush=True)
        return
    out.flush()
    out.buffer.write(os.fsencode(text + end))
    out.buffer.flush()


def shown(message: str) -> str:
    """A message as stderr shows it: in one line, without a file's name that moves the cursor or turns the writing.

    The photo on stdin lies in a temporary file meanwhile, whose place tells nobody anything.
    """
    return printable(_OF_STDIN.sub(STDIN, message) if TEMPORARY in message else message)


@contextlib.contextmanager
def libraries_silenced(wanted: bool) -> Iterator[None]:
    """Our own lines alone on stderr: libraries in C write whatever they like to descriptor 2, which leads nowhere now.

    wanted: whether what they write is asked for. Nothing changes where stderr is not descriptor 2.
    """
    ours = sys.stderr
    try:
        spare = None if wanted or ours.fileno() != 2 else os.dup(2)
    except (AttributeError, OSError, ValueError):
        spare = None
    if spare is None:
        yield
        return
    ours.flush()
    with open(spare, "w", encoding=ours.encoding, errors=ours.errors, buffering=1) as own:  # noqa: PTH123
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        sys.stderr = own
        try:
            yield
        finally:
            own.flush()
            os.dup2(spare, 2)
            sys.stderr = ours


_NUMBER = re.compile(r"\d+")
_OF_STDIN = re.compile(rf"(file:)?\S*[/\\]{TEMPORARY}\w*[/\\]{STDIN}(\.\w+)?")


class Progress:
    """Tells of each outcome. A context manager.

    total: results that will come, None where nobody knows. quiet: no bar and no lines; failures are still named.
    paths: print each result's path to stdout, with `end` behind it.
    """

    def __init__(
        self,
        total: int | None,
        *,
        quiet: bool = False,
        verbose: bool = False,
        paths: bool = True,
        end: str = "\n",
    ) -> None:
        self.total, self.verbose, self.paths, self.end = total, verbose, paths, end
        self.counts: Counter[str] = Counter()
        self._partly = 0
        self._notes: dict[str, list[tuple[str, Path]]] = {}  # by kind, the phrases and the photos they are said of
        self._failed: set[tuple[Path, Path | None, float]] = set()
        self._photos = 0
        self._photo: Path | None = None
        self._named: tuple[Path | None, str] = (None, "")
        self._began = self._spoke = time.monotonic()
        on_terminal = sys.stderr.isatty()
        self._lines = not quiet and not on_terminal
        self._worked = 0.0  # seconds that went into results which were not there before
        self._told = self._began
        self._bar = _Bar(
            total=total, unit="result", disable=quiet or not on_terminal, file=sys.stderr, dynamic_ncols=True
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_bar()

    def close_bar(self) -> None:
        """Leave the bar where it stands, so that what is said from now on comes below it."""
        self._bar.close()

    def tell(self, outcome: Outcome) -> None:
        """Count an outcome, print its path or its failure, and move the bar.

        A photo may come again, whole, after it failed: then what came of it last counts.
        """
        now = time.monotonic()
        if outcome.status != Status.KEPT:
            self._worked += now - self._told
        self._told = now
        self.counts[outcome.status] += 1
        pair = (outcome.source, outcome.reference, outcome.asked)
        if pair in self._failed:
            self._failed.remove(pair)
            self.counts[Status.FAILED] -= 1
        if outcome.status == Status.FAILED:
            self._failed.add(pair)
        self._partly += outcome.status == Status.MADE and outcome.partly
        for note in outcome.notes:
            told = self._notes.setdefault(_NUMBER.sub("", note), [])
            if not told or told[-1][1] != outcome.source:  # once for a photo, not once for each reference
                told.append((note, outcome.source))
        if outcome.source != self._photo:
            self._photo = outcome.source
            self._photos += 1
        if outcome.status == Status.MADE:
            self._print_path(outcome)
        elif outcome.status == Status.FAILED and (outcome.source, outcome.reason) != self._named:
            self._named = (outcome.source, outcome.reason)  # once for a photo, not once for each reference
            self.say(outcome.reason)
        self._bar.set_postfix_str(
            f"{counted(self._photos, 'photo')}, {self.counts[Status.FAILED]} failed", refresh=False
        )
        self._bar.failed, self._bar.each = self.counts[Status.FAILED], self._each()
        self._bar.update()
        if self._lines and now - self._spoke >= LINE_EVERY:
            self._spoke = now
            self.say(self._line(now - self._began))

    def frame(self, clip: Path, done: int, total: int | None) -> None:
        """Tell how far a clip is: so many frames done, of so many where that is known."""
        of = f" of {max(done, total)}" if total else ""
        self._bar.set_postfix_str(f"{printable(clip.name)}: frame {done}{of}")
        now = time.monotonic()
        if self._lines and now - self._spoke >= LINE_EVERY:
            self._spoke = now
            self.say(f"{printable(clip)}: frame {done}{of}")

    def print(self, line: str, end: str = "\n") -> None:
        """A line on stdout that does not tear the bar; `end` as `put` has it."""
        with tqdm.external_write_mode(file=sys.stdout):
            put(line, end)

    def say(self, message: str) -> None:
        """A line on stderr that does not tear the bar."""
        tqdm.write(f"beautygan: {shown(message)}", file=sys.stderr)
        sys.stderr.flush()

    def say_notes(self) -> None:
        """A line for each kind of thing that was left out or converted: of which photo, or of how many."""
        for told in self._notes.values():
            note, source = told[0]
            several = f"{len(told)} photos, such as " if len(told) > 1 else ""
            self.say(f"{several}{printable(source)}: {note}")

    def summary(self) -> str:
        """What has been done, in a line."""
        parts = [f"{self.counts[Status.MADE]} made"]
        if self._partly:
            parts.append(f"{self._partly} of them in part")
        if self.counts[Status.KEPT]:
            parts.append(
                f"{self.counts[Status.KEPT]} kept as {'it was' if self.counts[Status.KEPT] == 1 else 'they were'}"
            )
        if self.counts[Status.FAILED]:
            parts.append(f"{self.counts[Status.FAILED]} failed")
        return ", ".join(parts)

    def _print_path(self, outcome: Outcome) -> None:
        if self.paths:
            self.print(str(outcome.output), self.end)
        if self.verbose:
            stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in outcome.seconds.items() if seconds)
            self.say(f"{counted(outcome.faces, 'face')}; seconds: {stages}")

    def _line(self, spent: float) -> str:
        done = self.counts.total() if hasattr(self.counts, "total") else sum(self.counts.values())
        worked = self.counts[Status.MADE] + self.counts[Status.FAILED]
        line = f"{counted(self._photos, 'photo')}, {counted(done, 'result')}, {self.counts[Status.FAILED]} failed"
        line += f", {worked / spent:.2f} a second"
        each = self._each()
        if self.total and each is not None:
            line += f", {_duration((self.total - done) * each)} left"
        return line

    def _each(self) -> float | None:
        """Seconds that a result takes; None as long as that can't be told.

        What was there before takes none, and in a run that goes on after a stop it comes first.
        """
        worked = self.counts[Status.MADE] + self.counts[Status.FAILED]
        enough = worked >= ENOUGH_RESULTS or self._worked >= ENOUGH_SECONDS
        return self._worked / worked if worked and enough else None


class _Bar(tqdm):  # type: ignore[misc, unused-ignore]
    """A bar that is whole on a narrow terminal, too, and goes by `each`, seconds a result, None for not known yet."""

    failed = 0
    each: float | None = None

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the bar shows."""
        shown: dict[str, Any] = super().format_dict
        left = "?" if self.each is None else self.format_interval(((shown["total"] or 0) - shown["n"]) * self.each)
        shown["rate"] = 1 / self.each if self.each else None
        failed = f", {self.failed} failed" if self.failed else ""
        if shown["total"] and shown["ncols"] and shown["ncols"] < NARROW:
            shown["bar_format"] = f"{{percentage:3.0f}}%|{{bar}}| {{n_fmt}}/{{total_fmt}} <{left}{failed}"
        elif shown["total"]:
            around = "{rate_fmt}{postfix}"
            shown["bar_format"] = f"{{l_bar}}{{bar}}| {{n_fmt}}/{{total_fmt}} [{{elapsed}}<{left}, {around}]"
        return shown


@contextlib.contextmanager
def spinner(text: str, *, quiet: bool = False) -> Iterator[None]:
    """Something that turns beside a text on stderr while the body runs, where it is a terminal; gone afterwards."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()

    def turn() -> None:
        for mark in itertools.cycle("|/-\\"):
            sys.stderr.write(f"\r{mark} {text}")
            sys.stderr.flush()
            if ended.wait(SPIN_EVERY):
                break
        sys.stderr.write("\r" + " " * (len(text) + 2) + "\r")
        sys.stderr.flush()

    turning = threading.Thread(target=turn, daemon=True)
    turning.start()
    try:
        yield
    finally:
        ended.set()
        turning.join()


def counted(number: int, thing: str) -> str:
    """So many of a thing, whose plural takes an s."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
