"""Heads turned to a side: does each lid and the mouth get as much makeup as on heads that look straight ahead?

    python benchmarks/sideways.py --faces PORTRAITS --ref samples/makeup/teal.jpg --count 12

Of a folder's portraits the most turned ones stand against as many of the straightest. A line a region: how far its mean
colour moves toward the reference's (CIEDE2000), median of both groups, and the share of the turned ones that get at
least 0.8 of the straight ones' median; last how far pixels beyond the far cheek's visible edge move (L*a*b*), where
nothing of the face is. How far a head is turned is the difference of its halves' widths in parts of their sum
(`faces/reference.py: turn`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from beautygan_cli import MakeupSession
from beautygan_cli.errors import BeautyGANError
from beautygan_cli.faces import detection, masks
from beautygan_cli.faces.reference import turn
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.photos.find import find_photos
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.types import FloatArray, UInt8Array

ENOUGH = 0.8  # of the straight faces' median change that a turned one's must have
PARTS = ("lips", "near lid", "far lid")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder of portraits")
    parser.add_argument("--ref", type=Path, required=True, help="photo of the makeup that they get")
    parser.add_argument("--count", type=int, default=12, help="portraits in each group (default: 12)")
    options = parser.parse_args()
    found = {}
    for item in find_photos([options.faces])[0]:
        try:
            faces = detection.detect(read_photo(item.path).pixels)
        except BeautyGANError:
            continue
        if faces:
            found[item.path] = faces[0].landmarks
    turns = {path: abs(turn(landmarks)) for path, landmarks in found.items()}
    order = sorted(turns, key=turns.__getitem__)
    groups = {"straight": order[: options.count], "turned": order[-options.count :]}
    with MakeupSession() as session:
        look = read_photo(options.ref).pixels
        rows = {
            name: np.array([measured(path, found[path], look, session) for path in paths])
            for name, paths in groups.items()
        }
    least, most = (min(turns[path] for path in group) for group in groups.values())
    print(f"{len(turns)} portraits; straight from {least:.2f}, turned from {most:.2f} on\n")
    print("| region | straight | turned | turned ones with enough |")
    print("|---|---|---|---|")
    for number, name in enumerate(PARTS):
        straight, turned = (rows[group][:, number] for group in ("straight", "turned"))
        enough = np.mean(turned >= ENOUGH * np.median(straight))
        print(f"| {name} | {np.median(straight):.1f} | {np.median(turned):.1f} | {100 * enough:.0f} % |")
    print(f"| beyond the edge | {rows['straight'][:, 3].max():.2f} | {rows['turned'][:, 3].max():.2f} | |")
    return 0


def measured(path: Path, landmarks: FloatArray, look: UInt8Array, session: MakeupSession) -> tuple[float, ...]:
    """How far lips, near lid and far lid of a portrait move (CIEDE2000), and pixels beyond its far edge (L*a*b*)."""
    pixels = read_photo(path).pixels
    made = pipeline.transfer(pixels, look, session=session)
    before, after = rgb_to_lab(pixels), rgb_to_lab(made)
    shape = (pixels.shape[0], pixels.shape[1])
    far = 0 if turn(landmarks) < 0 else 1
    lids = [masks.lids_mask(landmarks, shape, (grid, grid)) for grid in masks.eye_grids(landmarks, shape)]
    regions = (masks.lips_mask(landmarks, shape), lids[1 - far], lids[far])
    moved = [float(ciede2000(*(weighted_mean(lab, mask) for lab in (before, after)))) for mask in regions]
    outside = beyond(landmarks, far, pixels)
    return (*moved, float(np.linalg.norm(after - before, axis=2)[outside].max()) if outside.any() else 0.0)


def beyond(landmarks: FloatArray, far: int, pixels: UInt8Array) -> FloatArray:
    """The strip beside the far cheek's jaw line, from 0.08 to 0.3 interocular distances away from it."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    jaw = landmarks[1:6] if far == 0 else landmarks[11:16][::-1]
    edge = np.interp(rows, jaw[:, 1], jaw[:, 0], left=np.nan, right=np.nan)
    away = (edge - columns if far == 0 else columns - edge) / masks.interocular_distance(landmarks)
    return np.asarray((away > 0.08) & (away < 0.3))


if __name__ == "__main__":
    sys.exit(main())
