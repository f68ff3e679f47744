"""How much less makeup flickers in a clip than in its frames made up one by one, and how long a frame takes.

    python benchmarks/video.py [--photo FILE] [--ref FILE] [--frames 30] [--noise 3] [--side 720]

The clip is made from a photo: it moves by less than half a pixel and has a sensor's noise, so whatever changes in the
makeup layer (result minus source) from frame to frame is flicker. Also printed are the change as the eye sees it (the
layer averaged over 9 x 9 pixels) and the jitter of the landmarks. `--out FILE.mp4` writes the source, the frames made
up one by one and the clip made up as one, side by side.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from beautygan_cli.batch.clip import Work
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.sources import ReadyLook, read_look
from beautygan_cli.faces import detection
from beautygan_cli.faces.tracking import SEARCH_EVERY, Tracker
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import Look
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.photos.clip import Clip
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import read_photo

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
RATE = 30
SEEN = 9  # pixels over which the eye averages


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=SAMPLES / "no_makeup" / "bea.jpg")
    parser.add_argument("--ref", type=Path, default=SAMPLES / "makeup" / "plum.jpg")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--noise", type=float, default=3.0, help="standard deviation in grey levels")
    parser.add_argument("--side", type=int, default=720, help="longest side of a frame")
    parser.add_argument("--out", type=Path, help="write source, frame by frame and clip side by side")
    options = parser.parse_args()
    frames = list(still(options.photo, options.frames, options.noise, options.side))
    with MakeupSession() as session:
        item = Found(options.ref, PurePath())
        reference = read_look(item, Look.of(options.ref), session.signature, 10**9, measure=False)
        began = time.perf_counter()
        alone = [one_by_one(frame, reference, session) for frame in frames]
        middle = time.perf_counter()
        height, width = frames[0].shape[:2]
        clip = Clip(Path("clip.mp4"), (width, height), Fraction(RATE), len(frames), sound=False)
        steady = list(Work(clip, reference, 1.0, session, RunConfig(Path())).frames(iter(frames)))
        ended = time.perf_counter()
    print(f"{options.photo.name} with {options.ref.name}, {len(frames)} frames of {width} x {height}")
    print(f"{'':58}  frame by frame  as a clip  ratio")
    told("change of the makeup layer, grey levels", change(frames, alone), change(frames, steady))
    told(f"the same, averaged over {SEEN} x {SEEN} pixels", change(frames, alone, SEEN), change(frames, steady, SEEN))
    told("jitter of landmarks, pixels", *jitter(frames))
    told("seconds a frame", (middle - began) / len(frames), (ended - middle) / len(frames))
    if options.out:
        side_by_side = np.concatenate([np.stack(several) for several in (frames, alone, steady)], axis=2)
        iio.imwrite(options.out, side_by_side, plugin="FFMPEG", fps=RATE, macro_block_size=2, quality=9)
    return 0


def told(name: str, alone: float, steady: float) -> None:
    """A line of the table."""
    print(f"{name:58}  {alone:14.3f}  {steady:9.3f}  {steady / alone:5.2f}", flush=True)


def still(photo: Path, count: int, noise: float, side: int) -> Iterator[NDArray[np.uint8]]:
    """Frames of a photo that moves by less than half a pixel, with a sensor's noise."""
    pixels = read_photo(photo).pixels
    scale = min(1.0, side / max(pixels.shape[:2]))
    height, width = (round(length * scale) // 2 * 2 for length in pixels.shape[:2])
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(pixels, (0, 0), 0.45 / scale) if scale < 1 else pixels
    for number in range(count):
        seconds = number / RATE
        shift = 0.4 * np.sin(2 * np.pi * 0.7 * seconds), 0.3 * np.cos(2 * np.pi * 0.5 * seconds)
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        moved = cv2.warpAffine(soft, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        yield np.clip(moved + rng.normal(0, noise, moved.shape), 0, 255).round().astype(np.uint8)


def one_by_one(frame: NDArray[np.uint8], reference: ReadyLook, session: MakeupSession) -> NDArray[np.uint8]:
    """A frame made up as a photo of its own."""
    aligned = pipeline.find_faces(frame, session.signature, "the frame")
    made = pipeline.make_up([(face, reference.face) for face in aligned], session)
    return pipeline.apply(frame, aligned, made, Strengths())


def change(frames: Sequence[NDArray[Any]], results: Sequence[NDArray[Any]], over: int = 1) -> float:
    """Mean change of the makeup layer from frame to frame in grey levels, where there is makeup."""
    layers = [made.astype(np.float32) - frame for made, frame in zip(results, frames, strict=True)]
    worn = np.mean([np.abs(layer).max(axis=-1) for layer in layers], axis=0) > 1
    steps = [later - earlier for earlier, later in itertools.pairwise(layers)]
    return float(np.mean([np.abs(cv2.blur(step, (over, over)))[worn].mean() for step in steps]))


def jitter(frames: Sequence[NDArray[np.uint8]]) -> tuple[float, float]:
    """Standard deviation of the landmarks' steps: detected in each frame, and tracked."""
    detected = [detection.detect(frame)[0].landmarks for frame in frames]
    tracker, tracked = Tracker(RATE), []
    for start in range(0, len(frames), SEARCH_EVERY):
        part = frames[start : start + SEARCH_EVERY]
        times = [(start + number) / RATE for number in range(len(part))]
        tracked += [found[0].landmarks for found in tracker.follow(part, times)]
    return float(np.diff(detected, axis=0).std()), float(np.diff(tracked, axis=0).std())


if __name__ == "__main__":
    sys.exit(main())
