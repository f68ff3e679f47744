"""The `beautygan-evaluate` command: one or two models measured on the same pairs, by `evaluation/metrics.py`."""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import math
import random
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from beautygan_cli.batch import thread_counts
from beautygan_cli.cli.exit_status import DONE, INTERRUPTED, NOT_STARTED, SOME_FAILED
from beautygan_cli.cli.parsing import Parser
from beautygan_cli.evaluation import fault_summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from beautygan_cli.evaluation.fault_summary import Summary
    from beautygan_cli.evaluation.metrics import Subject
    from beautygan_cli.model.session import MakeupSession

SCHEMA = 1  # of the JSON file; raised when a key changes its meaning or goes
COUNT = 60
NO_GROUP = "no group"
CACHED_REFERENCES = 16  # photos in memory; with more of them, some are read again for each source
LARGEST_GRID = 80_000_000  # pixels; with more pairs the cells get smaller
SMALLEST_CELL = 48
GAP = 4  # white pixels between cells


class Figure(NamedTuple):
    """What is measured: its names in JSON, and its meaning with its source."""

    names: tuple[str, ...]
    meaning: str
    truth: bool = False  # known only with --rendered


_CIEDE2000 = (
    "CIEDE2000 (Sharma, Wu, Dalal: The CIEDE2000 Color-Difference Formula, Color Res. Appl. 30, 2005) between the "
    "mean L*a*b* (D65) colours"
)
FIGURES = (
    Figure(
        ("lips_before", "lips", "lids_before", "lids", "skin_before", "skin"),
        f"{_CIEDE2000} of a region in result and reference; before: in bare source and reference. Lips: without the "
        "open mouth; lids: upper lids from the lash line half of the way to the brow; skin: cheeks and chin. The "
        "source's landmarks place the regions of source and result, the reference's own those of the reference. About "
        "1 is just visible, 0 the same.",
    ),
    Figure(
        (
            "lips_histogram_before",
            "lips_histogram",
            "lids_histogram_before",
            "lids_histogram",
            "skin_histogram_before",
            "skin_histogram",
        ),
        "Wasserstein-1 distance between the histograms of a region in result and reference (before: in source and "
        "reference): the mean distance of equal quantiles, averaged over L*, a* and b* (Villani: Topics in Optimal "
        "Transportation, 2003, theorem 2.18). In L*a*b* units, 0 the same.",
    ),
    Figure(
        ("identity",),
        "Euclidean distance of dlib's 128-number face descriptors of source and result, both aligned by the source's "
        "landmarks (King: dlib_face_recognition_resnet_model_v1, 2017; above 0.6 it takes them for two people).",
    ),
    Figure(
        ("detail",),
        "Pearson's correlation, inside the face, of the fine detail of source and result: luma (ITU-R BT.601) minus "
        "its Gaussian blur with a sigma of 0.03 of the distance between the eyes, at the photo's own size. 1: pores "
        "and hair stay as they were.",
    ),
    Figure(
        ("ssim",),
        "structural similarity of luma inside the face of source and result, eyes 64 pixels apart (Wang, Bovik, "
        "Sheikh, Simoncelli: Image Quality Assessment, IEEE Trans. Image Processing 13, 2004). 1 the same.",
    ),
    Figure(
        ("outside", "outside_most"),
        "mean and largest absolute difference of source and result, in grey levels of 255, of all pixels that lie "
        "outside the face by more than 0.1 of the distance between the eyes.",
    ),
    Figure(
        ("lips_true_before", "lips_true", "lids_true_before", "lids_true", "skin_true_before", "skin_true"),
        f"{_CIEDE2000} of a region in result and true answer; before: in bare source and true answer.",
        truth=True,
    ),
    Figure(
        ("lips_of_truth", "lids_of_truth", "skin_of_truth"),
        "lips, lids and skin as above, of the true answer in place of the result: makeup looks different on another "
        "person's skin, and a result that is right can't be nearer to the reference.",
        truth=True,
    ),
    Figure(
        ("identity_of_truth", "detail_of_truth"),
        "identity and detail as above, of the true answer in place of the result: drawn makeup changes both, and a "
        "result that is like it can't be nearer to the source.",
        truth=True,
    ),
)

EPILOG = """\
examples:
  beautygan-evaluate --sources bare/ --refs looks/
  beautygan-evaluate --model mine/ --against models/default --sources bare/ --refs looks/ --json figures.json
  beautygan-evaluate --model mine/ --rendered faces/ --groups people.csv --grid pairs.jpg
  beautygan-evaluate --faults --sources portraits/ --refs looks/ --count 40 --csv faults.csv --grid pairs.jpg

Each source is made up at its own size with all strengths at 1. In the tables `17.7 > 2.4` means 17.7 before and 2.4
after. A group's second line gives each figure in parts of the mean over all pairs.

figures:
"""
EXIT = (
    "exit status: 0 all done; 1 some pair could not be measured, the rest is done, or --faults found faults beyond the "
    "limits; 2 nothing could start."
)


def parser() -> Parser:
    """The command's options."""
    result = Parser(
        "beautygan-evaluate",
        description="Measure how well a model transfers makeup, by pair, by group and on average.",
        epilog=f"{EPILOG}{_definitions()}\n\nfigures of --faults:\n{_fault_definitions()}\n\n{EXIT}",
    )
    result.add_argument("--model", type=Path, metavar="DIR", help="folder of a checkpoint (default: the bundled model)")
    result.add_argument("--against", type=Path, metavar="DIR", help="a second model to measure on the same pairs")
    result.add_argument("--sources", type=Path, metavar="DIR", help="bare-faced photos: a folder of them, or one")
    result.add_argument("--refs", type=Path, metavar="DIR", help="photos of the makeup to take: a folder, or one")
    result.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE",
        help="measure these pairs alone, not every source with every reference: a source and a reference a line, "
        "separated by a tab or a comma, each a path below --sources and --refs",
    )
    result.add_argument(
        "--rendered",
        type=Path,
        metavar="DIR",
        help="in place of --sources and --refs: a folder of bare-faced photos to train on; the people that training "
        "holds out get drawn makeup, so that the true answer is known too",
    )
    result.add_argument(
        "--faults",
        action="store_true",
        help="measure what a person sees first in a result that went wrong, in place of the distances to the reference",
    )
    result.add_argument(
        "--count",
        type=_count,
        metavar="N",
        help=f"pairs to render (default: {COUNT}), or pairs to draw from all of --sources with --refs (default: all)",
    )
    result.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the pairs that are rendered or drawn (default: 0)"
    )
    result.add_argument(
        "--cache", type=Path, metavar="FILE", help="the people.npz of a training run: spares finding all faces again"
    )
    result.add_argument(
        "--groups",
        type=Path,
        metavar="CSV",
        help="table with columns face_id and face_eth: groups the pairs by the source, whose person is its file's "
        "name up to the first '_'",
    )
    result.add_argument("--json", type=Path, metavar="FILE", help="write all figures, unrounded, to this file")
    result.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="with --faults: write a row a pair, its figures and faults, to this file",
    )
    result.add_argument(
        "--grid", type=Path, metavar="FILE", help="write a picture: source, reference, result (and truth) of each pair"
    )
    result.add_argument("--overwrite", action="store_true", help="replace files that are in the way of the outputs")
    result.add_argument("--threads", type=_count, metavar="N", help="threads of the network (default: all cores)")
    return result


def _definitions() -> str:
    lines = []
    for figure in FIGURES:
        known = " (with --rendered only)" if figure.truth else ""
        lines.append(_paragraph(f"{', '.join(figure.names)}{known}: {figure.meaning}"))
    return "\n".join(lines)


def _fault_definitions() -> str:
    meanings = [f"{', '.join(figure.names)}: {figure.meaning}" for figure in fault_summary.DEFINITIONS]
    return "\n".join(map(_paragraph, [*meanings, fault_summary.LIMITS_TEXT]))


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 118, initial_indent="  ", subsequent_indent="      ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    command = parser()
    options = command.read(arguments, argparse.Namespace())
    if options.rendered and (options.sources or options.refs or options.pairs):
        command.error("--rendered makes its own pairs: leave out --sources, --refs and --pairs")
    if not options.rendered and not (options.sources and options.refs):
        command.error("give --sources and --refs, or --rendered")
    if options.faults and options.against:
        command.error("--faults measures one model: leave out --against")
    if options.csv and not options.faults:
        command.error("--csv goes with --faults alone; use --json")
    if options.count and options.pairs:
        command.error("--pairs names the pairs: leave out --count")
    # Nothing heavy before this line, so that --help and a misspelt option answer at once.
    from beautygan_cli.errors import BeautyGANError

    thread_counts.keep_linear_algebra_single()
    try:
        from beautygan_cli.cli.stopping import until_stopped

        return until_stopped(lambda _: _run(options), tell=lambda: _say("stopped; nothing was written"))
    except BeautyGANError as error:
        _say(str(error))
        return NOT_STARTED
    except KeyboardInterrupt:
        _say("stopped; nothing was written")
        return INTERRUPTED


@dataclass(frozen=True, eq=False)
class Case:
    """One pair to measure; `truth` is the true answer where it is known."""

    source: Subject
    reference: Subject
    truth: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Row:
    """One pair measured: its photos, the source's group, and the figures by model."""

    source: str
    reference: str
    group: str
    figures: tuple[dict[str, float], ...]


def _run(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from beautygan_cli.evaluation import faults, metrics
    from beautygan_cli.model.session import MakeupSession
    from beautygan_cli.photos.files import write_text

    measure = faults.figures if options.faults else metrics.figures
    groups = read_groups(options.groups) if options.groups else {}
    _check_outputs(options)
    problems: list[str] = []

    def failed(message: str) -> None:
        if message not in problems:
            problems.append(message)
            tqdm.write(f"beautygan-evaluate: {message}", file=sys.stderr)

    count, cases = _cases(options, failed)
    rows: list[Row] = []
    with ExitStack() as stack:
        folders = [options.model] if options.against is None else [options.model, options.against]
        models = [stack.enter_context(MakeupSession(folder, threads=options.threads)) for folder in folders]
        grid = Grid(count, len(models) + 2 + bool(options.rendered)) if options.grid else None
        for case in tqdm(cases, total=count, unit="pair", disable=not sys.stderr.isatty(), file=sys.stderr):
            results = [metrics.make_up(model, case.source, case.reference) for model in models]
            measured = tuple(measure(case.source, case.reference, result, case.truth) for result in results)
            rows.append(Row(case.source.name, case.reference.name, group_of(case.source.name, groups), measured))
            if grid:
                grid.add(case, results)
        names = _model_names(models)
        described = [
            {"folder": str(model.path), "name": model.signature.name, "sha256": model.digest} for model in models
        ]
    if not rows:
        _say("nothing could be measured.")
        return NOT_STARTED
    too_many = _say_faults(rows, options, described) if options.faults else []
    if not options.faults:
        _print(table(rows, names))
        if options.json:
            write_text(options.json, [_as_json(report(rows, described))], overwrite=options.overwrite)
    if grid:
        grid.write(options.grid, overwrite=options.overwrite)
    return SOME_FAILED if problems or too_many else DONE


def _cases(options: argparse.Namespace, failed: Callable[[str], None]) -> tuple[int, Iterator[Case]]:
    """How many pairs there are, and the pairs one by one."""
    if options.rendered:
        # Imported here alone: training is beside this package's layers.
        from beautygan_cli.training import validation

        count = options.count or COUNT
        drawn = validation.cases(options.rendered, count, options.seed, options.cache)
        return count, (Case(case.source, case.reference, case.truth) for case in drawn)
    pairs = read_pairs(options.pairs, options.sources, options.refs) if options.pairs else None
    if pairs is None:
        sources, references = (_photos(folder, failed) for folder in (options.sources, options.refs))
        pairs = [(source, reference) for source in sources for reference in references]
        if options.count and options.count < len(pairs):
            pairs = draw_pairs(sources, references, options.count, options.seed)
    return len(pairs), _read_cases(pairs, failed)


def _photos(folder: Path, failed: Callable[[str], None]) -> list[Path]:
    from beautygan_cli.photos.find import find_photos

    found, problems = find_photos([folder])
    for problem in problems:
        failed(problem.message)
    return [item.path for item in found]


def _read_cases(pairs: Sequence[tuple[Path, Path]], failed: Callable[[str], None]) -> Iterator[Case]:
    from beautygan_cli.errors import BeautyGANError
    from beautygan_cli.evaluation.metrics import read_subject

    def read(path: Path) -> Subject | None:
        try:
            return read_subject(path)
        except BeautyGANError as error:
            failed(str(error))
            return None

    read_source, read_reference = lru_cache(1)(read), lru_cache(CACHED_REFERENCES)(read)
    for source_path, reference_path in pairs:
        source = read_source(source_path)
        reference = read_reference(reference_path) if source else None
        if source and reference:
            yield Case(source, reference)


def draw_pairs(sources: Sequence[Path], references: Sequence[Path], count: int, seed: int) -> list[tuple[Path, Path]]:
    """`count` different pairs, the same for a seed, in which each source and each reference is about equally often.

    Those of one source follow each other, so that it is read once.
    """
    order = random.Random(seed)
    first, second = (order.sample(list(paths), len(paths)) for paths in (sources, references))
    places = ((i, (i + turn) % len(second)) for turn in range(len(second)) for i in range(len(first)))
    return [(first[i], second[j]) for i, j in sorted(itertools.islice(places, count))]


def read_pairs(file: Path, sources: Path, references: Path) -> list[tuple[Path, Path]]:
    """The pairs that a file names, a source and a reference a line; blank lines and those that start with # are none.

    Raises DatasetError for a line of another form.
    """
    from beautygan_cli.errors import DatasetError

    pairs = []
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        # A tab wins: names may hold commas.
        parts = [part.strip() for part in line.split("\t" if "\t" in line else ",")]
        if len(parts) != 2 or not all(parts):
            raise DatasetError(f"{file} line {number} is no pair; write a source, a tab or a comma, and a reference.")
        pairs.append((sources / parts[0], references / parts[1]))
    if not pairs:
        raise DatasetError(f"{file} names no pair; write a source, a tab or a comma, and a reference on a line each.")
    return pairs


def read_groups(file: Path) -> dict[str, str]:
    """The group (`face_eth`) of each person (`face_id`) of a CSV table. DatasetError without these columns."""
    from beautygan_cli.errors import DatasetError

    rows = list(csv.DictReader(_text(file).splitlines()))
    if not rows or not {"face_id", "face_eth"} <= rows[0].keys():
        raise DatasetError(f"{file} lacks the columns face_id and face_eth; name them in its first line.")
    return {str(row["face_id"]).strip(): str(row["face_eth"]).strip() for row in rows}


def group_of(name: str, groups: dict[str, str]) -> str:
    """The group of the person in a photo."""
    return groups.get(Path(name).stem.split("_")[0], NO_GROUP)


def _text(file: Path) -> str:
    from beautygan_cli.errors import DatasetError

    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DatasetError(f"{file} can't be read ({reason}); give a text file.") from error


# Averages and tables


def mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the pairs in which it is known, NaN where it is in none."""
    means = {}
    for name in rows[0]:
        known = [row[name] for row in rows if not math.isnan(row[name])]
        means[name] = sum(known) / len(known) if known else math.nan
    return means


def by_group(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each group, groups sorted by name."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return dict(sorted(groups.items()))


def table(rows: Sequence[Row], models: Sequence[str]) -> str:
    """Three tables as text: by pair, by group (where there are several) and on average."""
    lines = [["pair", *_headings(rows[0].figures[0])]]

    def add(label: str, figures: Sequence[dict[str, float]]) -> None:
        for model, values in zip(models, figures, strict=True):
            lines.append([f"{label}  {model}" if len(models) > 1 else label, *_cells(values)])

    for row in rows:
        add(f"{Path(row.source).stem} < {Path(row.reference).stem}", row.figures)
    overall = _means(rows, len(models))
    groups = by_group(rows)
    if len(groups) > 1:
        lines.append([""])
        for name, members in groups.items():
            means = _means(members, len(models))
            add(f"{name} ({len(members)})", means)
            add("   of the mean", [_ratios(part, whole) for part, whole in zip(means, overall, strict=True)])
    lines.append([""])
    add(f"mean ({len(rows)})", overall)
    if len(models) > 1:
        lines.append([f"pairs in which {models[0]} is better", *_wins(rows)])
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    )


def _means(rows: Sequence[Row], models: int) -> list[dict[str, float]]:
    return [mean([row.figures[model] for row in rows]) for model in range(models)]


def _ratios(part: dict[str, float], whole: dict[str, float]) -> dict[str, float]:
    return {
        name: value / whole[name] if whole[name] else math.nan
        for name, value in part.items()
        if not name.endswith("_before")
    }


HIGHER_IS_BETTER = {"detail", "ssim", "detail_of_truth"}


def _after(figures: dict[str, float]) -> list[str]:
    return [name for name in figures if not name.endswith("_before")]


def _headings(figures: dict[str, float]) -> list[str]:
    short = {"outside_most": "most", "ssim": "SSIM"}
    return [
        short.get(name, name.replace("_histogram", " W1").replace("identity", "ident.").replace("_", " "))
        for name in _after(figures)
    ]


def _cells(figures: dict[str, float]) -> list[str]:
    cells = []
    for name in _after(figures):
        digits = 3 if name.startswith(("identity", "detail", "ssim", "outside")) and name != "outside_most" else 2
        before, value = figures.get(f"{name}_before"), figures[name]
        told = "-" if math.isnan(value) else f"{value:.{digits}f}"
        cells.append(told if before is None else f"{before:.1f} > {told}")
    return cells


def _wins(rows: Sequence[Row]) -> list[str]:
    """In how many pairs the first model is strictly better, by figure."""
    wins = []
    for name in _after(rows[0].figures[0]):
        sign = -1 if name in HIGHER_IS_BETTER else 1
        wins.append(str(sum(sign * row.figures[0][name] < sign * row.figures[1][name] for row in rows)))
    return wins


def _model_names(models: Sequence[MakeupSession]) -> list[str]:
    """A short name for each model: its folder's, told apart where both have the same."""
    names = [model.path.resolve().name for model in models]
    if len(set(names)) < len(names):
        names = [f"{name} ({letter})" for name, letter in zip(names, ("model", "against"), strict=True)]
    return names


# Files


def report(rows: Sequence[Row], models: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Everything measured, as JSON takes it: NaN is null; lists of figures are in the order of `models`."""

    def averages(members: Sequence[Row]) -> dict[str, Any]:
        return {"pairs": len(members), "figures": [_known(values) for values in _means(members, len(models))]}

    return {
        "schema": SCHEMA,
        "definitions": {name: figure.meaning for figure in FIGURES for name in figure.names},
        "models": list(models),
        "pairs": [
            {
                "source": row.source,
                "reference": row.reference,
                "group": row.group,
                "figures": [_known(values) for values in row.figures],
            }
            for row in rows
        ],
        "groups": {name: averages(members) for name, members in by_group(rows).items()},
        "mean": averages(rows),
    }


def _known(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else float(value) for name, value in values.items()}


def _check_outputs(options: argparse.Namespace) -> None:
    """Whether the outputs can be written, and replace nothing, is better known before the work than after it."""
    from beautygan_cli.errors import OutputError
    from beautygan_cli.model.checkpoint import bundled_model
    from beautygan_cli.photos.files import printable, refuse_foreign
    from beautygan_cli.photos.formats import PHOTO_SUFFIXES

    models = [folder.resolve() for folder in (options.model or bundled_model(), options.against) if folder]
    given = (options.sources, options.refs, options.rendered, options.pairs, options.groups, options.cache)
    read = [path.resolve() for path in given if path]
    taken: set[Path] = set()
    for path in filter(None, (options.json, options.csv, options.grid)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path} can't be written ({error.strerror}); choose another folder.") from error
        if path.is_dir():
            raise OutputError(f"{path} is a folder; name a file in it.")
        place = path.resolve()
        if place in taken:
            raise OutputError(f"{printable(path)} is named for two outputs; give each a name of its own.")
        if any(folder in place.parents for folder in models):
            raise OutputError(f"{printable(path)} lies in a model's own folder; choose another place.")
        if path.exists() and any(item == place or item in place.parents for item in read):
            raise OutputError(f"{printable(path)} is one of the files given; choose another.")
        refuse_foreign(path, overwrite=options.overwrite)
        taken.add(place)
    if options.grid and options.grid.suffix.lower() not in PHOTO_SUFFIXES:
        raise OutputError(f"{options.grid} can't be written: its suffix names no picture; use .jpg or .png.")


def _as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


# Faults


def _say_faults(rows: Sequence[Row], options: argparse.Namespace, models: Sequence[dict[str, str]]) -> list[str]:
    """Print what was found, write it where asked; what is beyond the limits, a sentence each."""
    from beautygan_cli.photos.files import write_text

    whole = fault_summary.summarise([row.figures[0] for row in rows])
    groups = {
        name: fault_summary.summarise([row.figures[0] for row in members]) for name, members in by_group(rows).items()
    }
    too_many = fault_summary.beyond(whole, groups)
    _print(fault_table(rows, whole))
    for line in too_many:
        _print(f"beyond the limit: {line}")
    if options.json:
        written = _as_json(fault_report(rows, whole, groups, too_many, models))
        write_text(options.json, [written], overwrite=options.overwrite)
    if options.csv:
        write_text(options.csv, [fault_csv(rows)], overwrite=options.overwrite)
    return too_many


SHOWN = ("lids_ratio", "patches", "hair", "eyes", "teeth", "near", "smudge", "step", "alike", "brows")


def fault_table(rows: Sequence[Row], whole: Summary) -> str:
    """A line a pair, its figures and faults, then the means where they are judged and the pairs with each fault."""
    lines = [["pair", *(name.replace("_", " ") for name in SHOWN), "faults"]]

    def add(label: str, values: dict[str, float], last: str) -> None:
        cells = ("-" if math.isnan(values[name]) else f"{values[name]:.2f}" for name in SHOWN)
        lines.append([label, *cells, last])

    for row in rows:
        figures = row.figures[0]
        label = f"{Path(row.source).stem} < {Path(row.reference).stem}"
        add(label, figures, " ".join(fault_summary.faults_of(figures)))
    add(f"mean ({len(rows)})", whole.means, "")
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.rjust(width) if 0 < i <= len(SHOWN) else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    shares = ", ".join(f"{name} {share:.1f} %" for name, share in whole.shares.items())
    return "\n".join([*text, f"pairs with a fault: {shares}"])


def fault_report(
    rows: Sequence[Row],
    whole: Summary,
    groups: dict[str, Summary],
    too_many: Sequence[str],
    models: Sequence[dict[str, str]],
) -> dict[str, Any]:
    """All that --faults measured, as JSON takes it: NaN is null."""

    def summary(of: Summary) -> dict[str, Any]:
        return {
            "pairs": of.pairs,
            "shares": of.shares,
            "figures": _known(of.means),
            "judged": of.counts,
            "faults_a_pair": of.a_pair,
        }

    return {
        "schema": SCHEMA,
        "definitions": {name: item.meaning for item in fault_summary.DEFINITIONS for name in item.names},
        "limits": fault_summary.LIMITS_TEXT,
        "models": list(models),
        "pairs": [
            {
                "source": row.source,
                "reference": row.reference,
                "group": row.group,
                "figures": _known(row.figures[0]),
                "faults": fault_summary.faults_of(row.figures[0]),
            }
            for row in rows
        ],
        "groups": {name: summary(group) for name, group in groups.items()},
        "summary": summary(whole),
        "beyond": list(too_many),
    }


def fault_csv(rows: Sequence[Row]) -> str:
    """The same pairs as a table: a figure that is not known is empty, faults are separated by blanks.

    Names of files and groups are a stranger's, and are quoted and written as in the report of a run.
    """
    from beautygan_cli.report.table import cell

    text = io.StringIO()
    names = list(rows[0].figures[0])
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["source", "reference", "group", *names, "faults"])
    for row in rows:
        values = _known(row.figures[0])
        faults = " ".join(fault_summary.faults_of(row.figures[0]))
        known = ["" if values[name] is None else f"{values[name]:.4f}" for name in names]
        writer.writerow([*map(cell, (row.source, row.reference, row.group)), *known, cell(faults)])
    return text.getvalue()


class Grid:
    """A picture of the pairs: source, reference, result of each model and, where it is known, the truth."""

    def __init__(self, pairs: int, cells: int) -> None:
        self.cell = int(min(256, max(SMALLEST_CELL, (LARGEST_GRID / (pairs * cells)) ** 0.5 - GAP)))
        # Several pairs side by side, so that the picture is about as wide as it is high.
        self.abreast = max(1, round((pairs / cells) ** 0.5))
        self.pairs: list[list[NDArray[np.uint8]]] = []

    def add(self, case: Case, results: Sequence[NDArray[np.uint8]]) -> None:
        """Take in a pair."""
        from beautygan_cli.faces import alignment
        from beautygan_cli.model.signature import Signature

        cells = []
        pictures = [(case.source, case.source.pixels), (case.reference, case.reference.pixels)]
        pictures += [(case.source, result) for result in results]
        if case.truth is not None:
            pictures.append((case.source, case.truth))
        for whose, pixels in pictures:
            cells.append(alignment.align(pixels, whose.face, self.cell, Signature.padding).chip)
        self.pairs.append(cells)

    def picture(self) -> NDArray[np.uint8]:
        """The grid so far, (H, W, 3) uint8 RGB."""
        import numpy as np

        pitch, cells = self.cell + GAP, len(self.pairs[0])
        rows, block = -(-len(self.pairs) // self.abreast), cells * pitch + 2 * GAP
        columns = min(self.abreast, len(self.pairs))
        canvas = np.full((rows * pitch + GAP, columns * block, 3), 255, dtype=np.uint8)
        for number, pair in enumerate(self.pairs):
            row, column = divmod(number, self.abreast)
            for place, cell in enumerate(pair):
                top, left = GAP + row * pitch, GAP + column * block + place * pitch
                canvas[top : top + self.cell, left : left + self.cell] = cell
        return canvas

    def write(self, path: Path, *, overwrite: bool) -> None:
        """Write the grid; OutputError where it can't be, or would replace a file unasked."""
        from beautygan_cli.photos.photo import Photo, write_photo

        write_photo(Photo(pixels=self.picture()), path, quality=92, overwrite=overwrite)


def _print(text: str) -> None:
    """Lines to stdout, on a terminal without what a name in them may do to it."""
    from beautygan_cli.cli.console import put

    for line in text.split("\n"):
        put(line)


def _say(message: str) -> None:
    from beautygan_cli.cli.console import shown

    print(f"beautygan-evaluate: {shown(message)}", file=sys.stderr, flush=True)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
