"""Make the pictures of the README from the samples, by the tool itself.

    python samples/make_strip.py

`strip.jpg`: references above, bare faces beside their results below. `grid.jpg`: every sample with every reference.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from beautygan_cli import MakeupSession, transfer
from beautygan_cli.cli.main import main as beautygan
from beautygan_cli.faces import alignment, detection
from beautygan_cli.photos.photo import Photo, read_photo, write_photo

HERE = Path(__file__).parent
PAIRS = (("bea", "red"), ("chi", "plum"), ("dara", "berry"), ("tilted", "teal"), ("alma", "smoky"))
HEIGHT = 400  # pixels of a portrait
INSET = 112  # pixels of the reference in its corner
GAP = 6


def portrait(pixels: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The head cut out of a photo, HEIGHT high and three quarters as wide, not turned upright."""
    centre, size = landmarks.mean(axis=0), 2.35 * np.ptp(landmarks[:, 1])
    half = np.array([0.375 * size, 0.5 * size])
    left, top = (int(v) for v in np.maximum(centre - half * [1, 1.08], 0))
    part = pixels[top : top + int(size), left : left + int(0.75 * size)]
    return cv2.resize(part, (int(0.75 * HEIGHT), HEIGHT), interpolation=cv2.INTER_AREA)


def strip() -> np.ndarray:
    """Before and after of each pair, side by side, the reference in the corner."""
    cells = []
    with MakeupSession() as session:
        for source, look in PAIRS:
            bare = read_photo(HERE / "no_makeup" / f"{source}.jpg").pixels
            worn = read_photo(HERE / "makeup" / f"{look}.jpg").pixels
            landmarks = detection.detect(bare)[0].landmarks
            before = portrait(bare, landmarks)
            after = portrait(transfer(bare, worn, session=session), landmarks)
            reference = alignment.align(worn, detection.detect(worn)[0], INSET, 0.3).chip
            framed = cv2.copyMakeBorder(reference, 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=(255, 255, 255))
            after[-framed.shape[0] :, -framed.shape[1] :] = framed
            cells.append(np.vstack([before, np.full((GAP, before.shape[1], 3), 255, np.uint8), after]))
    gap = np.full((cells[0].shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([part for cell in cells for part in (cell, gap)][:-1])


def main() -> None:
    """Write both pictures beside this script."""
    write_photo(Photo(pixels=strip()), HERE / "strip.jpg", quality=90, overwrite=True)
    results = HERE.parent / "made_up"
    paths = ["--no-makeup", str(HERE / "no_makeup"), "--ref", str(HERE / "makeup"), "--out", str(results)]
    beautygan([*paths, "--grid", str(HERE / "grid.jpg"), "--overwrite", "--quiet"])


if __name__ == "__main__":
    main()
