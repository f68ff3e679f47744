"""Makeup in words: `crimson 80% gloss` on the lips, `teal smoky` on the lids, as a style that can be drawn.

A description is one to three colours, each by name or as `#rrggbb`, `dark` or `light` before a colour, a share such as
`80%` of how densely it is laid on, and words for its finish or shape, in any order.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from beautygan_cli.errors import LookError
from beautygan_cli.makeup.style import Blush, Brows, Colour, EyeShadow, Finish, Liner, Lipstick, Style

# What each region may be told, the first being what its option on the command line says.
KINDS: Mapping[str, tuple[str, ...]] = {
    "lips": ("colour",),
    "eyes": ("colour", "liner"),
    "skin": ("finish", "blush"),
    "brows": ("colour",),
}

COLOURS: Mapping[str, str] = {
    "apricot": "#e8a07a", "aubergine": "#45203a", "berry": "#7a1f45", "black": "#120f10", "blue": "#2a4fa8",
    "brick": "#93392c", "bronze": "#8a5a32", "brown": "#6b412f", "burgundy": "#5e1224", "caramel": "#a8683f",
    "champagne": "#e6cdae", "charcoal": "#332f31", "cherry": "#a3142f", "chocolate": "#46281c", "cobalt": "#1f45a0",
    "copper": "#b1663c", "coral": "#e8684f", "cranberry": "#8e1b36", "crimson": "#b00f2c", "emerald": "#117a52",
    "fuchsia": "#cc2f83", "gold": "#cfa349", "green": "#3d7a45", "grey": "#77727a", "hot-pink": "#e63c8a",
    "ivory": "#f1e6d3", "khaki": "#7d7448", "lavender": "#a893c9", "lilac": "#b79ac8", "magenta": "#b01e72",
    "mahogany": "#572018", "mauve": "#9c6377", "mint": "#8fc7ab", "navy": "#1d2547", "nude": "#b9796a",
    "olive": "#5f5f33", "orange": "#e0602a", "oxblood": "#4d0f18", "peach": "#e99a7c", "pearl": "#e9e0da",
    "pink": "#d96a8b", "plum": "#57234a", "purple": "#5f2f86", "raspberry": "#a81f4e", "red": "#b81224",
    "rose": "#bf5468", "rosewood": "#8a4548", "ruby": "#8f0f2d", "rust": "#9a4524", "sand": "#c9a483",
    "sapphire": "#1c3b82", "scarlet": "#c9181c", "sienna": "#8f4f33", "silver": "#b9b9c0", "sky": "#7fb0d9",
    "taupe": "#8a7264", "teal": "#146e73", "terracotta": "#ad5a41", "turquoise": "#2aa6a3", "vermilion": "#d3321f",
    "violet": "#5b3b93", "white": "#f6f3f0", "wine": "#6a1530", "yellow": "#e3c13c",
}  # fmt: skip
SHADES = {"dark": -13.0, "deep": -13.0, "light": 13.0, "pale": 18.0}  # by which L* of the colour that follows moves


def drawn_style(words: Mapping[str, str], seed: int = 0) -> Style:
    """The style that descriptions give together. `words`: by kind, as in KINDS; of the lips `lips`, of the lids `eyes`.

    LookError, which names the word that says nothing.
    """
    makers: Mapping[str, tuple[str, Callable[[Description], Any]]] = {
        "lips": ("lipstick", _lipstick),
        "eyes": ("shadow", _shadow),
        "liner": ("liner", _liner),
        "brows": ("brows", _brows),
        "finish": ("finish", _finish),
        "blush": ("blush", _blush),
    }
    parts = {makers[kind][0]: makers[kind][1](describe(kind, text)) for kind, text in words.items()}
    return Style(**parts, seed=seed)


def by_region(words: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Words by kind of makeup, as `drawn_style` takes them, by region and the region's own kinds as in KINDS."""
    result: dict[str, dict[str, str]] = {}
    for region, kinds in KINDS.items():
        for kind in kinds:
            told = words.get(region if kind == "colour" else kind)
            if told is not None:
                result.setdefault(region, {})[kind] = told
    return result


@dataclass(frozen=True)
class Drawn:
    """What one region wears, in words by kind: `(("colour", "teal smoky"), ("liner", "winged"))`."""

    region: str
    words: tuple[tuple[str, str], ...]

    @property
    def by_kind(self) -> dict[str, str]:
        """The words as `drawn_style` takes them."""
        return {self.region if kind == "colour" else kind: text for kind, text in self.words}


@dataclass(frozen=True)
class Description:
    """A description taken apart: colours in CIE L*a*b*, how dense 0..1, and the words that are left."""

    colours: tuple[Colour, ...]
    dense: float = 1.0
    words: frozenset[str] = field(default_factory=frozenset)

    def has(self, *words: str) -> bool:
        """Whether any of these is said."""
        return not self.words.isdisjoint(words)


VOCABULARY: Mapping[str, frozenset[str]] = {
    "lips": frozenset({"gloss", "glossy", "matte", "satin", "sheer", "stain", "ombre", "lined", "overlined"}),
    "eyes": frozenset(
        {"soft", "wash", "smoky", "cut", "block", "shimmer", "glitter", "matte", "lower", "inner", "low", "high"}
    ),
    "liner": frozenset({"thin", "bold", "winged", "cat", "cat-eye", "straight", "lower", "graphic", "lashes", "false"}),
    "brows": frozenset({"soft", "bold"}),
    "finish": frozenset({"natural", "full", "matte", "dewy", "contour", "highlight", "bronzed", "porcelain"}),
    "blush": frozenset({"apples", "cheekbones", "draped", "nose", "soft", "bold"}),
}
MOST_COLOURS = {"lips": 1, "eyes": 3, "liner": 1, "brows": 1, "finish": 0, "blush": 1}


def describe(kind: str, text: str) -> Description:
    """Take a description apart. LookError where a word says nothing for this kind of makeup."""
    colours: list[Colour] = []
    said: set[str] = set()
    dense, shade = 1.0, 0.0
    words = text.lower().replace(",", " ").replace("hot pink", "hot-pink").split()
    for word in words:
        if word in SHADES:
            shade += SHADES[word]
        elif word in COLOURS or word.startswith("#"):
            lightness, a, b = _lab(word, text)
            colours.append((min(max(lightness + shade, 2.0), 98.0), a, b))
            shade = 0.0
        elif re.fullmatch(r"\d{1,3}%", word) and 0 < int(word[:-1]) <= 100:
            dense = int(word[:-1]) / 100
        elif word in VOCABULARY[kind]:
            said.add(word)
        else:
            raise _unknown(kind, word)
    if not words:
        raise LookError(f"{kind} are described by nothing; {_help(kind)}.")
    if len(colours) > MOST_COLOURS[kind]:
        raise LookError(f"{text!r} has {len(colours)} colours; {kind} take at most {MOST_COLOURS[kind]}.")
    if kind in ("lips", "eyes") and not colours:
        raise LookError(f"{text!r} names no colour; {_help(kind)}.")
    return Description(tuple(colours), dense, frozenset(said))


def _unknown(kind: str, word: str) -> LookError:
    known = [*VOCABULARY[kind], *COLOURS, *SHADES]
    near = difflib.get_close_matches(word, known, 1, 0.6)
    meant = f"did you mean {near[0]}? Or" if near else "it takes"
    return LookError(f"{word!r} is no word for {kind}; {meant} {_help(kind)}.")


def _help(kind: str) -> str:
    colour = "a colour such as crimson or '#b00020', " if MOST_COLOURS[kind] else ""
    return f"{colour}a share such as 80%, and of {', '.join(sorted(VOCABULARY[kind]))}"


def _lab(word: str, text: str) -> Colour:
    code = COLOURS.get(word, word)
    if re.fullmatch(r"#[0-9a-f]{3}", code):
        code = "#" + "".join(2 * digit for digit in code[1:])
    if not re.fullmatch(r"#[0-9a-f]{6}", code):
        raise LookError(f"{word!r} in {text!r} is no colour; write it as #rrggbb, such as '#b00020'.")
    import numpy as np

    from beautygan_cli.imaging.colour import rgb_to_lab

    pixel = np.array([[[int(code[place : place + 2], 16) for place in (1, 3, 5)]]], dtype=np.uint8)
    lightness, a, b = (float(value) for value in rgb_to_lab(pixel)[0, 0])
    return lightness, a, b


def _darker(colour: Colour, by: float) -> Colour:
    return max(6.0, colour[0] - by), colour[1] * 0.85, colour[2] * 0.85


def _lipstick(said: Description) -> Lipstick:
    amount = 0.45 if said.has("sheer") else 0.6 if said.has("stain") else 0.95
    gloss = 0.65 if said.has("gloss", "glossy") else -0.7 if said.has("matte", "stain") else 0.1
    return Lipstick(
        said.colours[0],
        amount * said.dense,
        gloss,
        ombre=0.75 if said.has("ombre") else 0.0,
        lined=0.5 if said.has("lined") else 0.0,
        overdrawn=0.03 if said.has("overlined") else 0.0,
    )


def _shadow(said: Description) -> EyeShadow:
    lid = said.colours[0]
    smoky, wash, block = said.has("smoky"), said.has("wash"), said.has("block")
    second = said.colours[1] if len(said.colours) > 1 else _darker(lid, 16 if smoky else 11)
    corner = said.colours[2] if len(said.colours) > 2 else _darker(second, 12 if smoky else 6)
    amount = (0.6 if said.has("soft") else 0.88) * said.dense
    plain = (wash or block) and len(said.colours) == 1
    height = 0.55 if said.has("low") else 0.95 if said.has("high") else 0.72
    return EyeShadow(
        lid,
        second,
        corner,
        amount,
        0.0 if plain else amount * (0.5 if smoky else 0.75),
        0.0 if plain else amount * (0.7 if smoky else 0.75),
        height=0.3 * height / 0.72 if block else height,
        outward=0.35 if smoky else 0.25,
        lower=amount * 0.75 if smoky else amount * 0.6 if said.has("lower") else 0.0,
        shimmer=1.0 if said.has("glitter") else 0.55 if said.has("shimmer") else 0.0,
        inner=0.7 if said.has("inner") else 0.0,
        cut=0.9 if said.has("cut") else 0.0,
        block=block,
        in_widths=block,
    )


def _liner(said: Description) -> Liner:
    cat = said.has("cat", "cat-eye")
    colour = said.colours[0] if said.colours else (8.0, 0.0, 0.0)
    width = 0.045 if said.has("thin") else 0.13 if said.has("bold") else 0.12 if cat else 0.075
    return Liner(
        colour,
        0.97 * said.dense,
        width,
        wing=0.48 if cat else 0.3 if said.has("winged") else 0.0,
        lift=0.15 if said.has("straight") else 0.5 if cat else 0.4,
        lower=0.75 if said.has("lower") else 0.0,
        lashes=0.34 if said.has("false") else 0.22 if said.has("lashes") else 0.0,
        count=44 if said.has("false") else 26,
        floating=0.26 if said.has("graphic") else 0.0,
    )


def _brows(said: Description) -> Brows:
    colour = said.colours[0] if said.colours else (22.0, 5.0, 8.0)
    return Brows(colour, (0.7 if said.has("bold") else 0.3 if said.has("soft") else 0.5) * said.dense)


def _finish(said: Description) -> Finish:
    shade = (-1.5, 1.2, 3.0) if said.has("bronzed") else (1.5, -0.5, -0.5) if said.has("porcelain") else (0.0, 0.0, 0.0)
    full = Finish(
        even=0.85 if said.has("full") else 0.5,
        shade=shade,
        shine=0.7 if said.has("dewy") else -0.6 if said.has("matte") else 0.0,
        contour=0.55 if said.has("contour") else 0.0,
        highlight=0.7 if said.has("highlight") else 0.0,
    )
    share = said.dense
    shade = (shade[0] * share, shade[1] * share, shade[2] * share)
    return replace(
        full,
        even=full.even * share,
        shade=shade,
        shine=full.shine * share,
        contour=full.contour * share,
        highlight=full.highlight * share,
    )


def _blush(said: Description) -> Blush:
    colour = said.colours[0] if said.colours else (60.0, 32.0, 14.0)
    amount = 0.15 if said.has("soft") else 0.4 if said.has("bold") else 0.24
    place = 0.1 if said.has("apples") else 1.0 if said.has("cheekbones", "draped") else 0.5
    spread = 0.44 if said.has("draped") else 0.34
    return Blush(colour, amount * said.dense, place, spread, nose=0.7 if said.has("nose") else 0.0)
