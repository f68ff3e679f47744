"""Things that lie before a face, made with real textures; how opaque each is at each pixel is known, not guessed.

`random_cover` gives layers for one face: hair (curtains, fringes, locks, single strands) of real hair texture in any
colour, glasses, hands, masks, microphones, veils, hats, flowers and cut-outs of other photos. `laid_over` puts them
onto the face and says how much of the face is hidden. What changes a face without hiding it (a lens's reflection, the
shadow that a fringe throws) is a layer too, one that does not count.

Lengths are in interocular distances and places in the face's own frame (`FaceFrame`): the origin lies midway between
the eyes, x runs to the image's right, y down. Brows lie at y -0.3, the hairline at -1, the nose's tip at 0.8, the
mouth at 1 to 1.4, the chin at 2; the cheeks end at x -1.1 and 1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab
from beautygan_cli.imaging.drawing import blur, smoothstep
from beautygan_cli.training.dataset import Person
from beautygan_cli.types import FloatArray, UInt8Array

Generator = np.random.Generator

# L*, its spread, a* and b* of hair: the spread is what the texture's contrast is scaled to.
HAIR = (
    (0.20, (10, 6, 0, 0)),  # black
    (0.15, (22, 8, 4, 6)),  # dark brown
    (0.14, (35, 10, 7, 12)),  # brown
    (0.11, (50, 11, 7, 18)),  # light brown
    (0.12, (66, 11, 5, 25)),  # blond
    (0.08, (80, 8, 2, 16)),  # very pale blond
    (0.07, (58, 11, 0, 3)),  # grey
    (0.06, (83, 7, 0, 4)),  # white
    (0.07, (40, 11, 21, 27)),  # red
)  # the rest is dyed in any colour
PLAIN_HAIR = 6.0  # L* units of contrast at least: what is smoother is a backdrop or a bald head
STRAND_CANVAS = 2  # lines are drawn this many times larger and averaged down, so that a hair may be half a pixel wide

# How often each kind of cover is made, and by which function below. Real photos show mostly hair and glasses.
KINDS = {
    "fringe": 0.17,
    "curtain": 0.13,
    "lock": 0.13,
    "strands": 0.10,
    "glasses": 0.30,
    "sunglasses": 0.03,
    "hand": 0.08,
    "mask": 0.05,
    "microphone": 0.02,
    "veil": 0.02,
    "hat": 0.03,
    "flower": 0.02,
    "cut-out": 0.02,
}


@dataclass(frozen=True, eq=False)
class Layer:
    """Something to lay over a face.

    colour: (S, S, 3) float32 RGB in 0..255; opacity: (S, S) float32 in 0..1; hides: whether it hides the face as far
    as it is opaque, as hair does and a shadow does not.
    """

    colour: FloatArray
    opacity: FloatArray
    hides: bool = True


@dataclass(frozen=True, eq=False)
class Textures:
    """What covers are cut from: lightness of real hair, strands upright; colours of real skin; whole photos.

    hair: (H, W) float32 patches of mean 0 and deviation 1; skins: (3,) L*a*b* of cheeks; photos: chips, uint8 RGB.
    """

    hair: list[FloatArray]
    skins: list[NDArray[np.float32]]
    photos: list[UInt8Array]


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """The face's own coordinates: x and y are (S, S) float32; `to_pixels` maps (N, 2) points of it into the image."""

    x: FloatArray
    y: FloatArray
    origin: NDArray[np.float64]
    along: NDArray[np.float64]
    interocular: float

    @staticmethod
    def of(landmarks: NDArray[Any], size: int) -> FaceFrame:
        """The frame of a face with these (68, 2) landmarks in an image of size x size."""
        left, right = (np.asarray(landmarks[eye], np.float64).mean(axis=0) for eye in (slice(36, 42), slice(42, 48)))
        interocular = float(np.linalg.norm(right - left))
        along = (right - left) / interocular
        origin = (left + right) / 2
        columns, rows = np.meshgrid(np.arange(size) - origin[0], np.arange(size) - origin[1])
        x = (columns * along[0] + rows * along[1]) / interocular
        y = (rows * along[0] - columns * along[1]) / interocular
        return FaceFrame(x.astype(np.float32), y.astype(np.float32), origin, along, interocular)

    @property
    def size(self) -> int:
        """The image's side."""
        return len(self.x)

    def to_pixels(self, points: Any) -> NDArray[np.float64]:
        """(N, 2) points of the frame in pixels."""
        points = np.asarray(points, dtype=np.float64)
        down = np.array([-self.along[1], self.along[0]])
        return np.asarray(self.origin + self.interocular * (points[:, :1] * self.along + points[:, 1:] * down))


# ---------------------------------------------------------------------------------------------------------------------
# Textures of real photos


def textures_of(people: Sequence[Person], most: int = 400) -> Textures:
    """Hair, skin and photos of people to cut covers from; of hair at most so many patches."""
    hair = []
    for person in people:
        hair.extend(hair_of(person))
        if len(hair) >= most:
            break
    skins = []
    for person in people[::3]:
        colour = masks.skin_colour(person.landmarks, rgb_to_lab(person.chip))
        if colour is not None:
            skins.append(colour[0])
    return Textures(hair, skins, [person.chip for person in people[::8]])


def hair_of(person: Person) -> list[FloatArray]:
    """Patches of hair from above the forehead and beside the face, strands upright; none of a bald head."""
    lab = rgb_to_lab(person.chip)
    skin = masks.skin_colour(person.landmarks, lab)
    if skin is None:
        return []
    frame = FaceFrame.of(person.landmarks, person.chip.shape[0])
    found = []
    for place in ((-0.35, -1.35), (0.35, -1.35), (0.0, -1.45), (-1.35, -0.4), (1.35, -0.4), (-1.4, 0.4), (1.4, 0.4)):
        centre = frame.to_pixels([place])[0]
        patch = _upright(lab[..., 0], centre, half=round(0.36 * frame.interocular))
        middle = _cut(lab, centre, half=round(0.36 * frame.interocular))
        if patch is None or middle is None:
            continue
        distance = np.abs((np.median(middle, axis=(0, 1)) - skin[0]) / skin[1]).max()
        if distance > 2.5:
            found.append(patch)
    return found


def _cut(values: NDArray[Any], centre: NDArray[Any], half: int) -> NDArray[Any] | None:
    column, row = (round(float(v)) for v in centre)
    if min(row, column) < half or max(row, column) + half > len(values):
        return None
    return values[row - half : row + half, column - half : column + half]


def _upright(light: FloatArray, centre: NDArray[Any], half: int) -> FloatArray | None:
    """A patch of strands turned upright, of mean 0 and deviation 1; None where strands of one direction are lacking."""
    import cv2

    wide = _cut(light, centre, half)
    if wide is None:
        return None
    fine = wide - blur(wide, 3.0)
    down, across = cv2.Sobel(fine, cv2.CV_32F, 0, 1), cv2.Sobel(fine, cv2.CV_32F, 1, 0)
    # The structure tensor: its strong axis crosses the strands, and how far it outweighs the weak one tells hair from
    # noise.
    xx, yy, xy = float((across**2).mean()), float((down**2).mean()), float((across * down).mean())
    coherence = float(np.hypot(xx - yy, 2 * xy)) / max(xx + yy, 1e-6)
    if coherence < 0.25 or float(np.percentile(wide, 95) - np.percentile(wide, 5)) < PLAIN_HAIR:
        return None
    # The border between hair and a backdrop has one direction as well, but nothing on one side of it.
    energy = np.sqrt(blur(fine**2, half / 6))
    if float(np.percentile(energy, 8)) < 0.3 * float(energy.mean()):
        return None
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)  # of the direction across the strands
    matrix = cv2.getRotationMatrix2D((half, half), float(np.degrees(angle)), 1.0)
    turned = cv2.warpAffine(np.ascontiguousarray(wide), matrix, (2 * half, 2 * half), flags=cv2.INTER_LINEAR)
    inset = round(0.3 * half)
    patch = turned[inset:-inset, inset:-inset]
    patch = patch - blur(patch, half / 1.5)
    return np.asarray(np.clip(patch / max(float(patch.std()), 1e-3), -2.5, 2.5), dtype=np.float32)


# ---------------------------------------------------------------------------------------------------------------------
# The covers


def random_cover(landmarks: NDArray[Any], size: int, textures: Textures, rng: Generator, kind: str = "") -> list[Layer]:
    """A cover of one kind (of KINDS; "" for any) for the face with these landmarks, in an image of size x size."""
    if not kind:
        weights = np.array(list(KINDS.values()))
        kind = str(rng.choice(list(KINDS), p=weights / weights.sum()))
    frame = FaceFrame.of(landmarks, size)
    makers: dict[str, Callable[[FaceFrame, Textures, Generator], list[Layer]]] = {
        "fringe": _fringe,
        "curtain": _curtain,
        "lock": _lock,
        "strands": _strands,
        "glasses": _glasses,
        "sunglasses": _sunglasses,
        "hand": _hand,
        "mask": _mask,
        "microphone": _microphone,
        "veil": _veil,
        "hat": _hat,
        "flower": _flower,
        "cut-out": _cut_out,
    }
    return makers[kind](frame, textures, rng)


def laid_over(pixels: FloatArray, layers: Sequence[Layer]) -> tuple[FloatArray, FloatArray]:
    """The (S, S, 3) RGB face below the layers, and how much of it they hide, (S, S) in 0..1."""
    seen = np.ones(pixels.shape[:2], dtype=np.float32)
    for layer in layers:
        opacity = layer.opacity[..., None]
        pixels = pixels * (1 - opacity) + layer.colour * opacity
        if layer.hides:
            seen = seen * (1 - layer.opacity)
    return np.asarray(pixels, np.float32), np.asarray(1 - seen, np.float32)


# Hair


def _hair_colour(rng: Generator) -> tuple[float, float, float, float]:
    """L*, its spread, a* and b*."""
    draw = rng.random()
    for share, (light, spread, a, b) in HAIR:
        draw -= share
        if draw < 0:
            moved = max(4.0, light + float(rng.normal(0, 4)))
            return moved, spread * rng.uniform(0.6, 1.4), a + rng.normal(0, 1.5), b + rng.normal(0, 2)
    hue, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(15, 55)
    return rng.uniform(20, 75), rng.uniform(6, 12), chroma * np.cos(hue), chroma * np.sin(hue)


def _hair_pixels(
    across: FloatArray, down: FloatArray, interocular: float, textures: Textures, rng: Generator
) -> FloatArray:
    """(S, S, 3) RGB of hair whose strands run along `down`; both coordinates are in interocular distances."""
    import cv2

    light, spread, a, b = _hair_colour(rng)
    patch = textures.hair[int(rng.integers(len(textures.hair)))]
    scale = interocular * rng.uniform(0.8, 1.5)
    offset = rng.uniform(0, 200, 2)
    # Strands go on for longer than the patch is high: it is stretched along them and mirrored at its ends.
    texture = cv2.remap(
        patch,
        (across * scale + offset[0]).astype(np.float32),
        (down * scale * 0.5 + offset[1]).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    # Locks within the hair, in place of the mirrored patch's regular ones.
    texture = 0.75 * texture + rng.uniform(0.3, 0.8) * _noise(
        across + np.float32(0.05) * np.sin(3 * down), rng, 0.03, 0.3
    )
    band = np.exp(-(((down - rng.uniform(-1.5, 1.5)) / rng.uniform(0.2, 0.7)) ** 2)) * rng.uniform(0, 1.2)
    slope = rng.normal(0, 0.5) * across + rng.normal(0, 0.3) * down
    shade = light + spread * (texture + np.clip(band + slope, -1.5, 1.5))
    tint = np.clip(shade / max(light, 8.0), 0.4, 1.5)
    lab = np.dstack([np.clip(shade, 2, 97), a * np.sqrt(tint), b * np.sqrt(tint)])
    return lab_to_rgb(lab.astype(np.float32))


def _noise(values: NDArray[Any], rng: Generator, finest: float = 0.015, coarsest: float = 0.4) -> FloatArray:
    """A random function of one coordinate, deviation about 1, made of waves from the coarsest to the finest length."""
    total = np.zeros(values.shape, dtype=np.float32)
    lengths = np.exp(np.linspace(np.log(coarsest), np.log(finest), 6))
    for length in lengths:
        knots = rng.normal(0, 1, 512).astype(np.float32)
        place = (values / np.float32(length) + 200) % 500
        whole = place.astype(np.int32)
        part = place - whole
        part = part * part * (3 - 2 * part)
        total += knots[whole] * (1 - part) + knots[whole + 1] * part
    return total / np.float32(np.sqrt(len(lengths)))


def _thinned(opacity: FloatArray, across: FloatArray, toward_tip: FloatArray, rng: Generator) -> FloatArray:
    """Hair with gaps between its strands, more of them toward the tips (0 at the root, 1 at the tip)."""
    gaps = rng.uniform(0, 1.0) if rng.random() < 0.6 else 0.0
    if not gaps:
        return opacity
    threshold = -2.2 + 2.4 * gaps * np.clip(toward_tip, 0, 1.2)
    return np.asarray(opacity * smoothstep(-0.25, 0.25, _noise(across, rng, 0.02, 0.12) - threshold), np.float32)


def _shadow(opacity: FloatArray, frame: FaceFrame, rng: Generator) -> Layer:
    """What a cover's shadow does to the face beside it: darker, not hidden."""
    import cv2

    move = rng.normal(0, 0.05, 2) + np.array([0, 0.04])
    matrix = np.array([[1, 0, move[0] * frame.interocular], [0, 1, move[1] * frame.interocular]])
    moved = cv2.warpAffine(
        opacity, matrix, opacity.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    strength = rng.uniform(0.0, 0.45) if rng.random() < 0.8 else 0.0
    dark = np.full((*opacity.shape, 3), (30, 14, 8), np.float32)
    return Layer(dark, blur(moved, rng.uniform(0.02, 0.08) * frame.interocular) * np.float32(strength), hides=False)


def _fringe(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """Hair over the forehead: straight, slanted, parted or wispy; some reach over the brows and an eye."""
    slant = rng.normal(0, 0.25)
    bend = rng.normal(0, 0.2)
    across = frame.x + slant * frame.y + bend * frame.y**2
    base = float(
        rng.choice([rng.uniform(-0.8, -0.3), rng.uniform(-0.4, 0.05), rng.uniform(-0.1, 0.5)], p=[0.4, 0.4, 0.2])
    )
    edge = base + rng.normal(0, 0.25) * frame.x
    if rng.random() < 0.4:  # parted: it falls away from the parting
        parting = rng.normal(0, 0.4)
        edge = edge - rng.uniform(0.2, 0.5) + rng.uniform(0.3, 1.2) * np.abs(frame.x - parting)
        across = across - rng.uniform(0.2, 0.6) * np.sign(frame.x - parting) * (frame.y + 1.1)
    edge = edge + rng.uniform(0.02, 0.16) * _noise(across, rng)
    soft = rng.uniform(0.008, 0.05)
    opacity = smoothstep(-soft, soft, edge - frame.y)
    opacity = _thinned(opacity, across, (frame.y + 1.2) / np.maximum(edge + 1.2, 0.2), rng)
    opacity *= np.float32(rng.uniform(0.85, 1.0))
    hair = Layer(_hair_pixels(across, frame.y, frame.interocular, textures, rng), opacity)
    return [_shadow(opacity, frame, rng), hair]


def _curtain(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """Hair that falls beside the face or over a part of it, on one side or on both."""
    layers: list[Layer] = []
    colour: FloatArray | None = None
    for side in (-1, 1) if rng.random() < 0.4 else (int(rng.choice([-1, 1])),):
        x = frame.x * side
        edge = rng.choice([rng.uniform(0.6, 1.05), rng.uniform(0.1, 0.7), rng.uniform(-0.2, 0.3)], p=[0.6, 0.3, 0.1])
        edge = edge + rng.normal(0, 0.2) * frame.y + rng.normal(0, 0.15) * frame.y**2
        edge = edge + rng.uniform(0.02, 0.12) * _noise(frame.y, rng, 0.3, 1.5)
        across = x - edge
        strands = _noise(across + 0.1 * frame.y, rng, 0.02, 0.2)
        soft = rng.uniform(0.01, 0.08)
        opacity = smoothstep(-soft, soft, across + rng.uniform(0, 0.05) * strands)
        opacity = _thinned(opacity, across, 1 - across / 0.4, rng)
        if rng.random() < 0.5:  # it ends above the shoulder
            opacity *= smoothstep(0.1, -0.1, frame.y - rng.uniform(0.6, 2.2) + 0.1 * _noise(across, rng))
        pixels = _hair_pixels(across, frame.y, frame.interocular, textures, rng)
        colour = pixels if colour is None else colour
        layers += [_shadow(opacity, frame, rng), Layer(colour, opacity)]
    return layers


def _paths(frame: FaceFrame, rng: Generator, count: int, spread: float) -> list[NDArray[np.float64]]:
    """Curves of hairs that belong together, in pixels: from the hairline or the side down over the face."""
    side = rng.choice([-1, 1])
    root = np.array([side * rng.uniform(0, 1.2), rng.uniform(-1.4, -0.6)])
    tip = np.array([root[0] * rng.uniform(0.2, 1.3) + rng.normal(0, 0.35), root[1] + rng.uniform(0.6, 2.6)])
    middle = (root + tip) / 2 + rng.normal(0, [0.3, 0.15])
    paths = []
    for _ in range(count):
        own = rng.normal(0, spread, 2) * [1, 0.4]
        points = np.stack([root + own * 0.6, middle + own, tip + own * rng.uniform(0.3, 1.6)])
        points[2, 1] -= abs(rng.normal(0, 0.2))
        points = points + rng.normal(0, spread * 0.25, points.shape)
        paths.append(frame.to_pixels(drawing.smooth_curve(points, steps=12)))
    return paths


def _lines(
    frame: FaceFrame, paths: Sequence[NDArray[Any]], widths: Sequence[float], colours: Sequence[NDArray[Any]]
) -> tuple[FloatArray, FloatArray]:
    """Lines by their widths in pixels, (0.3 and more), as colour (S, S, 3) and opacity (S, S)."""
    import cv2

    side = frame.size * STRAND_CANVAS
    canvas = np.zeros((side, side, 4), dtype=np.float32)
    for path, width, colour in zip(paths, widths, colours, strict=True):
        points = [np.round(((path + 0.5) * STRAND_CANVAS - 0.5) * 16).astype(np.int32)]
        cv2.polylines(
            canvas, points, False, (*(float(v) for v in colour), 1.0), max(1, round(width * STRAND_CANVAS)), 8, 4
        )
    small = cv2.resize(blur(canvas, 0.6), (frame.size, frame.size), interpolation=cv2.INTER_AREA)
    opacity = np.clip(small[..., 3], 0, 1)
    return np.clip(small[..., :3] / np.maximum(small[..., 3:], 1e-3), 0, 255), opacity


def _strand_layers(
    frame: FaceFrame, rng: Generator, count: int, spread: float, widths: tuple[float, float]
) -> list[Layer]:
    light, deviation, a, b = _hair_colour(rng)
    shades = np.clip(light + deviation * rng.normal(0, 1, count), 2, 97)
    colours = lab_to_rgb(np.column_stack([shades, np.full(count, a), np.full(count, b)])[None].astype(np.float32))[0]
    paths = _paths(frame, rng, count, spread)
    pixels, opacity = _lines(frame, paths, list(rng.uniform(*widths, count)), list(colours))
    return [_shadow(opacity, frame, rng), Layer(pixels, opacity * np.float32(rng.uniform(0.75, 1.0)))]


def _lock(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """A lock across forehead, eye or cheek: some dozens of strands, dense in the middle."""
    del textures
    return _strand_layers(frame, rng, int(rng.integers(30, 160)), rng.uniform(0.04, 0.16), (0.5, 2.0))


def _strands(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """A few single hairs."""
    del textures
    layers = []
    for _ in range(int(rng.integers(1, 4))):
        layers += _strand_layers(frame, rng, int(rng.integers(1, 9)), rng.uniform(0.03, 0.3), (0.5, 1.4))
    return layers


# Glasses


def _rim(power: float, half: NDArray[Any], drop: float, cat: float) -> NDArray[np.float64]:
    """Half-axes and shape of a lens, (64, 2), around 0, x outward."""
    angle = np.linspace(0, 2 * np.pi, 64)
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = (np.sign(v) * np.abs(v) ** (2 / power) for v in (cosine, sine))
    y = np.where(y > 0, y * (1 + drop * (0.5 - x)), y - cat * np.clip(x, 0, 1) ** 2)
    return np.asarray(np.column_stack([x, y]) * half, dtype=np.float64)


def _glasses(frame: FaceFrame, textures: Textures, rng: Generator, dark_lenses: bool = False) -> list[Layer]:
    """A frame of any kind, its shadow and what its lenses reflect; clear lenses hide nothing."""
    del textures
    half = np.array([rng.uniform(0.34, 0.50), rng.uniform(0.22, 0.44)])
    if dark_lenses:
        half = half * rng.uniform(1.0, 1.25)
    rim = _rim(rng.uniform(1.8, 5), half, rng.uniform(-0.1, 0.3), rng.uniform(0, 0.5) if rng.random() < 0.3 else 0.0)
    drop, apart = rng.uniform(0.0, 0.16), rng.uniform(0.5, 0.56)
    tilt = rng.normal(0, 0.03)
    eyes = [np.array([side * apart, drop + side * tilt]) for side in (-1, 1)]
    rims = [centre + rim * [side, 1] for centre, side in zip(eyes, (-1, 1), strict=True)]
    thin = rng.random() < 0.55
    width = (rng.uniform(0.010, 0.03) if thin else rng.uniform(0.03, 0.095)) * frame.interocular
    lines: list[NDArray[Any]] = []
    style = rng.choice(["full", "upper", "rimless"], p=[0.68, 0.18, 0.14])
    for line in rims:
        if style == "full":
            lines.append(line)
        elif style == "upper":  # the upper half alone is framed
            lines.append(line[32:])
    height = drop - half[1] * rng.uniform(0.0, 0.5)
    inner = apart - half[0]
    bridge = [[-inner, height], [0, height - rng.uniform(0.0, 0.1)], [inner, height]]
    lines.append(drawing.smooth_curve(np.array(bridge)))
    if rng.random() < 0.12:
        lines.append(np.array([[-inner, height - 0.12], [inner, height - 0.12]]))  # aviators' second bridge
    for side in (-1, 1):  # temples, as far as they can be seen from before
        start = side * (apart + half[0] * 0.98)
        lines.append(np.array([[start, height], [side * rng.uniform(1.08, 1.25), height + rng.normal(0, 0.06)]]))
        if rng.random() < 0.6:  # nose pads
            lines.append(np.array([[side * inner, drop], [side * (inner - 0.05), drop + 0.12]]))
    base = _frame_colour(rng, thin)
    colours = [np.clip(base * rng.uniform(0.85, 1.15), 0, 255) for _ in lines]
    widths = [
        width * (1.0 if index < len(rims) and style == "full" else rng.uniform(0.6, 1.3)) for index in range(len(lines))
    ]
    pixels, opacity = _lines(frame, [frame.to_pixels(line) for line in lines], widths, colours)
    if not thin and rng.random() < 0.4:  # tortoiseshell
        spots = blur(rng.normal(0, 1, pixels.shape[:2]).astype(np.float32), 0.03 * frame.interocular)
        pixels = pixels * (1 + 0.5 * np.clip(spots / max(float(spots.std()), 1e-6), -1, 1.5)[..., None])
    if rng.random() < 0.6:  # light on the frame
        shine = blur(rng.normal(0, 1, pixels.shape[:2]).astype(np.float32), 0.06 * frame.interocular)
        shine = smoothstep(1.0, 2.0, shine / max(float(shine.std()), 1e-6)) * rng.uniform(0.3, 0.9)
        pixels = pixels + shine[..., None] * (250 - pixels)
    frame_opacity = opacity * np.float32(
        rng.uniform(0.35, 0.8) if rng.random() < 0.08 else 1.0
    )  # a few are see-through
    shape = (frame.size, frame.size)
    lens = drawing.fill(shape, *(frame.to_pixels(line) for line in rims), soft=0.3)
    layers = [_shadow(opacity, frame, rng)]
    if dark_lenses:
        tint = lab_to_rgb(np.array([[[rng.uniform(3, 30), rng.normal(0, 5), rng.normal(2, 8)]]], np.float32))[0, 0]
        fade = 1 - rng.uniform(0, 0.5) * smoothstep(-0.3, 0.4, frame.y - drop)
        layers.append(Layer(np.broadcast_to(tint, (*shape, 3)), lens * fade * np.float32(rng.uniform(0.75, 1.0))))
    elif rng.random() < 0.4:
        tint = rng.uniform(60, 200, 3).astype(np.float32)
        layers.append(
            Layer(np.broadcast_to(tint, (*shape, 3)), lens * np.float32(rng.uniform(0.02, 0.22)), hides=False)
        )
    if style == "rimless" or rng.random() < 0.3:  # the lens's edge catches light
        edge = np.clip(lens - blur(lens, 1.2), 0, 1)
        bright = np.full((*shape, 3), rng.choice([20.0, 235.0]), np.float32)
        layers.append(Layer(bright, edge * np.float32(rng.uniform(0.1, 0.5)), hides=False))
    if rng.random() < 0.5:
        glare = blur(rng.normal(0, 1, shape).astype(np.float32), rng.uniform(0.06, 0.2) * frame.interocular)
        glare = smoothstep(0.8, 1.6, glare / max(float(glare.std()), 1e-6)) * lens * np.float32(rng.uniform(0.1, 0.7))
        layers.append(Layer(np.full((*shape, 3), rng.uniform(215, 255), np.float32), glare, hides=False))
    layers.append(Layer(np.asarray(np.clip(pixels, 0, 255), np.float32), np.asarray(frame_opacity, np.float32)))
    return layers


def _sunglasses(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    return _glasses(frame, textures, rng, dark_lenses=True)


def _frame_colour(rng: Generator, thin: bool) -> NDArray[Any]:
    """RGB of a frame: metal where thin, mostly; black, brown and any colour where thick."""
    kind = rng.choice(
        ["metal", "gold", "dark", "brown", "any"],
        p=[0.3, 0.2, 0.35, 0.1, 0.05] if thin else [0.05, 0.05, 0.5, 0.25, 0.15],
    )
    if kind == "metal":
        return np.asarray(rng.uniform(50, 200) + rng.normal(0, 4, 3))
    if kind == "gold":
        return np.array([190, 150, 85]) * rng.uniform(0.5, 1.15)
    if kind == "dark":
        return rng.uniform(5, 60, 3)
    if kind == "brown":
        return np.array([95, 58, 36]) * rng.uniform(0.5, 1.3)
    return rng.uniform(20, 240, 3)


# Hands and things


def _shaded_shape(frame: FaceFrame, outline: NDArray[Any], lab: NDArray[Any], rng: Generator, depth: float) -> Layer:
    """A shape that is rounded like a finger: lighter along its middle, darker at its edges. outline in pixels."""
    import cv2

    shape = (frame.size, frame.size)
    opacity = drawing.fill(shape, outline, soft=0.5)
    inside = cv2.distanceTransform((opacity > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    bulge = np.clip(inside / max(float(inside.max()), 1e-3), 0, 1) ** 0.6
    noise = blur(rng.normal(0, 1, shape).astype(np.float32), 1.2) * 3
    shade = lab[0] + depth * (bulge - 0.7) + noise + rng.normal(0, 4) * frame.x
    pixels = np.dstack([np.clip(shade, 3, 97), np.full(shape, lab[1]), np.full(shape, lab[2])]).astype(np.float32)
    return Layer(lab_to_rgb(pixels), opacity)


def _hand(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """Fingers over cheek, mouth, chin or eye, of anybody's skin."""
    skin = textures.skins[int(rng.integers(len(textures.skins)))] + rng.normal(0, [5, 2, 2])
    target = np.array([rng.uniform(-0.9, 0.9), rng.uniform(-0.3, 1.8)])
    side = 1 if target[0] + rng.normal(0, 0.6) > 0 else -1
    direction = np.array([-side * rng.uniform(0.2, 1.0), rng.normal(-0.6, 0.6)])
    direction /= np.linalg.norm(direction)
    beside = np.array([-direction[1], direction[0]])
    width = rng.uniform(0.13, 0.2)
    layers: list[Layer] = []
    count = int(rng.integers(1, 5))
    for index in range(count):
        tip = (
            target
            + beside * (index - (count - 1) / 2) * width * rng.uniform(1.9, 2.5)
            + direction * rng.normal(0, 0.12)
        )
        length = rng.uniform(0.9, 1.6)
        knuckle = tip - direction * length * 0.5 + beside * rng.normal(0, 0.06)
        root = tip - direction * length + beside * rng.normal(0, 0.08)
        curve = frame.to_pixels(drawing.smooth_curve(np.stack([root, knuckle, tip]), steps=10))
        outline = drawing.stroke(curve, frame.interocular * width * np.array([1.1, 1.0, 0.95, 0.95, 0.85, 0.55]))
        finger = _shaded_shape(frame, outline, skin, rng, rng.uniform(8, 24))
        layers += [_shadow(finger.opacity, frame, rng), finger]
        if rng.random() < 0.5:
            nail = frame.to_pixels(
                drawing.smooth_curve(np.stack([tip - direction * 0.18, tip - direction * 0.02]), steps=4)
            )
            lab = (
                skin + np.array([8, 3, -4])
                if rng.random() < 0.6
                else np.array([rng.uniform(20, 80), *rng.normal(0, 30, 2)])
            )
            layers.append(
                _shaded_shape(
                    frame, drawing.stroke(nail, frame.interocular * width * np.array([0.5, 0.6, 0.4])), lab, rng, 6
                )
            )
    if rng.random() < 0.7:
        palm = target - direction * 1.5 + beside * rng.normal(0, 0.1)
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)[:, None]
        reach = 0.75 * width * max(count, 3) * 2
        outline = palm + reach * (np.cos(angle) * direction * 1.1 + np.sin(angle) * beside * 0.8)
        layers.append(
            _shaded_shape(
                frame, frame.to_pixels(drawing.smooth_curve(outline, closed=True)), skin, rng, rng.uniform(5, 20)
            )
        )
    return layers


def _cloth(frame: FaceFrame, rng: Generator) -> FloatArray:
    """(S, S, 3) RGB of a fabric: plain, woven or striped, with soft folds."""
    shape = (frame.size, frame.size)
    hue, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(0, 45) * (rng.random() < 0.6)
    light = rng.uniform(8, 95)
    folds = blur(rng.normal(0, 1, shape).astype(np.float32), rng.uniform(0.08, 0.3) * frame.interocular)
    folds = folds / max(float(folds.std()), 1e-6) * rng.uniform(1, 7)
    weave = rng.normal(0, rng.uniform(0, 4), shape)
    angle, length = rng.uniform(0, np.pi), rng.uniform(0.04, 0.3)
    wave = np.sin((frame.x * np.cos(angle) + frame.y * np.sin(angle)) / length * 2 * np.pi)
    stripes = (smoothstep(-0.2, 0.2, wave) - 0.5) * rng.uniform(10, 50) if rng.random() < 0.3 else 0.0
    lab = np.dstack(
        [np.clip(light + folds + weave + stripes, 2, 98)]
        + [np.full(shape, v) for v in chroma * np.array([np.cos(hue), np.sin(hue)])]
    )
    return lab_to_rgb(lab.astype(np.float32))


def _mask(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """A medical or cloth mask over nose and mouth, sometimes pulled down to the chin, with its loops."""
    del textures
    top = rng.uniform(0.25, 0.7) if rng.random() < 0.8 else rng.uniform(0.85, 1.5)
    wide = rng.uniform(0.85, 1.08)
    outline = [(-wide, top + 0.2), (-0.4, top + 0.05), (0, top - 0.12), (0.4, top + 0.05), (wide, top + 0.2)]
    outline += [(wide * 0.95, top + 0.9), (0.55, 1.95), (0, 2.15), (-0.55, 1.95), (-wide * 0.95, top + 0.9)]
    shape = (frame.size, frame.size)
    points = np.array(outline) + rng.normal(0, 0.03, (len(outline), 2))
    opacity = drawing.fill(shape, frame.to_pixels(drawing.smooth_curve(points, closed=True)), soft=0.5)
    pixels = _cloth(frame, rng)
    if rng.random() < 0.5:  # a medical one: pale, with pleats
        pale = np.array(rng.choice([(170, 205, 225), (235, 238, 240), (190, 220, 205), (45, 45, 50)]), np.float32)
        pleats = 1 - 0.12 * (np.sin(frame.y / rng.uniform(0.1, 0.2) * 2 * np.pi) > 0.85)
        pixels = pale * pleats[..., None] * (1 + 0.12 * frame.x[..., None] * rng.normal())
    loops = [frame.to_pixels([(side * wide, top + 0.25), (side * 1.2, top - rng.uniform(0, 0.4))]) for side in (-1, 1)]
    lines, loop_opacity = _lines(frame, loops, [rng.uniform(0.8, 3)] * 2, [rng.uniform(150, 250, 3)] * 2)
    return [
        _shadow(opacity, frame, rng),
        Layer(lines, loop_opacity),
        Layer(np.clip(pixels, 0, 255).astype(np.float32), opacity),
    ]


def _microphone(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """A hand microphone before the mouth or chin, or a headset's thin one."""
    del textures
    side = rng.choice([-1, 1])
    if rng.random() < 0.4:
        end = np.array([side * rng.uniform(0.35, 0.7), rng.uniform(1.0, 1.5)])
        path = frame.to_pixels(drawing.smooth_curve(np.stack([[side * 1.2, 0.3], [side * 0.95, 1.0], end])))
        colour = np.repeat(rng.uniform(5, 60), 3)
        pixels, opacity = _lines(frame, [path, path[-6:]], [rng.uniform(1, 3), rng.uniform(3, 9)], [colour, colour])
        return [_shadow(opacity, frame, rng), Layer(pixels, opacity)]
    head = np.array([rng.normal(0, 0.5), rng.uniform(1.3, 1.9)])
    radius = rng.uniform(0.22, 0.42)
    foot = head + np.array([side * rng.uniform(0.1, 1.0), 1.6])
    dark = np.array([rng.uniform(5, 35), *rng.normal(0, 2, 2)])
    handle = drawing.stroke(
        frame.to_pixels(drawing.smooth_curve(np.stack([head, foot]))), frame.interocular * radius * np.array([0.7, 0.6])
    )
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ball = frame.to_pixels(head + radius * np.column_stack([np.cos(angle), np.sin(angle) * rng.uniform(0.9, 1.2)]))
    layers = [
        _shaded_shape(frame, handle, dark, rng, 14),
        _shaded_shape(frame, ball, np.array([rng.uniform(10, 65), 0, 0]), rng, 30),
    ]
    mesh = (np.sin(frame.x * rng.uniform(60, 140)) * np.sin(frame.y * rng.uniform(60, 140)) + 1) / 2
    last = layers[-1]
    layers[-1] = Layer(np.asarray(last.colour * (0.5 + 0.7 * mesh[..., None]), np.float32).clip(0, 255), last.opacity)
    return [_shadow(last.opacity, frame, rng), *layers]


def _veil(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """A net, lace or sheer cloth over a part of the face."""
    del textures
    shape = (frame.size, frame.size)
    angle, pitch = rng.uniform(0.3, 1.2), rng.uniform(0.06, 0.2)
    first, second = (np.cos(angle) * frame.x + sign * np.sin(angle) * frame.y for sign in (-1, 1))
    line = rng.uniform(0.05, 0.16)
    net = np.maximum(
        *(smoothstep(1 - 2 * line, 1 - line, np.abs(np.sin(v / pitch * np.pi + np.pi / 2))) for v in (first, second))
    )
    flowers = blur(rng.normal(0, 1, shape).astype(np.float32), rng.uniform(0.04, 0.1) * frame.interocular)
    flowers = smoothstep(0.9, 1.2, flowers / max(float(flowers.std()), 1e-6)) * (rng.random() < 0.5)
    edge = rng.uniform(-0.4, 2.3) + 0.15 * _noise(frame.x, rng, 0.1, 0.6) + rng.normal(0, 0.3) * frame.x
    within = smoothstep(0.03, -0.03, frame.y - edge)
    netted = rng.random() < 0.8
    sheer = rng.uniform(0.0, 0.5) if netted else rng.uniform(0.25, 0.7)
    opacity = np.clip(net * netted + flowers, sheer, 1) * within * np.float32(rng.uniform(0.5, 1.0))
    dark = rng.random() < 0.5
    colour = np.full((*shape, 3), rng.uniform(5, 50) if dark else rng.uniform(190, 250), np.float32)
    return [Layer(colour, np.asarray(opacity, np.float32))]


def _hat(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """A hat's rim, a cap's peak, a scarf or a headband over the forehead, with the shadow below."""
    del textures
    edge = rng.uniform(-0.95, -0.15) + rng.normal(0, 0.2) * frame.x + rng.normal(0, 0.25) * frame.x**2
    edge = edge + rng.uniform(0, 0.02) * _noise(frame.x, rng, 0.1, 0.8)
    opacity = smoothstep(-0.02, 0.02, edge - frame.y)
    if rng.random() < 0.2:  # a band: the forehead shows above it
        opacity = opacity * smoothstep(0.02, -0.02, edge - rng.uniform(0.15, 0.5) - frame.y)
    if rng.random() < 0.3:  # a scarf or hood that goes on down the sides
        opacity = np.maximum(
            opacity, smoothstep(-0.02, 0.02, np.abs(frame.x) - rng.uniform(0.75, 1.1) - 0.1 * np.cos(frame.y))
        )
    deep = smoothstep(0.5, 0.0, frame.y - edge) * np.float32(rng.uniform(0, 0.55))
    shade = Layer(np.full((*opacity.shape, 3), (25, 15, 10), np.float32), deep, hides=False)
    return [shade, Layer(_cloth(frame, rng), np.asarray(opacity, np.float32))]


def _flower(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """Blossoms and leaves at the hairline, the temple or the mouth."""
    del textures
    layers: list[Layer] = []
    turn = rng.uniform(0, 2 * np.pi)
    heart = np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 1.1), rng.uniform(-1.0, 1.5)])
    for _ in range(int(rng.integers(1, 4))):
        centre = heart + rng.normal(0, 0.25, 2)
        reach, petals = rng.uniform(0.12, 0.4), int(rng.integers(4, 9))
        colour = np.array([rng.uniform(25, 92), *rng.normal(0, 32, 2)])
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        for petal in range(petals):
            spin = turn + petal * 2 * np.pi / petals
            out, beside = np.array([np.cos(spin), np.sin(spin)]), np.array([-np.sin(spin), np.cos(spin)])
            outline = centre + reach * (
                out * (0.55 + 0.5 * np.cos(angle[:, None])) + beside * 0.38 * np.sin(angle[:, None])
            )
            layers.append(
                _shaded_shape(frame, frame.to_pixels(outline), colour + rng.normal(0, 3, 3), rng, rng.uniform(5, 25))
            )
        layers.append(
            _shaded_shape(
                frame,
                frame.to_pixels(centre + 0.2 * reach * np.column_stack([np.cos(angle), np.sin(angle)])),
                np.array([60, 10, 50]),
                rng,
                10,
            )
        )
    return layers


def _cut_out(frame: FaceFrame, textures: Textures, rng: Generator) -> list[Layer]:
    """A wavy or straight-edged piece of another photo: whatever thing it may be."""
    import cv2

    photo = textures.photos[int(rng.integers(len(textures.photos)))]
    start = rng.integers(0, len(photo) - 129, 2)
    part = photo[start[0] : start[0] + 128, start[1] : start[1] + 128]
    pixels = cv2.resize(part, (frame.size, frame.size), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    if rng.random() < 0.5:
        pixels = _cloth(frame, rng)
    place = np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 1.2), rng.uniform(-1.0, 2.0)])
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = rng.uniform(0.25, 0.75) * (
        1 + rng.uniform(0, 0.3) * np.sin(angle * rng.integers(2, 6) + rng.uniform(0, 6))
    )
    outline = place + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    if rng.random() < 0.4:  # a phone, a cup, a card
        spin = rng.uniform(0, np.pi)
        turn = np.array([[np.cos(spin), -np.sin(spin)], [np.sin(spin), np.cos(spin)]])
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [rng.uniform(0.25, 0.5), rng.uniform(0.3, 0.8)]
        outline = place + corners @ turn.T
    else:
        outline = drawing.smooth_curve(outline, closed=True)
    opacity = drawing.fill((frame.size, frame.size), frame.to_pixels(outline), soft=0.4)
    return [_shadow(opacity, frame, rng), Layer(pixels, opacity)]
