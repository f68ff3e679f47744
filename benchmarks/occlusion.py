"""How well the occlusion network sees what lies before held-out faces, and what a face costs.

    python benchmarks/occlusion.py --faces DIR [--model DIR] [--count 40]

Prints, for people whom `training.dataset.split` holds out:
- by kind of made cover the intersection over union of soft masks within the face (1 is perfect);
- on the bare photos the share of lids called more than 0.3 covered, and the mean over lids, lips and skin;
- of everyday portraits with glasses (GLASSES) and without, on how many something is found where frames lie.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from beautygan_cli.faces import alignment, occlusion
from beautygan_cli.faces import masks as region_masks
from beautygan_cli.imaging import guided_filter
from beautygan_cli.training import occlusion as training
from beautygan_cli.training.dataset import STUDIO, load, split
from beautygan_cli.training.occluders import FaceFrame

SIZE = 256
# Of the held-out congress portraits, those with glasses, as looked at: nobody else has labelled them.
GLASSES = frozenset("000 001 018 027 063 090 144 216 333 360 369 378 423 468 531 594".split())  # noqa: SIM905
FRAME_FOUND = 0.01  # squared interocular distances that are called covered before eyes and nose: a bit of a thin frame


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="an .npz to keep the photos' chips in")
    parser.add_argument("--model", type=Path, help="folder of a network in place of the bundled one")
    parser.add_argument("--count", type=int, default=40, help="examples of each kind of cover")
    options = parser.parse_args()
    _, held = split(load(options.faces, options.cache))
    with occlusion.OcclusionNetwork(options.model, threads=2) as network:
        made_covers(network, held, options.count)
        real_faces(network, held)


def made_covers(network: occlusion.OcclusionNetwork, held: list, count: int) -> None:
    for kind, examples in training.held_out_examples(held, count, seed=5).items():
        pixels, face, label, weight = (
            np.stack([getattr(example, name) for example in examples]) for name in ("pixels", "face", "label", "weight")
        )
        feeds = {"source": pixels.astype(np.float32), "reference": face[..., None] / np.float32(255)}
        said = network._network.run("made_up", feeds)[..., 0]
        if kind:
            print(f"{kind:12} IoU {training.intersection_over_union(said, label, weight):.2f}")
        else:
            print(f"no cover     mean called covered {float((said * weight).sum() / weight.sum()):.3f}")


def real_faces(network: occlusion.OcclusionNetwork, held: list) -> None:
    placed = [alignment.place(person.landmarks, SIZE, 0.35) for person in held]
    chips = np.stack([alignment.crop(person.chip, place) for person, place in zip(held, placed, strict=True)])
    marks = np.stack([place.to_chip(person.landmarks) for person, place in zip(held, placed, strict=True)])
    network.predict(chips[:16], marks[:16])
    began = time.perf_counter()
    found = network.predict(chips, marks)
    print(f"{1000 * (time.perf_counter() - began) / len(held):.1f} ms a face")
    began = time.perf_counter()
    found = np.stack([guided_filter.refine(mask, chip) for mask, chip in zip(found, chips, strict=True)])
    print(f"{1000 * (time.perf_counter() - began) / len(held):.1f} ms to refine a chip of {SIZE} pixels")
    shares = np.array(
        [list(occlusion.covered_shares(mask, points).values()) for mask, points in zip(found, marks, strict=True)]
    )
    framed = []
    for mask, points in zip(found, marks, strict=True):
        frame = FaceFrame.of(points, SIZE)
        zone = (np.abs(frame.x) < 0.95) & (frame.y > -0.12) & (frame.y < 0.55)
        framed.append(float((mask > 0.4)[zone].sum()) / region_masks.interocular_distance(points) ** 2)
    for name, chosen in (
        ("studio", [person.folder in STUDIO for person in held]),
        ("everyday", [person.folder not in STUDIO for person in held]),
    ):
        several = shares[chosen]
        lids = several[:, :2]
        print(
            f"{name}: {len(several)} photos; lids called > 0.3 covered: {int((lids > 0.3).sum())} of {lids.size};"
            f" mean lids {lids.mean():.3f}, lips {several[:, 2].mean():.3f}, skin {several[:, 3].mean():.3f}"
        )
    everyday = [
        (person.name.split("/")[-1] in GLASSES, size)
        for person, size in zip(held, framed, strict=True)
        if person.folder not in STUDIO
    ]
    for worn in (True, False):
        sizes = [size for has, size in everyday if has == worn]
        if sizes:
            label = "with glasses" if worn else "without"
            print(f"{label}: something found where frames lie on {sum(s > FRAME_FOUND for s in sizes)} of {len(sizes)}")


if __name__ == "__main__":
    main()
