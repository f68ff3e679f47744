"""What a folder of results remembers, and how a run that ended badly goes on."""

import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import bare_photos

from beautygan_cli.batch.manifest import _TABLES, FILE_NAME, Manifest
from beautygan_cli.cli import main
from beautygan_cli.errors import OutputError
from beautygan_cli.photos.photo import read_photo

# The manifest by itself


def test_result_is_known_by_the_next_run_and_intact_until_its_file_changes(tmp_path):
    output = tmp_path / "sub" / "a.jpg"
    output.parent.mkdir()
    with Manifest(tmp_path) as manifest:
        assert manifest.result(output) is None
        manifest.announce([(output, "key")])
        assert manifest.result(output).state == "making"
        output.write_bytes(b"content")
        manifest.record(output, "key", "made", files=[output], details={"faces": 2, "size": [3, 4]})
    with Manifest(tmp_path) as manifest:
        record = manifest.result(output)
        assert (record.key, record.state, record.details) == ("key", "made", {"faces": 2, "size": [3, 4]})
        assert record.intact(output.parent)
        output.write_bytes(b"touched")
        assert not manifest.result(output).intact(output.parent)


def test_folder_can_be_moved_with_its_manifest(tmp_path):
    with Manifest(tmp_path / "old") as manifest:
        manifest.record(tmp_path / "old" / "a.jpg", "key", "failed", reason="no face")
    (tmp_path / "old").rename(tmp_path / "new")
    with Manifest(tmp_path / "new") as manifest:
        assert manifest.result(tmp_path / "new" / "a.jpg").reason == "no face"


def test_content_is_read_again_only_when_the_file_changed(tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"one")
    manifest = Manifest(tmp_path)
    first = manifest.content(photo)
    status = photo.stat()
    photo.chmod(0o600)
    assert manifest.content(photo) == first
    photo.write_bytes(b"two")
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert manifest.content(photo) != first


def test_second_run_in_the_same_folder_is_refused_until_the_first_is_closed(tmp_path):
    program = f"from beautygan_cli.batch.manifest import Manifest, Path; Manifest(Path({str(tmp_path)!r}))"
    with Manifest(tmp_path):
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert "OutputError: another run is writing into" in second.stderr
    third = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert third.returncode == 0, third.stderr


def test_lock_is_gone_with_a_process_that_was_killed(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from beautygan_cli.batch.manifest import Manifest\n"
        f"manifest = Manifest(Path({str(tmp_path)!r})); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(OutputError, match="another run is writing into"):
            Manifest(tmp_path)
        holder.kill()
    Manifest(tmp_path).close()


def test_damaged_manifest_is_named_with_its_remedy(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(OutputError, match=r"\.beautygan\.sqlite is damaged; delete it"):
        Manifest(tmp_path)


def test_manifest_of_another_version_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(OutputError, match="of another version"):
        Manifest(tmp_path)


@pytest.mark.promise("Safe outputs")
@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN INSERT INTO runs (command) SELECT new.command; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE extra (a)",
        "CREATE INDEX extra ON runs (command)",
        "DROP TABLE results; CREATE TABLE results (output)",
        "DROP TABLE runs; CREATE VIEW runs AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id FROM n)"
        " SELECT id, '' AS command, 1 AS finished FROM n",
        "DROP TABLE content; CREATE TABLE content (path TEXT PRIMARY KEY, size INTEGER GENERATED ALWAYS AS (1))",
    ],
)
def test_manifest_with_anything_but_our_own_tables_is_refused(tmp_path, planted):
    Manifest(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.executescript(planted)
    database.close()
    with pytest.raises(OutputError, match="is damaged; delete it"):
        Manifest(tmp_path)


def page(kind, cells, right=0):
    """A page of a table or index of SQLite; kind: 2 interior, 10 leaf, of an index."""
    content, places = b"", []
    for cell in cells:
        content = cell + content
        places.append(4096 - len(content))
    head = struct.pack(">BHHHB", kind, 0, len(cells), places[-1], 0) + (struct.pack(">I", right) if kind == 2 else b"")
    return (head + struct.pack(f">{len(places)}H", *places)).ljust(4096 - len(content), b"\0") + content


def endless(folder):
    """A manifest whose index of names has pages that are reached by more ways than anybody could go: 100 ** 6."""
    with Manifest(folder) as manifest:
        manifest.name("source", [("", "a", Path("/a"))])
    with sqlite3.connect(folder / FILE_NAME) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        (index,) = database.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_names_1'"
        ).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    assert size == 4096
    entry = b"\x04\x19\x11\x09source/a"  # two texts and the number 1, which takes no byte
    entry = bytes([len(entry)]) + entry
    content = bytearray((folder / FILE_NAME).read_bytes())
    pages = len(content) // size
    content[(index - 1) * size : index * size] = page(2, [struct.pack(">I", pages + 1) + entry] * 100, pages + 1)
    for level in range(1, 6):
        below = pages + level + 1
        content += page(2, [struct.pack(">I", below) + entry] * 100, below)
    content += page(10, [entry] * 100)
    struct.pack_into(">I", content, 28, len(content) // size)
    (folder / FILE_NAME).write_bytes(content)


def journal_of_several(database: Path, other: Path) -> bytes:
    """A rollback journal of a database that names another file, as of a transaction in several databases."""
    mark, name = bytes.fromhex("d9d505f920a163d7"), os.fsencode(other)
    head = mark + struct.pack(">IIIII", 0, 0, database.stat().st_size // 4096, 512, 4096)
    tail = struct.pack(">I", (1 << 30) // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + mark
    return head.ljust(512, b"\0") + tail


@pytest.mark.promise("Safe outputs")
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_journal_beside_the_manifest_removes_no_file(tmp_path, mode):
    precious = tmp_path / "precious.jpg"
    precious.write_bytes(b"somebody's photo")
    with Manifest(tmp_path / "out"):
        pass
    file = tmp_path / "out" / FILE_NAME
    journal = Path(f"{file}-journal")
    database = sqlite3.connect(file)
    assert database.execute(f"PRAGMA journal_mode = {mode}").fetchone() == (mode.lower(),)
    database.close()
    journal.write_bytes(journal_of_several(file, precious))
    copy = tmp_path / "copy.sqlite"
    shutil.copyfile(file, copy)
    removed = tmp_path / "removed.jpg"
    removed.write_bytes(b"another's")
    Path(f"{copy}-journal").write_bytes(journal_of_several(copy, removed))
    sqlite3.connect(copy).execute("SELECT * FROM sqlite_schema").fetchall()
    assert not removed.exists(), "SQLite itself removes none any more, and this trial proves nothing"
    with pytest.raises(OutputError, match="is damaged; delete it"), Manifest(tmp_path / "out"):
        pass
    assert precious.read_bytes() == b"somebody's photo"


@pytest.mark.promise("Safe outputs")
def test_another_programs_database_is_refused_to_the_byte(tmp_path):
    file = tmp_path / "out" / FILE_NAME
    file.parent.mkdir()
    database = sqlite3.connect(file)
    database.executescript("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('a');")
    database.close()
    before = file.read_bytes()
    with pytest.raises(OutputError, match="is damaged; delete it"), Manifest(tmp_path / "out"):
        pass
    assert file.read_bytes() == before


@pytest.mark.promise("Safe outputs")
def test_query_that_would_never_end_is_ended_by_the_size_of_its_file(tmp_path):
    endless(tmp_path)
    with Manifest(tmp_path) as manifest, pytest.raises(OutputError, match="is damaged; delete it"):
        manifest.names("source")


@pytest.mark.promise("Safe outputs")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_query_that_would_never_end_is_not_deaf_to_signals(tmp_path, monkeypatch, number):
    endless(tmp_path)
    monkeypatch.setattr("beautygan_cli.batch.manifest._STEPS_FOR_NOTHING", 1 << 60)
    stop = threading.Event()
    before = signal.signal(number, lambda *_: stop.set())
    try:
        with Manifest(tmp_path, stop=stop) as manifest:
            threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
            with pytest.raises(KeyboardInterrupt):
                manifest.names("source")
    finally:
        signal.signal(number, before)


@pytest.mark.promise("Safe outputs")
def test_what_is_finished_after_the_stop_is_noted(tmp_path):
    stop = threading.Event()
    with Manifest(tmp_path, stop=stop) as manifest:
        stop.set()
        for number in range(1000):
            manifest.announce([(tmp_path / f"{number}.png", "key")])
        assert manifest.result(tmp_path / "999.png") is not None


@pytest.mark.promise("Safe outputs")
def test_many_names_are_within_the_bounds(tmp_path):
    """As short as rows can be: what reading them takes is most for the size of the file."""
    with Manifest(tmp_path) as manifest:
        manifest.name("source", (("", str(number), Path(str(number))) for number in range(300_000)))
    with Manifest(tmp_path) as manifest:
        assert len(manifest.names("source")) == 300_000


def test_manifest_of_the_first_version_is_taken_over(tmp_path):
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.executescript(_TABLES.rpartition("CREATE TABLE IF NOT EXISTS written")[0])
        database.execute("PRAGMA user_version = 1")
    database.close()
    with Manifest(tmp_path) as manifest:
        manifest.writing(tmp_path / "a", "digest")
        assert manifest.digests(tmp_path / "a") == {"digest"}


def test_run_number_goes_on_until_the_command_came_to_its_end(tmp_path):
    def number(command, finish=False):
        with Manifest(tmp_path, command) as manifest:
            if finish:
                manifest.finish_run()
            return manifest.run

    assert [number("a"), number("a"), number("b"), number("b", finish=True), number("b")] == [1, 1, 2, 2, 3]


# The command


@pytest.fixture(scope="module")
def finished(photos, model, tmp_path_factory):
    """A folder in which two selfies are made up with two looks, and a copy of it to restore it from."""
    home = tmp_path_factory.mktemp("finished") / "home"
    for number in range(2):
        for path, kind in ((home / "selfies" / f"{number}.png", "bare"), (home / "looks" / f"{number}.jpg", "worn")):
            path.parent.mkdir(parents=True, exist_ok=True)
            iio.imwrite(path, iio.imread(photos(kind, number)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert main.main([*COMMAND, "--model", str(model)]) == 0
    return home, shutil.copytree(home, home.parent / "backup")


@pytest.fixture
def folder(finished, beautygan, monkeypatch):
    """The finished folder as it was, in which the test is; in its own place, since names hold to places."""
    home, backup = finished
    shutil.rmtree(home)
    shutil.copytree(backup, home)
    monkeypatch.chdir(home)
    return home


COMMAND = ("--no-makeup", "selfies", "--ref", "looks", "--out", "out")
ALL = [f"out/{source}__{look}.png" for source in range(2) for look in range(2)]


def test_same_command_again_makes_nothing(folder, beautygan):
    status, out, err = beautygan(*COMMAND)
    assert (status, out) == (0, [])
    assert "0 made, 4 kept" in err


def test_only_what_is_missing_is_made(folder, beautygan):
    (folder / ALL[1]).unlink()
    assert beautygan(*COMMAND)[:2] == (0, [ALL[1]])


def test_changed_photo_redoes_its_results_alone(folder, beautygan):
    pixels = iio.imread(folder / "selfies" / "1.png")
    iio.imwrite(folder / "selfies" / "1.png", pixels[:, ::-1])
    assert beautygan(*COMMAND)[:2] == (0, ALL[2:])


def test_changed_look_redoes_its_results_alone(folder, beautygan, photos):
    shutil.copy(photos("worn", 2), folder / "looks" / "0.jpg")
    assert beautygan(*COMMAND)[:2] == (0, [ALL[0], ALL[2]])


def test_touched_photo_of_the_same_content_redoes_nothing(folder, beautygan):
    (folder / "selfies" / "1.png").touch()
    assert beautygan(*COMMAND)[:2] == (0, [])


def test_changed_option_redoes_all_and_one_that_changes_no_result_redoes_nothing(folder, beautygan):
    assert beautygan(*COMMAND, "--batch-size", 1, "--verbose")[:2] == (0, [])
    assert beautygan(*COMMAND, "--lips", 0.5)[:2] == (0, ALL)


def test_result_that_somebody_edited_is_kept_and_overwrite_replaces_it(folder, beautygan):
    edited = folder / ALL[0]
    edited.write_bytes(b"retouched by hand")
    assert beautygan(*COMMAND, "--lips", 0.5)[:2] == (0, ALL[1:])
    assert edited.read_bytes() == b"retouched by hand"
    assert beautygan(*COMMAND, "--lips", 0.5, "--overwrite")[:2] == (0, ALL)


def test_photo_of_the_same_name_from_another_folder_gets_a_result_of_its_own(folder, beautygan, photos):
    (folder / "others").mkdir()
    iio.imwrite(folder / "others" / "0.png", iio.imread(photos("bare", 2)))
    before = [(folder / name).read_bytes() for name in ALL]
    status, out, _ = beautygan("--no-makeup", "others", "--ref", "looks", "--out", "out")
    assert (status, out) == (0, ["out/0-png__0.png", "out/0-png__1.png"])
    assert [(folder / name).read_bytes() for name in ALL] == before


def test_results_beside_the_photos_are_not_taken_for_photos(place, beautygan):
    place("selfies/a.jpg", "bare")
    place("look.jpg", "worn")
    command = ("--no-makeup", "selfies", "--ref", "look.jpg", "--out", "selfies")
    assert beautygan(*command)[:2] == (0, ["selfies/a__look.jpg"])
    status, out, err = beautygan(*command)
    assert (status, out) == (0, []) and "0 made, 1 kept" in err


def test_failure_is_told_again_without_the_work_and_retried_on_request(place, beautygan, no_face, monkeypatch):
    from beautygan_cli.faces import detection

    place("me.jpg", "bare")
    place("look.jpg", "worn")
    command = ("--no-makeup", "me.jpg", no_face, "--ref", "look.jpg")
    assert beautygan(*command)[0] == 1
    searched = []
    detect = detection.detect
    monkeypatch.setattr(
        detection, "detect", lambda pixels, **how: searched.append(pixels.shape) or detect(pixels, **how)
    )
    status, out, err = beautygan(*command)
    assert (status, out, len(searched)) == (1, [], 1)  # the look alone
    assert "no face found in" in err and "1 kept as it was, 1 failed" in err
    searched.clear()
    status, out, err = beautygan(*command, "--retry-failed")
    assert (status, out, len(searched)) == (1, [], 2)
    assert "0 made, 1 failed" in err


def test_photo_that_could_not_be_read_is_tried_again_by_the_next_run(place, beautygan, tmp_path):
    place("large.jpg", "bare")
    place("look.jpg", "worn")
    command = ("--no-makeup", "large.jpg", "--ref", "look.jpg")
    limit = np.prod(iio.imread(tmp_path / "look.jpg").shape[:2])
    iio.imwrite(
        tmp_path / "large.jpg", np.pad(iio.imread(tmp_path / "large.jpg"), ((9, 9), (9, 9), (0, 0)), mode="edge")
    )
    status, out, err = beautygan(*command, "--max-pixels", limit)
    assert (status, out) == (1, []) and "raise the limit with --max-pixels" in err
    assert beautygan(*command)[:2] == (0, ["made_up/large__look.jpg"])


def test_retry_failed_makes_a_photo_that_was_damaged_and_leaves_new_ones(place, beautygan, tmp_path):
    (tmp_path / "selfies").mkdir()
    (tmp_path / "selfies" / "a.jpg").write_bytes(b"cut short")
    place("look.jpg", "worn")
    command = ("--no-makeup", "selfies", "--ref", "look.jpg")
    assert beautygan(*command)[0] == 1
    place("selfies/a.jpg", "bare", 0)
    place("selfies/b.jpg", "bare", 1)
    assert beautygan(*command, "--retry-failed")[:2] == (0, ["made_up/a__look.jpg"])
    assert beautygan(*command)[:2] == (0, ["made_up/b__look.jpg"])


def test_retry_failed_makes_what_failed_for_want_of_space(place, beautygan, tmp_path, monkeypatch):
    from beautygan_cli.batch import result
    from beautygan_cli.photos.photo import write_photo

    place("a.jpg", "bare", 0)
    place("b.jpg", "bare", 1)
    place("look.jpg", "worn")
    command = ("--no-makeup", "a.jpg", "b.jpg", "--ref", "look.jpg")
    write = write_photo

    def full_disk(photo, path, **options):
        if path.name.startswith("b"):
            raise OutputError(f"{path} can't be written: the disk is full, free some space.")
        return write(photo, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(result, "write_photo", full_disk)
        assert beautygan(*command)[:2] == (1, ["made_up/a__look.jpg"])
    assert beautygan(*command, "--retry-failed")[:2] == (0, ["made_up/b__look.jpg"])


def test_overwrite_that_was_killed_goes_on_where_it_was(folder, beautygan):
    """What the run made before it was killed is not made again, though the command says to make all anew."""
    with sqlite3.connect(folder / "out" / FILE_NAME) as database:
        database.execute("DELETE FROM results WHERE output LIKE '1__%'")
        database.execute("UPDATE runs SET finished = 0, command = replace(command, ?, ?)", OVERWRITE)
    database.close()
    assert beautygan(*COMMAND, "--overwrite")[:2] == (0, ALL[2:])
    assert beautygan(*COMMAND, "--overwrite")[:2] == (0, ALL)


OVERWRITE = ('"overwrite": "False"', '"overwrite": "True"')


# Ends that come from outside


def generate(photos, folder, count):
    """Photos made of a few by crop, scale and light, each different, small enough to be quick."""
    import cv2

    folder.mkdir()
    chance = random.Random(1)
    for number in range(count):
        pixels = iio.imread(photos("bare", number % 4))
        height, width = pixels.shape[:2]
        cut = [chance.randrange(1, 1 + round(0.04 * side)) for side in (height, height, width, width)]
        scale = chance.uniform(0.7, 0.9)
        part = cv2.resize(pixels[cut[0] : -cut[1], cut[2] : -cut[3]], None, fx=scale, fy=scale)
        light = chance.uniform(0.8, 1.1)
        iio.imwrite(folder / f"{number:04d}.jpg", np.clip(part * light, 0, 255).astype(np.uint8), quality=90)


def start(folder, model, out, *options):
    command = [sys.executable, "-m", "beautygan_cli", "--no-makeup", "many", "--ref", "look.jpg", "--out", out]
    return subprocess.Popen(
        [*command, "--model", str(model), *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_results(process, count):
    """Until the process has told of so many results; False when it ended before."""
    return all(process.stdout.readline() for _ in range(count))


def contents(folder):
    return {
        path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".beautygan.s")
    }


@pytest.mark.slow
def test_run_killed_at_random_moments_ends_as_an_undisturbed_one(photos, place, model, tmp_path):
    """Every output once, the undisturbed run's to one grey level, and nothing made twice but what was under way."""
    generate(photos, tmp_path / "many", KILL_PHOTOS)
    place("look.jpg", "worn")
    with start(tmp_path, model, "whole", "--format", "png") as undisturbed:
        undisturbed.communicate(timeout=240)
    assert undisturbed.returncode == 0
    chance, done = random.Random(2), [0]
    for _ in range(KILLS):
        with start(tmp_path, model, "killed", "--batch-size", "2", "--format", "png") as process:
            assert wait_for_results(process, chance.randrange(1, 3)), process.stderr.read()
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
            process.wait()
        done.append(len([name for name in contents(tmp_path / "killed") if not name.startswith(".")]))
    assert done == sorted(set(done)) and done[-1] < KILL_PHOTOS, done
    with start(tmp_path, model, "killed", "--format", "png") as process:
        out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert len(out.splitlines()) <= KILL_PHOTOS - done[-1] + 4  # what was written but not yet recorded is made again
    assert contents(tmp_path / "killed").keys() == contents(tmp_path / "whole").keys()
    assert len(contents(tmp_path / "whole")) == KILL_PHOTOS
    for name in contents(tmp_path / "whole"):
        one, other = (read_photo(tmp_path / folder / name).pixels for folder in ("killed", "whole"))
        assert np.abs(one.astype(int) - other).max() <= 1, name


KILL_PHOTOS, KILLS = 26, 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_the_run_in_good_order_and_the_same_command_goes_on(photos, place, model, tmp_path, beautygan):
    generate(photos, tmp_path / "many", 16)
    place("look.jpg", "worn")
    with start(tmp_path, model, "out", "--report", "report.json", "--batch-size", "1") as process:
        assert wait_for_results(process, 1)
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("beautygan: stopped; the same command goes on from here: ")
    assert "Traceback" not in err
    told = 1 + len(out.splitlines())
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert len([name for name in names if name.endswith(".jpg")]) == told < 16
    assert [name for name in names if name.endswith(".part")] == []
    assert (tmp_path / "report.json").is_file()
    rest = beautygan("--no-makeup", "many", "--ref", "look.jpg", "--out", "out", "--report", "report.json")
    assert (rest[0], len(rest[1])) == (0, 16 - told), rest[2]


def test_second_run_into_a_folder_in_use_says_so_and_stops(place, beautygan, tmp_path):
    place("me.jpg", "bare")
    place("look.jpg", "worn")
    program = (
        "import time; from pathlib import Path; from beautygan_cli.batch.manifest import Manifest\n"
        "manifest = Manifest(Path('made_up')); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        status, out, err = beautygan("--no-makeup", "me.jpg", "--ref", "look.jpg")
        holder.kill()
    assert (status, out) == (2, [])
    assert "another run is writing into made_up; wait for it, or choose another --out." in err


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits")
def test_disk_that_fills_up_fails_with_a_reason_and_leaves_nothing_half_written(place, model, tmp_path, beautygan):
    """A limit on file sizes stands for the full disk: the manifest is within it, photos are not."""
    import resource

    (tmp_path / "many").mkdir()
    shutil.copy(bare_photos()[0], tmp_path / "many" / "large.jpg")
    place("look.jpg", "worn")
    command = [sys.executable, "-m", "beautygan_cli", "--no-makeup", "many", "--ref", "look.jpg", "--out", "out"]
    limited = subprocess.run(
        [*command, "--model", str(model), "--format", "png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
    )
    assert (limited.returncode, limited.stdout) == (1, ""), limited.stderr
    assert "can't be written: it is larger than files may be here" in limited.stderr
    assert [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(FILE_NAME)] == []
    again = beautygan("--no-makeup", "many", "--ref", "look.jpg", "--out", "out", "--format", "png")
    assert (again[0], again[1]) == (0, ["out/large__look.png"]), again[2]
