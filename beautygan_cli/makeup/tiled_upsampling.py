"""A chip-sized image at the size of its photo, part by part: turned and laid over it once, then only enlarged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beautygan_cli.faces.alignment import CropTransform
from beautygan_cli.types import FloatArray


class Laid:
    """Images of a chip's size, (S, S) or (S, S, up to 4) float32 each, laid upright over a box of the photo.

    Resampling each pixel of a photo along a turned grid costs several times as much as enlarging an upright grid by a
    whole number. So the turn is made at the greatest power of two of the photo's pixels that is no larger than one of
    the image's, where nothing is lost yet.
    """

    def __init__(
        self, layers: Sequence[FloatArray], crop_transform: CropTransform, box: tuple[int, int, int, int]
    ) -> None:
        """crop_transform: how the images lie in the photo; box: (left, top, right, bottom) of the photo.

        Four channels of one image are laid in the time of two.
        """
        import cv2

        left, top, right, bottom = box
        self.step = 2 ** int(np.log2(max(1.0, 1 / crop_transform.scale)))
        # A cell more on each side, so that the box's edge is interpolated as its middle is.
        width, height = (-(-length // self.step) + 2 for length in (right - left, bottom - top))
        matrix = crop_transform.matrix.astype(np.float64)
        first = np.array([left, top]) - (self.step + 1) / 2
        matrix[:, 2] += matrix[:, :2] @ first
        matrix[:, :2] *= self.step
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        laid = [
            cv2.warpAffine(layer, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for layer in layers
        ]
        self.planes: list[FloatArray] = [plane for layer in laid for plane in cv2.split(layer)]

    def part(self, rows: slice, columns: slice, planes: Sequence[int] | None = None) -> list[FloatArray]:
        """Channels at full size, (h, w) float32 each, in a part of the box.

        planes: which of all the images' channels, counted through (None: all).
        """
        import cv2

        step = self.step
        (top, base), (left, end) = ((ends.start // step, -(-ends.stop // step) + 2) for ends in (rows, columns))
        within = (
            slice(rows.start - (top - 1) * step, rows.stop - (top - 1) * step),
            slice(columns.start - (left - 1) * step, columns.stop - (left - 1) * step),
        )
        size = ((end - left) * step, (base - top) * step)
        return [
            cv2.resize(self.planes[number][top:base, left:end], size, interpolation=cv2.INTER_LINEAR)[within]
            for number in (range(len(self.planes)) if planes is None else planes)
        ]
