"""One photo and one reference to one photo: the whole way, a verb a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import composite, covers, faces, images, regions, shades
from beautygan_cli.colour import rgb_to_lab, weighted_mean
from beautygan_cli.composite import Strengths
from beautygan_cli.errors import FaceError
from beautygan_cli.faces import AlignedFace
from beautygan_cli.session import MakeupSession
from beautygan_cli.signature import Signature
from beautygan_cli.warp import warp_onto

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
PhotoLike = str | Path | images.Photo | NDArray[np.uint8]


def transfer(
    source: PhotoLike,
    reference: PhotoLike,
    *,
    session: MakeupSession | None = None,
    strengths: Strengths | None = None,
    which: str = "all",
) -> UInt8Array:
    """The source photo wearing the reference's makeup, (H, W, 3) uint8 RGB, upright, at the source's own size.

    source, reference: a path, a `Photo`, or an (H, W, 3) uint8 RGB array. session: an open `MakeupSession` (None
    opens the bundled model for this call). strengths: 0 to 1 by region, all 1 by default. which: "all" faces of the
    source or the "largest".

    Raises PhotoError for a photo that can't be read, FaceError where there is no face, ModelError for a model that
    can't be used.
    """
    if session is None:
        with MakeupSession() as opened:
            return transfer(source, reference, session=opened, strengths=strengths, which=which)
    pixels = _pixels(source)
    signature = session.signature
    aligned = find_faces(pixels, signature, _name(source), which=which)
    look = find_faces(_pixels(reference), signature, _name(reference), which="largest")[0]
    fed, made_up = make_up([(face, look) for face in aligned], session)
    return apply(pixels, aligned, fed, made_up, strengths or Strengths())


def find_faces(pixels: UInt8Array, signature: Signature, name: str, *, which: str = "all") -> list[AlignedFace]:
    """The aligned faces of an (H, W, 3) uint8 RGB photo, largest first; FaceError, naming the photo, without one."""
    found = faces.detect(pixels)
    if not found:
        raise FaceError(f"no face found in {name}; use a photo in which the face is larger, upright and uncovered.")
    chosen = found[:1] if which == "largest" else found
    aligned = [faces.align(pixels, face, signature.size, signature.padding) for face in chosen]
    return [replace(face, landmarks=covers.seen_landmarks(face.landmarks, face.chip)) for face in aligned]


def make_up(
    pairs: Sequence[tuple[AlignedFace, AlignedFace]], session: MakeupSession
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Each source's chip as it went into the network, and made up with its reference's makeup.

    pairs: (source, reference) faces, run in the session's batches. Chips are (S, S, 3) float32 RGB 0..255.
    """
    signature = session.signature
    chips = [network_chips(source, reference, signature) for source, reference in pairs]
    fed, looks = [pair[0] for pair in chips], [pair[1] for pair in chips]
    made_up = session.transfer(np.stack(fed), np.stack(looks))
    deepened = [
        shades.deepen(
            before, after, source.landmarks, look, (source if signature.warp_reference else reference).landmarks
        )
        for (source, reference), before, after, look in zip(pairs, fed, made_up, looks, strict=True)
    ]
    return fed, deepened


def network_chips(source: AlignedFace, reference: AlignedFace, signature: Signature) -> tuple[FloatArray, FloatArray]:
    """The two chips as the model wants them, (S, S, 3) float32 RGB 0..255, warped and masked as its signature says."""
    shape = (signature.size, signature.size)
    first, second = source.chip.astype(np.float32), reference.chip.astype(np.float32)
    if signature.warp_reference:
        second = _uncovered(_mouth_shut(second, reference), reference)
        second = warp_onto(second, reference.landmarks, source.landmarks, shape)
    if signature.mask:
        mask = regions.face_mask(source.landmarks, shape)
        other = mask if signature.warp_reference else regions.face_mask(reference.landmarks, shape)
        first, second = regions.masked(first, mask), regions.masked(second, other)
    return first, second


def _mouth_shut(chip: FloatArray, face: AlignedFace) -> FloatArray:
    """The chip with what shows between the lips painted as the lips are.

    Bent onto a shut mouth, the reference's teeth would lie on the lips as a pale band.
    """
    lab = rgb_to_lab(chip)
    shape = (chip.shape[0], chip.shape[1])
    between = regions.teeth_mask(face.landmarks, lab)
    if between.max() <= 0:
        return chip
    lips = weighted_mean(chip, regions.lips_mask(face.landmarks, shape, soft=0) * (1 - between))
    if not np.isfinite(lips).all():
        return chip
    cover = regions.blur(between, 0.015 * regions.unit(face.landmarks))[..., None]
    return np.asarray(chip + cover * (lips - chip), dtype=np.float32)


def _uncovered(chip: FloatArray, face: AlignedFace) -> FloatArray:
    """The chip with hair, a hat's rim or the frame of glasses before the skin painted over with the skin around them.

    Bent onto another face, they would leave a ghost there: the network tells most of what covers a reference from
    makeup, but not all.
    """
    lab = rgb_to_lab(chip)
    shape = (chip.shape[0], chip.shape[1])
    skin = regions.skin_mask(face.landmarks, shape)
    likeness = regions.skin_likeness(face.landmarks, lab)
    middle = weighted_mean(lab[..., :1], skin * likeness)[0]
    if not np.isfinite(middle):
        return chip
    # Blush and contour differ from the skin in colour too, but not by as much light.
    covered = skin * (1 - likeness) * regions.smoothstep(12, 24, np.abs(lab[..., 0] - middle))
    # Not before its lids: a bold shadow would be taken for a part of the frame that crosses it.
    clear = skin * likeness
    reach = 0.2 * regions.unit(face.landmarks)
    around = regions.blur(chip * clear[..., None], reach) / np.maximum(regions.blur(clear, reach), 1e-3)[..., None]
    return np.asarray(chip + covered[..., None] * (around - chip), dtype=np.float32)


def apply(
    pixels: UInt8Array,
    aligned: Sequence[AlignedFace],
    fed: Sequence[NDArray[Any]],
    made_up: Sequence[NDArray[Any]],
    strengths: Strengths,
) -> UInt8Array:
    """The photo with each of its faces made up, the smallest first, so that a larger one before it wins."""
    weights = [_weights(pixels, face, strengths) for face in aligned]
    for face, before, after, share in reversed(list(zip(aligned, fed, made_up, weights, strict=True))):
        pixels = composite.paste(pixels, face, before, after, strengths, share)
    return pixels


# A face's weights are the same with every reference; the last ones are kept for as long as the face is.
_known_weights: WeakKeyDictionary[AlignedFace, tuple[Strengths, FloatArray]] = WeakKeyDictionary()


def _weights(pixels: UInt8Array, face: AlignedFace, strengths: Strengths) -> FloatArray:
    known = _known_weights.get(face)
    if known is None or known[0] != strengths:
        known = (strengths, composite.change_weights(pixels, face, strengths))
        _known_weights[face] = known
    return known[1]


def _pixels(photo: PhotoLike) -> UInt8Array:
    if isinstance(photo, images.Photo):
        return photo.pixels
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise ValueError(f"a photo's array must be (H, W, 3) uint8 RGB, but is {photo.shape} {photo.dtype}")
        return photo
    return images.read(photo).pixels


def _name(photo: PhotoLike) -> str:
    if isinstance(photo, np.ndarray):
        return "the photo"
    return images.shown(photo.path if isinstance(photo, images.Photo) else photo)
