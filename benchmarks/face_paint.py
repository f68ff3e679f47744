"""How near painted brows, cheeks and noses come to the truth, on held-out people in drawn face paint.

    python benchmarks/face_paint.py --faces LONDON_NEUTRAL [--cache FILE] [--count 24]

Each pair wears face paint or made-up brows of any colour, with the rest of a random style; everything is made up at
strength 1, brows too. Prints for each region the CIEDE2000 of its mean colour to the true answer's, in the bare photo
and in the result, and the mean CIEDE2000 of its pixels, likewise; brows over the pairs whose brows are made up, cheeks
and nose over those with paint.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli import MakeupSession
from beautygan_cli.faces import masks
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline, rendering
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.style import Style
from beautygan_cli.training import dataset, validation
from beautygan_cli.types import FloatArray

SEED = 3
NOSE = [27, 31, 33, 35]  # landmarks around it


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="an .npz to keep the photos' chips in")
    parser.add_argument("--count", type=int, default=24, help="pairs")
    options = parser.parse_args()
    figures: dict[str, list[list[float]]] = {"brows": [], "cheeks": [], "nose": []}
    with MakeupSession() as session:
        for style, case in cases(options.faces, options.count, options.cache):
            of_pair = measured(case, session)
            for region in ("brows",) if style.brows else ():
                figures[region].append(of_pair[region])
            for region in ("cheeks", "nose") if style.paint else ():
                figures[region].append(of_pair[region])
    print(f"{'':8s}pairs  mean colour to the truth  its pixels to the truth")
    for region, rows in figures.items():
        before, after, pixels_before, pixels_after = np.mean(rows, axis=0)
        colours = f"{before:.1f} > {after:.2f}"
        print(f"{region:8s}{len(rows):5d}  {colours:26s}{pixels_before:.1f} > {pixels_after:.2f}")


def cases(folder: Path, count: int, cache: Path | None) -> Iterator[tuple[Style, validation.Case]]:
    """So many held-out pairs in face paint or with made-up brows, the same each time."""
    paths = validation.paths_of(folder)
    _, held = dataset.split(dataset.load(folder, cache))
    rng, made = np.random.default_rng(SEED), 0
    while made < count:
        source, other = held[made % len(held)], held[int(rng.integers(len(held)))]
        if other.person == source.person:
            continue
        style = rendering.random_style(rng)
        while not (style.paint or style.brows):
            style = rendering.random_style(rng)
        made += 1
        pair = (validation.bare_of(person, paths[person.name]) for person in (source, other))
        yield style, validation.make_case(*pair, style)


def measured(case: validation.Case, session: MakeupSession) -> dict[str, list[float]]:
    """Of each region: mean colour before and after, pixels before and after, as distances to the truth."""
    signature = session.signature
    source, reference = (
        analyse_face(item.pixels, item.face, signature.size, signature.padding)
        for item in (case.source, case.reference)
    )
    made = pipeline.make_up([(source, pipeline.Wearing.all_of(reference))], session)
    result = pipeline.apply(case.source.pixels, [source], made, Strengths(skin=1.0, brows=1.0))
    before, after, truth = (rgb_to_lab(pixels) for pixels in (case.source.pixels, result, case.truth))
    found = {}
    for region, mask in (("brows", masks.brows_mask), ("cheeks", masks.cheeks_mask), ("nose", nose_mask)):
        inside = mask(case.source.face.landmarks, (truth.shape[0], truth.shape[1]))
        goal = weighted_mean(truth, inside)
        colours = [float(ciede2000(weighted_mean(lab, inside), goal)) for lab in (before, after)]
        pixels = [float(weighted_mean(ciede2000(lab, truth)[..., None], inside)[0]) for lab in (before, after)]
        found[region] = [*colours, *pixels]
    return found


def nose_mask(landmarks: NDArray[Any], shape: tuple[int, int]) -> FloatArray:
    """From the bridge to the nostrils."""
    return drawing.fill(shape, landmarks[NOSE])


if __name__ == "__main__":
    main()
