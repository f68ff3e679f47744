"""A clip or an animation made up: frames stream in and out, and the makeup of each face stays where it is."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from beautygan_cli.batch import result
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.batch.sources import ReadyLook, Source
from beautygan_cli.errors import FaceError, PhotoError, StoppedError
from beautygan_cli.faces import exposure, tone
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.face import Face
from beautygan_cli.faces.tracking import SEARCH_EVERY, Steady, Tracker
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.pipeline import Made
from beautygan_cli.photos.animation import (
    SUFFIXES,
    Animation,
    animation_format,
    probe_animation,
    read_animation,
    write_animation,
)
from beautygan_cli.photos.clip import Clip, Encoder, clip_mark, probe_clip, read_frames, sound_for_mp4, without_places
from beautygan_cli.photos.colour_profile import Native, in_space
from beautygan_cli.photos.files import Journal, printable, refuse_foreign, whole
from beautygan_cli.photos.photo import Photo
from beautygan_cli.types import UInt8Array

if TYPE_CHECKING:
    from beautygan_cli.model.session import MakeupSession


OnFrame = Callable[[Path, int, int | None], None]  # a clip's frames so far, and how many there will be if that is known
MOST_PIXELS_AT_ONCE = 40_000_000  # of the frames that are worked on together: 19 of 1920 x 1080, 4 of 3840 x 2160
COMPOSERS = 2  # threads
EXPOSURE_SHARE = 0.05  # of a frame in the exposure of its track: over a second or so, a blink doesn't show


def make_up_clip(
    path: Path,
    look: ReadyLook,
    asked: float,
    output: Path,
    session: MakeupSession,
    config: RunConfig,
    *,
    journal: Journal | None = None,
    stop: threading.Event | None = None,
    on_frame: OnFrame | None = None,
) -> Outcome:
    """Make up a clip, write it to `output`, whole or not at all, and tell what became of it. `asked`: how strongly;
    `journal`: which files may be replaced, see `files.whole`.

    Figures, identity limit and pictures of the outcome are those of the first frame with a face. Raises PhotoError for
    a clip that can't be read, FaceError for one without any face, OutputError, BeyondLimitError, and
    StoppedError once `stop` is set.
    """
    moving = _probed(path, output, config)
    work = Work(moving, look, asked, session, config)
    refuse_foreign(output, overwrite=config.overwrite, journal=journal)
    with whole(output, config.overwrite, journal) as file:
        if isinstance(moving, Animation):
            _write_animation(moving, work, file, output, stop, on_frame)
            return work.outcome(output, list(moving.notes))
        sound = sound_for_mp4(moving)
        _write_clip(moving, work, file, output, sound, stop, on_frame)
    lost = list(moving.lost)
    if moving.sound and not sound:
        lost.append("the sound is of a kind that can't be read and was left out")
    notes = [*(["its interlaced frames were made whole ones"] if moving.interlaced else []), *moving.notes]
    if sound == "aac":
        notes.insert(0, "the sound is of a kind that MP4 can't hold and was encoded anew")
    return work.outcome(output, notes, lost)


def _probed(path: Path, output: Path, config: RunConfig) -> Clip | Animation:
    """What is known of a clip or an animation before it is made up. PhotoError."""
    photo_format = animation_format(path)
    if config.crop:
        kind = "an animation" if photo_format else "a clip"
        raise PhotoError(f"{printable(path)} is {kind}, which --crop does not take; give it without --crop.")
    if photo_format is None:
        clip = probe_clip(path, config.max_pixels)
        return without_places(clip) if config.strip_location else clip
    if _written_format(output) is None:
        raise PhotoError(
            f"{printable(path)} is an animation, which {output.suffix} can't hold; keep its own format, or choose"
            " webp or png."
        )
    return probe_animation(path, config.max_pixels)


def _written_format(output: Path) -> str | None:
    """The format of animations that a result's suffix names."""
    return next((kind for kind, suffixes in SUFFIXES.items() if output.suffix.lower() in suffixes), None)


def _write_clip(
    clip: Clip,
    work: Work,
    file: IO[bytes],
    output: Path,
    sound: str,
    stop: threading.Event | None,
    on_frame: OnFrame | None,
) -> None:
    config = work.config
    with contextlib.ExitStack() as stack:
        encoder = stack.enter_context(
            Encoder(
                *(clip, Path(file.name), output, sound),
                quality=config.quality,
                strip_location=config.strip_location,
            )
        )
        frames: Iterable[UInt8Array] = stack.enter_context(contextlib.closing(read_frames(clip)))
        wide: deque[Native] = deque()  # frames of another space than sRGB that were read and are not made up yet
        if clip.profile:
            frames = _in_srgb(frames, clip.profile, wide)
        for made in stack.enter_context(contextlib.closing(work.all_frames(frames, stop, on_frame))):
            encoder.write(wide.popleft().with_change(made) if clip.profile else made)
    if config.mark:
        file.seek(0, os.SEEK_END)
        file.write(clip_mark())


def _in_srgb(frames: Iterable[UInt8Array], profile: bytes, wide: deque[Native]) -> Iterator[UInt8Array]:
    """Frames in the space of a profile, in sRGB; each is put in line in `wide` as well."""
    for frame in frames:
        native = in_space(frame, profile)
        wide.append(native)
        yield native.working


def _write_animation(
    animation: Animation,
    work: Work,
    file: IO[bytes],
    output: Path,
    stop: threading.Event | None,
    on_frame: OnFrame | None,
) -> None:
    config = work.config
    waiting: deque[Photo] = deque()  # frames that were read and are not made up yet

    def pixels(frames: Iterable[Photo]) -> Iterator[UInt8Array]:
        for frame in frames:
            waiting.append(frame)
            yield frame.pixels

    with contextlib.ExitStack() as stack:
        frames = stack.enter_context(contextlib.closing(read_animation(animation)))
        made = stack.enter_context(contextlib.closing(work.all_frames(pixels(frames), stop, on_frame)))
        write_animation(
            *((replace(waiting.popleft(), pixels=frame) for frame in made), animation, file),
            _written_format(output) or animation.format,
            quality=config.quality,
            strip_location=config.strip_location,
            mark=config.mark,
        )


@dataclass(eq=False)
class Work:
    """The frames of a clip or an animation on their way: what is known of their faces, what is counted and timed."""

    clip: Clip | Animation
    look: ReadyLook
    asked: float
    session: MakeupSession
    config: RunConfig
    done: int = 0
    with_face: int = 0
    most_faces: int = 0
    first: Outcome | None = None  # of the first frame with a face
    toned: dict[int, bool] = field(default_factory=dict)  # of each track, as its first frame has it
    exposures: dict[int, float] = field(default_factory=dict)  # of each track, as `faces/exposure` has it, steadied
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def all_frames(
        self, frames: Iterable[UInt8Array], stop: threading.Event | None, on_frame: OnFrame | None
    ) -> Generator[UInt8Array, None, None]:
        """As `frames`. StoppedError once `stop` is set, FaceError at the end where none of them shows a face."""
        path = self.clip.path
        for made in self.frames(frames):
            if stop is not None and stop.is_set():
                raise StoppedError
            yield made
            self.done += 1
            if on_frame is not None:
                on_frame(path, self.done, self.clip.frames)
        if not self.with_face:
            raise FaceError(
                f"no face found in {printable(path)}, in none of its {self.done} frames; use a clip in which the face"
                " is larger, upright and uncovered."
            )

    def frames(self, frames: Iterable[UInt8Array]) -> Generator[UInt8Array, None, None]:
        """Each of the clip's frames made up, (H, W, 3) uint8 RGB as they come in; one without a face as it is."""
        tracker, steady = Tracker(float(self.clip.rate), self.config.which), Steady()
        last: tuple[UInt8Array, UInt8Array, int] | None = None  # a frame, what was made of it, and its faces
        with ThreadPoolExecutor(COMPOSERS, thread_name_prefix="composer") as composers:
            for start, group in self._groups(frames):
                # A clip of variable rate is filled up with repeated frames: these are made up once.
                fresh = [
                    number
                    for number, frame in enumerate(group)
                    if not np.array_equal(frame, group[number - 1] if number else last[0] if last else ())
                ]
                made = iter(self._make(fresh, start, group, tracker, steady, composers))
                for number, frame in enumerate(group):
                    if number in fresh:
                        last = frame, *next(made)
                    assert last is not None
                    self._count(last[2])
                    yield last[1]

    def _groups(self, frames: Iterable[UInt8Array]) -> Iterator[tuple[int, list[UInt8Array]]]:
        """Frames that are worked on together, after the number of the first."""
        width, height = self.clip.size
        most = max(1, min(SEARCH_EVERY, MOST_PIXELS_AT_ONCE // (width * height)))
        start, group = 0, []
        coming = iter(frames)
        while True:
            began = time.monotonic()
            frame = next(coming, None)
            self.seconds["read"] += time.monotonic() - began
            if frame is not None:
                group.append(frame)
            if group and (frame is None or len(group) == most):
                yield start, group
                start, group = start + len(group), []
            if frame is None:
                return

    def _make(
        self,
        numbers: Sequence[int],
        start: int,
        group: Sequence[UInt8Array],
        tracker: Tracker,
        steady: Steady,
        composers: ThreadPoolExecutor,
    ) -> Iterator[tuple[UInt8Array, int]]:
        """Each of the numbered frames of a group made up, with its number of faces."""
        began = time.monotonic()
        frames = [group[number] for number in numbers]
        times = [self.clip.time_of(start + number) for number in numbers]
        seen = tracker.follow(frames, times)
        calm = [steady.add(*item) for item in zip(frames, seen, times, strict=True)]
        signature = self.session.signature
        aligned = [
            [
                self._steady(
                    analyse_face(copy, Face((0, 0, 0, 0), face.landmarks), signature.size, signature.padding),
                    face.track,
                )
                for face in faces_seen
            ]
            for copy, faces_seen in zip(calm, seen, strict=True)
        ]
        tracked = time.monotonic()
        pairs = [(face, self.look.wearing) for found in aligned for face in found]
        all_made = pipeline.make_up(pairs, self.session, **self.config.network) if pairs else []
        self.seconds["detect"] += tracked - began
        self.seconds["network"] += time.monotonic() - tracked
        begun = time.monotonic()
        in_turn = iter(all_made)
        jobs = []
        for frame, copy, found in zip(frames, calm, aligned, strict=True):
            own = [next(in_turn) for _ in found]
            if own and self.first is None:
                self.first = self._judge(copy, found, own)
            jobs.append(composers.submit(self._compose, frame, copy, found, own))
        for job, found in zip(jobs, aligned, strict=True):
            made = job.result()
            self.seconds["composite"] += time.monotonic() - begun
            yield made, len(found)
            begun = time.monotonic()

    def _steady(self, face: FaceAnalysis, track: int) -> FaceAnalysis:
        """The face with the exposure that its track had so far, and a little of its own: a blink must not flash.

        Whether it is in colour was decided by the track's first frame.
        """
        now = exposure.exposure(face)
        if now is not None:
            before = self.exposures.get(track, now)
            self.exposures[track] = before + EXPOSURE_SHARE * (now - before)
        steady = replace(face, exposure=self.exposures.get(track))
        if track not in self.toned:
            palette = isinstance(self.clip, Animation) and self.clip.format == "GIF"
            self.toned[track] = tone.is_toned(steady, tone.LEAST_OF_PALETTE if palette else tone.LEAST_COLOUR)
        tone.decide(steady, self.toned[track])
        return steady

    def _judge(self, frame: UInt8Array, found: Sequence[FaceAnalysis], made: Sequence[Made]) -> Outcome:
        """The outcome as of the first frame with a face. BeyondLimitError where no strength keeps within the limit."""
        source = Source(self.clip.path, Photo(frame, path=self.clip.path), found, {}, crop=False)
        so_far = Outcome(self.clip.path, self.look.path, None, Status.MADE, size=self.clip.size, asked=self.asked)
        outcome, photos = result.make(source, self.look, made, so_far, self.config)
        return result.with_pictures(outcome, source, photos, self.config)

    def _compose(
        self, frame: UInt8Array, copy: UInt8Array, found: Sequence[FaceAnalysis], made: Sequence[Made]
    ) -> UInt8Array:
        """What makeup changes in the steady copy of a frame, laid on the frame itself."""
        assert self.first is not None or not found
        if not found or self.first is None:
            return frame
        strengths = self.look.look.strengths.scaled(self.asked * self.first.strength)
        worn = pipeline.apply(copy, found, made, strengths, remove=self.config.remove)
        change = worn.astype(np.int16) - copy
        return np.asarray((change + frame).clip(0, 255), dtype=np.uint8)

    def _count(self, count: int) -> None:
        self.with_face += count > 0
        self.most_faces = max(self.most_faces, count)

    def outcome(self, output: Path, said: Sequence[str], lost: Sequence[str] = ()) -> Outcome:
        """What became of the clip, now that all its frames are through.

        said: phrases on what was converted; lost: on what that was asked for is missing.
        """
        assert self.first is not None
        spent = {**self.first.seconds, **self.seconds}
        without = self.done - self.with_face
        missing = [f"{without} of {self.done} frames show no face and are as they were"] if without else []
        partly = self.first.partly or bool(missing or lost)
        reason = "; ".join(filter(None, [self.first.reason, *missing, *lost, *said]))
        notes = (*self.first.notes, *lost, *said)
        made = replace(self.first, output=output, reason=reason, partly=partly, notes=notes)
        return replace(made, faces=self.most_faces, seconds=spent)
