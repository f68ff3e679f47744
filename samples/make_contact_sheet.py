"""Make the sheet of drawn makeup: 64 styles as training draws them, on the sample faces.

    python samples/make_contact_sheet.py

Writes `makeup_styles.jpg` beside this script: eight by eight faces, each in a style of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from beautygan_cli.faces import alignment, detection
from beautygan_cli.makeup import rendering
from beautygan_cli.photos.photo import Photo, read_photo, write_photo
from beautygan_cli.training import examples

HERE = Path(__file__).parent
COLUMNS, ROWS = 8, 8
SIDE = 192  # pixels of a face on the sheet
DRAWN = 384  # pixels at which it is drawn, for lashes and liner finer than a pixel of the sheet
PADDING = 0.22  # of the face's width: close, for it is the makeup that is shown
GAP = 4
SEED = 3  # of the styles; another one gives another sheet
MAX_BYTES = 900_000


def bare_faces() -> list[alignment.FaceAnalysis]:
    """The sample faces, at the size that makeup is drawn at."""
    found = []
    for path in sorted((HERE / "no_makeup").glob("*.jpg")):
        pixels = read_photo(path).pixels
        found.append(alignment.align(pixels, detection.detect(pixels)[0], DRAWN, PADDING))
    return found


def made_up(face: alignment.FaceAnalysis, number: int) -> np.ndarray:
    """The face in style `number` of the sheet, (SIDE, SIDE, 3) uint8 RGB."""
    style = rendering.random_style(np.random.default_rng([SEED, number]))
    bare = examples.Bare(face.chip.astype(np.float32), face.landmarks, face.landmarks)
    drawn, _ = examples.wear(bare, bare, style)
    step = DRAWN // SIDE
    small = drawn.reshape(SIDE, step, SIDE, step, 3).mean(axis=(1, 3))
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def sheet() -> np.ndarray:
    """All styles in rows, with white between them."""
    found = bare_faces()
    side = SIDE + GAP
    result = np.full((ROWS * side - GAP, COLUMNS * side - GAP, 3), 255, np.uint8)
    for number in range(ROWS * COLUMNS):
        row, column = divmod(number, COLUMNS)
        # Shifted by a row, so that no column shows one face only.
        face = found[(column + row) % len(found)]
        result[row * side : row * side + SIDE, column * side : column * side + SIDE] = made_up(face, number)
    return result


def main() -> None:
    """Write the sheet, as well as its size allows."""
    path, pixels = HERE / "makeup_styles.jpg", sheet()
    for quality in (92, 88, 84, 80):
        write_photo(Photo(pixels=pixels), path, quality=quality, overwrite=True)
        if path.stat().st_size < MAX_BYTES:
            return


if __name__ == "__main__":
    main()
