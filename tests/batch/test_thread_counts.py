"""How the cores are shared out."""

import os
import re
import subprocess
import sys

import cv2
import pytest

from beautygan_cli.batch import thread_counts
from beautygan_cli.model.session import MakeupSession, native_bf16


@pytest.mark.parametrize("jobs", [1, 2, 3, 4, 8, 16, 64])
def test_workers_and_their_opencv_threads_fit_the_cores(jobs):
    threads = thread_counts.shared(jobs)
    assert threads.network == jobs
    assert 1 <= threads.readers * threads.opencv <= max(2, jobs + 1)
    assert 1 <= threads.finishers * threads.opencv <= max(2, jobs + 1)


def test_without_a_number_the_process_uses_what_it_may():
    expected = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert thread_counts.shared().network == expected


def test_opencv_is_told():
    before = cv2.getNumThreads()
    try:
        thread_counts.use(1)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


TOLD_WHEN_IMPORTED = """
import os, sys
from importlib import import_module

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print("told", os.environ.get("OPENBLAS_NUM_THREADS"), flush=True)

sys.meta_path.insert(0, Watch())
try:
    import_module(f"beautygan_cli.cli.{sys.argv[1]}").main(sys.argv[2:])
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    "command",
    [
        ("main", "--list-looks"),
        ("evaluate", "--sources", "nowhere", "--refs", "nowhere"),
        ("train", "--faces", "nowhere", "--out", "nowhere"),
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("3", "3")])
def test_each_command_has_linear_algebra_done_by_one_thread_and_leaves_what_the_user_says(
    command, given, expected, tmp_path
):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if given:
        environment["OPENBLAS_NUM_THREADS"] = given
    printed = subprocess.run(
        [sys.executable, "-c", TOLD_WHEN_IMPORTED, *command],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # The library reads it once, when it is loaded with NumPy: told later, it has its threads already.
    assert re.findall("^told .*", printed, re.MULTILINE) == [f"told {expected}"]


@pytest.mark.parametrize(
    ("cpuinfo", "native"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),
        ("flags : amx_tile amx_bf16\n", True),
        ("Features : fp asimd bf16\n", True),
        ("flags : fpu avx2 avx512f avx512_vnni\n", False),
        ("model name : bf16\n", False),
        ("", False),
    ],
)
def test_native_bf16_is_read_from_the_processors_flags(tmp_path, cpuinfo, native):
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    assert native_bf16(file) is native
    assert not native_bf16(tmp_path / "none")


def test_auto_is_bf16_for_the_bundled_model_alone_and_where_the_processor_has_it(model):
    from beautygan_cli.model.checkpoint import bundled_model

    with MakeupSession() as bundled, MakeupSession(bundled_model()) as named:
        assert bundled.precision == ("bf16" if native_bf16() else "fp32")
        assert named.precision == "fp32"
