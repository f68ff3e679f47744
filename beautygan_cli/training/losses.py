"""BeautyGAN's unpaired losses: what real made-up photos teach, for which no true answer is known.

The losses and their weights are those of Li et al., "BeautyGAN: Instance-level Facial Makeup Transfer with Deep
Generative Adversarial Network", ACM Multimedia 2018 (below: the paper), except where a constant says otherwise. All
pictures are (N, S, S, 3) float32 RGB in [-1, 1], whatever range the model itself works in; all losses are scalars.
"""

from __future__ import annotations

from typing import Any

ADVERSARIAL_WEIGHT = 1.0  # the paper's alpha
CYCLE_WEIGHT = 10.0  # the paper's beta
LIPS_WEIGHT = 1.0  # the paper's lambda_l
EYES_WEIGHT = 1.0  # the paper's lambda_s
SKIN_WEIGHT = 0.1  # the paper's lambda_f
STRUCTURE_WEIGHT = 1.0  # our own: the paper's gamma, 0.005, is for a loss on VGG-16's features, of another size
UNPAIRED_WEIGHT = 0.1  # our own, of all of them: brings their sum down to the size of the loss on drawn makeup, or
# the cycle alone, at its weight of 10, would undo within minutes what drawn makeup has taught

WINDOW = 9  # pixels, of the structure loss's windows: about a lash's length at 256, and many pores
STEADY = 0.5 * (0.03 * 2.0) ** 2  # C3 = C2 / 2 of SSIM, C2 = (0.03 L)^2, with the range L = 2: noise isn't structure
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

DISCRIMINATOR_WIDTH = 32  # channels of a discriminator's first layer
JUDGE_SPREAD = 0.02  # of its first weights, as in Isola et al. 2017, section 6.2


def matched(values: Any, reference: Any) -> Any:
    """`values`, (n, C), with each channel's histogram made that of `reference`, (m, C); float32, same order.

    Exact histogram specification: the value of rank i of n becomes the reference's value of rank (i + 1/2) m / n.
    Both must hold at least one value.
    """
    import tensorflow as tf

    columns, others = tf.transpose(values), tf.sort(tf.transpose(reference), axis=1)
    count, available = tf.shape(columns)[1], tf.shape(others)[1]
    share = (tf.range(count, dtype=tf.float32) + 0.5) / tf.cast(count, tf.float32)
    taken = tf.minimum(tf.cast(share * tf.cast(available, tf.float32), tf.int32), available - 1)
    ranks = tf.argsort(tf.argsort(columns, axis=1), axis=1)
    return tf.transpose(tf.gather(tf.gather(others, taken, axis=1), ranks, axis=1, batch_dims=1))


def region_histogram_loss(result: Any, reference: Any, mask: Any, reference_mask: Any) -> Any:
    """L1 of one (S, S, 3) picture within a mask to itself with the reference's histogram; zero where a mask is empty.

    Masks: (S, S) bool. The matched picture is a constant to the gradient, as in the paper.
    """
    import tensorflow as tf

    values, others = tf.boolean_mask(result, mask), tf.boolean_mask(reference, reference_mask)
    there = tf.logical_and(tf.shape(values)[0] > 0, tf.shape(others)[0] > 0)
    return tf.cond(
        there,
        lambda: tf.reduce_mean(tf.abs(values - tf.stop_gradient(matched(values, others)))),
        lambda: tf.constant(0.0),
    )


def makeup_loss(result: Any, reference: Any, masks: Any, reference_masks: Any, count: int) -> Any:
    """The paper's makeup loss: histogram matching on lips, eye shadow and skin, on the mean over `count` pairs.

    Masks: (N, S, S, 3) float32 in 0..1, one channel a region in that order; a pixel is in where it is above 1/2.
    """
    inside, others = masks > 0.5, reference_masks > 0.5
    weights = (LIPS_WEIGHT, EYES_WEIGHT, SKIN_WEIGHT)
    parts = [
        weight * region_histogram_loss(result[i], reference[i], inside[i, ..., region], others[i, ..., region])
        for i in range(count)
        for region, weight in enumerate(weights)
    ]
    return sum(parts) / count


def cycle_loss(source: Any, reference: Any, source_again: Any, reference_again: Any) -> Any:
    """L1 of both pictures to what comes back after makeup was taken from one to the other and back again."""
    import tensorflow as tf

    return tf.reduce_mean(tf.abs(source_again - source)) + tf.reduce_mean(tf.abs(reference_again - reference))


def structure_loss(result: Any, original: Any) -> Any:
    """1 minus the mean local correlation of luminance: the face under the makeup stays the same face.

    In place of the paper's perceptual loss, whose VGG-16 weights would have to be downloaded. That loss keeps what
    is there and lets its colour go; so does local correlation, SSIM's structure term (Wang et al. 2004, eq. 10), here
    (cov + C3) / sqrt((var + C3) (var' + C3)) in windows of WINDOW pixels. Makeup's shade and contrast hardly touch
    it, moved or smeared edges, brows and pores do. Zero for the same structure, at most 2; with C3 inside the root
    its slope is finite where a window is flat.
    """
    import tensorflow as tf

    def local(values: Any) -> Any:
        return tf.nn.avg_pool2d(values, WINDOW, 1, "VALID")

    first, second = (tf.reduce_sum(picture * LUMA, axis=3, keepdims=True) for picture in (result, original))
    mean, other = local(first), local(second)
    covariance = local(first * second) - mean * other
    variance = tf.maximum(local(first * first) - mean * mean, 0.0)
    other_variance = tf.maximum(local(second * second) - other * other, 0.0)
    deviations = tf.sqrt((variance + STEADY) * (other_variance + STEADY))
    return tf.reduce_mean(1.0 - (covariance + STEADY) / deviations)


def generator_loss(judged: Any) -> Any:
    """The generator's part of the least-squares adversarial loss (Mao et al. 2017): zero where all looks real."""
    import tensorflow as tf

    return tf.reduce_mean(tf.square(judged - 1.0))


def discriminator_loss(real: Any, fake: Any) -> Any:
    """The discriminator's part: zero where real is told from fake everywhere."""
    import tensorflow as tf

    return tf.reduce_mean(tf.square(real - 1.0)) + tf.reduce_mean(tf.square(fake))


def discriminator(pictures: Any, name: str) -> Any:
    """A small PatchGAN discriminator (Isola et al. 2017): near 1 where a patch of 46 pixels looks real, else near 0.

    pictures: (N, S, S, 3) in [-1, 1]; gives (N, S / 8, S / 8, 1). Called again by the same name it reuses its
    variables. It does without normalisation, as the published model's discriminators do.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    values = pictures
    with v1.variable_scope(name, reuse=v1.AUTO_REUSE, use_resource=True):
        for number, (channels, stride) in enumerate(
            ((DISCRIMINATOR_WIDTH, 2), (2 * DISCRIMINATOR_WIDTH, 2), (4 * DISCRIMINATOR_WIDTH, 2), (1, 1))
        ):
            kernel = v1.get_variable(
                f"{number}/kernel",
                (4, 4, values.shape[-1], channels),
                initializer=v1.random_normal_initializer(stddev=JUDGE_SPREAD),
            )
            bias = v1.get_variable(f"{number}/bias", (channels,), initializer=v1.zeros_initializer())
            values = tf.nn.bias_add(tf.nn.conv2d(values, kernel, stride, "SAME"), bias)
            if channels > 1:
                values = tf.nn.leaky_relu(values, 0.2)
    return values
