"""`beautygan-train`: a model from a folder of bare-faced photos."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import fields

from beautygan_cli.errors import BeautyGANError
from beautygan_cli.training.loop import Settings, train


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(
        prog="beautygan-train",
        description="Train a makeup-transfer model from bare-faced photos alone: makeup is drawn on them, so the true "
        "answer of every transfer is known.",
    )
    default = {item.name: item.default for item in fields(Settings)}
    result.add_argument("--faces", required=True, metavar="DIR", help="folder of bare-faced photos, searched below")
    result.add_argument("--out", required=True, metavar="DIR", help="folder that the model is saved to, for --model")
    budget = result.add_mutually_exclusive_group()
    budget.add_argument("--time", type=_minutes, default=60.0, metavar="2h", help="how long to train (default: 1h)")
    budget.add_argument("--steps", type=int, metavar="N", help="how many steps to train, in place of --time")
    result.add_argument("--resume", action="store_true", help="go on with the run in --out where it ended")
    result.add_argument("--workers", type=int, default=default["workers"], help="processes that draw training sets")
    result.add_argument("--bank", type=int, default=default["bank"], help="training sets kept on disk (1 MB each)")
    result.add_argument("--width", type=int, default=default["width"], help="channels of the first layer")
    result.add_argument("--seed", type=int, default=default["seed"])
    result.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; 0 when done, 2 when it could not start, 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    settings = Settings(
        faces=options.faces,
        out=options.out,
        minutes=options.time,
        steps=options.steps,
        workers=options.workers,
        bank=options.bank,
        width=options.width,
        seed=options.seed,
        precision=options.precision,
    )
    try:
        train(settings, resume=options.resume, say=lambda line: print(line, file=sys.stderr, flush=True))
    except BeautyGANError as error:
        print(f"beautygan-train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("beautygan-train: stopped; --resume goes on from the last checkpoint", file=sys.stderr)
        return 130
    print(options.out)
    return 0


def _minutes(text: str) -> float:
    """`2h`, `90m`, `45s` or `1h30m` as minutes."""
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not text or not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2h, 90m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 60 + minutes + seconds / 60


if __name__ == "__main__":
    sys.exit(main())
