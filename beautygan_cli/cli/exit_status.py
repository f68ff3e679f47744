"""What the commands say to the shell when they end."""

from __future__ import annotations

DONE, SOME_FAILED, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130
