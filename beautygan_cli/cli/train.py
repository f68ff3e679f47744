"""`beautygan-train`: a model from a folder of bare-faced photos, new or from one that is there already."""

from __future__ import annotations

import argparse
import multiprocessing
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from beautygan_cli.batch import thread_counts
from beautygan_cli.cli.early import ended_at_once
from beautygan_cli.cli.exit_status import DONE, INTERRUPTED, NOT_STARTED
from beautygan_cli.cli.parsing import Parser
from beautygan_cli.errors import BeautyGANError, ModelError
from beautygan_cli.photos.leftovers import taken_away_by

if TYPE_CHECKING:
    from beautygan_cli.training.finetune import Tuning
    from beautygan_cli.training.train import Settings


def parser() -> Parser:
    """The command's options."""
    from beautygan_cli.training.examples import VARIATIONS
    from beautygan_cli.training.train import Settings

    result = Parser(
        "beautygan-train",
        description="Train a makeup-transfer model from bare-faced photos alone: makeup is drawn on them, so the true "
        "answer of every transfer is known.",
    )
    default = {item.name: item.default for item in fields(Settings)}
    result.add_argument("--faces", required=True, metavar="DIR", help="folder of bare-faced photos, searched below")
    result.add_argument("--out", required=True, metavar="DIR", help="folder that the model is saved to, for --model")
    result.add_argument(
        "--init",
        nargs="?",
        const="",
        metavar="DIR",
        help="fine-tune the model in this folder in place of training a new one (without DIR: the bundled model)",
    )
    result.add_argument(
        "--start",
        metavar="DIR",
        help="start a new model from the weights of one that this command trained before",
    )
    result.add_argument(
        "--makeup",
        metavar="DIR",
        help="with --init: folder of real made-up photos to learn from as well, by BeautyGAN's unpaired losses",
    )
    result.add_argument(
        "--removal-only",
        action="store_true",
        help="with --init: train what takes makeup off alone; putting it on stays as it is, to the bit",
    )
    budget = result.add_mutually_exclusive_group()
    budget.add_argument("--time", type=_minutes, default=60.0, metavar="2h", help="how long to train (default: 1h)")
    budget.add_argument("--steps", type=_positive, metavar="N", help="how many steps to train, in place of --time")
    result.add_argument("--resume", action="store_true", help="go on with the run in --out where it ended")
    result.add_argument(
        "--workers", type=_positive, default=default["workers"], help="processes that draw training sets"
    )
    result.add_argument(
        "--buffer", type=_positive, default=default["buffer"], help="training sets kept on disk (1 MB each)"
    )
    result.add_argument(
        "--width", type=_positive, help=f"channels of a new model's first layer (default: {default['width']})"
    )
    result.add_argument(
        "--rate", type=float, metavar="R", help="with --init or --start: learning rate at the start (default: 2e-4)"
    )
    result.add_argument(
        "--without",
        type=_variations,
        default=(),
        metavar="NAME,...",
        help=f"what not to vary in the faces trained on, of {', '.join(VARIATIONS)}",
    )
    result.add_argument("--seed", type=int, default=default["seed"])
    result.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; 0 when done, 2 when it could not start, 130 after Ctrl-C and 143 after SIGTERM."""
    with ended_at_once("beautygan-train"):
        thread_counts.keep_linear_algebra_single()  # of the workers, too, which take it over from here
        options = parser().read(arguments, argparse.Namespace())
        # Nothing heavy before this line, so that a signal is heard while the rest is imported.
        from beautygan_cli.cli.stopping import until_stopped

        try:
            with taken_away_by(_end_workers):
                return until_stopped(lambda _: _train(options), tell=_say_stopped)
        except BeautyGANError as error:
            _say(f"beautygan-train: {error}")
            return NOT_STARTED
        except KeyboardInterrupt:
            _say_stopped()
            return INTERRUPTED


def _train(options: argparse.Namespace) -> int:
    """Train by the command's options, in this thread and processes of its own; returns the exit status."""
    from beautygan_cli.training.finetune import finetune
    from beautygan_cli.training.train import train

    _refuse_misplaced(options)
    if options.init is not None:
        finetune(_tuning(options), resume=options.resume, say=_say)
    else:
        train(_settings(options), resume=options.resume, say=_say)
    print(options.out)
    return DONE


def _say(line: str) -> None:
    from beautygan_cli.cli.console import shown

    print(shown(line), file=sys.stderr, flush=True)


def _say_stopped() -> None:
    _say("beautygan-train: stopped; --resume goes on from the last checkpoint")


def _end_workers() -> None:
    """End the processes that draw training sets: what Python does at its own end, and not where a signal ends it."""
    for process in multiprocessing.active_children():
        process.kill()


def _refuse_misplaced(options: argparse.Namespace) -> None:
    """Raise ModelError for options that say nothing together."""
    if options.makeup and options.init is None:
        raise ModelError("--makeup adds to fine-tuning; name the model to start from with --init")
    if options.removal_only and (options.init is None or options.makeup):
        raise ModelError("--removal-only is for fine-tuning on drawn makeup; give --init, and leave --makeup out")
    if options.start and options.init is not None:
        raise ModelError("--start is for a new model; to fine-tune, name the model with --init alone")
    if options.rate and options.init is None and options.start is None:
        raise ModelError("--rate is for --init and --start; a new model's rate follows a schedule of its own")
    if options.width and options.init is not None:
        raise ModelError("--width is for a new model; leave it out, the one that --init names has its own")
    if options.resume and options.init is None and (Path(options.out) / "finetuning").is_dir():
        raise ModelError(f"{options.out} holds a fine-tuning run; name the model that it started from with --init")


def _tuning(options: argparse.Namespace) -> Tuning:
    from beautygan_cli.model.checkpoint import bundled_model
    from beautygan_cli.training.finetune import Tuning

    return Tuning(
        init=options.init or str(bundled_model()),
        faces=options.faces,
        out=options.out,
        makeup=options.makeup,
        removal_only=options.removal_only,
        minutes=options.time,
        steps=options.steps,
        buffer=options.buffer,
        workers=options.workers,
        without=options.without,
        seed=options.seed,
        rate=options.rate or Tuning.rate,
        precision=options.precision,
    )


def _settings(options: argparse.Namespace) -> Settings:
    from beautygan_cli.training.finetune import Tuning
    from beautygan_cli.training.train import Settings

    return Settings(
        faces=options.faces,
        out=options.out,
        start=options.start,
        minutes=options.time,
        steps=options.steps,
        workers=options.workers,
        buffer=options.buffer,
        width=options.width or Settings.width,
        rate=(options.rate or Tuning.rate) if options.start else Settings.rate,
        fine_rate=(options.rate or Tuning.rate) if options.start else Settings.fine_rate,
        coarse_share=0.0 if options.start else Settings.coarse_share,  # eyes at half size teach trained weights to blur
        without=options.without,
        seed=options.seed,
        precision=options.precision,
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def _variations(text: str) -> tuple[str, ...]:
    from beautygan_cli.training.examples import VARIATIONS

    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in VARIATIONS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(VARIATIONS)}")
    return names


def _minutes(text: str) -> float:
    """`2h`, `90m`, `45s` or `1h30m` as minutes."""
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not text or not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2h, 90m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 60 + minutes + seconds / 60


if __name__ == "__main__":
    sys.exit(main())
