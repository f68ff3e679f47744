"""Eye makeup as a layer of pigment in the eye's own coordinates, taken from a reference and laid on a source.

The makeup model sees an eye as some sixty pixels: what it paints is soft, however sharp the reference's liner is. So
the pigment is read off the reference's photo by a network of its own (`eye_pigment.py`), to which the makeup model's
removal is a hint, and multiplied onto the source at its photo's size:

    density = log(bare + e) - log(worn + e)        result = (photo + e) * exp(-density) - e

in linear light, so that light and skin of the reference are left out and those of the source stay. Coordinates are u
from the inner corner (0) to the outer (1), and v, the height over the upper lid's rim (below 0: under the lower one),
both in eye widths: a liner is as thick on every eye, however high its brow lies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import ModelError
from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import EyePatch, FaceAnalysis
from beautygan_cli.faces.reference import far_share, turn
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import DARKEST, coded, linear_light, log_light, weighted_mean
from beautygan_cli.makeup import eye_pigment
from beautygan_cli.makeup.composite import fitted_change, seen_in
from beautygan_cli.makeup.eye_pigment import ACROSS, SHAPE, UP, coordinates
from beautygan_cli.model.measured import remembered
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.model.signature import Signature
from beautygan_cli.types import Box, FloatArray, UInt8Array

LEAST_EXPLAINED = 0.5  # share of known pigment that a model's removal must take off, for pigment to be read by it
FINEST = 200  # cells of a layer to an eye's width at most: half a pixel of what is seen of a lash
REACH = 5  # cells of what the network reads, to each side, over which density follows the photo's own light
CLOSE = 0.2  # eye widths over the lid up to which heights are the same on every eye; beyond, they follow the brow ...
LEAST_SCALE, MOST_SCALE = 0.6, 1.6  # ... within these factors
SAME = 0.01  # squared difference of log light below which the photo shows noise and no edge
ALIKE = (0.5, 0.8)  # correlation of what is wide in both eyes' layers from which that is evened out in part, and wholly
FINE = 0.06  # eye widths: what is finer than that is lost to the network and comes from the layer
LEAST_KNOWN = 0.05  # share of what is near that takes the layer, from which on its mean is told
DEPTH = 0.5  # share that the network has in the depth of what is wide: it saw more of soft shadow than of lines
SHARED = (72, 106)  # cells of the depth that both eyes share: it is soft
LEAST_ROOM = 0.18  # eye widths from lid to brow at least
BELOW_BROW = (0.95, 0.7)  # of the way from lid to brow, over which the layer ends: above are the brow's own hairs
BROW = 0.9  # of a brow's mask, from which on nothing of the layer lies there
RIM = 0.03  # eye widths into the opening over which the rims' density goes on, since landmarks miss the rim by 0.02


@dataclass(frozen=True, eq=False)
class EyeLayer:
    """One eye's pigment.

    density: (H, W, 3) float32, natural logarithm of what each of linear red, green and blue is divided by; rows from
    v = UP[1] down to UP[0], columns from u = ACROSS[0] to ACROSS[1]. room: (W,) eye widths from the lid to the brow.
    """

    density: FloatArray
    room: FloatArray


def eye_layers(
    faces: Sequence[FaceAnalysis], network_input: NDArray[Any], bared: NDArray[Any]
) -> list[tuple[EyeLayer, EyeLayer] | None]:
    """The layers of each reference's left and right eye; of a turned face the near eye's serves both.

    network_input, bared: (N, S, S, 3) RGB 0..255, their chips as the makeup model saw them, and with their makeup off.
    None where a face came without its photo's own pixels, or its cheeks, by which its light is known, are out of sight.
    """
    seen = [
        look_at(face, before, after) if face.eyes else None
        for face, before, after in zip(faces, network_input, bared, strict=True)
    ]
    eyes = [eye for both in seen if both is not None for eye in both]
    if not eyes:
        return [None] * len(faces)
    stacked = [np.stack(values) for values in zip(*((e.worn, e.cheeks, e.room, e.removed) for e in eyes), strict=True)]
    read = iter(eye_pigment.read(*stacked))
    result: list[tuple[EyeLayer, EyeLayer] | None] = []
    for face, both in zip(faces, seen, strict=True):
        if both is None:
            result.append(None)
        else:
            layers = [_layer(face, number, eye.worn, next(read)) for number, eye in enumerate(both)]
            result.append(_by_near_eye(face, *_evened(*layers)))
    return result


@dataclass(frozen=True, eq=False)
class SeenEye:
    """What `eye_pigment.read` is given of an eye: see there."""

    worn: UInt8Array
    cheeks: FloatArray
    room: FloatArray
    removed: FloatArray


def look_at(face: FaceAnalysis, network_input: NDArray[Any], bared: NDArray[Any]) -> tuple[SeenEye, SeenEye] | None:
    """Both eyes of a face as the network that reads pigment sees them; None where the cheeks are out of sight.

    network_input, bared: its chip (S, S, 3) RGB 0..255 as the makeup model saw it, and with its makeup off.
    """
    on_cheeks = face.mask(masks.cheeks_mask)
    cheeks = _cheeks_light(face.chip, on_cheeks)
    if cheeks is None:
        return None
    change = fitted_change(face.chip, np.asarray(bared, np.float32) - np.asarray(network_input, np.float32))
    shade = _shade(network_input, bared, on_cheeks)
    left, right = (_seen(face, patch, number, cheeks, change, shade) for number, patch in enumerate(face.eyes))
    return left, right


def _seen(
    face: FaceAnalysis,
    patch: EyePatch,
    number: int,
    cheeks: FloatArray,
    change: Sequence[FloatArray],
    shade: FloatArray,
) -> SeenEye:
    import cv2

    landmarks, pixels = _in_patch(face, patch), patch.pixels
    across = SHAPE[1] / (ACROSS[1] - ACROSS[0])
    scale = min(1.0, across / masks.eye_frame(landmarks, number).width)
    if scale < 1:
        side = max(1, round(len(pixels) * scale))
        scale = side / len(pixels)
        pixels = np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    places, room = cells(landmarks, number, SHAPE)
    # A pixel's centre lies at its whole coordinate.
    worn = np.asarray(_sampled(pixels, np.asarray((places + 0.5) * scale - 0.5, np.float32)), np.uint8)
    in_chip = face.crop_transform.to_chip(patch.crop_transform.to_photo(places.reshape(-1, 2))).reshape(places.shape)
    *linear, low, high = [_sampled(layer, in_chip) for layer in change]
    whole = np.dstack([worn, np.ones(worn.shape[:2], np.float32)]).astype(np.float32)
    moved = np.stack([(slopes * whole).sum(axis=-1) for slopes in linear], axis=-1)
    bare = worn + np.clip(moved, low, high)
    removed = log_light(bare) - log_light(worn) - shade
    return SeenEye(worn, cheeks, room, np.asarray(removed, np.float32))


def _shade(network_input: NDArray[Any], bared: NDArray[Any], skin: FloatArray) -> FloatArray:
    """The density of the skin as a whole, (3,): foundation, which is not the eyes'."""
    both = [weighted_mean(log_light(item), skin) for item in (bared, network_input)]
    return np.asarray(both[0] - both[1], np.float32)


def drawn_layers(bare: FaceAnalysis, worn: FaceAnalysis) -> tuple[EyeLayer, EyeLayer]:
    """The layers of a face's left and right eye whose makeup was drawn: exact, since the face is known without it.

    bare, worn: the same face, from photos of the same size, with the same landmarks.
    """
    layers = []
    for number, (before, after) in enumerate(zip(bare.eyes, worn.eyes, strict=True)):
        width = masks.eye_frame(_in_patch(bare, before), number).width
        fine = _shape_of(width)
        places, room = cells(_in_patch(bare, before), number, fine)
        density = log_light(_sampled(before.pixels, places)) - log_light(_sampled(after.pixels, places))
        layers.append(EyeLayer(np.asarray(density * window_of(room, fine), np.float32), room))
    return layers[0], layers[1]


def _cheeks_light(pixels: NDArray[Any], cheeks: FloatArray) -> FloatArray | None:
    """The mean `log_light` of a face's cheeks, (3,) float32: light and foundation. None where they are out of sight.

    pixels: (H, W, 3) RGB 0..255 of the face; cheeks: their mask, (H, W).
    """
    mean = weighted_mean(log_light(pixels), cheeks)
    return np.asarray(mean, np.float32) if np.isfinite(mean).all() else None


def cells(landmarks: NDArray[Any], number: int, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Where the cells of an eye's layer lie in a picture, (H, W, 2) in x, y, and the room to the brow by column, (W,).

    landmarks: (68, 2) in the picture; number: 0 for its left eye, 1 for its right one; shape: (H, W) cells.
    """
    frame = masks.eye_frame(landmarks, number)
    u, v = coordinates(shape)
    lid, rim, arch = frame.heights(u)
    heights = np.where(v[:, None] >= 0, v[:, None] + lid, v[:, None] + rim)
    places = frame.to_image(np.broadcast_to(u, heights.shape), heights).astype(np.float32)
    return places, np.asarray(arch - lid, np.float32)


def window_of(room: FloatArray, shape: tuple[int, int] = SHAPE) -> FloatArray:
    """1 at the cells where makeup of an eye can lie, fading toward brow, nose and temple, (*shape, 1)."""
    u, v = coordinates(shape)
    return _window(u, v[:, None], room)


def _in_patch(face: FaceAnalysis, patch: EyePatch) -> FloatArray:
    """The face's landmarks in the pixels of an eye's patch."""
    return patch.crop_transform.to_chip(face.crop_transform.to_photo(face.landmarks))


def _shape_of(width: float) -> tuple[int, int]:
    """The cells of a layer for an eye of so many pixels."""
    across = int(min(FINEST, max(24, width)))
    return round((UP[1] - UP[0]) * across), round((ACROSS[1] - ACROSS[0]) * across)


def _sampled(picture: NDArray[Any], places: FloatArray) -> NDArray[Any]:
    """What a picture shows at places, (H, W, 2) in x, y; beyond its edge its last pixels go on."""
    import cv2

    x, y = places[..., 0], places[..., 1]
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _layer(face: FaceAnalysis, number: int, seen: UInt8Array, density: FloatArray) -> EyeLayer:
    """The layer of an eye as finely as its photo shows it; density: as the network read it off `seen`."""
    patch = face.eyes[number]
    landmarks = _in_patch(face, patch)
    shape = _shape_of(masks.eye_frame(landmarks, number).width)
    fine = shape[0] > SHAPE[0]
    places, room = cells(landmarks, number, shape if fine else SHAPE)
    if fine:
        density = _refined(density, log_light(seen), log_light(_sampled(patch.pixels, places)))
    of_brows = _sampled(masks.brows_mask(landmarks, (patch.pixels.shape[0], patch.pixels.shape[1])), places)
    inside = window_of(room, (density.shape[0], density.shape[1])) * (1 - of_brows)[..., None]
    return EyeLayer(np.asarray(density * inside, np.float32), room)


def _refined(density: FloatArray, coarse: FloatArray, fine: FloatArray) -> FloatArray:
    """A density enlarged so that its edges lie where the photo's are.

    The guided filter of K. He, J. Sun, X. Tang, "Guided Image Filtering" (2010), each colour guided by its own light:
    within a small window the density is linear in it. coarse, fine: the light at the density's cells and at the finer
    ones, (h, w, 3) and (H, W, 3).
    """
    import cv2

    def mean(values: NDArray[Any]) -> FloatArray:
        side = 2 * REACH + 1
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), dtype=np.float32)

    light, level = mean(coarse), mean(density)
    slope = (mean(coarse * density) - light * level) / (mean(coarse * coarse) - light * light + SAME)
    size = fine.shape[1::-1]
    slope, start = (
        cv2.resize(mean(item), size, interpolation=cv2.INTER_LINEAR) for item in (slope, level - slope * light)
    )
    return np.asarray(slope * fine + start, dtype=np.float32)


def _evened(left: EyeLayer, right: EyeLayer) -> tuple[EyeLayer, EyeLayer]:
    """The two layers with the mean of what is wide in both, as far as they are alike: the rest is misread light.

    What is fine stays each eye's own, since it lies where its photo shows it.
    """
    import cv2

    def wide(values: FloatArray) -> FloatArray:
        return drawing.blur(values, FINE * values.shape[1] / (ACROSS[1] - ACROSS[0]))

    def apart(own: EyeLayer, other: EyeLayer) -> FloatArray:
        size = own.density.shape[1::-1]
        return wide(cv2.resize(other.density, size, interpolation=cv2.INTER_LINEAR) - own.density)

    both = [wide(cv2.resize(eye.density, SHAPE[::-1], interpolation=cv2.INTER_AREA)).mean(-1) for eye in (left, right)]
    likeness = np.corrcoef([values.ravel() for values in both])[0, 1]
    share = 0.5 * float(drawing.smoothstep(*ALIKE, np.array(likeness))) if np.isfinite(likeness) else 0.0
    densities = [own.density + np.float32(share) * apart(own, other) for own, other in ((left, right), (right, left))]
    return EyeLayer(densities[0], left.room), EyeLayer(densities[1], right.room)


def _by_near_eye(face: FaceAnalysis, left: EyeLayer, right: EyeLayer) -> tuple[EyeLayer, EyeLayer]:
    """The two layers of a face, the far eye's of a turned one by the near eye's."""
    far = far_share(face.landmarks)
    if far <= 0:
        return left, right
    return (_mixed(left, right, far), right) if turn(face.landmarks) < 0 else (left, _mixed(right, left, far))


def _window(u: FloatArray, v: FloatArray, room: FloatArray) -> FloatArray:
    """1 where makeup of an eye can lie, fading toward the brow's hairs, the nose and the temple, (H, W, 1)."""
    across = drawing.smoothstep(-0.4, -0.15, u) * drawing.smoothstep(ACROSS[1], ACROSS[1] - 0.3, u)
    up = drawing.smoothstep(*BELOW_BROW, v / np.maximum(room, LEAST_ROOM)) * drawing.smoothstep(UP[0], UP[0] + 0.15, v)
    return (across * up)[..., None]


def _mixed(first: EyeLayer, second: EyeLayer, share: float) -> EyeLayer:
    import cv2

    size = first.density.shape[1::-1]
    density = cv2.resize(second.density, size, interpolation=cv2.INTER_LINEAR)
    room = np.interp(np.linspace(0, 1, size[0]), np.linspace(0, 1, len(second.room)), second.room)
    return EyeLayer(
        np.asarray(first.density + share * (density - first.density), np.float32),
        np.asarray(first.room + share * (room - first.room), np.float32),
    )


def grey(layer: EyeLayer) -> EyeLayer:
    """The layer with as much of each colour: it darkens, and colours nothing."""
    mean = layer.density.mean(axis=-1, keepdims=True)
    return EyeLayer(np.asarray(np.repeat(mean, 3, axis=-1), np.float32), layer.room)


def weighted(parts: Sequence[tuple[tuple[EyeLayer, EyeLayer], float]]) -> tuple[EyeLayer, EyeLayer]:
    """The layers of a mix of references, by weight."""
    total, mixed = 0.0, parts[0][0]
    for layers, weight in parts:
        total += weight
        if not total:
            continue
        mixed = (_mixed(mixed[0], layers[0], weight / total), _mixed(mixed[1], layers[1], weight / total))
    return mixed


def usable(session: MakeupSession, example: Callable[[Signature], tuple[FaceAnalysis, FaceAnalysis]]) -> bool:
    """Whether the model takes makeup off well enough to read pigment by it; measured once, on a face that is known.

    example: gives a bare face as a model sees it, and the same made up; called where nothing is known of this model.
    """
    with _measuring:  # two threads would measure it twice
        known = _known_usable.get(session)
        if known is None:
            what = f"share of the lids' pigment that removal takes off, {session.precision}"
            measure = partial(_explained, session, example)
            explained = remembered(what, session.digest, session.signature, measure)
            known = _known_usable[session] = explained >= LEAST_EXPLAINED
        return known


_measuring = threading.Lock()
_known_usable: WeakKeyDictionary[MakeupSession, bool] = WeakKeyDictionary()


def _explained(session: MakeupSession, example: Callable[[Signature], tuple[FaceAnalysis, FaceAnalysis]]) -> float:
    """The share of the lids' pigment, in density, that the model's removal takes off the face; below 0 it adds some."""
    bare, worn = example(session.signature)
    network_input, clean = (face.chip.astype(np.float32) for face in (worn, bare))
    if session.signature.mask:
        inside = worn.mask(masks.face_mask)
        network_input, clean = masks.masked(network_input, inside), masks.masked(clean, inside)
    try:
        bared = session.remove(network_input[None], clean[None])[0]
    except ModelError:
        return 0.0
    lids = worn.mask(masks.lids_mask)[..., None]
    true, left = log_light(clean) - log_light(network_input), log_light(clean) - log_light(bared)
    return 1 - float((np.abs(left) * lids).sum() / max(float((np.abs(true) * lids).sum()), 1e-6))


def places(face: FaceAnalysis, shape: tuple[int, int]) -> tuple[Box, Box]:
    """The rows and columns of a photo of (H, W) that the layers of a face's left and right eye may change."""
    landmarks = face.crop_transform.to_photo(face.landmarks)
    left, right = (masks.eye_frame(landmarks, number).box(ACROSS, UP, shape) for number in (0, 1))
    return left, right


def lay_on(
    photo: UInt8Array,
    face: FaceAnalysis,
    boxes: Sequence[Box],
    own: Sequence[UInt8Array],
    painted: Sequence[FloatArray],
    layers: Sequence[EyeLayer],
    strength: float,
    ground: NDArray[Any],
) -> None:
    """Both eyes' layers in a photo, (H, W, 3) uint8 RGB, that the network's change has been pasted into.

    boxes: as `places` gives them; own, painted: what the photo showed there before the network's change, and after it
    as `composite.paste_into` gives it exactly; strength: of the eyes' makeup, 0..1; ground:
    (3,) density of the shade that the whole face takes.
    """
    landmarks = face.crop_transform.to_photo(face.landmarks)
    eyes = []
    for number, (box, before, after, layer) in enumerate(zip(boxes, own, painted, layers, strict=True)):
        corner = np.array([box[1].start, box[0].start])
        within = np.asarray(landmarks - corner, dtype=np.float32)
        brows = masks.brows_over_lids(within, (before.shape[0], before.shape[1]))
        free = np.clip(1 - brows / BROW, 0, 1) * seen_in(face, box)
        eyes.append(_met(before, after, within, number, layer, free, strength, ground))
    depths = _shared_depths(eyes)
    for box, before, after, eye, depth in zip(boxes, own, painted, eyes, depths, strict=True):
        wide = eye.wide - eye.wide.mean(axis=-1, keepdims=True) + DEPTH * depth[..., None]
        total = log_light(before) - log_light(after) + eye.edge[..., None] * (eye.wanted + wide - eye.network)
        light = (linear_light(before) + np.float32(DARKEST)) * np.exp(-total) - np.float32(DARKEST)
        # The boxes of the two eyes of a tilted face overlap: only what this eye's layer reaches is its own.
        np.copyto(photo[box], np.rint(coded(light)).astype(np.uint8), where=(eye.edge > 0)[..., None])


@dataclass(frozen=True, eq=False)
class _MetEye:
    """What is to be laid on one eye's box of a photo, and what the network painted there.

    landmarks: (68, 2) in the box; number: of the eye; u, v: (H, W), where its pixels lie in the eye's coordinates;
    edge: (H, W) 0..1, how much of the layer each takes; wanted, network: (H, W, 3), the density of the layer and of the
    network's change; wide: (H, W, 3), what the network's has more of, but for what is fine.
    """

    landmarks: FloatArray
    number: int
    u: FloatArray
    v: FloatArray
    edge: FloatArray
    wanted: FloatArray
    network: FloatArray
    wide: FloatArray


def _met(
    own: UInt8Array,
    painted: FloatArray,
    landmarks: FloatArray,
    number: int,
    layer: EyeLayer,
    weight: FloatArray,
    strength: float,
    ground: NDArray[Any],
) -> _MetEye:
    """One eye's layer met with what the network painted in its box of the photo, (H, W, 3) uint8 RGB.

    own, painted: the box before and after the network's change, RGB 0..255; landmarks: (68, 2) in its pixels; weight:
    (H, W) 0..1, how much of the change each pixel takes; strength: of the eyes' makeup, 0..1; ground: (3,) density of
    the shade that the whole face takes.
    """
    shape = (own.shape[0], own.shape[1])
    frame = masks.eye_frame(landmarks, number)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    u, y = frame.coordinates(columns, rows)
    lid, rim, arch = (line.astype(np.float32) for line in frame.heights(u))
    # Within the opening the nearer rim goes on. Both rims keep a cell away from the row that is half of either's.
    cell = np.float32((UP[1] - UP[0]) / (layer.density.shape[0] - 1))
    of_lid = lid - y < y - rim
    v = np.where(of_lid, np.maximum(y - lid, cell), np.minimum(y - rim, -cell))
    inside = np.where((y < lid) & (y > rim), np.minimum(lid - y, y - rim), 0)
    own_room = np.maximum(arch - lid, LEAST_ROOM)
    room = np.maximum(np.interp(u, np.linspace(*ACROSS, len(layer.room)), layer.room), LEAST_ROOM)
    wanted = _at(layer.density, u, _followed(v, own_room, room)) * np.float32(strength)
    network = log_light(own) - log_light(painted) - ground.astype(np.float32)
    # What is fine is the layer's alone. What is wide has the network's hue, since what comes off the reference's skin
    # tells little of another skin, and the depth of both.
    # The rim: full outside the opening, gone a little way into it.
    edge = drawing.smoothstep(RIM, 0, inside) * weight * _window(u, v, own_room)[..., 0]
    # Nothing of the opening, where the network paints nothing: a lower lid would shine for all the liner over it.
    known = np.maximum(drawing.blur(edge, FINE * frame.width), LEAST_KNOWN)[..., None]
    wide = np.asarray(drawing.blur((network - wanted) * edge[..., None], FINE * frame.width) / known, np.float32)
    return _MetEye(landmarks, number, u, v, edge, wanted, network, wide)


def _shared_depths(eyes: Sequence[_MetEye]) -> list[FloatArray]:
    """By how much the network paints deeper than the layers, the mean of both eyes at each of their pixels, (H, W).

    The network's own two eyes differ with light and hair, where those of one reference are alike.
    """
    depth, known = np.zeros(SHARED, np.float32), np.full(SHARED, 1e-3, np.float32)
    for eye in eyes:
        places, _ = cells(eye.landmarks, eye.number, SHARED)
        weight = _sampled(np.asarray(eye.edge, np.float32), places)
        depth += weight * _sampled(eye.wide.mean(axis=-1), places)
        known += weight
    return [_at(depth / known, eye.u, eye.v) for eye in eyes]


def _at(values: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    """What cells of the eye's coordinates, (h, w) or (h, w, C), hold at (H, W) places in them; 0 beyond."""
    import cv2

    height, width = values.shape[:2]
    across = (u - ACROSS[0]) / (ACROSS[1] - ACROSS[0]) * (width - 1)
    down = (UP[1] - v) / (UP[1] - UP[0]) * (height - 1)
    places = across.astype(np.float32), down.astype(np.float32)
    return np.asarray(cv2.remap(values, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)


def _followed(v: FloatArray, room: FloatArray, reference_room: FloatArray) -> FloatArray:
    """Heights on the source as heights on the reference: the same near the lid, in proportion to the brow above."""
    scale = np.clip((reference_room - CLOSE) / np.maximum(room - CLOSE, 0.02), 1 / MOST_SCALE, 1 / LEAST_SCALE)
    beyond = CLOSE + (v - CLOSE) * scale
    return np.where(v > CLOSE, beyond, v)
