"""What overlapping the stations of a batch brings, and which of them hold Python's interpreter lock.

    python benchmarks/overlap.py [--photos 24]

First each station alone, with the longest time for which another thread could not run meanwhile: a station that holds
the lock shows its whole duration there. Then the rate of a batch with the stations one after the other and overlapped,
in turns, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePath

from folder import SAMPLES, generate

from beautygan_cli.batch import line
from beautygan_cli.batch.manifest import Manifest
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.plan import Planner
from beautygan_cli.batch.sources import read_looks
from beautygan_cli.faces import detection
from beautygan_cli.faces.recognition import descriptor
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import Look
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import read_photo, write_photo

SETTINGS = ("READ_AHEAD", "MOST_UNFINISHED")
OVERLAPPED = {name: getattr(line, name) for name in SETTINGS}


def main() -> int:
    """Print both tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    with MakeupSession() as session, tempfile.TemporaryDirectory(prefix="beautygan-benchmark-") as folder:
        print_locks(session, Path(folder))
        print_rates(session, Path(folder), options.photos, options.turns)
    return 0


def print_locks(session: MakeupSession, folder: Path) -> None:
    """Each station's time, and how long it kept other threads from running."""
    path = next(iter(sorted((SAMPLES / "no_makeup").glob("*.jpg"))))
    photo = read_photo(path)
    aligned = pipeline.find_faces(photo.pixels, session.signature, str(path))[:1]
    made = pipeline.make_up([(face, face) for face in aligned], session)
    face = detection.detect(photo.pixels)[0]
    descriptor(photo.pixels, face)  # its network is loaded by the first call
    stations: dict[str, Callable[[], object]] = {
        "read": lambda: read_photo(path),
        "detect": lambda: detection.detect(photo.pixels),
        "network": lambda: pipeline.make_up([(aligned[0], aligned[0])] * 8, session),
        "composite": lambda: pipeline.apply(photo.pixels, aligned, made, Strengths()),
        "descriptor": lambda: descriptor(photo.pixels, face),
        "write": lambda: write_photo(photo, folder / "out.jpg", overwrite=True),
    }
    print("station      seconds  longest wait of another thread")
    for name, work in stations.items():
        spent, waited = min(watched(work) for _ in range(5))
        print(f"{name:12} {spent:7.3f}  {waited:7.3f}", flush=True)


def watched(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that the work took, and the longest time in it for which another thread did not get to run."""
    done, waits = threading.Event(), [0.0]

    def tick() -> None:
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            waits[0] = max(waits[0], now - last)
            last = now

    ticker = threading.Thread(target=tick)
    ticker.start()
    began = time.perf_counter()
    work()
    spent = time.perf_counter() - began
    done.set()
    ticker.join()
    return spent, waits[0]


def print_rates(session: MakeupSession, folder: Path, count: int, turns: int) -> None:
    """Results a second, one station after the other and overlapped, each the best of some turns."""
    generate(folder / "photos", count, seed=1)
    sources = [Found(path, PurePath()) for path in sorted((folder / "photos").iterdir())]
    look = min((SAMPLES / "makeup").glob("*.jpg"))
    references, _ = read_looks([(Found(look, PurePath()), Look.of(look))], session.signature)
    one_by_one = {"READ_AHEAD": 0, "MOST_UNFINISHED": 1}
    rates: dict[str, float] = {}
    for turn in range(turns):
        for name, settings, jobs in (("one after the other", one_by_one, 1), ("overlapped", OVERLAPPED, None)):
            for setting, value in settings.items():
                setattr(line, setting, value)
            out = folder / f"{name}{turn}"
            began = time.perf_counter()
            with Manifest(out) as manifest:
                for outcome in line.run(Planner(references, session, RunConfig(out=out, jobs=jobs), manifest), sources):
                    assert outcome.status == "made", outcome.reason
            rates[name] = max(rates.get(name, 0.0), count / (time.perf_counter() - began))
    for name, rate in rates.items():
        print(f"{name}: {rate:.2f} results a second")


if __name__ == "__main__":
    sys.exit(main())
