"""What of a face can't be painted, or be taken as an example: what is covered, and what lies out of the photo."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.faces.masks import BOTH_EYES, OUTER_LIPS
from beautygan_cli.faces.occlusion import TOLD, covered_shares, occlusion_of

FEATURES = {"an eye": ("eyes", BOTH_EYES), "the mouth": ("lips", OUTER_LIPS)}
COVERED = {"left eye": "eyes", "right eye": "eyes", "lips": "lips"}  # of `covered_shares`, and the look's region


class LeftOut(NamedTuple):
    """A look's region, "lips" or "eyes", and a phrase that says what is the matter with it."""

    region: str
    phrase: str


def covered(face: FaceAnalysis) -> list[LeftOut]:
    """Of an analysed face's eyes and lips those of which a tenth and more is covered; worked out once."""

    def work() -> list[LeftOut]:
        occlusion = occlusion_of(face)
        if occlusion.max() < TOLD:  # as before most faces
            return []
        shares = covered_shares(occlusion, face.landmarks)
        return [
            LeftOut(region, f"{name} {100 * shares[name]:.0f} % covered")
            for name, region in COVERED.items()
            if shares[name] >= TOLD
        ]

    return face.once("covered", work)


def outside(landmarks: NDArray[Any], shape: tuple[int, int]) -> list[LeftOut]:
    """Of a face with (68, 2) landmarks in pixels of a photo of (H, W), what reaches out of it."""
    limit = [shape[1] - 1, shape[0] - 1]
    return [
        LeftOut(region, f"{name} out of the photo")
        for name, (region, part) in FEATURES.items()
        if (landmarks[part] < 0).any() or (landmarks[part] > limit).any()
    ]
