"""Makeup transfer: bare-faced photos and makeup references in, made-up photos at full size out."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beautygan_cli.errors import BeautyGANError
    from beautygan_cli.makeup.composite import Strengths
    from beautygan_cli.makeup.look import Look
    from beautygan_cli.makeup.pipeline import remove, transfer
    from beautygan_cli.model.session import MakeupSession

__all__ = ["BeautyGANError", "Look", "MakeupSession", "Strengths", "__version__", "remove", "transfer"]

_HOMES = {
    "BeautyGANError": "beautygan_cli.errors",
    "Look": "beautygan_cli.makeup.look",
    "MakeupSession": "beautygan_cli.model.session",
    "Strengths": "beautygan_cli.makeup.composite",
    "remove": "beautygan_cli.makeup.pipeline",
    "transfer": "beautygan_cli.makeup.pipeline",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for, so that `beautygan --help` imports neither NumPy nor TensorFlow.
    if name == "__version__":
        return metadata.version("beautygan-cli")
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'beautygan_cli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
