"""What in a photo would spoil a result: each judgement a measured quantity against a named limit.

The limits were set by photos of 80 people, from very dark to very fair skin, plain, made up, and with the fault added:
each lies between what the sound ones and what the spoilt ones measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import PhotoError
from beautygan_cli.faces import detection, masks, tone
from beautygan_cli.faces.alignment import AlignedFace
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.detection import Face
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.model.signature import Signature
from beautygan_cli.photos.files import printable
from beautygan_cli.photos.photo import MAX_PIXELS, read_photo
from beautygan_cli.types import FloatArray, UInt8Array

LARGEST_TILT = 30.0  # degrees between the eyes' line and the horizon; from there on detection gets unsure
LEAST_SYMMETRY = 0.5  # narrower half of the face to the wider one; sound faces have 0.6 to 1
LEAST_LIGHT = 18.0  # L* of cheeks and chin; very dark skin in good light has 26
LEAST_SHARPNESS = 0.22  # finest detail to coarser detail; sound photos have 0.27 to 0.4, a blur by 1.5 pixels 0.2
LEAST_LIP_CONTRAST = 2.0  # CIEDE2000 between the lips and the skin around them; bare lips have 2.4 to 33, a hand 0 to 2
LEAST_EYE_CONTRAST = 8.0  # L* between dark and light in the eyes; open eyes have 16 to 70, dark glasses hardly any
DARKEST_UNDER_EYES = -14.0  # L* under the eyes less that of the cheeks; rings reach -11, dark glasses -18 and more
FACE_FEATURES = {"an eye": slice(36, 48), "the mouth": slice(48, 60)}


@dataclass(frozen=True)
class Quantities:
    """What is measured of one face; the limits of the same names say what is sound."""

    pixels: float  # side of the chip in photo pixels
    tilt: float
    symmetry: float
    light: float
    sharpness: float
    lip_contrast: float
    eye_contrast: float
    under_eyes: float
    outside: tuple[str, ...]  # of FACE_FEATURES, those that reach out of the photo


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
    complaints = [note for note in photo.notes if "pictures in the file" in note]
    if role == "reference" and len(found) > 1:
        complaints.append(f"{len(found)} faces in a reference, the largest would be taken")
    if role == "reference":
        taken = analyse_face(photo.pixels, found[0], signature.size, signature.padding)
        complaints += ["the reference has no colour"] if tone.is_toned(taken) else []
    judged = found if role == "source" and which == "all" else found[:1]
    for number, face in enumerate(judged, start=1):
        prefix = f"face {number}: " if len(judged) > 1 else ""
        complaints += [prefix + complaint for complaint in judge(measure(photo.pixels, face, signature), signature)]
    return complaints


def judge(found: Quantities, signature: Signature) -> Iterator[str]:
    """A phrase for each quantity that is out of its limit."""
    if found.pixels < signature.size:
        yield f"small face ({found.pixels:.0f} pixels for the network's {signature.size})"
    if abs(found.tilt) > LARGEST_TILT:
        yield f"strongly tilted ({abs(found.tilt):.0f} degrees, limit {LARGEST_TILT:.0f})"
    if found.symmetry < LEAST_SYMMETRY:
        yield f"strongly turned (one half {found.symmetry:.2f} of the other, limit {LEAST_SYMMETRY})"
    for feature in found.outside:
        yield f"{feature} out of the photo"
    if found.light < LEAST_LIGHT:
        yield f"too dark (lightness {found.light:.0f}, limit {LEAST_LIGHT:.0f})"
        return  # in the dark the rest can't be told
    if found.pixels >= signature.size and found.sharpness < LEAST_SHARPNESS:
        yield f"blurred (sharpness {found.sharpness:.2f}, limit {LEAST_SHARPNESS})"
    if found.eye_contrast < LEAST_EYE_CONTRAST or found.under_eyes < DARKEST_UNDER_EYES:
        yield (
            f"eyes covered (contrast {found.eye_contrast:.0f}, limit {LEAST_EYE_CONTRAST:.0f}; shade below"
            f" {found.under_eyes:.0f}, limit {DARKEST_UNDER_EYES:.0f})"
        )
    if found.lip_contrast < LEAST_LIP_CONTRAST:
        yield f"lips covered (contrast {found.lip_contrast:.1f}, limit {LEAST_LIP_CONTRAST})"


def measure(pixels: UInt8Array, face: Face, signature: Signature) -> Quantities:
    """The quantities of one face of an (H, W, 3) uint8 RGB photo."""
    aligned = analyse_face(pixels, face, signature.size, signature.padding)
    lab = rgb_to_lab(aligned.chip)
    return Quantities(
        pixels=signature.size / aligned.placement.scale,
        tilt=_tilt(face.landmarks),
        symmetry=_symmetry(face.landmarks),
        light=_lightness(lab, masks.cheeks_mask(aligned.landmarks, lab.shape[:2])),
        sharpness=_sharpness(aligned),
        lip_contrast=_lip_contrast(lab, aligned.landmarks),
        eye_contrast=_eye_contrast(lab, aligned.landmarks),
        under_eyes=_under_eyes(lab, aligned.landmarks),
        outside=tuple(_outside(face.landmarks, pixels.shape[:2])),
    )


def _tilt(landmarks: FloatArray) -> float:
    between = landmarks[masks.RIGHT_EYE].mean(axis=0) - landmarks[masks.LEFT_EYE].mean(axis=0)
    return float(np.degrees(np.arctan2(between[1], between[0])))


def _symmetry(landmarks: FloatArray) -> float:
    """From the nose's tip to the jaw on either side, along the eyes' line: the shorter way to the longer one."""
    along = (landmarks[45] - landmarks[36]) / np.linalg.norm(landmarks[45] - landmarks[36])
    places = (landmarks - landmarks[30]) @ along
    left, right = -places[[1, 2, 3]].mean(), places[[13, 14, 15]].mean()
    return float(max(0.0, min(left, right)) / max(left, right, 1e-6))


def _lightness(lab: FloatArray, mask: FloatArray) -> float:
    return float(weighted_mean(lab, mask)[0])


def _sharpness(aligned: AlignedFace) -> float:
    """What a blur by one pixel takes away, to what a blur by four takes away after that, root mean squares."""
    luma = rgb_to_lab(aligned.chip)[..., 0]
    slightly, strongly = drawing.blur(luma, 1.0), drawing.blur(luma, 4.0)
    mask = masks.face_mask(aligned.landmarks, (luma.shape[0], luma.shape[1]))
    fine = weighted_mean(((luma - slightly) ** 2)[..., None], mask)[0]
    coarse = weighted_mean(((slightly - strongly) ** 2)[..., None], mask)[0]
    return float(np.sqrt(fine / max(coarse, 1e-9)))


def _lip_contrast(lab: FloatArray, landmarks: FloatArray) -> float:
    import cv2

    shape, unit = (lab.shape[0], lab.shape[1]), masks.unit(landmarks)
    mouth = (drawing.fill(shape, drawing.smooth_curve(landmarks[masks.OUTER_LIPS], closed=True)) > 0.3).astype(np.uint8)

    def grown(distance: float) -> NDArray[Any]:
        side = int(2 * distance * unit) | 1
        return np.asarray(cv2.dilate(mouth, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))))

    around = (grown(0.17) - grown(0.06)).astype(np.float32)
    return float(ciede2000(weighted_mean(lab, masks.lips_mask(landmarks, shape)), weighted_mean(lab, around)))


def _eye_contrast(lab: FloatArray, landmarks: FloatArray) -> float:
    light = lab[..., 0][masks.openings_mask(landmarks, (lab.shape[0], lab.shape[1])) > 0.5]
    if light.size < 10:  # shut: nothing is covered
        return float("inf")
    return float(np.percentile(light, 95) - np.percentile(light, 5))


def _under_eyes(lab: FloatArray, landmarks: FloatArray) -> float:
    """The darker of the two patches below the lower lids, where makeup seldom lies."""
    shape = (lab.shape[0], lab.shape[1])
    cheeks = _lightness(lab, masks.cheeks_mask(landmarks, shape))
    down = (landmarks[33] - landmarks[27]) / np.linalg.norm(landmarks[33] - landmarks[27])
    shades = []
    for eye in (landmarks[masks.LEFT_EYE], landmarks[masks.RIGHT_EYE]):
        across = eye[3] - eye[0]
        width = float(np.linalg.norm(across))
        top, bottom = eye.mean(axis=0) + 0.3 * width * down, eye.mean(axis=0) + 0.6 * width * down
        corners = np.stack([top - 0.4 * across, top + 0.4 * across, bottom + 0.4 * across, bottom - 0.4 * across])
        shades.append(_lightness(lab, drawing.fill(shape, corners)) - cheeks)
    return float(min(shades))


def _outside(landmarks: FloatArray, shape: tuple[int, int]) -> Iterator[str]:
    height, width = shape
    for name, part in FACE_FEATURES.items():
        points = landmarks[part]
        if (points < 0).any() or (points > [width - 1, height - 1]).any():
            yield name
