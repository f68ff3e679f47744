"""Photos that arrive: each once, when it is whole."""

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from beautygan_cli.batch.watch import PAUSES, arrivals

PATIENCE = 30  # seconds that a busy machine may take for what takes a moment


class Watched:
    """A folder under watch in a thread, and what was handed out so far."""

    def __init__(self, folder, settled=0.4):
        self.folder, self.stop, self.news = folder, threading.Event(), queue.Queue()
        folder.mkdir(exist_ok=True)
        self.thread = threading.Thread(target=self._run, args=(settled,))

    def _run(self, settled):
        for item in arrivals([self.folder], self.stop, lambda path: path.name != "unwanted.jpg", settled=settled):
            if item is not None:
                self.news.put((str(item.path.relative_to(self.folder)), str(item.inside)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(PATIENCE)

    def next(self):
        return self.news.get(timeout=PATIENCE)

    def nothing(self, seconds=1.2):
        with pytest.raises(queue.Empty):
            self.news.get(timeout=seconds)
        return True


def test_photos_that_are_there_come_first_and_new_ones_when_they_arrive(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "old.jpg").write_bytes(b"1")
    with Watched(tmp_path / "in") as watched:
        assert watched.next() == ("sub/old.jpg", "sub")
        (tmp_path / "in" / "new.png").write_bytes(b"2")
        assert watched.next() == ("new.png", ".")
        assert watched.nothing()


def test_file_that_is_still_being_copied_is_waited_for(tmp_path):
    with Watched(tmp_path / "in", settled=0.8) as watched:
        began = time.monotonic()
        with (tmp_path / "in" / "slow.jpg").open("wb") as file:
            for _ in range(8):
                file.write(b"x" * 1000)
                file.flush()
                time.sleep(0.2)
            written = time.monotonic()
        assert watched.next() == ("slow.jpg", ".")
        assert time.monotonic() - written > 0.4 and written - began > 1.5
        assert watched.nothing()


def test_file_that_goes_on_growing_after_a_pause_is_given_longer(tmp_path):
    with Watched(tmp_path / "in") as watched:
        slow = tmp_path / "in" / "slow.jpg"
        slow.write_bytes(b"1")
        assert watched.next() == ("slow.jpg", ".")  # the pause was too long to be told from the end
        slow.write_bytes(b"12")
        written = time.monotonic()
        assert watched.next() == ("slow.jpg", ".")
        assert time.monotonic() - written > 0.9 * PAUSES * 0.4
        assert watched.nothing()


def test_photo_that_is_moved_in_and_one_that_changes_are_noticed(tmp_path):
    (tmp_path / "elsewhere.jpg").write_bytes(b"1")
    with Watched(tmp_path / "in") as watched:
        (tmp_path / "elsewhere.jpg").rename(tmp_path / "in" / "moved.jpg")
        assert watched.next() == ("moved.jpg", ".")
        (tmp_path / "in" / "moved.jpg").write_bytes(b"other")
        assert watched.next() == ("moved.jpg", ".")
        (tmp_path / "in" / "moved.jpg").read_bytes()
        assert watched.nothing()


def test_folder_that_arrives_brings_its_photos(tmp_path):
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "a.jpg").write_bytes(b"1")
    with Watched(tmp_path / "in") as watched:
        (tmp_path / "album").rename(tmp_path / "in" / "album")
        assert watched.next() == ("album/a.jpg", "album")


def test_what_is_no_photo_to_make_up_is_left_alone(tmp_path):
    with Watched(tmp_path / "in") as watched:
        for name in ("note.txt", ".hidden.jpg", "unwanted.jpg", "empty.jpg"):
            (tmp_path / "in" / name).write_bytes(b"" if name == "empty.jpg" else b"1")
        assert watched.nothing()


def watching(folder, model, *options):
    """The command as it watches the folder `in` below a folder, for what is to look like `look.jpg`."""
    command = [sys.executable, "-m", "beautygan_cli", "--no-makeup", "in", "--ref", "look.jpg", *options]
    return subprocess.Popen(
        [*command, "--watch", "--model", str(model)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_command_makes_up_what_arrives_until_it_is_stopped(photos, place, model, tmp_path):
    (tmp_path / "in").mkdir()
    place("look.jpg", "worn")
    with watching(tmp_path, model, "--out", "in/out") as process:
        assert process.stderr.readline() == "beautygan: watching in; Ctrl-C ends it\n"
        for number in range(2):
            shutil.copyfile(photos("bare", number), tmp_path / "in" / "half.tmp")
            os.rename(tmp_path / "in" / "half.tmp", tmp_path / "in" / f"{number}.jpg")  # noqa: PTH104
            assert process.stdout.readline() == f"in/out/{number}__look.jpg\n"  # one alone fills no batch
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
        err = process.stderr.read()
    assert process.returncode == 143
    assert err == "beautygan: stopped; the same command goes on from here: 2 made\n"


@pytest.mark.promise("Hostile photos")
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_photo_that_comes_in_two_parts_has_not_failed_in_the_end(photos, place, model, tmp_path):
    (tmp_path / "in").mkdir()
    place("look.jpg", "worn")
    whole = photos("bare", 0).read_bytes()
    with watching(tmp_path, model, "--report", "r.json") as process:
        assert process.stderr.readline() == "beautygan: watching in; Ctrl-C ends it\n"
        (tmp_path / "in" / "a.jpg").write_bytes(whole[: len(whole) // 2])
        assert "in/a.jpg is damaged or cut short" in process.stderr.readline()
        with (tmp_path / "in" / "a.jpg").open("ab") as file:
            file.write(whole[len(whole) // 2 :])
        assert process.stdout.readline() == "made_up/a__look.jpg\n"
        process.send_signal(signal.SIGTERM)
        err = process.stderr.read()
    assert (process.returncode, err) == (143, "beautygan: stopped; the same command goes on from here: 1 made\n")
    assert [row["status"] for row in json.loads((tmp_path / "r.json").read_text())["results"]] == ["made"]


@pytest.mark.promise("Hostile photos")
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_long_search_hears_of_the_stop_between_its_scans(place, model, tmp_path, number):
    """It would end with a sentence on the photo, some tens of seconds later."""
    face = iio.imread(place("me.png", "bare"))
    scale = 100 / max(face.shape[:2])
    covered = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    covered[round(0.55 * covered.shape[0]) :] = 128
    across, down = 3600 // covered.shape[1], 3600 // covered.shape[0]
    noise = np.random.default_rng(1).normal(0, 14, (down * covered.shape[0], across * covered.shape[1], 3))
    crowd = np.tile(0.5 * covered + 60, (down, across, 1)) + noise
    iio.imwrite(tmp_path / "crowd.png", np.clip(crowd, 0, 255).astype(np.uint8))
    place("look.jpg", "worn")
    command = [sys.executable, "-m", "beautygan_cli", "crowd.png", "--ref", "look.jpg", "--verbose"]
    with subprocess.Popen(
        [*command, "--model", str(model)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "SHA-256" not in process.stderr.readline():  # the model is open, the search begins
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(number)
        err = process.stderr.read()
    assert process.returncode == 128 + number
    # Where one scan takes longer than a run may take to end, nothing is left to be told of.
    assert re.search(r"beautygan: stopped(; the same command goes on from here: 0 made| at once; [^\n]*)\n$", err), err
    assert "crowd" not in err


def test_watching_what_is_no_folder_is_refused(place, beautygan):
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    status, _, err = beautygan("--no-makeup", "a.jpg", "--ref", "look.jpg", "--watch")
    assert status == 2 and "--watch needs folders to watch, and a.jpg is none." in err
    assert not Path("made_up").exists()
