"""How far the landmarks of eyes and lips lie from points clicked by hand, on people not trained on, and what they cost.

    python benchmarks/landmarks.py --faces DIR [--cache FILE] [--model DIR]

Photos are those of people whom `training.dataset.split` holds out and beside which a template of points lies. Each is
looked at as it is, with the head turned by 25 degrees, dim and noisy, with something laid before the face, and with
both eyes shut. Beside ours stand dlib's 68 points (where its predictor's file is there), read in the same box and
averaged over shifted ones. Errors of lids and corners are in % of the eye's width, of lips in % of the mouth's: mean /
90th percentile.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import dlib
import numpy as np

from beautygan_cli.errors import BeautyGANError
from beautygan_cli.faces import detection
from beautygan_cli.faces.dlib_models import predictor_file
from beautygan_cli.faces.landmark_network import LandmarkNetwork
from beautygan_cli.faces.landmarks import five_points
from beautygan_cli.training import landmarks, occluders, turned_heads
from beautygan_cli.training.dataset import Person, load, split

KINDS = ("glasses", "fringe", "lock", "strands", "hand")
JITTER = ((0, 0, 1), (0.03, 0, 1), (-0.03, 0, 1), (0, 0.03, 1), (0, -0.03, 1), (0, 0, 1.05), (0, 0, 0.95))
Box = tuple[float, float, float, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="an .npz to keep the photos' chips in")
    parser.add_argument("--model", type=Path, help="folder of a network in place of the bundled one")
    options = parser.parse_args()
    learners, held = split(load(options.faces, options.cache))
    clicked = [person for person in held if person.contours is not None]
    textures = occluders.textures_of(learners[:60])
    print(f"{len(clicked)} photos; mean / 90th percentile")
    with LandmarkNetwork(options.model, threads=2) as network:

        def ours(pixels: np.ndarray, box: Box) -> np.ndarray:
            return network.find(pixels, [five_points(pixels, box)])[0].landmarks

        readers: dict[str, Callable[[np.ndarray, Box], np.ndarray]] = {"ours": ours}
        if (predictor := dlib_predictor()) is not None:
            readers["dlib"] = lambda pixels, box: by_dlib(predictor, pixels, box)
        for name, change in CHANGES.items():
            measure(name, clicked, change, textures, readers)
        cost(network, clicked[0])


def measure(name: str, people: list[Person], change: Callable, textures: occluders.Textures, readers: dict) -> None:
    """Print a line for each reader."""
    found: dict[str, dict[str, list[float]]] = {reader: {} for reader in readers}
    unseen = 0
    for pixels, true in changed(people, change, textures):
        faces = detection.detect(pixels)
        if not faces:
            unseen += 1
            continue
        for reader, read in readers.items():
            for part, values in landmarks.landmark_errors(read(pixels, faces[0].box), true).items():
                found[reader].setdefault(part, []).extend(values)
    for reader, parts in found.items():
        figures = ", ".join(
            f"{part} {np.mean(values):.2f} / {np.percentile(values, 90):.2f}" for part, values in parts.items()
        )
        lids = np.concatenate([parts["upper lid"], parts["lower lid"]])
        note = f"; no face found in {unseen}" if unseen else ""
        print(f"{name:8} {reader:5} lids {np.mean(lids):.2f} / {np.percentile(lids, 90):.2f}, {figures}{note}")


def changed(
    people: list[Person], change: Callable, textures: occluders.Textures
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Photos changed, uint8 RGB, and their true contours."""
    for number, person in enumerate(people):
        points = np.concatenate([person.exact, person.contours])
        pixels, points = change(person.chip.astype(np.float32), points, textures, np.random.default_rng([number, 7]))
        yield np.clip(np.round(pixels), 0, 255).astype(np.uint8), points[68:]


def as_it_is(pixels, points, textures, rng):
    return pixels, points


def turned(pixels, points, textures, rng):
    return turned_heads.turned(pixels, points, float(rng.choice([-25, 25])), 0)


def dim(pixels, points, textures, rng):
    return pixels * 0.2 + rng.normal(0, 2.5, pixels.shape), points


def covered(pixels, points, textures, rng):
    layers = occluders.random_cover(points[:68], len(pixels), textures, rng, str(rng.choice(KINDS)))
    return occluders.laid_over(pixels, layers)[0], points


def shut(pixels, points, textures, rng):
    for number in range(2):
        pixels, points = landmarks.lowered_lid(pixels, points, number, 1.0, rng)
    return pixels, points


CHANGES = {"plain": as_it_is, "turned": turned, "dim": dim, "covered": covered, "shut": shut}


def dlib_predictor():
    try:
        return dlib.shape_predictor(str(predictor_file("shape_predictor_68_face_landmarks.dat")))
    except BeautyGANError:
        return None


def by_dlib(predictor, pixels: np.ndarray, box: Box) -> np.ndarray:
    """Dlib's 68 points in a box, the mean over shifted and scaled ones."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    centre, half = np.array([box[0] + box[2], box[1] + box[3]]) / 2, (box[2] - box[0]) / 2
    readings = []
    for x, y, stretch in JITTER:
        middle = centre + np.array([x, y]) * 2 * half
        corners = (*(middle - half * stretch), *(middle + half * stretch))
        shape = predictor(grey, dlib.rectangle(*(round(float(value)) for value in corners)))
        readings.append([(point.x, point.y) for point in shape.parts()])
    return np.mean(readings, axis=0)


def cost(network: LandmarkNetwork, person: Person) -> None:
    """Print how long a face takes, alone and among sixteen."""
    start = five_points(person.chip, detection.detect(person.chip)[0].box)
    for count in (1, 16):
        network.find(person.chip, [start] * count)
        times = []
        for _ in range(8):
            began, worked = time.perf_counter(), time.process_time()
            network.find(person.chip, [start] * count)
            times.append((time.perf_counter() - began, time.process_time() - worked))
        passed, worked = (1000 * min(values) / count for values in zip(*times, strict=True))
        print(f"{passed:.1f} ms a face, {worked:.1f} of the processor, {count} at once")


if __name__ == "__main__":
    main()
