"""Encoders and decoder run apart: what `encode_sources`, `encode_references` and `decode` give."""

import shutil

import numpy as np
import pytest
from standin import StandIn

from beautygan_cli.errors import ModelError
from beautygan_cli.model.features import Features
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow

SIZE = 16
SMALL = {"size": SIZE, "width": 2}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Small stand-ins of the published model: with an open batch, and fixed to one pair and to three."""
    root = tmp_path_factory.mktemp("standins")
    return {batch: StandIn(**SMALL, batch=batch).save(root / f"batch{batch}") for batch in (None, 1, 3)}


@pytest.fixture(params=[None, 1, 3])
def opened(request, folders):
    with MakeupSession(folders[request.param], batch_size=2) as opened:
        yield opened


def chips(count, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_encoding_and_decoding_give_what_a_transfer_gives(opened):
    sources, references = chips(4, seed=1), chips(4, seed=2)
    apart = opened.decode(opened.encode_sources(sources), opened.encode_references(references))
    assert apart.dtype == np.float32
    np.testing.assert_allclose(apart, opened.transfer(sources, references), atol=0.01)
    assert np.abs(apart - opened.transfer(sources, references[::-1])).mean() > 1


def test_the_bundled_model_gives_the_same_apart(session):
    size = session.signature.size
    sources, references = chips(3, size, seed=1), chips(3, size, seed=2)
    apart = session.decode(session.encode_sources(sources), session.encode_references(references))
    np.testing.assert_allclose(apart, session.transfer(sources, references), atol=0.01)


def test_one_source_goes_with_each_reference_and_the_other_way_round(opened):
    one, several = chips(1, seed=1), chips(3, seed=2)
    repeated = np.repeat(one, 3, axis=0)
    with_each = opened.decode(opened.encode_sources(one), opened.encode_references(several))
    np.testing.assert_allclose(with_each, opened.transfer(repeated, several), atol=0.01)
    on_each = opened.decode(opened.encode_sources(several), opened.encode_references(one))
    np.testing.assert_allclose(on_each, opened.transfer(several, repeated), atol=0.01)


def test_each_chip_is_encoded_once_and_runs_are_as_few_as_batches_allow(folders):
    with MakeupSession(folders[None], batch_size=4) as opened:
        sources, references = opened.encode_sources(chips(1)), opened.encode_references(chips(9))
        assert (opened.encoded, opened.runs) == (10, 1 + 3)
        opened.decode(sources, references)
        assert (opened.encoded, opened.runs) == (10, 1 + 3 + 3)
        opened.transfer(chips(2), chips(2))
        assert opened.encoded == 14


def test_parts_of_features_are_the_features_of_parts(opened):
    whole, last = opened.encode_references(chips(5)), opened.encode_references(chips(5)[3:])
    assert len(whole) == 5
    for part in (whole[3:], whole.take([3, 4]), Features.joined([whole[3], whole[4]])):
        assert len(part) == 2
        for array, expected in zip(part.arrays, last.arrays, strict=True):
            np.testing.assert_allclose(array, expected, atol=1e-4)


class TestMixing:
    def test_a_weight_of_one_gives_the_single_features_to_the_bit(self, opened):
        first, second = (opened.encode_references(chips(2, seed=seed)) for seed in (1, 2))
        for parts in ([(first, 1.0), (second, 0.0)], [(second, 0), (first, 7)], [(first, 0.3)]):
            mixed = Features.mixed(parts)
            assert all(np.array_equal(a, b) for a, b in zip(mixed.arrays, first.arrays, strict=True))

    def test_weights_are_scaled_to_a_sum_of_one(self, opened):
        first, second = (opened.encode_references(chips(2, seed=seed)) for seed in (1, 2))
        mixed = Features.mixed([(first, 3), (second, 1)])
        for array, a, b in zip(mixed.arrays, first.arrays, second.arrays, strict=True):
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, 0.75 * a + 0.25 * b, atol=1e-5)

    def test_a_mixture_lies_between_its_two_looks(self, session):
        size = session.signature.size
        source = session.encode_sources(chips(1, size))
        dark, light = (session.encode_references(np.full((1, size, size, 3), v, np.uint8)) for v in (60, 200))
        made_up = [session.decode(source, Features.mixed([(dark, 1 - share), (light, share)])) for share in (0, 0.5, 1)]
        whole, half = (np.abs(made_up[i] - made_up[0]).mean() for i in (2, 1))
        assert 0 < half < whole

    @pytest.mark.parametrize("weights", [(), (0, 0), (1, -1), (-1,), (1, float("nan")), (float("inf"), 1)])
    def test_impossible_weights_are_refused(self, opened, weights):
        features = opened.encode_references(chips(1))
        with pytest.raises(ValueError, match="weights must be 0 or more"):
            Features.mixed([(features, weight) for weight in weights])

    def test_features_that_do_not_belong_together_are_refused(self, opened):
        two, three = (opened.encode_references(chips(count)) for count in (2, 3))
        with pytest.raises(ValueError, match="unequal numbers"):
            Features.mixed([(two, 1), (three, 1)])
        with pytest.raises(ValueError, match="same side of the same model"):
            Features.mixed([(two, 1), (Features(two.arrays[:-1]), 1)])


class TestRefusals:
    def test_features_of_another_model_are_refused(self, opened, session):
        other = session.encode_sources(chips(1, session.signature.size))
        with pytest.raises(ValueError, match="sources are features of another model"):
            opened.decode(other, opened.encode_references(chips(1)))

    def test_numbers_that_make_no_pairs_are_refused(self, opened):
        with pytest.raises(ValueError, match="2 sources can't be paired with 3 references"):
            opened.decode(opened.encode_sources(chips(2)), opened.encode_references(chips(3)))

    def test_chips_of_another_size_are_refused(self, opened):
        with pytest.raises(ValueError, match="sources must be NHWC"):
            opened.encode_sources(chips(1, 32))

    def test_a_model_that_joins_its_inputs_at_once_says_that_it_can_not_mix(self, tmp_path):
        tf = quiet_tensorflow()
        v1 = tf.compat.v1
        with v1.Graph().as_default(), v1.Session() as plain:
            source, reference = (v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name=name) for name in "XY")
            joined = tf.concat([source, reference], axis=3)
            for name in ("generator/xs", "generator/ys"):
                kernel = v1.get_variable(f"{name}/kernel", [3, 3, 6, 3])
                tf.identity(tf.nn.conv2d(joined, kernel, 1, "SAME"), name=name)
            plain.run(v1.global_variables_initializer())
            v1.train.Saver().save(plain, str(tmp_path / "model"))
        with MakeupSession(tmp_path) as opened:
            assert not opened.can_mix
            assert opened.transfer(chips(1), chips(1)).shape == (1, SIZE, SIZE, 3)
            for call in (opened.encode_sources, opened.encode_references, lambda _: opened.decode(None, None)):
                with pytest.raises(ModelError, match="can't be mixed with it") as caught:
                    call(chips(1))
                assert str(tmp_path) in str(caught.value)

    def test_models_with_encoders_can_mix(self, opened, session):
        assert opened.can_mix
        assert session.can_mix


def test_a_size_taken_from_the_source_is_worked_out_again_from_it(folders, tmp_path):
    model = shutil.copytree(folders[None], tmp_path / "model")
    tf = quiet_tensorflow()
    path = model / "model.meta"
    meta_graph = tf.compat.v1.MetaGraphDef.FromString(path.read_bytes())
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    # The output passes through a reshape to the source's own shape: an int32 that both depend on.
    shape = meta_graph.graph_def.node.add(name="own_shape", op="Shape", input=["X"])
    shape.attr["T"].type, shape.attr["out_type"].type = 1, 3
    same = meta_graph.graph_def.node.add(name="same", op="Reshape", input=[*nodes["generator/xs"].input, "own_shape"])
    same.attr["T"].type, same.attr["Tshape"].type = 1, 3
    del nodes["generator/xs"].input[:]
    nodes["generator/xs"].input.append("same")
    path.write_bytes(meta_graph.SerializeToString())
    Signature().save(model)
    sources, references = chips(2, seed=1), chips(2, seed=2)
    with MakeupSession(model) as opened:
        apart = opened.decode(opened.encode_sources(sources), opened.encode_references(references))
        np.testing.assert_allclose(apart, opened.transfer(sources, references), atol=0.01)
