"""Training sets whose true answer is known, because the makeup is drawn.

    source A (bare)                       reference B' = render(light(B), style)
    target A' = render(match(A, B), style)    removed B  = light(B), bare

What a user's photos vary in is varied here: light, colour, pose, camera noise, and what covers a face.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import alignment
from beautygan_cli.faces import masks as region_masks
from beautygan_cli.faces.reference import tidied
from beautygan_cli.faces.warp import field_onto, warp_onto
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab, weighted_mean
from beautygan_cli.imaging.drawing import blur
from beautygan_cli.makeup import rendering
from beautygan_cli.makeup.style import Style
from beautygan_cli.model.signature import Signature
from beautygan_cli.training.dataset import Person
from beautygan_cli.types import FloatArray, UInt8Array

# What is varied, each by itself to be left out: faces of nobody (morphs of two people), the head's place, turn and
# perspective, light and tone curve, glasses, hair and patches in front, and blur, noise and JPEG of the camera.
VARIATIONS = ("morphs", "poses", "lights", "covers", "cameras")
LANDMARK_NOISE = 0.01  # sd, in units: how far dlib's points wander between two photos of one face
TIDIED_SHARE = 0.7  # of the references that come as in use, teeth and covers painted over; the rest teach by themselves
MATCH_SHARE = 0.9  # of the difference between two skins that the finish takes over ...
MATCH_LIMIT = np.array(
    [14.0, 12.0, 12.0]
)  # ... at most, in L*, a*, b*: makeup shades skin, it doesn't change whose it is
MATCH_SPREAD = 0.15
BROW_SHARE = 0.7  # of the match that brows are spared: they are hair, no skin
EXPOSURE_SHARE = 0.35  # of the lightness that the match leaves, by which pigment follows the source's own light
LIGHT_SHARE = 0.3  # by which pigment gets darker or lighter with the skin of the face it is drawn on, around ...
USUAL_SKIN = 62.0  # ... L* of skin in a well lit photo: what the styles' colours are meant for


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """One example, all (S, S, C) uint8: source, reference, target and removed are RGB as the network sees them.

    masks: lips, eyes and skin of the source as three channels of 0..255; face: its mask, one channel.
    """

    source: UInt8Array
    reference: UInt8Array
    target: UInt8Array
    removed: UInt8Array
    masks: UInt8Array
    face: UInt8Array


def all_but(without: Collection[str]) -> tuple[str, ...]:
    """The variations that are left without these."""
    return tuple(name for name in VARIATIONS if name not in without)


def make_set(
    people: list[Person], rng: np.random.Generator, signature: Signature, *, varied: Collection[str] = VARIATIONS
) -> TrainingSet:
    """One training set of two different people; what `varied` doesn't name of VARIATIONS is as the photos have it."""
    first, second = _two(people, rng)
    size = signature.size
    source, source_marks, source_exact = _posed(first, people, rng, signature, varied)
    reference, reference_marks, reference_exact = _posed(second, people, rng, signature, varied)
    source_light, reference_light = (random_light(rng, size) if "lights" in varied else _as_is for _ in range(2))
    source, reference = source_light(source), reference_light(reference)
    if "lights" in varied:
        source, reference = (
            _shining(item, marks, rng) for item, marks in ((source, source_marks), (reference, reference_marks))
        )
    if "cameras" in varied:
        source = _phone(source, rng)

    style = rendering.random_style(rng)
    if "lights" in varied:
        style = rendering.relit(style, lambda colours: reference_light(colours[None], ramp=False)[0])
    made_up, target = wear(
        Bare(source, source_marks, source_exact), Bare(reference, reference_marks, reference_exact), style
    )

    occlusion = None
    if "covers" in varied:
        if rng.random() < 0.35:
            cover = random_cover(reference_marks, size, rng)
            occlusion = cover[..., 3]
            made_up, reference = _over(made_up, cover), _over(reference, cover)
        if rng.random() < 0.30:
            cover = random_cover(source_marks, size, rng)
            source, target = _over(source, cover), _over(target, cover)
    if "cameras" in varied:
        camera = _random_camera(rng)
        made_up, reference = camera(made_up), camera(reference)
        # The source's own noise is in its target too: the change that is learned is makeup alone.
        grain = rng.normal(0, rng.uniform(0, 3.5), (size, size, 1)).astype(np.float32)
        source, target = source + grain, target + grain

    source_marks = _jittered(source_marks, rng)
    reference_marks = _jittered(reference_marks, rng)
    if signature.warp_reference:
        if rng.random() < TIDIED_SHARE:
            made_up, reference = (tidied(item, reference_marks, occlusion) for item in (made_up, reference))
        both = np.concatenate([made_up, reference], axis=2)
        field = field_onto(reference_marks, source_marks, (size, size))
        both = _remap(both, field)
        made_up, reference = both[..., :3], both[..., 3:]
    face = region_masks.face_mask(source_marks, (size, size))
    if signature.mask:
        source, made_up, target, reference = (
            region_masks.masked(item, face) for item in (source, made_up, target, reference)
        )
    lips = region_masks.lips_mask(source_exact, (size, size), grow=0.015)
    eyes = region_masks.eyes_mask(source_exact, (size, size)) * face
    skin = region_masks.skin_mask(source_exact, (size, size)) * face
    return TrainingSet(
        source=_bytes(source),
        reference=_bytes(made_up),
        target=_bytes(target),
        removed=_bytes(reference),
        masks=_bytes(np.stack([lips, eyes, skin], axis=-1) * 255),
        face=_bytes(face[..., None] * 255),
    )


@dataclass(frozen=True, eq=False)
class Bare:
    """A bare face: (H, W, 3) float32 RGB 0..255, dlib's (68, 2) landmarks, and those that makeup is drawn by."""

    pixels: FloatArray
    landmarks: FloatArray
    exact: FloatArray


def wear(source: Bare, reference: Bare, style: Style) -> tuple[FloatArray, FloatArray]:
    """One style on both: the reference made up, and the true answer, the source as it looks after that transfer.

    Both (H, W, 3) float32 RGB 0..255 of their own size. The source's skin takes over the finish within `match_skin`'s
    bounds; pigment follows the light of the face that it is on.
    """
    own, other = (
        skin_statistics(source.pixels, source.landmarks),
        skin_statistics(reference.pixels, reference.landmarks),
    )
    style = rendering.shaded(style, LIGHT_SHARE * float(np.clip(other[0][0] - USUAL_SKIN, -30, 12)))
    shape = (reference.pixels.shape[0], reference.pixels.shape[1])
    paint = on_source = None
    if style.paint:
        # What is drawn anywhere lies where the reference's face is laid onto the source's.
        paint = rendering.paint_layer(reference.exact, shape, style)
        on_source = warp_onto(paint, reference.exact, source.exact, (source.pixels.shape[0], source.pixels.shape[1]))
    made_up = rendering.render(reference.pixels, reference.exact, style, paint)
    matched = match_skin(source.pixels, source.landmarks, own, other)
    rest = float(other[0][0] - skin_statistics(matched, source.landmarks)[0][0])
    if on_source is not None:
        on_source[..., 0] -= EXPOSURE_SHARE * rest
    return made_up, rendering.render(matched, source.exact, rendering.shaded(style, -EXPOSURE_SHARE * rest), on_source)


def match_skin(
    pixels: FloatArray,
    landmarks: FloatArray,
    own: tuple[NDArray[Any], NDArray[Any]],
    other: tuple[NDArray[Any], NDArray[Any]],
) -> FloatArray:
    """The face with its skin's mean and spread moved toward another's, within bounds.

    `own` and `other` are (mean, standard deviation) of the two bare skins in L*a*b*; the colours of lips, brows and
    eyes move with the skin, as the light that they share does.
    """
    lab = rgb_to_lab(pixels)
    shift = np.clip(MATCH_SHARE * (other[0] - own[0]), -MATCH_LIMIT, MATCH_LIMIT)
    spread = np.clip(other[1] / np.maximum(own[1], 1e-3), 1 - MATCH_SPREAD, 1 + MATCH_SPREAD)
    moved = (lab - own[0]) * spread + own[0] + shift
    shape = lab.shape[:2]
    kept = np.maximum(region_masks.openings_mask(landmarks, shape), region_masks.mouth_opening(landmarks, shape))
    kept = np.maximum(kept, BROW_SHARE * region_masks.brows_mask(landmarks, shape))
    inside = region_masks.face_mask(landmarks, shape) * (1 - kept)
    return lab_to_rgb(lab + (moved - lab) * blur(inside, 1.0)[..., None])


def skin_statistics(pixels: FloatArray, landmarks: FloatArray) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and standard deviation, (3,) each, of the skin in L*a*b*, at half the size: statistics need no more."""
    import cv2

    half = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    lab = rgb_to_lab(half)
    mask = region_masks.skin_mask(landmarks / 2, half.shape[:2]) ** 2
    mean = weighted_mean(lab, mask)
    return mean, np.sqrt(weighted_mean((lab - mean) ** 2, mask))


def _two(people: list[Person], rng: np.random.Generator) -> tuple[Person, Person]:
    """Two people, the second of them bare-faced: what is drawn on it is what comes off in the removal's true answer.

    Where nobody else is bare-faced, the second is the one whose lips are least red.
    """
    first = people[int(rng.integers(len(people)))]
    others = [person for person in people if person.person != first.person]
    if not any(person.bare for person in others):
        return first, min(others, key=lambda person: person.lip_contrast)
    while True:
        second = people[int(rng.integers(len(people)))]
        if second.person != first.person and second.bare:
            return first, second


def _posed(
    person: Person, people: list[Person], rng: np.random.Generator, signature: Signature, varied: Collection[str]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The face as a chip, turned, scaled, shifted, sheared and flipped a little: pixels, landmarks, exact landmarks."""
    import cv2

    if "morphs" in varied and rng.random() < 0.35:
        person = morph(person, people[int(rng.integers(len(people)))], float(rng.uniform(0.25, 0.75)))
    size = signature.size
    matrix = np.vstack([alignment.place(person.landmarks, size, signature.padding).matrix, [0, 0, 1]]).astype(
        np.float64
    )
    if "poses" in varied:
        angle, scale = np.radians(rng.normal(0, 3.5)), np.exp(rng.normal(0, 0.05))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turn = turn @ np.array([[np.exp(rng.normal(0, 0.04)), rng.normal(0, 0.04)], [0, 1]])
        centre = np.full(2, size / 2)
        shift = centre - turn @ centre + rng.normal(0, 0.025 * size, 2)
        bend = np.vstack([np.column_stack([turn, shift]), [*rng.normal(0, 0.06 / size, 2), 1]])
        bend[2, 2] -= bend[2, :2] @ centre
        matrix = bend @ matrix
        if rng.random() < 0.5:
            matrix = np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1.0]]) @ matrix
    flipped = np.linalg.det(matrix) < 0
    chip = cv2.warpPerspective(person.chip, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    marks, exact = (_through(matrix, points) for points in (person.landmarks, person.exact))
    if flipped:
        marks, exact = marks[region_masks.MIRROR], exact[region_masks.MIRROR]
    return chip.astype(np.float32), marks, exact


def _through(matrix: NDArray[Any], points: NDArray[Any]) -> FloatArray:
    full = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(full[:, :2] / full[:, 2:], dtype=np.float32)


def morph(first: Person, second: Person, share: float) -> Person:
    """A face of nobody: both bent to their mean shape, `share` of the second mixed in."""
    landmarks = (1 - share) * first.landmarks + share * second.landmarks
    exact = (1 - share) * first.exact + share * second.exact
    shape = first.chip.shape[:2]
    bent = [warp_onto(person.chip.astype(np.float32), person.exact, exact, shape) for person in (first, second)]
    mixed = (1 - share) * bent[0] + share * bent[1]
    return Person(f"{first.name}+{second.name}", _bytes(mixed), landmarks.astype(np.float32), exact.astype(np.float32))


def _as_is(pixels: FloatArray, *, ramp: bool = True) -> FloatArray:
    del ramp
    return pixels


def random_light(rng: np.random.Generator, size: int) -> Callable[..., FloatArray]:
    """A light and a camera's tone curve, as a function of (H, W, 3) RGB 0..255 that gives the same.

    With `ramp=False` the fall of light across the face is left out and any shape goes through.
    """
    wide = 1.6 if rng.random() < 0.3 else 1.0  # a third is lit as no studio is: dim, warm, coloured
    gain = np.exp(rng.normal(0, 0.06 * wide, 3)) * np.exp(rng.normal(-0.05 * (wide - 1), 0.09 * wide))
    gamma, contrast, saturation = np.exp(rng.normal(0, 0.16)), np.exp(rng.normal(0, 0.09)), np.exp(rng.normal(0, 0.14))
    angle, strength = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.11)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    slope = 1 + strength * 2 * (np.cos(angle) * columns + np.sin(angle) * rows)
    if rng.random() < 0.2:  # a hard side light: one half falls off
        edge, soft = rng.normal(0, 0.12), rng.uniform(0.08, 0.3)
        across = np.cos(angle) * columns + np.sin(angle) * rows
        slope = slope * (1 - rng.uniform(0.1, 0.4) * drawing.smoothstep(edge - soft, edge + soft, across))
    field = slope[..., None].astype(np.float32)

    def light(pixels: NDArray[Any], *, ramp: bool = True) -> FloatArray:
        value = np.clip(pixels / 255.0, 0, 1) ** gamma * gain
        value = (value - 0.5) * contrast + 0.5
        if ramp:
            value = value * field
        grey = value @ np.array([0.299, 0.587, 0.114])
        value = grey[..., None] + (value - grey[..., None]) * saturation
        # A soft shoulder in place of clipping, as cameras have it: clipped highlights lose what there is to learn.
        value = np.where(value > 0.85, 0.85 + 0.15 * np.tanh((value - 0.85) / 0.15), value)
        return np.asarray(np.clip(value, 0, 1) * 255, dtype=np.float32)

    return light


def _shining(pixels: FloatArray, landmarks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The face with shine on forehead, nose or cheeks, as a flash or a window leaves it, on two of five faces."""
    if rng.random() > 0.4:
        return pixels
    size = region_masks.interocular_distance(landmarks)
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    shine = np.zeros(rows.shape, dtype=np.float32)
    places = np.concatenate([landmarks[[29, 30, 8, 1, 15]], (landmarks[[41, 46]] + landmarks[[31, 35]]) / 2])
    places = np.concatenate([places, region_masks.forehead(landmarks, 0.4)[2:5]])
    for place in places[rng.permutation(len(places))[: int(rng.integers(1, 5))]]:
        centre = place + rng.normal(0, 0.08 * size, 2)
        angle, long, short = rng.uniform(0, np.pi), rng.uniform(0.08, 0.3) * size, rng.uniform(0.04, 0.14) * size
        x, y = columns - centre[0], rows - centre[1]
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        shine += rng.uniform(0.2, 1.0) * np.exp(-((along / long) ** 2 + (across / short) ** 2) / 2)
    shine = (
        np.clip(shine, 0, 1)
        * region_masks.face_mask(landmarks, rows.shape)
        * (1 - region_masks.openings_mask(landmarks, rows.shape))
    )
    # Oil shines where the skin bulges: pores break it up.
    light = (
        rng.uniform(0.2, 0.65)
        * shine
        * (0.75 + np.clip((pixels.mean(axis=2) - blur(pixels.mean(axis=2), 2.0)) / 24, -0.5, 0.5))
    )
    return np.asarray(pixels + light[..., None] * (np.float32(250) - pixels), dtype=np.float32)


def _phone(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A photo as a phone or a messenger leaves it: sharpened, upscaled or compressed, each sometimes."""
    import cv2

    if rng.random() < 0.3:
        pixels = pixels + np.float32(rng.uniform(0.3, 1.2)) * (pixels - blur(pixels, float(rng.uniform(0.7, 1.6))))
    if rng.random() < 0.15:
        size, factor = pixels.shape[0], rng.uniform(0.35, 0.8)
        small = cv2.resize(pixels, (round(size * factor),) * 2, interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.3:
        pixels = _through_jpeg(pixels, int(rng.integers(30, 92)))
    return np.asarray(np.clip(pixels, 0, 255), dtype=np.float32)


def _random_camera(rng: np.random.Generator) -> Callable[[FloatArray], FloatArray]:
    """Blur, noise and JPEG of a reference found somewhere; the same for each image that it is given."""
    sigma = float(rng.uniform(0.3, 1.4)) if rng.random() < 0.4 else 0.0
    noise, seed = float(rng.uniform(0, 4)), int(rng.integers(1 << 30))
    quality = int(rng.integers(35, 95)) if rng.random() < 0.35 else 0

    def camera(pixels: FloatArray) -> FloatArray:
        result = blur(pixels, sigma) if sigma else pixels
        grain = np.random.default_rng(seed).normal(0, noise, (*result.shape[:2], 1))
        result = (result + grain).astype(np.float32)
        return _through_jpeg(result, quality) if quality else np.asarray(result, dtype=np.float32)

    return camera


def _through_jpeg(pixels: FloatArray, quality: int) -> FloatArray:
    import cv2

    _, packed = cv2.imencode(".jpg", _bytes(pixels), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), dtype=np.float32)


def random_cover(landmarks: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    """Something before the face, (S, S, 4) float32: RGB 0..255 and its opacity 0..1."""
    kind = rng.choice(["hair", "hair", "glasses", "blob"])
    length = region_masks.interocular_distance(landmarks)
    if kind == "glasses":
        return _glasses(landmarks, size, length, rng)
    if kind == "blob":
        return _blob(landmarks, size, length, rng)
    return _hair(landmarks, size, length, rng)


HAIR_COLOURS = np.array([(18, 14, 12), (60, 40, 28), (110, 78, 50), (190, 160, 115), (90, 40, 30), (80, 40, 110)])


def _hair(landmarks: FloatArray, size: int, length: float, rng: np.random.Generator) -> FloatArray:
    """Strands from the hairline down over forehead or cheek."""
    import cv2

    layer = np.zeros((size, size, 4), dtype=np.float32)
    base = HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))]
    top = region_masks.forehead(landmarks)
    root = top[rng.integers(len(top))] + rng.normal(0, 0.15 * length, 2)
    fall = np.array([rng.normal(0, 0.5), 1.0]) * rng.uniform(0.6, 2.6) * length
    for _ in range(int(rng.integers(6, 70))):
        start = root + rng.normal(0, 0.22 * length, 2)
        end = start + fall * rng.uniform(0.7, 1.1) + rng.normal(0, 0.12 * length, 2)
        middle = (start + end) / 2 + rng.normal(0, 0.18 * length, 2)
        curve = drawing.smooth_curve(np.stack([start, middle, end]), steps=10)
        colour = (*(float(v) for v in np.clip(base * rng.uniform(0.6, 1.3), 0, 255)), 1.0)
        points = [np.round(curve * 8).astype(np.int32)]
        cv2.polylines(layer, points, False, colour, int(rng.integers(1, 4)), cv2.LINE_8, 3)
    return _softened(layer, 0.5)


def _glasses(landmarks: FloatArray, size: int, length: float, rng: np.random.Generator) -> FloatArray:
    """A frame around both eyes with bridge and temples."""
    import cv2

    layer = np.zeros((size, size, 4), dtype=np.float32)
    colour = (*(float(v) for v in rng.uniform(0, 90, 3)), 1.0)
    thick = int(rng.integers(1, 5))
    left, right = landmarks[region_masks.LEFT_EYE].mean(axis=0), landmarks[region_masks.RIGHT_EYE].mean(axis=0)
    drop = np.array([0, 0.08 * length])
    half = np.array([rng.uniform(0.34, 0.44), rng.uniform(0.24, 0.36)]) * length
    power = rng.uniform(1.6, 5)
    angle = np.linspace(0, 2 * np.pi, 48)
    cosine, sine = np.cos(angle), np.sin(angle)
    ring = np.stack([np.sign(v) * np.abs(v) ** (2 / power) for v in (cosine, sine)], axis=1)  # a superellipse
    lines = [left + drop + ring * half, right + drop + ring * half]
    lines.append(np.stack([left + drop + half * [1, -0.2], right + drop + half * [-1, -0.2]]))
    lines.append(np.stack([left + drop - half * [1, 0.2], landmarks[0]]))
    lines.append(np.stack([right + drop + half * [1, -0.2], landmarks[16]]))
    for line in lines:
        cv2.polylines(layer, [np.round(line * 8).astype(np.int32)], False, colour, thick, cv2.LINE_8, 3)
    return _softened(layer, 0.4)


def _blob(landmarks: FloatArray, size: int, length: float, rng: np.random.Generator) -> FloatArray:
    """A flower, a hat's rim or a hand: a wavy patch near the face's edge."""
    outline = region_masks.face_outline(landmarks)
    centre = outline[rng.integers(len(outline))] + rng.normal(0, 0.12 * length, 2)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = length * rng.uniform(0.2, 0.6) * (1 + 0.25 * np.sin(angle * rng.integers(2, 6) + rng.uniform(0, 6)))
    shape = centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    mask = drawing.fill((size, size), drawing.smooth_curve(shape, closed=True), soft=0.6)
    texture = blur(rng.normal(0, 60, (size, size, 3)).astype(np.float32), rng.uniform(1, 6))
    colour = rng.uniform(20, 240, 3) if rng.random() < 0.6 else np.array([205, 160, 135]) * rng.uniform(0.4, 1.1)
    return np.dstack([np.clip(colour + texture, 0, 255), mask]).astype(np.float32)


def _softened(layer: FloatArray, sigma: float) -> FloatArray:
    """Drawn lines with their edges smoothed; colours are carried out past them first."""
    alpha = blur(layer[..., 3], sigma)
    colour = blur(layer[..., :3], sigma) / np.maximum(alpha, 1e-3)[..., None]
    return np.dstack([np.clip(colour, 0, 255), np.clip(alpha, 0, 1)]).astype(np.float32)


def _over(pixels: FloatArray, layer: FloatArray) -> FloatArray:
    alpha = layer[..., 3:]
    return np.asarray(pixels * (1 - alpha) + layer[..., :3] * alpha, dtype=np.float32)


def _jittered(landmarks: FloatArray, rng: np.random.Generator) -> FloatArray:
    noise = rng.normal(0, LANDMARK_NOISE * region_masks.interocular_distance(landmarks), landmarks.shape)
    return (landmarks + noise).astype(np.float32)


def _remap(pixels: FloatArray, field: FloatArray) -> FloatArray:
    """A remap of more than the four channels that OpenCV takes at once."""
    import cv2

    parts = [np.ascontiguousarray(pixels[..., i : i + 3]) for i in range(0, pixels.shape[2], 3)]
    bent = [cv2.remap(part, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for part in parts]
    return np.concatenate(bent, axis=2)


def _bytes(values: NDArray[Any]) -> UInt8Array:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
