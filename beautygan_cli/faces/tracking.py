"""Faces from frame to frame: found now and then, followed in between, their landmarks steadied.

Each frame of a clip could be treated as a photo of its own, but then every pixel of noise moves the landmarks, and the
makeup with them. Here the motion of a face between two frames is taken from all of its texture at once (sparse optical
flow, one similarity), and what the landmark network says beside that goes through a One Euro filter.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import alignment, detection, masks
from beautygan_cli.faces.face import Face
from beautygan_cli.faces.landmarks import followed_landmarks
from beautygan_cli.imaging import drawing
from beautygan_cli.types import FloatArray, UInt8Array

SEARCH_EVERY = 10  # frames between two searches for faces that came in: a third of a second at the usual rates
THOROUGH_EVERY = 2.0  # seconds between two searches by the slow detectors, while the quick one finds nothing
PATIENCE = 10  # frames that the frontal detector may miss a face for, before the slow one has the last word
ONE_FACE = 0.6  # intersection over union from which two that are followed have come to be one
SAME_FACE = 0.3  # intersection over union from which a found box is that of a face being followed
STRAYED = 0.2  # units on average: landmarks that lie further from where the motion puts them are lost

FLOW_FACE = 200  # width in pixels at which a face's motion is measured
FLOW_POINTS = 120  # at most
LEAST_POINTS = 12  # that must agree on one motion ...
LEAST_AGREEMENT = 0.4  # ... and the share of all points that they must be
THERE_AND_BACK = 0.7  # pixels by which a point may miss itself after going there and back

# One Euro filter, lengths in units (the distance of the eyes): at rest everything below STILL hertz passes, and
# EAGERNESS hertz more for each unit a second by which a landmark moves within the face. A lid shuts at some 1 unit/s.
STILL = 0.4
EAGERNESS = 15.0
SPEED_CUTOFF = 3.0  # hertz, of the filter that the speed itself goes through

AVERAGED = 0.3  # seconds over which a still face is averaged: of noise, a quarter is left at 30 frames a second
SAME_LOOK, OTHER_LOOK = 5.0, 18.0  # grey levels (blurred) up to which a pixel is noise, and from which it is news
LOOK_BLUR = 0.025  # units
REACH = 0.6  # of a face's height, around its landmarks: forehead and chin


@dataclass(frozen=True, eq=False)
class Seen:
    """A face in a frame. track: the same number for the same face in all frames; landmarks: (68, 2) frame pixels."""

    track: int
    landmarks: FloatArray


class Tracker:
    """Follows the faces of a clip. Frames come in order, some at a time.

    rate: frames a second. which: "all" faces, or the "largest" of the frame in which no face is being followed yet.
    """

    def __init__(self, rate: float, which: str = "all") -> None:
        self._rate, self._which = rate, which
        self._tracks: list[_Track] = []
        self._last: tuple[UInt8Array, float] | None = None
        self._given = 0
        self._searched = -np.inf  # time of the last thorough search
        self.searches = 0

    def follow(self, frames: Sequence[UInt8Array], times: Sequence[float]) -> list[list[Seen]]:
        """The faces of each frame, largest first.

        frames: (H, W, 3) uint8 RGB each, those after the last ones that were given, up to SEARCH_EVERY at a time: the
        last one of them is searched for faces that came in, which are then followed back. times: in seconds.
        """
        seen: list[dict[_Track, FloatArray]] = [{} for _ in frames]
        if self._last is None and frames:
            for face in self._search(frames[0], times[0]):
                self._begin(frames[0], face, times[0])
            for track in self._tracks:
                seen[0][track] = track.landmarks
        for number, (frame, time) in enumerate(zip(frames, times, strict=True)):
            if self._last is not None:
                self._step(frame, time, seen, number)
            self._last = frame, time
        if len(frames) > 1 or not self._tracks:
            self._welcome(frames, times, seen)
        return [
            [Seen(track.number, points) for track, points in sorted(faces.items(), key=lambda item: -_size(item[1]))]
            for faces in seen
        ]

    def _step(self, frame: UInt8Array, time: float, seen: list[dict[_Track, FloatArray]], number: int) -> None:
        """All tracks from the last frame to this one; those that are lost begin anew where a face is found, or end."""
        assert self._last is not None
        before, then = self._last
        found: list[Face] | None = None
        for track in list(self._tracks):
            if track.step(before, frame, abs(time - then)):
                seen[number][track] = track.landmarks
                if not track.watch(frame):
                    # What was taken for the face since the detector last saw it is taken back.
                    self._tracks.remove(track)
                    for earlier in seen[max(0, number - track.unseen + 1) : number + 1]:
                        earlier.pop(track, None)
                continue
            if found is None:
                found = self._search(frame, time)
            again = max(found, key=lambda face: detection.overlap(face.box, track.box), default=None)
            if again is None or detection.overlap(again.box, track.box) < SAME_FACE:
                self._tracks.remove(track)
            else:
                track.restart(again)
                seen[number][track] = track.landmarks
        for older, younger in itertools.combinations(list(self._tracks), 2):
            if detection.overlap(older.box, younger.box) >= ONE_FACE and younger in self._tracks:
                self._tracks.remove(younger)
                seen[number].pop(younger, None)

    def _welcome(
        self, frames: Sequence[UInt8Array], times: Sequence[float], seen: list[dict[_Track, FloatArray]]
    ) -> None:
        """Begin to follow faces that came in, also back to the frame in which they did."""
        if self._which == "largest" and self._tracks:
            return
        for face in self._search(frames[-1], times[-1]):
            if any(detection.overlap(face.box, track.box) >= SAME_FACE for track in self._tracks):
                continue
            track = self._begin(frames[-1], face, times[-1])
            if track is None:
                continue
            seen[-1][track] = track.landmarks
            back = track.copy()
            for number in range(len(frames) - 2, -1, -1):
                others = [_box(points) for points in seen[number].values()]
                if not back.step(frames[number + 1], frames[number], times[number + 1] - times[number]):
                    break
                if not back.watch(frames[number], patient=False):
                    break
                if any(detection.overlap(_box(back.landmarks), other) >= SAME_FACE for other in others):
                    break
                seen[number][track] = back.landmarks

    def _search(self, frame: UInt8Array, time: float) -> list[Face]:
        self.searches += 1
        found = detection.detect(frame, thorough=False)
        if not found and not self._tracks and time - self._searched >= THOROUGH_EVERY:
            self._searched = time
            found = detection.detect(frame)
        return found

    def _begin(self, frame: UInt8Array, face: Face, time: float) -> _Track | None:
        if self._which == "largest" and self._tracks:
            return None
        track = _Track(self._given, face)
        self._given += 1
        self._tracks.append(track)
        return track


class _Track:
    """One face on its way. Its box is kept in the frame of its landmarks, so that both move as one."""

    def __init__(self, number: int, face: Face) -> None:
        self.number = number
        self.unseen = 0  # frames since a detector last saw the face
        self.restart(face)

    def restart(self, face: Face) -> None:
        """Begin anew with a face that was found."""
        self.landmarks = face.landmarks
        self._speed = np.zeros_like(face.landmarks)
        crop_transform = alignment.place(face.landmarks, 100, 0.25)
        left, top, right, bottom = face.box
        self._centre = crop_transform.to_chip(np.array([[(left + right) / 2, (top + bottom) / 2]]))
        self._half = (right - left) / 2 * crop_transform.scale

    def copy(self) -> _Track:
        """Another one at the same place."""
        other = _Track.__new__(_Track)
        other.__dict__.update(self.__dict__)
        return other

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Where the detector would put the face."""
        return self._box_of(self.landmarks)

    def _box_of(self, landmarks: FloatArray) -> tuple[float, float, float, float]:
        crop_transform = alignment.place(landmarks, 100, 0.25)
        x, y = (float(value) for value in crop_transform.to_photo(self._centre)[0])
        half = self._half / crop_transform.scale
        return x - half, y - half, x + half, y + half

    def step(self, before: UInt8Array, frame: UInt8Array, seconds: float) -> bool:
        """Follow the face into the next frame; False where it is lost."""
        motion = _motion(before, frame, self.landmarks)
        if motion is None:
            return False
        carried = np.asarray(self.landmarks @ motion[:, :2].T + motion[:, 2], dtype=np.float32)
        if not _inside(carried, frame.shape[:2]):
            return False
        interocular = masks.interocular_distance(carried)
        beside = (followed_landmarks(frame, carried) - carried) / interocular
        if float(np.linalg.norm(beside, axis=1).mean()) > STRAYED:
            return False
        # Formula: G. Casiez, N. Roussel, D. Vogel, "1 Euro Filter" (CHI 2012), in the frame that moves with the face,
        # so that a head that moves is not lagged behind.
        self._speed = self._speed + _share(SPEED_CUTOFF, seconds) * (beside / seconds - self._speed)
        cutoff = STILL + EAGERNESS * np.linalg.norm(self._speed, axis=1, keepdims=True)
        self.landmarks = np.asarray(carried + _share(cutoff, seconds) * beside * interocular, dtype=np.float32)
        return True

    def watch(self, frame: UInt8Array, *, patient: bool = True) -> bool:
        """Whether it is still a face: the frontal detector is asked, and after some frames in vain the slow one."""
        if detection.seen_at(frame, self.box):
            self.unseen = 0
            return True
        self.unseen += 1
        if patient and self.unseen < PATIENCE:
            return True
        if detection.seen_at(frame, self.box, thorough=True):
            self.unseen = 0
            return True
        return False


def _share(cutoff: Any, seconds: float) -> Any:
    """The weight of a new value in a low-pass filter of so many hertz."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * seconds))


def _motion(before: UInt8Array, after: UInt8Array, landmarks: FloatArray) -> NDArray[np.float64] | None:
    """How a face moved between two frames, a (2, 3) similarity in frame pixels; None where its points disagree."""
    import cv2

    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    size = float((high - low).max())
    height, width = before.shape[:2]
    x0, y0 = (int(max(0, value)) for value in low - 0.6 * size)
    x1, y1 = int(min(width, high[0] + 0.6 * size)) + 1, int(min(height, high[1] + 0.6 * size)) + 1
    if x1 - x0 < detection.SMALLEST_SIDE or y1 - y0 < detection.SMALLEST_SIDE:
        return None
    scale = min(1.0, FLOW_FACE / size)
    parts = [_grey(frame[y0:y1, x0:x1], scale) for frame in (before, after)]
    shape = parts[0].shape[:2]
    ratio = np.array([shape[1] / (min(x1, width) - x0), shape[0] / (min(y1, height) - y0)])
    outline = masks.face_outline((landmarks - (x0, y0)) * ratio)
    mask = (drawing.fill((shape[0], shape[1]), outline) > 0.5).astype(np.uint8)
    apart = 0.04 * min(FLOW_FACE, size)  # so that they lie all over the face
    points = cv2.goodFeaturesToTrack(parts[0], FLOW_POINTS, 0.005, apart, None, mask)
    if points is None or len(points) < LEAST_POINTS:
        return None
    settings: dict[str, Any] = {"winSize": (17, 17), "maxLevel": 3}
    there, found, _ = cv2.calcOpticalFlowPyrLK(parts[0], parts[1], points, None, **settings)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(parts[1], parts[0], there, None, **settings)
    sound = (found & found_back).ravel().astype(bool)
    sound &= np.linalg.norm((back - points).reshape(-1, 2), axis=1) < THERE_AND_BACK
    if sound.sum() < LEAST_POINTS:
        return None
    first, second = (side.reshape(-1, 2)[sound] / ratio for side in (points, there))
    matrix, agreeing = cv2.estimateAffinePartial2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=float(1.0 / scale), refineIters=20
    )
    if matrix is None or agreeing.sum() < max(LEAST_POINTS, LEAST_AGREEMENT * len(points)):
        return None
    matrix = np.asarray(matrix, dtype=np.float64)
    matrix[:, 2] += (x0, y0) - matrix[:, :2] @ (x0, y0)
    return np.asarray(matrix, dtype=np.float64)


def _grey(part: UInt8Array, scale: float) -> UInt8Array:
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
    if scale < 1:
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, dtype=np.uint8)


def _inside(landmarks: FloatArray, shape: tuple[int, ...]) -> bool:
    """Whether at least the middle of the face lies in the frame."""
    x, y = landmarks[27:48].mean(axis=0)
    return bool(0 <= x < shape[1] and 0 <= y < shape[0])


def _box(landmarks: FloatArray) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = landmarks.min(axis=0), landmarks.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _size(landmarks: FloatArray) -> float:
    return float(np.ptp(landmarks[:, 0]))


class Steady:
    """Copies of a clip's frames in which the faces are averaged over time: the face without the noise.

    The average moves with the face, and where a frame differs from it by more than noise does (a lid shuts, a hand
    comes in), it takes the frame's own pixels.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Patch] = {}

    def add(self, frame: UInt8Array, seen: Sequence[Seen], time: float) -> UInt8Array:
        """The (H, W, 3) uint8 RGB frame with its faces averaged. Frames come in order; time: in seconds."""
        steady = frame.copy()
        patches = {}
        for face in seen:
            left, top, right, bottom = _reach(face.landmarks, frame.shape)
            own = frame[top:bottom, left:right].astype(np.float32)
            known = self._known.get(face.track)
            average, held = own, frame[top:bottom, left:right]
            if known is not None:
                before = known.at(face.landmarks, left, top, own.shape)
                share = np.float32(1 - np.exp((known.time - time) / AVERAGED))
                average = before + _news(own - before, share, masks.interocular_distance(face.landmarks)) * (
                    own - before
                )
                held = np.rint(average).astype(np.uint8)
            patches[face.track] = _Patch(average, left, top, face.landmarks, time)
            steady[top:bottom, left:right] = held
        self._known = patches
        return steady


@dataclass(frozen=True, eq=False)
class _Patch:
    """A face's average, (h, w, 3) float32, its place in the frame, and the face's landmarks and time then."""

    average: FloatArray
    left: int
    top: int
    landmarks: FloatArray
    time: float

    def at(self, landmarks: FloatArray, left: int, top: int, shape: tuple[int, ...]) -> FloatArray:
        """The average moved to where the face is now."""
        import cv2

        # Brows, nose and eyes: what the mouth does is no motion of the face.
        matrix, _ = cv2.estimateAffinePartial2D(self.landmarks[17:48], landmarks[17:48], method=cv2.LMEDS)
        matrix = np.eye(2, 3) if matrix is None else matrix
        matrix[:, 2] += matrix[:, :2] @ (self.left, self.top) - (left, top)
        if shape == self.average.shape and np.abs(matrix - np.eye(2, 3)).max() < 1e-6:
            return self.average
        moved = cv2.warpAffine(
            self.average, matrix, (shape[1], shape[0]), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved, dtype=np.float32).clip(0, 255)


def _news(change: FloatArray, least: np.float32, interocular: float) -> FloatArray:
    """The weight of each new pixel in the average, (h, w, 1): `least` where it is as it was, 1 where it is not."""
    differs = np.abs(drawing.blur(change, LOOK_BLUR * interocular)).max(axis=-1)
    return np.asarray(least + (1 - least) * drawing.smoothstep(SAME_LOOK, OTHER_LOOK, differs), np.float32)[..., None]


def _reach(landmarks: FloatArray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of whole pixels that a face's makeup and all that it depends on lie in."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    margin = REACH * float((high - low).max())
    left, top = (int(max(0, value)) for value in low - margin)
    return left, top, int(min(shape[1], high[0] + margin)) + 1, int(min(shape[0], high[1] + margin)) + 1
