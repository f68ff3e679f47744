"""Enlarging a chip-sized image: the same picture as resampling it pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from beautygan_cli.faces.alignment import CropTransform
from beautygan_cli.makeup.tiled_upsampling import Laid

BOX = (37, 52, 437, 391)


def crop_transform(scale: float, angle: float) -> CropTransform:
    turn = np.float32([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * np.float32(scale)
    middle = np.float32([(BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2])
    return CropTransform(np.column_stack([turn, np.float32([128, 128]) - turn @ middle]).astype(np.float32), 256)


def waves() -> np.ndarray:
    rows, columns = np.mgrid[:256, :256].astype(np.float32)
    return np.asarray(100 * np.sin(rows / 11) * np.cos(columns / 13), dtype=np.float32)


@pytest.mark.parametrize("angle", [0, 0.3, -1.2])
@pytest.mark.parametrize("scale", [0.1, 0.18, 0.45, 0.9])
def test_it_is_what_the_formula_of_the_waves_gives_at_each_pixel(scale: float, angle: float) -> None:
    lies = crop_transform(scale, angle)
    laid = Laid([waves(), 1 + waves()], lies, BOX)
    first, second = laid.part(slice(0, BOX[3] - BOX[1]), slice(0, BOX[2] - BOX[0]))
    rows, columns = np.mgrid[BOX[1] : BOX[3], BOX[0] : BOX[2]].astype(np.float32)
    places = lies.to_chip(np.stack([columns.ravel(), rows.ravel()], axis=1)).reshape(*rows.shape, 2)
    wanted = 100 * np.sin(places[..., 1] / 11) * np.cos(places[..., 0] / 13)
    inside = (places.min(axis=-1) > 2) & (places.max(axis=-1) < 253)
    assert inside.any()
    assert np.abs(first - wanted)[inside].max() < 1.0
    np.testing.assert_allclose(second, first + 1, atol=1e-3)


def test_parts_join_without_a_seam() -> None:
    laid = Laid([waves()], crop_transform(0.18, 0.2), BOX)
    height, width = BOX[3] - BOX[1], BOX[2] - BOX[0]
    whole = laid.part(slice(0, height), slice(0, width))[0]
    for rows, columns in (
        (slice(0, 8), slice(0, width)),
        (slice(8, 45), slice(3, 50)),
        (slice(45, height), slice(7, 9)),
    ):
        np.testing.assert_allclose(laid.part(rows, columns)[0], whole[rows, columns], atol=1e-4)


def test_channels_are_given_by_their_numbers_through_all_images() -> None:
    grey, colours = np.zeros((256, 256), np.float32), np.ones((256, 256, 3), np.float32) * np.float32([1, 2, 3])
    laid = Laid([grey, colours], crop_transform(0.3, 0), BOX)
    given = laid.part(slice(0, 5), slice(0, 5), (3, 0, 2))
    assert [float(plane.mean()) for plane in given] == [3, 0, 2]


def test_a_chip_larger_than_its_face_is_laid_pixel_by_pixel() -> None:
    lies = crop_transform(1.7, 0.1)
    laid = Laid([waves()], lies, BOX)
    assert laid.step == 1
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = lies.matrix.astype(np.float64)
    matrix[:, 2] += matrix[:, :2] @ BOX[:2]
    height, width = BOX[3] - BOX[1], BOX[2] - BOX[0]
    wanted = cv2.warpAffine(waves(), matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(laid.part(slice(0, height), slice(0, width))[0], wanted, atol=0.5)
