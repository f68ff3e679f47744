"""The points that the landmark network finds, and the cuts of a photo that it sees.

Beside the 68 landmarks (dlib's order, see `faces/masks.py`) there are 54 points along contours, finer than the 68:
each eye's rim by 16 points and the lips by 22. What the 68 say of eyes and lips is read off these contours.

    eye, from the outer corner to the inner one:  0..8 along the upper lid (both corners among them), evenly spaced;
                                                  9..15 along the lower lid, evenly spaced between the same corners
    lips, from the image's left to its right:     0..6 the upper edge of the upper lip (both corners among them);
                                                  7..11 its lower edge; 12..16 the upper edge of the lower lip;
                                                  17..21 its lower edge
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.alignment import CropTransform
from beautygan_cli.imaging.drawing import smooth_curve
from beautygan_cli.types import FloatArray

EYE_POINTS, LIP_POINTS = 16, 22
CONTOUR_POINTS = 2 * EYE_POINTS + LIP_POINTS
LEFT_EYE, RIGHT_EYE, LIPS = slice(0, 16), slice(16, 32), slice(32, 54)  # of the contours, sides of the image
UPPER_LID, LOWER_LID = np.arange(9), np.r_[0, 9:16, 8]  # of an eye's points, corner to corner
TOP, BOTTOM = np.arange(7), np.r_[0, 17:22, 6]  # the lips' outer edges, corner to corner
INNER_TOP, INNER_BOTTOM = np.r_[0, 7:12, 6], np.r_[0, 12:17, 6]
# The contour point that each becomes in a mirror: eyes change sides, the lips' points run the other way.
LIPS_MIRROR = np.r_[6:-1:-1, 11:6:-1, 16:11:-1, 21:16:-1]
MIRROR = np.r_[16:32, 0:16, 32 + LIPS_MIRROR]
THIRDS = np.array([0, 1 / 3, 2 / 3, 1])
INNER_CORNER = 0.06  # of the opening's width, by which dlib's inner corners lie inside the mouth's

FACE_SIZE = 112  # pixels of the cut of the whole face
PATCH_SIZE = 64  # pixels of the cuts of an eye and of the mouth
EYE_SPAN, MOUTH_SPAN = 34.0, 40.0  # pixels from corner to corner in them
# Where the corners of the eyes and the base of the nose lie in the face's cut: image's left eye from outer to inner
# corner, right eye from inner to outer, nose. Brows and chin are within, with room for a turned or long face.
_FIVE = np.array([[34.0, 33], [49, 33], [63, 33], [78, 33], [56, 67]])
FIVE_OF_68 = np.array([36, 39, 42, 45, 33])
NARROWEST_EYE = 0.3  # units: an eye is cut out as if it were so wide at least, on a face turned away, too
NARROWEST_MOUTH = 0.5


def to_landmarks(rest: NDArray[Any], contours: NDArray[Any]) -> FloatArray:
    """The 68 landmarks: jaw, brows and nose of `rest`, (68, 2), eyes and lips as the contours, (54, 2), have them.

    The lids' inner landmarks lie at a third and two thirds of the curves' length, as dlib has them.
    """
    result = np.array(rest, dtype=np.float32)
    left, right, lips = contours[LEFT_EYE], contours[RIGHT_EYE], contours[LIPS]
    upper, lower = along(left[UPPER_LID]), along(left[LOWER_LID])
    result[36:42] = np.stack([*upper, lower[2], lower[1]])
    upper, lower = along(right[UPPER_LID][::-1]), along(right[LOWER_LID][::-1])
    result[42:48] = np.stack([*upper, lower[2], lower[1]])
    result[48:60] = np.concatenate([lips[TOP], lips[BOTTOM][5:0:-1]])
    top, low = lips[INNER_TOP], lips[INNER_BOTTOM]
    inset = (top[6] - top[0]) * INNER_CORNER
    result[60:68] = np.stack([top[0] + inset, top[2], top[3], top[4], top[6] - inset, low[4], low[3], low[2]])
    return result


def of_landmarks(values: NDArray[Any]) -> NDArray[Any]:
    """Of a value for each contour point, (54,), those of the landmarks 36 to 67, (32,): of the nearest points."""
    left, right, lips = values[LEFT_EYE], values[RIGHT_EYE], values[LIPS]
    eye = np.array([0, 3, 5, 8, 13, 11])  # upper lid at 3/8 and 5/8, lower lid from the inner corner back
    return np.concatenate(
        [
            left[eye],
            right[[8, 5, 3, 0, 11, 13]],
            lips[TOP],
            lips[BOTTOM][5:0:-1],
            lips[[0, 8, 9, 10, 6, 15, 14, 13]],
        ]
    )


def along(points: NDArray[Any], places: NDArray[Any] = THIRDS) -> NDArray[np.float64]:
    """Points at these parts of the length of the smooth curve through (N, 2) points, first to last."""
    curve = smooth_curve(points).astype(np.float64)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    where = places * length[-1]
    return np.stack([np.interp(where, length, curve[:, axis]) for axis in range(2)], axis=1)


def five_points(landmarks: NDArray[Any]) -> NDArray[np.float64]:
    """Corners of the eyes, from left to right, and the nose's base, (5, 2), of 68 landmarks."""
    return np.asarray(landmarks[FIVE_OF_68], dtype=np.float64)


def face_placement(five: NDArray[Any]) -> CropTransform:
    """How the face's cut lies in the image in which these five points (see `five_points`) are."""
    return CropTransform(_similarity(np.asarray(five, np.float64), _FIVE), FACE_SIZE)


def eye_placement(landmarks: NDArray[Any], number: int) -> CropTransform:
    """How the cut of an eye lies in the image of (68, 2) landmarks; number: 0 the image's left one, 1 the right one.

    The right eye's cut is a mirror image, so that each shows the outer corner at its left.
    """
    eye = np.asarray(landmarks[36:42] if number == 0 else landmarks[42:48], np.float64)
    outer, inner = (eye[0], eye[3]) if number == 0 else (eye[3], eye[0])
    width = max(float(np.linalg.norm(inner - outer)), NARROWEST_EYE * masks.interocular_distance(landmarks))
    return _patch(eye.mean(axis=0), inner - outer, EYE_SPAN / width, mirrored=number == 1)


def mouth_placement(landmarks: NDArray[Any]) -> CropTransform:
    """How the cut of the mouth lies in the image of (68, 2) landmarks."""
    lips = np.asarray(landmarks[48:60], np.float64)
    across = lips[6] - lips[0]
    width = max(float(np.linalg.norm(across)), NARROWEST_MOUTH * masks.interocular_distance(landmarks))
    return _patch(lips.mean(axis=0), across, MOUTH_SPAN / width, mirrored=False)


def _patch(centre: NDArray[Any], across: NDArray[Any], scale: float, *, mirrored: bool) -> CropTransform:
    """A cut about a point in which `across` runs to the right."""
    x = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([x[1], -x[0]]) if mirrored else np.array([-x[1], x[0]])
    turn = scale * np.stack([x, down])
    return CropTransform(_matrix(turn, (PATCH_SIZE - 1) / 2 - turn @ centre), PATCH_SIZE)


def _similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> FloatArray:
    """The (2, 3) turn, scale and shift that brings (N, 2) points nearest to others, by least squares."""
    middle, aim = source.mean(axis=0), target.mean(axis=0)
    (x, y), (u, v) = (source - middle).T, (target - aim).T
    size = max(float(x @ x + y @ y), 1e-6)
    cosine, sine = float(x @ u + y @ v) / size, float(x @ v - y @ u) / size
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return _matrix(turn, aim - turn @ middle)


def _matrix(turn: NDArray[np.float64], shift: NDArray[np.float64]) -> FloatArray:
    return np.column_stack([turn, shift]).astype(np.float32)
