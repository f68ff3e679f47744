"""Pictures of upright heads turned to a side, as far as a picture from the front can show it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces import masks
from beautygan_cli.faces.warp import FAR_RADIUS, spline
from beautygan_cli.types import FloatArray

# How far the 68 landmarks lie toward the camera, in units, on an average face: by it heads are turned.
DEPTH = np.array(
    [-0.67, -0.66, -0.48, -0.43, -0.39, -0.29, -0.05, 0.12, 0.15, 0.12, -0.05, -0.29, -0.39, -0.43, -0.48, -0.66, -0.67,
     -0.11, 0.09, 0.19, 0.25, 0.28, 0.28, 0.25, 0.19, 0.09, -0.11,
     0.33, 0.47, 0.54, 0.68, 0.4, 0.47, 0.48, 0.47, 0.4,
     0.0, 0.11, 0.12, 0.08, 0.11, 0.08, 0.08, 0.12, 0.11, 0.0, 0.08, 0.11,
     0.19, 0.34, 0.43, 0.45, 0.43, 0.34, 0.19, 0.29, 0.35, 0.38, 0.35, 0.29, 0.21, 0.36, 0.37, 0.36, 0.21, 0.36,
     0.37, 0.36]
)  # fmt: skip
MOST_YAW, MOST_PITCH = 36.0, 20.0  # degrees


def points_in(
    field: FloatArray, points: NDArray[Any], guess: NDArray[Any], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the field, (H, W, 2), shows these points of the other picture: Newton's steps from a guess."""
    import cv2

    where = np.asarray(guess, dtype=np.float64)
    for _ in range(6):
        seen = cv2.remap(
            field, where[:, :1].astype(np.float32), where[:, 1:].astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )[:, 0]  # fmt: skip
        where = where - (seen - points) @ step.T
    return where


def turned(pixels: FloatArray, points: FloatArray, yaw: float, pitch: float) -> tuple[FloatArray, FloatArray]:
    """The (H, W, 3) picture of an upright head, turned by so many degrees to the side and down, and its points."""
    import cv2

    field, guess = turned_field(points, yaw, pitch, (pixels.shape[0], pixels.shape[1]))
    bent = cv2.remap(pixels, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(bent, np.float32), np.asarray(points_in(field, points, guess, np.eye(2)), np.float32)


def turned_field(
    points: NDArray[Any], yaw: float, pitch: float, shape: tuple[int, int]
) -> tuple[FloatArray, NDArray[np.float64]]:
    """For each pixel of the turned head's picture where it is in the straight one's, and about where points come to."""
    import cv2

    marks = np.asarray(points[:68], np.float64)
    wanted = turned_points(marks, yaw, pitch)
    around = np.arange(16) * 2 * np.pi / 16
    ring = np.stack([np.cos(around), np.sin(around)], axis=1)
    ring = marks[27:36].mean(axis=0) + FAR_RADIUS * masks.interocular_distance(marks) * ring
    given, moved = np.concatenate([marks, ring]), np.concatenate([wanted, ring])
    cell = 8
    places = [(np.arange(-1, -(-length // cell) + 1) + 0.5) * cell - 0.5 for length in shape]
    rows, columns = np.meshgrid(*places, indexing="ij")
    coarse = spline(moved, given, np.stack([columns.ravel(), rows.ravel()], axis=1)).reshape(*rows.shape, 2)
    large = cv2.resize(coarse.astype(np.float32), None, fx=cell, fy=cell, interpolation=cv2.INTER_LINEAR)
    field = np.ascontiguousarray(large[cell : cell + shape[0], cell : cell + shape[1]])
    return field, spline(given, moved, np.asarray(points, np.float64))


def turned_points(landmarks: NDArray[Any], yaw: float, pitch: float) -> NDArray[np.float64]:
    """The (68, 2) landmarks of an upright head turned by so many degrees to the side and down."""
    interocular = masks.interocular_distance(landmarks)
    middle = np.asarray(landmarks, np.float64)[27:36].mean(axis=0)
    x, y = (landmarks - middle).T / interocular
    z = DEPTH + 0.5  # the neck, about which a head turns, lies further back, so that the face moves as a whole too
    side, down = np.radians(yaw), np.radians(pitch)
    x, z = x * np.cos(side) + z * np.sin(side), z * np.cos(side) - x * np.sin(side)
    y = y * np.cos(down) + z * np.sin(down)
    result = np.stack([x, y], axis=1)
    result -= result[27:36].mean(axis=0)
    return np.asarray(middle + interocular * result)
