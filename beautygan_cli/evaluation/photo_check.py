"""What in a photo would spoil a result: each judgement a measured quantity against a named limit.

The limits were set by photos of 80 people, from very dark to very fair skin, plain, made up, and with the fault added:
each lies between what the sound ones and what the spoilt ones measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beautygan_cli.errors import PhotoError
from beautygan_cli.faces import detection, left_out, masks, tone
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.face import Face
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import rgb_to_lab, weighted_mean
from beautygan_cli.model.signature import Signature
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.photo import MAX_PIXELS, read_photo
from beautygan_cli.types import FloatArray, UInt8Array

LEAST_SYMMETRY = 0.5  # narrower half of the face to the wider one; sound faces have 0.6 to 1
LEAST_LIGHT = 18.0  # L* of cheeks and chin; very dark skin in good light has 26
LEAST_SHARPNESS = 0.22  # finest detail to coarser detail; sound photos have 0.27 to 0.4, a blur by 1.5 pixels 0.2
MOST_BURNT = 0.15  # share of the skin that is burnt out; sound photos have 0.001, those lit 1.6 times too much 0.2
BURNT = 250  # grey levels of the second brightest channel from which on no shade is told from another
_OF_THE_PICTURE = ("pictures in the file", "colour profile", "became sRGB")


@dataclass(frozen=True)
class Quantities:
    """What is measured of one face; the limits of the same names say what is sound."""

    pixels: float  # side of the chip in photo pixels
    symmetry: float
    light: float
    burnt: float
    sharpness: float
    covered: tuple[str, ...]  # what of eyes and lips something lies before, a phrase each
    outside: tuple[str, ...]  # what of them reaches out of the photo


def faults(
    path: Path, role: str, signature: Signature, *, which: str = "all", max_pixels: int = MAX_PIXELS
) -> list[str]:
    """What would spoil a result made with this photo as a "source" or a "reference": a phrase each."""
    try:
        photo = read_photo(path, max_pixels=max_pixels)
    except PhotoError as error:
        return [str(error).removeprefix(f"{printable(path)} ").rstrip(".")]
    photo = detection.decided(photo)
    found = detection.detect(photo.pixels)
    if not found:
        return ["no face found"]
    # Of a reference, which nothing is written of, what its colours are read from.
    complaints = [note for note in photo.notes if role == "source" or any(word in note for word in _OF_THE_PICTURE)]
    if role == "reference" and len(found) > 1:
        complaints.append(f"{len(found)} faces in a reference, the largest would be taken")
    if role == "reference":
        taken = analyse_face(photo.pixels, found[0], signature.size, signature.padding)
        complaints += ["the reference has no colour"] if tone.is_toned(taken) else []
    judged = detection.main_faces(found) if role == "source" and which == "all" else found[:1]
    for number, face in enumerate(judged, start=1):
        prefix = f"face {number}: " if len(judged) > 1 else ""
        complaints += [prefix + complaint for complaint in judge(measure(photo.pixels, face, signature), signature)]
    return complaints


def judge(found: Quantities, signature: Signature) -> Iterator[str]:
    """A phrase for each quantity that is out of its limit."""
    if found.pixels < signature.size:
        yield f"small face ({found.pixels:.0f} pixels for the network's {signature.size})"
    if found.symmetry < LEAST_SYMMETRY:
        yield f"strongly turned (one half {found.symmetry:.2f} of the other, limit {LEAST_SYMMETRY})"
    yield from found.outside
    if found.light < LEAST_LIGHT:
        yield f"too dark (lightness {found.light:.0f}, limit {LEAST_LIGHT:.0f})"
        return  # in the dark the rest can't be told
    if found.burnt > MOST_BURNT:
        yield f"overexposed ({100 * found.burnt:.0f} % of the skin burnt out, limit {100 * MOST_BURNT:.0f} %)"
    if found.pixels >= signature.size and found.sharpness < LEAST_SHARPNESS:
        yield f"blurred (sharpness {found.sharpness:.2f}, limit {LEAST_SHARPNESS})"
    yield from found.covered


def measure(pixels: UInt8Array, face: Face, signature: Signature) -> Quantities:
    """The quantities of one face of an (H, W, 3) uint8 RGB photo."""
    aligned = analyse_face(pixels, face, signature.size, signature.padding)
    lab = rgb_to_lab(aligned.chip)
    return Quantities(
        pixels=signature.size / aligned.crop_transform.scale,
        symmetry=_symmetry(face.landmarks),
        light=_lightness(lab, aligned.mask(masks.cheeks_mask)),
        burnt=_burnt(aligned),
        sharpness=_sharpness(aligned),
        covered=tuple(item.phrase for item in left_out.covered(aligned)),
        outside=tuple(item.phrase for item in left_out.outside(face.landmarks, (pixels.shape[0], pixels.shape[1]))),
    )


def _symmetry(landmarks: FloatArray) -> float:
    """From the nose's tip to the jaw on either side, along the eyes' line: the shorter way to the longer one."""
    along = (landmarks[45] - landmarks[36]) / np.linalg.norm(landmarks[45] - landmarks[36])
    places = (landmarks - landmarks[30]) @ along
    left, right = -places[[1, 2, 3]].mean(), places[[13, 14, 15]].mean()
    return float(max(0.0, min(left, right)) / max(left, right, 1e-6))


def _lightness(lab: FloatArray, mask: FloatArray) -> float:
    return float(weighted_mean(lab, mask)[0])


def _burnt(aligned: FaceAnalysis) -> float:
    skin = aligned.chip[aligned.mask(masks.skin_mask) > 0.5]
    return float((np.sort(skin, axis=1)[:, 1] >= BURNT).mean()) if len(skin) else 0.0


def _sharpness(aligned: FaceAnalysis) -> float:
    """What a blur by one pixel takes away, to what a blur by four takes away after that, root mean squares."""
    luma = rgb_to_lab(aligned.chip)[..., 0]
    slightly, strongly = drawing.blur(luma, 1.0), drawing.blur(luma, 4.0)
    mask = masks.face_mask(aligned.landmarks, (luma.shape[0], luma.shape[1]))
    fine = weighted_mean(((luma - slightly) ** 2)[..., None], mask)[0]
    coarse = weighted_mean(((slightly - strongly) ** 2)[..., None], mask)[0]
    return float(np.sqrt(fine / max(coarse, 1e-9)))
