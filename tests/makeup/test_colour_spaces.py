"""Makeup is the same whatever space a photo or a reference is stored in, and adds no colour where there is none."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import bare_photos
from PIL import Image, ImageCms

from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.sources import read_look
from beautygan_cli.evaluation import photo_check
from beautygan_cli.faces import detection, tone
from beautygan_cli.faces.analysis import analyse_face
from beautygan_cli.faces.masks import cheeks_mask, lids_mask, lips_mask
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.makeup.look import Look
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.photos import icc
from beautygan_cli.photos.clip import probe_clip, read_frames
from beautygan_cli.photos.colour_profile import in_space
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import read_photo, write_photo

says = pytest.mark.says

WORKING_SPACES = {
    "sRGB": None,
    "Display P3": icc.matrix_profile(icc.PRIMARIES[12], None),
    "Adobe RGB": icc.matrix_profile((0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 563 / 256),
    "ProPhoto": icc.matrix_profile((0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), 1.8),
}


def stored(photo: Path, profile: bytes | None, path: Path) -> Path:
    """A photo of sRGB, stored in the space of a profile, converted by LittleCMS."""
    with Image.open(photo) as image:
        pixels = image.convert("RGB")
    if profile is not None:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        to_space = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), given, "RGB", "RGB")
        pixels = ImageCms.applyTransform(pixels, to_space)
    pixels.save(path, icc_profile=profile)
    return path


def shown(path: Path) -> np.ndarray:
    """A file's picture in sRGB, as a viewer that honours its profile shows it."""
    with Image.open(path) as image:
        profile = image.info.get("icc_profile")
        if profile is None:
            return np.asarray(image.convert("RGB"))
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return np.asarray(ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB")))


def colours(pixels: np.ndarray, landmarks: np.ndarray) -> dict[str, np.ndarray]:
    lab, shape = rgb_to_lab(pixels), pixels.shape[:2]
    parts = {"lips": lips_mask(landmarks, shape, soft=0), "lids": lids_mask(landmarks, shape)}
    return {name: weighted_mean(lab, mask) for name, mask in (parts | {"skin": cheeks_mask(landmarks, shape)}).items()}


@says("all with a profile, source or reference", "makeup under another colour space", "the same, within 1.5 CIEDE2000")
def test_makeup_does_not_depend_on_the_space(photos, session: MakeupSession, tmp_path: Path) -> None:
    seen: dict[str, dict[str, np.ndarray]] = {}
    landmarks = None
    names = list(WORKING_SPACES)
    for number, name in enumerate(names):
        source = stored(photos("bare", 0), WORKING_SPACES[name], tmp_path / f"source{number}.png")
        other = names[-number]  # the reference's, so that all are tried in both places
        reference = stored(photos("worn", 0), WORKING_SPACES[other], tmp_path / f"reference{number}.png")
        photo = read_photo(source)
        (face,) = pipeline.find_faces(photo.pixels, session.signature, name, which="largest")
        if landmarks is None:
            landmarks = face.crop_transform.to_photo(face.landmarks)
            before = colours(photo.pixels, landmarks)
        pixels = pipeline.transfer(photo, reference, session=session, which="largest")
        written = write_photo(replace(photo, pixels=pixels), tmp_path / f"made{number}.png")
        seen[name] = colours(shown(written), landmarks)
    assert ciede2000(seen["sRGB"]["lips"], before["lips"]) > 5  # there is makeup to compare
    for name, of in seen.items():
        for region, colour in of.items():
            assert ciede2000(colour, seen["sRGB"][region]) < 1.5, (name, region)


@pytest.mark.slow
@says("clips", "P3 and BT.2020 in SDR", "kept; made up in sRGB, by the tags")
@pytest.mark.parametrize(("primaries", "number"), [("smpte432", 12), ("bt2020", 9)])
def test_makeup_of_a_clip_does_not_depend_on_its_space(photos, beautygan, tmp_path: Path, primaries, number) -> None:
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    profile = icc.matrix_profile(icc.PRIMARIES[number], None)
    encoded = ["-c:v", "libx264", "-crf", "2", "-pix_fmt", "yuv444p"]
    seen = {}
    for name, space, own in [("plain", None, "bt709"), ("wide", profile, primaries)]:
        frame = stored(photos("bare", 0), space, tmp_path / f"{name}.png")
        with Image.open(frame) as image:  # without its profile, in even sides
            image.crop((0, 0, image.width // 2 * 2, image.height // 2 * 2)).save(frame, icc_profile=None)
        clip = tmp_path / f"{name}.mp4"
        command = [program, "-loglevel", "error", "-loop", "1", "-i", frame, "-frames:v", "2"]
        # The frames' own tags win over the encoder's options.
        tags = f"setparams=colorspace=bt709:color_primaries={own}:color_trc=bt709"
        command += ["-vf", f"scale=out_color_matrix=bt709,{tags}", *encoded, clip]
        subprocess.run([str(part) for part in command], check=True)
        look = ("--lips", "crimson", "--eyes", "teal smoky", "--skin", "0")
        status, lines, errors = beautygan(clip, *look, "--quality", "100")
        assert status == 0, errors
        made = probe_clip(tmp_path / lines[0])
        assert made.colours[1] == own
        pixels = next(iter(read_frames(made)))
        seen[name] = pixels if space is None else in_space(pixels, space).working
    (face,) = detection.detect(seen["plain"])[:1]
    colour = {name: colours(pixels, face.landmarks) for name, pixels in seen.items()}
    for region in ("lips", "lids"):
        assert ciede2000(colour["plain"][region], colour["wide"][region]) < 1.5, region


def in_grey(photo: Path, path: Path, tint: tuple[float, float, float] = (1, 1, 1)) -> Path:
    with Image.open(photo) as image:
        grey = np.asarray(image.convert("L"), dtype=np.float32)
    Image.fromarray(np.clip(grey[..., None] * tint, 0, 255).astype(np.uint8)).save(path)
    return path


@says("reference", "black and white, sepia", "light and dark alone are taken, and said")
def test_a_reference_without_colour_gives_none(photos, session: MakeupSession, tmp_path: Path) -> None:
    grey = in_grey(photos("worn", 0), tmp_path / "grey.png")
    look = Look.of(grey, pipeline.Strengths())
    ready = read_look(Found(grey, Path()), look, session.signature, RunConfig(tmp_path).max_pixels, measure=False)
    assert ready.notes == (tone.NO_COLOUR,)
    source = read_photo(photos("bare", 0))
    pixels = pipeline.transfer(source, grey, session=session, which="largest")
    (face,) = pipeline.find_faces(source.pixels, session.signature, "bare", which="largest")
    landmarks = face.crop_transform.to_photo(face.landmarks)
    before, after = colours(source.pixels, landmarks), colours(pixels, landmarks)
    for region in before:  # as red as they were: neither grey skin nor black lips
        assert np.hypot(*after[region][1:]) > 0.7 * np.hypot(*before[region][1:]), region
    assert after["lips"][0] > 0.5 * before["lips"][0]
    assert "the reference has no colour" in photo_check.faults(grey, "reference", session.signature)
    assert "the reference has no colour" not in photo_check.faults(photos("worn", 0), "reference", session.signature)


@says("source", "black and white, sepia", "stays in its tone")
@pytest.mark.parametrize("tint", [(1, 1, 1), (1.0, 0.85, 0.65)])
def test_a_photo_of_one_tone_stays_in_it(
    photos, session: MakeupSession, tmp_path: Path, tint: tuple[float, float, float]
) -> None:
    source = read_photo(in_grey(photos("bare", 0), tmp_path / "toned.png", tint))
    pixels = pipeline.transfer(source, photos("worn", 0), session=session, which="largest")
    changed = (pixels != source.pixels).any(axis=-1)
    assert changed.sum() > 1000
    if tint == (1, 1, 1):
        assert np.ptp(pixels.astype(int), axis=-1).max() <= 1
        return
    lab, own = rgb_to_lab(pixels), rgb_to_lab(source.pixels)
    steps = np.arange(0, 100, 2)
    tones = [np.interp(lab[..., 0], *_curve(own, channel, steps)) for channel in (1, 2)]
    away = np.hypot(*(lab[..., channel] - tones[channel - 1] for channel in (1, 2)))
    assert np.mean(away[changed]) < 2.5 and np.percentile(away[changed], 95) < 6


@says("source", "black and white, sepia, with --in-colour", "gets makeup in colour")
def test_a_photo_without_colour_gets_makeup_in_colour_when_asked(
    photos, session: MakeupSession, tmp_path: Path
) -> None:
    source = in_grey(photos("bare", 0), tmp_path / "grey.png")
    pixels = pipeline.transfer(source, photos("worn", 0), session=session, which="largest", in_colour=True)
    (face,) = pipeline.find_faces(read_photo(source).pixels, session.signature, "it", which="largest")
    seen = colours(pixels, face.crop_transform.to_photo(face.landmarks))
    assert np.hypot(*seen["lips"][1:]) > 10


def _curve(lab: np.ndarray, channel: int, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = [(step, lab[..., channel][np.abs(lab[..., 0] - step) < 1]) for step in steps]
    known = [(step, values.mean()) for step, values in known if values.size]
    return np.array([step for step, _ in known]), np.array([value for _, value in known])


@says("HEIC", "EXIF orientation without a turn of the format's own", "decided by the face")
def test_which_side_is_up_is_decided_by_the_face(photos) -> None:
    photo = read_photo(photos("bare", 0))
    lying = replace(photo.mapped(lambda array: np.ascontiguousarray(np.rot90(array))), doubtful_orientation=6)
    assert np.array_equal(detection.decided(lying).pixels, photo.pixels)
    upright = replace(photo, doubtful_orientation=6)
    assert detection.decided(upright) is upright


@pytest.mark.parametrize("share", [1.0, 0.4, 0.15])
@pytest.mark.parametrize("path", bare_photos(), ids=lambda path: path.stem)
def test_a_face_in_colour_is_not_taken_for_a_toned_one_however_dim(path: Path, share: float) -> None:
    pixels = read_photo(path).pixels
    face = detection.detect(pixels)[0]
    dim = np.rint(pixels * share).astype(np.uint8)
    assert not tone.is_toned(analyse_face(dim, face, 256, 0.35))
    grey = np.repeat(dim.mean(axis=2, keepdims=True), 3, axis=2)
    if share < 0.3:  # a few grey levels hold no tone that could be told
        return
    for tint in ((1, 1, 1), (1.07, 0.97, 0.78), (0.8, 0.9, 1.0)):
        toned = np.clip(grey * tint, 0, 255).astype(np.uint8)
        assert tone.is_toned(analyse_face(toned, face, 256, 0.35)), tint
