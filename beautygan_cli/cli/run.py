"""What the command line asks for, done: the story of a run, its outputs and its end. `arguments.py` has the options."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any, NoReturn

from beautygan_cli.batch import line, thread_counts
from beautygan_cli.batch.manifest import FILE_NAME, Manifest
from beautygan_cli.batch.naming import JOINT, folded
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.batch.plan import Planner, foretold, identity
from beautygan_cli.batch.ray import driver
from beautygan_cli.batch.ray.pool import Layout, check_installed
from beautygan_cli.batch.sources import ReadyLook, Source, read_looks, read_source
from beautygan_cli.cli.arguments import Arguments, carried, out_file, reproduction
from beautygan_cli.cli.console import STDIN, Progress, counted, put, shown, spinner
from beautygan_cli.cli.exit_status import DONE, SOME_FAILED
from beautygan_cli.cli.stopping import End, say, until_stopped
from beautygan_cli.errors import BeautyGANError, LookError, OutputError, PhotoError
from beautygan_cli.makeup import look, pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import Look
from beautygan_cli.makeup.precision import open_session
from beautygan_cli.makeup.words import by_region
from beautygan_cli.model.checkpoint import bundled_model
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.model.signature import Signature
from beautygan_cli.page import server
from beautygan_cli.page.state import State
from beautygan_cli.photos import remote
from beautygan_cli.photos.animation import animation_format
from beautygan_cli.photos.clip import CLIP_SUFFIX, INSTALL_CLIPS, clips_readable
from beautygan_cli.photos.files import printable, refuse_foreign, sweep
from beautygan_cli.photos.find import Found, Problem, find_photos, passed_over
from beautygan_cli.photos.formats import ANIMATION_SUFFIXES, SOURCE_SUFFIXES, format_of, is_clip
from beautygan_cli.photos.leftovers import TEMPORARY, temporary_folder
from beautygan_cli.photos.photo import Photo, suffix_for, write_photo
from beautygan_cli.photos.xmp import is_result
from beautygan_cli.report.gallery import PAGE, THUMBNAILS, Gallery
from beautygan_cli.report.table import Grid, Rows, Shortened, menu, row, write_report

PIPE = "-"  # stdin among the photos, stdout for the result
PREVIEW = 480  # longest side of the gallery's pictures: sharp on a card of 240 pixels at two device pixels each
LONGEST_STDIN = 1 << 30  # bytes of a photo on stdin


class NothingToDoError(BeautyGANError):
    """The run can't start with what it was given."""


@dataclass
class Given:
    """The photos and looks that were named, and the names that gave none."""

    sources: list[Found]
    looks: list[tuple[Found, Look]]
    problems: list[Problem]
    named: list[Path]  # as they were named, the photo on stdin too


def make_up(options: Arguments) -> int:
    """Every source with every look, from finding the photos to the last report; returns the exit status."""
    if options.engine == "ray":
        check_installed()
    return until_stopped(functools.partial(_make_up, options), waits=options.engine == "ray")


def _make_up(options: Arguments, end: End) -> int:
    with ExitStack() as stack:
        given = _given(options, stack)
        _refuse_places(options, given)
        if options.save_look and not options.dry_run:
            _save_look(options, given, options.save_look)
        if options.dry_run:
            return _foretell(options, given, stack)
        end.failed = len(given.problems)
        settings = _settings(options, stack)
        session, looks, ahead = _open(options, given, settings, end, stack)
        one_file = out_file(options)
        one = options.out == PIPE or one_file is not None  # nothing to go on with, and no folder to keep it in
        manifest = stack.enter_context(Manifest(None if one else settings.out, _command(options), end.stop))
        for file in _tables_and_pictures(options):
            refuse_foreign(file, overwrite=options.overwrite, journal=manifest)
        sweep(settings.out, below=one_file is None)
        for file in filter(None, (options.report, options.grid)):
            sweep(file.parent, below=False)
        sources = [item for item in given.sources if _is_source(item.path, options, settings.out, manifest)]
        sources = _without_results(sources, given.named, options)
        stdin = [path for path in given.named if path.stem == STDIN and path.parent.name.startswith(TEMPORARY)]
        named = [path for path in given.named if path not in stdin]
        shortened = Shortened([*named, settings.out], full=options.full_paths, stdin=stdin)
        outputs = Outputs(options, settings, looks, len(sources), session, manifest, shortened, stack)
        end.running = True
        coming = _arrivals(options, settings, manifest, end, outputs) if options.watch else sources
        kind = Planner if options.engine == "local" else driver.Driver
        planner = kind(
            *(looks, session, settings, manifest),
            inputs=_worn_files(given.looks),
            pictures_wanted=outputs.wants,
        )
        if isinstance(planner, driver.Driver):
            outcomes = driver.run(planner, coming, layout=_layout(options), stop=end.stop)
        else:
            outcomes = line.run(planner, coming, stop=end.stop, on_frame=outputs.progress.frame, ahead=ahead)
        try:
            for outcome in outcomes:
                outputs.take(outcome)
            if not end.stop.is_set():
                manifest.finish_run()
        except OutputError as error:  # no result can be recorded any more; those so far are
            outputs.progress.say(str(error))
            end.failed += 1
        outputs.finish(end)
        return end.status


def check(options: Arguments) -> int:
    """Go through the photos and say what would spoil a result; returns the exit status."""
    return until_stopped(functools.partial(_check, options))


def _check(options: Arguments, end: End) -> int:
    from beautygan_cli.evaluation.photo_check import faults

    with ExitStack() as stack:
        given = _given(options, stack)
        signature = Signature.load(options.model or bundled_model())
        counts = {"sound": 0, "faulty": len(given.problems)}
        sources = _without_results(given.sources, given.named, options)
        references = list(dict.fromkeys(path for _, worn in given.looks for path in worn.references))
        for role, paths in (("source", [item.path for item in sources]), ("reference", references)):
            for path in paths:
                if is_clip(path) or animation_format(path):
                    kind = "a clip" if is_clip(path) else "an animation"
                    say(f"{printable(path)} is {kind}; --check looks at photos alone")
                    continue
                found = faults(*(path, role, signature), which=options.faces, max_pixels=options.max_pixels)
                for fault in found:
                    put(shown(f"{printable(path)}: {fault}"))
                counts["faulty" if found else "sound"] += 1
        if not options.quiet:
            fit = "1 photo is fit" if counts["sound"] == 1 else f"{counts['sound']} photos are fit"
            say(f"{fit}, {counts['faulty']} {'has' if counts['faulty'] == 1 else 'have'} faults")
        end.failed = counts["faulty"]
        return end.status


def list_looks(options: Arguments) -> int:
    """Name the looks that come along, one a line, and draw them in a picture if asked for; returns the exit status."""
    looks = {name: look.read(path) for name, path in look.bundled().items()}
    for name, item in looks.items():
        print(f"{name:<12} {item.about}")
    if options.grid:
        signature = Signature.load(bundled_model())
        chips = {name: pipeline.drawn_chip(item.style, signature) for name, item in looks.items()}
        write_photo(Photo(pixels=menu(chips)), options.grid, quality=92, overwrite=options.overwrite)
    return DONE


def serve(options: Arguments, port: int) -> NoReturn:
    """Serve the page on a port, 0 for any that is free, until a signal ends the process."""
    server.check_installed()
    sys.exit(until_stopped(functools.partial(_serve, options, port)))


def _serve(options: Arguments, port: int, end: End) -> int:
    with ExitStack() as stack:
        holder = stack.enter_context(contextlib.closing(server.listening(port)))
        given, problems = _looks(options)
        threads = thread_counts.use(options.jobs)
        with spinner("opening the model", quiet=options.quiet):
            session = open_session(
                options.model, batch_size=options.batch_size, precision=options.precision, threads=threads.network
            )
        if options.verbose:
            _say_model(options, session, threads.network)
        state = State(session, given, _settings(options, stack), carried(options))
        for message in (*(problem.message for problem in problems), *state.problems):
            say(message)

        def announce(url: str) -> None:
            print(url, flush=True)
            if not options.quiet:
                say("open this address in a browser on this machine; photos stay in memory; Ctrl-C ends it")

        end.running = True  # a stop waits for nobody, and is no error
        server.serve(state, holder, end.stop, announce)
        stack.pop_all()  # the process ends now, and threads that still serve would stumble over a closed socket
        return end.status


# Before the run


def _given(options: Arguments, stack: ExitStack) -> Given:
    """The photos that the command names; NothingToDoError where there are none to begin with."""
    names = [_from_stdin(stack) if name == PIPE else name for name in options.no_makeup]
    sources, problems = _without_clips(*find_photos(names, suffixes=SOURCE_SUFFIXES), names)
    others = passed_over(names, suffixes=SOURCE_SUFFIXES) + passed_over(options.ref)
    if others and not options.quiet:
        say(f"{counted(others.total(), 'file')} of other kinds passed over: {', '.join(sorted(others))}")
    looks, look_problems = _looks(options)
    if options.watch:
        problems = [problem for problem in problems if not problem.path.is_dir()]  # a folder may be empty as yet
    for problem in (*problems, *look_problems):
        say(problem.message)
    if not (looks or options.check) or not (sources or options.watch):
        lacking = "photo to make up" if looks or options.check else "look to put on"
        raise NothingToDoError(f"nothing to do: no {lacking} is left.")
    if options.watch and (wrong := [name for name in names if not Path(name).is_dir()]):
        raise NothingToDoError(f"--watch needs folders to watch, and {printable(wrong[0])} is none.")
    if (options.out == PIPE or out_file(options)) and len(sources) * len(looks) * len(options.strength) != 1:
        what = "one photo, one --ref or --look and one --strength"
        raise NothingToDoError(f"--out {options.out} writes one photo: give {what}, or a folder for --out.")
    if (file := out_file(options)) and (is_clip(sources[0].path) != (file.suffix.lower() == CLIP_SUFFIX)):
        kind = f"a clip, which becomes an {CLIP_SUFFIX}" if is_clip(sources[0].path) else "a photo"
        raise NothingToDoError(f"{printable(sources[0].path)} is {kind}; give --out a name that ends so.")
    if file and file.suffix.lower() in ANIMATION_SUFFIXES and not animation_format(sources[0].path):
        raise NothingToDoError(f"{printable(sources[0].path)} is no animation; give --out a name such as me.png.")
    named = [Path(name) for name in (*names, *options.ref, *options.look, pipeline.bare_face())]
    return Given(sources, looks, [*problems, *look_problems], named)


def _foretell(options: Arguments, given: Given, stack: ExitStack) -> int:
    """Name the results that the command would make, and which of them are there already; opens no photo."""
    settings = _settings(options, stack)
    known = None if out_file(options) else settings.out / FILE_NAME
    with temporary_folder() as folder:
        if known is not None and known.is_file():
            shutil.copyfile(known, Path(folder, FILE_NAME))  # for the names that earlier runs gave
        with Manifest(Path(folder)) as manifest:
            sources = [item for item in given.sources if _is_source(item.path, options, settings.out, manifest)]
            places = foretold(sources, [item for item, _ in given.looks], settings, manifest)
    present = sum(path.exists() for path in places)
    for path in places:
        put(str(path), _line_end(options))
    if not options.quiet:
        there = f", {present} of them there already" if present else ""
        say(f"{counted(len(places), 'result')} would be made{there}; nothing was written")
    return SOME_FAILED if given.problems else DONE


def _looks(options: Arguments) -> tuple[list[tuple[Found, Look]], list[Problem]]:
    """What is to be worn, by --ref and by --look, and the names that gave nothing."""
    names = [pipeline.bare_face()] if options.remove and not options.ref and not options.look else options.ref
    references, problems = find_photos(names)
    asked = {region: getattr(options, region) for region in look.REGIONS}
    default = dict.fromkeys(look.USUAL, 1.0) if options.remove else look.USUAL  # a finish comes off as a whole
    usual = {region: default[region] if asked[region] is None else asked[region] for region in default}
    strengths = Strengths(**usual, brows=asked["brows"])
    looks = [(item, Look.of(item.path, strengths)) for item in references]
    files, file_problems = look.find(options.look)
    problems += file_problems
    for item in files:
        try:
            looks.append((item, look.scaled(look.read(item.path), asked)))
        except LookError as error:
            problems.append(Problem(item.path, str(error)))
    words = by_region(options.drawn)
    if words and not (options.ref or options.look):
        looks.append((Found(Path(_slug(options.drawn)), PurePath()), Look(name=" ".join(options.drawn.values()))))
    if words:
        looks = [(item, look.described(worn, words, asked)) for item, worn in looks]
    return looks, problems


def _slug(drawn: Mapping[str, str]) -> str:
    """A name for the results of what was described."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(drawn.values()).lower()).strip("-")[:60]


def _save_look(options: Arguments, given: Given, file: Path) -> None:
    """Write what the command's one look says to a file."""
    if len(given.looks) != 1 or len(options.strength) != 1:
        raise NothingToDoError("--save-look saves one look: give one --ref or --look, and one --strength.")
    worn = given.looks[0][1]
    overall: dict[str, float | None] = dict.fromkeys(look.REGIONS, options.strength[0])
    if worn.brows is None:  # it goes with the eyes
        overall["brows"] = None
    look.write(look.scaled(worn, overall), file, overwrite=options.overwrite)


def _tables_and_pictures(options: Arguments) -> list[Path]:
    """What is written beside the results."""
    page = Path(options.out, PAGE) if options.gallery else None
    return [file for file in (options.grid, options.report, page) if file is not None]


def _refuse_places(options: Arguments, given: Given) -> None:
    """NothingToDoError where an output would take the place of a file that was given, of the model's or of another."""
    inputs = {identity(path) for path in (*(item.path for item in given.sources), *_worn_files(given.looks))}
    model, out = _real(options.model or bundled_model()), _real(Path(options.out))
    if options.out != PIPE and out == model:
        raise NothingToDoError(f"{printable(options.out)} is the model's own folder; choose another --out.")
    taken: dict[str, Path] = {}
    for file in (*_tables_and_pictures(options), *filter(None, [options.save_look, out_file(options)])):
        folder = _real(file.parent)
        if identity(file) in inputs:
            raise NothingToDoError(f"{printable(file)} is one of the files given; choose another.")
        if folder == model:
            raise NothingToDoError(f"{printable(file)} lies in the model's own folder; choose another place.")
        if folder == out / THUMBNAILS and options.gallery:
            raise NothingToDoError(f"{printable(file)} lies among the gallery's pictures; choose another place.")
        if JOINT in file.name and folder.is_relative_to(out):
            raise NothingToDoError(f"{printable(file)} has a name like a result's beside the results; choose another.")
        place = folded(str(folder / file.name))
        if place in taken:
            raise NothingToDoError(
                f"{printable(taken[place])} and {printable(file)} are one place, for two outputs; choose another."
            )
        taken[place] = file
    if (named := out_file(options)) and named.exists() and not options.overwrite:
        raise NothingToDoError(f"{printable(named)} exists already; allow --overwrite or choose another name.")


def _real(path: Path) -> Path:
    """A path without links; one that no file system takes as it is."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:
        return path


def _worn_files(looks: Sequence[tuple[Found, Look]]) -> list[Path]:
    """The files that looks are made of: their own and their references."""
    return [path for item, worn in looks for path in (item.path, *worn.references)]


def _without_clips(
    sources: list[Found], problems: list[Problem], names: Sequence[Path | str]
) -> tuple[list[Found], list[Problem]]:
    """The sources without clips that lie in folders, where the extra for clips is missing; those named will fail."""
    named = {Path(name) for name in names}
    left_out = [item for item in sources if is_clip(item.path) and item.path not in named]
    if not left_out or clips_readable():
        return sources, problems
    say(f"clips in folders are left out ({len(left_out)}); to make them up as well: {INSTALL_CLIPS}")
    return [item for item in sources if item not in left_out], problems


def _from_stdin(stack: ExitStack) -> Path:
    """The photo on stdin, as a file with the suffix of its format."""
    content = sys.stdin.buffer.read(LONGEST_STDIN + 1)
    if not content or len(content) > LONGEST_STDIN:
        raise PhotoError(f"stdin holds {'no photo' if not content else 'too much'}; send one photo into it.")
    path = stack.enter_context(temporary_folder()) / STDIN
    path.write_bytes(content)
    told = format_of(content[:32])
    suffix = suffix_for(told, PurePath(), "same") if told else ".png"  # reading it will say what is wrong
    return path.rename(path.with_suffix(suffix))


def _open(
    options: Arguments, given: Given, settings: RunConfig, end: End, stack: ExitStack
) -> tuple[MakeupSession, list[ReadyLook], dict[Path, Future[Source]]]:
    """The model, the looks, and the first source as it is being read; NothingToDoError when none of these can be used.

    TensorFlow takes seconds to import. The photos are read meanwhile, and the networks made ready while they still are.
    """
    measure = settings.measure
    starter, reader = ThreadPoolExecutor(1), ThreadPoolExecutor(1, thread_name_prefix="reader")
    stack.callback(starter.shutdown, wait=False, cancel_futures=True)
    stack.callback(reader.shutdown, wait=False, cancel_futures=True)
    threads = thread_counts.use(options.jobs)
    starting = starter.submit(
        open_session,
        options.model,
        batch_size=options.batch_size,
        precision=options.precision,
        threads=threads.network,
    )
    starter.submit(lambda: pipeline.prepare(starting.result(), remove=settings.remove))  # the run says what is wrong
    signature = Signature.load(options.model or bundled_model())
    ahead: dict[Path, Future[Source]] = {}
    if (
        given.sources
        and not is_clip(first := given.sources[0].path)
        and not animation_format(first)
        and options.engine == "local"
        and not options.watch
        # An earlier run may have made it already. `Path.exists` raises for a name that is too long; this says no.
        and not os.path.exists(Path(options.out, FILE_NAME))  # noqa: PTH110
    ):
        ahead[first] = reader.submit(read_source, first, signature, settings, stop=end.stop)

    def read(signature: Signature) -> tuple[list[ReadyLook], list[Outcome]]:
        return read_looks(*(given.looks, signature, options.max_pixels), measure=measure, workers=threads.readers)

    with spinner("opening the model", quiet=options.quiet):
        looks, failures = read(signature)
        session = stack.enter_context(starting.result())
    if session.signature != signature:  # the graph has a size of its own
        looks, failures = read(session.signature)
        ahead.clear()
    for failure in failures:
        say(failure.reason)
    end.failed += len(failures)
    if not looks:
        raise NothingToDoError("none of the references can be used.")
    mixed = [ready for ready in looks if any(len(mix) > 1 for mix in ready.wearing.mixes.values())]
    if mixed and not session.can_mix:
        raise NothingToDoError(
            f"{printable(mixed[0].path)} mixes references, which the model in {printable(session.path)} can't do;"
            " give each region one reference."
        )
    if options.verbose:
        _say_model(options, session, threads.network)
    return session, looks, ahead


def _say_model(options: Arguments, session: MakeupSession, cores: int) -> None:
    origin = "the bundled one" if options.model is None else "given by --model"
    say(
        f"model {session.signature.name!r}, {origin}, from {session.path}, SHA-256 {session.digest},"
        f" {session.precision}, {counted(cores, 'core')}"
    )


def _settings(options: Arguments, stack: ExitStack) -> RunConfig:
    if options.out == PIPE:
        out = stack.enter_context(temporary_folder())
    else:
        out = file.parent if (file := out_file(options)) else remote.as_path(options.out)
    return RunConfig(
        out=out,
        file=out_file(options),
        sweep=options.strength,
        remove=options.remove,
        which=options.faces,
        crop=options.crop,
        format=options.format,
        quality=options.quality,
        overwrite=options.overwrite,
        max_pixels=options.max_pixels,
        mark=not options.no_mark,
        strip_location=options.strip_location,
        batch_size=options.batch_size,
        min_identity=options.min_identity,
        measure=bool(options.report or options.gallery),
        chips=bool(options.grid),
        previews=PREVIEW if options.gallery else 0,
        retry_failed=options.retry_failed,
        jobs=options.jobs,
        in_colour=options.in_colour,
    )


def _command(options: Arguments) -> str:
    """The command as the manifest remembers it, to tell whether a run that did not end is being gone on with."""
    return json.dumps({name: str(value) for name, value in sorted(vars(options).items())})


def _is_source(path: Path, options: Arguments, out: Path, manifest: Manifest) -> bool:
    """Whether a photo found in a source folder is a photo to make up, and no result of an earlier run."""
    named = [remote.as_path(name) for name in options.no_makeup if name != PIPE]
    if any(path == name for name in named) or path.resolve() in {name.resolve() for name in named}:
        return True
    if manifest.owns(path):
        return False
    if out_file(options):  # its folder is no folder of results
        return True
    place = out.resolve()
    folders = [name.resolve() for name in named if name.is_dir()]
    beside = any(folder == place or place in folder.parents for folder in folders)
    return beside or place not in path.resolve().parents


def _without_results(sources: list[Found], named: Sequence[Path], options: Arguments) -> list[Found]:
    """The sources without the results of earlier runs that lie in folders; what is named itself stays."""
    kept = [item for item in sources if item.path in named or not _is_marked(item.path, options)]
    if left_out := len(sources) - len(kept):
        say(f"results of earlier runs in folders are left out ({left_out}); a result that is named is made up again")
    return kept


def _is_marked(path: Path, options: Arguments) -> bool:
    """Whether a photo is a result by the mark in its file, whose makeup is not to come off."""
    return not options.remove and not is_clip(path) and is_result(path)


# During the run


def _layout(options: Arguments) -> Layout:
    return Layout(options.ray_address, options.num_actors, options.actor_cpus, options.actor_gpus)


def _arrivals(
    options: Arguments, settings: RunConfig, manifest: Manifest, end: End, outputs: Outputs
) -> Iterator[Found | None]:
    from beautygan_cli.batch.watch import arrivals

    def wanted(path: Path) -> bool:
        return _is_source(path, options, settings.out, manifest) and not _is_marked(path, options)

    folders = [Path(name) for name in options.no_makeup]
    if not options.quiet:
        outputs.progress.say(f"watching {', '.join(printable(folder) for folder in folders)}; Ctrl-C ends it")
    return arrivals(folders, end.stop, wanted)


class Outputs:
    """All that is told of outcomes: progress, paths, grid, report, gallery, and the result on stdout."""

    def __init__(
        self,
        options: Arguments,
        settings: RunConfig,
        looks: Sequence[ReadyLook],
        sources: int,
        session: MakeupSession,
        manifest: Manifest,
        shortened: Shortened,
        stack: ExitStack,
    ) -> None:
        self.options, self.settings, self.session, self.shortened = options, settings, session, shortened
        self.manifest, self.looks = manifest, looks
        self.began = datetime.now(UTC)
        self.progress = stack.enter_context(
            Progress(
                None if options.watch else sources * len(looks) * len(settings.sweep),
                quiet=options.quiet,
                verbose=options.verbose,
                paths=options.out != PIPE and not options.json,
                end=_line_end(options),
            )
        )
        self.grid = Grid(looks, sources, settings.sweep) if options.grid else None
        self.rows: Rows | None = stack.enter_context(contextlib.closing(Rows()))
        self.lost = 0  # parts that nothing can be written of any more
        self.gallery: Gallery | None = None
        if options.gallery:
            faces = {look.path: look.face.chip for look in looks}
            self.gallery = Gallery(
                settings.out, self.shortened, looks=faces, overwrite=options.overwrite, journal=manifest
            )

    def wants(self, output: Path) -> bool:
        """Whether the pictures of a result that is kept are asked for."""
        return self.grid is not None or (self.gallery is not None and not self.gallery.has(output))

    def take(self, outcome: Outcome) -> None:
        """Pass an outcome on to each of them."""
        self.progress.tell(outcome)
        if self.options.json:
            self.progress.print(json.dumps(self.shortened.row(row(outcome)), ensure_ascii=True))
        if self.grid:
            self.grid.add(outcome)
        if self.rows:
            try:
                self.rows.add(outcome)
            except OutputError as error:
                self.progress.say(str(error))
                self.rows, self.lost = None, self.lost + 1
        if self.gallery:
            self.gallery.add(outcome)
        if self.options.out == PIPE and outcome.status == Status.MADE and outcome.output:
            sys.stdout.buffer.write(outcome.output.read_bytes())
            sys.stdout.buffer.flush()

    def finish(self, end: End) -> None:
        """Write what is written at the end, and print the summary. A part that can't be written stops no other."""
        parts: list[Callable[[], None]] = []
        if self.rows and not self.options.watch and not isinstance(self.settings.out, remote.RemotePath):
            parts.append(self._count_missing)
        if self.grid and (picture := self.options.grid):
            grid = self.grid
            parts.append(lambda: grid.write(picture, overwrite=self.options.overwrite, journal=self.manifest))
        if self.rows:
            rows, about = self.rows, self._about(end)
            if table := self.options.report:
                told = map(self.shortened.row, rows)
                parts.append(
                    lambda: write_report(*(told, table, about), overwrite=self.options.overwrite, journal=self.manifest)
                )
            if gallery := self.gallery:
                parts.append(lambda: gallery.write(rows, about))
        for part in parts:
            try:
                part()
            except OutputError as error:
                self.progress.say(str(error))
                end.failed += 1
        end.failed += self.progress.counts[Status.FAILED] + self.lost
        self.progress.close_bar()
        if not self.options.quiet:
            self.progress.say_notes()
            stopped = "stopped; the same command goes on from here: " if end.stopped_by else ""
            self.progress.say(stopped + self.progress.summary())

    def _count_missing(self) -> None:
        """A result counts when it is there at the end."""
        assert self.rows is not None
        if lost := self.rows.fail_missing(self.manifest.lost_file):
            for row in lost:
                self.progress.counts[row["status"]] -= 1
            self.progress.counts[Status.FAILED] += len(lost)
            others = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            self.progress.say(
                f"{printable(lost[0]['output'])}{others} were there and are gone or spoilt, somebody moved, removed or"
                " changed them; the same command makes anew what is missing"
            )

    def _reproduction(self) -> list[str]:
        """The command that makes the same results again, with paths as the report shows them."""
        model = None if self.options.model is None else self.shortened.path(str(self.options.model))
        return reproduction(self.options, self.shortened.path, model)

    def _about(self, end: End) -> dict[str, Any]:
        return {
            "beautygan": metadata.version("beautygan-cli"),
            "model": {"name": self.session.signature.name, "sha256": self.session.digest},
            "command": self._reproduction(),
            "options": {"strengths": list(self.settings.sweep), **self.settings.recipe},
            "looks": [
                {"path": self.shortened.path(str(ready.path)), "strengths": asdict(ready.look.strengths)}
                for ready in self.looks
            ],
            "precision": self.session.precision,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - self.began).total_seconds(), 1),
            "stopped": bool(end.stopped_by),
        }


def _line_end(options: Arguments) -> str:
    return "\0" if options.null else "\n"
