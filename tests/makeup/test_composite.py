"""Compositing: what must stay stays to the bit, what changes follows the photo's own edges."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.faces import alignment, detection
from beautygan_cli.faces import masks as region_masks
from beautygan_cli.imaging import drawing
from beautygan_cli.imaging.colour import rgb_to_lab, weighted_mean
from beautygan_cli.makeup import composite, rendering
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.style import EyeShadow, Lipstick, Style
from beautygan_cli.photos.photo import read_photo

FULL = Strengths(1, 1, 1)
RED = Style(
    Lipstick((36, 55, 30), 0.95),
    EyeShadow((40, 18, -20), (28, 18, -22), (20, 12, -16), 0.85, 0.7, 0.7, 0.8, 0.3),
)


class Case:
    """A photo with its face, its chip, and that chip made up by drawing, as a perfect network would."""

    def __init__(self, pixels: np.ndarray, style: Style = RED) -> None:
        self.pixels = pixels
        found = detection.detect(pixels)[0]
        self.landmarks = found.landmarks
        self.face = alignment.align(pixels, found, 256, 0.35)
        self.network_input = self.face.chip.astype(np.float32)
        self.made_up = rendering.render(self.network_input, self.face.landmarks, style)

    def beside_landmark(self, place: tuple[int, float, float]) -> tuple[int, int]:
        """The chip's pixel so many units right and below of a landmark."""
        number, right, down = place
        x, y = self.face.landmarks[number] + region_masks.interocular_distance(self.face.landmarks) * np.array(
            [right, down]
        )
        return round(float(x)), round(float(y))

    def paste(self, strengths: Strengths = FULL) -> np.ndarray:
        return composite.paste(self.pixels, self.face, self.network_input, self.made_up, strengths)


@pytest.fixture(scope="module")
def bea() -> Case:
    return Case(read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels)


@pytest.fixture(scope="module")
def phone() -> Case:
    """A 12-megapixel photo."""
    pixels = read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels
    large = cv2.resize(pixels, (3464, 3464), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 4, large.shape[:2])[..., None]
    return Case(np.clip(large + grain, 0, 255).astype(np.uint8))


def region_mean(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return weighted_mean(rgb_to_lab(pixels), mask)


def test_strength_0_gives_the_photo_back_to_the_bit(bea: Case) -> None:
    assert np.array_equal(bea.paste(Strengths(0, 0, 0)), bea.pixels)


def test_a_network_that_changes_nothing_changes_nothing(bea: Case) -> None:
    same = composite.paste(bea.pixels, bea.face, bea.network_input, bea.network_input, FULL)
    assert np.array_equal(same, bea.pixels)


def test_outside_the_face_every_pixel_is_the_photos_own(bea: Case) -> None:
    result = bea.paste()
    outline = drawing.fill(bea.pixels.shape[:2], region_masks.face_outline(bea.landmarks))
    outside = cv2.dilate(outline, np.ones((9, 9))) == 0
    assert np.array_equal(result[outside], bea.pixels[outside])
    assert (result != bea.pixels).any()


def test_the_input_is_not_written_to(bea: Case) -> None:
    before = bea.pixels.copy()
    bea.paste()
    assert np.array_equal(before, bea.pixels)


def test_full_strength_brings_the_drawn_colours_to_full_size(bea: Case) -> None:
    result = bea.paste()
    wanted = rendering.render(bea.pixels, bea.landmarks, RED)
    for mask in (region_masks.lips_mask(bea.landmarks, bea.pixels.shape[:2], soft=0),):
        difference = np.linalg.norm(region_mean(result, mask) - region_mean(wanted, mask))
        bare = np.linalg.norm(region_mean(bea.pixels, mask) - region_mean(wanted, mask))
        assert difference < 0.12 * bare


@pytest.mark.parametrize("region", ["lips", "eyes"])
def test_a_regions_strength_moves_that_region_alone(bea: Case, region: str) -> None:
    only = bea.paste(replace(Strengths(0, 0, 0), **{region: 1.0}))
    shape = bea.pixels.shape[:2]
    masks = {"lips": region_masks.lips_mask(bea.landmarks, shape), "eyes": region_masks.lids_mask(bea.landmarks, shape)}
    other = "eyes" if region == "lips" else "lips"
    moved = {name: np.linalg.norm(region_mean(only, m) - region_mean(bea.pixels, m)) for name, m in masks.items()}
    assert moved[region] > 10
    assert moved[other] < 0.5


def test_half_strength_is_about_half_the_change(bea: Case) -> None:
    mask = region_masks.lips_mask(bea.landmarks, bea.pixels.shape[:2], soft=0)
    start, half, full = (
        weighted_mean(bea.paste(Strengths(s, s, 0)).astype(float), mask) if s else weighted_mean(bea.pixels, mask)
        for s in (0, 0.5, 1)
    )
    assert np.abs((half - start) - (full - start) / 2).max() < 1.5


def test_a_12_megapixel_photo_keeps_its_size_and_its_grain(phone: Case) -> None:
    result = phone.paste()
    assert result.shape == phone.pixels.shape
    grey = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float32) for p in (phone.pixels, result)]
    fine = [g - cv2.GaussianBlur(g, (0, 0), 3) for g in grey]
    inside = region_masks.face_mask(phone.landmarks, phone.pixels.shape[:2]) > 0.9
    assert np.corrcoef(fine[0][inside], fine[1][inside])[0, 1] > 0.97


def test_the_lips_edge_is_as_sharp_as_the_photos(phone: Case) -> None:
    # The chip is enlarged six times or more: carried over as a picture, its colours would bleed six pixels far.
    result = phone.paste(Strengths(1, 0, 0)).astype(int)
    change = np.abs(result - phone.pixels).sum(axis=2)
    lips = drawing.fill(phone.pixels.shape[:2], drawing.smooth_curve(phone.landmarks[48:60], closed=True))
    reach = round(0.06 * region_masks.interocular_distance(phone.landmarks))
    far = cv2.dilate(lips, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)) == 0
    assert change[lips > 0.99].mean() > 60
    assert (change[far] > 3).mean() < 1e-4


def test_a_line_drawn_over_plain_lid_stands_out(bea: Case) -> None:
    """Liner follows nothing that is in the photo: fitted to it alone, less than a third would be left."""
    chip = bea.network_input.copy()
    start, end = (bea.beside_landmark(at) for at in ((36, -0.02, -0.02), (36, -0.16, -0.09)))
    cv2.line(chip, start, end, (20.0, 16.0, 16.0), 2, cv2.LINE_AA)
    drawn = cv2.line(np.zeros(chip.shape[:2], np.uint8), start, end, 1, 1) > 0
    result = composite.paste(bea.pixels, bea.face, bea.network_input, chip, FULL)
    change = alignment.crop(result, bea.face.crop_transform).astype(np.float32) - alignment.crop(
        bea.pixels, bea.face.crop_transform
    )
    assert change[drawn].mean() < 0.5 * (chip - bea.network_input)[drawn].mean()


def test_no_seam_where_the_face_ends(bea: Case) -> None:
    change = bea.paste().astype(int) - bea.pixels
    # A seam is a step of the change along the mask's edge; pores make single pixels differ by a few levels.
    smooth = cv2.GaussianBlur(change.astype(np.float32), (0, 0), 2)
    step = np.maximum(np.abs(np.diff(smooth, axis=0))[:, :-1], np.abs(np.diff(smooth, axis=1))[:-1]).max(axis=2)
    edge = region_masks.face_mask(bea.landmarks, bea.pixels.shape[:2])
    border = (edge > 0.005) & (edge < 0.3)
    assert step[border[:-1, :-1]].max() < 4


@pytest.mark.parametrize("strengths", [Strengths(), FULL], ids=["default", "full"])
def test_a_darker_face_before_the_networks_grey_has_no_bright_rim(bea: Case, strengths: Strengths) -> None:
    """The bundled model sees the face alone, before mid-grey, which is lighter than this face is to become."""
    mask = region_masks.face_mask(bea.face.landmarks, (256, 256))
    network_input, made_up = (
        region_masks.masked(chip, mask)
        for chip in (bea.network_input, bea.network_input * np.float32([0.5, 0.35, 0.2]))
    )
    result = composite.paste(bea.pixels, bea.face, network_input, made_up, strengths)
    change = result.astype(np.float32) - bea.pixels
    jaw = region_masks.face_mask(bea.landmarks, bea.pixels.shape[:2])
    jaw[: int(bea.landmarks[29, 1])] = 0  # above it there is hair at the edge
    inner, edge = change[jaw > 0.95], change[(jaw > 0.05) & (jaw < 0.8)]
    assert inner.mean() < -10, "the case shows nothing"
    assert edge.max() <= 3


def test_teeth_and_eyeballs_stay_as_they_are() -> None:
    case = Case(read_photo(SAMPLES / "no_makeup" / "tilted.jpg").pixels)
    # A network that paints everything red, teeth and eyes too.
    painted = case.network_input * 0.4 + np.array([200, 20, 40]) * 0.6
    result = composite.paste(case.pixels, case.face, case.network_input, painted, FULL)
    shape = case.pixels.shape[:2]
    lab = rgb_to_lab(case.pixels)
    teeth = cv2.erode(region_masks.mouth_opening(case.landmarks, shape), np.ones((7, 7))) > 0.99
    eyeballs = cv2.erode(region_masks.openings_mask(case.landmarks, shape, soft=0), np.ones((7, 7))) > 0.99
    assert teeth.sum() > 100
    change = np.abs(rgb_to_lab(result) - lab).sum(axis=2)
    assert np.median(change[teeth]) < 2
    assert np.median(change[eyeballs]) < 2


def test_the_default_keeps_the_skins_own_lightness(bea: Case) -> None:
    brighter = np.clip(bea.network_input + 45, 0, 255)
    mask = region_masks.cheeks_mask(bea.landmarks, bea.pixels.shape[:2])
    own = region_mean(bea.pixels, mask)[0]
    usual = region_mean(composite.paste(bea.pixels, bea.face, bea.network_input, brighter, Strengths()), mask)[0]
    full = region_mean(composite.paste(bea.pixels, bea.face, bea.network_input, brighter, FULL), mask)[0]
    assert 0 < usual - own <= composite.SHADE_LIMIT[0] + 0.5
    assert full - own > composite.SHADE_LIMIT[0] + 3


def test_a_chip_over_the_photos_edge_leaves_no_mark(bea: Case) -> None:
    left, top, right, bottom = (int(v) for v in detection.detect(bea.pixels)[0].box)
    tight = Case(np.ascontiguousarray(bea.pixels[top - 30 : bottom + 30, left - 5 : right + 5]))
    # The network may do as it likes in what lies outside the photo: here it paints it black.
    inside = alignment.crop(np.full_like(tight.pixels, 255), tight.face.crop_transform)
    assert inside.min() == 255  # repeated, not filled
    change = np.abs(tight.paste().astype(int) - tight.pixels).sum(axis=2)
    assert change[:, 0].max() < 60
    assert tight.paste().shape == tight.pixels.shape


def test_weights_never_exceed_1(bea: Case) -> None:
    weights = composite.change_weights(bea.pixels, bea.face, FULL)
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_strips_of_any_height_give_the_same(bea: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = bea.paste()
    for pixels in (1, 1 << 30):
        monkeypatch.setattr(composite, "STRIP_PIXELS", pixels)
        difference = np.abs(bea.paste().astype(int) - usual)
        assert difference.max() <= 1  # OpenCV's warp rounds places to 1/32 pixel, from another origin
        assert (difference > 0).mean() < 1e-4


def test_half_of_a_large_photos_size_is_fine_enough_for_the_change(
    phone: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 1 / phone.face.crop_transform.scale >= composite.FINE
    halved = phone.paste()
    monkeypatch.setattr(composite, "FINE", np.inf)
    whole = phone.paste()
    changed = (whole != phone.pixels).any(axis=2)
    # The photo's grain is its own either way, and not what is compared.
    smooth = [cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 2) for pixels in (halved, whole)]
    difference = np.abs(smooth[0] - smooth[1])[changed]
    assert difference.mean() < 0.2
    assert np.percentile(difference, 99.9) < 2
    near = cv2.dilate(changed.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.array_equal(halved[~near], phone.pixels[~near])


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 0), (0, 1)])
def test_a_large_face_that_fills_a_photo_of_any_size_is_made_up_to_its_last_pixel(
    phone: Case, rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, top, right, bottom = (int(v) // 2 * 2 for v in detection.detect(phone.pixels)[0].box)
    tight = Case(np.ascontiguousarray(phone.pixels[top : bottom - rows, left : right - columns]))
    assert 1 / tight.face.crop_transform.scale >= composite.FINE
    halved = tight.paste()
    monkeypatch.setattr(composite, "FINE", np.inf)
    difference = np.abs(halved.astype(int) - tight.paste())
    for edge in (difference[:2], difference[-2:], difference[:, :2], difference[:, -2:]):
        assert edge.mean() < 1


def test_a_large_photo_is_never_copied_as_floats(phone: Case) -> None:
    weights = composite.change_weights(phone.pixels, phone.face, FULL)
    tracemalloc.start()
    composite.paste(phone.pixels, phone.face, phone.network_input, phone.made_up, FULL, weights)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.8 * phone.pixels.nbytes  # the result itself is 1; one float copy would be 4


@pytest.mark.parametrize(("scale", "side"), [(0.1, 820), (1.0, 820), (2.0, 410), (4.0, 206), (100.0, 102)])
def test_masks_are_drawn_no_larger_than_chip_or_photo_need(scale: float, side: int) -> None:
    matrix = np.array([[scale, 0, 7], [0, scale, -3]], dtype=np.float32)
    canvas = composite.mask_canvas(alignment.CropTransform(matrix, 256))
    assert canvas.size == pytest.approx(side, abs=4)
    # The chip's middle stays in the canvas's.
    middle = alignment.CropTransform(matrix, 256).to_photo(np.array([[127.5, 127.5]], dtype=np.float32))
    np.testing.assert_allclose(canvas.to_chip(middle), (canvas.size - 1) / 2, atol=0.5)
