"""A face's landmarks and the contours of its eyes and lips, found by a network of the package's own.

It looks twice: at the whole face for all 68 landmarks, then at each eye and the mouth, cut out where the first look
puts them, for their contours (see `faces/contours.py`). Each point comes with a confidence, which is low where
something covers it. The network is kept and opened as the occlusion network is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import alignment, contours, masks
from beautygan_cli.faces.alignment import CropTransform
from beautygan_cli.model.frozen import FrozenNetwork, bundled
from beautygan_cli.types import FloatArray, UInt8Array

BATCH = 16  # faces per run: more gain nothing on two cores and take more memory
NEAR = 0.05  # units: what a confidence is the chance of, that the point lies no further off than this
_FACE = (contours.FACE_SIZE, contours.FACE_SIZE, 3)
_PATCHES = (3, contours.PATCH_SIZE, contours.PATCH_SIZE, 3)


@dataclass(frozen=True, eq=False)
class FaceShape:
    """Where a face's points lie.

    landmarks: (68, 2) float32 in pixels of the image that was looked at, in dlib's order. confidence: (68,) float32 in
    0..1, how sure each is. contours: (54, 2), the finer points of eyes and lips, as `faces/contours.py` counts them,
    with contour_confidence, (54,).
    """

    landmarks: FloatArray
    confidence: FloatArray
    contours: FloatArray
    contour_confidence: FloatArray


class LandmarkNetwork:
    """The network that finds landmarks. Open once, use from any thread, `close` it in the end.

    `model`: the folder of its checkpoint (None: the bundled one). `threads`: threads within an operation (None: all
    cores). Nothing is loaded before the first face.

        with LandmarkNetwork() as network:
            shapes = network.find(pixels, [five_points])
    """

    def __init__(self, model: str | Path | None = None, *, threads: int | None = None) -> None:
        folder = bundled("landmarks") if model is None else Path(model)
        outputs = {"made_up": (68, 3), "removed": (contours.CONTOUR_POINTS, 3)}
        self._network = FrozenNetwork(folder, (_FACE, _PATCHES), outputs, threads)

    def find(self, pixels: UInt8Array, starts: Sequence[NDArray[np.floating]]) -> list[FaceShape]:
        """The shapes of faces of one image.

        Arguments:
            pixels: (H, W, 3) uint8 RGB.
            starts: for each face (5, 2) points in the image's pixels, from which it is looked for: corners of the eyes
                from the image's left to its right, and the base of the nose. They may be a tenth of the distance
                between the eyes off.

        Returns:
            A shape for each start, in pixels of the image.

        Raises:
            ValueError: for arrays of other shapes.
            ModelError: when the network can't be loaded.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ValueError(f"pixels must be (H, W, 3) uint8, but are {pixels.shape} {pixels.dtype}")
        for start in starts:
            if np.shape(start) != (5, 2):
                raise ValueError(f"each start must be (5, 2), but one is {np.shape(start)}")
        shapes: list[FaceShape] = []
        for first in range(0, len(starts), BATCH):
            shapes += self._some(pixels, starts[first : first + BATCH])
        return shapes

    def _some(self, pixels: UInt8Array, starts: Sequence[NDArray[np.floating]]) -> list[FaceShape]:
        faces = [contours.face_placement(start) for start in starts]
        cuts = np.stack([alignment.crop(pixels, place) for place in faces]).astype(np.float32)
        rough = self._network.run("made_up", {"source": cuts})
        found = [place.to_photo(said[:, :2]) for place, said in zip(faces, rough, strict=True)]
        closer = [
            (contours.eye_placement(points, 0), contours.eye_placement(points, 1), contours.mouth_placement(points))
            for points in found
        ]
        patches = np.stack([np.stack([alignment.crop(pixels, place) for place in places]) for places in closer])
        fine = self._network.run("removed", {"reference": patches.astype(np.float32)})
        return [
            _shape(points, said, place, lines, places)
            for points, said, place, lines, places in zip(found, rough, faces, fine, closer, strict=True)
        ]

    def close(self) -> None:
        """Free the network. It can't be used afterwards; closing it again does nothing."""
        self._network.close()

    def __enter__(self) -> LandmarkNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _shape(
    rough: FloatArray,
    said: FloatArray,
    place: CropTransform,
    lines: FloatArray,
    places: tuple[CropTransform, CropTransform, CropTransform],
) -> FaceShape:
    """One face's shape from the answers of both looks: `said` in the face's cut, `lines` in those of eyes and mouth."""
    parts = (contours.LEFT_EYE, contours.RIGHT_EYE, contours.LIPS)
    fine = np.concatenate([cut.to_photo(lines[part, :2]) for cut, part in zip(places, parts, strict=True)])
    spread = np.concatenate([np.exp(lines[part, 2]) / cut.scale for cut, part in zip(places, parts, strict=True)])
    landmarks = contours.to_landmarks(rough, fine)
    interocular = masks.interocular_distance(landmarks)
    sure = _chance(spread / interocular)
    confidence = _chance(np.exp(said[:, 2]) / place.scale / interocular)
    confidence[36:] = contours.of_landmarks(sure)
    return FaceShape(landmarks, confidence, np.asarray(fine, np.float32), sure)


def _chance(spread: NDArray[Any]) -> FloatArray:
    """How likely a point of this spread (in units, see `training/landmarks.py`) lies within NEAR."""
    far = NEAR / np.maximum(spread, 1e-6)
    return np.asarray(1 - (1 + far) * np.exp(-far), dtype=np.float32)


@lru_cache(maxsize=1)
def of_the_package() -> LandmarkNetwork:
    """The bundled network, opened once."""
    return LandmarkNetwork()
