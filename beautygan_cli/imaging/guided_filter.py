"""The guided filter, which lays a coarse mask's edges onto a photo's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.types import FloatArray, UInt8Array

WINDOW = 4.0  # pixels of the mask to each side: what it is coarse by
EPSILON = 4e-4  # squared difference of colours (0..1) below which two pixels are the same thing, about 5 grey levels
GUIDE_SIDE = 160  # longest side of the copy on which the filter is worked out; it is applied at the photo's own size


def refine(mask: FloatArray, pixels: UInt8Array) -> FloatArray:
    """A mask at a photo's own size, its edges laid onto the photo's edges.

    The guided filter of K. He, J. Sun, X. Tang, "Guided Image Filtering" (2010), with the colours as its guide: within
    a small window the result is linear in the photo's colours.

    Arguments:
        mask: (h, w) float32 in [0, 1], of any size, of the same cut as `pixels`.
        pixels: (H, W, 3) uint8, RGB or L*a*b* as OpenCV packs it; what counts is that unlike things differ.

    Returns:
        (H, W) float32 in [0, 1].
    """
    import cv2

    height, width = pixels.shape[:2]
    if float(mask.max()) < 0.02:  # nothing to sharpen, as before most faces
        return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    scale = min(1.0, GUIDE_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    guide = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    coarse = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
    side = 2 * max(1, round(WINDOW * size[0] / mask.shape[1])) + 1

    def mean(values: NDArray[Any]) -> FloatArray:
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE), dtype=np.float32)

    colour, level = mean(guide), mean(coarse)
    with_level = mean(guide * coarse[..., None]) - colour * level[..., None]
    squares = mean(np.dstack([guide * guide[..., :1], guide[..., 1:] * guide[..., 1:2]]))
    cross = mean(guide[..., 2] ** 2)
    r, g, b = colour[..., 0], colour[..., 1], colour[..., 2]
    rr, rg, rb = squares[..., 0] - r * r + EPSILON, squares[..., 1] - r * g, squares[..., 2] - r * b
    gg, gb, bb = squares[..., 3] - g * g + EPSILON, squares[..., 4] - g * b, cross - b * b + EPSILON
    # The symmetric 3 x 3 matrix's inverse, by its cofactors.
    c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = rr * c00 + rg * c01 + rb * c02
    x, y, z = with_level[..., 0], with_level[..., 1], with_level[..., 2]
    slopes = np.dstack([c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z])
    slopes /= determinant[..., None]
    offset = level - (slopes * colour).sum(axis=2)
    fit = mean(np.dstack([slopes, offset]))
    fit = cv2.resize(fit, (width, height), interpolation=cv2.INTER_LINEAR)
    full = fit[..., 3]
    for channel in range(3):
        full = full + fit[..., channel] * (pixels[..., channel].astype(np.float32) / 255)
    return np.asarray(np.clip(full, 0, 1), dtype=np.float32)
