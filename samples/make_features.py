"""Make the README's pictures of looks, strengths and removal, with the tool itself from the samples.

    python samples/make_features.py [--model DIR]

`looks.jpg`: a bare face, then each look of `looks/`. `strengths.jpg`: one look at several strengths. `removal.jpg`:
made-up faces above, the same with their makeup off below. `everyday.jpg`: faces with a fringe and glasses laid over
them above, the same in a cat-eye, a made-up face's makeup and face paint below.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from beautygan_cli import MakeupSession
from beautygan_cli.faces import alignment, detection
from beautygan_cli.makeup import look, pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.photos.photo import Photo, read_photo, write_photo
from beautygan_cli.training import dataset, occluders

HERE = Path(__file__).parent
SIZE = 300
GAP = 6
SWEEP = (0.25, 0.5, 0.75, 1.0)
# Who, what lies before the face, the seed that lays it there, and what is worn.
EVERYDAY = (
    ("alma", "fringe", 19, "cat-eye"),
    ("chi", "glasses", 8, "cat-eye"),
    ("bea", "glasses", 6, "teal.jpg"),
    ("dara", "", 0, "festival"),
)


def portrait(pixels: np.ndarray, label: str = "") -> np.ndarray:
    """The head, SIZE pixels wide, with a label in its corner."""
    face = detection.detect(pixels)[0]
    chip = alignment.crop(pixels, alignment.place(face.landmarks, 2 * SIZE, 0.42))
    chip = cv2.resize(chip, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    if label:
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.55
        (width, height), below = cv2.getTextSize(label, font, scale, 1)
        chip[-height - below - 12 :, : width + 16] = 255
        cv2.putText(chip, label, (8, SIZE - below - 4), font, scale, (40, 40, 40), 1, cv2.LINE_AA)
    return chip


def rows(*several: list[np.ndarray]) -> np.ndarray:
    """Portraits in rows with white gaps."""
    pitch = SIZE + GAP
    shape = (len(several) * pitch - GAP, max(map(len, several)) * pitch - GAP, 3)
    canvas = np.full(shape, 255, np.uint8)
    for y, row in enumerate(several):
        for x, picture in enumerate(row):
            canvas[y * pitch : y * pitch + SIZE, x * pitch : x * pitch + SIZE] = picture
    return canvas


def covered(pixels: np.ndarray, kind: str, textures: occluders.Textures, seed: int) -> np.ndarray:
    """The face, cut out square, with something laid over it; `kind` as in `occluders.KINDS`, or "" for nothing."""
    face = detection.detect(pixels)[0]
    crop_transform = alignment.place(face.landmarks, 2 * SIZE, 0.6)
    cut = alignment.crop(pixels, crop_transform).astype(np.float32)
    if kind:
        landmarks = crop_transform.to_chip(face.landmarks)
        cover = occluders.random_cover(landmarks, 2 * SIZE, textures, np.random.default_rng(seed), kind)
        cut = occluders.laid_over(cut, cover)[0]
    return np.clip(np.rint(cut), 0, 255).astype(np.uint8)


def main() -> None:
    """Make the three pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    pixels = {path.stem: read_photo(path).pixels for path in sorted((HERE / "no_makeup").glob("*.jpg"))}
    worn = {path.stem: read_photo(path).pixels for path in sorted((HERE / "makeup").glob("*.jpg"))}
    with MakeupSession(options.model) as session:

        def made_up(name: str, *what: object) -> np.ndarray:
            return pipeline.transfer(pixels[name], *what, session=session)  # type: ignore[arg-type]

        menu = [look.read(item.path) for item in look.find([HERE / "looks"])[0]]
        looks = [
            [portrait(pixels[name]), *(portrait(made_up(name, choice), choice.name) for choice in menu)]
            for name in ("bea", "dara")
        ]
        plum = HERE / "makeup" / "plum.jpg"
        sweep = [portrait(made_up("chi", plum, Strengths().scaled(s)), f"{100 * s:.0f} %") for s in SWEEP]
        bare = [portrait(pipeline.remove(worn[name], session=session)) for name in ("red", "plum", "berry", "coral")]
        textures = occluders.textures_of(dataset.load(HERE / "no_makeup"))
        before, after = [], []
        for name, kind, seed, wanted in EVERYDAY:
            photo = covered(pixels[name], kind, textures, seed)
            reference = HERE / "makeup" / wanted if wanted.endswith(".jpg") else look.bundled()[wanted]
            before.append(portrait(photo))
            after.append(portrait(pipeline.transfer(photo, reference, session=session)))
        above = [portrait(worn[name]) for name in ("red", "plum", "berry", "coral")]
    looks_flat = [looks[0] + looks[1]]
    for name, picture in (
        ("looks", rows(*looks_flat)),
        ("strengths", rows([portrait(pixels["chi"], "0 %"), *sweep])),
        ("removal", rows(above, bare)),
        ("everyday", rows(before, after)),
    ):
        write_photo(Photo(pixels=picture), HERE / f"{name}.jpg", quality=88, overwrite=True)
        print(HERE / f"{name}.jpg")


if __name__ == "__main__":
    main()
