"""BeautyGAN's graph: two encoders, their features joined, residual blocks, two decoders.

The names `X`, `Y`, `generator/xs` and `generator/ys` are the published model's. Other than there, the decoders also see
both encoders' features of their own size and the two inputs, and give what is to be added to the input; and only the
residual blocks normalise, since instance normalisation elsewhere takes the absolute colour away that makeup is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WIDTH = 16
BLOCKS = 5


def placeholders(size: int) -> tuple[Any, Any]:
    """`X` and `Y`: (None, size, size, 3) float32 RGB in [-1, 1]."""
    import tensorflow as tf

    shape = (None, size, size, 3)
    return tf.compat.v1.placeholder(tf.float32, shape, "X"), tf.compat.v1.placeholder(tf.float32, shape, "Y")


def generator(source: Any, reference: Any, width: int = WIDTH) -> tuple[Any, Any]:
    """`generator/xs`, the source made up, and `generator/ys`, the reference with its makeup off; shapes as the inputs'.

    Called again in the same graph it reuses the variables.
    """
    import tensorflow as tf

    with tf.compat.v1.variable_scope("generator", reuse=tf.compat.v1.AUTO_REUSE):
        source_features = _encoder(source, width, "source")
        reference_features = _encoder(reference, width, "reference")
        joined = tf.concat([source_features[-1], reference_features[-1]], axis=3, name="concat")
        for index in range(BLOCKS):
            joined = _residual(joined, f"residual_{index}")
        inputs = tf.concat([source, reference], axis=3)
        made_up = _decoder(joined, source_features, reference_features, inputs, width, "made_up")
        removed = _decoder(joined, source_features, reference_features, inputs, width, "removed")
        xs = tf.clip_by_value(source + made_up, -1.0, 1.0)
        ys = tf.clip_by_value(reference + removed, -1.0, 1.0)
    return xs, ys


def named(xs: Any, ys: Any) -> tuple[Any, Any]:
    """The two outputs under the names that the contract gives them."""
    import tensorflow as tf

    return tf.identity(xs, "generator/xs"), tf.identity(ys, "generator/ys")


def _encoder(pixels: Any, width: int, name: str) -> list[Any]:
    """Features at full size, 1/2, 1/4 and 1/8."""
    import tensorflow as tf

    features = [tf.nn.relu(_conv(pixels, width, 7, 1, f"encoder_{name}_0"))]
    for index, channels in enumerate((2 * width, 4 * width, 4 * width), start=1):
        features.append(tf.nn.relu(_conv(features[-1], channels, 3, 2, f"encoder_{name}_{index}")))
    return features


def _residual(values: Any, name: str) -> Any:
    import tensorflow as tf

    channels = values.shape[-1]
    inner = tf.nn.relu(_norm(_conv(values, channels, 3, 1, f"{name}_a"), f"{name}_a"))
    return values + _norm(_conv(inner, channels, 3, 1, f"{name}_b"), f"{name}_b")


def _decoder(joined: Any, first: list[Any], second: list[Any], inputs: Any, width: int, name: str) -> Any:
    """What is to be added to the input, (N, S, S, 3)."""
    import tensorflow as tf

    values = joined
    for index, channels in enumerate((4 * width, 2 * width, width)):
        size = values.shape[1] * 2
        values = tf.compat.v1.image.resize_nearest_neighbor(values, (size, size))
        extra = [first[2 - index], second[2 - index]] + ([inputs] if index == 2 else [])
        values = tf.concat([values, *extra], axis=3)
        values = tf.nn.relu(_conv(values, channels, 3, 1, f"decoder_{name}_{index}"))
    return _conv(values, 3, 5, 1, f"decoder_{name}_out", gain=0.05)


def _conv(values: Any, channels: int, kernel: int, stride: int, name: str, gain: float = 1.0) -> Any:
    """A convolution with bias; weights start as He et al. 2015 derive for ReLU, times `gain`."""
    import tensorflow as tf

    fan_in = kernel * kernel * int(values.shape[-1])
    start = tf.compat.v1.truncated_normal_initializer(stddev=gain * float(np.sqrt(2 / fan_in)))
    weights = tf.compat.v1.get_variable(
        f"{name}/kernel", (kernel, kernel, values.shape[-1], channels), initializer=start
    )
    bias = tf.compat.v1.get_variable(f"{name}/bias", (channels,), initializer=tf.compat.v1.zeros_initializer())
    return tf.nn.bias_add(tf.nn.conv2d(values, weights, stride, "SAME"), bias)


def _norm(values: Any, name: str) -> Any:
    """Instance normalisation (Ulyanov et al. 2016) with scale and offset."""
    import tensorflow as tf

    channels = values.shape[-1]
    scale = tf.compat.v1.get_variable(f"{name}/gamma", (channels,), initializer=tf.compat.v1.ones_initializer())
    offset = tf.compat.v1.get_variable(f"{name}/beta", (channels,), initializer=tf.compat.v1.zeros_initializer())
    mean, variance = tf.nn.moments(values, (1, 2), keepdims=True)
    return (values - mean) * tf.math.rsqrt(variance + 1e-6) * scale + offset
