"""The options of the `beautygan` command, and what is wrong with those that don't go together."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from beautygan_cli.cli.parsing import Parser, expanded, home, path
from beautygan_cli.errors import LookError
from beautygan_cli.makeup.words import describe
from beautygan_cli.photos.formats import ANIMATION_SUFFIXES, PHOTO_SUFFIXES

EPILOG = """\
examples:
  beautygan me.jpg --ref look.jpg
  beautygan selfies/ --ref looks/ --out made_up/ --grid grid.jpg
  beautygan me.jpg --ref look.jpg --lips 1 --eyes 0.5 --skin 0 --out made_up.jpg
  beautygan me.jpg --look cat-eye evening.toml --strength 0.5,1 --grid grid.jpg
  beautygan me.jpg --lips "crimson 80% gloss" --eyes "teal smoky" --liner winged
  beautygan party.jpg --remove
  beautygan --serve
  beautygan - --ref look.jpg --out - <me.jpg >made_up.jpg

A run that was stopped or killed goes on where it ended when the same command is given again.

exit status: 0 all done; 1 some photo failed, the rest is done; 2 nothing could start; 130 stopped by Ctrl-C.
"""


USAGE = "beautygan PHOTO... (--ref PHOTO... | --look LOOK...) [--out DIR] [more options]"
FIRST_STEPS = """\
beautygan puts the makeup of one photo onto others. For example:

  beautygan me.jpg --look cat-eye              a look that comes along (--list-looks), in the folder made_up
  beautygan selfies/ --ref looks/ --gallery    each photo with each look, and a page to look through them
  beautygan party.jpg --remove                 without its makeup

beautygan --help shows all options.
"""
SYNONYMS = {  # what other programs and habit call an option
    "-i": "--no-makeup",
    "--input": "--no-makeup",
    "--source": "--no-makeup",
    "--src": "--no-makeup",
    "-r": "--ref",
    "--makeup": "--ref",
    "--target": "--ref",
    "-o": "--out",
    "-s": "--strength",
    "--intensity": "--strength",
    "--alpha": "--strength",
    "--lipstick": "--lips",
    "--eyeshadow": "--eyes",
    "--foundation": "--skin",
    "--force": "--overwrite",
    "-f": "--overwrite",
    "-j": "--jobs",
    "--threads": "--jobs",
    "--workers": "--jobs",
    "-q": "--quiet",
    "-v": "--verbose",
    "-V": "--version",
}


class Arguments(argparse.Namespace):
    """What `parser` gives, typed: one field for each option."""

    photos: list[str]
    no_makeup: list[str]
    ref: list[str]
    look: list[str]
    remove: bool
    save_look: Path | None
    out: str
    model: Path | None
    strength: tuple[float, ...]
    lips: float | None
    eyes: float | None
    skin: float | None
    drawn: dict[str, str]  # descriptions by kind of makeup: lips, eyes, liner, brows, finish, blush
    list_looks: bool
    faces: str
    crop: bool
    in_colour: bool
    grid: Path | None
    format: str
    quality: int
    overwrite: bool
    retry_failed: bool
    min_identity: float | None
    report: Path | None
    full_paths: bool
    gallery: bool
    watch: bool
    check: bool
    serve: int | None
    dry_run: bool
    json: bool
    null: bool
    batch_size: int
    precision: str
    jobs: int | None
    engine: str
    ray_address: str | None
    num_actors: int | None
    actor_cpus: int
    actor_gpus: float
    max_pixels: int
    strip_location: bool
    no_mark: bool
    save_defaults: bool
    no_defaults: bool
    completion: str | None
    quiet: bool
    verbose: bool


def parser() -> Parser:
    """The command's options."""
    result = Parser(
        "beautygan",
        usage=USAGE,
        description="Put the makeup of reference photos onto bare-faced photos, at the photos' full size.",
        epilog=EPILOG,
        synonyms=SYNONYMS,
    )
    result.add_argument(
        "photos",
        nargs="*",
        metavar="PHOTO",
        help="photos and clips to make up, or folders of them; - for a photo on stdin; before the options",
    )
    result.add_argument(
        "--no-makeup",
        "--photos",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="the same, anywhere among the options; options that take several paths add up when they are repeated",
    )
    result.add_argument(
        "--ref",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="photos of the makeup to take, or folders of them; with --remove of bare faces",
    )
    result.add_argument(
        "--look",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="looks that come along by name, such as cat-eye, look files (.toml), or folders of them",
    )
    result.add_argument(
        "--remove",
        action="store_true",
        help="take makeup off, by the example of the bare face in --ref (default: one that comes along)",
    )
    result.set_defaults(drawn={})
    result.add_argument(
        "--list-looks", action="store_true", help="name the looks that come along; with --grid FILE in a picture"
    )
    result.add_argument("--save-look", type=path, metavar="FILE", help="save the look of this command for --look")
    result.add_argument(
        "--out",
        type=home,
        default="made_up",
        metavar="DIR",
        help="where the results go (default: made_up); for one result also a file, such as me.png; - for stdout",
    )
    result.add_argument(
        "--model", type=path, metavar="DIR", help="folder of another BeautyGAN checkpoint (default: the bundled model)"
    )
    result.add_argument(
        "--strength",
        type=_sweep,
        action=_Sweep,
        default=(1.0,),
        metavar="0..1",
        help="of all makeup (default: 1); several, such as 0.25,0.5,1, give a result for each",
    )
    _add_region(result, "lips", "lips", "1", "'crimson 80%% gloss'")
    _add_region(result, "eyes", "eyes", "1", "'teal smoky'")
    _add_region(result, "brows", "brows", "as the eyes where the reference's are painted in a colour, else 0", "brown")
    _add_region(result, "skin", "finish", "0.7, which keeps the skin's own lightness", "'dewy contour'")
    _add_drawn(result, "liner", "a line along the lashes, such as winged or 'brown thin lashes'")
    _add_drawn(result, "blush", "colour on the cheeks, such as 'peach apples'")
    result.add_argument(
        "--faces", choices=("all", "largest"), default="all", help="which faces of a photo (default: all)"
    )
    result.add_argument(
        "--crop", action="store_true", help="write the aligned face alone, as large as the network sees it"
    )
    result.add_argument(
        "--in-colour",
        action="store_true",
        help="makeup in colour on black-and-white and sepia photos, too, which else stay in their tone",
    )
    result.add_argument(
        "--grid", type=_picture, metavar="FILE", help="also write a picture of references, sources and results"
    )
    result.add_argument(
        "--format",
        choices=("same", "jpg", "png", "webp"),
        default="same",
        help="of the results (default: same as the photo)",
    )
    result.add_argument("--quality", type=_quality, default=95, metavar="1..100", help="of lossy formats (default: 95)")
    result.add_argument("--overwrite", action="store_true", help="make all anew, over whatever file is in the way")
    result.add_argument(
        "--retry-failed", action="store_true", help="make only what failed in earlier runs into the same folder"
    )
    result.add_argument(
        "--min-identity",
        type=_distance,
        metavar="DISTANCE",
        help="largest distance of face descriptors between photo and result, such as 0.3 (two people are 0.6 or more"
        " apart): a result beyond it is made weaker, and fails if that is not enough",
    )
    result.add_argument(
        "--report", type=_report, metavar="FILE", help="write a table of all results and their figures, .json or .csv"
    )
    result.add_argument(
        "--full-paths", action="store_true", help="in report and gallery, show paths from the system's root as given"
    )
    result.add_argument(
        "--gallery", action="store_true", help="write index.html beside the results, to look through them"
    )
    result.add_argument(
        "--watch", action="store_true", help="go on with what arrives in the folders of --no-makeup, until Ctrl-C"
    )
    result.add_argument(
        "--check",
        action="store_true",
        help="make nothing up; list what in the photos would spoil a result or be left out of it; needs no --ref",
    )
    result.add_argument(
        "--serve",
        type=_port,
        nargs="?",
        const=0,
        metavar="PORT",
        help="serve a page to try looks on a photo in the browser, on this machine alone; --ref and --look add to the"
        " looks that come along (default port: any that is free)",
    )
    result.add_argument(
        "--dry-run", action="store_true", help="make nothing up; list the results that the command would make"
    )
    result.add_argument(
        "-0",
        "--null",
        action="store_true",
        help="end each result's path on stdout with NUL in place of a line's end, for names that hold one",
    )
    result.add_argument(
        "--json",
        action="store_true",
        help="a line of JSON for each result on stdout, in place of its path",
    )
    result.add_argument(
        "--batch-size", type=_count, default=4, metavar="N", help="faces per run of the network (default: 4)"
    )
    result.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="of the network's arithmetic (default: auto, which is bf16 on processors that have it, for models whose"
        " photos differ by no more than one level of 255)",
    )
    result.add_argument(
        "--jobs", type=_count, metavar="N", help="processor cores to use (default: all that the process may use)"
    )
    result.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where the work is done: in this process, or on a Ray cluster (default: local)",
    )
    result.add_argument(
        "--ray-address", metavar="HOST:PORT", help="of the Ray cluster (default: one is started on this machine)"
    )
    result.add_argument(
        "--num-actors", type=_count, metavar="N", help="processes that make photos up (default: as many as fit)"
    )
    result.add_argument(
        "--actor-cpus", type=_count, default=1, metavar="N", help="processor cores for each of them (default: 1)"
    )
    result.add_argument(
        "--actor-gpus", type=_gpus, default=0.0, metavar="N", help="GPUs for each, such as 1 or 0.25 (default: 0)"
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
    result.add_argument(
        "--save-defaults",
        action="store_true",
        help="keep the strengths, formats and the like of this command line as your defaults, and end",
    )
    result.add_argument(
        "--no-defaults", action="store_true", help="leave your defaults and a beautygan.toml in this folder alone"
    )
    result.add_argument(
        "--completion", choices=("bash", "zsh", "tcsh"), help="print what completes options in that shell, and end"
    )
    talk = result.add_mutually_exclusive_group()
    talk.add_argument("--quiet", action="store_true", help="no progress and no summary; failures are still named")
    talk.add_argument("--verbose", action="store_true", help="also name the model, and each result's time")
    return result


def _add_region(command: Parser, region: str, kind: str, usual: str, example: str) -> None:
    command.add_argument(
        f"--{region}",
        type=_strength_or(kind),
        action=_Worn,
        kind=kind,
        metavar="0..1|WORDS",
        help=f"strength there (default: {usual}, or the look's), or what to draw there, such as {example}; both: twice",
    )


def _add_drawn(command: Parser, kind: str, text: str) -> None:
    command.add_argument(f"--{kind}", type=_words(kind), action=_Worn, kind=kind, metavar="WORDS", help=text)


def completed(options: Arguments) -> Arguments:
    """The options with all names for photos together, `~` and patterns replaced by what they mean."""
    options.no_makeup = expanded([*options.photos, *options.no_makeup])
    options.photos = []
    options.ref, options.look = expanded(options.ref), expanded(options.look)
    return options


def out_file(options: Arguments) -> Path | None:
    """The file that --out names for the one result, None where it names a folder or stdout."""
    suffix = PurePath(options.out).suffix.lower()
    if options.out == "-" or "://" in options.out or suffix not in (*PHOTO_SUFFIXES, *ANIMATION_SUFFIXES, ".mp4"):
        return None
    return None if Path(options.out).is_dir() else Path(options.out)


def complaint(options: Arguments) -> str | None:
    """What is wrong with options that are each right by themselves."""
    if options.save_defaults and (options.drawn or options.ref or options.look):
        return "--save-defaults keeps strengths, formats and the like; keep makeup with --save-look FILE"
    if options.list_looks or options.save_defaults:
        return None
    if options.serve is not None:
        return _page_complaint(options)
    if options.dry_run and (options.watch or options.check or options.engine == "ray"):
        return "--dry-run looks ahead once, on this machine; leave out --watch, --check and --engine ray"
    if options.json and (options.check or options.out == "-"):
        return "--json takes stdout for its lines; leave out --check and --out -"
    named = (*options.no_makeup, *options.ref, *options.look)
    if web := [name for name in named if name.lower().startswith(("http://", "https://"))]:
        return f"{web[0]} lies on the web; download it first and give the file"
    if not options.no_makeup:
        swallowed = len(options.ref) > 1 or len(options.look) > 1
        hint = "; photos go before --ref and --look, which take all that follow" if swallowed else ""
        return f"give the photos to make up, such as: beautygan me.jpg --ref look.jpg{hint}"
    if not (options.ref or options.look or options.remove or options.drawn or options.check):
        return "give the makeup to take with --ref or --look, or say it, such as --lips crimson; see --list-looks"
    if options.remove and options.drawn:
        return "--remove takes makeup off; leave out what is to be drawn"
    if options.remove and options.look:
        return "--remove goes by a bare face; give that with --ref in place of --look"
    if options.save_look and (options.remove or options.check):
        return "--save-look saves a look to wear; leave out --remove and --check"
    if "-" in options.ref or options.no_makeup.count("-") > 1:
        return "- stands for one photo on stdin, and --no-makeup alone takes it"
    if options.watch and ("-" in options.no_makeup or options.check):
        return "--watch needs folders to watch, and makes their photos up"
    if options.out == "-" and (options.watch or options.gallery):
        return "--out - writes one photo to stdout; --watch and --gallery need a folder"
    if (file := out_file(options)) and (options.watch or options.gallery or options.retry_failed):
        return f"--out {file} is one result's file; --watch, --gallery and --retry-failed need a folder"
    if out_file(options) and options.format != "same":
        return "--out names a file, and with it the format; leave --format out"
    return _cluster_complaint(options)


ON_THE_PAGE = {  # options that go with --serve
    *("serve", "ref", "look", "model", "faces", "format", "quality", "max_pixels", "strip_location", "no_mark"),
    *("batch_size", "precision", "jobs", "quiet", "verbose"),
}
CARRIED = ("model", "faces", "quality", "max_pixels", "precision", "strip_location", "no_mark")


REPRODUCED = (  # options that results follow from, beside photos, looks, words and the model
    *("remove", "strength", "lips", "eyes", "skin", "brows", "faces", "crop", "in_colour", "format", "quality"),
    *("min_identity", "batch_size", "precision", "max_pixels", "strip_location", "no_mark"),
)


def _page_complaint(options: Arguments) -> str | None:
    """What is wrong with options beside --serve."""
    if options.no_makeup:
        return f"--serve takes photos in its page; leave {options.no_makeup[0]} out, and choose it there"
    if options.drawn:
        return f"--serve takes what is drawn in its page; leave --{next(iter(options.drawn))} out, and choose it there"
    idle = [name for name in _changed(options) if name not in ON_THE_PAGE]
    return f"--serve shows a page and writes nothing; leave {_spelt(idle[0])} out" if idle else None


def carried(options: Arguments) -> list[str]:
    """The options that the page's results follow from, beside what is chosen in it, as they were given."""
    parts: list[str] = []
    for name in _changed(options):
        if name in CARRIED:
            value = getattr(options, name)
            parts += [_spelt(name)] if value is True else [_spelt(name), str(value)]
    return parts


def reproduction(options: Arguments, shown: Callable[[str], str], model: str | None) -> list[str]:
    """The command line by which the same results come out again, whatever the defaults are there.

    shown: how a path is written; model: the path of --model, written so. What says where results, tables and messages
    go is left out.
    """
    parts = ["beautygan", *(shown(name) for name in options.no_makeup), "--no-defaults"]
    for name in ("ref", "look"):
        if given := getattr(options, name):
            parts += [_spelt(name), *(shown(item) for item in given)]
    for kind, words in options.drawn.items():
        parts += ["--skin" if kind == "finish" else f"--{kind}", words]
    parts += ["--model", model] if model is not None else []
    for name in _changed(options):
        if name in REPRODUCED:
            value = getattr(options, name)
            text = ",".join(f"{item:g}" for item in value) if isinstance(value, tuple) else str(value)
            parts += [_spelt(name)] if value is True else [_spelt(name), text]
    return parts


def _changed(options: Arguments) -> list[str]:
    """The names of options that are not at their defaults."""
    command = parser()
    named = {name: value for name, value in vars(options).items() if name != "photos"}  # they are in no_makeup by now
    return [name for name, value in named.items() if value != command.get_default(name)]


def _spelt(name: str) -> str:
    return "--" + name.replace("_", "-")


def _cluster_complaint(options: Arguments) -> str | None:
    """What is wrong with where the work is to be done."""
    if options.engine == "local":
        if options.ray_address or options.num_actors or options.actor_cpus != 1 or options.actor_gpus:
            return "--ray-address, --num-actors, --actor-cpus and --actor-gpus go with --engine ray"
        if any("://" in name for name in (*options.no_makeup, *options.ref, options.out)):
            return "URLs go with --engine ray; without it, download what lies there first"
        return None
    if options.watch or options.check or options.out == "-" or "-" in options.no_makeup:
        return "--engine ray makes up files and folders; --watch, --check and - go without it"
    if out_file(options):
        return "--engine ray needs a folder for --out"
    if options.gallery and "://" in options.out:
        return "--gallery needs a folder on this machine for --out"
    return None


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def _sweep(text: str) -> tuple[float, ...]:
    """`0.5` or `0.25,0.5,1`: each once, in the order given."""
    return tuple(dict.fromkeys(_share(part) for part in text.split(",")))


def _quality(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 100")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)


def _gpus(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 <= value < 1 or (1 <= value < 1000 and value.is_integer())):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor a share of one GPU, such as 0.25")
    return value


def _distance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, such as 0.3")
    return value


def _report(text: str) -> Path:
    if Path(text).suffix.lower() not in (".json", ".csv"):
        raise argparse.ArgumentTypeError(f"{text!r} ends neither in .json nor in .csv")
    return path(text)


def _picture(text: str) -> Path:
    if Path(text).suffix.lower() not in PHOTO_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} needs the suffix of a picture, such as {text or 'grid'}.jpg")
    return path(text)


def _words(kind: str) -> Callable[[str], str]:
    """A type for argparse: a description of that kind of makeup."""

    def described(text: str) -> str:
        try:
            describe(kind, text)
        except LookError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return text

    return described


def _strength_or(kind: str) -> Callable[[str], float | str]:
    """A type for argparse: a strength, or a description of that kind of makeup."""
    described = _words(kind)

    def parsed(text: str) -> float | str:
        try:
            float(text)
        except ValueError:
            return described(text)
        return _share(text)

    return parsed


class _Worn(argparse.Action):
    """Keeps a strength under the option's name, and a description in `drawn`."""

    def __init__(self, *, kind: str, **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: object) -> None:
        if isinstance(values, str):
            namespace.drawn = {**namespace.drawn, self.kind: values}
        else:
            setattr(namespace, self.dest, values)


class _Sweep(argparse.Action):
    """Strengths of a repeated option add up; the default gives way to the first."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: object) -> None:
        before = getattr(namespace, self.dest)
        kept = () if before is self.default else before
        setattr(namespace, self.dest, tuple(dict.fromkeys((*kept, *values))))
