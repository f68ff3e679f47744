"""Faces in photos, at any angle in the plane: by dlib's frontal detector, and by its CNN where that is in doubt."""

from __future__ import annotations

import importlib.resources
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beautygan_cli.faces import turned
from beautygan_cli.faces.dlib_models import load, network_lock
from beautygan_cli.faces.face import Face
from beautygan_cli.faces.landmarks import LANDMARK_FACE, find_landmarks
from beautygan_cli.imaging.resize import reduced, resized
from beautygan_cli.photos.photo import Photo, turned_by_exif
from beautygan_cli.types import UInt8Array

SCAN_SIDES = (800, 1440, 3600)  # longest side of the copies that the frontal detector searches, one after the other
SCAN_FACE = 80  # pixels: width of the smallest face that the detector finds in a copy
CLEAR_FACE = 2 * SCAN_FACE  # where no face is narrower, others half as wide are bystanders, and the search ends
MOST_ENLARGED = 2  # times that a small photo is enlarged for it
TURNED_SIDE = 320  # of the copies that are turned, where no clear upright face is there: for faces of a quarter of it
TURNS = (
    60.0,
    -60.0,
    120.0,
    -120.0,
    180.0,
)  # degrees; the detector finds all faces within 30 degrees of them
TURNS_OF_CNN = (0.0, 60.0, -60.0)  # degrees at which what the CNN saw may be upright
LEVEL = 20.0  # degrees of tilt from which landmarks are read in a view that is turned upright
CNN_SIDE = 320  # last try, dlib's CNN detector, seventy times as slow for a pixel: faces covered or badly lit
BYSTANDER = 0.25  # of the largest face's width: what is narrower stands far behind it, or hangs on the wall
SMALLEST_SIDE = 40  # of a photo that can hold a face; dlib's CNN detector never returns from a picture of one pixel
DOUBTFUL = 0.8  # score of the frontal detector below which a face is looked at again
DIM = 0.3  # score below which the CNN must see it too: badges and folds reach 0.1
WATCHED_FACE = 110  # width of a face that is looked at again: the frontal detector's smallest is 80
UPRIGHT_SCORE = 0.0  # of the frontal detector that a face's view must have once it is turned upright by its landmarks
MOST_TILTED = 45.0  # degrees at which the frontal detector may have seen a face upright
WATCHED_SCORE = -0.4  # of the frontal detector, where a face was a moment before
CONFIRM_SIDE = 140  # of the copy that the CNN is asked about ...
CONFIRM_REACH = 0.3  # ... face widths to each side of the face: there it is as wide as the CNN needs it
MIN_OVERLAP = 0.4  # intersection over union above which two boxes are one face

# Dlib's frontal detector and its networks keep scratch memory: of the first, which is small, each thread has one of its
# own, and the networks serve one thread at a time. The landmark predictor is only read.
_frontal_detectors = threading.local()


@dataclass(frozen=True, eq=False)
class _Hit:
    """What a detector saw: a box (left, top, right, bottom) in photo pixels, how surely, and on a copy turned how."""

    box: tuple[float, float, float, float]
    score: float
    turn: float | None = 0.0  # degrees, counter-clockwise, after which the face is upright; None where that isn't known


def _go_on() -> None:
    """The search goes on."""


def detect(pixels: UInt8Array, *, thorough: bool = True, go_on: Callable[[], None] = _go_on) -> list[Face]:
    """Faces of an (H, W, 3) uint8 RGB photo, at any angle in its plane, largest first; an empty list without one.

    The search runs on a reduced copy; without a clear face there, on turned copies that are smaller still; on larger
    ones while there is no face or a small one; then with the CNN detector (`thorough` False: upright alone, without
    the largest copy and the CNN). Boxes and landmarks are in the full photo's pixels. Beside faces that all have a
    fifth of the photo's longest side, those of less than a tenth are bystanders, not looked for. What the landmarks
    don't make a face of is none. `go_on` is called between scans, of which a large photo takes many, and may raise what
    ends the search.
    """
    faces = []
    for hit in _search(pixels, thorough, go_on):
        go_on()
        if (face := _face(pixels, hit)) is not None:
            faces.append(face)
    return sorted(faces, key=lambda face: -face.size)


def main_faces(faces: Sequence[Face]) -> list[Face]:
    """The faces, largest first, that are not far smaller than the largest."""
    return [face for face in faces if face.size >= BYSTANDER * faces[0].size]


def _face(pixels: UInt8Array, hit: _Hit) -> Face | None:
    """The face that was hit with its landmarks, read upright; None where they make no face."""
    if hit.turn is None:
        turns = (_upright(pixels, hit.box, turn) for turn in TURNS_OF_CNN)
        return next((face for face in turns if face is not None), None)
    if not hit.turn:
        landmarks = find_landmarks(pixels, hit.box)
        tilt = turned.tilt(landmarks)
        sound = turned.make_a_face(landmarks)
        if sound and abs(tilt) <= LEVEL:
            return Face(hit.box, landmarks)
        upright = _upright(pixels, hit.box, tilt if sound else 0.0)
        return upright or (Face(hit.box, landmarks) if sound and abs(tilt) <= MOST_TILTED else None)
    return _upright(pixels, hit.box, hit.turn)


def _upright(pixels: UInt8Array, box: tuple[float, float, float, float], angle: float) -> Face | None:
    """The face in a box, once a view turned by about that angle shows it upright to the frontal detector as well."""
    face = None
    for _ in range(2):  # the second time by the face's own tilt
        centre, width = np.array([box[0] + box[2], box[1] + box[3]]) / 2, box[2] - box[0]
        view = turned.around(pixels, centre, width, angle, LANDMARK_FACE)
        middle, half = view.to_view(centre[None])[0], width * view.scale / 2
        place = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
        seen = _seen(view.pixels, place, UPRIGHT_SCORE)
        if seen is None:
            return face
        landmarks = view.to_photo(find_landmarks(view.pixels, seen))
        if not turned.make_a_face(landmarks):
            return face
        centre = view.to_photo(np.array([[seen[0] + seen[2], seen[1] + seen[3]]]) / 2)[0].astype(float)
        half = (seen[2] - seen[0]) / view.scale / 2
        box = (centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half)
        face = Face(box, landmarks)
        tilt = turned.tilt(landmarks)
        if abs((tilt - angle + 180) % 360 - 180) <= LEVEL / 2:
            return face
        angle = tilt
    return face


def _seen(
    pixels: UInt8Array, place: tuple[float, float, float, float], least: float
) -> tuple[float, float, float, float] | None:
    """Where the frontal detector sees a face about the place, in the (H, W, 3) picture's pixels; None where nowhere."""
    scale = WATCHED_FACE / (place[2] - place[0])
    rects, scores, _ = _frontal_detector().run(_grey(resized(pixels, scale)), 0, least)
    hits = [(score, _box(rect, scale)) for rect, score in zip(rects, scores, strict=True)]
    hits = [hit for hit in hits if overlap(hit[1], place) >= MIN_OVERLAP]
    return max(hits)[1] if hits else None


def decided(photo: Photo, go_on: Callable[[], None] = _go_on) -> Photo:
    """A photo whose EXIF and format differ on which side is up, turned where its largest face is upright that way.

    go_on: as `detect` has it.
    """
    if photo.doubtful_orientation == 1:
        return photo
    return min(photo, turned_by_exif(photo), key=lambda way: _quarters_off(way, go_on))


def _quarters_off(photo: Photo, go_on: Callable[[], None]) -> int:
    """How many quarters of a turn, 0 to 2, a photo's largest face is off upright; 1 without a face."""
    faces = detect(photo.pixels, go_on=go_on)
    return round(abs(turned.tilt(faces[0].landmarks)) / 90) if faces else 1


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


def _search(pixels: UInt8Array, thorough: bool, go_on: Callable[[], None]) -> list[_Hit]:
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        return []
    best: list[_Hit] = []
    scanned = 0
    for side in SCAN_SIDES if thorough else SCAN_SIDES[:-1]:
        scale = min(MOST_ENLARGED, side / max(pixels.shape[:2]))
        far_faces = side == SCAN_SIDES[-1]
        if (best and far_faces) or round(scale * max(pixels.shape[:2])) <= scanned:
            break
        go_on()
        copy = resized(_sampled(pixels), 4 * scale) if scale <= 1 / 4 else resized(pixels, scale)
        first, scanned = not scanned, max(copy.shape[:2])
        # As good without colour, in three quarters of the time.
        rects, scores, _ = _frontal_detector().run(_grey(copy), 0, 0.0)
        seen = list(zip(rects, scores, strict=True))
        clear = [hit for hit in seen if hit[1] >= DOUBTFUL]
        if first and thorough and not clear:
            sideways = _sideways(copy, scale, go_on)
            # A face that lies on its side may look a little like an upright one, somewhere.
            if sideways and sideways[0].score > max((score for _, score in seen), default=0.0):
                return sideways
        hits = clear + [hit for hit in seen if hit[1] < DOUBTFUL and _confirmed(copy, *hit, go_on)]
        if len(hits) >= len(best):
            best = _distinct([_Hit(_box(rect, scale), score) for rect, score in hits])
        if hits and all(rect.width() >= CLEAR_FACE for rect, _ in hits):
            break
    if best or not thorough:
        return best
    go_on()
    return _by_cnn(pixels)


def _sideways(copy: UInt8Array, scale: float, go_on: Callable[[], None]) -> list[_Hit]:
    """The faces that turned copies of a copy of the photo show, the surest first; scale: that of the copy."""
    small, reduction = reduced(copy, TURNED_SIDE)
    hits = []
    for angle in TURNS:
        go_on()
        view = turned.whole(small, angle)
        rects, scores, _ = _frontal_detector().run(_grey(view.pixels), 0, DIM)
        for rect, score in zip(rects, scores, strict=True):
            left, top, right, bottom = _box(rect, 1.0)
            x, y = view.to_photo(np.array([[left + right, top + bottom]]) / 2)[0] / (scale * reduction)
            half = (right - left) / (scale * reduction) / 2
            hits.append(_Hit((x - half, y - half, x + half, y + half), score, angle))
    return _distinct(hits)


def _by_cnn(pixels: UInt8Array) -> list[_Hit]:
    """What the CNN detector sees in a small copy: faces at up to a right angle, and not which way up."""
    import dlib

    copy, scale = reduced(pixels, CNN_SIDE)
    if min(copy.shape[:2]) < SMALLEST_SIDE:
        return []
    network = load("mmod_human_face_detector.dat", dlib.cnn_face_detection_model_v1)
    with network_lock:
        found = [_Hit(_box(hit.rect, scale), hit.confidence, None) for hit in network(copy, 0)]
    return _distinct(found)


def _confirmed(copy: UInt8Array, rect: Any, score: float, go_on: Callable[[], None] = _go_on) -> bool:
    """Whether what the frontal detector is in doubt about is a face.

    A second look, at its own tilt and size, tells where the first was sure enough, else the CNN detector must see it.
    """
    import dlib

    go_on()
    if score >= DIM and _upright(copy, _box(rect, 1.0), 0.0) is not None:
        return True
    reach = round(CONFIRM_REACH * rect.width())
    top, left = max(0, rect.top() - reach), max(0, rect.left() - reach)
    part, _ = reduced(copy[top : rect.bottom() + reach, left : rect.right() + reach], CONFIRM_SIDE)
    if min(part.shape[:2]) < SMALLEST_SIDE:
        return False
    network = load("mmod_human_face_detector.dat", dlib.cnn_face_detection_model_v1)
    with network_lock:
        return bool(len(network(part, 0)))


def _box(rect: Any, scale: float) -> tuple[float, float, float, float]:
    """A dlib rectangle of a copy as a box in photo pixels."""
    return rect.left() / scale, rect.top() / scale, (rect.right() + 1) / scale, (rect.bottom() + 1) / scale


def _distinct(found: list[_Hit]) -> list[_Hit]:
    """The surer one kept of two hits that overlap, the surest first."""
    kept: list[_Hit] = []
    for hit in sorted(found, key=lambda hit: -hit.score):
        if all(overlap(hit.box, other.box) < MIN_OVERLAP for other in kept):
            kept.append(hit)
    return kept


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


def _grey(pixels: UInt8Array) -> UInt8Array:
    import cv2

    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _frontal_detector() -> Any:
    """The detector of the thread that asks: dlib's own, `dlib.get_frontal_face_detector()`, from a file.

    dlib unpacks it from its library at each call, which takes 0.25 s and holds the interpreter's lock; the file, which
    dlib's detector wrote by its `save`, is read in a hundredth of that.
    """
    import dlib

    if not hasattr(_frontal_detectors, "detector"):
        file = importlib.resources.files("beautygan_cli.faces").joinpath("frontal_face_detector.svm")
        _frontal_detectors.detector = dlib.fhog_object_detector(str(file))
    return _frontal_detectors.detector
