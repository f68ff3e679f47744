"""Animations are made up frame by frame, by the command, and come back as what they were."""

import json

import numpy as np
import pytest
from conftest import bare_photos
from PIL import Image, ImageSequence

from beautygan_cli.faces import detection
from beautygan_cli.faces.masks import lips_mask
from beautygan_cli.imaging.colour import rgb_to_lab, weighted_mean
from beautygan_cli.photos.photo import read_photo

DURATIONS = [100, 60, 200]


def moving(photo, path, *, colours=None):
    """An animation of a photo that moves a little. colours: of its palette, the default of Pillow's GIF."""
    with Image.open(photo) as image:
        whole = image.convert("RGB")
    frames = [
        whole.transform(whole.size, Image.Transform.AFFINE, (1, 0, 2 * shift, 0, 1, shift), Image.Resampling.BICUBIC)
        for shift in range(len(DURATIONS))
    ]
    frames = [frame.quantize(colours) for frame in frames] if colours else frames
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=DURATIONS, loop=0)
    return path


def shown(path):
    with Image.open(path) as image:
        # In this order: a WebP's frame tells how long it is shown once it is decoded.
        frames = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
        pixels, durations = zip(*frames, strict=True)
        return image.format, image.info["loop"], durations, pixels


def reddening(before, after):
    """How much a*, from green to red, rises on the lips of one face."""
    (face,) = detection.detect(before)[:1]
    mask = lips_mask(face.landmarks, before.shape[:2], soft=0)
    return weighted_mean(rgb_to_lab(after), mask)[1] - weighted_mean(rgb_to_lab(before), mask)[1]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_every_frame_of_an_animation_wears_the_look(beautygan, photos, tmp_path, suffix):
    source = moving(photos("bare", 0), tmp_path / f"me{suffix}")
    status, lines, errors = beautygan(
        tmp_path, "--lips", "crimson", "--eyes", "0", "--skin", "0", "--report", "report.json"
    )
    assert status == 0, errors
    assert lines == [f"made_up/me__crimson{suffix}"]
    before, after = shown(source), shown(tmp_path / lines[0])
    assert after[:3] == before[:3] and len(before[2]) == 3
    assert all(reddening(was, now) > 8 for was, now in zip(before[3], after[3], strict=True))
    (row,) = json.loads((tmp_path / "report.json").read_text())["results"]
    assert (row["status"], row["faces"], row["partly"], row["reason"]) == ("made", 1, False, None)
    status, lines, errors = beautygan(tmp_path, "--lips", "crimson", "--eyes", "0", "--skin", "0")
    assert (status, lines) == (0, []) and "1 kept as it was" in errors


def test_a_palette_that_dulls_a_face_does_not_make_its_makeup_grey(beautygan, tmp_path):
    """256 colours chosen by median cut take half the colour from these lips, which is still no photo in one tone."""
    photo = next(path for path in bare_photos() if path.stem == "bea")
    source = moving(photo, tmp_path / "me.gif", colours=256)
    status, lines, errors = beautygan("me.gif", "--lips", "crimson", "--eyes", "0", "--skin", "0")
    assert status == 0, errors
    before, after = shown(source), shown(tmp_path / lines[0])
    assert all(reddening(was, now) > 8 for was, now in zip(before[3], after[3], strict=True))


def test_what_can_not_be_done_with_an_animation_is_said(beautygan, photos, tmp_path, no_face):
    moving(photos("bare", 0), tmp_path / "me.gif")
    look = ("--ref", photos("worn", 0))
    status, _, errors = beautygan("me.gif", *look, "--format", "jpg")
    assert status == 1
    assert "me.gif is an animation, which .jpg can't hold; keep its own format, or choose webp or png." in errors
    status, _, errors = beautygan("me.gif", *look, "--crop")
    assert status == 1 and "me.gif is an animation, which --crop does not take" in errors
    status, _, errors = beautygan(photos("bare", 0), "--ref", "me.gif")
    assert status != 0 and "me.gif is an animation where a photo is needed" in errors
    status, _, errors = beautygan("me.gif", "--check")
    assert "me.gif is an animation; --check looks at photos alone" in errors
    status, _, errors = beautygan(photos("bare", 0), *look, "--out", "me_made.gif")
    assert status == 2 and "is no animation; give --out a name such as me.png" in errors
    moving(no_face, tmp_path / "wall.gif")
    status, _, errors = beautygan("wall.gif", *look)
    assert status == 1 and "no face found in wall.gif, in none of its 3 frames" in errors


def test_another_format_is_given_on_demand(beautygan, photos, tmp_path):
    moving(photos("bare", 0), tmp_path / "me.gif")
    status, lines, errors = beautygan("me.gif", "--ref", photos("worn", 0), "--format", "webp")
    assert status == 0, errors
    assert shown(tmp_path / lines[0])[:3] == ("WEBP", 0, tuple(DURATIONS))


def test_a_still_gif_in_a_folder_is_a_photo(beautygan, photos, tmp_path):
    (tmp_path / "in").mkdir()
    Image.open(photos("bare", 0)).save(tmp_path / "in" / "me.gif")
    status, lines, errors = beautygan("in", "--ref", photos("worn", 0))
    assert status == 0, errors
    assert read_photo(tmp_path / lines[0]).format == "PNG"
