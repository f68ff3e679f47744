"""What to wear: for each region a reference, or several by weight, and how strongly. Looks come from `.toml` files.

A look file, with everything that it may say; all paths are relative to it:

    name = "Evening"          # for its results' names; without it the file's own
    about = "for candlelight" # whatever there is to say of it
    ref = "all.jpg"           # what every region wears that is not named below
    strength = 0.9            # of all regions together, 0 to 1

    [lips]
    ref = "lips.jpg"
    strength = 0.8

    [eyes]
    mix = [{ref = "a.jpg", weight = 0.7}, {ref = "b.jpg", weight = 0.3}]

    [skin]
    none = true

In place of `ref` stand words for what is drawn (`words.py`):

    [lips]
    colour = "crimson 80% gloss"

    [eyes]
    colour = "teal smoky"
    liner = "winged"

    [skin]
    finish = "dewy highlight"
    blush = "peach cheekbones"

    [brows]
    colour = "brown 40%"

Brows that nothing is said of take the eyes' makeup where that is face paint, in a colour that no hair has, else none.
In place of a table, `lips = "lips.jpg"`, `lips = [{ref = "a.jpg", weight = 2}, ...]` and `lips = false` say the same.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from beautygan_cli.errors import LookError, OutputError
from beautygan_cli.makeup.composite import USUAL_SKIN, Strengths
from beautygan_cli.makeup.style import Style
from beautygan_cli.makeup.words import KINDS, Drawn, describe, drawn_style
from beautygan_cli.photos.files import printable, write_text
from beautygan_cli.photos.find import Found, Problem

REGIONS = ("lips", "eyes", "skin", "brows")
USUAL = {"lips": 1.0, "eyes": 1.0, "skin": USUAL_SKIN}  # strengths where a look names none
SUFFIX = ".toml"
LARGEST_FILE = 1 << 14  # bytes; the time that a parser takes for a key grows with the square of its dots
MOST_INGREDIENTS = 16  # of one region: each is an encoder's run for each face
LONGEST_NAME = 200  # characters


@dataclass(frozen=True)
class Ingredient:
    """One reference in a region's mix, and its weight: above 0, in proportion to the others'.

    ref: a photo, or in a mix of one what is drawn in its place.
    """

    ref: Path | Drawn
    weight: float = 1.0


@dataclass(frozen=True)
class Part:
    """What one region wears. mix: at least one ingredient, of bare brows none; strength: 0 to 1."""

    mix: tuple[Ingredient, ...]
    strength: float = 1.0


@dataclass(frozen=True)
class Look:
    """What each region wears, None where it stays bare. file: where the look was read from; about: it in a line.

    brows None: what comes with the eyes, where that is face paint; to keep them bare for sure takes a part without mix.
    """

    lips: Part | None = None
    eyes: Part | None = None
    skin: Part | None = None
    brows: Part | None = None
    name: str = ""
    file: Path | None = None
    about: str = ""

    @classmethod
    def of(cls, reference: Path | str, strengths: Strengths | None = None) -> Look:
        """All of one reference's makeup, by default at the usual strengths."""
        mix, wanted = (Ingredient(Path(reference)),), strengths or Strengths()
        brows = None if wanted.brows is None else Part(mix, wanted.brows)
        lips, eyes, skin = (Part(mix, strength) for strength in (wanted.lips, wanted.eyes, wanted.skin))
        return cls(lips, eyes, skin, brows, name=Path(reference).stem)

    @property
    def strengths(self) -> Strengths:
        """By region; 0 where nothing is worn."""
        lips, eyes, skin = (part.strength if part else 0.0 for part in (self.lips, self.eyes, self.skin))
        return Strengths(lips, eyes, skin, self.brows.strength if self.brows else None)

    @property
    def references(self) -> list[Path]:
        """All its photos, each once."""
        return list(dict.fromkeys(ref for ref in self._refs if isinstance(ref, Path)))

    @property
    def drawn(self) -> list[Drawn]:
        """What is drawn in place of being taken from a photo."""
        return [ref for ref in self._refs if isinstance(ref, Drawn)]

    @property
    def style(self) -> Style:
        """All that is drawn, together."""
        return drawn_style({kind: text for drawn in self.drawn for kind, text in drawn.by_kind.items()})

    @property
    def _refs(self) -> list[Path | Drawn]:
        parts = [part for region in REGIONS if (part := self.part(region))]
        return [ingredient.ref for part in parts for ingredient in part.mix]

    def part(self, region: str) -> Part | None:
        """What the region of that name wears."""
        part: Part | None = getattr(self, region)
        return part


def drawn_over(look: Look, words: Mapping[str, Mapping[str, str]]) -> Look:
    """The look with each region that is described drawn so.

    words: by region and kind, as in `KINDS`. What a region has been told before and is not told anew stays; makeup from
    photos gives way.
    """
    parts = {region: look.part(region) for region in REGIONS}
    for region, told in words.items():
        part = parts[region]
        before = part.mix[0].ref if part else None
        known = dict(before.words) if isinstance(before, Drawn) else {}
        all_told = {**known, **told}
        drawn = Drawn(region, tuple((kind, all_told[kind]) for kind in KINDS[region] if kind in all_told))
        strength = part.strength if part and isinstance(before, Drawn) else 1.0
        parts[region] = Part((Ingredient(drawn),), strength)
    return _with(look, parts)


def _with(look: Look, parts: Mapping[str, Part | None]) -> Look:
    return replace(look, lips=parts["lips"], eyes=parts["eyes"], skin=parts["skin"], brows=parts["brows"])


def described(worn: Look, words: Mapping[str, Mapping[str, str]], asked: Mapping[str, float | None]) -> Look:
    """The look with what is described, at the strengths that were asked for.

    words: as in `drawn_over`. asked: by region, 0 to 1 or None for what is usual; what the look wears already has them.
    """
    fresh = [region for region in words if (part := worn.part(region)) is None or part.mix[0].ref not in worn.drawn]
    return scaled(drawn_over(worn, words), {region: asked[region] if region in fresh else None for region in REGIONS})


# Finding and reading


def bundled() -> dict[str, Path]:
    """The looks that come with the package: their files by name."""
    folder = Path(__file__).resolve().parent.parent / "looks"
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def find(names: Sequence[str | Path]) -> tuple[list[Found], list[Problem]]:
    """The look files that the names mean or, being folders, hold below them, sorted; and the names that gave none."""
    found: dict[str, Found] = {}
    problems: list[Problem] = []
    for name in names:
        path = _named(str(name))
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such name is possible"
            problems.append(Problem(path, _unknown_name(path) or f"{printable(path)} can't be used: {reason}."))
            continue
        held = [Found(path, PurePath())]
        if stat.S_ISDIR(mode):
            held = [Found(file, file.parent.relative_to(path)) for file in _files_below(path)]
            if not held:
                problems.append(Problem(path, f"{printable(path)} holds no look ({SUFFIX} file)."))
        for item in held:
            found.setdefault(os.path.realpath(item.path), item)
    return list(found.values()), problems


def _named(name: str) -> Path:
    """The path that a name stands for: of a file or folder that is there, else of a look that comes along."""
    path = Path(name)
    simple = "-".join(name.lower().split())
    if "\0" not in name and not path.exists() and simple in bundled():
        return bundled()[simple]
    return path


def _unknown_name(path: Path) -> str | None:
    """What to say of a name that looks like that of a look that comes along, and is none."""
    if path.suffix or path.parent != Path() or not path.name:
        return None
    near = difflib.get_close_matches(path.name.lower(), list(bundled()), 1, 0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"there is no look named {printable(path)!s}; {meant}--list-looks names those that come along."


def _files_below(folder: Path) -> list[Path]:
    files = []
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        files += [Path(place, name) for name in sorted(names) if name.endswith(SUFFIX) and not name.startswith(".")]
    return [file for file in files if file.is_file()]


def read(path: Path) -> Look:
    """The look in a file. LookError, which names the file, the key and what is allowed there."""
    return parse(_text(path), path)


def parse(text: str, path: Path) -> Look:
    """The look that a file's text says; `path` gives relative paths their meaning and errors their name."""
    import tomllib

    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError of numbers of thousands of digits, too
        raise LookError(f"{printable(path)} is no look file: {_why(error)}; mend it.") from error
    return _Reader(path).look(values)


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is too deeply nested"
    return printable(str(error)) if "digits" not in str(error) else "it holds a number of thousands of digits"


def _text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise LookError(f"{printable(path)} is no file; name a look file ({SUFFIX}).")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such name is possible"
        raise LookError(f"{printable(path)} can't be read: {reason}; check its name.") from error
    if len(content) > LARGEST_FILE:
        raise LookError(f"{printable(path)} has more than {LARGEST_FILE:,} bytes; a look file is a few lines.")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise LookError(f"{printable(path)} is no UTF-8 text; save it as such.") from error


class _Reader:
    """Turns what a file says into a look, and says what is wrong in the file's own terms."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def look(self, values: Mapping[str, Any]) -> Look:
        self.only(values, ("name", "about", "ref", "strength", *REGIONS), "")
        name = self.text(values.get("name", self.path.stem), "name")[:LONGEST_NAME] or self.path.stem
        overall = self.number(values.get("strength", 1.0), "strength")
        whole = (Ingredient(self.reference(values["ref"], "ref")),) if "ref" in values else None
        parts = {region: self.part(values, region, whole, overall) for region in REGIONS}
        if "brows" not in values:
            parts["brows"] = None
        elif parts["brows"] is None:
            parts["brows"] = Part((), 0.0)
        if not any(part and part.mix for part in parts.values()):
            raise self.wrong("no region wears anything", "give `ref`, or one of lips, eyes, skin and brows")
        about = self.text(values.get("about", ""), "about")[:LONGEST_NAME]
        return Look(**parts, name=name, file=self.path, about=about)

    def part(
        self, values: Mapping[str, Any], region: str, whole: tuple[Ingredient, ...] | None, overall: float
    ) -> Part | None:
        given = values.get(region, {})
        mix, strength = whole, USUAL.get(region, 1.0)
        if given is False:
            return None
        if isinstance(given, str):
            mix = (Ingredient(self.reference(given, region)),)
        elif isinstance(given, list):
            mix = self.mix(given, region)
        elif isinstance(given, dict):
            self.only(given, ("ref", "mix", "strength", "none", *KINDS[region]), region)
            if given.get("none", False) is True:
                return None
            if "none" in given and given["none"] is not False:
                raise self.wrong(f"{region}.none is {_said(given['none'])}", "it must be true or false")
            drawn = self.drawn(given, region)
            if sum(("ref" in given, "mix" in given, drawn is not None)) > 1:
                named = [key for key in ("ref", "mix", *KINDS[region]) if key in given]
                raise self.wrong(f"{region} has both {named[0]} and {named[1]}", "give one of them")
            if drawn is not None:
                mix, strength = (Ingredient(drawn),), 1.0
            if "ref" in given:
                mix = (Ingredient(self.reference(given["ref"], f"{region}.ref")),)
            elif "mix" in given:
                mix = self.mix(given["mix"], f"{region}.mix")
            strength = self.number(given.get("strength", strength), f"{region}.strength")
            if given and mix is None:
                raise self.wrong(f"{region} names no reference", "give it a ref or a mix, or the look a ref")
        else:
            raise self.wrong(f"{region} is {_said(given)}", "it must be a photo's path, a mix, a table or false")
        return None if mix is None else Part(mix, strength * overall)

    def drawn(self, given: Mapping[str, Any], region: str) -> Drawn | None:
        words = []
        for kind in KINDS[region]:
            if kind in given:
                text = self.text(given[kind], f"{region}.{kind}")
                try:
                    describe(region if kind == "colour" else kind, text)
                except LookError as error:
                    raise LookError(f"{printable(self.path)}: {region}.{kind}: {error}") from error
                words.append((kind, text))
        return Drawn(region, tuple(words)) if words else None

    def mix(self, given: Any, key: str) -> tuple[Ingredient, ...]:
        if not isinstance(given, list) or not 1 <= len(given) <= MOST_INGREDIENTS:
            raise self.wrong(f"{key} is {_said(given)}", f"it must be a list of 1 to {MOST_INGREDIENTS} references")
        ingredients = []
        for number, item in enumerate(given):
            place = f"{key}[{number}]"
            if not isinstance(item, dict):
                item = {"ref": item}
            self.only(item, ("ref", "weight"), place)
            reference = self.reference(item.get("ref"), f"{place}.ref")
            weight = item.get("weight", 1.0)
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= 1e6:
                raise self.wrong(f"{place}.weight is {_said(weight)}", "it must be a number from 0 up")
            if weight > 0:  # what has no weight need not be looked at
                ingredients.append(Ingredient(reference, float(weight)))
        if not ingredients:
            raise self.wrong(f"{key} has no weight above 0", "give one of its references some")
        return tuple(ingredients)

    def reference(self, given: Any, key: str) -> Path:
        text = self.text(given, key)
        if not text or "\0" in text:
            raise self.wrong(f"{key} is {_said(text)}", "it must be a photo's path")
        return self.path.parent / text

    def text(self, given: Any, key: str) -> str:
        if not isinstance(given, str):
            raise self.wrong(f"{key} is {_said(given)}", "it must be text in quotes")
        return given

    def number(self, given: Any, key: str) -> float:
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given <= 1:
            raise self.wrong(f"{key} is {_said(given)}", "it must be a number from 0 to 1")
        return float(given)

    def only(self, values: Mapping[str, Any], allowed: Sequence[str], place: str) -> None:
        for key in values:
            if key not in allowed:
                where = f"{place}.{key}" if place else key
                raise self.wrong(f"it has a key {where!r}", f"the keys allowed there are {', '.join(allowed)}")

    def wrong(self, what: str, remedy: str) -> LookError:
        return LookError(f"{printable(self.path)}: {what}; {remedy}.")


def _said(value: Any) -> str:
    if value is None:
        return "missing"
    try:
        text = printable(json.dumps(value, default=str, ensure_ascii=False))
    except (ValueError, RecursionError):  # a number of thousands of digits, written in hexadecimal
        return "out of all bounds"
    return text if len(text) <= 40 else f"{text[:37]}..."


# Writing


def write(look: Look, path: Path, *, overwrite: bool = False) -> None:
    """Save a look so that `read` gives it back, its references' paths relative to the file. OutputError."""
    write_text(path, iter([as_toml(look, path)]), overwrite=overwrite)


def as_toml(look: Look, path: Path) -> str:
    """The text of a look file that is to lie at `path`."""
    lines = [f"name = {_quoted(look.name or path.stem)}"]
    if look.about:
        lines.append(f"about = {_quoted(look.about)}")
    for region in REGIONS:
        part = look.part(region)
        if part is None and region == "brows":
            continue
        lines += ["", f"[{region}]"]
        if part is None or not part.mix:
            lines.append("none = true")
            continue
        refs = [item.ref for item in part.mix]
        if isinstance(refs[0], Drawn):
            lines += [f"{kind} = {_quoted(text)}" for kind, text in refs[0].words]
        elif len(refs) == 1:
            lines.append(f"ref = {_quoted(_relative(refs[0], path))}")
        else:
            lines.append("mix = [")
            lines += [
                f"    {{ref = {_quoted(_relative(item.ref, path))}, weight = {item.weight!r}}},"
                for item in part.mix
                if isinstance(item.ref, Path)
            ]
            lines.append("]")
        lines.append(f"strength = {part.strength!r}")
    return "\n".join(lines) + "\n"


def _relative(reference: Path, path: Path) -> str:
    try:
        text = os.path.relpath(reference.absolute(), path.absolute().parent)
    except ValueError:  # another drive
        text = str(reference.absolute())
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise OutputError(f"{printable(reference)} has a name that no look file can hold; rename it.") from error
    return text.replace(os.sep, "/")


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's, but for DEL, which TOML wants escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def scaled(look: Look, strengths: Mapping[str, float | None]) -> Look:
    """The look with each region's strength times the given one, None for as it is.

    A number for brows that the look says nothing of asks for those of the eyes' references, so strongly.
    """

    def scaled_part(region: str) -> Part | None:
        part, strength = look.part(region), strengths[region]
        if part is None and region == "brows" and strength is not None and look.eyes is not None:
            return Part(look.eyes.mix, strength)
        return part if part is None or strength is None else replace(part, strength=part.strength * strength)

    return _with(look, {region: scaled_part(region) for region in REGIONS})
