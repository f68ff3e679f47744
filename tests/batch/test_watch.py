"""Photos that arrive: each once, when it is whole."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from beautygan_cli.batch.watch import arrivals

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


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_command_makes_up_what_arrives_until_it_is_stopped(photos, place, model, tmp_path):
    (tmp_path / "in").mkdir()
    place("look.jpg", "worn")
    command = [sys.executable, "-m", "beautygan_cli", "--no-makeup", "in", "--ref", "look.jpg", "--out", "in/out"]
    with subprocess.Popen(
        [*command, "--watch", "--model", str(model)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
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


def test_watching_what_is_no_folder_is_refused(place, beautygan):
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    status, _, err = beautygan("--no-makeup", "a.jpg", "--ref", "look.jpg", "--watch")
    assert status == 2 and "--watch needs folders to watch, and a.jpg is none." in err
    assert not Path("made_up").exists()
