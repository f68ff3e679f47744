"""`python -m beautygan_cli` is the `beautygan` command."""

import sys

from beautygan_cli.cli import main

sys.exit(main())
