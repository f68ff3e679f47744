"""What each variation of the training sets brings: a model trained without each, on validation with each.

    python benchmarks/ablation.py --faces FACES --work DIR [--cache people.npz] [--steps 1000]

One model is trained with everything varied and one without each of `pairs.VARIATIONS`, as many steps each from new
weights, most of them at half size, on as many sets. Each is then run on the same sets of held-out people: as the photos
are, with one variation each, and with all. The figure is the mean absolute error to the truth, in per cent of what
doing nothing has. A model that is there already is taken as it is, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from beautygan_cli import MakeupSession
from beautygan_cli.training import dataset, run_folder
from beautygan_cli.training.example_buffer import Buffer, BufferPlan, fill
from beautygan_cli.training.examples import VARIATIONS, all_but
from beautygan_cli.training.train import Settings, train

SEED = 4
SETS = 500  # to train on
BATCH = 8
COARSE_SHARE = 0.8


def main() -> int:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path, help="folder for models and sets")
    parser.add_argument("--cache", type=Path, help="faces found by an earlier run")
    parser.add_argument("--steps", type=int, default=1000, help="of training, each model")
    parser.add_argument("--sets", type=int, default=48, help="of held-out people, each kind")
    options = parser.parse_args()

    learners, held = dataset.split(dataset.load(options.faces, options.cache or options.work / "people.npz"))
    kinds = {"as they are": (), **{name: (name,) for name in VARIATIONS}, "all": VARIATIONS}
    buffers = {
        name: fill(BufferPlan(options.work / f"with {name}", options.sets, 256, 0.35, True, True, SEED, varied), held)
        for name, varied in kinds.items()
    }
    print(f"{'trained without':16s}{'steps':>7s}" + "".join(f"{name:>13s}" for name in buffers))
    for without in ("nothing", *VARIATIONS):
        model = options.work / f"without {without}"
        steps = trained(model, without, learners, options)
        with MakeupSession(model, precision="fp32") as session:
            errors = [error(session, buffer) for buffer in buffers.values()]
        print(f"{without:16s}{steps:7d}" + "".join(f"{100 * value:13.1f}" for value in errors), flush=True)
    return 0


def trained(model: Path, without: str, learners: list[dataset.Person], options: argparse.Namespace) -> int:
    """Train the model unless it is there; the steps that it took."""
    if not (model / "model.json").is_file():
        run_folder.claim(model)
        work = model / "training"
        work.mkdir(parents=True, exist_ok=True)
        shutil.copy(options.cache or options.work / "people.npz", work / "people.npz")
        names = () if without == "nothing" else (without,)
        settings = Settings(
            faces=str(options.faces),
            out=str(model),
            steps=options.steps,
            coarse_share=COARSE_SHARE,
            without=names,
            buffer=SETS,
            workers=2,
            save_every=1e9,  # only at the end: half a model is none
        )
        # All sets are drawn before the first step: a busy machine must not have fewer to learn from.
        plan = BufferPlan(
            work / "buffer", SETS, settings.size, settings.padding, True, True, settings.seed, all_but(names)
        )
        buffer = Buffer(plan)
        buffer.start(dataset.evened(learners), settings.workers)
        buffer.wait_for(SETS)
        buffer.stop()
        train(settings, resume=True, say=lambda line: print(line, file=sys.stderr))
        shutil.rmtree(work)
    with MakeupSession(model) as session:
        return int(session.signature.about["step"])


def error(session: MakeupSession, buffer: Buffer) -> float:
    """Mean absolute error to the truth within the face, of what doing nothing has."""
    off = nothing = 0.0
    for start in range(0, buffer.plan.count, BATCH):
        sets = buffer.batch(np.arange(start, min(start + BATCH, buffer.plan.count)))
        source, reference, target = (sets[name].astype(np.float32) for name in ("source", "reference", "target"))
        made_up = np.asarray(session.transfer(source, reference), dtype=np.float32)
        off += float(np.abs(made_up - target).sum())
        nothing += float(np.abs(source - target).sum())
    return off / nothing


if __name__ == "__main__":
    sys.exit(main())
