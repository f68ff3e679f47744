"""Names of photos in results: each unique, and the same in every run into the same folder."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from beautygan_cli.batch.manifest import Manifest
from beautygan_cli.errors import PhotoError
from beautygan_cli.photos import remote
from beautygan_cli.photos.find import Found

JOINT = "__"  # between the source's and the reference's name
STRONG = "@"  # before the strength in percent, where a sweep gives several results
LONGEST_STEM = 100  # bytes of each name that an output's name takes over: most file systems end at 255
LONGEST_SUFFIX = 16  # bytes of a suffix that tells two names apart; a photo is known by its content, and any will do
_UNDECODABLE = re.compile(r"\\udc[89a-f][0-9a-f]")  # as the manifest escapes a path's bytes that are no text


def output_name(source: str, reference: str, suffix: str, strength: float | None = None) -> str:
    """The name of a result by the names of its two photos, and its strength where it has others beside it.

    Two strengths that differ have names that do: the percent stands there with all its digits, and without an exponent.
    """
    behind = "" if strength is None else f"{STRONG}{_plain(100 * Decimal(repr(float(strength))))}"
    return f"{source}{JOINT}{reference}{behind}{suffix}"


def _plain(number: Decimal) -> str:
    """A number's digits, those after the point without zeros at their end."""
    digits = f"{number:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


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
        self.known: dict[Path, tuple[str, str]] = {}  # folder and name by photo
        self.holders: dict[tuple[str, str], Path] = {}
        self.named: set[Path] = set()  # the folders behind URLs that this run was given
        for folder, name, path in manifest.names(role):
            # The manifest may be a stranger's: a name counts only if this class gives it, and to one photo alone.
            if self._could_give(name, path) and (folder, folded(name)) not in self.holders:
                self.known[path] = folder, name
                self.holders[folder, folded(name)] = path

    def of(self, items: Sequence[Found]) -> list[str]:
        """A name for each photo."""
        places = [item.path.absolute() for item in items]
        self.named |= {_named_folder(item) for item in items if isinstance(item.path, remote.RemotePath)}
        fresh = [(item, place) for item, place in zip(items, places, strict=True) if not self._named(item, place)]
        shared = Counter((self._folder(item), folded(self._stem(item))) for item, _ in fresh)
        for item, place in fresh:
            self._give(item, place, alone=shared[self._folder(item), folded(self._stem(item))] == 1)
        if fresh:
            self.manifest.name(self.role, [(*self.known[place], place) for _, place in fresh])
        return [self.known[place][1] for place in places]

    def _named(self, item: Found, place: Path) -> bool:
        """Whether a photo has a name in its folder; one that it has in another may be somebody else's here."""
        return place in self.known and self.known[place][0] == self._folder(item)

    def _could_give(self, name: str, path: Path) -> bool:
        """Whether `_give` gives such a name to a photo at this path."""
        for text in (str, lambda part: _UNDECODABLE.sub("", part)):
            alone, suffixed = self._names_of(text(path.stem), text(path.suffix))
            number = name.removeprefix(f"{suffixed}-") if name.startswith(f"{suffixed}-") else ""
            if name in (alone, suffixed) or (re.fullmatch(r"[1-9][0-9]{0,8}", number) and number != "1"):
                return True
        return False

    def _names_of(self, stem: str, suffix: str) -> tuple[str, str]:
        """The name of a photo that shares its stem with none, and what one begins with that does."""
        stem = self._cleaned(_cut(stem, LONGEST_STEM) or "photo")
        # What the suffix of a reference brings in is cleaned as its stem is: it may hold what joins two names.
        return stem, self._cleaned(f"{stem}-{_cut(suffix.lower().lstrip('.'), LONGEST_SUFFIX)}")

    def _give(self, item: Found, place: Path, alone: bool) -> None:
        folder = self._folder(item)
        stem, suffixed = self._names_of(item.path.stem, item.path.suffix)
        name, number = stem if alone else suffixed, 2
        while self._taken(folder, name, item.path):
            name, number = (suffixed, 2) if name == stem else (f"{suffixed}-{number}", number + 1)
        self.known.pop(self.holders.get((folder, folded(name)), place), None)
        self.known[place] = folder, name
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
        return self._names_of(item.path.stem, item.path.suffix)[0]

    def _cleaned(self, name: str) -> str:
        return _ending(name) if self.role == "reference" else name


def _named_folder(item: Found) -> Path:
    """The folder that was named, or that a photo which was named itself lies in."""
    return item.path.parents[len(item.inside.parts)]


def folded(name: str) -> str:
    """What two names share that some file system takes for one: macOS's and Windows' don't tell cases apart."""
    return unicodedata.normalize("NFC", name).casefold()


def _cut(text: str, longest: int) -> str:
    """Text cut to so many bytes, at a character's end, without bytes that are no text."""
    return text.encode("utf-8", "surrogateescape")[:longest].decode("utf-8", "ignore")


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
