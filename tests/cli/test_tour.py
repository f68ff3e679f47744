"""The walk in docs/tour.md: every command prints what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, SAMPLES

PAGE = (REPOSITORY / "docs" / "tour.md").read_text(encoding="utf-8")
FILES = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
STEPS = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.skipif(sys.platform == "win32", reason="the page is written for a shell of Unix")
def test_each_command_of_the_tour_prints_what_the_page_says(model, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for lines in FILES:
        subprocess.run(["sh", "-ec", lines.replace("SAMPLES", str(SAMPLES))], cwd=tmp_path, check=True)
    for command, printed in STEPS:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.stdout == printed, command


def test_the_tour_has_ten_commands() -> None:
    assert len(STEPS) == 10
