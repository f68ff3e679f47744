"""The `beautygan` command: arguments in, messages and exit status out; `run.py` does what they ask for."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from beautygan_cli.batch import thread_counts
from beautygan_cli.cli import defaults
from beautygan_cli.cli.arguments import FIRST_STEPS, Arguments, complaint, completed, parser
from beautygan_cli.cli.early import ended_at_once
from beautygan_cli.cli.exit_status import DONE, INTERRUPTED, NOT_STARTED, SOME_FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    with ended_at_once("beautygan"):
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given:
        print(FIRST_STEPS, end="", file=sys.stderr)
        return NOT_STARTED
    command = parser()
    files = [] if "--no-defaults" in given else defaults.apply(command)
    options = completed(command.read(given, Arguments()))
    if options.completion:
        print(completion(options.completion))
        return DONE
    if wrong := complaint(options):
        command.error(wrong)
    # Nothing heavy before this line, so that --help and a misspelt option answer at once.
    thread_counts.keep_linear_algebra_single()
    from beautygan_cli.cli.console import libraries_silenced

    if not (options.verbose or sys.warnoptions):  # a warning names a line of a program that its reader did not write
        warnings.simplefilter("ignore")
    with libraries_silenced(wanted=options.verbose):
        return _done(options, files)


def _done(options: Arguments, files: Sequence[Path]) -> int:
    from beautygan_cli.cli import run
    from beautygan_cli.cli.stopping import say
    from beautygan_cli.errors import BeautyGANError
    from beautygan_cli.photos.files import printable, reason_of

    try:
        if options.save_defaults:
            print(defaults.save(options, parser(), overwrite=options.overwrite))
            return DONE
        if files and not options.quiet:
            say(f"defaults from {' and '.join(printable(file) for file in files)}")
        if options.list_looks:
            return run.list_looks(options)
        if options.serve is not None:
            run.serve(options, options.serve)
        return run.check(options) if options.check else run.make_up(options)
    except BeautyGANError as error:
        say(str(error))
        return NOT_STARTED
    except KeyboardInterrupt:
        say("stopped at once; the results so far are kept, and the same command goes on from there")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our stdout has heard enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except OSError as error:  # of what lies beside photos and results: a full disk for temporary files
        say(f"{printable(error.filename or tempfile.gettempdir())} can't be used: {reason_of(error)}.")
        return NOT_STARTED


def completion(shell: str) -> str:
    """The script that completes the command's options in a shell."""
    import shtab

    command = parser()
    command.complete_names({"PHOTO": shtab.FILE, "PATH": shtab.FILE, "FILE": shtab.FILE, "DIR": shtab.DIRECTORY})
    return str(shtab.complete(command, shell=shell))


if __name__ == "__main__":
    sys.exit(main())
