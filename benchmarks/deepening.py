"""What deepening (`beautygan_cli/makeup/colour_correction.py`) brings: distances with it, without, with a part of it.

    python benchmarks/deepening.py --rendered FACES [--cache people.npz] [--count 87]

On the pairs of `beautygan-evaluate --rendered`, but at the chip's size, at full strengths: CIEDE2000 between region
means, to the truth and to the reference, and the mean CIEDE2000 of each pixel of a region to the truth.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from beautygan_cli import MakeupSession
from beautygan_cli.cli import evaluate
from beautygan_cli.faces import alignment, masks
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import colour_correction, composite, pipeline

REGIONS = {"lips": masks.lips_mask, "lids": masks.lids_mask, "skin": masks.cheeks_mask}
NO_GAINS, NO_SHIFTS = dict.fromkeys(colour_correction.GAINS, (1.0, 1.0)), dict.fromkeys(colour_correction.SHIFTS, 0.0)
OTHERS = {
    "as it is": (colour_correction.GAINS, colour_correction.SHIFTS),
    "without": (NO_GAINS, NO_SHIFTS),
    "scaled alone": (colour_correction.GAINS, NO_SHIFTS),
    "shifted alone": (NO_GAINS, colour_correction.SHIFTS),
    "twice the shifts": (colour_correction.GAINS, {name: 2 * most for name, most in colour_correction.SHIFTS.items()}),
}


class Pair(NamedTuple):
    """A rendered pair at the chip's size, as far as the network."""

    face: alignment.FaceAnalysis
    network_input: Any
    raw: Any
    look: Any
    truth: dict[str, Any]
    reference: dict[str, Any]
    answer: Any  # the truth's chip in L*a*b*


def main() -> int:
    """Print a line for each choice of gains and shifts."""
    options = evaluate.parser().parse_args()
    _, cases = evaluate._cases(options, print)
    with MakeupSession(options.model, precision="fp32") as session:
        pairs = [pair(case, session) for case in cases]
    print(
        f"{len(pairs)} pairs; lips, lids, skin\n{'':18s}{'to the truth':24s}{'to the reference':24s}pixels to the truth"
    )
    for name, (gains, shifts) in OTHERS.items():
        with patch.object(colour_correction, "GAINS", gains), patch.object(colour_correction, "SHIFTS", shifts):
            found = np.mean([distances(item) for item in pairs], axis=0)
        print(f"{name:18s}" + "".join(f"{'  '.join(f'{value:.2f}' for value in part):24s}" for part in found))
    return 0


def pair(case: evaluate.Case, session: MakeupSession) -> Pair:
    """One case through the network."""
    signature = session.signature
    source, look = (
        alignment.align(item.pixels, item.face, signature.size, signature.padding)
        for item in (case.source, case.reference)
    )
    network_input, worn = pipeline.network_chips(source, look, signature)
    raw = session.transfer(network_input[None], worn[None])[0]
    answer = alignment.crop(case.truth, source.crop_transform)
    truth = colours(answer, source.landmarks)
    return Pair(source, network_input, raw, worn, truth, colours(look.chip, look.landmarks), rgb_to_lab(answer))


def colours(pixels: Any, landmarks: Any) -> dict[str, Any]:
    """The mean L*a*b* of each region."""
    lab = rgb_to_lab(pixels)
    return {name: weighted_mean(lab, mask(landmarks, lab.shape[:2])) for name, mask in REGIONS.items()}


def distances(item: Pair) -> list[list[float]]:
    """To the truth, to the reference, and pixel by pixel to the truth, of each region."""
    marks = item.face.landmarks
    deepened = colour_correction.deepen(item.network_input, item.raw, item.face, item.look, marks)
    size = item.face.crop_transform.size
    alone = alignment.FaceAnalysis(
        item.face.chip, alignment.CropTransform(np.float32([[1, 0, 0], [0, 1, 0]]), size), marks
    )
    result = composite.paste(item.face.chip, alone, item.network_input, deepened, composite.Strengths(1, 1, 1))
    own = colours(result, marks)
    apart = ciede2000(rgb_to_lab(result), item.answer)[..., None]
    pixels = [float(weighted_mean(apart, mask(marks, apart.shape[:2]))[0]) for mask in REGIONS.values()]
    means = [[float(ciede2000(own[name], goal[name])) for name in REGIONS] for goal in (item.truth, item.reference)]
    return [*means, pixels]


if __name__ == "__main__":
    sys.exit(main())
