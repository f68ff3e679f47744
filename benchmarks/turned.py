"""Photos turned in the plane, every 15 degrees: is the face found, at what cost, and how much makeup does it get?

    python benchmarks/turned.py --faces PORTRAITS --ref samples/makeup/red.jpg --count 20

A line an angle. found: share of photos whose largest face has landmarks within a tenth of the eyes' distance of the
upright photo's; landmarks: their mean distance, in per cent of the eyes' distance. least: the share of photos where
lips and lids change by at least 0.8 of what they change by upright (CIEDE2000 of the mean colour). searched and time:
pixels that dlib's frontal detector searched and processor time of the whole search, in times of the upright photo's;
network: runs of dlib's CNN detector a photo.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from beautygan_cli import MakeupSession
from beautygan_cli.errors import BeautyGANError
from beautygan_cli.faces import detection, masks, turned
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.face import Face
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.photos.find import find_photos
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.types import FloatArray, UInt8Array

FOUND = 0.1  # of the eyes' distance that landmarks may be off for a face to count as found
ENOUGH = 0.8  # of the upright photo's change that a turned one's must have
REGIONS = {"lips": masks.lips_mask, "lids": masks.lids_mask}


class Counted:
    """A detector of dlib, counting the pixels that it is given and its runs."""

    def __init__(self, detector: Any) -> None:
        self.detector, self.pixels, self.runs = detector, 0, 0

    def run(self, copy: UInt8Array, *arguments: float) -> Any:
        """The frontal detector's search."""
        self.pixels += copy.size
        return self.detector.run(copy, *arguments)

    def __call__(self, copy: UInt8Array, *arguments: float) -> Any:
        """The CNN detector's search."""
        self.runs += 1
        return self.detector(copy, *arguments)


@dataclass
class Search:
    """The largest face that a search found, if any, and what the search took."""

    face: Face | None
    pixels: int
    runs: int
    seconds: float


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder of upright photos of one face each")
    parser.add_argument("--ref", type=Path, required=True, help="photo of the makeup that they get")
    parser.add_argument("--count", type=int, default=20, help="photos (default: 20)")
    parser.add_argument("--every", type=int, default=1, help="take each so-manieth photo of the folder (default: 1)")
    parser.add_argument("--step", type=int, default=15, help="degrees between two angles (default: 15)")
    options = parser.parse_args()
    photos = [item.path for item in find_photos([options.faces])[0]][:: options.every][: options.count]
    angles = range(options.step, 360, options.step)
    rows: dict[int, list[tuple[float, ...]]] = {angle: [] for angle in angles}
    with MakeupSession() as session:
        (look, *_) = pipeline.find_faces(read_photo(options.ref).pixels, session.signature, "", which="largest")
        for path in photos:
            pixels = read_photo(path).pixels
            first = search(pixels)
            if first.face is None:
                print(f"{path}: no face upright, left out", file=sys.stderr)
                continue
            upright = changes(pixels, first.face, look, session)
            for angle in angles:
                view = turned.whole(pixels, angle)
                found = search(view.pixels)
                wanted = view.to_view(first.face.landmarks)
                off = distance(found.face, wanted)
                more = [off < FOUND, 100 * off if off < FOUND else np.nan, False]
                if found.face is not None and off < FOUND:
                    changed = changes(view.pixels, found.face, look, session)
                    more[2] = all(changed[name] >= ENOUGH * value for name, value in upright.items())
                cost = (found.pixels / first.pixels, found.seconds / first.seconds, found.runs)
                rows[angle].append((*more, *cost))
    print(f"{len(rows[angles[0]])} photos\n\n| angle | found | landmarks | least | searched | time | network |")
    print("|---|---|---|---|---|---|---|")
    for angle, values in [*rows.items(), ("all", [row for part in rows.values() for row in part])]:
        found_share, off, enough, pixels_ratio, time_ratio, runs = np.nanmean(np.array(values, float), axis=0)
        print(
            f"| {angle} | {100 * found_share:.0f} % | {off:.1f} | {100 * enough:.0f} % | {pixels_ratio:.1f} |"
            f" {time_ratio:.1f} | {runs:.2f} |"
        )
    return 0


def search(pixels: UInt8Array) -> Search:
    """Search a photo for faces, counting the work."""
    frontal = Counted(detection._frontal_detector())
    slow: list[Counted] = []

    def load(name: str, kind: Any) -> Any:
        slow.append(Counted(known(name, kind)))
        return slow[-1]

    known = detection.load
    began = time.process_time()
    with patch.object(detection, "_frontal_detector", lambda: frontal), patch.object(detection, "load", load):
        try:
            faces = detection.detect(pixels)
        except BeautyGANError:
            faces = []
    spent = time.process_time() - began
    return Search(faces[0] if faces else None, frontal.pixels, sum(one.runs for one in slow), spent)


def distance(face: Face | None, wanted: FloatArray) -> float:
    """Mean distance of a face's landmarks to those wanted, in the eyes' distance; infinite without a face."""
    if face is None:
        return float("inf")
    return float(np.linalg.norm(face.landmarks - wanted, axis=1).mean() / masks.interocular_distance(wanted))


def changes(pixels: UInt8Array, face: Face, look: Any, session: MakeupSession) -> dict[str, float]:
    """How far the mean colours of lips and lids move, CIEDE2000."""
    analysis = analyse_face(pixels, face, session.signature.size, session.signature.padding)
    made = pipeline.apply_look(
        pixels, [analysis], pipeline.Wearing.all_of(look), pipeline.Strengths(), session, in_place=False
    )
    marks = analysis.crop_transform.to_photo(analysis.landmarks)
    shape = (pixels.shape[0], pixels.shape[1])
    labs = [rgb_to_lab(image) for image in (pixels, made)]
    return {
        name: float(ciede2000(*(weighted_mean(lab, mask(marks, shape)) for lab in labs)))
        for name, mask in REGIONS.items()
    }


if __name__ == "__main__":
    sys.exit(main())
