"""Names of photos in results: each unique, and the same in every run into the same folder."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from beautygan_cli.batch.manifest import Manifest
from beautygan_cli.errors import PhotoError
from beautygan_cli.photos import remote
from beautygan_cli.photos.find import Found

JOINT = "__"  # between the source's and the reference's name
STRONG = "@"  # before the strength in percent, where a sweep gives several results
LONGEST_STEM = 100  # bytes of each name that an output's name takes over: most file systems end at 255


def output_name(source: str, reference: str, suffix: str, strength: float | None = None) -> str:
    """The name of a result by the names of its two photos, and its strength where it has others beside it."""
    behind = "" if strength is None else f"{STRONG}{100 * strength:.4g}"
    return f"{source}{JOINT}{reference}{behind}{suffix}"


def face_path(output: Path, number: int) -> Path:
    """Where the chip of a source's face goes, the first one's under the result's own name."""
    return output if number == 1 else output.with_name(f"{output.stem}_face{number}{output.suffix}")


class Names:
    """Gives names to the photos of one role, "source" or "reference", and remembers them in the manifest.

    A stem that two photos share is told apart by its suffix (`a-jpg`, `a-png`), then by a number (`a-jpg-2`); letters
    that differ by case alone count as the same. Sources are named apart in each sub-folder, references among all.
    """

    def __init__(self, manifest: Manifest, role: str) -> None:
        self.manifest, self.role = manifest, role
        self.known: dict[Path, str] = {}
        self.holders: dict[tuple[str, str], Path] = {}
        self.named: set[Path] = set()  # the folders behind URLs that this run was given
        for folder, name, path in manifest.names(role):
            self.known[path] = name
            self.holders[folder, folded(name)] = path

    def of(self, items: Sequence[Found]) -> list[str]:
        """A name for each photo."""
        places = [item.path.absolute() for item in items]
        self.named |= {_named(item) for item in items if isinstance(item.path, remote.RemotePath)}
        fresh = [(item, place) for item, place in zip(items, places, strict=True) if place not in self.known]
        shared = Counter((self._folder(item), folded(self._stem(item))) for item, _ in fresh)
        for item, place in fresh:
            self._give(item, place, alone=shared[self._folder(item), folded(self._stem(item))] == 1)
        if fresh:
            self.manifest.name(self.role, [(self._folder(item), self.known[place], place) for item, place in fresh])
        return [self.known[place] for place in places]

    def _give(self, item: Found, place: Path, alone: bool) -> None:
        folder, stem = self._folder(item), self._stem(item)
        suffixed = f"{stem}-{item.path.suffix.lower().lstrip('.')}"
        name, number = stem if alone else suffixed, 2
        while self._taken(folder, name, item.path):
            name, number = (suffixed, 2) if name == stem else (f"{suffixed}-{number}", number + 1)
        self.known.pop(self.holders.get((folder, folded(name)), place), None)
        self.known[place] = name
        self.holders[folder, folded(name)] = place

    def _taken(self, folder: str, name: str, newcomer: Path) -> bool:
        """Whether another photo has the name; not if it is gone and the newcomer is the same photo, moved."""
        holder = self.holders.get((folder, folded(name)))
        if holder is None:
            return False
        # The manifest may be a stranger's: it leads to no machine that the run would not ask anyway.
        if isinstance(holder, remote.RemotePath) and self.named.isdisjoint(holder.parents):
            return True
        try:
            if holder.exists() or holder.is_symlink():
                return True
        except (OSError, ValueError):  # of a path that no file system takes
            return True
        try:
            return self.manifest.known_content(holder) != self.manifest.content(newcomer)
        except PhotoError:
            return True

    def _folder(self, item: Found) -> str:
        return "" if self.role == "reference" else folded(str(item.inside))

    def _stem(self, item: Found) -> str:
        stem = _short(item.path.stem)
        return _ending(stem) if self.role == "reference" else stem


def _named(item: Found) -> Path:
    """The folder that was named, or that a photo which was named itself lies in."""
    return item.path.parents[len(item.inside.parts)]


def folded(name: str) -> str:
    """What two names share that some file system takes for one: macOS's and Windows' don't tell cases apart."""
    return unicodedata.normalize("NFC", name).casefold()


def _short(stem: str) -> str:
    """A stem cut to LONGEST_STEM bytes, at a character's end."""
    return stem.encode("utf-8", "surrogateescape")[:LONGEST_STEM].decode("utf-8", "ignore") or "photo"


def _ending(stem: str) -> str:
    """A reference's stem without what would let two pairs of names read the same once they are joined.

    `a__b` with `c` and `a` with `b__c` are both `a__b__c`; `_face2` is put behind by --crop, `@50` by a sweep.
    """
    while JOINT in stem:
        stem = stem.replace(JOINT, "_")
    head, at, percent = stem.rpartition(STRONG)
    stem = f"{head}-{percent}" if at and percent.replace(".", "", 1).isdecimal() else stem
    head, face, number = stem.rpartition("_face")
    stem = f"{head}-face{number}" if face and number.isdecimal() else stem
    return stem.lstrip("_") or "look"
