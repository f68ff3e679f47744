"""The networks of other methods that `benchmarks/peers.py` compares: they run, and have the parameters that are stated.

Small images leave the parameters as they are, since no layer's weights depend on the size.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import peers

SIZE = 32
STATED = {"PSGAN": 12.62e6}  # BeautyREC (arXiv 2212.05855) counts it; of the others no count is known


@pytest.mark.parametrize("name", peers.PEERS)
def test_a_peer_gives_an_image_and_has_the_parameters_that_are_stated(name: str, tmp_path: Path) -> None:
    file = tmp_path / "peer.pb"
    file.write_bytes(peers.built(name, SIZE).SerializeToString())
    run, parameters = peers.opened_peer(file, "fp32", SIZE)
    (image,) = run()
    assert image.shape == (1, SIZE, SIZE, 3)
    assert np.isfinite(image).all() and image.std() > 0
    if name in STATED:
        assert parameters == pytest.approx(STATED[name], rel=0.15)


def test_windows_that_overlap_add_up_to_one() -> None:
    import tensorflow as tf

    random = np.random.default_rng(0)
    queries, keys = (tf.constant(random.normal(size=(1, 32, 32, 4)).astype(np.float32)) for _ in range(2))
    blended = peers.in_windows(queries, keys, tf.ones((1, 32, 32, 3)))
    np.testing.assert_allclose(blended, np.ones((1, 32, 32, 3)), rtol=1e-5)


def test_a_map_sampled_at_its_own_pixels_is_itself() -> None:
    import tensorflow as tf

    values = np.random.default_rng(0).normal(size=(1, 8, 8, 2)).astype(np.float32)
    places = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij"), axis=-1)[None].astype(np.float32)
    np.testing.assert_allclose(peers.sampled(tf.constant(values), tf.constant(places)), values, rtol=1e-6)
