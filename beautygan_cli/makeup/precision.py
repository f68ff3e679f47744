"""Which precision a model computes with: bfloat16 where that is faster and nobody can see it, else float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from beautygan_cli.makeup import pipeline
from beautygan_cli.model.checkpoint import CheckpointFiles, find_checkpoint
from beautygan_cli.model.measured import remembered
from beautygan_cli.model.session import MakeupSession, native_bf16
from beautygan_cli.model.signature import Signature

MOST_LEVELS = 1  # of 255, by which a pixel of a photo may come out otherwise with bfloat16


def open_session(
    model: str | Path | None = None, *, batch_size: int = 8, precision: str = "auto", threads: int | None = None
) -> MakeupSession:
    """A model, opened; arguments and errors as of `MakeupSession`, but for what "auto" does with a model of one's own.

    On a processor that computes with bfloat16, it is tried with that and with float32 on the face that comes with the
    package, makeup put on and taken off. Where no pixel of the photo differs by more than MOST_LEVELS, bfloat16 it is.
    How much they differ is remembered by the model's digest.
    """

    def opened(files: str | Path | CheckpointFiles | None, precision: str) -> MakeupSession:
        return MakeupSession(files, batch_size=batch_size, precision=precision, threads=threads)

    if model is None or precision != "auto" or not native_bf16():
        return opened(model, precision)
    files = find_checkpoint(Path(model))
    tried: dict[str, MakeupSession] = {}

    def differ() -> float:
        photos = []
        for name in ("fp32", "bf16"):
            tried[name] = opened(files, name)
            photos.append(pipeline.example_photos(tried[name]))
        pairs = zip(*photos, strict=True)
        return max(float(np.abs(exact.astype(np.int16) - coarse).max()) for exact, coarse in pairs)

    try:
        levels = remembered("grey levels by bfloat16", files.digest, Signature.load(files.folder), differ)
        chosen = "bf16" if levels <= MOST_LEVELS else "fp32"
        session = tried.pop(chosen, None)
    finally:
        for other in tried.values():
            other.close()
    return session or opened(files, chosen)
