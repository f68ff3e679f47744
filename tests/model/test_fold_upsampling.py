"""Folded enlargements: what a decoder gives stays as it is, from less than half of the products."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin import StandIn

from beautygan_cli import MakeupSession
from beautygan_cli.model import fold_upsampling
from beautygan_cli.model.tf_runtime import quiet_tensorflow

tf = quiet_tensorflow()
v1 = tf.compat.v1
RNG = np.random.default_rng(0)
Build = Callable[[Any, Any], Any]


def weights(side: int, channels: int, out: int = 5) -> np.ndarray:
    return RNG.normal(size=(side, side, channels, out)).astype(np.float32)


def twice(values: Any, **options: bool) -> Any:
    size = [2 * values.shape[1], 2 * values.shape[2]]
    return tf.raw_ops.ResizeNearestNeighbor(images=values, size=size, **options)


def folded_and_not(build: Build, batch: int | None = None) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The operations that run when a graph of two inputs (6 x 8 and 12 x 16 pixels) is folded, and both results."""
    with tf.Graph().as_default() as graph:
        small = v1.placeholder(tf.float32, (batch, 6, 8, 3), "small")
        large = v1.placeholder(tf.float32, (batch, 12, 16, 4), "large")
        tf.identity(build(small, large), "out")
    fed = {
        "small:0": RNG.normal(size=(batch or 2, 6, 8, 3)).astype(np.float32),
        "large:0": RNG.normal(size=(batch or 2, 12, 16, 4)).astype(np.float32),
    }
    with v1.Session(graph=graph) as session:
        plain = session.run("out:0", fed)
        shapes = {t.name: session.run(tf.shape(t), fed) for o in graph.get_operations() for t in o.outputs}
    nodes = fold_upsampling.folded(graph.as_graph_def().node, shapes, batch)
    with tf.Graph().as_default() as after:
        tf.import_graph_def(v1.GraphDef(node=nodes), name="")
    with v1.Session(graph=after) as session:
        result = session.run("out:0", fed)
    used = v1.graph_util.extract_sub_graph(after.as_graph_def(), ["out"])
    return [node.op for node in used.node], result, plain


def conv(values: Any, side: int = 3, **options: Any) -> Any:
    settings = {"strides": 1, "padding": "SAME"} | options
    return tf.nn.conv2d(values, tf.constant(weights(side, int(values.shape[-1]))), **settings)


FOLDED: dict[str, Build] = {
    "alone": lambda small, large: conv(twice(small)),
    "5 x 5": lambda small, large: conv(twice(small), 5),
    "pixels' middles": lambda small, large: conv(twice(small, half_pixel_centers=True)),
    "joined first": lambda small, large: conv(tf.concat([twice(small), large], 3)),
    "joined last": lambda small, large: conv(tf.concat([large, twice(small)], -1)),
    "joined between": lambda small, large: conv(tf.concat([large, twice(small), 2 * large], 3)),
    "with bias": lambda small, large: tf.nn.relu(
        tf.nn.bias_add(conv(tf.concat([twice(small), large], 3)), tf.constant([1.0, -2, 3, -4, 5]))
    ),
    "used twice": lambda small, large: (
        lambda both: tf.nn.bias_add(both, tf.constant([1.0, -2, 3, -4, 5])) * tf.tanh(both)
    )(conv(tf.concat([twice(small), large], 3))),
    "its name is taken": lambda small, large: (
        tf.constant(1.0, name="conv/enlarged") + conv(tf.concat([twice(small), large], 3), name="conv")
    ),
}
LEFT: dict[str, Build] = {
    "in groups": lambda small, large: tf.nn.conv2d(twice(small), tf.constant(weights(3, 1, 6)), 1, "SAME"),
    "padded otherwise": lambda small, large: conv(twice(small), padding="VALID"),
    "by steps": lambda small, large: conv(twice(small), strides=2),
    "with gaps": lambda small, large: conv(twice(small), dilations=2),
    "even side": lambda small, large: conv(twice(small), 4),
    "single weight": lambda small, large: conv(twice(small), 1),
    "corners aligned": lambda small, large: conv(twice(small, align_corners=True)),
    "threefold": lambda small, large: conv(tf.raw_ops.ResizeNearestNeighbor(images=small, size=[18, 24])),
    "added in between": lambda small, large: conv(twice(small) + large[..., :3]),
    "joined along a side": lambda small, large: conv(tf.concat([twice(small), large[..., :3]], 1)),
}


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("name", FOLDED)
def test_a_convolution_of_what_is_enlarged_gives_the_same_without_enlarging(name: str, batch: int | None) -> None:
    used, result, plain = folded_and_not(FOLDED[name], batch)
    assert "ResizeNearestNeighbor" not in used
    assert used.count("Conv2DBackpropInput") == 1
    assert result == pytest.approx(plain, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", LEFT)
def test_what_is_no_such_pair_is_left_as_it_is(name: str) -> None:
    used, result, plain = folded_and_not(LEFT[name])
    assert "ResizeNearestNeighbor" in used
    assert "Conv2DBackpropInput" not in used
    assert np.array_equal(result, plain)


@pytest.mark.parametrize(("which", "decoder"), [("bundled", 3), ("published", 2)])
def test_a_models_results_stay_as_they_are(
    which: str, decoder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = (
        None if which == "bundled" else StandIn(size=64, built_size=64, width=8, batch=None, blocks=2).save(tmp_path)
    )
    with MakeupSession(model, precision="fp32") as session:
        size = session.signature.size
        chips = RNG.uniform(0, 255, (2, 3, size, size, 3)).astype(np.float32)
        result = session.transfer(*chips)
        graph = session._network(session.signature.made_up).graph
        used = v1.graph_util.extract_sub_graph(graph.as_graph_def(), ["generator/xs"])
        kinds = [node.op for node in used.node]
    assert kinds.count("Conv2DBackpropInput") == decoder and "ResizeNearestNeighbor" not in kinds
    monkeypatch.setattr(fold_upsampling, "folded", lambda nodes, shapes, batch: list(nodes))
    with MakeupSession(model, precision="fp32") as session:
        assert np.abs(session.transfer(*chips) - result).max() < 0.01, "grey levels"
