"""The manual page of the `beautygan` command, made from its options.

python tests/man_page.py --write    writes docs/beautygan.1
"""

from __future__ import annotations

import sys
from pathlib import Path

from argparse_manpage.manpage import Manpage

from beautygan_cli.cli.arguments import EPILOG, parser

PAGE = Path(__file__).resolve().parent.parent / "docs" / "beautygan.1"


def man_page() -> str:
    """The page in troff. It bears no date, so that it changes with the options alone."""
    command = parser()
    command.epilog = None
    page = Manpage(command)
    page.date, page.source, page.manual = "", "beautygan-cli", "User commands"
    page.description = "makeup of reference photos onto bare-faced photos"
    literal = EPILOG.replace("-", "\\-")
    return f"{page}\n.SH NOTES\n.nf\n{literal}.fi\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(man_page())
    else:
        print(man_page(), end="")
