"""What lies before a face: hair, a fringe, glasses, hands, masks, microphones, veils, hats.

A small network says so for a chip of the face (`OcclusionNetwork`), a guided filter brings its coarse answer to the
photo's own edges (`imaging/guided_filter.py`), and `covered_shares` puts it in words for a report.

An occlusion is an (H, W) or (N, H, W) float32 in [0, 1]: how surely each pixel shows something before the face and not
the face itself. Makeup, shade, shine, lashes, brows, beards and open mouths are the face itself.

The network is kept as the makeup model is, and opened with the same care: only arithmetic is accepted from its graph
(see `model/graph.py`). It gives no other model's files a way in.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks as region_masks
from beautygan_cli.faces.alignment import FaceAnalysis
from beautygan_cli.imaging import drawing
from beautygan_cli.model.frozen import FrozenNetwork, bundled
from beautygan_cli.types import FloatArray, UInt8Array

SIZE = 128  # pixels of the chip that the network sees, both sides
BATCH = 16  # faces per run: more gain nothing on two cores and take more memory
COVERED = 0.5  # from here on a pixel counts as covered where it is counted
# What is covered around the eyes alone may be the network's mistake (black shadow, a deep socket), and is taken for
# half as sure: it weakens paint but leaves half of it. A cover that is real goes on outside: a frame has a bridge and
# temples, hair comes from the hairline, a hand from somewhere.
EYES_ALONE = 0.5
GOES_ON = 0.03  # of the squared interocular distance: what a frame's bridge and temples cover, a thick strand of hair

SURE = (0.3, 0.8)  # the network's answer from which something is left out of the paint, and left out wholly
TOLD = 0.1  # of a region, from which on it is said that it is covered
NAMES = ("left eye", "right eye", "lips", "skin")  # of what `covered_shares` tells, as seen in the picture


class OcclusionNetwork:
    """The network that sees what lies before faces. Open once, use from any thread, `close` it in the end.

    `model`: the folder of its checkpoint (None: the bundled one). `threads`: threads within an operation (None: all
    cores). Nothing is loaded before the first face; loading takes about a second where TensorFlow is imported already.

    Raises ModelError at the first use when the folder holds no usable network.

        with OcclusionNetwork() as network:
            occlusion = network.predict(chips, landmarks)
    """

    def __init__(self, model: str | Path | None = None, *, threads: int | None = None) -> None:
        folder = bundled("occlusion") if model is None else Path(model)
        chip, mask = (SIZE, SIZE, 3), (SIZE, SIZE, 1)
        self._network = FrozenNetwork(folder, (chip, mask), {"made_up": mask}, threads)

    def predict(self, chips: UInt8Array, landmarks: NDArray[Any]) -> FloatArray:
        """How surely each pixel of each chip is covered.

        Arguments:
            chips: (N, S, S, 3) uint8 RGB, as `faces.align(photo, face, S, 0.35)` lays them; any S.
            landmarks: (N, 68, 2) in the pixels of the chips.

        Returns:
            (N, S, S) float32 in [0, 1], as coarse as 128 pixels are (`guided_filter.refine` sharpens it), with
            `spare_eyes` applied: no eye is called covered by what is seen at that eye alone.

        Raises:
            ValueError: for arrays of other shapes.
            ModelError: when the network can't be loaded.
        """
        coarse = self.probabilities(chips, landmarks)
        scale = SIZE / chips.shape[2]
        small = _scaled(landmarks, scale)
        spared = [spare_eyes(mask, points) for mask, points in zip(coarse, small, strict=True)]
        return _enlarged(spared, chips.shape[1])

    def probabilities(self, chips: UInt8Array, landmarks: NDArray[Any]) -> FloatArray:
        """The network's own answer, (N, 128, 128) float32 in [0, 1]; arguments and errors as of `predict`."""
        _check(chips, landmarks)
        small = _scaled(landmarks, SIZE / chips.shape[2])
        result = np.empty((len(chips), SIZE, SIZE), dtype=np.float32)
        for start in range(0, len(chips), BATCH):
            part = slice(start, start + BATCH)
            pixels, face = network_input(chips[part], small[part])
            result[part] = self._network.run("made_up", {"source": pixels, "reference": face})[..., 0]
        return result

    def prepare(self) -> None:
        """Load the network now, not at the first face. Raises ModelError when it can't be loaded."""
        self._network.prepare()

    def close(self) -> None:
        """Free the network. It can't be used afterwards; closing it again does nothing."""
        self._network.close()

    def __enter__(self) -> OcclusionNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def network_input(chips: UInt8Array, landmarks: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """What the network is fed: chips of any size as (N, 128, 128, 3) in 0..255, and the face's masks, (N, 128, 128, 1).

    landmarks: (N, 68, 2) in pixels of the reduced chips.
    """
    import cv2

    pixels = np.empty((len(chips), SIZE, SIZE, 3), dtype=np.float32)
    face = np.empty((len(chips), SIZE, SIZE, 1), dtype=np.float32)
    for index, (chip, points) in enumerate(zip(chips, landmarks, strict=True)):
        # Averaging when reducing; INTER_AREA enlarges by repeating, so a smaller chip is interpolated.
        method = cv2.INTER_AREA if chip.shape[0] >= SIZE else cv2.INTER_LINEAR
        pixels[index] = chip if chip.shape[0] == SIZE else cv2.resize(chip, (SIZE, SIZE), interpolation=method)
        face[index, ..., 0] = region_masks.face_mask(points, (SIZE, SIZE))
    return pixels, face


def spare_eyes(occlusion: FloatArray, landmarks: NDArray[Any]) -> FloatArray:
    """The occlusion with what is seen around an eye alone made half as sure, at most EYES_ALONE.

    A covered piece (connected pixels of COVERED and more) is trusted where GOES_ON of it lies outside the zones of
    both eyes (lids, brows and a rim around them); what is not trusted is capped within these zones, smoothly.

    Arguments:
        occlusion: (H, W) float32 in [0, 1] of a chip.
        landmarks: (68, 2) in its pixels.

    Returns:
        (H, W) float32 in [0, 1], nowhere above the one that was given.
    """
    import cv2

    shape = (occlusion.shape[0], occlusion.shape[1])
    interocular = region_masks.interocular_distance(landmarks)
    # Brows and eyes with a little around them: before most faces nothing is there, and no zone needs to be drawn.
    around = np.concatenate([landmarks[17:27], landmarks[36:48]])
    left, top = np.maximum(np.floor(around.min(axis=0) - interocular / 5).astype(int), 0)
    right, bottom = np.ceil(around.max(axis=0) + interocular / 5).astype(int) + 1
    if not (occlusion[top:bottom, left:right] > EYES_ALONE).any():
        return occlusion
    zone = np.maximum(region_masks.around_eyes_mask(landmarks, shape), region_masks.openings_mask(landmarks, shape))
    if float((occlusion * zone).max()) <= EYES_ALONE:
        return occlusion
    count, pieces = cv2.connectedComponents((occlusion > COVERED).astype(np.uint8), connectivity=8)
    outside = np.bincount(pieces[zone < 0.5], minlength=count) / interocular**2
    goes_on = outside >= GOES_ON
    goes_on[0] = False  # the pixels that are not covered
    # Carried on a little past its edge, where the cover fades out.
    trusted = cv2.dilate(goes_on[pieces].astype(np.float32), np.ones((3, 3), np.uint8))
    limit = 1 - (1 - EYES_ALONE) * zone * (1 - drawing.blur(trusted, 0.02 * interocular))
    return np.asarray(np.minimum(occlusion, limit), dtype=np.float32)


@lru_cache(maxsize=1)
def _of_the_package() -> OcclusionNetwork:
    return OcclusionNetwork()


def occlusion_of(face: FaceAnalysis) -> FloatArray:
    """What lies before an analysed face, (S, S) float32 in [0, 1] of its chip's size; worked out once."""

    def work() -> FloatArray:
        found = _of_the_package().predict(face.chip[None], face.landmarks[None])[0]
        return np.asarray(drawing.smoothstep(*SURE, found), dtype=np.float32)

    return face.once("occlusion", work)


def prepare() -> None:
    """Load the package's network now, not at the first face. ModelError where it can't be."""
    _of_the_package().prepare()


def covered_shares(occlusion: FloatArray, landmarks: NDArray[Any]) -> dict[str, float]:
    """How much of each region is covered, 0 to 1, by NAMES; left and right are the picture's, as in `faces/masks.py`.

    Arguments:
        occlusion: (H, W) float32 in [0, 1].
        landmarks: (68, 2) in its pixels.
    """
    shape = (occlusion.shape[0], occlusion.shape[1])
    grids = region_masks.eye_grids(landmarks, shape)
    eyes = [region_masks.eyes_mask(landmarks, shape, (grid, grid)) for grid in grids]
    masks = [*eyes, region_masks.lips_mask(landmarks, shape), region_masks.skin_mask(landmarks, shape, grids)]
    return {
        name: float((mask * occlusion).sum() / max(float(mask.sum()), 1e-6))
        for name, mask in zip(NAMES, masks, strict=True)
    }


def _check(chips: NDArray[Any], landmarks: NDArray[Any]) -> None:
    if chips.ndim != 4 or chips.shape[1] != chips.shape[2] or chips.shape[3] != 3 or chips.dtype != np.uint8:
        raise ValueError(f"chips must be (N, S, S, 3) uint8, but are {chips.shape} {chips.dtype}")
    if landmarks.shape != (len(chips), 68, 2):
        raise ValueError(f"landmarks must be ({len(chips)}, 68, 2), but their shape is {landmarks.shape}")


def _scaled(landmarks: NDArray[Any], scale: float) -> FloatArray:
    """Landmarks of a chip that is reduced by `scale`; a pixel's centre lies at its whole coordinate."""
    return np.asarray((landmarks + 0.5) * scale - 0.5, dtype=np.float32)


def _enlarged(masks: list[FloatArray], size: int) -> FloatArray:
    import cv2

    result = np.empty((len(masks), size, size), dtype=np.float32)
    for index, mask in enumerate(masks):
        result[index] = cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR)
    return result
