"""The photos that the paths of a command name or hold."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from beautygan_cli.photos import remote
from beautygan_cli.photos.files import not_a_file, printable, reason_of
from beautygan_cli.photos.formats import PHOTO_SUFFIXES, PICTURES_PASSED_OVER, known_suffixes


class Found(NamedTuple):
    """A photo's path, and the sub-folder it lies in below the folder that was named ("." for a photo named itself)."""

    path: Path
    inside: PurePath


class Problem(NamedTuple):
    """A path that gives no photo, and one sentence why."""

    path: Path
    message: str


def find_photos(
    paths: Sequence[Path | str], *, suffixes: frozenset[str] = PHOTO_SUFFIXES
) -> tuple[list[Found], list[Problem]]:
    """The photos that the paths name or hold, each once, and the paths that gave none.

    `suffixes`, in lower case: what counts as a photo in a folder (SOURCE_SUFFIXES: clips as well).

    Folders are searched below, sorted by name, a folder's own photos before those in its sub-folders; hidden entries
    are skipped, links are followed but no folder is entered twice. A file that is named itself counts as a photo
    whatever its suffix. Nothing is opened and nothing is raised.
    """
    found: list[Found] = []
    problems: list[Problem] = []
    listed: set[str] = set()

    def add(path: Path, inside: PurePath) -> None:
        real = os.path.realpath(path)
        if real not in listed:
            listed.add(real)
            found.append(Found(path, inside))

    for name in paths:
        path = remote.as_path(name)
        try:
            mode = path.stat().st_mode if str(name) else None
        except (OSError, ValueError) as error:
            problems.append(Problem(path, f"{printable(path)} can't be used: {reason_of(error)}."))
            continue
        if mode is None:
            problems.append(Problem(path, "An empty name was given where a photo or folder is needed."))
        elif stat.S_ISDIR(mode):
            held, held_problems = _search(path, suffixes)
            for photo in held:
                add(*photo)
            problems += held_problems
            if not held and not held_problems:
                problems.append(Problem(path, f"{printable(path)} holds no photo ({known_suffixes()})."))
        elif stat.S_ISREG(mode):
            add(path, PurePath())
        else:
            problems.append(Problem(path, not_a_file(path)))
    return found, problems


def passed_over(paths: Sequence[Path | str], *, suffixes: frozenset[str] = PHOTO_SUFFIXES) -> Counter[str]:
    """How many files of other kinds lie in and below the folders among the paths, by suffix in lower case.

    `suffixes`: those that are not passed over. Kinds that somebody may take for photos or clips count, and hidden files
    don't.
    """
    counts: Counter[str] = Counter()
    for folder in (path for path in map(remote.as_path, filter(str, paths)) if not isinstance(path, remote.RemotePath)):
        for _, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found = (PurePath(name).suffix.lower() for name in names if not name.startswith("."))
            counts.update(suffix for suffix in found if suffix in PICTURES_PASSED_OVER - suffixes)
    return counts


def _search(folder: Path, suffixes: frozenset[str]) -> tuple[list[Found], list[Problem]]:
    """All photos in and below a folder, and the entries that look like photos but can't be."""
    if isinstance(folder, remote.RemotePath):
        return _search_remote(folder)
    found: list[Found] = []
    problems: list[Problem] = []
    entered: set[str] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        real = os.path.realpath(current)
        if real in entered:
            continue
        entered.add(real)
        try:
            names = sorted(name for name in os.listdir(current) if not name.startswith("."))  # noqa: PTH208
        except OSError as error:
            problems.append(Problem(current, f"{printable(current)} can't be searched: {reason_of(error)}."))
            continue
        below = []
        for path in (current / name for name in names):
            looks_like_photo = path.suffix.lower() in suffixes
            try:
                mode = path.stat().st_mode
            except OSError as error:
                if looks_like_photo:
                    problems.append(Problem(path, f"{printable(path)} can't be used: {reason_of(error)}."))
                continue
            if stat.S_ISDIR(mode):
                below.append(path)
            elif looks_like_photo and stat.S_ISREG(mode):
                found.append(Found(path, path.parent.relative_to(folder)))
            elif looks_like_photo:
                problems.append(Problem(path, not_a_file(path)))
        waiting += reversed(below)
    return found, problems


def _search_remote(folder: remote.RemotePath) -> tuple[list[Found], list[Problem]]:
    try:
        listed = remote.listing(folder)
    except OSError as error:
        return [], [Problem(folder, f"{printable(folder)} can't be searched: {reason_of(error)}.")]
    found = [Found(path, path.parent.relative_to(folder)) for path in listed if path.suffix.lower() in PHOTO_SUFFIXES]
    return [item for item in found if not any(part.startswith(".") for part in item.path.relative_to(folder).parts)], []
