"""A face of a photo, analysed once: what photos, clips, evaluation and training work on."""

from __future__ import annotations

from dataclasses import replace

from beautygan_cli.faces import alignment, shut_eyes
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.faces.face import Face
from beautygan_cli.types import UInt8Array


def analyse_face(
    pixels: UInt8Array, face: Face, size: int, padding: float, *, exposure: float | None = None
) -> FaceAnalysis:
    """The analysis of one face of a photo.

    pixels: (H, W, 3) uint8 RGB, upright; face: where it is; size, padding: of the chip, as the model's signature says;
    exposure: times by which it must be brightened to be well lit, where that is known better than from this photo.
    """
    aligned = alignment.align(pixels, face, size, padding)
    return replace(
        aligned,
        landmarks=shut_eyes.parted_lids(aligned.landmarks),
        exposure=exposure,
        eyes=alignment.eye_patches(pixels, face.landmarks),
    )
