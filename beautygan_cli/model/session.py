"""A makeup model, opened: a checkpoint folder in, batches of made-up chips out.

A model is data. Of its meta-graph only the part that the asked output needs is kept; that part may hold arithmetic
and nothing else; its sizes are checked before anything of such a size is allocated; its variables are read by the
checkpoint reader and frozen into it. The rest of the meta-graph is never handed to TensorFlow.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beautygan_cli.errors import ModelError
from beautygan_cli.model.checkpoint import CheckpointFiles, bundled_model, find_checkpoint
from beautygan_cli.model.features import Features, check_features, pair_count, repeated_to
from beautygan_cli.model.graph import reason_of
from beautygan_cli.model.measured import processor_flags
from beautygan_cli.model.network import Cut, Network, Run, load_network
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import RUNNING, runtime
from beautygan_cli.model.value_range import to_network, to_pixels

PRECISIONS = ("auto", "fp32", "bf16")
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})  # /proc/cpuinfo's words for bfloat16 arithmetic
BUNDLED_BF16_ERROR = (0.1, 2.0)  # mean and largest difference from fp32 in grey levels of a chip, held by the tests


class MakeupSession:
    """An open model. A context manager; `close` it otherwise.

    `model`: the folder of a checkpoint, or its files as `find_checkpoint` gives them (None: the bundled model).
    `batch_size`: pairs of chips per run, where the graph leaves it free. `precision`: "fp32"; "bf16" for bfloat16
    convolutions, twice as fast on processors that have them; "auto" for bf16 where that is so and the model's error
    with it is known to be invisible, which it is of the bundled one (BUNDLED_BF16_ERROR; `makeup/precision.py` finds
    out about others). `threads`: threads within an operation (None: TensorFlow's choice, all cores).

    Raises ModelError when the folder holds no usable model, ValueError for an impossible option.
    """

    def __init__(
        self,
        model: str | Path | CheckpointFiles | None = None,
        *,
        batch_size: int = 8,
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, but is {batch_size}")
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, but is {precision!r}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, but is {threads}")
        self._batch_size = batch_size
        if precision == "auto":
            precision = "bf16" if model is None and native_bf16() else "fp32"
        self._precision = precision
        self._threads = threads
        self._runs = 0
        self._encoded = 0
        self._networks: dict[str, Network] = {}
        self._closed = False
        self._loading = threading.Lock()

        if not isinstance(model, CheckpointFiles):
            model = find_checkpoint(bundled_model() if model is None else Path(model))
        self._files, self._path = model, model.folder
        self._signature = Signature.load(self._path)
        self._check_digest()
        network = self._network(self._signature.made_up)
        self._signature = dataclasses.replace(self._signature, size=network.size)

    def transfer(self, sources: NDArray[Any], references: NDArray[Any]) -> NDArray[np.float32]:
        """Each source chip wearing the makeup of the reference chip at its side.

        `sources`, `references`: NHWC RGB, uint8 or floats in 0..255, as many of one as of the other, of the size
        that `signature` names. Returns float32 NHWC RGB in 0..255, not rounded. Raises ValueError for chips of
        another shape, ModelError when the network fails on them.
        """
        return self._run(self._signature.made_up, sources, references)

    def remove(self, made_up: NDArray[Any], bare: NDArray[Any]) -> NDArray[np.float32]:
        """Each made-up chip without its makeup, after the example of the bare chip at its side.

        Arrays and errors as in `transfer`. The network for it is loaded by the first call.
        """
        return self._run(self._signature.removed, sources=bare, references=made_up)

    @property
    def can_mix(self) -> bool:
        """Whether the graph can be cut behind encoders of its own for source and reference.

        Where it can't be (as when both chips are joined before the first convolution), `encode_sources`,
        `encode_references` and `decode` raise ModelError.
        """
        return self._network(self._signature.made_up).cut is not None

    def load_removal(self) -> None:
        """Load the network of `remove` now, not at its first call. ModelError as there."""
        self._network(self._signature.removed)

    def prepare(self, *, removal: bool = False, apart: bool = False) -> None:
        """Do now what the first `transfer` would be slower by, while other threads work. ModelError as there.

        removal: the first `remove` in its place; apart: the first `encode_sources`, `encode_references` and `decode`.
        """
        if apart:
            network, cut = self._cut_network()
            for placeholder, tensors in ((network.source, cut.sources), (network.reference, cut.references)):
                self._prepared(network, _without(placeholder, tensors), [placeholder])
            self._prepared(network, [network.output], [*cut.sources, *cut.references])
        else:
            network = self._network(self._signature.removed if removal else self._signature.made_up)
            self._prepared(network, [network.output], [network.source, network.reference])

    def encode_sources(self, chips: NDArray[Any]) -> Features:
        """The source chips as the model sees them, for `decode`.

        `chips`: NHWC RGB, uint8 or floats in 0..255, as in `transfer`. Raises as `transfer`, and ModelError for a
        model that can't mix.
        """
        network, cut = self._cut_network()
        return self._encode(network, "sources", network.source, cut.sources, chips)

    def encode_references(self, chips: NDArray[Any]) -> Features:
        """The reference chips as the model sees them, for `decode`; as `encode_sources`."""
        network, cut = self._cut_network()
        return self._encode(network, "references", network.reference, cut.references, chips)

    def decode(self, sources: Features, references: Features) -> NDArray[np.float32]:
        """What `transfer` gives for the chips that were encoded: each source with the reference at its side.

        As many of one as of the other, or one of either, which then goes with each of the other. Returns float32 NHWC
        RGB in 0..255, not rounded. Raises ValueError for features of another model, otherwise as `transfer`.
        """
        network, cut = self._cut_network()
        check_features("sources", sources, cut.sources)
        check_features("references", references, cut.references)
        count = pair_count(len(sources), len(references))
        results = np.empty((count, network.size, network.size, 3), np.float32)
        for part in self._parts(network, count):
            feeds = {
                **dict(zip(cut.sources, repeated_to(sources, part, count).arrays, strict=True)),
                **dict(zip(cut.references, repeated_to(references, part, count).arrays, strict=True)),
            }
            (values,) = self._run_once(network, [network.output], feeds)
            results[part] = to_pixels(values, self._signature)
        return results

    @property
    def signature(self) -> Signature:
        """The model's contract; its size is the graph's own where the graph has one."""
        return self._signature

    @property
    def precision(self) -> str:
        """What the network computes with: "fp32" or "bf16"."""
        return self._precision

    @property
    def path(self) -> Path:
        """The folder that the model was loaded from."""
        return self._path

    @property
    def runs(self) -> int:
        """How many times a network, or a part of one, has been run."""
        return self._runs

    @property
    def encoded(self) -> int:
        """How many chips have gone through an encoder, alone or in a run of the whole network."""
        return self._encoded

    @property
    def digest(self) -> str:
        """SHA-256 of the checkpoint's data shard (of several: one after the other), in hexadecimal."""
        return self._files.digest

    def close(self) -> None:
        """Free the networks. The session can't be used afterwards; closing it again does nothing."""
        with self._loading:
            for network in self._networks.values():
                network.close()
            self._networks.clear()
            self._closed = True

    def __enter__(self) -> MakeupSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_digest(self) -> None:
        expected = self._signature.sha256
        if expected is not None and self.digest != expected:
            raise ModelError(
                f"{self._files.shards[0]} is not the file that model.json names (its SHA-256 begins with"
                f" {self.digest[:12]}, not {expected[:12]}); copy the model's folder again"
            )

    def _network(self, output: str) -> Network:
        with self._loading:  # two threads would load it twice
            if self._closed:
                raise RuntimeError("this MakeupSession is closed")
            if output not in self._networks:
                self._networks[output] = load_network(
                    self._files, self._signature, output, precision=self._precision, threads=self._threads
                )
            return self._networks[output]

    def _run(self, output: str, sources: NDArray[Any], references: NDArray[Any]) -> NDArray[np.float32]:
        network = self._network(output)
        _check_chips("sources", sources, network.size)
        _check_chips("references", references, network.size)
        if len(sources) != len(references):
            raise ValueError(f"{len(sources)} sources can't be paired with {len(references)} references")
        results = np.empty((len(sources), network.size, network.size, 3), np.float32)
        for part in self._parts(network, len(sources)):
            feeds = {
                network.source: to_network(sources[part], self._signature),
                network.reference: to_network(references[part], self._signature),
            }
            (values,) = self._run_once(network, [network.output], feeds)
            self._encoded += 2 * len(values)
            results[part] = to_pixels(values, self._signature)
        return results

    def _cut_network(self) -> tuple[Network, Cut]:
        network = self._network(self._signature.made_up)
        if network.cut is None:
            raise ModelError(
                f"{self._path} sees source and reference together from its first layer on, so references can't be"
                " mixed with it; use one reference at a time or another model"
            )
        return network, network.cut

    def _encode(
        self, network: Network, name: str, placeholder: Any, cut: Sequence[Any], chips: NDArray[Any]
    ) -> Features:
        _check_chips(name, chips, network.size)
        inner = _without(placeholder, cut)
        arrays = [np.empty((len(chips), *tensor.shape.as_list()[1:]), np.float32) for tensor in cut]
        for part in self._parts(network, len(chips)):
            fed = to_network(chips[part], self._signature)
            values = iter(self._run_once(network, inner, {placeholder: fed}))
            self._encoded += len(fed)
            for tensor, array in zip(cut, arrays, strict=True):
                array[part] = fed if tensor is placeholder else next(values)
        return Features(tuple(arrays))

    def _parts(self, network: Network, count: int) -> Iterator[slice]:
        """So many chips in parts of no more than the network takes at once."""
        step = network.batch or self._batch_size
        return (slice(start, min(start + step, count)) for start in range(0, count, step))

    def _prepared(self, network: Network, fetches: Sequence[Any], feeds: Sequence[Any]) -> Run:
        try:
            return network.prepared(fetches, feeds)
        except runtime().OpError as error:
            raise ModelError(
                f"{self._path}: TensorFlow can't prepare the network ({reason_of(error)}); copy the model again"
            ) from error

    def _run_once(
        self, network: Network, fetches: Sequence[Any], feeds: Mapping[Any, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """One run of the network or a part of it, on no more chips than it takes at once."""
        count = len(next(iter(feeds.values())))
        if network.batch is not None and count < network.batch:
            padding = [*range(count), *[count - 1] * (network.batch - count)]
            feeds = {tensor: values[padding] for tensor, values in feeds.items()}
        call = self._prepared(network, fetches, list(feeds))
        try:
            with RUNNING:
                results = call(*feeds.values()) if network.batch is not None else _one_by_one(call, feeds)
        except runtime().OpError as error:
            raise ModelError(
                f"{self._path}: the network failed on {_pairs(network.batch or count)} of chips at once"
                f" ({reason_of(error)}); try a smaller batch, or copy the model again"
            ) from error
        self._runs += 1
        if any(len(values) != (network.batch or count) for values in results):
            raise ModelError(f"{self._path}: the network doesn't give one result for each pair; use another model")
        if not all(np.isfinite(values).all() for values in results):
            raise ModelError(f"{self._path}: the network gave values that are no numbers; copy the model again")
        return [values[:count] for values in results]


def _without(placeholder: Any, tensors: Sequence[Any]) -> list[Any]:
    """The tensors that a run gives: the placeholder, where it is one of them, is known without."""
    return [tensor for tensor in tensors if tensor is not placeholder]


def _one_by_one(call: Run, feeds: Mapping[Any, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """What a run of several chips gives, chip by chip.

    In one run, a chip's last bits depend on its place among the others, since the work is cut for the threads across
    them; then a photo's result would not be the same bytes in every batch. Alone it takes no longer.
    """
    count = len(next(iter(feeds.values())))
    each = [call(*(values[number : number + 1] for values in feeds.values())) for number in range(count)]
    return [np.concatenate(values) for values in zip(*each, strict=True)]


def native_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor computes with bfloat16 itself; False where the system doesn't tell.

    Without it bfloat16 is worked out in float32 and saves nothing.
    """
    return not BF16_FLAGS.isdisjoint(processor_flags(cpuinfo))


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def _check_chips(name: str, chips: NDArray[Any], size: int) -> None:
    if chips.ndim != 4 or chips.shape[1:] != (size, size, 3):
        raise ValueError(f"{name} must be NHWC RGB of {size} x {size} pixels, but their shape is {chips.shape}")
