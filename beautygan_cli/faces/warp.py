"""One face laid onto the shape of another: a thin-plate spline from landmarks to landmarks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.faces.masks import EYES, forehead, interocular_distance
from beautygan_cli.types import FloatArray

FAR_POINTS = 12  # held in place around the face, so that the spline ends there
FAR_RADIUS = 3.5  # of that circle, in units: well outside the longest chin, or the spline would fold there
CELL = 6  # pixels between the points at which the spline is evaluated; between them it is interpolated
# What lies at the lashes (liner, dark lids, wings) is as large on every face, in eye widths, however high its brows
# are. So the spline is anchored this far above the upper lid, and wide shadow above it follows the brow.
LID_ANCHOR = 0.11  # eye widths over the upper lid ...
LID_ROOM = 0.45  # ... or this share of the way to the brow, on the face where that is less
WING_ANCHOR = (0.25, 0.12)  # eye widths outward and upward of the outer corner
STIFFNESS = 2e-3  # regularisation: landmarks are a pixel or two off, and the spline must not follow that


def warp_onto(
    pixels: NDArray[Any], landmarks: NDArray[Any], target: NDArray[Any], shape: tuple[int, int]
) -> NDArray[Any]:
    """The (H, W, C) image, whose landmarks are `landmarks`, bent so that they lie at `target`; size `shape`."""
    import cv2

    field = field_onto(landmarks, target, shape)
    warped = cv2.remap(pixels, field[..., 0], field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped)


def field_onto(landmarks: NDArray[Any], target: NDArray[Any], shape: tuple[int, int]) -> FloatArray:
    """For each pixel of an image of `shape` whose face lies at `target`: where that is in the other image.

    Both landmarks are (68, 2); the result is (H, W, 2) float32 (x, y), as `cv2.remap` takes it.
    """
    import cv2

    # The points lie in the middle of cells, as cv2.resize has it, with one more cell on each side of the image.
    places = [(np.arange(-1, -(-length // CELL) + 1) + 0.5) * CELL - 0.5 for length in shape]
    rows, columns = np.meshgrid(*places, indexing="ij")
    nodes = np.stack([columns.ravel(), rows.ravel()], axis=1)
    wanted, given = (
        np.concatenate([control_points(points), *anchors]) for points, anchors in _both_anchored(target, landmarks)
    )
    values = spline(wanted, given, nodes).reshape(*rows.shape, 2)
    large = cv2.resize(values.astype(np.float32), None, fx=CELL, fy=CELL, interpolation=cv2.INTER_LINEAR)
    field = large[CELL : CELL + shape[0], CELL : CELL + shape[1]]
    return np.ascontiguousarray(field, dtype=np.float32)


def control_points(landmarks: NDArray[Any]) -> NDArray[np.float64]:
    """The landmarks, the forehead and a ring of far points around the face, (87, 2)."""
    points = np.asarray(landmarks, dtype=np.float64)
    centre, size = points[27:36].mean(axis=0), interocular_distance(landmarks)
    angles = np.arange(FAR_POINTS) * 2 * np.pi / FAR_POINTS
    ring = centre + FAR_RADIUS * size * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([points, forehead(landmarks), ring])


def _both_anchored(first: NDArray[Any], second: NDArray[Any]) -> list[tuple[NDArray[Any], list[NDArray[np.float64]]]]:
    """Each face's landmarks with the points that anchor its lids, (5, 2) an eye, as high on both faces."""
    frames = [[_eye_frame(np.asarray(points, dtype=np.float64), eye) for eye in EYES] for points in (first, second)]
    heights = [
        np.minimum(LID_ANCHOR, LID_ROOM * np.minimum(one.room, other.room)) for one, other in zip(*frames, strict=True)
    ]
    return [
        (points, [frame.anchors(height) for frame, height in zip(eyes, heights, strict=True)])
        for points, eyes in zip((first, second), frames, strict=True)
    ]


class _EyeFrame(NamedTuple):
    """An eye's own directions, in pixels of one eye width: along it outward, and up; its upper lid, and the room."""

    along: NDArray[np.float64]
    up: NDArray[np.float64]
    lid: NDArray[np.float64]  # (4, 2), inner corner first
    room: NDArray[np.float64]  # (4,): eye widths from each of its points to the brow

    def anchors(self, height: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points that many eye widths above the lid's, (4,), and one where a wing ends, (5, 2)."""
        over = self.lid + height[:, None] * self.up
        wing = self.lid[-1] + WING_ANCHOR[0] * self.along + WING_ANCHOR[1] * self.up
        return np.concatenate([over, wing[None]])


def _eye_frame(points: NDArray[np.float64], eye: tuple[list[int], list[int], NDArray[Any]]) -> _EyeFrame:
    upper, _, brow = eye
    lid, arch = points[upper], points[brow]
    along = lid[-1] - lid[0]
    width = max(float(np.linalg.norm(along)), 1e-6)
    up = np.array([along[1], -along[0]])
    if up @ (arch.mean(axis=0) - lid[0]) < 0:
        up = -up
    places, order = (arch - lid[0]) @ along, np.argsort((arch - lid[0]) @ along, kind="stable")
    heights = np.interp((lid - lid[0]) @ along, places[order], ((arch - lid[0]) @ up)[order])
    room = np.maximum(0.0, heights - (lid - lid[0]) @ up) / width**2
    return _EyeFrame(along, up, lid, room)


def spline(source: NDArray[Any], target: NDArray[Any], points: NDArray[Any]) -> NDArray[np.float64]:
    """The thin-plate spline that takes (N, 2) `source` near `target`, at (M, 2) `points`.

    Formula: F. L. Bookstein, "Principal Warps", IEEE PAMI 11 (1989), with Wahba's smoothing term.
    """
    count = len(source)
    scale = float(np.abs(source - source.mean(axis=0)).max())
    centre = source.mean(axis=0)
    knots, places = (source - centre) / scale, (points - centre) / scale
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(knots, knots) + STIFFNESS * np.eye(count)
    system[:count, count:] = np.column_stack([np.ones(count), knots])
    system[count:, :count] = system[:count, count:].T
    # Solving for the displacement keeps the affine part well conditioned.
    shift = np.concatenate([target - source, np.zeros((3, 2))])
    weights = np.linalg.solve(system, shift)
    basis = np.column_stack([_kernel(places, knots), np.ones(len(places)), places])
    return np.asarray(points + basis @ weights)


def _kernel(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """r^2 log r^2 between (N, 2) and (M, 2) points, (N, M)."""
    square = sum(np.subtract.outer(first[:, axis], second[:, axis]) ** 2 for axis in (0, 1))
    return np.asarray(square * np.log(np.maximum(square, 1e-12)))
