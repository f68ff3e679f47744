"""Nothing leaves the machine, and reports tell no more of it than they are asked to."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

Beautygan = Callable[..., tuple[int, list[str], str]]
Place = Callable[..., Path]

pytestmark = pytest.mark.promise("Privacy")

# The number of the machine, and on it those of the calls socket; connect, sendto, sendmsg, sendmmsg.
CALLS = {"x86_64": (0xC000003E, 41, (42, 44, 46, 307)), "aarch64": (0xC00000B7, 198, (203, 206, 211, 269))}
has_seccomp = sys.platform == "linux" and platform.machine() in CALLS
needs_seccomp = pytest.mark.skipif(not has_seccomp, reason="seccomp is Linux's")

# Raises at whatever Python does with sockets: create, resolve, connect, bind.
NO_PYTHON_SOCKETS = """
import sys
def forbid(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(f"the network was used: {event}")
sys.addaudithook(forbid)
"""


def block_sockets() -> None:
    """From here on the system gives this process and its children no socket, and kills them if they send anything.

    No socket is a refusal and no kill because urllib3, which TensorFlow brings along, asks for one when it is imported,
    to learn whether the machine knows IPv6; it sends nothing.
    """
    machine, opening, sending = CALLS[platform.machine()]
    load, equal, answer = 0x20, 0x15, 0x06  # of the system's filter language: BPF_LD, BPF_JMP | BPF_JEQ, BPF_RET
    kill, refuse, allow = 0x80000000, 0x00050000 | errno.EPERM, 0x7FFF0000
    checks = [(opening, refuse), *((call, kill) for call in sending)]
    steps = [(load, 0, 0, 4), (equal, 1, 0, machine), (answer, 0, 0, kill), (load, 0, 0, 0)]
    for call, verdict in checks:
        steps += [(equal, 0, 1, call), (answer, 0, 0, verdict)]
    steps.append((answer, 0, 0, allow))
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(filters)))
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(38, 1, 0, 0, 0) or system.prctl(22, 2, ctypes.byref(program), 0, 0):  # no new privileges; filter
        os._exit(77)


def run(*command: str, folder: Path, blocked: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        preexec_fn=block_sockets if blocked else None,
    )


@needs_seccomp
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_the_block_gives_no_socket(family: str, tmp_path: Path) -> None:
    """Without this and the next the test after them would prove nothing."""
    if run("-c", "pass", folder=tmp_path).returncode == 77:
        pytest.skip("filters are not allowed here")
    done = run("-c", f"import socket; socket.socket(socket.{family})", folder=tmp_path)
    assert done.returncode == 1 and "PermissionError" in done.stderr


@needs_seccomp
@pytest.mark.parametrize("call", ["connect(-1, None, 0)", "sendto(-1, None, 0, 0, None, 0)", "sendmsg(-1, None, 0)"])
def test_the_block_kills_whoever_sends(call: str, tmp_path: Path) -> None:
    if run("-c", "pass", folder=tmp_path).returncode == 77:
        pytest.skip("filters are not allowed here")
    assert run("-c", f"import ctypes; ctypes.CDLL(None).{call}", folder=tmp_path).returncode == -signal.SIGSYS


@pytest.mark.slow
@pytest.mark.parametrize("way", [pytest.param("by the system", marks=needs_seccomp), "in Python"])
def test_the_whole_command_runs_with_sockets_blocked(place: Place, model: Path, tmp_path: Path, way: str) -> None:
    place("selfies/me.jpg", "bare")
    place("look.jpg", "worn")
    start = ["-m", "beautygan_cli"]
    if way == "by the system" and run("-c", "pass", folder=tmp_path).returncode == 77:
        pytest.skip("filters are not allowed here")
    if way == "in Python":
        start = ["-c", f"{NO_PYTHON_SOCKETS}\nfrom beautygan_cli.cli.main import main; sys.exit(main())"]
    everything = ["--report", "r.json", "--gallery", "--grid", "g.png", "--min-identity", "0.5", "--verbose"]
    done = run(
        *(*start, "--no-makeup", "selfies", "--ref", "look.jpg", "--model", str(model), *everything),
        folder=tmp_path,
        blocked=way == "by the system",
    )
    assert (done.returncode, done.stdout) == (0, "made_up/me__look.jpg\n"), done.stderr
    assert (tmp_path / "made_up" / "index.html").is_file() and (tmp_path / "r.json").is_file()


@pytest.mark.parametrize("kind", [".json", ".csv", "gallery"])
def test_reports_hold_no_absolute_path_unless_asked(
    beautygan: Beautygan, place: Place, no_face: Path, tmp_path: Path, kind: str
) -> None:
    place("selfies/beach/me.jpg", "bare")
    place("selfies/cut.jpg", "bare").write_bytes(b"\xff\xd8\xff")
    look, out = place("look.jpg", "worn"), tmp_path / "results"
    report = tmp_path / "told" / f"report{kind}"
    wanted = ("--gallery",) if kind == "gallery" else ("--report", report)
    arguments = ("--no-makeup", tmp_path / "selfies", no_face, "--ref", look, "--out", out, *wanted)
    page = out / "index.html" if kind == "gallery" else report
    for again in ("", "from what the first run recorded"):
        assert beautygan(*arguments)[0] == 1, again
        text = page.read_text()
        assert str(tmp_path) not in text and str(Path.home()) not in text
        assert "selfies/beach/me.jpg" in text and "selfies/cut.jpg is" in text and "in wall.png" in text
    assert beautygan(*arguments, "--full-paths")[0] == 1
    assert str(tmp_path / "selfies" / "beach" / "me.jpg") in page.read_text()


def test_a_folder_that_was_moved_tells_nothing_of_where_it_was(
    beautygan: Beautygan, no_face: Path, tmp_path: Path
) -> None:
    before, now = tmp_path / "alice", tmp_path / "public"
    (before / "in").mkdir(parents=True)
    no_face.rename(before / "in" / "wall.png")
    for folder in (before, now):
        if folder == now:
            before.rename(now)
        arguments = ("--no-makeup", folder / "in", "--look", "cat-eye", "--out", folder / "out", "--gallery")
        assert beautygan(*arguments, "--report", folder / "report.json")[0] == 1
    told = json.loads((now / "report.json").read_text())["results"][0]["reason"]
    assert told.startswith("no face found in in/wall.png;")
    assert "alice" not in (now / "out" / "index.html").read_text()


def test_relative_names_stay_as_they_were_given(beautygan: Beautygan, place: Place, tmp_path: Path) -> None:
    place("selfies/beach/me.jpg", "bare")
    place("look.jpg", "worn")
    beautygan("--no-makeup", "selfies", "--ref", "look.jpg", "--report", "r.json")
    (row,) = json.loads((tmp_path / "r.json").read_text())["results"]
    named = (row["source"], row["reference"], row["output"])
    assert named == ("selfies/beach/me.jpg", "look.jpg", "made_up/beach/me__look.jpg")


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_position_goes_on_demand_and_the_mark_is_there_unless_not_wanted(
    beautygan: Beautygan, photos: Callable[..., Path], place: Place, tmp_path: Path, suffix: str, strip: bool
) -> None:
    tags = Image.Exif()
    tags[0x010F] = "Maker"
    tags.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 11.25)})
    with Image.open(photos("bare", 0)) as photo:
        photo.save(tmp_path / f"me{suffix}", exif=tags)
    place("look.jpg", "worn")
    options = ("--strip-location",) if strip else ("--no-mark",)
    status, (made,), _ = beautygan("--no-makeup", f"me{suffix}", "--ref", "look.jpg", *options)
    assert status == 0
    with Image.open(tmp_path / made) as result:
        kept = result.getexif()
        assert kept[0x010F] == "Maker"
        assert bool(kept.get_ifd(0x8825)) != strip
    marked = b"compositeWithTrainedAlgorithmicMedia" in (tmp_path / made).read_bytes()
    assert marked == strip
