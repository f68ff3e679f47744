"""The `beautygan` command: arguments in, messages and exit status out; `run.py` does what they ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from beautygan_cli.cli.arguments import FIRST_STEPS, Arguments, complaint, completed, parser
from beautygan_cli.cli.exit_status import INTERRUPTED, NOT_STARTED, SOME_FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    if not (sys.argv[1:] if arguments is None else arguments):
        print(FIRST_STEPS, end="", file=sys.stderr)
        return NOT_STARTED
    command = parser()
    options = completed(command.read(arguments, Arguments()))
    if wrong := complaint(options):
        command.error(wrong)
    # Nothing heavy before this line, so that --help and a misspelt option answer at once.
    from beautygan_cli.cli import run
    from beautygan_cli.errors import BeautyGANError

    try:
        if options.list_looks:
            return run.list_looks(options)
        return run.check(options) if options.check else run.make_up(options)
    except BeautyGANError as error:
        run.say(str(error))
        return NOT_STARTED
    except KeyboardInterrupt:
        run.say("stopped at once; the results so far are kept, and the same command goes on from there")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our stdout has heard enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED


if __name__ == "__main__":
    sys.exit(main())
