"""What was measured of a model, remembered in the user's cache folder by the model's digest.

A number a file, which says nothing but how that model behaves here. What can't be read there is measured again; a
folder that can't be written to costs a measurement a run, and no result depends on whether one was remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from beautygan_cli.model.signature import Signature

LONGEST_NUMBER = 40  # bytes


def remembered(what: str, digest: str, signature: Signature, measure: Callable[[], float]) -> float:
    """A number that follows from a model alone: as it was measured before, else from `measure`.

    what: names the measurement; digest, signature: the model's. Releases of this package and of TensorFlow, and the
    kind of processor, are told apart.
    """
    releases = [metadata.version(name) for name in ("beautygan-cli", "tensorflow")]
    parts = [what, digest, {**asdict(signature), "about": None}, *releases, sorted(processor_flags())]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    file = folder() / key
    if not file.is_absolute():  # a user without a home, as in some containers: it would lie in the folder of the photos
        return measure()
    known = _read(file)
    if known is None:
        known = measure()
        _write(file, known)
    return known


def folder() -> Path:
    """Where the numbers lie on this system, whether or not there are any."""
    import platformdirs

    return platformdirs.user_cache_path("beautygan", appauthor=False) / "measured"


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What the processor says that it can do, in Linux's words; empty where the system doesn't tell."""
    with contextlib.suppress(OSError), cpuinfo.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, values = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return frozenset(values.split())
    return frozenset()


def _read(file: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        if file.is_file():
            with file.open("rb") as opened:
                text = opened.read(LONGEST_NUMBER + 1)
            if len(text) <= LONGEST_NUMBER and math.isfinite(number := float(text)):
                return number
    return None


def _write(file: Path, number: float) -> None:
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent)
        try:
            with os.fdopen(descriptor, "w") as opened:
                opened.write(repr(float(number)))
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
