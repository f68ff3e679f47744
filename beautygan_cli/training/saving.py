"""What every training keeps to go on from, and takes over to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from beautygan_cli.errors import ModelError


def save_state(session: Any, saver: Any, progress: Any, work: Path) -> None:
    """Save a run's variables and how far it has come, to go on from.

    progress: a dataclass with the count of its steps, `step`, which a killed run is resumed by.
    """
    saver.save(session, str(work / "state"), global_step=progress.step, write_meta_graph=False)
    part = work / "progress.json.part"
    part.write_text(json.dumps(asdict(progress)))
    part.replace(work / "progress.json")


def take_over(
    session: Any, weights: Mapping[str, Any], averages: Mapping[str, Any], folder: Path, *, network: str, instead: str
) -> None:
    """Start from the weights of a model of the same network, as a training exported it, and their averages from them.

    weights, averages: variables by the weights' names. network, instead: what ModelError, for the folder of another
    one, calls it, and what to do about it.
    """
    import tensorflow as tf

    try:
        stored = tf.train.load_checkpoint(str(folder / "model"))
        values = {name: stored.get_tensor(name) for name in weights}
        for name, value in values.items():
            for variable in (weights[name], averages[name]):
                variable.load(value, session)
    except (tf.errors.OpError, ValueError) as error:
        raise ModelError(f"{folder} holds no weights of {network}; {instead}") from error
