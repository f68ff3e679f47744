"""A run on a Ray cluster gives what a run in one process gives, whatever happens to its workers."""

import contextlib
import hashlib
import ipaddress
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from beautygan_cli import errors
from beautygan_cli.batch.manifest import FILE_NAME, Manifest
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.ray import pool
from beautygan_cli.batch.ray.driver import Driver
from beautygan_cli.batch.ray.jobs import Done, Shared
from beautygan_cli.batch.ray.worker import BlockLine, BlockPlanner, Ledger
from beautygan_cli.batch.sources import read_looks
from beautygan_cli.makeup.look import Look
from beautygan_cli.photos import remote
from beautygan_cli.photos.find import Found, find_photos
from beautygan_cli.photos.photo import read_photo, write_photo

slow = pytest.mark.slow


# Without a cluster


@pytest.mark.parametrize(
    "arguments",
    [
        ["--engine", "ray", "--watch"],
        ["--engine", "ray", "--check"],
        ["--engine", "ray", "--out", "-"],
        ["--engine", "ray", "--no-makeup", "-"],
        ["--engine", "ray", "--gallery", "--out", "s3://bucket/out"],
        ["--num-actors", "2"],
        ["--ray-address", "head:6379"],
        ["--actor-gpus", "1"],
        ["--out", "s3://bucket/out"],
        ["--engine", "ray", "--actor-gpus", "1.5"],
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(beautygan, arguments):
    status, _, err = beautygan("--no-makeup", "a.jpg", "--ref", "b.jpg", *arguments)
    assert status == 2
    assert len([line for line in err.splitlines() if line.startswith("beautygan: ")]) == 1


def test_without_ray_the_command_says_how_to_install_it(beautygan, place, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    place("a.jpg", "bare"), place("look.jpg", "worn")
    status, _, err = beautygan("--no-makeup", "a.jpg", "--ref", "look.jpg", "--engine", "ray")
    assert status == 2
    assert err == "beautygan: --engine ray needs Ray Data; install it with: pip install '.[ray]'.\n"


def test_a_wrong_address_is_told_at_once(beautygan, place):
    pytest.importorskip("ray.data")
    place("a.jpg", "bare"), place("look.jpg", "worn")
    options = ["--no-makeup", "a.jpg", "--ref", "look.jpg", "--engine", "ray", "--ray-address", "127.0.0.1:1"]
    status, _, err = beautygan(*options)
    assert status == 2
    assert err == "beautygan: nobody answers at 127.0.0.1:1 (Connection refused); check --ray-address.\n"


@pytest.mark.parametrize(
    "said",
    [
        "No room for a worker\n=====\nCheck https://docs.ray.io\n=====\n",
        "Traceback (most recent call last):\n  File x\nValueError: No room for a worker\n",
    ],
)
def test_what_ray_says_becomes_one_sentence_with_its_reason(said):
    with (
        pytest.raises(errors.BeautyGANError, match=r"can't be started: .*No room for a worker; what is done is kept"),
        pool.as_cluster_error("can't be started"),
    ):
        raise RuntimeError(said)


def test_ray_is_imported_by_nobody_who_does_not_use_it():
    code = (
        "import sys; from beautygan_cli.cli import run; sys.exit(bool({'ray', 'pyarrow', 'fsspec'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def sent(place, session, tmp_path):
    """`sent(manifest, *names)`: those photos with one look as the driver sends them, and what workers share."""

    def plan(manifest, *names, **options):
        place("look.jpg", "worn")
        settings = RunConfig(tmp_path / "out", **options)
        given = [(Found(tmp_path / "look.jpg", Path()), Look.of(tmp_path / "look.jpg"))]
        looks, _ = read_looks(given, session.signature)
        items = [Found(tmp_path / name, Path()) for name in names]
        planner = Driver(looks, session, settings, manifest)
        planner.admit(items)
        wave = planner.wave(items, threading.Event())
        manifest.announce(wave.announced)
        return wave, pickle.loads(pickle.dumps(planner.shared(items)))

    return plan


def work(wave, shared: Shared, session) -> Done:
    """What a worker makes of a wave."""
    ledger = Ledger(shared, wave.jobs)
    planner = BlockPlanner(wave.jobs, shared, session, ledger)
    line = BlockLine(wave.jobs, planner, threading.Event(), lambda: False)
    try:
        outcomes = list(line.outcomes())
    finally:
        line.close()
        ledger.close()
    return Done(outcomes, ledger.entries, ledger.seen)


def fixed(entry):
    return entry._replace(files=tuple(entry.files))


def test_a_second_try_of_a_block_finds_its_own_results_and_leaves_them(place, sent, session, tmp_path):
    place("a.jpg", "bare", 0), place("b.jpg", "bare", 1)
    with Manifest(tmp_path / "out") as manifest:
        wave, shared = sent(manifest, "a.jpg", "b.jpg")
        first = work(wave, shared, session)
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.jpg")}
        second = work(wave, shared, session)
        assert [outcome.status for outcome in (*first.outcomes, *second.outcomes)] == ["made"] * 4
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.jpg")} == before
        assert {entry[:5] for entry in map(fixed, second.entries)} == {entry[:5] for entry in map(fixed, first.entries)}


def test_a_file_that_appeared_after_the_driver_looked_stays(place, sent, session, tmp_path):
    place("a.jpg", "bare")
    with Manifest(tmp_path / "out") as manifest:
        wave, shared = sent(manifest, "a.jpg")
        strangers = place("out/a__look.jpg", "bare", 2).read_bytes()
        (outcome,) = work(wave, shared, session).outcomes
    assert (outcome.status, "exists already" in outcome.reason) == ("failed", True)
    assert (tmp_path / "out/a__look.jpg").read_bytes() == strangers


def test_a_source_without_past_is_not_read_by_the_driver(place, sent, session, tmp_path):
    path = place("a.jpg", "bare")
    with Manifest(tmp_path / "out") as manifest:
        wave, shared = sent(manifest, "a.jpg")
        assert manifest.known_content(path) is None
        done = work(wave, shared, session)
        manifest.learn(done.contents, done.entries)
        wave, _ = sent(manifest, "a.jpg")
        assert (wave.jobs, [outcome.status for outcome in wave.settled]) == ([], ["kept"])


def test_a_photo_among_the_results_is_protected_at_the_workers_too(place, sent, session, tmp_path):
    victim = place("out/a__look.jpg", "bare", 1)
    place("a.jpg", "bare", 0)
    with Manifest(tmp_path / "out") as manifest:
        wave, shared = sent(manifest, "a.jpg", "out/a__look.jpg", overwrite=True)
        before = victim.read_bytes()
        outcomes = work(wave, shared, session).outcomes
    assert [outcome.status for outcome in outcomes] == ["failed", "made"]
    assert "is one of the photos given" in outcomes[0].reason
    assert victim.read_bytes() == before


# Files behind URLs


@pytest.fixture(params=["file", "memory"])
def folder(request, tmp_path):
    """An empty folder behind a URL: of pyarrow's own file systems, and of fsspec's."""
    pytest.importorskip("pyarrow.fs")
    if request.param == "memory":
        pytest.importorskip("fsspec")
    name = f"{request.param}://{tmp_path}" if request.param == "file" else f"memory://{tmp_path.name}"
    return remote.as_path(f"{name}/sub")


def test_a_remote_file_is_there_whole_and_under_its_name_alone(folder):
    path = folder / "deep" / "a.bin"
    path.publish(b"first", overwrite=False)
    assert (path.open().read(), path.stat().st_size, path.is_file(), folder.is_dir()) == (b"first", 5, True, True)
    assert remote.listing(folder) == [path]
    with pytest.raises(FileExistsError):
        path.publish(b"second", overwrite=False)
    assert path.open().read() == b"first"
    path.publish(b"third", overwrite=True)
    assert (path.open().read(), remote.listing(folder)) == (b"third", [path])


def test_a_remote_path_keeps_its_url(folder):
    path = folder / "a" / "b.jpg"
    assert str(path).startswith(str(folder) + "/a/")
    assert remote.as_path(str(path)) == path
    assert str(path.with_name("c.png").parent) == str(path.parent)
    assert path.relative_to(folder) == Path("a/b.jpg")
    assert not path.exists()


def test_photos_are_found_read_and_written_behind_a_url(folder, photos):
    for name in ("b.jpg", "beach/a.jpg", ".hidden/c.jpg", "notes.txt"):
        (folder / name).publish(photos("bare", 0).read_bytes(), overwrite=False)
    found, problems = find_photos([str(folder)])
    assert ([str(item.inside / item.path.name) for item in found], problems) == (["b.jpg", "beach/a.jpg"], [])
    photo = read_photo(found[0].path)
    write_photo(photo, folder / "copy.png")
    assert (read_photo(folder / "copy.png").pixels == photo.pixels).all()
    (folder / "empty.jpg").publish(b"", overwrite=False)
    for name, reason in (("none.jpg", "no such file"), ("empty.jpg", "is empty")):
        with pytest.raises(errors.PhotoError, match=reason):
            read_photo(folder / name)


# On a local cluster


@pytest.fixture(scope="module")
def ray_is_here():
    pytest.importorskip("ray.data")


@pytest.fixture
def start(model, tmp_path, monkeypatch):
    """Starts the command as a process in `tmp_path`; its stdout and stderr are files, `said(process)` gives them."""
    started = []
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path[1:]))

    def begin(*arguments, **environment):
        command = [sys.executable, "-m", "beautygan_cli", *map(str, arguments), "--model", str(model)]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdout=(tmp_path / f"{len(started)}.out").open("w"),
            stderr=(tmp_path / f"{len(started)}.err").open("w"),
        )
        process.said = [tmp_path / f"{len(started)}.{stream}" for stream in ("out", "err")]
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def said(process) -> list[str]:
    """What a process wrote to stdout and stderr until its end."""
    process.wait(400)
    return [file.read_text() for file in process.said]


def wait_for_results(process, count: int) -> None:
    """Wait until a run has named so many results."""
    deadline = time.monotonic() + 300
    while process.said[0].read_text().count("\n") < count:
        assert process.poll() is None and time.monotonic() < deadline, process.said[1].read_text()
        time.sleep(0.05)


ON_RAY = ["--engine", "ray", "--num-actors", "2"]


def family(pid: int) -> dict[int, str]:
    """The processes that a process started, and they in turn, with their titles."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                parents[int(entry.name)] = (parent, title)
            except OSError:
                continue
    known = {pid: ""}
    while grown := {
        child: title for child, (parent, title) in parents.items() if parent in known and child not in known
    }:
        known |= grown
    return known


def results(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(FILE_NAME)
    }


def rows(report: Path, out: str) -> list[dict]:
    """A report's rows in a fixed order, without times and the folder's name."""
    known = json.loads(report.read_text())["results"]
    kept = [{key: value for key, value in row.items() if not key.endswith("_seconds")} for row in known]
    return sorted(
        json.loads(json.dumps(kept).replace(f"{out}/", "")), key=lambda row: (row["source"], row["reference"])
    )


@pytest.fixture
def folder_of_sixteen(place, no_face):
    for number in range(14):
        place(f"selfies/{number:02d}.jpg", "bare", number % 5)
    no_face.rename(place("selfies/14.png", "bare"))
    (no_face.parent / "selfies/15.jpg").write_bytes(b"no photo")
    place("looks/red.jpg", "worn", 0), place("looks/plum.jpg", "worn", 1)
    return ["--no-makeup", "selfies", "--ref", "looks"]


def listening(pids: Iterable[int]) -> set[tuple[str, str]]:
    """The addresses on which processes listen for TCP or take UDP, each with the title of one that does."""
    titles = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    titles[str(link.readlink())] = title
    found = set()
    for table, bits in (("tcp", 4), ("tcp6", 16), ("udp", 4), ("udp6", 16)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if (state == "0A" or table.startswith("udp")) and (title := titles.get(f"socket:[{inode}]")):
                words = bytes.fromhex(local.partition(":")[0])  # each of 32 bits, least byte first
                address = b"".join(words[start : start + 4][::-1] for start in range(0, bits, 4))
                found.add((str(ipaddress.ip_address(address)), title))
    return found


def is_loopback(address: str) -> bool:
    known = ipaddress.ip_address(address)
    return (getattr(known, "ipv4_mapped", None) or known).is_loopback


@slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
def test_a_killed_worker_changes_nothing_in_the_results(ray_is_here, start, folder_of_sixteen, tmp_path):
    local = start(*folder_of_sixteen, "--out", "local", "--report", "local.json")
    assert local.wait(400) == 1
    cluster = start(*folder_of_sixteen, "--out", "ray", "--report", "ray.json", *ON_RAY)
    wait_for_results(cluster, 3)
    workers = [pid for pid, title in family(cluster.pid).items() if title.startswith("ray::MapWorker")]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    out, err = said(cluster)
    lines = out.splitlines()
    assert cluster.returncode == 1
    assert len(lines) == len({*lines}) == 28
    assert results(tmp_path / "ray").keys() == results(tmp_path / "local").keys()
    assert [line for line in err.splitlines() if not line.startswith("beautygan: ")] == []

    again = start(*folder_of_sixteen, "--out", "ray", *ON_RAY)
    out, err = said(again)
    assert (again.returncode, out) == (1, "")
    assert "28 kept" in err
    if results(tmp_path / "ray") != results(tmp_path / "local"):
        pytest.xfail("some results differ a little on some processors; cause not found")
    assert rows(tmp_path / "ray.json", "ray") == rows(tmp_path / "local.json", "local")


POISON = """
import os, signal, sys
def look(event, arguments):
    if event == "open" and str(arguments[0]).endswith("poison.jpg") and sys.argv[0].endswith("default_worker.py"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(look)
"""


KILLED_ONCE_WHILE_IT_WRITES = """
import os, signal, sys
def look(event, arguments):
    if event == "os.link" and str(arguments[0]).endswith(".part") and sys.argv[0].endswith("default_worker.py"):
        if os.path.exists("undisturbed"):
            os.rmdir("undisturbed")
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(look)
"""


@slow
def test_a_worker_killed_while_it_writes_leaves_no_partial_file(ray_is_here, start, place, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLED_ONCE_WHILE_IT_WRITES)
    place("me.jpg", "bare"), place("look.jpg", "worn")
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    begun = start(
        *("--no-makeup", "me.jpg", "--ref", "look.jpg", "--out", "out", *ON_RAY),
        PYTHONPATH=os.pathsep.join([str(tmp_path / "site"), *sys.path[1:]]),
    )
    out, err = said(begun)
    assert not undisturbed.exists(), "no worker was killed"
    assert (begun.returncode, out) == (0, "out/me__look.jpg\n"), err
    assert sorted(results(tmp_path / "out")) == ["me__look.jpg"]


@slow
def test_a_photo_that_kills_its_worker_fails_and_stops_no_other(ray_is_here, start, place, tmp_path):
    """The results lie behind a URL here."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(POISON)
    for name, number in (("a", 0), ("b", 1), ("poison", 2), ("z", 3)):
        place(f"selfies/{name}.jpg", "bare", number)
    place("look.jpg", "worn")
    begun = start(
        *("--no-makeup", "selfies", "--ref", "look.jpg", "--out", f"file://{tmp_path}/out", *ON_RAY),
        PYTHONPATH=os.pathsep.join([str(tmp_path / "site"), *sys.path[1:]]),
        XDG_STATE_HOME=str(tmp_path / "state"),
    )
    out, err = said(begun)
    assert begun.returncode == 1, err
    assert sorted(out.splitlines()) == [f"file://{tmp_path}/out/{name}__look.jpg" for name in "abz"]
    assert sorted(results(tmp_path / "out")) == ["a__look.jpg", "b__look.jpg", "z__look.jpg"]
    assert "poison.jpg ended its worker's process each time" in err


ASKS = """
from ray._raylet import GcsClient
print(GcsClient(address="{address}").internal_kv_keys(b"", None, timeout=5))
"""


@slow
@pytest.mark.promise("Privacy")
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="finds workers and sockets in /proc")
def test_a_run_listens_on_loopback_alone_and_when_stopped_ends_cleanly_and_goes_on_in_one_process(
    ray_is_here, start, folder_of_sixteen, tmp_path
):
    with socket.create_server(("0.0.0.0", 0)):  # else an empty table would do
        assert "0.0.0.0" in {address for address, _ in listening([os.getpid()])}
    cluster = start(*folder_of_sixteen, "--out", "out", *ON_RAY, HOME=tmp_path / "home")
    wait_for_results(cluster, 1)
    assert not (tmp_path / "home" / ".ray").exists()
    processes = family(cluster.pid)
    heard = listening(processes)
    address = next(word for title in processes.values() for word in title.split() if word.startswith("--gcs-address="))
    refused = subprocess.run(
        [sys.executable, "-c", ASKS.format(address=address.partition("=")[2])], capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "AuthenticationError" in refused.stderr
    cluster.send_signal(signal.SIGINT)
    assert {"gcs_server", "raylet"} <= {Path(title).name for _, title in heard}
    assert any(title.startswith("ray::MapWorker") for _, title in heard)
    assert [(address, title) for address, title in heard if not is_loopback(address)] == []
    out, err = said(cluster)
    assert cluster.returncode == 130
    assert "the same command goes on from here" in err
    deadline = time.monotonic() + 20
    while (left := [pid for pid in processes if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    rest, _ = said(start(*folder_of_sixteen, "--out", "out"))
    lines = [*out.splitlines(), *rest.splitlines()]
    assert 0 < len(out.splitlines()) < 28
    assert len(lines) == len({*lines}) == 28
