"""Colour: CIEDE2000 against the pairs published to catch wrong implementations, and L*a*b* there and back."""

import numpy as np
import pytest

from beautygan_cli.imaging.colour import ciede2000, lab_to_rgb, rgb_to_lab, weighted_mean

# Sharma, Wu, Dalal (2005), table 1: two L*a*b* colours and their difference to four decimals.
SHARMA = np.fromstring(
    """
    50.0000   2.6772 -79.7751  50.0000   0.0000 -82.7485   2.0425
    50.0000   3.1571 -77.2803  50.0000   0.0000 -82.7485   2.8615
    50.0000   2.8361 -74.0200  50.0000   0.0000 -82.7485   3.4412
    50.0000  -1.3802 -84.2814  50.0000   0.0000 -82.7485   1.0000
    50.0000  -1.1848 -84.8006  50.0000   0.0000 -82.7485   1.0000
    50.0000  -0.9009 -85.5211  50.0000   0.0000 -82.7485   1.0000
    50.0000   0.0000   0.0000  50.0000  -1.0000   2.0000   2.3669
    50.0000  -1.0000   2.0000  50.0000   0.0000   0.0000   2.3669
    50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0009   7.1792
    50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0010   7.1792
    50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0011   7.2195
    50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0012   7.2195
    50.0000  -0.0010   2.4900  50.0000   0.0009  -2.4900   4.8045
    50.0000  -0.0010   2.4900  50.0000   0.0010  -2.4900   4.8045
    50.0000  -0.0010   2.4900  50.0000   0.0011  -2.4900   4.7461
    50.0000   2.5000   0.0000  50.0000   0.0000  -2.5000   4.3065
    50.0000   2.5000   0.0000  73.0000  25.0000 -18.0000  27.1492
    50.0000   2.5000   0.0000  61.0000  -5.0000  29.0000  22.8977
    50.0000   2.5000   0.0000  56.0000 -27.0000  -3.0000  31.9030
    50.0000   2.5000   0.0000  58.0000  24.0000  15.0000  19.4535
    50.0000   2.5000   0.0000  50.0000   3.1736   0.5854   1.0000
    50.0000   2.5000   0.0000  50.0000   3.2972   0.0000   1.0000
    50.0000   2.5000   0.0000  50.0000   1.8634   0.5757   1.0000
    50.0000   2.5000   0.0000  50.0000   3.2592   0.3350   1.0000
    60.2574 -34.0099  36.2677  60.4626 -34.1751  39.4387   1.2644
    63.0109 -31.0961  -5.8663  62.8187 -29.7946  -4.0864   1.2630
    61.2901   3.7196  -5.3901  61.4292   2.2480  -4.9620   1.8731
    35.0831 -44.1164   3.7933  35.0232 -40.0716   1.5901   1.8645
    22.7233  20.0904 -46.6940  23.0331  14.9730 -42.5619   2.0373
    36.4612  47.8580  18.3852  36.2715  50.5065  21.2231   1.4146
    90.8027  -2.0831   1.4410  91.1528  -1.6435   0.0447   1.4441
    90.9257  -0.5406  -0.9208  88.6381  -0.8985  -0.7239   1.5381
     6.7747  -0.2908  -2.4247   5.8714  -0.0985  -2.2286   0.6377
     2.0776   0.0795  -1.1350   0.9033  -0.0636  -0.5514   0.9082
    """,
    sep=" ",
).reshape(34, 7)


@pytest.mark.parametrize("row", range(len(SHARMA)), ids=lambda row: f"pair {row + 1}")
def test_ciede2000_gives_the_published_difference_both_ways(row):
    first, second, difference = SHARMA[row, :3], SHARMA[row, 3:6], SHARMA[row, 6]
    assert ciede2000(first, second) == pytest.approx(difference, abs=5e-5)
    assert ciede2000(second, first) == pytest.approx(difference, abs=5e-5)


def test_ciede2000_of_an_array_is_that_of_each_colour():
    whole = ciede2000(SHARMA[:, :3].reshape(2, 17, 3), SHARMA[:, 3:6].reshape(2, 17, 3))
    assert whole.shape == (2, 17)
    assert whole.ravel() == pytest.approx(SHARMA[:, 6], abs=5e-5)


def test_every_srgb_colour_comes_back_from_lab_within_a_grey_level():
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(len(levels), -1, 3)
    back = np.rint(lab_to_rgb(rgb_to_lab(colours))).astype(int)
    assert np.abs(back - colours).max() <= 1
    assert (back != colours).any(axis=-1).mean() < 0.05


@pytest.mark.parametrize(
    ("rgb", "lab"),
    # IEC 61966-2-1 (sRGB) and CIE 15 with white D65, worked out to two decimals. OpenCV interpolates in a table.
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_lab_of_known_colours(rgb, lab):
    assert rgb_to_lab(np.array([[rgb]], np.uint8))[0, 0] == pytest.approx(lab, abs=0.06)


def test_colours_outside_srgb_are_clipped_not_wrapped():
    vivid = lab_to_rgb(np.array([[[50, 120, -120], [110, 0, 0], [-5, 0, 0]]], np.float32))
    assert vivid.min() >= 0 and vivid.max() <= 255
    assert vivid[0, 1] == pytest.approx([255, 255, 255], abs=0.01)


def test_weighted_mean_counts_each_pixel_by_its_weight():
    values = np.array([[[10.0, 1.0], [20.0, 2.0], [90.0, 9.0]]])
    assert weighted_mean(values, np.array([[1.0, 3.0, 0.0]])) == pytest.approx([17.5, 1.75])


def test_weighted_mean_of_nothing_is_not_a_number():
    assert np.isnan(weighted_mean(np.ones((2, 2, 3)), np.zeros((2, 2)))).all()
