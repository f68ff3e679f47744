"""A folder of many photos: rate, peak memory, and a run that is killed again and again.

Photos are made from the samples by crop, scale and light, so that each is different, and made up by the command in
processes of its own:

    python benchmarks/folder.py memory --photos 50 2000
    python benchmarks/folder.py kills --photos 2000 --kills 5

`memory` prints each run's rate and the largest resident memory that the system saw. `kills` makes the folder up once
undisturbed and once with `kill -9` at random moments, and compares all outputs.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SIDE = (220, 300)  # pixels of a photo's longer side


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "kills"))
    parser.add_argument("--photos", type=int, nargs="+", default=[50, 2000], help="sizes of folder (kills: the last)")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--references", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the photos and of the moments")
    parser.add_argument("--options", default="", help="more options for the command, in one string")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beautygan-benchmark-") as folder:
        return measure_memory(options, Path(folder)) if options.what == "memory" else kill(options, Path(folder))


def generate(folder: Path, count: int, seed: int) -> None:
    """Write `count` different photos."""
    originals = [iio.imread(path) for path in sorted((SAMPLES / "no_makeup").glob("*.jpg"))]
    chance = random.Random(seed)
    folder.mkdir()
    for number in range(count):
        pixels = originals[number % len(originals)]
        height, width = pixels.shape[:2]
        top, bottom = (chance.randrange(1 + round(0.05 * height)) for _ in range(2))
        left, right = (chance.randrange(1 + round(0.05 * width)) for _ in range(2))
        part = pixels[top : height - bottom, left : width - right]
        scale = chance.randint(*SIDE) / max(part.shape[:2])
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        light = np.clip(part * chance.uniform(0.75, 1.15), 0, 255).astype(np.uint8)
        iio.imwrite(folder / f"{number:05d}.jpg", light, quality=90)


def command(photos: Path, out: Path, options: argparse.Namespace) -> list[str]:
    """The command that makes a folder up."""
    looks = [str(path) for path in sorted((SAMPLES / "makeup").glob("*.jpg"))[: options.references]]
    start = [sys.executable, "-m", "beautygan_cli", "--no-makeup", str(photos), "--ref", *looks, "--out", str(out)]
    return [*start, *options.options.split()]


def measure_memory(options: argparse.Namespace, folder: Path) -> int:
    """Print rate and peak memory of a run for each size of folder, and how much more the largest takes."""
    peaks = []
    for count in options.photos:
        generate(folder / f"photos{count}", count, options.seed)
        began = time.monotonic()
        process = subprocess.Popen(
            command(folder / f"photos{count}", folder / f"out{count}", options), stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        spent = time.monotonic() - began
        peaks.append(usage.ru_maxrss / 1024)
        results = count * options.references
        print(
            f"{count} photos, {options.references} reference(s): {spent:.1f} s, {results / spent:.2f} results a second,"
            f" {(usage.ru_utime + usage.ru_stime) / results:.2f} processor seconds a result,"
            f" peak memory {peaks[-1]:.0f} MB, exit {os.waitstatus_to_exitcode(status)}",
            flush=True,
        )
    print(f"the largest folder takes {100 * (peaks[-1] / peaks[0] - 1):+.1f} % of the smallest one's memory")
    return 0


def kill(options: argparse.Namespace, folder: Path) -> int:
    """Compare a run that was killed `--kills` times with one that was not; exit 1 where they differ."""
    count = options.photos[-1]
    photos = folder / "photos"
    generate(photos, count, options.seed)
    began = time.monotonic()
    subprocess.run(command(photos, folder / "whole", options), stdout=subprocess.DEVNULL, check=True)
    whole = time.monotonic() - began
    print(f"undisturbed: {whole:.1f} s", flush=True)
    chance = random.Random(options.seed)
    for number in range(options.kills):
        with subprocess.Popen(command(photos, folder / "killed", options), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, max(2, count * options.references // (options.kills + 1)))):
                process.stdout.readline()
            time.sleep(chance.uniform(0, 1))
            process.kill()
        done = len(contents(folder / "killed"))
        print(f"kill {number + 1}: {done} outputs", flush=True)
    ended = subprocess.run(command(photos, folder / "killed", options), stdout=subprocess.PIPE, text=True)
    made = len(ended.stdout.splitlines())
    same = contents(folder / "killed") == contents(folder / "whole")
    total = len(contents(folder / "killed"))
    print(f"last run: exit {ended.returncode}, {made} made; {total} outputs, {'equal' if same else 'DIFFERENT'}")
    return 0 if same and total == count * options.references and ended.returncode == 0 else 1


def contents(folder: Path) -> dict[str, bytes]:
    """Each output, and whatever a killed run may have left beside them, by name."""
    manifest = ".beautygan.sqlite"
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(manifest)}


if __name__ == "__main__":
    sys.exit(main())
