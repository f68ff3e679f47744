"""What trainings start from: weights of a model of the same network are taken over, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beautygan_cli.errors import ModelError
from beautygan_cli.model.tf_runtime import quiet_tensorflow
from beautygan_cli.training.saving import take_over

tf = quiet_tensorflow()
WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)


def saved(folder: Path, name: str, values: np.ndarray) -> Path:
    """A checkpoint of one variable."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable(name, initializer=values)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "model"))
    return folder


def started(folder: Path) -> dict[str, Any]:
    """A weight and its average, and what else there is, once the model in a folder is taken over."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        zeros = tf.compat.v1.zeros_initializer()
        here = {name: tf.compat.v1.get_variable(name, (2, 3), initializer=zeros) for name in ("w", "average", "m")}
        session.run(tf.compat.v1.global_variables_initializer())
        of_model = {"network": "this network", "instead": "train a new one."}
        take_over(session, {"w": here["w"]}, {"w": here["average"]}, folder, **of_model)
        return session.run(here)


def test_weights_and_their_averages_are_taken_over(tmp_path: Path) -> None:
    found = started(saved(tmp_path, "w", WEIGHTS))
    assert np.array_equal(found["w"], WEIGHTS)
    assert np.array_equal(found["average"], WEIGHTS)
    assert not found["m"].any()


@pytest.mark.parametrize(("name", "values"), [("other", WEIGHTS), ("w", WEIGHTS.T.copy())])
def test_another_networks_weights_are_refused(name: str, values: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights of this network; train a new one"):
        started(saved(tmp_path, name, values))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights of this network"):
        started(tmp_path)
