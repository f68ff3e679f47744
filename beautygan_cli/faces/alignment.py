"""A face's chip: where it lies in the photo, cut from it, and the patches of its eyes."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks, turned
from beautygan_cli.faces.face import Face
from beautygan_cli.imaging.resize import averaged, divisible
from beautygan_cli.types import FloatArray, UInt8Array

T = TypeVar("T")

EYE_PIXELS = 256  # of an eye's width in its patch at most: half a lash's breadth
PATCH_WIDTHS = 3.0  # eye widths of a patch's side: a wing on the far side of the outer corner, on a tilted head too
PATCH_TILT = 30.0  # degrees of a head's tilt up to which its patches are as the photo has them, pixel by pixel
PATCH_RISE = 0.2  # eye widths by which its middle lies above the eye's


@dataclass(frozen=True, eq=False)
class CropTransform:
    """How a chip lies in its photo: a (2, 3) similarity from photo pixels to chip pixels, and the chip's side."""

    matrix: FloatArray
    size: int

    @classmethod
    def in_itself(cls, size: int) -> CropTransform:
        """How a chip of so many pixels a side lies in itself, where it is all there is of a photo."""
        return cls(np.eye(2, 3, dtype=np.float32), size)

    @property
    def scale(self) -> float:
        """Chip pixels per photo pixel."""
        (a, b, _), (c, d, _) = self.matrix.tolist()
        return float(abs(a * d - b * c) ** 0.5)

    @property
    def inverse(self) -> FloatArray:
        """(2, 3), from chip pixels to photo pixels."""
        import cv2

        return np.asarray(cv2.invertAffineTransform(self.matrix), dtype=np.float32)

    def in_part(self, left: int, top: int, step: int) -> CropTransform:
        """How the same chip lies in the part of the photo that begins there, reduced by a whole number."""
        matrix = self.matrix.astype(np.float64)
        # A pixel's centre lies at its whole coordinate: a reduced one's is the middle of those that it holds.
        matrix[:, 2] += matrix[:, :2] @ (np.array([left, top]) + (step - 1) / 2)
        matrix[:, :2] *= step
        return CropTransform(np.asarray(matrix, dtype=np.float32), self.size)

    def resized(self, ratio: float) -> CropTransform:
        """How the same chip lies in the photo when that is resized to `ratio` times its width and height."""
        matrix = self.matrix.astype(np.float64)
        matrix[:, :2] /= ratio
        matrix[:, 2] += matrix[:, :2] @ np.full(2, (1 - ratio) / 2)
        return CropTransform(np.asarray(matrix, dtype=np.float32), self.size)

    def to_chip(self, points: NDArray[Any]) -> FloatArray:
        """(N, 2) photo points to chip points."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], dtype=np.float32)

    def to_photo(self, points: NDArray[Any]) -> FloatArray:
        """(N, 2) chip points to photo points."""
        inverse = self.inverse
        return np.asarray(points @ inverse[:, :2].T + inverse[:, 2], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class EyePatch:
    """What the photo shows around an eye, finer than a chip does: (P, P, 3) uint8 RGB, and how it lies in the photo."""

    pixels: UInt8Array
    crop_transform: CropTransform


@dataclass(frozen=True, eq=False)
class FaceAnalysis:
    """The upright square crop of a face.

    chip: (size, size, 3) uint8 RGB; crop_transform: how it lies in the photo; landmarks: (68, 2) in chip pixels;
    exposure: times by which it must be brightened to be well lit, where that is known (see `faces/exposure.py`); eyes:
    the image's left and right one as the photo has them, where they were asked for; known: what was worked out from all
    this, by name; drawing: held while what several threads ask for is worked out.
    """

    chip: UInt8Array
    crop_transform: CropTransform
    landmarks: FloatArray
    exposure: float | None = None
    eyes: tuple[EyePatch, ...] = ()
    known: dict[Hashable, Any] = field(init=False, repr=False, default_factory=dict)
    drawing: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def once(self, what: Hashable, work: Callable[[], T]) -> T:
        """What `work` gives: worked out at the first call with this name, and kept for as long as the face is."""
        if what not in self.known:
            self.known[what] = work()
        result: T = self.known[what]
        return result

    def mask(self, draw: Callable[..., FloatArray], **options: float) -> FloatArray:
        """A mask of the chip, (size, size) float32 of 0..1, read-only: drawn once with these options.

        draw: a function of landmarks and shape, as those of `faces/masks.py` are; one that takes `grids` or `skin` is
        given the face's, which many masks share.
        """

        def work() -> FloatArray:
            shape = (self.chip.shape[0], self.chip.shape[1])
            shared: dict[str, Any] = {}
            if _takes(draw, "grids"):
                shared["grids"] = self.once("grids", lambda: masks.eye_grids(self.landmarks, shape))
            if _takes(draw, "skin"):
                shared["skin"] = self.mask(masks.skin_mask)
            drawn = draw(self.landmarks, shape, **shared, **options)
            drawn.flags.writeable = False
            return drawn

        return self.once((draw, *sorted(options.items())), work)

    def __getstate__(self) -> dict[str, Any]:
        """To another process goes what was measured; no lock can go there, and what follows is worked out anew."""
        return {name: value for name, value in vars(self).items() if name not in ("known", "drawing")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, known={}, drawing=threading.Lock())


@cache
def _takes(function: Callable[..., Any], name: str) -> bool:
    return name in inspect.signature(function).parameters


def align(pixels: UInt8Array, face: Face, size: int, padding: float) -> FaceAnalysis:
    """The chip of a face as dlib's `get_face_chip(size, padding)` lays it, but smoothly reduced.

    Where the chip reaches over the photo's edge, the photo's last pixels are repeated in place of dlib's black.
    """
    crop_transform = place(face.landmarks, size, padding)
    return FaceAnalysis(crop(pixels, crop_transform), crop_transform, crop_transform.to_chip(face.landmarks))


def eye_patches(pixels: UInt8Array, landmarks: FloatArray) -> tuple[EyePatch, EyePatch]:
    """Both eyes of a face, with landmarks (68, 2) in the photo's pixels, as finely as the photo shows them.

    An eye's width is as many pixels as in the photo, but EYE_PIXELS at most, and a patch PATCH_WIDTHS of it wide. Those
    of a head that lies on its side are turned upright.
    """
    patches = []
    tilt = turned.tilt(landmarks)
    turn = turned.turn(tilt) if abs(tilt) > PATCH_TILT else np.eye(2)
    for eye in (slice(36, 42), slice(42, 48)):
        points = landmarks[eye]
        width = max(1.0, float(np.linalg.norm(points[3] - points[0])))
        scale = min(1.0, EYE_PIXELS / width)
        side = max(8, round(PATCH_WIDTHS * width * scale))
        # The brow lies above, so that an eye's middle is below that of its patch.
        centre = points.mean(axis=0) - turn.T @ [0, PATCH_RISE * width]
        start = (side - 1) / 2 - scale * turn @ centre
        matrix = np.column_stack([scale * turn, start]).astype(np.float32)
        crop_transform = CropTransform(matrix, side)
        patches.append(EyePatch(crop(pixels, crop_transform), crop_transform))
    return patches[0], patches[1]


def place(landmarks: FloatArray, size: int, padding: float) -> CropTransform:
    """Where dlib puts the chip of a face with these (68, 2) landmarks."""
    import cv2
    import dlib

    # dlib takes whole pixels: scaled up first, so that a small face is not rounded by a visible amount.
    scale = 16.0
    points = [dlib.point(round(float(x) * scale), round(float(y) * scale)) for x, y in landmarks]
    box = dlib.rectangle(0, 0, 1, 1)
    details = dlib.get_face_chip_details(dlib.full_object_detection(box, points), size, padding)
    rect, angle = details.rect, details.angle
    centre = np.array([(rect.left() + rect.right()) / 2, (rect.top() + rect.bottom()) / 2])
    corners = np.array([[rect.left(), rect.top()], [rect.right(), rect.top()], [rect.right(), rect.bottom()]])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    in_photo = ((corners - centre) @ turn.T + centre) / scale
    in_chip = np.array([[0, 0], [size - 1, 0], [size - 1, size - 1]])
    matrix = cv2.getAffineTransform(in_photo.astype(np.float32), in_chip.astype(np.float32))
    return CropTransform(np.asarray(matrix, dtype=np.float32), size)


def crop(
    pixels: NDArray[Any], crop_transform: CropTransform, box: tuple[int, int, int, int] | None = None
) -> UInt8Array:
    """The (size, size, C) chip that a crop_transform cuts out of an (H, W, C) photo, free of aliasing.

    box: (left, top, right, bottom) in chip pixels, where a part of the chip alone is wanted.
    """
    import cv2

    x, y, end, base = box or (0, 0, crop_transform.size, crop_transform.size)
    reduction = max(1.0, 1.0 / max(crop_transform.scale, 1e-6))
    left, top, right, bottom = footprint(crop_transform, (pixels.shape[0], pixels.shape[1]), (x, y, end, base))
    left, right = divisible(left, right, pixels.shape[1], reduction)
    top, bottom = divisible(top, bottom, pixels.shape[0], reduction)
    part = pixels[top:bottom, left:right]
    matrix = crop_transform.matrix.astype(np.float64)
    matrix[:, 2] += matrix[:, :2] @ (left, top) - (x, y)
    if reduction > 1:
        # Averaged over all that a chip pixel covers; the affine warp alone would skip pixels.
        size = max(1, round(part.shape[1] / reduction)), max(1, round(part.shape[0] / reduction))
        ratio = np.array([part.shape[1] / size[0], part.shape[0] / size[1]])
        part = averaged(part, size)
        matrix[:, 2] += matrix[:, :2] @ ((ratio - 1) / 2)
        matrix[:, :2] *= ratio
    chip = cv2.warpAffine(part, matrix, (end - x, base - y), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(chip, dtype=np.uint8)


def footprint(
    crop_transform: CropTransform, shape: tuple[int, int], box: tuple[int, int, int, int] | None = None
) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of whole photo pixels that a chip covers, inside a photo of (H, W).

    box: in chip pixels, where it is a part of the chip that is asked for.
    """
    x, y, end, base = box or (0, 0, crop_transform.size, crop_transform.size)
    corners = np.array([[x, y], [end - 1, y], [end - 1, base - 1], [x, base - 1]], dtype=np.float32)
    corners = crop_transform.to_photo(corners)
    margin = 2  # pixels that interpolation reaches over
    left, top = np.floor(corners.min(axis=0)).astype(int) - margin
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + margin + 1
    height, width = shape
    left, right = int(np.clip(left, 0, width - 1)), int(np.clip(right, 1, width))
    top, bottom = int(np.clip(top, 0, height - 1)), int(np.clip(bottom, 1, height))
    return left, top, max(right, left + 1), max(bottom, top + 1)
