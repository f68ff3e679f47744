"""`python -m beautygan_cli` is the `beautygan` command."""

import sys

from beautygan_cli.cli.main import main

sys.exit(main())
