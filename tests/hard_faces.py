"""Hard faces, drawn onto photos so that what covers them is known to the pixel.

Each function takes a `Bare` photo and gives a `Hard` one: glasses, a hand, hair, a beard, an open mouth, closed eyes, a
turned head, side light. Lengths are in parts of `interocular`, the distance between the eyes' centres; the
image's left is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import detection, masks
from beautygan_cli.faces.warp import warp_onto
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab
from beautygan_cli.photos.photo import read_photo

Array = NDArray[Any]
HAIR = {"black": (22, 18, 17), "brown": (74, 48, 33), "blond": (176, 140, 92), "grey": (150, 148, 146)}


@dataclass(frozen=True, eq=False)
class Bare:
    """A photo, (H, W, 3) uint8 RGB, and its largest face's landmarks, (68, 2) photo pixels."""

    pixels: Array
    landmarks: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def interocular(self) -> float:
        """Distance between the eyes' centres in pixels."""
        return masks.interocular_distance(self.landmarks)

    @cached_property
    def lab(self) -> Array:
        """The photo in L*a*b*."""
        return rgb_to_lab(self.pixels)

    @cached_property
    def skin(self) -> Array:
        """The median L*a*b* of cheeks and chin."""
        return np.median(self.lab[masks.cheeks_mask(self.landmarks, self.shape) > 0.9], axis=0)

    def point(self, along: float, down: float) -> Array:
        """The place `along` units right and `down` units below the middle between the eyes, in the face's axes."""
        left, right = self.landmarks[masks.LEFT_EYE].mean(axis=0), self.landmarks[masks.RIGHT_EYE].mean(axis=0)
        axis = (right - left) / self.interocular
        return (left + right) / 2 + self.interocular * (along * axis + down * np.array([-axis[1], axis[0]]))


@dataclass(frozen=True, eq=False)
class Hard:
    """A hard face. pixels: the photo; bare: the same face without what covers it, with its true landmarks;
    cover: (H, W) float32 0..1, how much of each pixel must stay unpainted.
    """

    pixels: Array
    bare: Bare
    cover: Array


def read(path: Path, side: int = 900) -> Bare:
    """The photo reduced to `side` pixels, with its largest face."""
    pixels = read_photo(path).pixels
    scale = min(1.0, side / max(pixels.shape[:2]))
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Bare(pixels, detection.detect(pixels)[0].landmarks)


def glasses(bare: Bare, kind: str = "black") -> Hard:
    """A frame before both eyes, with bridge, temples and a thin shadow: "black" (thick, square), "round" (brown,
    crossing the lids) or "metal" (thin, grey).
    """
    colour, thick, half, drop, power = {
        "black": ((24, 22, 24), 0.075, (0.41, 0.27), 0.06, 4.0),
        "round": ((88, 52, 30), 0.05, (0.36, 0.31), 0.14, 2.0),
        "metal": ((96, 98, 104), 0.028, (0.39, 0.27), 0.07, 2.6),
    }[kind]
    angle = np.linspace(0, 2 * np.pi, 90)
    ring = np.stack([np.sign(v) * np.abs(v) ** (2 / power) for v in (np.cos(angle), np.sin(angle))], axis=1) * half
    lines = [np.stack([bare.point(x + side, y + drop) for x, y in ring]) for side in (-0.5, 0.5)]
    inner = 0.5 - half[0]
    lines.append(np.stack([bare.point(x, drop - 0.07 - 0.04 * (1 - (x / inner) ** 2)) for x in (-inner, 0, inner)]))
    for side, ear in ((-1, 0), (1, 16)):
        lines.append(
            np.stack(
                [bare.point(side * (0.5 + half[0]), drop - 0.1), bare.landmarks[ear] - [0, 0.1 * bare.interocular]]
            )
        )
    width = max(2, round(thick * bare.interocular))
    alpha = _lines(bare.shape, lines, width)
    shade = drawing.blur(np.roll(alpha, round(0.03 * bare.interocular), axis=0), 0.03 * bare.interocular)
    gloss = np.roll(_lines(bare.shape, lines, max(1, width // 4)), -max(1, width // 5), axis=0)
    layer = np.asarray(colour) + 45 * gloss[..., None]
    return _over(bare, bare.pixels * (1 - 0.22 * shade[..., None]), layer, alpha)


def hand(bare: Bare, where: str = "mouth", tone: Array | None = None) -> Hard:
    """Three fingers from the lower left over one half of the mouth, or from the left side over one eye.

    tone: the hand's L*a*b*; None for the person's own skin.
    """
    tone = np.asarray(bare.skin if tone is None else tone, dtype=np.float64)
    if where == "mouth":
        chin = (bare.landmarks[8] + bare.landmarks[57]) / 2
        origin, ahead = bare.landmarks[48] + [-1.0 * bare.interocular, 0.55 * bare.interocular], np.array([1.0, -0.28])
        aim = (bare.landmarks[51] + chin) / 2 + [0.02 * bare.interocular, -0.03 * bare.interocular]
    else:
        origin, ahead = bare.landmarks[1] + [-0.5 * bare.interocular, -0.2 * bare.interocular], np.array([1.0, -0.12])
        aim = bare.landmarks[masks.LEFT_EYE].mean(axis=0) + np.array([0.2 * bare.interocular, 0])
    ahead = ahead / np.linalg.norm(ahead)
    across = np.array([-ahead[1], ahead[0]])
    rows, columns = np.mgrid[: bare.shape[0], : bare.shape[1]].astype(np.float32)
    lab, alpha = np.zeros((*bare.shape, 3), np.float32), np.zeros(bare.shape, np.float32)
    radius = 0.125 * bare.interocular
    length = float((aim - origin) @ ahead)
    for number, reach in ((-1, -0.12), (0, 0.0), (1, -0.07)):
        start = aim - ahead * length + across * number * 1.9 * radius
        end = aim + ahead * reach * bare.interocular + across * number * 1.9 * radius
        along = np.clip((columns - start[0]) * ahead[0] + (rows - start[1]) * ahead[1], 0, np.linalg.norm(end - start))
        far_x, far_y = columns - start[0] - along * ahead[0], rows - start[1] - along * ahead[1]
        depth = np.hypot(far_x, far_y) / radius
        finger = np.clip((1 - depth) * radius + 0.5, 0, 1)
        light = np.sqrt(np.clip(1 - depth**2, 0, 1))  # a cylinder's shading
        knuckles = drawing.smoothstep(0.05, 0.0, np.abs(np.mod(along / bare.interocular, 0.42) - 0.2)) * 0.05
        here = tone * (0.72 + 0.30 * light - knuckles)[..., None]
        lab = lab * (1 - finger[..., None]) + here * finger[..., None]
        alpha = np.maximum(alpha, finger)
    grain = drawing.blur(np.random.default_rng(1).normal(0, 4, bare.shape).astype(np.float32), 1.0)
    lab[..., 0] += grain
    shade = drawing.blur(np.roll(alpha, round(0.04 * bare.interocular), axis=0), 0.04 * bare.interocular)
    return _over(bare, bare.pixels * (1 - 0.3 * shade[..., None]), lab_to_rgb(lab), alpha)


def fringe(bare: Bare, colour: str = "brown") -> Hard:
    """Hair from the hairline down over the forehead, brows and the upper part of the lids, thinner toward its ends."""
    rng = np.random.default_rng(2)
    strands = []
    for _ in range(420):
        x = rng.uniform(-1.05, 1.05)
        tip = 0.1 * x * x - 0.2 + rng.normal(0, 0.07)
        strands.append([(x * 0.8, -1.25), (x * 0.95 + rng.normal(0, 0.03), -0.6), (x + rng.normal(0, 0.05), tip)])
    return _hair(bare, strands, colour, rng)


def strands(bare: Bare, colour: str = "brown") -> Hard:
    """A loose lock from the forehead over the outer half of the left eye, the cheek and the mouth's corner."""
    rng = np.random.default_rng(3)
    curves = []
    for _ in range(30):
        shift, end = rng.normal(0, 0.035), rng.normal(0, 0.06)
        curves.append(
            [(-0.35 + shift, -1.2), (-0.72 + shift, -0.3), (-0.6 + shift, 0.3), (-0.36 + end, 1.0), (-0.3 + end, 1.5)]
        )
    return _hair(bare, curves, colour, rng)


def beard(bare: Bare, colour: str = "brown", length: float = 0.05) -> Hard:
    """Short hairs on jaw, chin and upper lip, dense, around clear lips; some hang over the upper lip's edge."""
    rng = np.random.default_rng(4)
    points = bare.landmarks
    jaw = np.concatenate([points[2:15], np.stack([points[35], points[33], points[31]])])
    area = drawing.fill(bare.shape, jaw, soft=0.06 * bare.interocular)
    cheeks = drawing.fill(
        bare.shape, np.stack([points[2], points[31], points[48]]), np.stack([points[14], points[35], points[54]])
    )
    lips = drawing.fill(bare.shape, drawing.smooth_curve(points[masks.OUTER_LIPS], closed=True))
    area = area * (1 - drawing.blur(cheeks, 0.05 * bare.interocular)) * (lips < 0.02)
    rows, columns = np.nonzero(rng.random(bare.shape) < np.minimum(area * 2600 / bare.interocular**2, 1))
    curves, middle = [], points[57]
    for x, y in zip(columns, rows, strict=True):
        down = (
            np.array([0.35 * np.sign(x - middle[0]) * rng.random(), 1.0])
            * bare.interocular
            * length
            * rng.uniform(0.5, 1.2)
        )
        start = np.array([x, y], dtype=float)
        curves.append(np.stack([start, start + down * 0.5 + rng.normal(0, 0.5, 2), start + down]))
    # The lips' own pixels stay free of hairs except for the moustache's tips.
    free = drawing.fill(
        bare.shape, drawing.smooth_curve(points[masks.OUTER_LIPS], closed=True) + np.array([0, 0.02 * bare.interocular])
    )
    return _hair_lines(bare, curves, colour, rng, keep=1 - free)


def open_mouth(bare: Bare, gap: float = 0.3) -> Hard:
    """The mouth opened by `gap` units, with upper teeth, a dark gap and a tongue; cover is all that isn't lip."""
    points = bare.landmarks.astype(np.float64)
    target = points.copy()
    down = (points[8] - points[33]) / np.linalg.norm(points[8] - points[33]) * gap * bare.interocular
    share = {65: 0.9, 66: 1.0, 67: 0.9, 55: 0.55, 56: 0.9, 57: 1.0, 58: 0.9, 59: 0.55}
    share |= {5: 0.35, 6: 0.6, 7: 0.75, 8: 0.8, 9: 0.75, 10: 0.6, 11: 0.35, 54: 0.18, 64: 0.18, 48: 0.18, 60: 0.18}
    for number, part in share.items():
        target[number] += part * down
    # A shut mouth's inner lips are a line: its two sides must part, not what lies between them stretch.
    middle = (points[[61, 62, 63]] + points[[67, 66, 65]]) / 2
    pulled = points.copy()
    pulled[[61, 62, 63]], pulled[[67, 66, 65]] = middle - 0.005 * down, middle + 0.005 * down
    pixels = warp_onto(bare.pixels.astype(np.float32), pulled, target, bare.shape)
    target = target.astype(np.float32)
    inner = drawing.smooth_curve(target[masks.INNER_LIPS], closed=True)
    opening = drawing.fill(bare.shape, inner, soft=0.006 * bare.interocular)
    size = bare.interocular
    top, width = target[62], float(np.linalg.norm(target[64] - target[60]))
    axis = (target[64] - target[60]) / width
    below = np.array([-axis[1], axis[0]])
    light = bare.skin[0]
    inside = np.full((*bare.shape, 3), 0.0, np.float32)
    inside[:] = lab_to_rgb(np.array([[[0.18 * light + 4, 14, 7]]], np.float32))[0, 0]
    tongue = target[66] - below * 0.03 * size
    blob = np.zeros(bare.shape, np.float32)
    cv2.ellipse(
        blob,
        (
            tuple(float(v) for v in tongue),
            (0.55 * width, 0.5 * gap * size),
            float(np.degrees(np.arctan2(axis[1], axis[0]))),
        ),
        1.0,
        -1,
    )
    blob = drawing.blur(blob, 0.02 * size)[..., None]
    inside = inside * (1 - blob) + blob * lab_to_rgb(np.array([[[0.62 * light, 26, 13]]], np.float32))[0, 0]
    for number in range(-4, 4):
        left, right = (top + axis * (number + k) * 0.108 * size for k in (0.04, 0.96))
        tall = 0.13 * size * (1.0 - 0.05 * abs(number + 0.5))
        rise = -below * 0.08 * size
        tooth = drawing.fill(
            bare.shape,
            np.stack([left + rise, right + rise, right + below * tall, left + below * tall]),
            soft=0.012 * size,
        )
        shade = 1 - 0.07 * abs(number + 0.5)
        white = lab_to_rgb(np.array([[[min(92, 0.5 * light + 50) * shade, 1.5, 11]]], np.float32))[0, 0]
        inside = inside * (1 - tooth[..., None]) + white * tooth[..., None]
    inside += drawing.blur(np.random.default_rng(5).normal(0, 5, bare.shape).astype(np.float32), 0.8)[..., None]
    opened = Bare(_bytes(pixels), target)
    return _over(opened, pixels, inside, opening)


def closed_eyes(bare: Bare) -> Hard:
    """Both eyes shut: lid skin over the eyeballs and a lash line on the lower rim; nothing is covered."""
    pixels, size = bare.pixels.astype(np.float32), bare.interocular
    landmarks = bare.landmarks.copy()
    colour = np.percentile(bare.pixels[masks.lids_mask(landmarks, bare.shape) > 0.9], 65, axis=0)
    for upper, lower in (([36, 37, 38, 39], [36, 41, 40, 39]), ([42, 43, 44, 45], [42, 47, 46, 45])):
        above, below = drawing.smooth_curve(landmarks[upper]), drawing.smooth_curve(landmarks[lower])
        # Lashes and rim are a little outside the landmarks: the lid covers them too.
        centre = (above.mean(axis=0) + below.mean(axis=0)) / 2
        outline = centre + (np.concatenate([above, below[::-1]]) - centre) * [1.06, 1.45]
        area = drawing.fill(bare.shape, outline, soft=0.012 * size)
        # The lid's grain is that of the skin under the brow, its colour that of the whole lid above the eye.
        rows, columns = np.mgrid[: bare.shape[0], : bare.shape[1]].astype(np.float32)
        height = float((below - above)[:, 1].max())
        lid_top = np.interp(columns, above[:, 0], above[:, 1]).astype(np.float32)
        taken = lid_top - 0.09 * size - 0.25 * np.clip(rows - lid_top + 0.3 * height, 0, None)
        skin = cv2.remap(pixels, columns, np.minimum(taken, rows).astype(np.float32), cv2.INTER_LINEAR)
        smooth = colour + (skin - drawing.blur(skin, 0.012 * size))
        curve = np.clip((rows - lid_top) / max(height, 1), 0, 1)
        lid = smooth * (1.02 - 0.12 * (2 * curve - 0.8) ** 2)[..., None]
        pixels = pixels * (1 - area[..., None]) + lid * area[..., None]
        line = below + np.array([0, 0.01 * size])
        lashes = [line]
        for place in np.linspace(0.1, 0.95, 24):
            root = line[round(place * (len(line) - 1))]
            lashes.append(np.stack([root, root + np.array([place - 0.5, 1.0]) * 0.05 * size]))
        dark = _lines(bare.shape, lashes[:1], max(2, round(0.02 * size))) * 0.85
        dark = np.maximum(dark, 0.6 * _lines(bare.shape, lashes[1:], max(1, round(0.006 * size))))
        pixels = pixels * (1 - dark[..., None]) + np.array([38, 26, 22], np.float32) * dark[..., None]
        for first, second in zip(upper[1:-1], lower[1:-1], strict=True):
            landmarks[first] = landmarks[second] = landmarks[second] + [0, 0.01 * size]
    shut = Bare(_bytes(pixels), landmarks)
    return Hard(shut.pixels, shut, np.zeros(bare.shape, np.float32))


def turned(bare: Bare, degrees: float = 30.0) -> Hard:
    """The head turned toward the image's right, as a cylinder with a nose on it; nothing is covered."""
    points = bare.landmarks.astype(np.float64)
    middle = float((points[0, 0] + points[16, 0]) / 2)
    radius = 0.56 * float(points[16, 0] - points[0, 0])
    offset = np.clip((points[:, 0] - middle) / radius, -0.97, 0.97)
    depth = np.sqrt(1 - offset**2)
    for numbers, more in (
        (range(48, 68), 0.04),
        ([8, 7, 9], 0.05),
        ([31, 35], 0.05),
        ([32, 33, 34], 0.14),
        ([30], 0.26),
        ([29], 0.18),
        ([28], 0.1),
    ):
        depth[list(numbers)] += more
    angle = np.radians(degrees)
    target = points.copy()
    target[:, 0] = middle + radius * (offset * np.cos(angle) + (depth - 0.75) * np.sin(angle))
    pixels = warp_onto(bare.pixels, points, target, bare.shape)
    there = Bare(np.asarray(pixels), target.astype(np.float32))
    return Hard(there.pixels, there, np.zeros(bare.shape, np.float32))


def side_light(bare: Bare, dark: float = 0.16, bright: float = 1.25) -> Hard:
    """One lamp at the right: linear light falls from `bright` to `dark` times over nose and left cheek."""
    columns = np.arange(bare.shape[1], dtype=np.float32)
    middle, half = float(bare.landmarks[27:31, 0].mean()), 0.55 * bare.interocular
    light = dark + (bright - dark) * drawing.smoothstep(-1.0, 1.0, (columns - middle) / half)
    pixels = np.clip(bare.pixels * light[None, :, None] ** (1 / 2.2), 0, 255)
    lit = Bare(_bytes(pixels), bare.landmarks)
    return Hard(lit.pixels, lit, np.zeros(bare.shape, np.float32))


def _hair(bare: Bare, curves: list[Any], colour: str, rng: np.random.Generator) -> Hard:
    lines = [np.stack([bare.point(*place) for place in curve]) for curve in curves]
    return _hair_lines(bare, lines, colour, rng, width=0.022)


def _hair_lines(
    bare: Bare,
    lines: list[Array],
    colour: str,
    rng: np.random.Generator,
    *,
    width: float = 0.006,
    keep: Array | None = None,
) -> Hard:
    """Curves as hairs, each of a tone of its own, with a soft shadow below them."""
    layer, alpha = np.zeros((*bare.shape, 3), np.float32), np.zeros(bare.shape, np.uint8)
    for line in lines:
        curve = [np.round(drawing.smooth_curve(line, steps=6) * 16).astype(np.int32)]
        thick = max(1, round(width * bare.interocular * rng.uniform(0.4, 1.1)))
        tone = np.clip(np.array(HAIR[colour]) * rng.uniform(0.65, 1.35), 0, 255)
        # Colours reach further than opacity does, so that soft edges have them too.
        cv2.polylines(layer, curve, False, tuple(float(v) for v in tone), thick + 2, cv2.LINE_8, 4)
        cv2.polylines(alpha, curve, False, 255, thick, cv2.LINE_AA, 4)
    cover = alpha.astype(np.float32) / 255 * (1 if keep is None else keep)
    shade = drawing.blur(np.roll(cover, round(0.02 * bare.interocular), axis=0), 0.025 * bare.interocular)
    return _over(bare, bare.pixels * (1 - 0.2 * shade[..., None]), drawing.blur(layer, 0.6), cover)


def _lines(shape: tuple[int, int], lines: list[Array], width: int) -> Array:
    mask = np.zeros(shape, np.uint8)
    for line in lines:
        curve = line if len(line) == 2 else drawing.smooth_curve(line)
        cv2.polylines(mask, [np.round(curve * 16).astype(np.int32)], False, 255, width, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def _over(bare: Bare, below: Array, layer: Array, alpha: Array) -> Hard:
    pixels = below * (1 - alpha[..., None]) + layer * alpha[..., None]
    return Hard(_bytes(pixels), bare, np.asarray(alpha, np.float32))


def _bytes(pixels: Array) -> Array:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
