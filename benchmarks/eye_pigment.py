"""How well the pigment of held-out people's eyes is read off their photos, and what it costs.

    python benchmarks/eye_pigment.py --faces DIR [--cache FILE] [--count 60]

Makeup is drawn on people whom `training.dataset.split` holds out, so that the pigment is known. Prints, for the network
and for the makeup model's removal alone, which is a hint to it: the share of dark pigment (density over 0.8) that is
read, of that past the outer corner, the mean density read where there is none, and the mean difference of how dark it
is seen (0 to 1) at all cells.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from beautygan_cli.makeup import eye_pigment
from beautygan_cli.training import eye_pigment as training
from beautygan_cli.training.dataset import load, split
from beautygan_cli.types import FloatArray


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="an .npz to keep the photos' chips in")
    parser.add_argument("--count", type=int, default=60, help="faces, with two eyes each")
    options = parser.parse_args()
    _, held = split(load(options.faces, options.cache))
    settings = training.Settings(str(options.faces), "", check_count=options.count, seed=5)
    eyes = training.held_out_eyes(settings, held)
    print(f"{'':10} dark   wing   none   error")
    for name, read in (("network", network), ("removal", removal)):
        dark, wing, none, error = training.validate(read, eyes)
        print(f"{name:10} {dark:.2f}   {wing:.2f}   {none:.3f}  {error:.4f}")
    print(f"{1000 * cost(eyes):.0f} ms an eye")


def network(relative: FloatArray, hints: FloatArray) -> FloatArray:
    return eye_pigment._of_the_package().run("made_up", {"source": relative, "reference": hints})


def removal(_: FloatArray, hints: FloatArray) -> FloatArray:
    return hints[..., 4:]


def cost(eyes: list[training.Example]) -> float:
    """Seconds an eye of two at once, as a reference's are read; the median of many runs."""
    inputs = training._inputs(eyes[:2])
    spent = []
    for _ in range(20):
        began = time.perf_counter()
        network(*inputs)
        spent.append(time.perf_counter() - began)
    return float(np.median(spent)) / 2


if __name__ == "__main__":
    main()
