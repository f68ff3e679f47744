"""The `beautygan` command: options, messages and exit codes; the work is done by the rooms it calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beautygan_cli.batch import Options, Outcome, Reference
    from beautygan_cli.images import Found
    from beautygan_cli.session import MakeupSession

DONE, SOME_FAILED, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130

EPILOG = """\
examples:
  beautygan --no-makeup me.jpg --ref look.jpg
  beautygan --no-makeup selfies/ --ref looks/ --out made_up/ --grid grid.jpg
  beautygan --no-makeup me.jpg --ref look.jpg --lips 1 --eyes 0.5 --skin 0

exit status: 0 all done; 1 some photo failed, the rest is done; 2 nothing could start.
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(
        prog="beautygan",
        description="Put the makeup of reference photos onto bare-faced photos, at the photos' full size.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument(
        "--no-makeup", nargs="+", required=True, metavar="PATH", help="photos to make up, or folders of them"
    )
    result.add_argument(
        "--ref", nargs="+", required=True, metavar="PATH", help="photos of the makeup to take, or folders of them"
    )
    result.add_argument(
        "--out", type=Path, default=Path("made_up"), metavar="DIR", help="where the results go (default: made_up)"
    )
    result.add_argument(
        "--model", type=Path, metavar="DIR", help="folder of another BeautyGAN checkpoint (default: the bundled model)"
    )
    result.add_argument("--strength", type=_share, default=1.0, metavar="0..1", help="of all makeup (default: 1)")
    result.add_argument("--lips", type=_share, default=1.0, metavar="0..1", help="strength on the lips (default: 1)")
    result.add_argument(
        "--eyes", type=_share, default=1.0, metavar="0..1", help="strength around the eyes (default: 1)"
    )
    result.add_argument(
        "--skin",
        type=_share,
        default=0.7,
        metavar="0..1",
        help="strength on the skin (default: 0.7, which keeps the skin's own lightness; 1: the full change of finish)",
    )
    result.add_argument(
        "--faces", choices=("all", "largest"), default="all", help="which faces of a photo (default: all)"
    )
    result.add_argument(
        "--crop", action="store_true", help="write the aligned face alone, as large as the network sees it"
    )
    result.add_argument(
        "--grid", type=Path, metavar="FILE", help="also write a picture of references, sources and results"
    )
    result.add_argument(
        "--format",
        choices=("same", "jpg", "png", "webp"),
        default="same",
        help="of the results (default: same as the photo)",
    )
    result.add_argument("--quality", type=_quality, default=95, metavar="1..100", help="of lossy formats (default: 95)")
    result.add_argument("--overwrite", action="store_true", help="write over earlier results instead of keeping them")
    result.add_argument(
        "--batch-size", type=_count, default=8, metavar="N", help="faces per run of the network (default: 8)"
    )
    result.add_argument(
        "--max-pixels",
        type=_count,
        default=200_000_000,
        metavar="N",
        help="largest photo that is read (default: 200 million pixels)",
    )
    result.add_argument("--strip-location", action="store_true", help="leave GPS positions out of the results")
    result.add_argument(
        "--no-mark", action="store_true", help="leave out the standard mark of a digitally altered photo"
    )
    talk = result.add_mutually_exclusive_group()
    talk.add_argument("--quiet", action="store_true", help="no progress and no summary; failures are still named")
    talk.add_argument("--verbose", action="store_true", help="also name the model, and each result's time")
    result.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parser().parse_args(arguments)
    # Nothing heavy before this line, so that --help and a misspelt option answer at once.
    from beautygan_cli.errors import BeautyGANError

    try:
        return _run(options)
    except BeautyGANError as error:
        _say(str(error))
        return NOT_STARTED
    except KeyboardInterrupt:
        _say("stopped; the results so far are kept, and the same command goes on from there")
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from beautygan_cli import batch, images
    from beautygan_cli.report import Grid
    from beautygan_cli.session import MakeupSession, bundled_model
    from beautygan_cli.signature import Signature

    sources, source_problems = images.find(options.no_makeup)
    sources = _without_results(sources, options.out, options.no_makeup)
    references, reference_problems = images.find(options.ref)
    problems = [*source_problems, *reference_problems]
    for problem in problems:
        _say(problem.message)
    if not sources or not references:
        _say("nothing to do: give at least one photo with --no-makeup and one with --ref.")
        return NOT_STARTED

    with ExitStack() as stack:
        # TensorFlow takes seconds to import; the references are read meanwhile.
        starter = stack.enter_context(ThreadPoolExecutor(1))
        starting = starter.submit(MakeupSession, options.model, batch_size=options.batch_size)
        signature = Signature.load(options.model or bundled_model())
        looks, failures = batch.read_references(references, signature, options.max_pixels)
        session = stack.enter_context(starting.result())
        if session.signature != signature:
            looks, failures = batch.read_references(references, session.signature, options.max_pixels)
        for failure in failures:
            _say(failure.reason)
        if not looks:
            _say("none of the references can be used.")
            return NOT_STARTED
        if options.verbose:
            _say(f"model {session.signature.name!r} from {session.path}, SHA-256 {session.digest}")
        images.sweep(options.out)
        grid = Grid(looks, len(sources)) if options.grid else None
        counts = _work(sources, looks, session, options, [item.path for item in references], grid)
        if grid:
            grid.write(options.grid, overwrite=True)
    if not options.quiet:
        _say(_summary(counts))
    return SOME_FAILED if counts["failed"] or failures or problems else DONE


def _work(
    sources: Sequence[Found],
    looks: Sequence[Reference],
    session: MakeupSession,
    options: argparse.Namespace,
    inputs: Sequence[Path],
    grid: object,
) -> dict[str, int]:
    """Run the batch: results' paths to stdout, progress and failures to stderr; returns how many of each status."""
    from tqdm import tqdm

    from beautygan_cli import batch
    from beautygan_cli.report import Grid

    counts = {"made": 0, "kept": 0, "failed": 0}
    named: set[tuple[Path, str]] = set()
    quiet = options.quiet or not sys.stderr.isatty()
    with tqdm(total=len(sources) * len(looks), unit="result", disable=quiet, file=sys.stderr) as bar:
        for outcome in batch.run(sources, looks, session, _batch_options(options), inputs=inputs):
            counts[outcome.status] += 1
            bar.update()
            if isinstance(grid, Grid):
                grid.add(outcome)
            if outcome.status == "made":
                with tqdm.external_write_mode(file=sys.stdout):
                    print(_printable(outcome), flush=True)
                if options.verbose:
                    tqdm.write(f"beautygan: {outcome.faces} face(s), {outcome.seconds:.2f} s", file=sys.stderr)
            elif outcome.status == "failed" and (outcome.source, outcome.reason) not in named:
                named.add((outcome.source, outcome.reason))
                tqdm.write(f"beautygan: {outcome.reason}", file=sys.stderr)
    return counts


def _batch_options(options: argparse.Namespace) -> Options:
    from beautygan_cli.batch import Options
    from beautygan_cli.composite import Strengths

    return Options(
        out=options.out,
        strengths=Strengths(options.lips, options.eyes, options.skin).scaled(options.strength),
        which=options.faces,
        crop=options.crop,
        format=options.format,
        quality=options.quality,
        overwrite=options.overwrite,
        max_pixels=options.max_pixels,
        mark=not options.no_mark,
        strip_location=options.strip_location,
    )


def _without_results(sources: Sequence[Found], out: Path, named: Sequence[str]) -> list[Found]:
    """The sources without what lies below the folder of results, where that folder is inside a source folder."""
    place = out.resolve()
    folders = [Path(name).resolve() for name in named if Path(name).is_dir()]
    if place in folders:  # results go right beside the sources, and can't be told apart by folder
        return list(sources)
    explicit = {Path(name).resolve() for name in named}
    return [
        item
        for item in sources
        if item.path.resolve() in explicit
        or place not in item.path.resolve().parents
        or any(place in folder.parents for folder in folders)
    ]


def _printable(outcome: Outcome) -> str:
    """A result's path as it is, but for bytes that the terminal's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return str(outcome.output).encode(encoding, "backslashreplace").decode(encoding)


def _summary(counts: dict[str, int]) -> str:
    parts = [f"{counts['made']} made"]
    if counts["kept"]:
        parts.append(f"{counts['kept']} kept as they were (--overwrite makes them anew)")
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    return ", ".join(parts)


def _say(message: str) -> None:
    print(f"beautygan: {message}", file=sys.stderr, flush=True)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def _quality(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 100")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        print(f"beautygan {metadata.version('beautygan-cli')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
