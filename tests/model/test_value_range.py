import numpy as np
import pytest

from beautygan_cli.model.signature import Signature
from beautygan_cli.model.value_range import to_network, to_pixels, to_uint8

EVERY_LEVEL = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
RANGES = [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-1000.0, 1000.0), (-0.005, 0.005)]


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_every_level_survives_the_round_trip(low, high):
    signature = Signature(low=low, high=high)
    values = to_network(EVERY_LEVEL, signature)
    back = to_pixels(values, signature)
    assert values.dtype == back.dtype == np.float32
    np.testing.assert_allclose(back, EVERY_LEVEL, atol=1e-3)
    np.testing.assert_array_equal(to_uint8(back), EVERY_LEVEL)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_black_and_white_are_the_ends_of_the_range(low, high):
    values = to_network(EVERY_LEVEL, Signature(low=low, high=high))
    assert values.min() == np.float32(low)
    assert values.max() == pytest.approx(high, rel=1e-5)


def test_the_published_range_is_pixels_over_127_5_less_1():
    np.testing.assert_allclose(to_network(EVERY_LEVEL, Signature()), EVERY_LEVEL / 127.5 - 1, atol=1e-6)


def test_float_pixels_keep_their_fractions():
    pixels = np.full((2, 2, 3), 12.25, np.float32)
    np.testing.assert_allclose(to_pixels(to_network(pixels, Signature()), Signature()), pixels, atol=1e-4)


def test_values_beyond_the_range_are_clipped_and_not_rounded():
    values = np.array([-1.5, 0.001, 1.5], np.float32).reshape(1, 1, 3)
    np.testing.assert_allclose(to_pixels(values, Signature()).ravel(), [0, 127.6275, 255], atol=1e-3)


def test_uint8_is_rounded_and_clipped():
    assert to_uint8(np.array([-3.0, 0.4, 0.6, 254.6, 255.6, 300.0])).tolist() == [0, 0, 1, 255, 255, 255]


def test_the_input_is_left_as_it_was():
    pixels = EVERY_LEVEL.astype(np.float32)
    to_pixels(to_network(pixels, Signature()), Signature())
    np.testing.assert_array_equal(pixels, EVERY_LEVEL)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (4, 4, 4), (1, 1, 4, 4, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="HWC or NHWC RGB"):
        to_network(np.zeros(shape, np.uint8), Signature())


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.bool_, np.complex64])
def test_other_types_are_refused(dtype):
    with pytest.raises(ValueError, match="uint8 or floats"):
        to_network(np.zeros((2, 2, 3), dtype), Signature())
