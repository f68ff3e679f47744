"""A run that is told to end does so at once, wherever it is: nothing half written, nothing left behind.

Each trial tells `tests/promises.py` how long it took the process to end, which prints the longest; how long that is on
a machine that others use as well is no test's to judge.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import imageio.v3 as iio
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.promise("Stopping"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]

PATIENCE = 300  # seconds that a busy machine may take to get to where the signal is sent
SIDE = 5000  # of a photo of 25 megapixels

# The command, with a file put down when it comes to a function of its own.
TOLD = """
import pathlib, pkgutil, sys
place, _, name = sys.argv.pop(1).rpartition(".")
place = pkgutil.resolve_name(place)
real = getattr(place, name)
def told(*arguments, **options):
    pathlib.Path("begun").touch()
    return real(*arguments, **options)
setattr(place, name, told)
from beautygan_cli.cli.main import main
sys.exit(main())
"""

MAKE = ["large.jpg", "--ref", "look.jpg", "--out", "out", "--report", "r.json"]
MOMENTS = {
    "opening the model": ("beautygan_cli.cli.run.open_session", MAKE),
    "reading": ("beautygan_cli.batch.sources.read_photo", MAKE),
    "searching": ("beautygan_cli.faces.detection.detect", MAKE),
    "composing": ("beautygan_cli.makeup.pipeline.apply", MAKE),
    "encoding": ("beautygan_cli.batch.result.write_photo", [*MAKE, "--format", "png"]),
    "measuring": ("beautygan_cli.batch.result.measure", MAKE),
    "writing to stdout": ("beautygan_cli.makeup.pipeline.apply", [*MAKE[:3], "--out", "-"]),
    "checking": ("beautygan_cli.faces.detection.detect", ["--check", "large.jpg", "--ref", "look.jpg"]),
    "a clip": ("beautygan_cli.batch.clip.Encoder", ["clip.mp4", *MAKE[1:]]),
}


@pytest.fixture(scope="module")
def large(photos, tmp_path_factory) -> Path:
    """A photo of 25 megapixels with a face."""
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    iio.imwrite(path, cv2.resize(iio.imread(photos("bare", 0)), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
    return path


def descendants(pid: int) -> set[int]:
    """The processes that a process began, and they in turn; none where there is no /proc."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    known = {pid}
    while more := {child for child, parent in parents.items() if parent in known} - known:
        known |= more
    return known - {pid}


# A stretch of work that comes back to Python after minutes.
STUCK = """
import sys
import numpy as np
from beautygan_cli.cli.stopping import until_stopped
def work(end):
    end.running = True
    matrix = np.random.default_rng(1).normal(size=(5000, 5000))
    print("begun", flush=True)
    np.linalg.svd(matrix)
    print("done", flush=True)
    return end.status
sys.exit(until_stopped(work))
"""


def test_a_run_that_is_deaf_inside_a_library_ends_all_the_same():
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"begun\n"
            process.send_signal(signal.SIGTERM)
            said, complaint = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert said == b""
    assert complaint.count(b"\n") == 1


# A command, of which one function stands still for ever with a process that it began.
STILL = """
import importlib, multiprocessing, pathlib, sys, time
module, name = sys.argv.pop(1), sys.argv.pop(1)
module = importlib.import_module(module)
def still(*arguments):
    multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,), daemon=True).start()
    print("begun", flush=True)
    time.sleep(600)
setattr(module, name, still)
sys.exit(module.main())
"""
COMMANDS = {
    "before the imports": ("main", "_done", ["a.jpg", "--ref", "b.jpg"], "beautygan: stopped at once"),
    "before the imports of training": ("train", "parser", [], "beautygan-train: stopped at once"),
    "training": ("train", "_train", ["--faces", "a", "--out", "b"], "beautygan-train: stopped; --resume goes on"),
    "evaluating": ("evaluate", "_run", ["--rendered", "4"], "beautygan-evaluate: stopped; nothing was written"),
}


@pytest.mark.parametrize("moment", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_command_ends_by_itself_and_with_one_line(tmp_path, moment, number):
    """By itself, with a status: a signal that is left to the system reaches no first process of a container."""
    module, name, arguments, words = COMMANDS[moment]
    command = [sys.executable, "-c", STILL, f"beautygan_cli.cli.{module}", name, *arguments]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"begun\n"
            begun = descendants(process.pid)
            process.send_signal(number)
            process.wait(PATIENCE)
            deadline = time.monotonic() + PATIENCE
            if moment == "training":  # the others begin none
                while any(map(_is_running, begun)) and time.monotonic() < deadline:
                    time.sleep(0.02)
                assert not any(map(_is_running, begun)) and begun
        finally:
            process.kill()
            for pid in begun:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        said = process.stderr.read().decode()
    assert process.returncode == 128 + number, said
    assert said.startswith(words) and said.count("\n") == 1


@pytest.mark.parametrize(
    ("moment", "number"),
    [*((moment, signal.SIGTERM) for moment in MOMENTS), ("composing", signal.SIGINT), ("searching", signal.SIGINT)],
)
def test_a_run_ends_wherever_it_is(large, place, model, tmp_path, moment, number, record_property):
    told, arguments = MOMENTS[moment]
    (tmp_path / "large.jpg").symlink_to(large)
    before = large.stat()
    place("look.jpg", "worn")
    if moment == "a clip":
        pytest.importorskip("imageio_ffmpeg")
        frame = iio.imread(place("frame.png", "bare"))[:320, :240]
        frame = cv2.resize(frame, (480, 640))
        iio.imwrite(tmp_path / "clip.mp4", [frame] * 60, fps=30)
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-c", TOLD, told, *arguments, "--model", str(model)]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    with (
        (tmp_path / "err").open("w") as err,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=err) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE
            while not (tmp_path / "begun").exists():
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "err").read_text()
                time.sleep(0.02)
            time.sleep(0.3)
            begun = descendants(process.pid)
            sent = time.monotonic()
            process.send_signal(number)
            process.wait(PATIENCE)
            record_property("seconds to end", time.monotonic() - sent)
        finally:
            process.kill()
    said = (tmp_path / "err").read_text().splitlines()
    assert process.returncode == 128 + number, said
    assert [line for line in said if "stopped" in line], said
    assert "Traceback" not in "".join(said)
    assert [path.name for path in tmp_path.rglob(".beautygan-*.part")] == []
    assert [*(tmp_path / "temporary").iterdir()] == []
    assert [pid for pid in begun if Path(f"/proc/{pid}/cmdline").exists() and _is_running(pid)] == []
    after = large.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    made = list((tmp_path / "out").glob("*__look.*"))
    for path in made:
        iio.imread(path) if path.suffix != ".mp4" else iio.imread(path, index=0)  # whole, or not there


def _is_running(pid: int) -> bool:
    """Whether a process is there and no more a remnant whose parent has not asked after it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
