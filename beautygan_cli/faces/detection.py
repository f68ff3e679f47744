"""Faces in photos, by dlib's frontal detector first, then by its CNN."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from beautygan_cli.faces.dlib_models import load, network_lock
from beautygan_cli.faces.landmarks import find_landmarks
from beautygan_cli.imaging.resize import reduced, resized
from beautygan_cli.types import FloatArray, UInt8Array

T = TypeVar("T")

SCAN_SIDES = (800, 1440, 3600)  # longest side of the copies that the frontal detector searches, one after the other
SCAN_FACE = 80  # pixels: width of the smallest face that the detector finds in a copy
CLEAR_FACE = 2 * SCAN_FACE  # where no face is narrower, others half as wide are bystanders, and the search ends
MOST_ENLARGED = 2  # times that a small photo is enlarged for it
CNN_SIDE = 1000  # third try, dlib's slower CNN detector: faces turned, covered or badly lit
SMALLEST_SIDE = 40  # of a photo that can hold a face; dlib's CNN detector never returns from a picture of one pixel
DOUBTFUL = 0.8  # score of the frontal detector below which the CNN must see the face too: badges and folds reach 0.1
WATCHED_FACE = 110  # width of a face that is looked at again: the frontal detector's smallest is 80
WATCHED_SCORE = -0.4  # of the frontal detector, where a face was a moment before
CONFIRM_SIDE = 300  # of the copy that the CNN is asked about
MIN_OVERLAP = 0.4  # intersection over union above which two boxes are one face

# Dlib's frontal detector and its networks keep scratch memory: of the first, which is small, each thread has one of its
# own, and the networks serve one thread at a time. The landmark predictor is only read.
_frontal_detectors = threading.local()


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo: box (left, top, right, bottom) and (68, 2) landmarks (x, y), all in photo pixels."""

    box: tuple[float, float, float, float]
    landmarks: FloatArray

    @property
    def size(self) -> float:
        """The box's width in photo pixels."""
        return self.box[2] - self.box[0]


def detect(pixels: UInt8Array, *, thorough: bool = True) -> list[Face]:
    """Faces of an (H, W, 3) uint8 upright RGB photo, largest first; an empty list where there is none.

    The search runs on a reduced copy, on larger ones while there is no face or a small one, then with the CNN detector
    (`thorough` False: without the largest copy and the CNN). Boxes and landmarks are in the full photo's pixels. Beside
    faces that all have a fifth of the photo's longest side, those of less than a tenth are bystanders, not looked for.
    """
    faces = [Face(box, find_landmarks(pixels, box)) for box in _search(pixels, thorough)]
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
    part = resized(part, scale)
    place = tuple((value - start) * scale for value, start in zip(box, (x0, y0, x0, y0), strict=True))
    if thorough:
        if min(part.shape[:2]) < SMALLEST_SIDE:
            return False
        network = load("mmod_human_face_detector.dat", dlib.cnn_face_detection_model_v1)
        with network_lock:
            found = [hit.rect for hit in network(part, 0)]
    else:
        found = list(_frontal_detector().run(part, 0, WATCHED_SCORE)[0])
    hits = [(rect.left(), rect.top(), rect.right() + 1, rect.bottom() + 1) for rect in found]
    return any(overlap(hit, place) >= MIN_OVERLAP for hit in hits)


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
        copy = resized(_sampled(pixels), 4 * scale) if scale <= 1 / 4 else resized(pixels, scale)
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
    copy, scale = reduced(pixels, CNN_SIDE)
    if min(copy.shape[:2]) < SMALLEST_SIDE:
        return []
    network = load("mmod_human_face_detector.dat", dlib.cnn_face_detection_model_v1)
    with network_lock:
        seen = [(hit.rect, hit.confidence) for hit in network(copy, 1 if max(copy.shape[:2]) < CNN_SIDE else 0)]
    return _distinct(seen, scale)


def _confirmed(copy: UInt8Array, rect: Any) -> bool:
    """Whether the CNN detector, too, sees a face where the frontal one does."""
    import dlib

    reach = rect.width() // 2
    top, left = max(0, rect.top() - reach), max(0, rect.left() - reach)
    part, _ = reduced(copy[top : rect.bottom() + reach, left : rect.right() + reach], CONFIRM_SIDE)
    if min(part.shape[:2]) < SMALLEST_SIDE:
        return False
    network = load("mmod_human_face_detector.dat", dlib.cnn_face_detection_model_v1)
    # A smaller face is below what the network, too, was trained on: it is asked at twice the size.
    with network_lock:
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
