"""Where the points of training photos lie: what the landmark network learns from.

    python -m beautygan_cli.training.landmark_labels --faces DIR --mesh mesh.npz --out labels.npz

Eyes and lips are taken from templates clicked by hand where a photo has one. Elsewhere a dense mesh gives them
(`mesh_points.py`), corrected by what it misses the clicked points by, which is learned from the photos that have both.
Jaw, brows and nose are the mean of two readings: what `find_landmarks` says, steadied over mirrored and turned copies,
and the mesh carried over to the same meaning by a linear map. Nothing is learned from held-out people.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import contours, masks
from beautygan_cli.faces.landmarks import find_landmarks
from beautygan_cli.training.dataset import STUDIO, Person, load, split
from beautygan_cli.types import FloatArray

Points = NDArray[np.float64]

# The mesh's points around the eye at the image's left and at its right, in the same order, the outer corner first and
# the inner one at INNER; then those of the lips, the corners at 0 and 10.
_EYE_MESH = (
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 247, 30, 29, 27, 28, 56, 190, 243,
     112, 26, 22, 23, 24, 110, 25, 130, 468],
    [263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 467, 260, 259, 257, 258, 286, 414,
     463, 341, 256, 252, 253, 254, 339, 255, 359, 473],
)  # fmt: skip
_INNER = 8
_UPPER, _LOWER = [0, 9, 10, 11, 12, 13, 14, 15, 8], [0, 1, 2, 3, 4, 5, 6, 7, 8]
_TOP_MESH = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]
_LOW_MESH = [146, 91, 181, 84, 17, 314, 405, 321, 375]
_INNER_TOP_MESH = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]
_INNER_LOW_MESH = [95, 88, 178, 87, 14, 317, 402, 318, 324]
_LIPS_MESH = [*_TOP_MESH, *_LOW_MESH, *_INNER_TOP_MESH, *_INNER_LOW_MESH]
_LIPS_MIRROR = np.r_[10:-1:-1, 19:10:-1, 30:19:-1, 39:30:-1]
_OUTER_RING = slice(0, 20)  # of these
_FIVE_MESH = [33, 133, 362, 263, 2]
# Parts of a lip curve's length at which the templates' points lie, on average.
_TOP_PLACES = np.array([0, 0.2, 0.36, 0.5, 0.64, 0.8, 1])
_LOW_PLACES = np.array([0, 0.16, 0.32, 0.5, 0.68, 0.84, 1])
_INNER_PLACES = np.array([0, 0.19, 0.34, 0.5, 0.66, 0.81, 1])
_OUTER, _INNER_LIPS = np.r_[0:7, 17:22], np.r_[7:17]  # of the lips' 22 points

STIFFNESS = 1000.0  # of the maps: with so few photos clicked, a small correction is to be learned, not a shape
FARTHEST = 2.5  # deviations by which a shape may differ from those clicked before its correction stays as it is
COMPONENTS, SHAPE_STIFFNESS = 80, 20.0  # of the whole mesh, and of the map to jaw, brows and nose
AGREED = 0.06  # units by which two readings of jaw, brows and nose differ at most where their mean is taken
TRUST, STUDIO_TRUST = (0.08, 0.7), (0.35, 0.7)  # of eyes and lips that the mesh gives: narrow and old lids it misses
STEADY = 0.03  # units by which readings of one photo spread at most where the map is learned from them
TURNS = (-8.0, 0.0, 8.0)  # degrees of the copies that are read again


def labels_of(people: Sequence[Person], mesh: NDArray[Any], held: Sequence[Person]) -> dict[str, NDArray[Any]]:
    """What is stored: names, points (N, 68, 2), contours (N, 54, 2) and trust (N, 2) of people in their chips' pixels.

    mesh: (N, 2, 478, 2), of each photo and of its mirror image, in the chips' pixels.
    """
    apart = {id(person) for person in held}
    clicked = [
        (person, shape) for person, shape in zip(people, mesh, strict=True)
        if person.contours is not None and id(person) not in apart
    ]  # fmt: skip
    eye, lips = _eye_map(clicked), _lips_map(clicked)
    readings = [read_again(person) for person in people]
    sure = [
        number
        for number, (person, (_, spread)) in enumerate(zip(people, readings, strict=True))
        if id(person) not in apart and spread < STEADY
    ]
    rest = _rest_map([readings[number][0] for number in sure], mesh[sure])
    points, curves, trust = [], [], []
    for person, shape, (read, _) in zip(people, mesh, readings, strict=True):
        curve = person.contours if person.contours is not None else _from_mesh(shape, eye, lips)
        carried = rest(shape[0])
        # The steadied reading can be wrong where the first one was right, on faces that are hard to read.
        near = min((read, person.landmarks), key=lambda said: float(np.median(_apart(said, carried))))
        agreed = float(np.median(_apart(near, carried))) < AGREED * masks.interocular_distance(near)
        whole = np.zeros((68, 2))
        whole[:36] = (near[:36] + carried) / 2 if agreed else carried
        points.append(contours.to_landmarks(whole, curve))
        curves.append(curve)
        mesh_trust = STUDIO_TRUST if person.folder in STUDIO else TRUST
        trust.append(mesh_trust if person.contours is None else (1.0, 1.0))
    return {
        "names": np.array([person.name for person in people]),
        "points": np.array(points, np.float32),
        "contours": np.array(curves, np.float32),
        "trust": np.array(trust, np.float32),
    }


def read_again(person: Person) -> tuple[FloatArray, float]:
    """The landmarks, (68, 2), as the median over mirrored and turned copies of the chip, and their spread in units."""
    import cv2

    side = len(person.chip)
    readings = [person.landmarks]
    for angle in TURNS:
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
        copy = cv2.warpAffine(
            person.chip, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        near = person.landmarks @ matrix[:, :2].T + matrix[:, 2]
        for mirror in (False, True):
            seen = np.ascontiguousarray(copy[:, ::-1]) if mirror else copy
            start = masks.mirrored(near, side) if mirror else near
            said = find_landmarks(seen, _box(start))
            said = masks.mirrored(said, side) if mirror else said
            readings.append((said - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)
    middle = np.asarray(np.median(readings, axis=0), np.float32)
    spread = float(np.linalg.norm(np.array(readings) - middle, axis=2).mean())
    return middle, spread / masks.interocular_distance(middle)


def _box(landmarks: NDArray[Any]) -> tuple[float, float, float, float]:
    """About where the frontal detector has the face: as wide as the jaw, down to the chin."""
    left, right, base = float(landmarks[:17, 0].min()), float(landmarks[:17, 0].max()), float(landmarks[:, 1].max())
    return left, base - (right - left), right, base


def _apart(landmarks: NDArray[Any], carried: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.linalg.norm(landmarks[:36] - carried, axis=1))


# ---------------------------------------------------------------------------------------------------------------------
# The mesh carried over. Each part in a frame of its own: from corner to corner along x, one long.


class _Frame:
    def __init__(self, start: NDArray[Any], end: NDArray[Any], *, mirrored: bool = False) -> None:
        across = (end - start).astype(np.float64)
        down = np.array([-across[1], across[0]]) * (-1 if mirrored else 1)
        self.start, self.axes = start.astype(np.float64), np.stack([across, down]) / float(across @ across)

    def to(self, points: NDArray[Any]) -> Points:
        return np.asarray((points - self.start) @ self.axes.T)

    def back(self, points: NDArray[Any]) -> Points:
        return np.asarray(points @ np.linalg.inv(self.axes).T + self.start)


def _eye(shape: NDArray[Any], mirror: int, side: int) -> tuple[Points, _Frame]:
    """The mesh about an eye (0: the image's left one), as read in the photo or its mirror image, in its frame."""
    own = shape[mirror][_EYE_MESH[side ^ mirror]]
    frame = _Frame(own[0], own[_INNER], mirrored=side == 1)
    return frame.to(own), frame


def _lips(shape: NDArray[Any], mirror: int) -> tuple[Points, _Frame]:
    own = shape[mirror][_LIPS_MESH]
    own = own[_LIPS_MIRROR] if mirror else own
    frame = _Frame(own[0], own[10])
    return frame.to(own), frame


def _plain_eye(mesh: Points) -> Points:
    """An eye's 16 points as the mesh itself has them."""
    upper, lower = contours.along(mesh[_UPPER], np.arange(9) / 8), contours.along(mesh[_LOWER], np.arange(1, 8) / 8)
    return np.concatenate([upper, lower])


def _plain_lips(mesh: Points) -> Points:
    """The lips' 22 points as the mesh itself has them."""
    corners = mesh[[0, 10]]
    low = contours.along(np.concatenate([corners[:1], mesh[11:20], corners[1:]]), _LOW_PLACES)
    inner = mesh[20:31]
    inner_low = contours.along(np.concatenate([inner[:1], mesh[31:], inner[-1:]]), _INNER_PLACES)
    top, inner_top = contours.along(mesh[:11], _TOP_PLACES), contours.along(inner, _INNER_PLACES)
    return np.concatenate([top, inner_top[1:6], inner_low[1:6], low[1:6]])


def _ridge(given: Points, wanted: Points, stiffness: float) -> Callable[[Points], Points]:
    """The linear map from rows to rows, by least squares with a penalty on its weights."""
    middle, spread, mean = given.mean(axis=0), given.std(axis=0) + 1e-9, wanted.mean(axis=0)
    plain = (given - middle) / spread
    weights = np.linalg.solve(plain.T @ plain + stiffness * np.eye(plain.shape[1]), plain.T @ (wanted - mean))
    return lambda row: np.asarray(np.clip((row - middle) / spread, -FARTHEST, FARTHEST) @ weights + mean)


def _eye_map(clicked: Sequence[tuple[Person, NDArray[Any]]]) -> Callable[[Points], Points]:
    given, missed = [], []
    for person, shape in clicked:
        assert person.contours is not None
        for side, part in enumerate((contours.LEFT_EYE, contours.RIGHT_EYE)):
            for mirror in (0, 1):
                mesh, frame = _eye(shape, mirror, side)
                given.append(mesh.ravel())
                missed.append((frame.to(person.contours[part]) - _plain_eye(mesh)).ravel())
    correction = _ridge(np.array(given), np.array(missed), STIFFNESS)
    return lambda mesh: _plain_eye(mesh) + correction(mesh.ravel()).reshape(-1, 2)


def _lips_map(clicked: Sequence[tuple[Person, NDArray[Any]]]) -> Callable[[Points], Points]:
    """The inner edges get one correction for all: nearly all mouths clicked are shut."""
    given, missed = [], []
    flip, along = np.array([-1, 1]), np.array([1, 0])
    for person, shape in clicked:
        assert person.contours is not None
        for mirror in (0, 1):
            mesh, frame = _lips(shape, mirror)
            off = frame.to(person.contours[contours.LIPS]) - _plain_lips(mesh)
            given += [mesh[_OUTER_RING].ravel(), (mesh[_LIPS_MIRROR][_OUTER_RING] * flip + along).ravel()]
            missed += [off, off[contours.LIPS_MIRROR] * flip]
    everything = np.array(missed)
    correction = _ridge(np.array(given), everything[:, _OUTER].reshape(len(given), -1), STIFFNESS)
    inner = everything[:, _INNER_LIPS].mean(axis=0)

    def lips(mesh: Points) -> Points:
        off = np.zeros((contours.LIP_POINTS, 2))
        off[_OUTER] = correction(mesh[_OUTER_RING].ravel()).reshape(-1, 2)
        off[_INNER_LIPS] = inner
        return _plain_lips(mesh) + off

    return lips


def _from_mesh(
    shape: NDArray[Any], eye: Callable[[Points], Points], lips: Callable[[Points], Points]
) -> NDArray[np.float64]:
    """The (54, 2) contours of a photo that nobody has clicked, the mean of both readings."""
    parts = []
    for side in (0, 1):
        readings = [_eye(shape, mirror, side) for mirror in (0, 1)]
        parts.append(np.mean([frame.back(eye(mesh)) for mesh, frame in readings], axis=0))
    readings = [_lips(shape, mirror) for mirror in (0, 1)]
    parts.append(np.mean([frame.back(lips(mesh)) for mesh, frame in readings], axis=0))
    return np.concatenate(parts)


def _rest_map(landmarks: Sequence[NDArray[Any]], mesh: NDArray[Any]) -> Callable[[NDArray[Any]], Points]:
    """From the mesh of a photo, (478, 2), to jaw, brows and nose, (36, 2), by its main components."""

    def placed(shape: NDArray[Any]) -> tuple[Points, NDArray[Any]]:
        matrix = contours.face_placement(shape[_FIVE_MESH]).matrix.astype(np.float64)
        return (shape[:468] @ matrix[:, :2].T + matrix[:, 2]).ravel(), matrix

    rows, wanted = [], []
    for points, shape in zip(landmarks, mesh, strict=True):
        row, matrix = placed(shape[0])
        rows.append(row)
        wanted.append((points[:36] @ matrix[:, :2].T + matrix[:, 2]).ravel())
    given, aim = np.array(rows), np.array(wanted)
    middle, mean = given.mean(axis=0), aim.mean(axis=0)
    axes = np.linalg.svd(given - middle, full_matrices=False)[2][:COMPONENTS]
    parts = (given - middle) @ axes.T
    weights = np.linalg.solve(parts.T @ parts + SHAPE_STIFFNESS * np.eye(len(axes)), parts.T @ (aim - mean))

    def carried(shape: NDArray[Any]) -> Points:
        row, matrix = placed(shape)
        said = ((row - middle) @ axes.T @ weights + mean).reshape(-1, 2)
        return np.asarray((said - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)

    return carried


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the labels; 0 when done."""
    parser = argparse.ArgumentParser(
        prog="python -m beautygan_cli.training.landmark_labels",
        description="Say where the points of training photos lie, for the landmark network to learn from.",
    )
    parser.add_argument("--faces", required=True, type=Path, metavar="DIR", help="folder of portraits, searched below")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="an .npz to keep the photos' chips in")
    parser.add_argument("--mesh", required=True, type=Path, metavar="FILE", help="what mesh_points.py has written")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the .npz to write")
    options = parser.parse_args(arguments)
    people = load(options.faces, options.cache)
    with np.load(options.mesh) as stored:
        by_name = dict(zip(stored["names"].tolist(), stored["mesh"], strict=True))
    people = [person for person in people if not np.isnan(by_name.get(person.name, np.nan)).any()]
    stored_arrays: dict[str, Any] = labels_of(people, np.stack([by_name[p.name] for p in people]), split(people)[1])
    np.savez(options.out, **stored_arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main())
