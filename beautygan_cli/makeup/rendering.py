"""Makeup drawn on a bare face: the true answer that training needs, and the samples' references.

A `Style` says what is worn; `render` draws it from 68 landmarks in L*a*b*, keeping the skin's own texture below.
All lengths are in units (the distance between the eyes' centres), so a style looks the same at any scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.masks import EyeGrid
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab, weighted_mean
from beautygan_cli.imaging.drawing import blur, smoothstep
from beautygan_cli.makeup.style import PAINTS, Blush, Brows, Colour, EyeShadow, Finish, Liner, Lipstick, Paint, Style
from beautygan_cli.types import FloatArray


def render(
    pixels: NDArray[Any], landmarks: NDArray[Any], style: Style, painted: FloatArray | None = None
) -> FloatArray:
    """The (H, W, 3) RGB face (0..255) wearing a style, as float32 of the same shape and range.

    painted: the layer of face paint, (H, W, 4), where it was drawn on another face and bent onto this one; None draws
    it here, as `paint_layer` does.
    """
    lab = rgb_to_lab(pixels)
    face = _Face(lab, landmarks)
    if style.finish:
        lab = _finish(lab, face, style.finish)
    if style.blush:
        lab = _blush(lab, face, style.blush)
    if style.brows:
        lab = _brows(lab, face.landmarks, style.brows)
    if style.shadow:
        lab = _shadow(lab, face, style.shadow, np.random.default_rng(style.seed))
    if style.liner:
        lab = _liner(lab, face, style.liner, np.random.default_rng(style.seed + 1))
    if style.lipstick:
        lab = _lipstick(lab, face, style.lipstick)
    if style.paint:
        layer = paint_layer(landmarks, face.shape, style) if painted is None else painted
        lab = _painted(lab, face, layer)
    return lab_to_rgb(lab)


class _Face:
    """What every layer of makeup needs to know of the bare face."""

    def __init__(self, lab: FloatArray, landmarks: NDArray[Any]) -> None:
        self.shape = (lab.shape[0], lab.shape[1])
        self.landmarks = np.asarray(landmarks, dtype=np.float32)
        self.interocular = masks.interocular_distance(landmarks)
        self.eyes = masks.eye_grids(landmarks, self.shape, whole=True)
        self.openings = blur(np.maximum(self.eyes[0].opening, self.eyes[1].opening), 0.008 * self.interocular)
        self.brows = masks.brows_mask(landmarks, self.shape)
        self.mask = masks.face_mask(landmarks, self.shape, soft=0.12)
        self.teeth = blur(masks.teeth_mask(landmarks, lab), 0.008 * self.interocular)
        self.mouth = drawing.fill(self.shape, drawing.smooth_curve(landmarks[masks.OUTER_LIPS], closed=True))
        rows, columns = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float32)
        self.rows, self.columns = rows, columns

    def spot(self, centre: NDArray[Any], along: NDArray[Any], long: float, short: float) -> FloatArray:
        """An oriented Gaussian, its two sigmas in units."""
        along = along / max(float(np.linalg.norm(along)), 1e-6)
        x, y = self.columns - centre[0], self.rows - centre[1]
        far = (x * along[0] + y * along[1]) / (long * self.interocular)
        wide = (-x * along[1] + y * along[0]) / (short * self.interocular)
        return np.asarray(np.exp(-(far**2 + wide**2) / 2), dtype=np.float32)


def _cover(
    lab: FloatArray, interocular: float, colour: Colour, density: NDArray[Any], texture: float = 1.0
) -> FloatArray:
    """Pigment of one colour over the skin, `density` 0..1; `texture` of the luminance detail below stays.

    Fine detail is what a small blur takes away; it is laid back on top, as makeup follows pores and creases.
    """
    smooth = blur(lab[..., 0], 0.05 * interocular)
    detail = (lab[..., 0] - smooth) * texture
    target = np.empty_like(lab)
    # A part of the skin's own light and shade shows through even opaque pigment.
    middle = float((smooth * density).sum() / max(float(density.sum()), 1e-6))
    target[..., 0] = colour[0] + 0.45 * (smooth - middle)
    target[..., 1], target[..., 2] = colour[1], colour[2]
    weight = density[..., None]
    base = lab.copy()
    base[..., 0] = smooth
    mixed = base * (1 - weight) + target * weight
    mixed[..., 0] += (lab[..., 0] - smooth) * (1 - density) + detail * density
    return np.asarray(mixed, dtype=np.float32)


def _tint(lab: FloatArray, shift: Colour, density: FloatArray) -> FloatArray:
    """A sheer layer: L*a*b* moved by `shift` times the density."""
    return np.asarray(lab + density[..., None] * np.asarray(shift, dtype=np.float32), dtype=np.float32)


def _finish(lab: FloatArray, face: _Face, finish: Finish) -> FloatArray:
    import cv2

    points = face.landmarks
    skin = face.mask * (1 - face.openings) * (1 - face.mouth)
    skin = blur(skin, 0.01 * face.interocular)
    if finish.even > 0:
        mean = weighted_mean(lab, skin).astype(np.float32)
        # Blotches are what an edge-keeping blur takes away at a fifth of a unit; pores stay, being finer.
        half = cv2.resize(lab, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        size = max(2, int(0.05 * face.interocular))
        smooth = cv2.resize(cv2.bilateralFilter(half, 2 * size + 1, 9, size), face.shape[::-1])
        wide = blur(smooth, 0.25 * face.interocular)
        evened = smooth + 0.5 * (np.clip(mean - wide, -8, 8)) * np.array([0.35, 1, 1], dtype=np.float32)
        evened[..., 0] += 0.55 * (lab[..., 0] - smooth[..., 0])
        lab = lab + (finish.even * skin)[..., None] * (evened - lab)
    lab = _tint(lab, finish.shade, skin)
    cheek_left, cheek_right = _cheeks(points)
    across = points[16] - points[0]
    if finish.shine:
        bright = smoothstep(0, 14, lab[..., 0] - float(weighted_mean(lab, skin)[0]))
        lab = _tint(lab, (finish.shine * 7, 0, 0), skin * bright)
    if finish.contour > 0:
        hollow = np.zeros(face.shape, dtype=np.float32)
        for side, jaw, cheek in ((-1, points[3], cheek_left), (1, points[13], cheek_right)):
            centre = cheek + (jaw - cheek) * 0.55
            hollow += face.spot(centre, np.array([side * 1.0, -0.55]), 0.38, 0.13)
            hollow += 0.6 * face.spot(points[5 if side < 0 else 11], across, 0.35, 0.16)
        for nose in (points[29] + (points[31] - points[33]) * 0.75, points[29] + (points[35] - points[33]) * 0.75):
            hollow += 0.5 * face.spot(nose, points[30] - points[27], 0.30, 0.05)
        lab = _tint(lab, (-11, 1.5, 2.5), np.clip(hollow, 0, 1) * finish.contour * skin)
    if finish.highlight > 0:
        light = face.spot(points[28], points[30] - points[27], 0.34, 0.05)
        light += face.spot(cheek_left + (points[0] - cheek_left) * 0.3, points[0] - cheek_left, 0.22, 0.08)
        light += face.spot(cheek_right + (points[16] - cheek_right) * 0.3, points[16] - cheek_right, 0.22, 0.08)
        light += 0.7 * face.spot(points[51] - (points[51] - points[33]) * 0.2, across, 0.1, 0.05)
        light += 0.5 * face.spot(points[8] + (points[57] - points[8]) * 0.4, across, 0.15, 0.1)
        lab = _tint(lab, (9, 0.5, 2.5), np.clip(light, 0, 1) * finish.highlight * skin)
    return lab


def _cheeks(points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The apples of the cheeks."""
    left = points[41] * 0.45 + points[48] * 0.35 + points[2] * 0.2
    right = points[46] * 0.45 + points[54] * 0.35 + points[14] * 0.2
    return left, right


def _blush(lab: FloatArray, face: _Face, blush: Blush) -> FloatArray:
    points = face.landmarks
    density: FloatArray = np.zeros(face.shape, dtype=np.float32)
    for apple, temple in zip(_cheeks(points), (points[0], points[16]), strict=True):
        centre = apple + (temple - apple) * (0.12 + 0.32 * blush.place)
        long = blush.spread * (0.75 + 0.45 * blush.place)
        density += face.spot(centre, temple - apple, long, blush.spread * (0.75 - 0.25 * blush.place))
    if blush.nose:
        density += blush.nose * face.spot(points[29], points[16] - points[0], 0.45, 0.16)
    skin = face.mask * (1 - face.openings) * (1 - face.mouth)
    density = np.asarray(np.clip(density, 0, 1) * skin * blush.amount, dtype=np.float32)
    base = weighted_mean(lab, skin).astype(np.float32)
    shift = np.asarray(blush.colour, dtype=np.float32) - base
    # Blush shades and warms; on dark skin a pale pigment would glow.
    return _tint(lab, (min(float(shift[0]) * 0.45, 2.0), float(shift[1]), float(shift[2])), density)


def with_brows(pixels: NDArray[Any], landmarks: NDArray[Any], brows: Brows) -> FloatArray:
    """The (H, W, 3) RGB face (0..255) with its brows alone made up, as `render` draws them; float32."""
    return lab_to_rgb(_brows(rgb_to_lab(pixels), landmarks, brows))


def _brows(lab: FloatArray, landmarks: NDArray[Any], brows: Brows) -> FloatArray:
    size = masks.interocular_distance(landmarks)
    stroke = masks.brows_mask(landmarks, (lab.shape[0], lab.shape[1]), soft=0.035)
    # Hair takes more than the skin between: the darker a pixel against its surroundings, the denser.
    hair = smoothstep(-1, 9, blur(lab[..., 0], 0.12 * size) - lab[..., 0])
    return _cover(lab, size, brows.colour, stroke * brows.amount * (0.45 + 0.55 * hair), texture=1.0)


BLOCK_EDGE = 0.03  # half the width of a block's edge, of the way from lash line to brow
USUAL_ROOM = 0.55  # eye widths from lash line to brow: what heights in shares of that way are drawn as in widths


def _shadow(lab: FloatArray, face: _Face, shadow: EyeShadow, rng: np.random.Generator) -> FloatArray:
    for grid in face.eyes:
        open_skin = (1 - face.openings) * (1 - face.brows)
        height, top = grid.v, shadow.height
        if shadow.in_widths:  # as high on every face, but for a brow that lies nearer, where it ends
            open_skin = open_skin * smoothstep(1.05, 0.85, grid.v)
            height, top = grid.above / np.float32(USUAL_ROOM), shadow.height / USUAL_ROOM
        # Past the outer corner no lash line bounds the colour: it fades instead.
        past = 0.15 * np.clip(grid.u - 0.95, 0, 1)
        over = smoothstep(0, 1, (grid.above + 0.02 + past) / (0.05 + 2 * past))
        end, slope = 1.0 + shadow.outward, grid.u - 0.25 * np.clip(grid.v, 0, 1)
        inner = smoothstep(-0.18, 0.12, grid.u)
        if shadow.block:
            outer = smoothstep(end + BLOCK_EDGE, end - BLOCK_EDGE, slope)
            outer = outer * smoothstep(top + BLOCK_EDGE, top - BLOCK_EDGE, height)
        else:
            outer = smoothstep(end + 0.2, 0.85 + shadow.outward * 0.3, slope)
        sides = inner * outer * over * open_skin
        soft = 0.45 - 0.33 * shadow.cut
        lid = smoothstep(top * 0.62 + soft * 0.5, top * 0.62 - soft * 0.5, height) if not shadow.block else 1.0
        crease = np.exp(-(((height - top * 0.62) / (0.30 * top + 0.05)) ** 2)) * smoothstep(0.0, 0.5, grid.u)
        fade = smoothstep(top * 1.15, top * 0.45, height)
        corner = smoothstep(0.45, 1.05, grid.u) * fade
        lash = 0.75 + 0.25 * smoothstep(0.35, 0.0, height)
        lab = _cover(lab, face.interocular, shadow.lid, np.clip(lid * lash * sides * shadow.amount, 0, 1))
        lab = _cover(lab, face.interocular, shadow.crease, np.clip(crease * sides * shadow.crease_amount, 0, 1))
        lab = _cover(lab, face.interocular, shadow.corner, np.clip(corner * sides * shadow.corner_amount, 0, 1))
        if shadow.shimmer:
            centre = np.exp(-(((grid.u - 0.5) / 0.28) ** 2) - ((height - 0.25 * top) / (0.3 * top)) ** 2)
            grain = blur(rng.random(face.shape, dtype=np.float32), 0.6)
            grain = (grain - grain.mean()) / max(float(grain.std()), 1e-6)
            lab = _tint(lab, (1, 0, 0), centre * sides * shadow.shimmer * (9 + 3 * grain))
        if shadow.inner:
            spot = np.exp(-(((grid.u + 0.02) / 0.13) ** 2) - (np.clip(grid.above, -0.2, 9) / 0.13) ** 2)
            lab = _tint(lab, (14, 0, 3), spot * open_skin * shadow.inner)
        if shadow.lower:
            depth = smoothstep(0.24, 0.02, grid.below) * smoothstep(-0.05, 0.03, grid.below)
            side = smoothstep(-0.05, 0.75, grid.u) * smoothstep(1.35, 1.05, grid.u)
            lab = _cover(lab, face.interocular, shadow.corner, depth * side * open_skin * (1 - over) * shadow.lower)
    return lab


EYE_CURVES = (([39, 38, 37, 36], [39, 40, 41, 36]), ([42, 43, 44, 45], [42, 47, 46, 45]))  # upper, lower, from inside


def _liner(lab: FloatArray, face: _Face, liner: Liner, rng: np.random.Generator) -> FloatArray:
    for grid, orders in zip(face.eyes, EYE_CURVES, strict=True):
        upper = drawing.smooth_curve(face.landmarks[orders[0]])
        lower = drawing.smooth_curve(face.landmarks[orders[1]])
        soft = max(0.35, 0.006 * face.interocular)
        line = drawing.fill(face.shape, _upper_line(upper, grid, liner), soft=soft)
        # The line sits on the lid: a hair's breadth may cover the eyeball's rim, no more.
        line = line * (1 - 0.8 * blur(_shrunk_opening(grid), soft))
        lab = _cover(lab, face.interocular, liner.colour, line * liner.amount, texture=0.5)
        if liner.lower:
            rim = np.exp(-((grid.below / 0.035) ** 2)) * smoothstep(0.15, 0.7, grid.u) * smoothstep(1.1, 0.98, grid.u)
            lab = _cover(
                lab,
                face.interocular,
                liner.colour,
                (rim * liner.lower * (grid.above < 0)).astype(np.float32),
                texture=0.5,
            )
        if liner.floating:
            line = drawing.fill(face.shape, _floating_line(upper, grid, liner), soft=soft)
            lab = _cover(
                lab, face.interocular, liner.colour, line * liner.amount * smoothstep(1.0, 0.85, grid.v), texture=0.5
            )
        if liner.lashes:
            lashes = _lashes(face, upper, grid, liner.lashes, liner.count, rng)
            under = _lashes(face, lower, grid, -0.5 * liner.lashes, liner.count // 2, rng)
            lab = _cover(lab, face.interocular, (10.0, 1.0, 1.0), np.clip(lashes + 0.6 * under, 0, 0.9), texture=0.5)
    return lab


def _shrunk_opening(grid: EyeGrid) -> FloatArray:
    return grid.opening * smoothstep(-0.01, -0.05, grid.above)


def _upper_line(upper: FloatArray, grid: EyeGrid, liner: Liner) -> FloatArray:
    """The outline of the liner's stroke: thin at the inner corner, thickest near the outer, into the wing."""
    along = upper[-1] - upper[0]
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    up = np.array([along[1], -along[0]])
    up = -up if up[1] > 0 else up
    place = np.linspace(0, 1, len(upper))[:, None]
    thickness = liner.width * grid.width * (0.25 + 0.75 * np.clip(place / 0.75, 0, 1))
    top = upper + up * thickness
    if liner.wing > 0:
        tip = upper[-1] + (along + up * liner.lift) * liner.wing * grid.width
        return np.asarray(np.concatenate([upper, [tip], top[::-1]]), dtype=np.float32)
    return np.asarray(np.concatenate([upper, top[::-1]]), dtype=np.float32)


def _floating_line(upper: FloatArray, grid: EyeGrid, liner: Liner) -> FloatArray:
    """The outline of a line that runs along the crease, from a quarter of the eye outward."""
    along = upper[-1] - upper[0]
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    up = np.array([along[1], -along[0]])
    up = -up if up[1] > 0 else up
    part = upper[len(upper) // 4 :]
    line = part + up * liner.floating * grid.width + along * np.linspace(0, 0.2, len(part))[:, None] * grid.width
    return drawing.stroke(line[:: max(1, len(line) // 6)], 0.5 * liner.width * grid.width * np.array([0.3, 1.0, 0.5]))


def _lashes(
    face: _Face, rim: FloatArray, grid: EyeGrid, length: float, count: int, rng: np.random.Generator
) -> FloatArray:
    """Single lashes as tapering curves off the rim, longer toward the outer corner; negative lengths hang down."""
    along = rim[-1] - rim[0]
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    up = np.array([along[1], -along[0]])
    up = -up if up[1] > 0 else up
    outlines = []
    for place in np.linspace(0.12, 1.0, count) + rng.normal(0, 0.012, count):
        root = rim[int(np.clip(place, 0, 1) * (len(rim) - 1))]
        reach = length * grid.width * (0.45 + 0.55 * place) * rng.uniform(0.75, 1.1)
        lean = (place - 0.35) * 0.9 * abs(reach)
        # Lashes leave the rim outward and curl up toward the tip.
        curve = np.stack([root, root + up * reach * 0.35 + along * lean * 0.55, root + up * reach + along * lean])
        outlines.append(drawing.stroke(curve, 0.013 * grid.width * np.array([1.0, 0.6, 0.1])))
    return drawing.fill(face.shape, *outlines, soft=0.3)


def _lipstick(lab: FloatArray, face: _Face, lipstick: Lipstick) -> FloatArray:
    lips = masks.lips_mask(face.landmarks, face.shape, grow=lipstick.overdrawn, soft=0.012)
    lips = lips * (1 - face.teeth)
    inside = blur(lips, 0.05 * face.interocular)
    depth = smoothstep(0.45, 0.95, inside)  # 0 at the edge, 1 in the middle
    density = lips * lipstick.amount * (1 - lipstick.ombre * (1 - depth))
    middle = float(weighted_mean(lab[..., :1], lips)[0]) if lips.sum() > 0 else 50.0
    light = lab[..., 0] - middle
    result = _cover(lab, face.interocular, lipstick.colour, density)
    if lipstick.lined:
        edge = lips * (1 - depth)
        darker = (lipstick.colour[0] * 0.72, lipstick.colour[1] * 0.9, lipstick.colour[2] * 0.9)
        result = _cover(result, face.interocular, darker, edge * lipstick.lined)
    if lipstick.gloss > 0:
        shine = smoothstep(3, 16, light) * lips
        result = _tint(result, (26 * lipstick.gloss, -6 * lipstick.gloss, -3 * lipstick.gloss), shine)
        points = face.landmarks
        low = points[57] * 0.55 + points[66] * 0.45
        spot = face.spot(low, points[54] - points[48], 0.16, 0.03) * lips * (0.6 + 0.4 * smoothstep(-6, 6, light))
        result = _tint(result, (24 * lipstick.gloss, -8 * lipstick.gloss, -4 * lipstick.gloss), spot)
    elif lipstick.gloss < 0:
        result = _tint(result, (9 * lipstick.gloss, 0, 0), smoothstep(4, 16, light) * lips)
    return result


def paint_layer(landmarks: NDArray[Any], shape: tuple[int, int], style: Style) -> FloatArray:
    """The style's face paint on a face: (H, W, 4) float32, L*a*b* and density 0..1."""
    paint = style.paint
    layer = np.zeros((*shape, 4), dtype=np.float32)
    if paint is None:
        return layer
    rng = np.random.default_rng(style.seed + 2)
    size = masks.interocular_distance(landmarks)
    places = _paint_places(landmarks, paint, rng)
    for number, place in enumerate(places):
        outline = _paint_shape(place, paint, size, rng)
        mask = drawing.fill(shape, outline, soft=paint.soft * size)
        colour = paint.colour if number % 2 == 0 or paint.kind == "freckles" else paint.second
        layer[..., :3] += mask[..., None] * (np.asarray(colour, dtype=np.float32) - layer[..., :3])
        np.maximum(layer[..., 3], mask, out=layer[..., 3])
        if paint.kind == "gems":
            spark = drawing.fill(shape, place - 0.3 * paint.size * size + (outline - place) * 0.35)
            layer[..., :3] += spark[..., None] * (np.array([98.0, 0, 0], dtype=np.float32) - layer[..., :3])
    # Where the paint thins out, its colour goes on: only the density fades.
    known = blur(layer[..., 3], 1.5)[..., None]
    beyond = blur(np.ascontiguousarray(layer[..., :3] * layer[..., 3:]), 1.5) / np.maximum(known, 1e-3)
    layer[..., :3] = np.where(layer[..., 3:] > 0.5, layer[..., :3], beyond)
    layer[..., 3] *= paint.amount
    return layer


def _paint_places(landmarks: NDArray[Any], paint: Paint, rng: np.random.Generator) -> list[NDArray[Any]]:
    """Where on the face each piece of paint is, (2,) pixels; freckles and gems lie together, the rest anywhere."""
    outline = masks.face_outline(landmarks)
    middle = np.asarray(landmarks[29], dtype=np.float64)
    size = masks.interocular_distance(landmarks)
    if paint.kind in ("freckles", "gems"):
        anchors = (
            landmarks[[29, 30, 41, 46, 2, 14]] if paint.kind == "freckles" else landmarks[[41, 46, 36, 45, 17, 26]]
        )
        spread = 0.35 if paint.kind == "freckles" else 0.16
        return [anchors[int(rng.integers(len(anchors)))] + rng.normal(0, spread * size, 2) for _ in range(paint.count)]
    edge = outline[rng.integers(0, len(outline), paint.count)]
    share = np.sqrt(rng.uniform(0, 0.85, (paint.count, 1)))
    return list(middle + share * (edge - middle))


def _paint_shape(place: NDArray[Any], paint: Paint, size: float, rng: np.random.Generator) -> NDArray[Any]:
    """The outline of one piece of paint around its place, (N, 2) pixels."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    round_ = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    reach = paint.size * size
    if paint.kind in ("stripes", "lines"):
        turn = rng.uniform(0, np.pi) if paint.kind == "lines" else rng.normal(0, 0.35)
        along = np.array([np.cos(turn), np.sin(turn)])
        half = rng.uniform(0.35, 0.9) * size * along
        bow = rng.normal(0, 0.12) * size * np.array([-along[1], along[0]])
        return drawing.stroke(np.stack([place - half, place + bow, place + half]), reach * np.array([0.7, 1.0, 0.7]))
    if paint.kind == "patches":
        wave = 1 + 0.3 * np.sin(angle * rng.integers(2, 5) + rng.uniform(0, 6))
        return drawing.smooth_curve(place + reach * wave[:, None] * round_, closed=True)
    return place + reach * rng.uniform(0.6, 1.3) * round_


def _painted(lab: FloatArray, face: _Face, layer: FloatArray) -> FloatArray:
    """The face with a layer of paint on its skin, brows and lips; eyeballs and teeth stay clear."""
    density = layer[..., 3] * face.mask * (1 - face.openings) * (1 - face.teeth)
    smooth = blur(lab[..., 0], 0.05 * face.interocular)
    target = layer[..., :3].copy()
    target[..., 0] += (lab[..., 0] - smooth) * 0.8
    return np.asarray(lab + density[..., None] * (target - lab), dtype=np.float32)


# --- styles at random -------------------------------------------------------------------------------------------

# Ranges of (L*, a*, b*) that lipsticks are sold in, and how often each is drawn.
LIP_FAMILIES: tuple[tuple[float, tuple[Colour, Colour]], ...] = (
    (0.24, ((30, 46, 20), (46, 64, 40))),  # red
    (0.22, ((44, 30, -6), (64, 56, 12))),  # pink
    (0.14, ((46, 14, 9), (62, 30, 22))),  # nude
    (0.12, ((20, 22, -12), (40, 42, 4))),  # plum
    (0.10, ((48, 38, 22), (62, 56, 40))),  # coral
    (0.08, ((26, 34, 2), (38, 50, 16))),  # berry
    (0.06, ((28, 14, 10), (44, 28, 24))),  # brown
)  # the rest: any hue
SHADOW_FAMILIES: tuple[tuple[float, tuple[Colour, Colour]], ...] = (
    (0.34, ((24, 6, 8), (52, 20, 26))),  # brown
    (0.14, ((22, 12, -26), (50, 34, -4))),  # plum and violet
    (0.12, ((60, 4, 6), (84, 18, 24))),  # champagne, gold, peach
    (0.12, ((46, 16, -4), (70, 40, 12))),  # pink, rose
    (0.10, ((12, -2, -6), (34, 4, 4))),  # smoke
)  # the rest: any hue, blue and green among them
DARK_LINER: tuple[Colour, Colour] = ((6, -1, -3), (20, 5, 6))


def random_style(rng: np.random.Generator) -> Style:
    """A style as people wear it: light to heavy, every part sometimes left out."""
    heavy = float(rng.beta(2.2, 1.4))  # 0 light, 1 heavy
    lipstick = _random_lipstick(rng, heavy) if rng.random() < 0.95 else None
    shadow = _random_shadow(rng, heavy) if rng.random() < 0.90 else None
    liner = _random_liner(rng, heavy) if rng.random() < 0.78 else None
    blush = _random_blush(rng, heavy) if rng.random() < 0.7 else None
    finish = _random_finish(rng, heavy) if rng.random() < 0.85 else None
    brows = None
    if rng.random() < 0.5:
        brows = Brows((rng.uniform(14, 34), rng.uniform(2, 9), rng.uniform(2, 14)), rng.uniform(0.15, 0.7))
        if rng.random() < 0.2:
            brows = Brows(random_colour(rng), rng.uniform(0.5, 0.95))
    if shadow and rng.random() < 0.15:
        shadow, liner = black_lid(rng)
    paint = _random_paint(rng) if rng.random() < 0.2 else None
    return Style(lipstick, shadow, liner, blush, finish, brows, paint, seed=int(rng.integers(1 << 30)))


def black_lid(rng: np.random.Generator) -> tuple[EyeShadow, Liner]:
    """A cat-eye: a dark lid no higher than a part of the eye's width, with a hard edge, drawn out into a wing."""
    colour = (float(rng.uniform(3, 16)), float(rng.normal(0, 2)), float(rng.normal(0, 3)))
    height, wing = float(rng.uniform(0.1, 0.3)), float(rng.uniform(0.2, 0.55))
    amount = float(rng.uniform(0.85, 1.0))
    shadow = EyeShadow(
        colour, colour, colour, amount, 0.0, 0.0, height=height, outward=wing * 0.4, in_widths=True, block=True,
        lower=float(rng.uniform(0.3, 0.9) if rng.random() < 0.3 else 0.0),
    )  # fmt: skip
    lift = float(rng.uniform(0.2, 0.7))
    lashes, count = (float(rng.uniform(0.2, 0.45)), int(rng.integers(24, 44))) if rng.random() < 0.6 else (0.0, 26)
    return shadow, Liner(colour, amount, height * 0.8, wing, lift, lashes=lashes, count=count)


def _random_paint(rng: np.random.Generator) -> Paint:
    kind = str(rng.choice(PAINTS))
    low, high, sizes = {
        "stripes": (1, 5, (0.03, 0.13)),
        "lines": (2, 8, (0.008, 0.03)),
        "dots": (3, 16, (0.02, 0.07)),
        "patches": (1, 4, (0.12, 0.4)),
        "freckles": (20, 70, (0.007, 0.016)),
        "gems": (4, 14, (0.018, 0.035)),
    }[kind]
    colour = (float(rng.uniform(28, 50)), 12.0, 20.0) if kind == "freckles" else _paint_colour(rng)
    return Paint(
        kind,
        colour,
        _paint_colour(rng) if rng.random() < 0.5 else colour,
        amount=float(rng.uniform(0.4, 0.8) if kind == "freckles" else rng.uniform(0.6, 1.0)),
        count=int(rng.integers(low, high)),
        size=float(rng.uniform(*sizes)),
        soft=float(rng.uniform(0.03, 0.1) if kind == "patches" and rng.random() < 0.5 else rng.uniform(0.003, 0.012)),
    )


def _paint_colour(rng: np.random.Generator) -> Colour:
    """Any hue, from black to white."""
    hue, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(0, 65)
    return float(rng.uniform(8, 96)), float(chroma * np.cos(hue)), float(chroma * np.sin(hue))


def _random_colour(rng: np.random.Generator, families: tuple[tuple[float, tuple[Colour, Colour]], ...]) -> Colour:
    draw = rng.random()
    for share, (low, high) in families:
        draw -= share
        if draw < 0:
            lightness, a, b = rng.uniform(low, high)
            return float(lightness), float(a), float(b)
    hue, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(8, 45)
    return float(rng.uniform(18, 72)), float(chroma * np.cos(hue)), float(chroma * np.sin(hue))


def _random_lipstick(rng: np.random.Generator, heavy: float) -> Lipstick:
    return Lipstick(
        colour=_random_colour(rng, LIP_FAMILIES),
        amount=float(np.clip(0.5 + 0.5 * heavy + rng.normal(0, 0.12), 0.3, 0.98)),
        gloss=float(rng.choice([0.0, rng.uniform(0.2, 1.0), -rng.uniform(0.3, 1.0)], p=[0.4, 0.35, 0.25])),
        ombre=float(rng.uniform(0.3, 0.9) if rng.random() < 0.15 else 0.0),
        lined=float(rng.uniform(0.2, 0.7) if rng.random() < 0.15 else 0.0),
        overdrawn=float(rng.uniform(-0.01, 0.03)),
    )


def _random_shadow(rng: np.random.Generator, heavy: float) -> EyeShadow:
    lid = _random_colour(rng, SHADOW_FAMILIES)
    kind = rng.choice(["one", "two", "three", "smoky"], p=[0.3, 0.3, 0.2, 0.2])
    darker = (max(8.0, lid[0] - rng.uniform(8, 24)), lid[1] * 0.8 + rng.normal(0, 4), lid[2] * 0.8 + rng.normal(0, 4))
    crease = lid if kind == "one" else darker
    corner = _random_colour(rng, SHADOW_FAMILIES) if kind == "three" else darker
    if kind == "smoky":
        crease = corner = (float(rng.uniform(10, 26)), float(rng.uniform(0, 10)), float(rng.uniform(-8, 10)))
    amount = float(np.clip(0.35 + 0.6 * heavy + rng.normal(0, 0.1), 0.2, 0.95))
    in_widths = bool(rng.random() < 0.6)
    block = in_widths and rng.random() < 0.3
    if block:
        kind = "one" if rng.random() < 0.7 else kind
    return EyeShadow(
        lid=lid,
        crease=crease,
        corner=corner,
        amount=amount,
        crease_amount=0.0 if kind == "one" else amount * float(rng.uniform(0.4, 0.9)),
        corner_amount=0.0 if kind == "one" else amount * float(rng.uniform(0.4, 0.95)),
        height=float(rng.uniform(0.16, 0.55) if in_widths else rng.uniform(0.45, 1.0)),
        outward=float(rng.uniform(0.05, 0.45)),
        in_widths=in_widths,
        block=bool(block),
        lower=amount * float(rng.uniform(0.3, 0.95)) if rng.random() < 0.45 or kind == "smoky" else 0.0,
        shimmer=float(rng.uniform(0.3, 1.0) if rng.random() < 0.35 else 0.0),
        inner=float(rng.uniform(0.3, 1.0) if rng.random() < 0.2 else 0.0),
        cut=float(rng.uniform(0.5, 1.0) if rng.random() < 0.15 else rng.uniform(0, 0.3)),
    )


def random_liner_colour(rng: np.random.Generator) -> Colour:
    """The colour of a line: nearly always dark, now and then of any hue."""
    lightness, a, b = (float(v) for v in rng.uniform(*DARK_LINER))
    return random_colour(rng) if rng.random() < 0.08 else (lightness, a, b)


def random_colour(rng: np.random.Generator) -> Colour:
    """A colour of any hue."""
    return _random_colour(rng, ())


def _random_liner(rng: np.random.Generator, heavy: float) -> Liner:
    return Liner(
        colour=random_liner_colour(rng),
        amount=float(np.clip(0.45 + 0.5 * heavy, 0.4, 0.97)),
        width=float(rng.uniform(0.03, 0.06 + 0.1 * heavy)),
        wing=float(rng.uniform(0.1, 0.5) if rng.random() < 0.5 else 0.0),
        lift=float(rng.uniform(0.15, 0.6)),
        lower=float(rng.uniform(0.3, 0.9) if rng.random() < 0.3 else 0.0),
        lashes=float(rng.uniform(0.12, 0.34) if rng.random() < 0.6 else 0.0),
        count=int(rng.integers(28, 48)) if rng.random() < 0.25 else 26,
        floating=float(rng.uniform(0.16, 0.34)) if rng.random() < 0.06 else 0.0,
    )


def _random_blush(rng: np.random.Generator, heavy: float) -> Blush:
    return Blush(
        colour=(float(rng.uniform(48, 66)), float(rng.uniform(26, 46)), float(rng.uniform(2, 28))),
        amount=float(rng.uniform(0.12, 0.3 + 0.35 * heavy)),
        place=float(rng.uniform(0, 1)),
        spread=float(rng.uniform(0.28, 0.5)),
        nose=float(rng.uniform(0.3, 0.9) if rng.random() < 0.22 else 0.0),
    )


def _random_finish(rng: np.random.Generator, heavy: float) -> Finish:
    return Finish(
        even=float(rng.uniform(0.1, 0.5 + 0.4 * heavy)),
        shade=(float(rng.normal(0.5, 1.8)), float(rng.normal(0, 1.0)), float(rng.normal(0, 1.4))),
        shine=float(rng.normal(0, 0.5)),
        contour=float(rng.uniform(0.15, 0.8) if rng.random() < 0.3 else 0.0),
        highlight=float(rng.uniform(0.2, 0.9) if rng.random() < 0.35 else 0.0),
    )


def relit(style: Style, curve: Any) -> Style:
    """The style as it looks under other light: every pigment through `curve`, (N, 3) RGB 0..255 to the same."""

    def through(colour: Colour) -> Colour:
        pixel = curve(lab_to_rgb(np.array([[colour]], dtype=np.float32))[0])
        lightness, a, b = (float(v) for v in rgb_to_lab(np.clip(pixel, 0, 255)[None])[0, 0])
        return lightness, a, b

    return recoloured(style, through)


def shaded(style: Style, lightness: float) -> Style:
    """The style with every pigment's L* moved by `lightness`, for a face that is lit more or less than another."""

    def moved(colour: Colour) -> Colour:
        return float(np.clip(colour[0] + lightness, 3, 95)), colour[1], colour[2]

    return recoloured(style, moved)


def recoloured(style: Style, change: Callable[[Colour], Colour]) -> Style:
    """The style with every pigment's colour changed."""
    lipstick, shadow, liner, blush, brows = style.lipstick, style.shadow, style.liner, style.blush, style.brows
    paint = style.paint
    return replace(
        style,
        lipstick=lipstick and replace(lipstick, colour=change(lipstick.colour)),
        shadow=shadow
        and replace(shadow, lid=change(shadow.lid), crease=change(shadow.crease), corner=change(shadow.corner)),
        liner=liner and replace(liner, colour=change(liner.colour)),
        blush=blush and replace(blush, colour=change(blush.colour)),
        brows=brows and replace(brows, colour=change(brows.colour)),
        paint=paint and replace(paint, colour=change(paint.colour), second=change(paint.second)),
    )
