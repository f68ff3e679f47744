"""The folder of a training run: what lies in it is cleared and replaced only where a training put it."""

from __future__ import annotations

from pathlib import Path

from beautygan_cli.errors import OutputError
from beautygan_cli.photos.files import printable, reason_of, write_text

MARK = ".beautygan-training"
_SAYS = "A training of beautygan writes into this folder; it clears and replaces what lies here.\n"


def claim(out: Path) -> None:
    """Make a folder a training's own, before anything in it is touched.

    A training moves its files over others and clears those of an earlier run away. It may do so in a folder that was
    missing or empty, or that a training has marked before.

    out: what `--out` names; it is made if need be.

    Raises OutputError, and leaves all as it is, for a folder with anything else in it.
    """
    try:
        if is_own(out):
            return
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputError(
                f"{printable(out)} holds what no training put there; choose a new or an empty folder for --out."
            )
    except OSError as error:
        raise OutputError(f"{printable(out)} can't be used: {reason_of(error)}.") from error
    write_text(out / MARK, [_SAYS])


def is_own(out: Path) -> bool:
    """Whether a folder carries a training's mark, to the letter; a link in its place is none."""
    mark = out / MARK
    try:
        if mark.is_symlink() or not mark.is_file() or mark.stat().st_size != len(_SAYS.encode()):
            return False
        return mark.read_text(encoding="utf-8") == _SAYS
    except (OSError, ValueError):
        return False
