"""Command lines read strictly: nothing is abbreviated or guessed, and whoever mistypes is told what was meant."""

from __future__ import annotations

import argparse
import difflib
import glob
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn, TypeVar

from beautygan_cli.photos.files import printable
from beautygan_cli.photos.formats import SOURCE_SUFFIXES

NEAR = 0.6  # difflib's ratio from which a name counts as a mistyped one

Options = TypeVar("Options", bound=argparse.Namespace)


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, whose complaints are one line that says what to do.

    synonyms: what other programs call an option, with the name it has here.
    """

    def __init__(
        self,
        prog: str,
        *,
        description: str,
        epilog: str | None = None,
        usage: str | None = None,
        synonyms: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.synonyms = synonyms or {}
        self.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")

    def read(self, arguments: Sequence[str] | None, options: Options) -> Options:
        """The options in a command's arguments, None for this process's own; exits with status 2 where they are wrong.

        Names without an option may stand anywhere among those with one.
        """
        given = sys.argv[1:] if arguments is None else list(arguments)
        for text in given:
            if _photo_like_an_option(text):
                self.error(f"{text} begins like an option; for the file of that name write ./{text}")
        _, unknown = self.parse_known_intermixed_args(given, options)
        if unknown:
            self.error(self._unknown(unknown))
        return options

    def error(self, message: str) -> NoReturn:
        """End with what is wrong, the usage, and status 2."""
        usage = f"usage: {self.usage}\n" if self.usage else ""
        self.exit(2, f"{self.prog}: {printable(message)}\n{usage}{self.prog} --help shows all options\n")

    def _unknown(self, texts: Sequence[str]) -> str:
        option = next((text for text in texts if text.startswith("-")), texts[0])
        name = option.partition("=")[0]
        meant = self.synonyms.get(name.lower()) or nearest(name, self._option_names())
        return f"there is no option {name}" + (f"; did you mean {meant}?" if meant else "")

    def option(self, name: str) -> argparse.Action:
        """The option of that name, such as `--out`."""
        return self._option_string_actions[name]

    def complete_names(self, by_metavar: dict[str, Any]) -> None:
        """Tell `shtab` what to complete after the options whose value has that name in the help."""
        for action in self._actions:
            if action.metavar in by_metavar:
                setattr(action, "complete", by_metavar[action.metavar])  # noqa: B010, an attribute of shtab's own

    def _option_names(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Which of the names was probably meant: the same but for hyphens, one that it abbreviates, or a similar one."""

    def bare(text: str) -> str:
        return text.lower().replace("-", "").replace("_", "").replace(" ", "")

    by_bare = {bare(item): item for item in names}
    if bare(name) in by_bare:
        return by_bare[bare(name)]
    abbreviated = [item for text, item in by_bare.items() if len(bare(name)) > 2 and text.startswith(bare(name))]
    if len(abbreviated) == 1:
        return abbreviated[0]
    near = difflib.get_close_matches(bare(name), list(by_bare), 1, NEAR)
    return by_bare[near[0]] if near else None


def _photo_like_an_option(text: str) -> bool:
    if not text.startswith("-") or text.startswith("--") or text == "-":
        return False
    return PurePath(text).suffix.lower() in SOURCE_SUFFIXES or Path(text).is_file()


def path(text: str) -> Path:
    """A path as the user means it: `~` is their home folder wherever the shell left it standing."""
    return Path(home(text))


def home(text: str) -> str:
    """A name with its leading `~` replaced, where there is one and such a home is known."""
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        return text


def expanded(names: Sequence[str]) -> list[str]:
    """The names with `~` replaced and each `*.jpg` that the shell left standing by what it matches, sorted.

    A pattern that matches nothing stays, and will be reported as the missing file that it is.
    """
    result: list[str] = []
    for name in map(home, names):
        pattern = "://" not in name and glob.has_magic(name) and not Path(name).exists()
        result += sorted(glob.glob(name, recursive=True)) or [name] if pattern else [name]  # noqa: PTH207
    return result


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        print(f"{parser.prog} {metadata.version('beautygan-cli')}")
        parser.exit()
