"""What is worn, part by part, as it is drawn: colours, amounts and shapes. `rendering.py` draws it."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]  # L*a*b*


@dataclass(frozen=True)
class Lipstick:
    """Colour and finish of the lips: `amount` 0..1; `gloss` > 0 shines, < 0 is matte; ombre fades outward."""

    colour: Colour
    amount: float
    gloss: float = 0.0
    ombre: float = 0.0
    lined: float = 0.0
    overdrawn: float = 0.0  # units past the lips' own edge


@dataclass(frozen=True)
class EyeShadow:
    """Up to three colours: on the lid, in the crease and on the outer corner, with their amounts 0..1."""

    lid: Colour
    crease: Colour
    corner: Colour
    amount: float
    crease_amount: float
    corner_amount: float
    height: float  # how far up to the brow, 0..1; with `in_widths` in eye widths over the lash line
    outward: float  # how far past the outer corner, in eye widths
    lower: float = 0.0  # amount under the eye
    shimmer: float = 0.0
    inner: float = 0.0  # brightening of the inner corner
    cut: float = 0.0  # sharpness of the crease's edge
    block: bool = False  # one even colour that ends in a hard edge above and outward
    in_widths: bool = False  # as high on every face, however high its brows are


@dataclass(frozen=True)
class Liner:
    """A line along the upper lashes, with a wing; optionally below. Widths and lengths in eye widths."""

    colour: Colour
    amount: float
    width: float
    wing: float = 0.0
    lift: float = 0.35  # the wing's slope
    lower: float = 0.0
    lashes: float = 0.0  # mascara: length of the lashes in eye widths
    count: int = 26  # lashes on the upper lid: more of them are false ones
    floating: float = 0.0  # a second line, so many eye widths above the lid: graphic liner


@dataclass(frozen=True)
class Blush:
    """Colour on the cheeks: `place` 0 on the apples to 1 along the cheekbone; `nose` carries it across."""

    colour: Colour
    amount: float
    place: float = 0.5
    spread: float = 0.42
    nose: float = 0.0


@dataclass(frozen=True)
class Finish:
    """Foundation: evens the skin, shifts its shade, and shines (dewy, > 0) or not (matte, < 0)."""

    even: float = 0.0
    shade: Colour = (0.0, 0.0, 0.0)
    shine: float = 0.0
    contour: float = 0.0
    highlight: float = 0.0


@dataclass(frozen=True)
class Brows:
    """Darkened and filled brows; `amount` 0..1."""

    colour: Colour
    amount: float


@dataclass(frozen=True)
class Paint:
    """Face paint: `count` stripes, dots, patches, freckles or gems anywhere on the face, placed by the style's seed.

    size: half the width of a stroke or the radius of a dot; soft: sigma of its edge, both in units.
    """

    kind: str  # of PAINTS
    colour: Colour
    second: Colour
    amount: float
    count: int
    size: float
    soft: float


PAINTS = ("stripes", "dots", "patches", "freckles", "gems", "lines")


@dataclass(frozen=True)
class Style:
    """A whole face of makeup; what is None is not worn. `seed` places lashes, shimmer and paint."""

    lipstick: Lipstick | None = None
    shadow: EyeShadow | None = None
    liner: Liner | None = None
    blush: Blush | None = None
    finish: Finish | None = None
    brows: Brows | None = None
    paint: Paint | None = None
    seed: int = 0
