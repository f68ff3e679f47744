"""The 68 landmarks of a face in a box: dlib's predictor of five points says about where, a network the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import contours, landmark_network
from beautygan_cli.faces.dlib_models import load
from beautygan_cli.imaging.resize import divisible, resized
from beautygan_cli.types import FloatArray, UInt8Array

LANDMARK_FACE = 400  # box width at which the predictor reads a face: larger adds noise, not accuracy
FROM_LEFT = [2, 3, 1, 0, 4]  # dlib's five points in this order: eyes' corners from the image's left, then the nose


def find_landmarks(pixels: UInt8Array, box: tuple[float, float, float, float]) -> FloatArray:
    """The (68, 2) landmarks of the face in a box (left, top, right, bottom), all in photo pixels."""
    return landmark_network.of_the_package().find(pixels, [five_points(pixels, box)])[0].landmarks


def followed_landmarks(pixels: UInt8Array, near: NDArray[np.floating]) -> FloatArray:
    """The (68, 2) landmarks of the face that had its landmarks `near` there a moment ago, all in photo pixels."""
    return landmark_network.of_the_package().find(pixels, [contours.five_points(near)])[0].landmarks


def five_points(pixels: UInt8Array, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """The eyes' corners, from the image's left to its right, and the base of the nose, (5, 2), by dlib's predictor.

    They are some hundredths of the eyes' distance off. box: (left, top, right, bottom); all in photo pixels.
    """
    import dlib

    predictor = load("shape_predictor_5_face_landmarks.dat", dlib.shape_predictor)
    left, top, right, bottom = box
    margin = 0.5 * (right - left)
    x0, y0 = max(0, int(left - margin)), max(0, int(top - margin))
    x1, y1 = min(pixels.shape[1], int(right + margin) + 1), min(pixels.shape[0], int(bottom + margin) + 1)
    scale = min(1.0, LANDMARK_FACE / (right - left))
    x0, x1 = divisible(x0, x1, pixels.shape[1], 1 / scale)
    y0, y1 = divisible(y0, y1, pixels.shape[0], 1 / scale)
    part = pixels[y0:y1, x0:x1]
    part = grey(resized(part, scale) if scale < 1 else part)
    corners = ((np.array(box) - (x0, y0, x0, y0)) * scale).round().astype(int)
    shape = predictor(part, dlib.rectangle(*corners.tolist()))
    found = np.array([(point.x, point.y) for point in shape.parts()], dtype=np.float64)[FROM_LEFT]
    return np.asarray((found + 0.5) / scale - 0.5 + (x0, y0))


def grey(pixels: UInt8Array) -> UInt8Array:
    """The (H, W) mean of the colours, rounded down: what dlib makes of an RGB pixel each time that it looks at one."""
    import cv2

    # The last column takes a third off the sum, which is then rounded to the nearest.
    return np.asarray(cv2.transform(np.ascontiguousarray(pixels), np.array([[1, 1, 1, -1]]) / 3), dtype=np.uint8)
