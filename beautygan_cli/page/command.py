"""The command line that does what the page shows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from beautygan_cli.makeup.look import REGIONS

OPTIONS = {"finish": "--skin"}  # the option that says a kind of makeup, where it is not called like it


def command_line(
    photo: str,
    look: Sequence[str],
    strengths: Mapping[str, float],
    words: Mapping[str, str],
    carried: Sequence[str],
    out: str,
) -> str:
    """The command as a POSIX shell takes it.

    photo: its name. look: the option and the name of what is worn, empty for none. strengths: by region, those that are
    not the usual ones. words: by kind of makeup, as `words.drawn_style` takes them. carried: options that the page was
    started with and that its results follow from. out: name of the result.
    """
    parts = ["beautygan", f"./{photo}" if photo.startswith("-") else photo, *look]
    for region in REGIONS:
        if region in strengths:
            parts += [f"--{region}", f"{strengths[region]:g}"]
    for kind, text in words.items():
        parts += [OPTIONS.get(kind, f"--{kind}"), text]
    return shlex.join([*parts, *carried, "--out", f"./{out}" if out.startswith("-") else out])
