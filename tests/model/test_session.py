import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY
from standin import StandIn, generator_nodes, published_variables

from beautygan_cli.errors import ModelError
from beautygan_cli.model import limits
from beautygan_cli.model.checkpoint import find_checkpoint, open_reader
from beautygan_cli.model.graph import ALLOWED_OPERATIONS, VARIABLE_OPERATIONS
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow, standard_error_held_back

OFFICIAL = REPOSITORY.parent / "shared" / "official"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the published model's lists are not here")

SIZE = 16  # pixels; the least that a chip may have
SMALL = {"size": SIZE, "width": 2}
MADE_UP, REMOVED = "generator/xs:0", "generator/ys:0"


@pytest.fixture(scope="module")
def standins(tmp_path_factory):
    """Saves a stand-in of some recipe once; gives its folder, not to be written to."""
    folder, saved = tmp_path_factory.mktemp("standins"), {}

    def get(**recipe):
        key = repr(sorted(recipe.items()))
        if key not in saved:
            saved[key] = StandIn(**{**SMALL, **recipe}).save(folder / str(len(saved)))
        return saved[key]

    yield get
    shutil.rmtree(folder)


@pytest.fixture
def model(standins, tmp_path):
    """A copy of a small stand-in with an open batch, to be damaged."""
    return shutil.copytree(standins(batch=None), tmp_path / "model")


def chips(count, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def edit_graph(folder, change):
    """Rewrite the meta-graph of `folder` after `change(graph_def, nodes by name)`."""
    path = folder / "model.meta"
    meta_graph = quiet_tensorflow().compat.v1.MetaGraphDef.FromString(path.read_bytes())
    change(meta_graph.graph_def, {node.name: node for node in meta_graph.graph_def.node})
    path.write_bytes(meta_graph.SerializeToString())


def put_before_output(folder, operation, name="intruder", output="generator/xs", **attributes):
    """Make the output take its input from a node of the given operation."""

    def change(graph_def, nodes):
        node = graph_def.node.add(name=name, op=operation, input=nodes[output].input)
        for key, value in attributes.items():
            node.attr[key].CopyFrom(value)
        del nodes[output].input[:]
        nodes[output].input.append(name)

    edit_graph(folder, change)


def attribute(**value):
    from tensorflow.core.framework.attr_value_pb2 import AttrValue

    return AttrValue(**value)


def tensor(value, **options):
    return attribute(tensor=quiet_tensorflow().make_tensor_proto(value, **options))


def refusal(folder):
    """The one-sentence message with which a folder is refused."""
    with pytest.raises(ModelError) as caught:
        MakeupSession(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    assert message.count(". ") == 0
    return message


def the_plain_way(folder, output, sources, references):
    """Import the whole meta-graph, restore every variable, run: as a TensorFlow 1 script does."""
    v1 = quiet_tensorflow().compat.v1
    with v1.Graph().as_default(), v1.Session() as plain:
        v1.train.import_meta_graph(str(folder / "model.meta")).restore(plain, str(folder / "model"))
        feed = {"X:0": sources / np.float32(127.5) - 1, "Y:0": references / np.float32(127.5) - 1}
        return (plain.run(output, feed) + 1) * 127.5


def node_names(opened, output=MADE_UP):
    return {operation.name for operation in opened._networks[output].graph.get_operations()}


class TestStandIn:
    @needs_official
    def test_its_generator_has_the_published_nodes_in_order(self):
        with StandIn().graph() as graph:
            assert generator_nodes(graph) == (OFFICIAL / "generator_ops.txt").read_text().split()

    @needs_official
    def test_its_variables_are_the_published_ones(self):
        v1 = quiet_tensorflow().compat.v1
        with StandIn(training=True).graph() as graph:
            built = {variable.op.name: variable.shape.as_list() for variable in v1.global_variables()}
            kinds = {graph.get_operation_by_name(name).type for name in built}
        assert built == dict(published_variables(OFFICIAL / "variables.tsv"))
        assert kinds == {"VariableV2"}


class TestTransfer:
    @pytest.mark.parametrize("recipe", [{"batch": None}, {"batch": None, "resource_variables": True}])
    def test_both_outputs_equal_the_plain_restored_graph(self, standins, recipe):
        folder, sources, references = standins(**recipe), chips(3, seed=1), chips(3, seed=2)
        with MakeupSession(folder) as opened:
            made_up = opened.transfer(sources, references)
            removed = opened.remove(references, sources)
        assert made_up.shape == (3, SIZE, SIZE, 3)
        assert made_up.dtype == np.float32
        assert made_up.std() > 20
        np.testing.assert_allclose(made_up, the_plain_way(folder, MADE_UP, sources, references), atol=0.01)
        np.testing.assert_allclose(removed, the_plain_way(folder, REMOVED, sources, references), atol=0.01)
        assert np.abs(made_up - removed).mean() > 5

    def test_reference_and_resource_variables_give_the_same(self, standins):
        pair = chips(1, seed=1), chips(1, seed=2)
        with (
            MakeupSession(standins(batch=None)) as one,
            MakeupSession(standins(batch=None, resource_variables=True)) as other,
        ):
            np.testing.assert_allclose(one.transfer(*pair), other.transfer(*pair), atol=0.01)

    @pytest.mark.parametrize(("batch", "runs"), [(None, 1), (1, 5), (2, 3), (8, 1)])
    def test_the_graphs_batch_is_kept_to_and_changes_nothing(self, standins, batch, runs):
        sources, references = chips(5, seed=1), chips(5, seed=2)
        with MakeupSession(standins(batch=None)) as free, MakeupSession(standins(batch=batch)) as fixed:
            np.testing.assert_allclose(
                fixed.transfer(sources, references), free.transfer(sources, references), atol=0.01
            )
            assert fixed.runs == runs

    def test_batches_are_as_large_as_asked(self, standins):
        with MakeupSession(standins(batch=None), batch_size=2, threads=1) as opened:
            opened.transfer(chips(5), chips(5))
            assert opened.runs == 3
            opened.remove(chips(2), chips(2))
            assert opened.runs == 4

    def test_no_pairs_cost_no_run(self, standins):
        with MakeupSession(standins(batch=None)) as opened:
            assert opened.transfer(chips(0), chips(0)).shape == (0, SIZE, SIZE, 3)
            assert opened.runs == 0

    def test_float_pixels_give_what_uint8_ones_give(self, standins):
        sources, references = chips(2, seed=1), chips(2, seed=2)
        with MakeupSession(standins(batch=None)) as opened:
            np.testing.assert_array_equal(
                opened.transfer(sources.astype(np.float32), references), opened.transfer(sources, references)
            )

    def test_bf16_differs_from_fp32_by_a_bounded_amount(self, standins):
        sources, references = chips(2, seed=1), chips(2, seed=2)
        with (
            MakeupSession(standins(batch=None)) as exact,
            MakeupSession(standins(batch=None), precision="bf16") as rough,
        ):
            difference = np.abs(rough.transfer(sources, references) - exact.transfer(sources, references))
        assert difference.mean() < 4

    def test_chips_of_other_shapes_are_refused(self, standins):
        with MakeupSession(standins(batch=None)) as opened:
            with pytest.raises(ValueError, match="16 x 16"):
                opened.transfer(chips(1, size=17), chips(1))
            with pytest.raises(ValueError, match="references must be NHWC"):
                opened.transfer(chips(1), chips(1)[0])
            with pytest.raises(ValueError, match="2 sources can't be paired with 1"):
                opened.transfer(chips(2), chips(1))

    @pytest.mark.parametrize("option", [{"batch_size": 0}, {"precision": "fp64"}, {"threads": 0}])
    def test_impossible_options_are_refused(self, standins, option):
        with pytest.raises(ValueError, match=next(iter(option))):
            MakeupSession(standins(batch=None), **option)

    def test_a_closed_session_says_so(self, standins):
        opened = MakeupSession(standins(batch=None))
        opened.close()
        opened.close()
        with pytest.raises(RuntimeError, match="closed"):
            opened.transfer(chips(1), chips(1))

    def test_values_that_are_no_numbers_are_refused(self, model):
        put_before_output(model, "Log", T=attribute(type=1))
        with MakeupSession(model) as opened, pytest.raises(ModelError, match="no numbers"):
            opened.transfer(chips(1), chips(1))


class TestLoading:
    def test_dead_nodes_are_not_imported(self, standins):
        lean, full = standins(batch=None), standins(batch=None, training=True, filler=3000)
        with MakeupSession(lean) as one, MakeupSession(full) as other:
            assert node_names(one) == node_names(other)
            assert not [name for name in node_names(other) if "Adam" in name or name.startswith(("save", "gradients"))]
            assert "generator/ys" not in node_names(other)
            types = {operation.type for operation in other._networks[MADE_UP].graph.get_operations()}
        assert not types & VARIABLE_OPERATIONS
        assert not any("Assign" in kind or "Restore" in kind for kind in types)

    def test_the_second_output_is_loaded_when_first_needed(self, standins):
        with MakeupSession(standins(batch=None)) as opened:
            assert list(opened._networks) == [MADE_UP]
            opened.remove(chips(1), chips(1))
            assert list(opened._networks) == [MADE_UP, REMOVED]

    def test_only_the_variables_that_are_needed_are_read(self, standins):
        reader = open_reader(find_checkpoint(standins(batch=None, training=True, filler=3000)))
        with MakeupSession(standins(batch=None, training=True, filler=3000)) as opened:
            variables = {name for name in reader.entries if name.decode() in node_names(opened)}
        # Kernels of one decoder and all before it, less the two that enlargements are folded into; offsets and scales.
        assert len(variables) == 21 - 2 + 2 * 20

    def test_the_size_comes_from_the_graph(self, model):
        Signature(size=64, padding=0.5).save(model)
        with MakeupSession(model) as opened:
            assert opened.signature == Signature(size=SIZE, padding=0.5)
            assert opened.path == model

    def test_an_open_size_comes_from_the_signature(self, standins, tmp_path):
        folder = shutil.copytree(standins(batch=None, size=None, built_size=32), tmp_path / "model")
        assert "model.meta" in refusal(folder)
        Signature(size=32).save(folder)
        with MakeupSession(folder) as opened:
            assert opened.transfer(chips(2, 32), chips(2, 32)).shape == (2, 32, 32, 3)

    def test_the_digest_is_the_shards(self, standins):
        import hashlib

        folder = standins(batch=None)
        expected = hashlib.sha256((folder / "model.data-00000-of-00001").read_bytes()).hexdigest()
        with MakeupSession(folder) as opened:
            assert opened.digest == expected

    @pytest.mark.promise("Known weights")
    def test_a_digest_in_model_json_is_checked(self, model):
        with MakeupSession(model) as opened:
            Signature(sha256=opened.digest).save(model)
        MakeupSession(model).close()
        Signature(sha256="0" * 64).save(model)
        assert "is not the file that model.json names" in refusal(model)

    @pytest.mark.parametrize(
        "written", ["/home/someone/training/model", "../elsewhere/model", r"C:\\training\\model", "./model", "model"]
    )
    def test_of_a_checkpoints_path_only_the_name_counts(self, model, standins, written):
        shutil.copytree(standins(batch=None, seed=2), model.parent / "elsewhere")
        (model / "checkpoint").write_text(f'model_checkpoint_path: "{written}"\n')
        shard = model / "model.data-00000-of-00001"
        with MakeupSession(model) as opened:
            assert opened._files.shards == (shard,)

    @pytest.mark.promise("Hostile models")
    @pytest.mark.parametrize("content", [b"\x00\xff", b"", b'model_checkpoint_path: ".."', b"a: 1", b"{" * 5000])
    def test_a_broken_state_file_is_refused(self, model, content):
        (model / "checkpoint").write_bytes(content)
        assert "checkpoint" in refusal(model)

    def test_without_a_state_file_the_only_meta_graph_is_taken(self, model):
        (model / "checkpoint").unlink()
        MakeupSession(model).close()
        shutil.copy(model / "model.meta", model / "other.meta")
        assert "no file 'checkpoint'" in refusal(model)

    @pytest.mark.promise("Hostile models")
    @pytest.mark.parametrize("name", ["model.meta", "model.index", "model.data-00000-of-00001"])
    @pytest.mark.parametrize("state", ["missing", "empty", "folder", "outside", "loop"])
    def test_each_file_must_be_a_file_in_the_folder(self, model, name, state):
        kept = (model / name).rename(model.parent / "kept")
        if state == "empty":
            (model / name).touch()
        elif state == "folder":
            (model / name).mkdir()
        elif state == "outside":
            (model / name).symlink_to(kept)
        elif state == "loop":
            (model / name).symlink_to(model / name)
        expected = {
            "missing": "copy all four files",
            "empty": "empty",
            "folder": "regular",
            "outside": "outside",
            "loop": "can't be opened",
        }
        message = refusal(model)
        assert name in message
        assert expected[state] in message

    def test_a_link_within_the_folder_is_followed(self, model):
        shard = model / "model.data-00000-of-00001"
        shard.rename(model / "weights")
        shard.symlink_to("weights")
        MakeupSession(model).close()

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_pipe_is_refused(self, model):
        (model / "model.meta").unlink()
        os.mkfifo(model / "model.meta")
        assert "not a regular file" in refusal(model)

    def test_what_is_no_folder_is_refused(self, tmp_path, model):
        assert "does not exist" in refusal(tmp_path / "nowhere")
        assert "is a file" in refusal(model / "model.meta")
        (tmp_path / "empty").mkdir()
        assert "lacks model.meta" in refusal(tmp_path / "empty")


@pytest.mark.promise("Hostile models")
class TestBrokenCheckpoints:
    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
    def test_a_truncated_shard_is_refused(self, model, kept):
        shard = model / "model.data-00000-of-00001"
        os.truncate(shard, int(shard.stat().st_size * kept))
        assert "does not fit model.index" in refusal(model)

    def test_a_shard_of_another_training_is_refused(self, model, standins):
        shutil.copy(standins(batch=None, seed=2) / "model.data-00000-of-00001", model)
        assert "does not fit model.index" in refusal(model)

    def test_a_damaged_shard_is_refused(self, model):
        shard = model / "model.data-00000-of-00001"
        content = bytearray(shard.read_bytes())
        content[len(content) // 2 :: 500] = bytes(len(content[len(content) // 2 :: 500]))
        shard.write_bytes(content)
        assert "does not fit model.index" in refusal(model)

    def test_index_and_shard_of_another_model_are_refused(self, model, standins):
        other = standins(batch=None, width=3)
        for name in ("model.index", "model.data-00000-of-00001"):
            shutil.copy(other / name, model)
        message = refusal(model)
        assert "copy all files of one checkpoint" in message
        assert "has the shape" in message

    def test_an_index_that_lacks_a_variable_is_refused(self, model, standins):
        other = standins(batch=None, blocks=5)
        for name in ("model.index", "model.data-00000-of-00001"):
            shutil.copy(other / name, model)
        message = refusal(model)
        assert "has no variable" in message or "has the shape" in message

    @needs_official
    def test_the_published_index_does_not_fit_a_small_shard(self, model):
        shutil.copy(OFFICIAL / "model.index", model)
        message = refusal(model)
        assert "does not fit model.index" in message
        assert "359172112" in message  # 89,793,028 numbers of four bytes

    def test_a_garbled_index_is_refused(self, model):
        (model / "model.index").write_bytes(b"\x00" * 500)
        assert "not the index of a TensorFlow checkpoint" in refusal(model)

    @pytest.mark.promise("Hostile models", trials=100)
    def test_damaged_indexes_are_read_or_refused(self, model, trials):
        whole = (model / "model.index").read_bytes()
        files = find_checkpoint(model)
        random = np.random.default_rng(1)
        for _ in range(trials):
            damaged = np.frombuffer(whole, np.uint8).copy()
            damaged[random.integers(0, len(damaged), 3)] = random.integers(0, 256, 3)
            (model / "model.index").write_bytes(damaged.tobytes())
            try:
                open_reader(files)
            except ModelError as error:
                assert "\n" not in str(error)

    @pytest.mark.parametrize("content", [b"\xff" * 1000, b"text, not a graph", b"\x0a\x00"])
    def test_a_garbled_meta_graph_is_refused(self, model, content):
        (model / "model.meta").write_bytes(content)
        assert "model.meta" in refusal(model)

    def test_a_truncated_meta_graph_is_refused(self, model):
        meta = model / "model.meta"
        os.truncate(meta, meta.stat().st_size // 2)
        assert "not a TensorFlow meta-graph" in refusal(model)

    @pytest.mark.parametrize("name", ["X", "Y", "generator/xs", "generator/ys"])
    def test_a_missing_tensor_is_named(self, model, name):
        def rename(_, nodes):
            nodes[name].name = "elsewhere"

        edit_graph(model, rename)
        assert f"no tensor '{name}:0'" in refusal(model)

    def test_a_missing_inner_node_is_named(self, model):
        edit_graph(model, lambda graph_def, nodes: graph_def.node.remove(nodes["generator/Relu_3"]))
        assert "lacks the node 'generator/Relu_3'" in refusal(model)

    def test_two_nodes_of_one_name_are_refused(self, model):
        edit_graph(model, lambda graph_def, nodes: graph_def.node.add().CopyFrom(nodes["generator/concat"]))
        assert "two nodes of the same name" in refusal(model)


@pytest.mark.promise("Hostile models")
class TestHostileGraphs:
    @pytest.mark.parametrize(
        "operation",
        [
            "ReadFile",
            "WriteFile",
            "PyFunc",
            "EagerPyFunc",
            "LoadLibrary",
            "LoadDataset",
            "PrintV2",
            "Assert",
            "RandomUniform",
            "Assign",
            "RestoreV2",
            "SaveV2",
            "While",
            "Enter",
            "Where",
            "DecodeRaw",
            "StatefulPartitionedCall",
            "IteratorGetNext",
            "NoSuchOperation",
        ],
    )
    def test_an_operation_that_is_not_allowed_is_named(self, model, operation):
        put_before_output(model, operation)
        message = refusal(model)
        assert f"'{operation}'" in message
        assert "'intruder'" in message

    def test_nothing_that_is_allowed_writes_reads_or_calls(self):
        from tensorflow.python.framework import op_def_registry

        stateful = {
            name
            for name in ALLOWED_OPERATIONS
            if (definition := op_def_registry.get(name)) is None or definition.is_stateful
        }
        # Variables and their readings are replaced before TensorFlow sees them.
        assert stateful <= VARIABLE_OPERATIONS | {"ReadVariableOp"}

    @pytest.mark.parametrize("attached", ["dead", "control"])
    def test_what_is_not_needed_never_runs(self, model, attached):
        target = model.parent / "written"

        def change(graph_def, nodes):
            text = attribute(type=quiet_tensorflow().string.as_datatype_enum)
            for name, value in (("path", str(target)), ("text", "gotcha")):
                node = graph_def.node.add(name=name, op="Const")
                node.attr["dtype"].CopyFrom(text)
                node.attr["value"].CopyFrom(tensor(value))
            graph_def.node.add(name="writer", op="WriteFile", input=["path", "text"])
            if attached == "control":
                nodes["generator/xs"].input.append("^writer")

        edit_graph(model, change)
        with MakeupSession(model) as opened:
            opened.transfer(chips(1), chips(1))
            assert "writer" not in node_names(opened)
        assert not target.exists()

    def test_cyclic_control_inputs_are_dropped(self, model):
        def change(_, nodes):
            nodes["generator/concat"].input.append("^generator/xs")
            nodes["generator/xs"].input.append("^generator/xs")
            nodes["X"].input.append("^generator/concat")

        edit_graph(model, change)
        with MakeupSession(model) as opened:
            opened.transfer(chips(1), chips(1))

    @pytest.mark.parametrize("back_to", ["generator/xs", "generator/Relu_3"])
    def test_a_graph_that_runs_in_a_circle_is_refused(self, model, back_to):
        def change(_, nodes):
            nodes["generator/Relu_3"].input[0] = back_to

        edit_graph(model, change)
        assert "circle" in refusal(model)

    def test_a_deep_graph_is_walked_without_recursion(self, model):
        def change(graph_def, nodes):
            last = nodes["generator/xs"].input[0]
            for number in range(limits.MAX_KEPT_NODES):
                graph_def.node.add(name=f"deep{number}", op="Identity", input=[last])
                last = f"deep{number}"
            nodes["generator/xs"].input[0] = last

        edit_graph(model, change)
        assert "more than the 20000 nodes" in refusal(model)

    def test_calls_of_functions_are_refused(self, model):
        put_before_output(model, "helper")
        edit_graph(model, lambda graph_def, _: graph_def.library.function.add().signature.MergeFrom(_named("helper")))
        assert "calls the function 'helper'" in refusal(model)

    def test_a_function_among_the_settings_is_refused(self, model):
        put_before_output(model, "Identity", f=attribute(func={"name": "helper"}))
        assert "calls the function 'helper'" in refusal(model)

    def test_a_function_that_takes_an_operations_name_is_refused(self, model):
        edit_graph(model, lambda graph_def, _: graph_def.library.function.add().signature.MergeFrom(_named("Relu")))
        assert "calls the function 'Relu'" in refusal(model)

    def test_devices_and_private_attributes_are_dropped(self, model):
        def change(_, nodes):
            for node in nodes.values():
                node.device = "/job:worker/device:GPU:7"
                node.attr["_class"].list.s.append(b"loc:@nowhere")

        edit_graph(model, change)
        with MakeupSession(model) as opened:
            opened.transfer(chips(1), chips(1))

    def test_a_gigantic_constant_is_refused_by_its_declared_shape(self, model):
        huge = tensor(1.0, shape=[])
        for _ in range(4):
            huge.tensor.tensor_shape.dim.add(size=1 << 20)
        put_before_output(model, "Const", dtype=attribute(type=1), value=huge)
        edit_graph(model, lambda _, nodes: nodes["intruder"].ClearField("input"))
        assert "256 MB" in refusal(model)

    @pytest.mark.parametrize("size", [-1, -(1 << 40)])
    def test_a_constant_of_negative_size_is_refused(self, model, size):
        def change(_, nodes):
            nodes["generator/concat/axis"].attr["value"].tensor.tensor_shape.dim.add(size=size)

        edit_graph(model, change)
        assert "not made of numbers" in refusal(model)

    @pytest.mark.parametrize("size", [[2**30, 2**30], [60_000, 60_000], [20_000, 20_000], [-1, -1], [-65536, 8]])
    def test_gigantic_tensors_are_refused_before_they_are_made(self, model, size):
        def change(_, nodes):
            nodes["generator/ResizeNearestNeighbor/size"].attr["value"].CopyFrom(tensor(size, dtype="int32"))

        edit_graph(model, change)
        refusal(model)

    def test_a_failing_run_is_told_in_one_sentence(self, model):
        def change(_, nodes):
            nodes["generator/ResizeNearestNeighbor/size"].attr["value"].CopyFrom(tensor([0, 0], dtype="int32"))

        edit_graph(model, change)
        with MakeupSession(model) as opened, pytest.raises(ModelError, match="the network failed on 1 pair") as caught:
            opened.transfer(chips(1), chips(1))
        assert "\n" not in str(caught.value)

    def test_constants_that_grow_by_folding_are_refused(self, model):
        def change(graph_def, nodes):
            one = graph_def.node.add(name="one", op="Const")
            one.attr["dtype"].type = 3
            one.attr["value"].CopyFrom(tensor([1], dtype="int32"))
            huge = graph_def.node.add(name="many", op="Const")
            huge.attr["dtype"].type = 3
            huge.attr["value"].CopyFrom(tensor([1 << 30], dtype="int32"))
            tile = graph_def.node.add(name="tile", op="Tile", input=["one", "many"])
            tile.attr["T"].type = tile.attr["Tmultiples"].type = 3
            nodes["generator/ResizeNearestNeighbor"].input[1] = "tile"

        edit_graph(model, change)
        assert "'tile:0' is out of all bounds" in refusal(model)

    def test_many_large_tensors_at_once_are_refused(self, model):
        """Each is within its bound, and so is their sum; none can be let go before all of them are there."""

        def change(graph_def, nodes):
            times = graph_def.node.add(name="times", op="Const")
            times.attr["dtype"].type = 3
            times.attr["value"].CopyFrom(tensor([1 << 25], dtype="int32"))
            one = graph_def.node.add(name="one", op="Const")
            one.attr["dtype"].type = 1
            one.attr["value"].CopyFrom(tensor([1.0]))
            axis = graph_def.node.add(name="axis", op="Const")
            axis.attr["dtype"].type = 3
            axis.attr["value"].CopyFrom(tensor([0], dtype="int32"))
            for number in range(28):
                tile = graph_def.node.add(name=f"tile{number}", op="Tile", input=["one", "times"])
                tile.attr["T"].type, tile.attr["Tmultiples"].type = 1, 3
            every = graph_def.node.add(name="every", op="AddN", input=[f"tile{number}" for number in range(28)])
            every.attr["T"].type, every.attr["N"].i = 1, 28
            mean = graph_def.node.add(name="mean", op="Mean", input=["every", "axis"])
            mean.attr["T"].type, mean.attr["Tidx"].type = 1, 3
            output = nodes["generator/xs"]
            added = graph_def.node.add(name="made", op="AddV2", input=["generator/xs_before", "mean"])
            added.attr["T"].type = 1
            added.name, output.name = "generator/xs", "generator/xs_before"

        edit_graph(model, change)
        assert "at the same time" in refusal(model)

    def test_a_setting_out_of_bounds_is_refused(self, model):
        put_before_output(model, "Split", T=attribute(type=1), num_split=attribute(i=1 << 30))
        assert "setting out of all bounds" in refusal(model)

    @pytest.mark.parametrize("bound", ["MAX_VARIABLES", "MAX_VARIABLE_NUMBERS"])
    def test_too_many_variables_or_too_large_ones_are_refused(self, model, bound, monkeypatch):
        monkeypatch.setattr(limits, bound, 10)
        assert "use a smaller one" in refusal(model)

    @pytest.mark.parametrize("bound", ["MAX_META_BYTES", "MAX_INDEX_BYTES", "MAX_SHARD_BYTES", "MAX_GRAPH_NODES"])
    def test_files_that_are_too_large_are_refused(self, model, bound, monkeypatch):
        monkeypatch.setattr(limits, bound, 100)
        assert "more than" in (message := refusal(model)) or "larger than" in message

    @pytest.mark.parametrize(
        ("shape", "words"),
        [
            ([-1, SIZE, SIZE, 1], "must be NHWC RGB"),
            ([-1, SIZE, SIZE], "must be NHWC RGB"),
            ([-1, SIZE, 2 * SIZE, 3], "unequal numbers or sizes"),
            ([3, SIZE, SIZE, 3], "unequal numbers or sizes"),
            ([-1, 8, 8, 3], "unequal numbers or sizes"),
        ],
    )
    def test_placeholders_of_other_shapes_are_refused(self, model, shape, words):
        def change(_, nodes):
            for name, sizes in (("X", shape), ("Y", [1, SIZE, SIZE, 3])):
                nodes[name].attr["shape"].Clear()
                for size in sizes:
                    nodes[name].attr["shape"].shape.dim.add(size=size)

        edit_graph(model, change)
        assert words in refusal(model)

    @pytest.mark.parametrize("batch", [0, 257, 1 << 40])
    def test_a_batch_out_of_bounds_is_refused(self, model, batch):
        def change(_, nodes):
            for name in "XY":
                nodes[name].attr["shape"].shape.dim[0].size = batch

        edit_graph(model, change)
        assert f"takes {batch} pairs at once" in refusal(model)

    def test_placeholders_of_another_type_are_refused(self, model):
        def change(_, nodes):
            nodes["X"].attr["dtype"].type = 2

        edit_graph(model, change)
        assert "must take float32" in refusal(model)

    def test_a_tensor_that_is_no_placeholder_is_refused(self, model):
        Signature(source="generator/concat:0").save(model)
        assert "is not a placeholder" in refusal(model)

    def test_an_output_that_is_no_chip_is_refused(self, model):
        Signature(made_up="generator/concat:0").save(model)
        assert "'generator/concat:0' must be float32" in refusal(model)
        Signature(made_up="generator/xs:3").save(model)
        assert "no tensor 'generator/xs:3'" in refusal(model)

    def test_one_tensor_can_not_be_source_and_reference(self, model):
        Signature(reference="X:0").save(model)
        assert "same tensor" in refusal(model)

    def test_a_placeholder_that_nobody_feeds_is_refused(self, model):
        edit_graph(model, lambda _, nodes: nodes["generator/Relu_3"].input.__setitem__(0, "MX"))
        assert "the placeholder 'MX' must be fed" in refusal(model)

    def test_a_placeholder_with_a_default_takes_it(self, model, standins):
        float_type = attribute(type=1)
        shape = attribute(shape=quiet_tensorflow().TensorShape(None).as_proto())
        put_before_output(model, "PlaceholderWithDefault", dtype=float_type, shape=shape)
        pair = chips(1), chips(1, seed=1)
        with MakeupSession(model) as one, MakeupSession(standins(batch=None)) as other:
            np.testing.assert_allclose(one.transfer(*pair), other.transfer(*pair), atol=0.01)

    @pytest.mark.parametrize("change", ["few inputs", "many inputs", "type", "index", "text"])
    def test_nodes_that_do_not_fit_their_operation_are_refused(self, model, change):
        def apply(_, nodes):
            node = nodes["generator/concat"]
            if change == "few inputs":
                del node.input[1:]
            elif change == "many inputs":
                node.input.append("X")
            elif change == "type":
                node.attr["T"].type = 9
            elif change == "index":
                node.input[0] += ":7"
            else:
                nodes["generator/concat/axis"].attr["dtype"].type = 7
                nodes["generator/concat/axis"].attr["value"].CopyFrom(tensor("text"))

        edit_graph(model, apply)
        refusal(model)

    def test_names_from_the_file_are_escaped_in_messages(self, model):
        put_before_output(model, "Evil\x1b[2J\n" + "x" * 5000)
        message = refusal(model)
        assert "\x1b" not in message
        assert len(message) < 1000

    @pytest.mark.promise("Hostile models", trials=200)
    def test_damaged_meta_graphs_are_loaded_or_refused(self, model, trials):
        whole = (model / "model.meta").read_bytes()
        random = np.random.default_rng(1)
        for _ in range(trials):
            damaged = np.frombuffer(whole, np.uint8).copy()
            damaged[random.integers(0, len(damaged), 5)] = random.integers(0, 256, 5)
            (model / "model.meta").write_bytes(damaged.tobytes())
            try:
                MakeupSession(model).close()
            except ModelError as error:
                assert "\n" not in str(error)


def _named(name):
    from tensorflow.core.framework.op_def_pb2 import OpDef

    return OpDef(name=name)


class TestQuiet:
    def test_nothing_of_tensorflow_reaches_the_user(self, standins):
        script = (
            "import sys, numpy as np; from beautygan_cli.model.session import MakeupSession\n"
            "assert 'tensorflow' not in sys.modules\n"
            "chips = np.zeros((1, 16, 16, 3), np.uint8)\n"
            "with MakeupSession(sys.argv[1]) as opened:\n"
            "    opened.transfer(chips, chips); opened.remove(chips, chips)\n"
        )
        result = run_python(script, str(standins(batch=None)), folder=REPOSITORY)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")

    def test_what_was_held_back_is_told_when_the_import_fails(self, capfd):
        with pytest.raises(ImportError), standard_error_held_back():
            os.write(2, b"a library is missing\n")
            raise ImportError
        assert capfd.readouterr().err == "a library is missing\n"

    def test_what_was_held_back_is_dropped_otherwise(self, capfd):
        with standard_error_held_back():
            os.write(2, b"chatter\n")
        os.write(2, b"after\n")
        assert capfd.readouterr().err == "after\n"


class TestBundledModel:
    @pytest.mark.parametrize("layout", ["installed", "checkout", "both", "neither"])
    def test_it_is_found_in_the_package_or_else_beside_it(self, tmp_path, layout):
        root = tmp_path.resolve()
        package = root / "beautygan_cli"
        package.mkdir()
        (package / "__init__.py").touch()
        shutil.copy(REPOSITORY / "beautygan_cli" / "errors.py", package)
        shutil.copytree(REPOSITORY / "beautygan_cli" / "model", package / "model")
        installed, checkout = package / "bundled" / "default", root / "models" / "default"
        if layout in ("installed", "both"):
            installed.mkdir(parents=True)
        if layout in ("checkout", "both"):
            checkout.mkdir(parents=True)
        result = run_python(
            "from beautygan_cli.model.checkpoint import bundled_model; print(bundled_model())", folder=root
        )
        if layout == "neither":
            assert "ModelError: the bundled model is missing" in result.stderr
        else:
            assert result.stdout.strip() == str(checkout if layout == "checkout" else installed), result.stderr


def run_python(script, *arguments, folder):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_published_width_and_twelve_thousand_nodes(tmp_path):
    folder = StandIn(batch=1, training=True, filler=7500).save(tmp_path / "model")
    assert (folder / "model.data-00000-of-00001").stat().st_size > 350_000_000
    sources, references = chips(1, 256, seed=1), chips(1, 256, seed=2)
    with MakeupSession(folder) as opened:
        made_up = opened.transfer(sources, references)
        assert len(node_names(opened)) < 500
    np.testing.assert_allclose(made_up, the_plain_way(folder, MADE_UP, sources, references), atol=0.05)
    shutil.rmtree(folder)
