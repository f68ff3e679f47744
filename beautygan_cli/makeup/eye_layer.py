"""Eye makeup as a layer of pigment in the eye's own coordinates, taken from a reference and laid on a source.

The network sees an eye as some sixty pixels: what it paints is soft, however sharp the reference's liner is. So the
pigment is read off the reference at its photo's own size, by what the model's removal takes off it, and multiplied onto
the source at its photo's size:

    density = log(bare + e) - log(worn + e)        result = (photo + e) * exp(-density) - e

in linear light, so that light, skin and hair of the reference cancel and those of the source stay. Coordinates are u
from the inner corner (0) to the outer (1), and v, the height over the upper lid's rim (below 0: under the lower one),
both in eye widths: a liner is as thick on every eye, however high its brow lies.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import ModelError
from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import AlignedFace, EyePatch
from beautygan_cli.faces.reference import far_share, turn
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import linear_light, weighted_mean
from beautygan_cli.makeup.composite import fitted_change, seen_in
from beautygan_cli.model.measured import remembered
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.types import Box, FloatArray, UInt8Array

DARKEST = 0.004  # of linear light, added before the logarithm: below it is noise
ACROSS, UP = (-0.45, 1.75), (-0.45, 1.05)  # u and v that a layer holds
FINEST = 200  # cells of a layer to an eye's width at most: half a pixel of what is seen of a lash
CLOSE = 0.2  # eye widths over the lid up to which heights are the same on every eye; beyond, they follow the brow ...
LEAST_SCALE, MOST_SCALE = 0.6, 1.6  # ... within these factors
LEAST_EXPLAINED = 0.5  # share of known pigment that a model's removal must take off, for pigment to be read by it
STRONG = (0.35, 1.1)  # mean density from which the layer counts beside the network's change, and counts alone
EXCESS = 0.3  # density by which the network may exceed the layer
FINE = 0.06  # eye widths: what is finer than that is lost to the network and comes from the layer
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


def eye_layers(face: AlignedFace, bared: NDArray[Any], fed: NDArray[Any]) -> tuple[EyeLayer, EyeLayer] | None:
    """The layers of a reference's left and right eye; of a turned face the near eye's serves both.

    fed, bared: (S, S, 3) RGB 0..255, its chip as the network saw it, and with its makeup off. None where the face came
    without its photo's own pixels.
    """
    if not face.eyes:
        return None
    change = fitted_change(face.chip, np.asarray(bared, np.float32) - np.asarray(fed, np.float32))
    skin = masks.cheeks_mask(face.landmarks, (face.chip.shape[0], face.chip.shape[1]))
    shade = _shade(np.asarray(fed), np.asarray(bared), skin)
    layers = [_read(face, patch, number, change, shade) for number, patch in enumerate(face.eyes)]
    far = far_share(face.landmarks)
    if far > 0:
        near = 1 if turn(face.landmarks) < 0 else 0
        layers[1 - near] = _mixed(layers[1 - near], layers[near], far)
    return layers[0], layers[1]


def drawn_layers(bare: AlignedFace, worn: AlignedFace) -> tuple[EyeLayer, EyeLayer]:
    """The layers of a face's left and right eye whose makeup was drawn: exact, since the face is known without it.

    bare, worn: the same face, from photos of the same size, with the same landmarks.
    """
    layers = []
    for number, (before, after) in enumerate(zip(bare.eyes, worn.eyes, strict=True)):
        grid = _grid(bare, before, number)
        density = _log_light(grid.sampled(before.pixels)) - _log_light(grid.sampled(after.pixels))
        layers.append(EyeLayer(np.asarray(density * grid.window, np.float32), grid.room))
    return layers[0], layers[1]


def _shade(fed: NDArray[Any], bared: NDArray[Any], skin: FloatArray) -> NDArray[np.float64]:
    """The density of the skin as a whole: foundation, which is not the eyes'."""
    both = [weighted_mean(_log_light(item), skin) for item in (bared, fed)]
    shade = both[0] - both[1]
    return shade if np.isfinite(shade).all() else np.zeros(3)


def _log_light(pixels: NDArray[Any]) -> FloatArray:
    return np.asarray(np.log(linear_light(pixels) + np.float32(DARKEST)), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Where a layer's cells lie in an eye's patch, (H, W, 2) in x, y; the window they count in, and the room."""

    places: FloatArray
    window: FloatArray
    room: FloatArray

    def sampled(self, picture: NDArray[Any]) -> NDArray[Any]:
        """What a patch, or a picture laid like it, shows at the cells."""
        import cv2

        x, y = self.places[..., 0], self.places[..., 1]
        return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _grid(face: AlignedFace, patch: EyePatch, number: int) -> _Grid:
    landmarks = patch.placement.to_chip(face.placement.to_photo(face.landmarks))
    frame = masks.eye_frame(landmarks, number)
    cells = int(min(FINEST, max(24, frame.width)))
    u = np.linspace(*ACROSS, round((ACROSS[1] - ACROSS[0]) * cells), dtype=np.float32)
    v = np.linspace(UP[1], UP[0], round((UP[1] - UP[0]) * cells), dtype=np.float32)
    lid, rim, arch = frame.heights(u)
    heights = np.where(v[:, None] >= 0, v[:, None] + lid, v[:, None] + rim)
    places = frame.to_image(np.broadcast_to(u, heights.shape), heights).astype(np.float32)
    room = np.asarray(arch - lid, np.float32)
    return _Grid(places, _window(u, v[:, None], room), room)


def _read(
    face: AlignedFace, patch: EyePatch, number: int, change: Sequence[FloatArray], shade: NDArray[np.float64]
) -> EyeLayer:
    import cv2

    grid = _grid(face, patch, number)
    in_photo = patch.placement.to_photo(grid.places.reshape(-1, 2))
    in_chip = face.placement.to_chip(in_photo).reshape(grid.places.shape)
    worn = grid.sampled(patch.pixels).astype(np.float32)
    laid = [
        cv2.remap(layer, in_chip[..., 0], in_chip[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for layer in change
    ]
    *linear, low, high = laid
    whole = np.dstack([worn, np.ones(worn.shape[:2], np.float32)])
    moved = np.stack([(slopes * whole).sum(axis=-1) for slopes in linear], axis=-1)
    bare = worn + np.clip(moved, low, high)
    density = _log_light(bare) - _log_light(worn) - shade.astype(np.float32)
    return EyeLayer(np.asarray(density * grid.window, np.float32), grid.room)


def _window(u: FloatArray, v: FloatArray, room: FloatArray) -> FloatArray:
    """1 where makeup of an eye can lie, fading toward the brow's hairs, the nose and the temple, (H, W, 1)."""
    across = drawing.smoothstep(-0.4, -0.15, u) * drawing.smoothstep(ACROSS[1], ACROSS[1] - 0.3, u)
    top = np.maximum(room, 0.18)
    up = drawing.smoothstep(*BELOW_BROW, v / top) * drawing.smoothstep(UP[0], UP[0] + 0.15, v)
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


def usable(session: MakeupSession, example: tuple[AlignedFace, AlignedFace]) -> bool:
    """Whether the model takes makeup off well enough to read pigment by it; measured once, on a face that is known.

    example: a bare face, and the same made up.
    """
    with _measuring:  # two threads would measure it twice
        known = _known_usable.get(session)
        if known is None:
            what = f"share of the lids' pigment that removal takes off, {session.precision}"
            explained = remembered(what, session.digest, session.signature, lambda: _explained(session, *example))
            known = _known_usable[session] = explained >= LEAST_EXPLAINED
        return known


_measuring = threading.Lock()
_known_usable: WeakKeyDictionary[MakeupSession, bool] = WeakKeyDictionary()


def _explained(session: MakeupSession, bare: AlignedFace, worn: AlignedFace) -> float:
    """The share of the lids' pigment, in density, that the model's removal takes off the face; below 0 it adds some."""
    fed, clean = (face.chip.astype(np.float32) for face in (worn, bare))
    if session.signature.mask:
        inside = masks.face_mask(worn.landmarks, (fed.shape[0], fed.shape[1]))
        fed, clean = masks.masked(fed, inside), masks.masked(clean, inside)
    try:
        bared = session.remove(fed[None], clean[None])[0]
    except ModelError:
        return 0.0
    lids = masks.lids_mask(worn.landmarks, (fed.shape[0], fed.shape[1]))[..., None]
    true, left = _log_light(clean) - _log_light(fed), _log_light(clean) - _log_light(bared)
    return 1 - float((np.abs(left) * lids).sum() / max(float((np.abs(true) * lids).sum()), 1e-6))


def places(face: AlignedFace, shape: tuple[int, int]) -> tuple[Box, Box]:
    """The rows and columns of a photo of (H, W) that the layers of a face's left and right eye may change."""
    landmarks = face.placement.to_photo(face.landmarks)
    left, right = (masks.eye_frame(landmarks, number).box(ACROSS, UP, shape) for number in (0, 1))
    return left, right


def lay_on(
    photo: UInt8Array,
    face: AlignedFace,
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
    landmarks = face.placement.to_photo(face.landmarks)
    for number, (box, before, after, layer) in enumerate(zip(boxes, own, painted, layers, strict=True)):
        corner = np.array([box[1].start, box[0].start])
        within = np.asarray(landmarks - corner, dtype=np.float32)
        brows = masks.brows_mask(within, (before.shape[0], before.shape[1]))
        free = np.clip(1 - brows / BROW, 0, 1) * seen_in(face, box)
        _lay_one(photo[box], before, after, within, number, layer, free, strength, ground)


def _lay_one(
    part: UInt8Array,
    own: UInt8Array,
    painted: FloatArray,
    landmarks: NDArray[Any],
    number: int,
    layer: EyeLayer,
    weight: FloatArray,
    strength: float,
    ground: NDArray[Any],
) -> None:
    """One eye's layer in its box of the photo, (H, W, 3) uint8 RGB; what the layer doesn't reach stays as it is there.

    own, painted: the box before and after the network's change, RGB 0..255; landmarks: (68, 2) in its pixels; weight:
    (H, W) 0..1, how much of the change each pixel takes; strength: of the eyes' makeup, 0..1; ground: (3,) density of
    the shade that the whole face takes.
    """
    import cv2

    shape = (own.shape[0], own.shape[1])
    frame = masks.eye_frame(landmarks, number)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    u, y = frame.coordinates(columns, rows)
    lid, rim, arch = (line.astype(np.float32) for line in frame.heights(u))
    v = np.where(y >= lid, y - lid, np.where(y <= rim, y - rim, 0))
    inside = np.where((y < lid) & (y > rim), np.minimum(lid - y, y - rim), 0)
    room = np.maximum(np.interp(u, np.linspace(*ACROSS, len(layer.room)), layer.room), 0.18)
    v_own, v = v, _followed(v, np.maximum(arch - lid, 0.18), room)
    height, width = layer.density.shape[:2]
    across = (u - ACROSS[0]) / (ACROSS[1] - ACROSS[0]) * (width - 1)
    up = (UP[1] - v) / (UP[1] - UP[0]) * (height - 1)
    density = cv2.remap(
        layer.density, across.astype(np.float32), up.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )  # fmt: skip
    wanted = density * np.float32(strength)
    before, after = _log_light(own), _log_light(painted)
    network = before - after - ground.astype(np.float32)
    smooth = drawing.blur(wanted, FINE * frame.width)
    strong = drawing.smoothstep(*STRONG, drawing.blur(np.asarray(density.mean(axis=-1)), 0.01 * frame.width))[..., None]
    # The depth is the layer's, the hue the network's: what came off the reference's skin tells little of another skin.
    amount = drawing.blur(np.asarray(strong[..., 0]), FINE * frame.width)[..., None]
    hue = (network - network.mean(axis=-1, keepdims=True)) - (wanted - wanted.mean(axis=-1, keepdims=True))
    wanted = wanted + drawing.blur(hue * strong, FINE * frame.width) / np.maximum(amount, 0.05) * strong
    softer = np.minimum(network, np.maximum(smooth, 0) + np.float32(EXCESS)) + (wanted - smooth)
    mixed = softer + strong * (wanted - softer)
    # The rim: full outside the opening, gone a little way into it.
    window = _window(u, v_own, np.maximum(arch - lid, 0.18))[..., 0]
    edge = drawing.smoothstep(RIM, 0, inside) * weight * window
    total = before - after + edge[..., None] * (mixed - network)
    light = (linear_light(own) + np.float32(DARKEST)) * np.exp(-total) - np.float32(DARKEST)
    # The boxes of the two eyes of a tilted face overlap: only what this eye's layer reaches is its own.
    np.copyto(part, coded(light), where=(edge > 0)[..., None])


def _followed(v: FloatArray, room: FloatArray, reference_room: FloatArray) -> FloatArray:
    """Heights on the source as heights on the reference: the same near the lid, in proportion to the brow above."""
    scale = np.clip((reference_room - CLOSE) / np.maximum(room - CLOSE, 0.02), 1 / MOST_SCALE, 1 / LEAST_SCALE)
    beyond = CLOSE + (v - CLOSE) * scale
    return np.where(v > CLOSE, beyond, v)


def coded(light: FloatArray) -> UInt8Array:
    """Linear light 0..1 as sRGB bytes (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, np.float32(1 / 2.4)) - 0.055)
    return np.asarray(np.rint(values * 255), dtype=np.uint8)
