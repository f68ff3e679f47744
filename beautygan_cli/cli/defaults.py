"""Defaults of the `beautygan` command that users keep: a `beautygan.toml` of their own, and one in the folder.

    strength = 0.8
    format = "png"
    gallery = true

Keys are the options' names. The command line goes before the folder's file, and that before the user's own. What a
folder's file may say changes how results look and how fast they come, never which files are read or replaced: it may
have come with a stranger's photos.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

from beautygan_cli.cli.parsing import Parser
from beautygan_cli.errors import LookError
from beautygan_cli.makeup.words import KINDS
from beautygan_cli.photos.files import printable, write_text

NAME = "beautygan.toml"
LARGEST_FILE = 1 << 13  # bytes; the time that a parser takes for a key grows with the square of its dots
KEPT = (
    "strength", "lips", "eyes", "skin", "brows", "faces", "crop", "in-colour", "format", "quality", "min-identity",
    "gallery", "batch-size", "precision", "jobs", "max-pixels", "strip-location", "no-mark", "quiet", "verbose",
)  # fmt: skip
OWN_ALONE = ("out", "model", "full-paths")  # what the user's own file may say beside that


def own_file() -> Path:
    """Where the user's own defaults lie on this system, whether or not there are any."""
    import platformdirs

    return platformdirs.user_config_path("beautygan", appauthor=False) / NAME


def apply(command: Parser) -> list[Path]:
    """Make what the files say the parser's defaults; returns the files that were there.

    Ends the command, with a sentence that names file and key, where one says what can't be.
    """
    found = []
    for file, allowed in ((own_file(), (*KEPT, *OWN_ALONE)), (Path(NAME), KEPT)):
        try:
            if not file.is_file():
                continue
            with file.open("rb") as opened:
                text = opened.read(LARGEST_FILE + 1)
        except OSError as error:
            command.error(f"{printable(file)} can't be read: {error.strerror}; mend it or give --no-defaults")
        try:
            if len(text) > LARGEST_FILE:
                raise LookError(f"it has more than {LARGEST_FILE:,} bytes")
            values = tomllib.loads(text.decode())
            command.set_defaults(**{_dest(key): _value(command, key, values[key], allowed) for key in values})
        except (LookError, ValueError, RecursionError) as error:
            command.error(f"{printable(file)} holds no defaults: {error}; mend it or give --no-defaults")
        found.append(file)
    return found


def save(options: argparse.Namespace, command: Parser, *, overwrite: bool) -> Path:
    """Write what a command line says beyond the built-in defaults to the user's own file; returns its path.

    command: a parser without the files' defaults. OutputError where a file is in the way and `overwrite` is False.
    """
    lines = [f"# Defaults of the beautygan command. A {NAME} in the folder where it is run goes before them."]
    for key in (*KEPT, *OWN_ALONE):
        value = getattr(options, _dest(key))
        if value != command.get_default(_dest(key)):
            lines.append(f"{key} = {_said(value)}")
    file = own_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, iter(["\n".join(lines) + "\n"]), overwrite=overwrite)
    return file


def _dest(key: str) -> str:
    return key.replace("-", "_")


def _value(command: Parser, key: str, given: Any, allowed: tuple[str, ...]) -> Any:
    if key not in allowed:
        reason = "is for your own file alone" if key in OWN_ALONE else f"is none of {', '.join(allowed)}"
        raise LookError(f"{key} {reason}")
    action = command.option(f"--{key}")
    if action.nargs == 0:
        if not isinstance(given, bool):
            raise LookError(f"{key} must be true or false")
        return given
    if isinstance(given, bool) or not isinstance(given, (str, int, float, list)):
        raise LookError(f"{key} must be a number or text")
    text = ",".join(map(str, given)) if isinstance(given, list) else str(given)
    kind = action.type if callable(action.type) else str
    try:
        value = kind(text)
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise LookError(f"{key}: {error}") from error
    if action.choices is not None and value not in action.choices:
        raise LookError(f"{key} must be one of {', '.join(map(str, action.choices))}")
    if isinstance(value, str) and key in KINDS:
        raise LookError(f"{key} must be a number from 0 to 1; makeup in words goes into a look file")
    return value


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
