"""References made ready: a turned one gives both halves of the face what its near half wears."""

from __future__ import annotations

from dataclasses import replace

import hard_faces
import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli import faces, pipeline, reference, regions
from beautygan_cli.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.session import MakeupSession

PHOTOS = sorted(SAMPLES.glob("*/*.jpg"))
LOOK = SAMPLES / "makeup" / "plum.jpg"


def aligned(hard: hard_faces.Hard) -> faces.AlignedFace:
    return faces.align(hard.pixels, faces.Face((0, 0, 1, 1), hard.bare.landmarks), 256, 0.35)


def mirror_image(face: faces.AlignedFace) -> faces.AlignedFace:
    chip = np.ascontiguousarray(face.chip[:, ::-1])
    return replace(face, chip=chip, landmarks=regions.mirrored(face.landmarks, chip.shape[1]))


@pytest.mark.parametrize("photo", [p for p in PHOTOS if p.parent.name in ("no_makeup", "makeup")], ids=lambda p: p.stem)
def test_a_face_from_the_front_is_not_turned(photo) -> None:
    assert abs(reference.turn(hard_faces.read(photo).landmarks)) < 0.1


@pytest.mark.parametrize("degrees", [20, 30])
def test_a_turned_face_is_turned_and_its_mirror_image_to_the_other_side(degrees: float) -> None:
    face = aligned(hard_faces.turned(hard_faces.read(LOOK, 640), degrees))
    turned = reference.turn(face.landmarks)
    assert turned > 0.2, "toward the image's right, so that its right half is the far one"
    assert reference.turn(mirror_image(face).landmarks) == pytest.approx(-turned, abs=0.02)


def test_landmarks_mirrored_twice_are_as_they_were() -> None:
    marks = hard_faces.read(LOOK, 640).landmarks
    assert regions.mirrored(regions.mirrored(marks, 640), 640) == pytest.approx(marks, abs=1e-3)


def lids(chip: np.ndarray, landmarks: np.ndarray) -> list[np.ndarray]:
    """The mean L*a*b* of the left and the right upper lid."""
    lab, mask = rgb_to_lab(chip), regions.lids_mask(landmarks, chip.shape[:2])
    middle = landmarks[27, 0]
    columns = np.arange(chip.shape[1])[None]
    return [weighted_mean(lab, mask * side) for side in (columns < middle, columns >= middle)]


@pytest.mark.parametrize("flip", [False, True], ids=["right", "left"])
def test_a_smudge_on_the_far_lid_of_a_turned_reference_does_not_come_along(flip: bool, session: MakeupSession) -> None:
    bare = hard_faces.read(SAMPLES / "no_makeup" / "bea.jpg", 640)
    source = faces.align(bare.pixels, faces.Face((0, 0, 1, 1), bare.landmarks), 256, 0.35)

    def apart(look: faces.AlignedFace) -> float:
        """How differently the two lids are made up after a reference whose right lid lies under a dark green smudge."""
        size = regions.unit(look.landmarks)
        spot = look.landmarks[43:45].mean(axis=0) - [0, 0.12 * size]
        rows, columns = np.mgrid[:256, :256]
        near = np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / (2 * (0.16 * size) ** 2))
        chip = look.chip + 0.8 * near[..., None] * (np.array([20.0, 60.0, 20.0]) - look.chip)
        look = replace(look, chip=np.rint(chip).astype(np.uint8))
        fed, made_up = pipeline.make_up([(source, mirror_image(look) if flip else look)], session)
        left, right = lids(made_up[0], source.landmarks)
        own = lids(fed[0], source.landmarks)
        return float(ciede2000(left, right)) - float(ciede2000(*own))

    plain = hard_faces.read(LOOK, 640)
    frontal = aligned(hard_faces.Hard(plain.pixels, plain, np.zeros(plain.shape, np.float32)))
    assert apart(frontal) > 8, "the case shows nothing"
    assert apart(aligned(hard_faces.turned(plain, 30))) < 3
