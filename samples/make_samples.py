"""Make the sample photos: bare faces of nobody, and references wearing the training code's makeup.

    python samples/make_samples.py --faces FACES [--out samples]

FACES holds the folders `london_neutral` and `london_smiling` of the Face Research Lab London Set (see README.md here).
Each face is the mean shape and colouring of three people; hair, shoulders and the grain of the skin are the first
one's, bent to that shape. People held out for validation are not used.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from beautygan_cli.faces import detection, masks
from beautygan_cli.faces.warp import warp_onto
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import lab_to_rgb, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import rendering
from beautygan_cli.makeup.style import Blush, Brows, EyeShadow, Finish, Liner, Lipstick, Style
from beautygan_cli.photos.photo import Photo, read_photo, write_photo
from beautygan_cli.training.dataset import read_template, with_template

GRAIN = 0.05  # units: detail finer than this is the first person's
DARK = (9.0, 0.0, 0.0)


@dataclass(frozen=True)
class Sample:
    """One sample photo: whose faces, whether they smile, what they wear, and how the photo is turned and cut."""

    name: str
    people: tuple[str, str, str]
    smiling: bool = False
    style: Style | None = None
    tilt: float = 0.0  # degrees
    head: bool = False  # cut to the head
    room: tuple[int, int, int] | None = None  # colour of a wall in place of the studio's grey
    packaged: bool = False  # not shown among the samples, but part of the package


PACKAGE = Path(__file__).resolve().parent.parent / "beautygan_cli"

SAMPLES = (
    Sample("no_makeup/alma", ("094", "134", "064")),
    Sample("no_makeup/bea", ("124", "083", "091")),
    Sample("no_makeup/chi", ("127", "034", "030")),
    Sample("no_makeup/dara", ("099", "126", "025")),
    Sample("no_makeup/emil", ("138", "026", "041")),
    Sample("no_makeup/tilted", ("134", "122", "091"), smiling=True, tilt=13, room=(150, 110, 80)),
    Sample("bare_face", ("083", "118", "027"), head=True, packaged=True),
    Sample(
        "made_up_face",
        ("083", "118", "027"),
        head=True,
        style=Style(
            Lipstick((35, 55, 32), 0.95),
            EyeShadow((40, 16, 4), (24, 8, 2), (16, 4, 0), 0.85, 0.8, 0.85, 0.8, 0.3, 0.5),
            Liner(DARK, 0.95, 0.08, 0.25, 0.4, 0.3, 0.2),
        ),
        packaged=True,
    ),
    Sample(
        "makeup/red",
        ("081", "027", "122"),
        head=True,
        style=Style(
            Lipstick((35, 55, 32), 0.95, 0.35),
            EyeShadow((60, 8, 16), (38, 12, 18), (26, 9, 10), 0.6, 0.6, 0.65, 0.75, 0.25, 0.25, 0.4, 0.6),
            Liner(DARK, 0.95, 0.10, 0.36, 0.42, 0.0, 0.24),
            Blush((60, 34, 14), 0.28, 0.6),
            Finish(0.7, (1, 0, 0), -0.2, 0.3, 0.5),
            Brows((24, 5, 8), 0.45),
        ),
    ),
    Sample(
        "makeup/smoky",
        ("007", "014", "086"),
        head=True,
        style=Style(
            Lipstick((55, 22, 15), 0.9, 0.6),
            EyeShadow((28, 4, 2), (16, 3, 1), (10, 1, 0), 0.85, 0.8, 0.9, 0.85, 0.35, 0.85, 0.5),
            Liner(DARK, 0.95, 0.09, 0.22, 0.35, 0.85, 0.24),
            Blush((56, 26, 16), 0.22, 0.9),
            Finish(0.6, (0, 0, 1), 0.3, 0.6, 0.5),
            Brows((16, 3, 4), 0.5),
        ),
    ),
    Sample(
        "makeup/plum",
        ("066", "064", "006"),
        head=True,
        style=Style(
            Lipstick((26, 32, -6), 0.95, -0.6, 0.0, 0.3),
            EyeShadow((52, 22, -24), (30, 24, -26), (18, 16, -16), 0.85, 0.8, 0.85, 0.9, 0.35, 0.6, 0.7, 0.5),
            Liner(DARK, 0.9, 0.07, 0.25, 0.4, 0.0, 0.24),
            Blush((50, 30, 4), 0.3, 0.5),
            Finish(0.5, (0, 0, 0), 0.0, 0.2, 0.4),
        ),
    ),
    Sample(
        "makeup/coral",
        ("087", "030", "034"),
        head=True,
        style=Style(
            Lipstick((54, 48, 30), 0.92, 0.8),
            EyeShadow((76, 10, 34), (56, 22, 34), (40, 24, 28), 0.75, 0.6, 0.6, 0.8, 0.25, 0.3, 0.9, 0.8),
            Liner((22, 8, 10), 0.85, 0.06, 0.15, 0.3, 0.0, 0.22),
            Blush((64, 34, 24), 0.42, 0.2, 0.45, 0.3),
            Finish(0.5, (1.5, 0, 0.5), 0.5, 0.0, 0.7),
        ),
    ),
    Sample(
        "makeup/berry",
        ("129", "126", "062"),
        head=True,
        style=Style(
            Lipstick((27, 42, 8), 0.95, 0.4),
            EyeShadow((50, 16, 34), (34, 18, 26), (16, 8, 8), 0.85, 0.6, 0.8, 0.85, 0.3, 0.5, 1.0, 0.6),
            Liner(DARK, 0.95, 0.10, 0.3, 0.4, 0.0, 0.26),
            Blush((38, 36, 16), 0.3, 0.7),
            Finish(0.5, (0, 0, 0), 0.6, 0.2, 0.8),
        ),
    ),
    Sample(
        "makeup/teal",
        ("113", "124", "118"),
        head=True,
        style=Style(
            Lipstick((46, 46, -4), 0.92, 0.2),
            EyeShadow((50, -26, -12), (32, -20, -22), (20, -6, -26), 0.9, 0.75, 0.8, 0.85, 0.4, 0.7, 0.6, 0.6),
            Liner(DARK, 0.95, 0.08, 0.34, 0.45, 0.0, 0.24),
            Blush((62, 36, 2), 0.3, 0.6),
            Finish(0.6, (0.5, 0, 0), 0.2, 0.2, 0.5),
        ),
    ),
)


def make(sample: Sample, folder: Path) -> np.ndarray:
    """The sample's photo, (H, W, 3) uint8 RGB."""
    pictures, marks, exact = zip(*(_read(folder, person, sample.smiling) for person in sample.people), strict=True)
    landmarks, target = np.mean(marks, axis=0), np.mean(exact, axis=0)
    shape = pictures[0].shape[:2]
    bent = [warp_onto(p, own, target, shape).astype(np.float32) for p, own in zip(pictures, exact, strict=True)]
    photo = _mixed(bent, target)
    if sample.style:
        photo = rendering.render(photo, target, sample.style)
    if sample.room:
        photo = _in_room(photo, landmarks, sample.room)
    if sample.tilt:
        photo = _tilted(photo, landmarks, sample.tilt)
    if sample.head:
        photo = _head(photo, landmarks)
    return np.clip(np.round(photo), 0, 255).astype(np.uint8)


def _read(folder: Path, person: str, smiling: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    path = folder / ("london_smiling" if smiling else "london_neutral") / f"{person}_{'08' if smiling else '03'}.jpg"
    pixels = read_photo(path).pixels
    landmarks = detection.detect(pixels)[0].landmarks
    template = path.with_suffix(".tem")
    exact = with_template(landmarks, read_template(template)) if template.is_file() else landmarks
    return pixels, landmarks, exact


def _mixed(bent: list[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
    """The mean face in the first photo: colouring of all, lightness and grain as the first one has them."""
    shape, interocular = bent[0].shape[:2], masks.interocular_distance(landmarks)
    labs = [rgb_to_lab(picture) for picture in bent]
    skin = masks.skin_mask(landmarks, shape)
    means = [weighted_mean(lab, skin) for lab in labs]
    broad = np.mean(
        [drawing.blur(lab, GRAIN * interocular) - mean for lab, mean in zip(labs, means, strict=True)], axis=0
    )
    mean_face = broad + means[0] + (labs[0] - drawing.blur(labs[0], GRAIN * interocular))
    mask = masks.face_mask(landmarks, shape, soft=0.12)[..., None]
    return lab_to_rgb(labs[0] + (mean_face - labs[0]) * mask)


def _in_room(photo: np.ndarray, landmarks: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The grey studio wall coloured and unevenly lit."""
    height, width = photo.shape[:2]
    behind = _wall(photo, landmarks)
    wall = np.median(photo[behind], axis=0)
    # Light is multiplied, so the wall may reach into dark hair: its wisps keep their edges and no grey rim stays.
    matte = drawing.blur(cv2.dilate(behind.astype(np.float32), np.ones((9, 9))), 2.5)[..., None]
    rows, columns = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    light = 0.7 + 0.5 * np.exp(-(((columns - 0.2) / 0.5) ** 2) - ((rows - 0.25) / 0.6) ** 2)
    stripes = drawing.blur((1 + 0.05 * np.sign(np.sin(columns * 60))).astype(np.float32), 2)
    tint = np.array(colour) / wall * (light * stripes)[..., None]
    return photo * (1 + matte * (tint - 1))


def _wall(photo: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Where the studio's wall is, (H, W) bool, by GrabCut from what is certainly wall and certainly a person."""
    half = cv2.resize(np.clip(photo, 0, 255).astype(np.uint8), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    height, width = half.shape[:2]
    points, interocular = landmarks / 2, masks.interocular_distance(landmarks) / 2
    mask = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    chin, centre = points[8], points.mean(axis=0)
    body = np.array([chin, [centre[0] + 2.2 * interocular, height], [centre[0] - 2.2 * interocular, height]])
    cv2.ellipse(
        mask,
        (int(centre[0]), int(centre[1])),
        (int(2.2 * interocular), int(2.7 * interocular)),
        0,
        0,
        360,
        cv2.GC_PR_FGD,
        -1,
    )
    mask[int(chin[1] + 0.75 * interocular) :] = cv2.GC_PR_FGD
    cv2.fillPoly(mask, [body.astype(np.int32)], cv2.GC_FGD)
    cv2.fillPoly(mask, [masks.face_outline(points).astype(np.int32)], cv2.GC_FGD)
    mask[: int(0.06 * height)] = cv2.GC_BGD
    mask[: int(chin[1]), : int(0.12 * width)] = mask[: int(chin[1]), -int(0.12 * width) :] = cv2.GC_BGD
    cv2.setRNGSeed(1)
    cv2.grabCut(half, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    behind = np.isin(mask, (cv2.GC_BGD, cv2.GC_PR_BGD)).astype(np.uint8)
    _, labels = cv2.connectedComponents(behind)
    behind = (labels == labels[0, 0]).astype(np.uint8)
    return cv2.resize(behind, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 0


def _tilted(photo: np.ndarray, landmarks: np.ndarray, degrees: float) -> np.ndarray:
    """The photo turned about the face and cut so that no corner is empty."""
    height, width = photo.shape[:2]
    centre = landmarks.mean(axis=0)
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), degrees, 1.0)
    turned = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    cut = int(np.tan(np.radians(degrees)) * width * 0.42)
    return turned[cut // 2 : height - cut // 3, cut : width - cut // 2]


def _head(photo: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    interocular = masks.interocular_distance(landmarks)
    left, top = (landmarks.mean(axis=0) - np.array([2.3, 2.6]) * interocular).astype(int)
    size = int(4.6 * interocular)
    left, top = max(0, left), max(0, top)
    return photo[top : top + size, left : left + size]


def main(arguments: Any = None) -> None:
    """Make every sample."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", metavar="TEXT", help="make only the samples whose name holds this")
    options = parser.parse_args(arguments)
    for sample in SAMPLES:
        if options.only and options.only not in sample.name:
            continue
        path = (PACKAGE if sample.packaged else options.out) / f"{sample.name}.jpg"
        write_photo(Photo(pixels=make(sample, options.faces)), path, quality=90, overwrite=True)
        print(path)


if __name__ == "__main__":
    main()
