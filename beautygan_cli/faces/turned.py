"""Pictures turned so that a face in them stands upright, and the way back; whether landmarks can be those of a face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.imaging.resize import divisible, resized
from beautygan_cli.types import FloatArray, UInt8Array

VIEW_WIDTHS = 2.2  # sides of a view, in widths of the face that it shows
LEAST_DOWN = 0.35  # units from the eyes' line down to the nose's base, and from there on to the mouth's middle ...
LEAST_MOUTH = 0.1
MOST_ASIDE = 0.9  # ... and to a side, as on a head turned in profile
EYE_WIDTHS = (0.12, 0.9)  # units: an eye from corner to corner


@dataclass(frozen=True, eq=False)
class View:
    """A picture cut and turned. pixels: (H, W, 3) uint8 RGB; matrix: (2, 3), from the photo's pixels to the view's."""

    pixels: UInt8Array
    matrix: NDArray[np.float64]

    @property
    def scale(self) -> float:
        """View pixels per photo pixel."""
        return float(abs(np.linalg.det(self.matrix[:, :2])) ** 0.5)

    def to_photo(self, points: NDArray[Any]) -> FloatArray:
        """(N, 2) points of the view to points of the photo."""
        return np.asarray((points - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T, dtype=np.float32)

    def to_view(self, points: NDArray[Any]) -> FloatArray:
        """(N, 2) points of the photo to points of the view."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], dtype=np.float32)


def whole(pixels: UInt8Array, angle: float) -> View:
    """All of a picture turned by so many degrees, counter-clockwise."""
    import cv2

    height, width = pixels.shape[:2]
    rotation = turn(angle)
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]) @ rotation.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = (int(np.ceil(high[0] - low[0])) + 1, int(np.ceil(high[1] - low[1])) + 1)
    matrix = np.column_stack([rotation, -low])
    turned = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return View(np.asarray(turned, dtype=np.uint8), matrix)


def around(pixels: UInt8Array, centre: NDArray[Any], width: float, angle: float, face: float) -> View:
    """A square around a face, turned by so many degrees counter-clockwise.

    centre: (x, y) of the face in the (H, W, 3) photo, and its width there; face: the most pixels of that width in the
    view. Where the view reaches over the photo's edge, the last pixels are repeated.
    """
    import cv2

    scale = min(1.0, face / width)
    reach = VIEW_WIDTHS * width * 0.75  # a square's corner lies 0.71 of its side away
    (x0, y0), (x1, y1) = (np.floor(centre - reach).astype(int), np.ceil(centre + reach).astype(int))
    height, breadth = pixels.shape[:2]
    x0, x1 = divisible(*_within(x0, x1, breadth), breadth, 1 / scale)
    y0, y1 = divisible(*_within(y0, y1, height), height, 1 / scale)
    part = pixels[y0:y1, x0:x1]
    part = resized(part, scale) if scale < 1 else part
    # A pixel's centre lies at its whole coordinate.
    to_part = np.array([[scale, 0, scale * (0.5 - x0) - 0.5], [0, scale, scale * (0.5 - y0) - 0.5]])
    side = max(8, round(VIEW_WIDTHS * width * scale))
    rotation = turn(angle)
    middle = to_part[:, :2] @ centre + to_part[:, 2]
    shift = (side - 1) / 2 - rotation @ middle
    matrix = np.column_stack([rotation, shift])
    turned = cv2.warpAffine(part, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    matrix = np.column_stack([rotation @ to_part[:, :2], rotation @ to_part[:, 2] + shift])
    return View(np.asarray(turned, dtype=np.uint8), matrix)


def tilt(landmarks: NDArray[Any]) -> float:
    """How far a face with these (68, 2) landmarks is turned clockwise, in degrees from -180 to 180."""
    between = landmarks[42:48].mean(axis=0) - landmarks[36:42].mean(axis=0)
    return float(np.degrees(np.arctan2(between[1], between[0])))


def make_a_face(landmarks: NDArray[Any]) -> bool:
    """Whether (68, 2) landmarks lie as a face's do, at whatever turn: eyes, nose and mouth in their order."""
    left, right = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    across = right - left
    interocular = float(np.hypot(*across))
    if interocular < 4:
        return False
    along = across / interocular
    axes = np.stack([along, [-along[1], along[0]]])
    placed = (landmarks - (left + right) / 2) @ axes.T / interocular
    nose, mouth = placed[33], placed[48:60].mean(axis=0)
    widths = [float(placed[outer, 0] - placed[inner, 0]) for inner, outer in ((36, 39), (42, 45))]
    return bool(
        nose[1] > LEAST_DOWN
        and mouth[1] > nose[1] + LEAST_MOUTH
        and max(abs(nose[0]), abs(mouth[0])) < MOST_ASIDE
        and placed[17:27, 1].mean() < 0
        and placed[54, 0] > placed[48, 0]
        and all(EYE_WIDTHS[0] < width < EYE_WIDTHS[1] for width in widths)
    )


def turn(angle: float) -> NDArray[np.float64]:
    """(2, 2): a turn by so many degrees counter-clockwise, as a picture is seen, whose y grows downwards."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[cosine, sine], [-sine, cosine]])


def _within(start: int, stop: int, length: int) -> tuple[int, int]:
    start = int(np.clip(start, 0, length - 1))
    return start, int(np.clip(stop, start + 1, length))
