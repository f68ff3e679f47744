"""A stand-in for the published model: its names, shapes and kinds of variables, with random weights.

The published checkpoint can't be bundled. What is known of it (node names of the generator, names and shapes of all
variables) is enough to build a graph that loads the same way, at the published width or a smaller one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from beautygan_cli.model.tf_runtime import quiet_tensorflow

EPSILON = 1e-6  # of the instance normalisation, as TensorFlow 1's contrib layer has it


@dataclass(frozen=True)
class StandIn:
    """How to build one. The defaults are the published model's, without what only its training needs."""

    size: int | None = 256  # of a chip; None leaves it open in the placeholders
    built_size: int = 256  # what the decoders' constants are made for where `size` is None
    width: int = 32  # channels after the first convolution
    batch: int | None = 1
    blocks: int = 6
    resource_variables: bool = False
    training: bool = False  # add discriminators, losses, gradients, Adam and its slots
    filler: int = 0  # add so many more dead nodes
    seed: int = 1
    contrast: float = 1.0  # of its results: untrained ones are noise, and roundings in it larger than a trained model's

    def save(self, folder: Path) -> Path:
        """Write the four files of the checkpoint into `folder`, which is made if need be."""
        tf = quiet_tensorflow()
        folder.mkdir(parents=True, exist_ok=True)
        with self.graph() as graph, tf.compat.v1.Session(graph=graph) as session:
            session.run(tf.compat.v1.global_variables_initializer())
            tf.compat.v1.train.Saver().save(session, str(folder / "model"), write_meta_graph=True)
        return folder

    def graph(self) -> Any:
        """The graph, with variables that have initialisers but no values yet, as a context manager."""
        tf = quiet_tensorflow()
        graph = tf.Graph()
        with graph.as_default():
            tf.compat.v1.set_random_seed(self.seed)
            _Builder(self, tf).build()
        return graph.as_default()


def generator_nodes(graph: Any) -> list[str]:
    """Names of the placeholders' and the generator's nodes in graph order, without the variables' initialisers."""
    placeholders = {"X", "MX", "GX", "Y", "learning_rate"}
    return [
        operation.name
        for operation in graph.get_operations()
        if (operation.name in placeholders or operation.name.startswith("generator/"))
        and "/Initializer/" not in operation.name
        and "/Adam" not in operation.name
    ]


class _Builder:
    def __init__(self, recipe: StandIn, tf: Any) -> None:
        self.recipe = recipe
        self.tf = tf
        self.ops = tf.raw_ops
        self.counts: dict[str, int] = {}

    def build(self) -> None:
        source, reference = self.placeholders()
        made_up, removed = self.generator(source, reference)
        if self.recipe.training:
            self.training(source, reference, made_up, removed)
        self.filler()

    def placeholders(self) -> tuple[Any, Any]:
        placeholder, size = self.tf.compat.v1.placeholder, self.recipe.size
        chips = [self.recipe.batch, size, size, 3]
        source = placeholder(self.tf.float32, chips, name="X")
        placeholder(self.tf.float32, chips, name="MX")
        placeholder(self.tf.float32, chips, name="GX")
        reference = placeholder(self.tf.float32, chips, name="Y")
        placeholder(self.tf.float32, [], name="learning_rate")
        return source, reference

    def generator(self, source: Any, reference: Any) -> tuple[Any, Any]:
        features = [self.encoder(source), self.encoder(reference)]
        axis = self.constant(3, "generator/concat/axis")
        value = self.ops.ConcatV2(values=features, axis=axis, name="generator/concat")
        for _ in range(self.recipe.blocks):
            value = self.block(value)
        return self.decoder(value, "generator/xs"), self.decoder(value, "generator/ys")

    def encoder(self, value: Any) -> Any:
        width = self.recipe.width
        for channels, kernel, stride in ((width, 7, 1), (2 * width, 3, 2), (4 * width, 3, 2)):
            value = self.relu(self.normalised(self.convolution(value, channels, kernel, stride)))
        return value

    def block(self, value: Any) -> Any:
        channels = value.shape[-1]
        change = self.relu(self.normalised(self.convolution(value, channels, 3)))
        change = self.normalised(self.convolution(change, channels, 3))
        return self.ops.Add(x=value, y=change, name=self.numbered("add"))

    def decoder(self, value: Any, name: str) -> Any:
        size = self.recipe.size or self.recipe.built_size
        for divisor, channels in ((2, 2 * self.recipe.width), (1, self.recipe.width)):
            resize = self.numbered("ResizeNearestNeighbor")
            target = self.constant([size // divisor, size // divisor], f"{resize}/size")
            value = self.ops.ResizeNearestNeighbor(images=value, size=target, name=resize)
            value = self.relu(self.normalised(self.convolution(value, channels, 3)))
        return self.ops.Tanh(x=self.convolution(value, 3, 7, gain=self.recipe.contrast), name=name)

    def convolution(self, value: Any, channels: int, kernel: int, stride: int = 1, gain: float = 1.0) -> Any:
        name = self.numbered("conv2d")
        inputs, shape = kernel * kernel * value.shape[-1], [kernel, kernel, value.shape[-1], channels]
        weights = self.variable(f"{name}/kernel", shape, 0.0, gain * inputs**-0.5)
        self.constant([1, 1], f"{name}/dilation_rate")
        strides = [1, stride, stride, 1]
        return self.ops.Conv2D(input=value, filter=weights, strides=strides, padding="SAME", name=f"{name}/Conv2D")

    def normalised(self, value: Any) -> Any:
        """Instance normalisation, operation for operation as `moments` and `batchnorm` of TensorFlow 1 build it."""
        ops, name = self.ops, self.numbered("InstanceNorm")
        channels = [value.shape[-1]]
        beta = self.variable(f"{name}/beta", channels, 0.0, 0.1)
        gamma = self.variable(f"{name}/gamma", channels, 1.0, 0.1)
        axes = self.constant([1, 2], f"{name}/moments/mean/reduction_indices")
        mean = ops.Mean(input=value, axis=axes, keep_dims=True, name=f"{name}/moments/mean")
        still = ops.StopGradient(input=mean, name=f"{name}/moments/StopGradient")
        squared = ops.SquaredDifference(x=value, y=still, name=f"{name}/moments/SquaredDifference")
        axes = self.constant([1, 2], f"{name}/moments/variance/reduction_indices")
        variance = ops.Mean(input=squared, axis=axes, keep_dims=True, name=f"{name}/moments/variance")
        epsilon = self.constant(EPSILON, f"{name}/instancenorm/add/y")
        shifted = ops.Add(x=variance, y=epsilon, name=f"{name}/instancenorm/add")
        inverse = ops.Rsqrt(x=shifted, name=f"{name}/instancenorm/Rsqrt")
        inverse = ops.Mul(x=inverse, y=gamma, name=f"{name}/instancenorm/mul")
        scaled = ops.Mul(x=value, y=inverse, name=f"{name}/instancenorm/mul_1")
        centre = ops.Mul(x=mean, y=inverse, name=f"{name}/instancenorm/mul_2")
        offset = ops.Sub(x=beta, y=centre, name=f"{name}/instancenorm/sub")
        return ops.Add(x=scaled, y=offset, name=f"{name}/instancenorm/add_1")

    def relu(self, value: Any) -> Any:
        return self.ops.Relu(features=value, name=self.numbered("Relu"))

    def variable(self, name: str, shape: list[int], mean: float, deviation: float) -> Any:
        variable = self.tf.compat.v1.get_variable(
            name,
            shape,
            initializer=self.tf.compat.v1.random_normal_initializer(mean, deviation, seed=crc32(name.encode())),
            use_resource=self.recipe.resource_variables,
        )
        return variable.value() if self.recipe.resource_variables else variable

    def constant(self, value: Any, name: str) -> Any:
        return self.tf.constant(value, name=name)

    def numbered(self, name: str) -> str:
        number = self.counts.get(name, 0)
        self.counts[name] = number + 1
        return f"generator/{name}_{number}" if number else f"generator/{name}"

    def training(self, source: Any, reference: Any, made_up: Any, removed: Any) -> None:
        """Adversarial training in outline: enough that gradients, slots and discriminators are where they were."""
        v1, tf = self.tf.compat.v1, self.tf
        judged = {
            "discriminator_X": [self.discriminator(chips, "discriminator_X") for chips in (source, removed)],
            "discriminator_Y": [self.discriminator(chips, "discriminator_Y") for chips in (reference, made_up)],
        }
        fooling = sum(tf.reduce_mean(tf.square(fake - 1.0)) for _, fake in judged.values())
        telling = sum(
            tf.reduce_mean(tf.square(real - 1.0)) + tf.reduce_mean(tf.square(fake)) for real, fake in judged.values()
        )
        for loss, scope in ((telling, "discriminator"), (fooling, "generator")):
            variables = [variable for variable in v1.global_variables() if variable.op.name.startswith(scope)]
            variables = [variable for variable in variables if "/Adam" not in variable.op.name]
            v1.train.AdamOptimizer(0.0002, beta1=0.5).minimize(loss, var_list=variables)

    def discriminator(self, value: Any, scope: str) -> Any:
        """Five 4x4 convolutions, doubling the channels from twice the generator's width, then a 3x3 to one channel."""
        v1 = self.tf.compat.v1
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE, use_resource=False):
            for number in range(5):
                name = f"conv2d_{number}" if number else "conv2d"
                channels = 2 * self.recipe.width << number
                kernel = v1.get_variable(f"{name}/kernel", [4, 4, value.shape[-1], channels])
                bias = v1.get_variable(f"{name}/bias", [channels])
                stride = 2 if number < 3 else 1
                value = self.tf.nn.leaky_relu(self.tf.nn.conv2d(value, kernel, stride, "SAME") + bias)
            kernel = v1.get_variable("conv2d_5/kernel", [3, 3, value.shape[-1], 1])
            return self.tf.nn.conv2d(value, kernel, 1, "SAME")

    def filler(self) -> None:
        with self.tf.name_scope("gradients"):
            value = self.tf.constant(0.0, name="filler")
            for _ in range(self.recipe.filler):
                value = self.ops.Neg(x=value)


def published_variables(table: Path) -> Iterator[tuple[str, list[int]]]:
    """Names and shapes from a table of the published checkpoint's variables."""
    for line in table.read_text().splitlines()[1:]:
        name, _, shape = line.partition("\t")
        yield name, [int(number) for number in shape.split(",") if number]
