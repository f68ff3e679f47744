"""TensorFlow in part: what a session imports, and that nobody else is touched by it."""

import os
import subprocess
import sys

import pytest
from conftest import REPOSITORY

TRANSFER = """
import sys, numpy as np
from beautygan_cli.model.session import MakeupSession
with MakeupSession() as opened:
    chips = np.zeros((1, 256, 256, 3), np.uint8)
    opened.transfer(chips, chips)
"""
WHOLE = """
import tensorflow as tf
assert tf.keras.layers.Dense(2)(tf.ones([1, 3])).shape == (1, 2)
assert tf.executing_eagerly() and tf.reduce_sum([1.0, 2.0]).numpy() == 3
import tensorflow.compat.v1 as v1
from beautygan_cli.model.tf_runtime import runtime
assert runtime().Session is v1.Session and runtime().float32 is tf.float32 and runtime().OpError is tf.errors.OpError
"""


def run(script):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)


def test_a_session_imports_a_third_of_tensorflows_modules():
    script = TRANSFER + "print('tensorflow' in sys.modules, len(sys.modules))"
    result = run(script)
    assert result.returncode == 0, result.stderr
    package, modules = result.stdout.split()
    assert package == "False"
    assert int(modules) < 1200  # the whole of it has over 3000


@pytest.mark.parametrize("script", [TRANSFER + WHOLE, WHOLE + TRANSFER], ids=["session first", "TensorFlow first"])
def test_the_whole_of_tensorflow_can_be_imported_before_and_after(script):
    result = run(script)
    assert result.returncode == 0, result.stderr


def test_a_thread_that_imports_tensorflow_meanwhile_gets_the_whole_of_it():
    script = """
import threading
from beautygan_cli.model.tf_runtime import runtime
threads = [threading.Thread(target=runtime) for _ in range(2)]
for thread in threads:
    thread.start()
import tensorflow as tf
assert tf.reduce_sum([1.0, 2.0]).numpy() == 3
for thread in threads:
    thread.join()
assert runtime().Graph is tf.Graph
"""
    result = run(script)
    assert result.returncode == 0, result.stderr


def test_a_release_with_other_modules_is_imported_as_a_whole():
    script = """
import sys
from beautygan_cli.model import tf_runtime as module
module._PARTS = {"Absent": "tensorflow.python.absent", **module._PARTS}
finder = module._import_without_package
module._import_without_package = lambda names: (finder(names), module._PARTS.pop("Absent"))
assert module.runtime().Graph
"""
    result = run(script)
    assert result.returncode == 0, result.stderr
