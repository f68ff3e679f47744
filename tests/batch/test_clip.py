"""Clips: frames, sound and time come through, makeup stays where it is, and nothing half-written is left."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from fractions import Fraction
from pathlib import Path, PurePath

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import REPOSITORY

from beautygan_cli.batch.clip import Work
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.sources import read_look
from beautygan_cli.errors import OutputError, PhotoError
from beautygan_cli.faces import detection, masks, tracking, warp
from beautygan_cli.makeup import composite, pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import Look
from beautygan_cli.photos.clip import Clip, Encoder, _rate, probe_clip, read_frames, sound_for_mp4
from beautygan_cli.photos.files import whole
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.xmp import DIGITAL_SOURCE_TYPE

ffmpeg_package = pytest.importorskip("imageio_ffmpeg")

RATE = 25
NOISE = 2.5  # grey levels, standard deviation: a phone's sensor indoors


def ffmpeg(*arguments):
    """Run ffmpeg; gives what it wrote to stdout and stderr."""
    program = ffmpeg_package.get_ffmpeg_exe()
    done = subprocess.run([program, "-y", "-hide_banner", *map(str, arguments)], capture_output=True, text=True)
    return done.stdout, done.stderr


def shot(photo, count, *, motion, seed=0, noise=NOISE):
    """Frames of a photo that `motion(number)`, a (2, 3) matrix of photo pixels, moves about, with a sensor's noise."""
    pixels, rng = iio.imread(photo), np.random.default_rng(seed)
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    for number in range(count):
        moved = cv2.warpAffine(
            pixels, motion(number), (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        yield np.clip(moved + rng.normal(0, noise, moved.shape), 0, 255).round().astype(np.uint8)


def barely(number):
    """Motion of less than half a pixel."""
    return np.array([[1, 0, 0.4 * np.sin(number / 4)], [0, 1, 0.3 * np.cos(number / 5)]])


def walking(number):
    """A head that moves by some two pixels a frame, and turns and comes nearer meanwhile."""
    matrix = cv2.getRotationMatrix2D((160, 160), 6 * np.sin(number / 8), 1 + 0.1 * np.sin(number / 10))
    matrix[:, 2] += 25 * np.sin(number / 12), 6 * np.sin(number / 7)
    return matrix


def grey(count, height=320, width=320):
    """Frames of nothing."""
    return [np.full((height, width, 3), 120 + number % 2, np.uint8) for number in range(count)]


def save(path, frames, *, options=(), sound=True, rate=RATE):
    """Encode frames as a clip, with a tone as its sound."""
    frames = list(frames)
    height, width = frames[0].shape[:2]
    command = ["-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width}x{height}"]
    command += ["-framerate", rate, "-i", "-"]
    if sound:
        command += ["-f", "lavfi", "-i", f"sine=440:duration={len(frames) / rate}", "-c:a", "aac"]
    command += ["-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p", *options, path]
    program = [ffmpeg_package.get_ffmpeg_exe(), "-y", *map(str, command)]
    subprocess.run(program, input=b"".join(frame.tobytes() for frame in frames), check=True)
    return path


def frames_of(path):
    return list(read_frames(probe_clip(Path(path))))


def packets(path):
    """The sound of a clip as it is stored: a size and a checksum a packet."""
    listed, _ = ffmpeg("-loglevel", "error", "-i", path, "-map", "0:a", "-c", "copy", "-f", "framemd5", "-")
    return [re.findall(r"\b[0-9a-f]{32}\b", line)[0] for line in listed.splitlines() if not line.startswith("#")]


@pytest.fixture
def worker(photos, session, tmp_path):
    """`worker(frames)`: the frames made up, and the work that counted them, without a file between."""
    worn = photos("worn", 0)
    look = read_look(Found(worn, PurePath()), Look.of(worn), session.signature, 10**8, measure=False)

    def run(frames, asked=1.0, **options):
        height, width = frames[0].shape[:2]
        clip = Clip(Path("clip.mp4"), (width, height), Fraction(RATE), len(frames), sound=False)
        work = Work(clip, look, asked, session, RunConfig(tmp_path, **options))
        return list(work.frames(iter(frames))), work

    run.look = look
    return run


# The makeup stays where it is


def flicker(frames, results):
    """Mean change of the makeup layer (result minus source) from frame to frame, in grey levels, where there is any."""
    layers = np.stack([made.astype(np.float32) - frame for made, frame in zip(results, frames, strict=True)])
    worn = np.abs(layers).max(axis=-1).mean(axis=0) > 1
    return float(np.abs(np.diff(layers, axis=0))[:, worn].mean())


@pytest.mark.slow
def test_makeup_of_a_still_face_changes_less_than_half_as_much_as_frame_by_frame(photos, session, worker):
    frames = list(shot(photos("bare", 0), 10, motion=barely))
    steady, _ = worker(frames)
    alone = []
    for frame in frames:
        aligned = pipeline.find_faces(frame, session.signature, "frame")
        made = pipeline.make_up([(face, worker.look.face) for face in aligned], session)
        alone.append(pipeline.apply(frame, aligned, made, Strengths()))
    assert flicker(frames, alone) > 0
    assert flicker(frames[3:], steady[3:]) < 0.5 * flicker(frames[3:], alone[3:])
    # Steadiness is no weakness: as much makeup lies on the face.
    amounts = [np.abs(np.stack(made).astype(float) - np.stack(frames)).mean() for made in (steady, alone)]
    assert amounts[0] == pytest.approx(amounts[1], rel=0.1)


def follow(frames, **options):
    tracker = tracking.Tracker(RATE, **options)
    seen = []
    for start in range(0, len(frames), tracking.SEARCH_EVERY):
        part = frames[start : start + tracking.SEARCH_EVERY]
        seen += tracker.follow(part, [(start + number) / RATE for number in range(len(part))])
    return seen, tracker


def test_landmarks_of_a_still_face_jitter_less_than_half_as_much_as_detected_ones(photos):
    frames = list(shot(photos("bare", 0), 20, motion=lambda _: np.eye(2, 3)))
    tracked = np.stack([found[0].landmarks for found in follow(frames)[0]])
    detected = np.stack([detection.detect(frame)[0].landmarks for frame in frames])
    assert np.diff(tracked, axis=0).std() < 0.5 * np.diff(detected, axis=0).std()
    assert np.abs(tracked.mean(axis=0) - detected.mean(axis=0)).max() < 0.03 * np.ptp(detected[0][:, 0])


def test_landmarks_keep_up_with_a_head_that_moves(photos):
    """Smoothing that lagged behind would leave the lips where they were: 2 pixels a frame are 25 in half a second."""
    frames = list(shot(photos("bare", 0), 30, motion=walking))
    first = detection.detect(next(shot(photos("bare", 0), 1, motion=lambda _: np.eye(2, 3), noise=0)))[0].landmarks
    seen, _ = follow(frames)
    assert [len(found) for found in seen] == [1] * 30 and len({found[0].track for found in seen}) == 1
    errors = []
    for number, found in enumerate(seen):
        matrix = walking(number)
        true = first @ matrix[:, :2].T + matrix[:, 2]
        errors.append(np.linalg.norm(found[0].landmarks - true, axis=1).mean() / np.ptp(first[:, 0]))
    assert np.mean(errors) < 0.02 and max(errors) < 0.04  # of the face's width


def test_landmarks_keep_up_with_a_mouth_that_moves(photos):
    """A mouth that widens by a third within a quarter of a second."""
    pixels = iio.imread(photos("bare", 0)).astype(np.float32)
    pixels = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]
    rest = detection.detect(pixels.astype(np.uint8))[0].landmarks
    wide, mouth = rest.copy(), slice(48, 68)
    wide[mouth, 0] += (rest[mouth, 0] - rest[mouth, 0].mean()) / 3
    shares = [*[0.0] * 6, *np.linspace(0, 1, 7), *[1.0] * 7]
    true = [rest + share * (wide - rest) for share in shares]
    rng = np.random.default_rng(0)
    bent = (warp.warp_onto(pixels, rest, landmarks, pixels.shape[:2]) for landmarks in true)
    frames = [np.clip(frame + rng.normal(0, NOISE, frame.shape), 0, 255).astype(np.uint8) for frame in bent]
    seen, _ = follow(frames)
    interocular = masks.interocular_distance(rest)
    tracked, detected = (
        np.array([np.linalg.norm(a - b, axis=1)[mouth].mean() / interocular for a, b in zip(found, true, strict=True)])
        for found in ([face[0].landmarks for face in seen], [detection.detect(frame)[0].landmarks for frame in frames])
    )
    assert (tracked < detected + 0.025).all()


def side_by_side(photos, count):
    left, right = (list(shot(photos("bare", number), count, motion=walking, seed=number)) for number in (0, 1))
    return [np.concatenate([a[:300], b[:300]], axis=1) for a, b in zip(left, right, strict=True)]


def test_two_faces_keep_their_numbers(photos):
    frames = side_by_side(photos, 22)
    seen, _ = follow(frames)
    half = frames[0].shape[1] / 2
    sides = [{bool(face.landmarks[:, 0].mean() > half): face.track for face in found} for found in seen]
    assert all(side == sides[0] for side in sides) and len(set(sides[0].values())) == 2


def test_faces_largest_follows_one_face_alone(photos):
    seen, _ = follow(side_by_side(photos, 12), which="largest")
    assert [len(found) for found in seen] == [1] * 12 and len({found[0].track for found in seen}) == 1


def test_full_search_is_run_once_for_many_frames(photos):
    _, tracker = follow(list(shot(photos("bare", 0), 30, motion=barely)))
    assert tracker.searches == 1 + 3


@pytest.mark.slow
def test_face_is_made_up_from_the_frame_in_which_it_comes_to_the_one_in_which_it_goes(photos, worker):
    """Between two searches, too: a cut in the middle of the frames that are worked on together."""
    one, two = (list(shot(photos("bare", number), 9, motion=barely)) for number in (0, 1))
    size = min(one[0].shape[0], two[0].shape[0]), min(one[0].shape[1], two[0].shape[1])
    frames = [frame[: size[0], : size[1]] for frame in (*grey(4), *one, *two, *grey(5))]
    results, work = worker(frames)
    changed = [bool((made != frame).any()) for made, frame in zip(results, frames, strict=True)]
    assert changed == [False] * 4 + [True] * 18 + [False] * 5
    assert work.with_face == 18
    work.done = 27  # as the loop that writes frames counts them
    assert work.outcome(Path("out.mp4"), []).reason == "9 of 27 frames show no face and are as they were"


def test_average_holds_noise_back_and_lets_news_through(photos):
    frames = list(shot(photos("bare", 0), 12, motion=lambda _: np.eye(2, 3)))
    landmarks = detection.detect(frames[0])[0].landmarks
    middle = landmarks[30].round().astype(int)
    part = np.s_[middle[1] - 12 : middle[1] + 12, middle[0] - 12 : middle[0] + 12]
    for frame in frames[-1:]:
        frame[part] = 20  # a finger on the nose
    steady = tracking.Steady()
    seen = [tracking.Seen(0, landmarks)]
    copies = [steady.add(frame, seen, number / RATE) for number, frame in enumerate(frames)]
    noise = [np.std(pair[0][part].astype(float) - pair[1][part]) for pair in ((frames[9], frames[10]), copies[9:11])]
    assert noise[1] < 0.35 * noise[0]
    inner = np.s_[middle[1] - 8 : middle[1] + 8, middle[0] - 8 : middle[0] + 8]
    assert np.abs(copies[-1][inner].astype(int) - 20).max() <= 2


def test_strength_0_gives_each_frame_back_and_the_rest_of_a_frame_is_never_touched(photos, worker):
    frames = list(shot(photos("bare", 0), 3, motion=barely))
    unworn, _ = worker(frames, asked=0.0)
    assert (np.stack(unworn) == np.stack(frames)).all()
    for made, frame in zip(worker(frames)[0], frames, strict=True):
        left, top, right, bottom = (round(value) for value in detection.detect(frame)[0].box)
        margin = round(0.6 * (right - left))
        around = np.ones(frame.shape[:2], bool)
        around[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = False
        assert (made[around] == frame[around]).all() and (made != frame).any()


# Time, sound and size


def test_clip_comes_out_with_its_frames_rate_size_and_sound(photos, place, beautygan, tmp_path):
    source = save(tmp_path / "clip.mp4", shot(photos("bare", 0), 8, motion=barely))
    place("look.jpg", "worn")
    status, out, err = beautygan("--no-makeup", "clip.mp4", "--ref", "look.jpg", "--report", "report.json")
    assert (status, out) == (0, ["made_up/clip__look.mp4"]), err
    before, after = probe_clip(source), probe_clip(tmp_path / out[0])
    assert (after.size, after.rate, after.frames, after.sound) == (before.size, RATE, 8, True)
    assert packets(tmp_path / out[0]) == packets(source) != []
    frames, results = np.stack(frames_of(source)).astype(float), np.stack(frames_of(tmp_path / out[0])).astype(float)
    change = np.abs(results - frames).mean(axis=(0, 3))
    assert change.max() > 20 and np.median(change) < 2  # makeup on the face, the codec's loss elsewhere
    (row,) = json.loads((tmp_path / "report.json").read_text())["results"]
    assert (row["status"], row["faces"], row["width"]) == ("made", 1, before.size[0])
    assert row["lips_after"] < row["lips_before"] and row["network_seconds"] > 0
    assert not list((tmp_path / "made_up").glob("*.part"))


def through(source, **options):
    """A clip decoded and encoded again, as `make_up_clip` does it, without any makeup; gives the new file."""
    clip = probe_clip(source)
    output = source.with_name(f"{source.stem}-out.mp4")
    sound = sound_for_mp4(clip)
    with Encoder(clip, output, output, sound, **options) as encoder:
        for frame in read_frames(clip):
            encoder.write(frame)
    return output


def ramps(count, height=96, width=128):
    """Frames that tell their number and which way is up: a bright bar at the top, and one that wanders down."""
    for number in range(count):
        frame = np.full((height, width, 3), 60, np.uint8)
        frame[:8] = 220
        frame[10 + 2 * number : 14 + 2 * number, : width // 2] = (200, 40, 40)
        yield frame


def test_rotation_in_the_metadata_becomes_upright_frames(tmp_path):
    lying = save(tmp_path / "lying.mp4", (np.rot90(frame) for frame in ramps(5)))
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "-90", "-i", lying, "-c", "copy", turned)
    clip = probe_clip(turned)
    assert clip.size == (128, 96)
    output = through(turned)
    assert "rotation of" not in ffmpeg("-i", output)[1]
    for frame, true in zip(frames_of(output), ramps(5), strict=True):
        assert np.abs(frame.astype(int) - true).mean() < 6


def test_variable_frame_rate_becomes_constant_with_each_frame_at_its_time(tmp_path):
    """Of 24 frames some are left out: what is shown then is the frame before, for as long as it was."""
    kept = [0, 1, 2, 6, 7, 12, 13, 14, 15, 22, 23]
    chosen = "+".join(f"eq(n,{number})" for number in kept)
    options = ["-vf", f"select='{chosen}'", "-fps_mode", "vfr"]
    source = save(tmp_path / "phone.mp4", ramps(24), options=options)
    output = through(source)
    clip = probe_clip(output)
    assert (clip.rate, clip.frames) == (RATE, 24)
    for number, (frame, true) in enumerate(zip(frames_of(output), ramps(24), strict=True)):
        shown = list(ramps(24))[max(other for other in kept if other <= number)]
        assert np.abs(frame.astype(int) - shown).mean() < 6
        assert number in kept or np.abs(frame.astype(int) - true).mean() > 1
    assert packets(output) == packets(source)


@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ("N/30+gt(N,15)*0.6", lambda n: n / 30 + (n > 15) * 0.6),  # one gap
        ("N/30+gt(N,5)*0.5+gt(N,20)*1.0", lambda n: n / 30 + (n > 5) * 0.5 + (n > 20) * 1.0),
        ("if(lt(N,10),N/5,2+(N-10)/30)", lambda n: n / 5 if n < 10 else 2 + (n - 10) / 30),  # first slow, then fast
        ("N/30+0.4*floor(N/7)", lambda n: n / 30 + 0.4 * (n // 7)),  # a recording of a screen
    ],
)
def test_no_frame_is_lost_after_a_gap_when_frames_are_stored_out_of_turn(tmp_path, times, seconds, b_frames):
    """Players go by the frames' times; their durations are those of other frames where there are B-frames."""
    options = ["-vf", f"setpts='({times})/TB'", "-fps_mode", "vfr", "-bf", b_frames, "-video_track_timescale", 90000]
    source = save(tmp_path / "gap.mp4", ramps(24), options=options, rate=30, sound=False)
    clip = probe_clip(source)
    assert clip.rate == 30
    due = [round(seconds(number) * 30) for number in range(24)]
    frames, true = frames_of(source), np.stack([*ramps(24)]).astype(int)
    seen = [int(np.abs(true - frame).mean(axis=(1, 2, 3)).argmin()) for frame in frames]
    assert seen[: due[-1] + 1] == [sum(at <= number for at in due) - 1 for number in range(due[-1] + 1)]
    assert len(frames) <= due[-1] + max(np.diff(due)) and set(seen[due[-1] :]) == {23}


@pytest.mark.parametrize("late", [0.02, 0.7])  # 0.5 frames: each lies halfway between two of the result
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mts"])
def test_each_frame_of_a_picture_that_begins_after_the_sound_is_there(tmp_path, suffix, late):
    first = save(tmp_path / "first.mp4", ramps(12), sound=False)
    source = tmp_path / f"late{suffix}"
    sound = ["-f", "lavfi", "-i", "sine=duration=1.5"]
    ffmpeg("-loglevel", "error", *sound, "-itsoffset", late, "-i", first, "-map", 0, "-map", 1, "-c:v", "copy", source)
    frames, true = frames_of(source), np.stack([*ramps(12)]).astype(int)
    seen = [int(np.abs(true - frame).mean(axis=(1, 2, 3)).argmin()) for frame in frames]
    before = len(seen) - 12
    assert seen == [0] * before + [*range(12)] and abs(before - late * RATE) <= 2  # MPEG holds sound back by a frame


def lead(path):
    """Seconds by which a flash of a clip comes before its beep."""
    asked = ["-copyts", "-vf", "scale=16:16,format=gray", "-fps_mode", "passthrough", "-f", "framecrc", "-"]
    listed, _ = ffmpeg("-loglevel", "error", "-i", path, "-map", "0:v:0", *asked)
    base = Fraction(re.search(r"^#tb 0: (\S+)$", listed, re.MULTILINE)[1])
    lines = [line.split(",") for line in listed.splitlines() if not line.startswith("#")]
    dark = lines[0][-1]
    flash = float(next(int(line[2]) for line in lines if line[-1] != dark) * base)
    # What is heard: silence ends.
    asked = ["-copyts", "-af", "silencedetect=noise=0.05:duration=0.1", "-f", "null", "-"]
    _, said = ffmpeg("-i", path, "-map", "0:a:0", *asked)
    return float(re.search(r"silence_end: ([\d.]+)", said)[1]) - flash


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mts", ".m2ts", ".mpg"])
@pytest.mark.parametrize(("picture", "sound"), [(0, 0), (0.64, 0), (0, 0.64)])
def test_sound_and_picture_stay_together_whichever_begins_first(tmp_path, suffix, picture, sound):
    flash = r"color=black:size=128x96:rate=25:duration=2,drawbox=color=white:t=fill:enable=gte(t\,1)"
    beep = r"aevalsrc='if(gte(t,1),sin(2500*t),0)':d=2:s=48000"
    codecs = ["-c:v", "mpeg2video", "-c:a", "mp2"] if suffix == ".mpg" else ["-c:v", "libx264", "-c:a", "aac"]
    source = tmp_path / f"clip{suffix}"
    inputs = ["-itsoffset", picture, "-f", "lavfi", "-i", flash, "-itsoffset", sound, "-f", "lavfi", "-i", beep]
    ffmpeg("-loglevel", "error", *inputs, "-map", 0, "-map", 1, *codecs, "-pix_fmt", "yuv420p", source)
    assert lead(source) == pytest.approx(sound - picture, abs=0.06)  # the codec's delay
    # Half a frame, and what MP2 holds its sound back by, which MPEG has and MP4 has not.
    assert lead(through(source)) == pytest.approx(lead(source), abs=0.5 / RATE + 0.012)


def test_repeated_frames_are_made_up_once(photos, session, worker):
    several = list(shot(photos("bare", 0), 3, motion=barely))
    frames = [several[number] for number in (0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2)]
    pasted = []
    before = composite.paste_into
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composite, "paste_into", lambda *given: pasted.append(1) or before(*given))
        results, work = worker(frames)
    assert len(pasted) == 3 + 1  # and the first once more, for the outcome's figures
    assert work.with_face == len(results) == 13
    assert (results[0] == results[2]).all() and (results[5] == results[12]).all() and (results[2] != results[3]).any()


@pytest.mark.parametrize(
    ("claimed", "average", "expected"),
    [
        (Fraction(30000, 1001), 29.97, Fraction(30000, 1001)),
        (Fraction(30), 24.4, 30),  # a phone in the dark
        (Fraction(240), 239.8, 240),  # slow motion
        (Fraction(1000), 8.2, 60),  # a recording of a screen
        (Fraction(90000), 119.5, 120),
    ],
)
def test_rate_has_a_place_for_each_frame_but_not_a_thousand(claimed, average, expected):
    assert _rate(claimed, average) == expected


def test_sound_that_mp4_cannot_hold_is_encoded_anew_and_this_is_said(photos, place, beautygan, tmp_path):
    save(tmp_path / "old.avi", shot(photos("bare", 0), 3, motion=barely), options=["-c:a", "wmav2"])
    place("look.jpg", "worn")
    _, out, err = beautygan("--no-makeup", "old.avi", "--ref", "look.jpg", "--report", "r.csv")
    assert out == ["made_up/old__look.mp4"], err
    assert probe_clip(tmp_path / out[0]).sound
    assert "the sound is of a kind that MP4 can't hold and was encoded anew" in (tmp_path / "r.csv").read_text()


def test_sound_that_cannot_be_read_is_left_out_and_this_is_said(photos, place, beautygan, tmp_path):
    save(tmp_path / "odd.avi", shot(photos("bare", 0), 3, motion=barely), options=["-c:a", "g726", "-ar", "8000"])
    place("look.jpg", "worn")
    _, out, err = beautygan("--no-makeup", "odd.avi", "--ref", "look.jpg", "--report", "r.csv")
    assert out == ["made_up/odd__look.mp4"], err
    assert not probe_clip(tmp_path / out[0]).sound
    assert "the sound is of a kind that can't be read and was left out" in (tmp_path / "r.csv").read_text()
    assert "1 of them in part" in err


def test_what_goes_of_a_clip_is_said_in_the_report(photos, place, beautygan, tmp_path):
    options = ["-map", 0, "-map", 0, "-pix_fmt", "yuv422p10le"]
    save(tmp_path / "deep.mov", shot(photos("bare", 0), 2, motion=barely), options=options, sound=False)
    place("look.jpg", "worn")
    _, out, err = beautygan("--no-makeup", "deep.mov", "--ref", "look.jpg", "--report", "r.json")
    assert out == ["made_up/deep__look.mp4"], err
    (row,) = json.loads((tmp_path / "r.json").read_text())["results"]
    said = [
        "of several tracks of pictures the first was taken, and the others were left out",
        "10 bits a channel became 8, which all players show",
        "colours finer than 4:2:0 (yuv422p10le) became 4:2:0, which all players show",
    ]
    assert row["partly"] and row["reason"] == "; ".join(said)
    assert all(phrase in err for phrase in said) and "1 of them in part" in err


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_sound_of_the_usual_containers_is_copied(tmp_path, suffix):
    codecs = {".webm": ["-c:v", "libvpx", "-c:a", "libopus"], ".mkv": ["-c:a", "flac"]}
    source = save(tmp_path / f"clip{suffix}", ramps(6), options=codecs.get(suffix, []))
    assert packets(through(source)) == packets(source) != []


def test_odd_sizes_and_pixels_that_are_not_square_are_kept(tmp_path):
    frames = list(ramps(3, height=97, width=131))
    source = save(tmp_path / "odd.mkv", frames, options=["-pix_fmt", "yuv444p", "-vf", "setsar=32/27"], sound=False)
    clip = probe_clip(through(source))
    assert (clip.size, clip.aspect, clip.sound) == ((131, 97), Fraction(32, 27), False)


@pytest.mark.parametrize("name", ["bt709", "smpte170m", "unknown"])
def test_colours_are_read_and_tagged_as_the_clip_has_them(tmp_path, name):
    matrix = "bt709" if name == "bt709" else "smpte170m"
    tags = f"setparams=colorspace={name}:color_primaries={name}:color_trc={name}"
    options = ["-vf", f"scale=out_color_matrix={matrix},format=yuv420p,{tags}"]
    source = save(tmp_path / "clip.mp4", ramps(3), options=options, sound=False)
    output = through(source)
    assert probe_clip(source).colours == probe_clip(output).colours
    for frame, true in zip(frames_of(output), ramps(3), strict=True):
        assert np.abs(frame[:8, 8:-8].astype(int) - true[:8, 8:-8]).max() <= 6


def test_location_is_kept_or_stripped_and_the_mark_is_there_or_not(photos, place, beautygan, tmp_path):
    (tmp_path / "drone.srt").write_text("1\n00:00:00,000 --> 00:00:00,050\nGPS (11.5000, +48.1000)\n")
    film = save(tmp_path / "film.mp4", shot(photos("bare", 0), 2, motion=barely))
    options = ["-c", "copy", "-c:s", "mov_text", "-metadata", "location=+48.1000+011.5000/"]
    ffmpeg("-i", film, "-i", tmp_path / "drone.srt", *options, tmp_path / "clip.mp4")
    place("look.jpg", "worn")
    for arguments, kept, marked in (([], True, True), (["--strip-location", "--no-mark"], False, False)):
        _, out, _ = beautygan("--no-makeup", "clip.mp4", "--ref", "look.jpg", "--overwrite", *arguments)
        content = (tmp_path / out[0]).read_bytes()
        assert ("+48.1" in ffmpeg("-i", tmp_path / out[0])[1]) == (b"+48.1" in content) == kept
        assert (DIGITAL_SOURCE_TYPE.encode() in content) == marked
        assert len(frames_of(tmp_path / out[0])) == 2


def test_frames_in_memory_do_not_grow_with_the_clip(worker, session, tmp_path):
    alive, most = set(), []
    rng = np.random.default_rng(0)

    def coming():
        for number in range(50):
            frame = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
            alive.add(number)
            weakref.finalize(frame, alive.remove, number)
            yield frame

    clip = Clip(Path("clip.mp4"), (80, 60), Fraction(RATE), 50, sound=False)
    work = Work(clip, worker.look, 1.0, session, RunConfig(tmp_path))
    for _ in work.frames(coming()):
        gc.collect()
        most.append(len(alive))
    assert len(most) == 50 and max(most) <= 2 * tracking.SEARCH_EVERY + 3


# Names, and what is done already


def test_clip_that_is_done_is_kept_and_one_that_changed_is_made_again(photos, place, beautygan, tmp_path):
    source = save(tmp_path / "clip.mp4", shot(photos("bare", 0), 2, motion=barely))
    place("clip.jpg", "bare", 1)
    place("look.jpg", "worn")
    command = ("--no-makeup", "clip.mp4", "clip.jpg", "--ref", "look.jpg")
    assert beautygan(*command)[1] == ["made_up/clip-mp4__look.mp4", "made_up/clip-jpg__look.jpg"]
    status, out, err = beautygan(*command)
    assert (status, out) == (0, []) and "2 kept" in err
    save(source, shot(photos("bare", 0), 3, motion=barely))
    assert beautygan(*command)[1] == ["made_up/clip-mp4__look.mp4"]
    (tmp_path / "made_up" / "clip-mp4__look.mp4").write_bytes(b"mine")
    status, out, err = beautygan(*command)
    assert (status, out) == (0, []) and (tmp_path / "made_up" / "clip-mp4__look.mp4").read_bytes() == b"mine"
    assert beautygan(*command, "--overwrite")[1][0] == "made_up/clip-mp4__look.mp4"


def test_clips_of_a_folder_are_made_up_beside_its_photos_and_shown_in_the_gallery(photos, place, beautygan, tmp_path):
    (tmp_path / "selfies" / "beach").mkdir(parents=True)
    save(tmp_path / "selfies" / "beach" / "b.mov", shot(photos("bare", 0), 2, motion=barely))
    place("selfies/a.jpg", "bare", 1)
    place("look.jpg", "worn")
    status, out, _ = beautygan("--no-makeup", "selfies", "--ref", "look.jpg", "--gallery", "--grid", "grid.png")
    assert (status, out) == (0, ["made_up/a__look.jpg", "made_up/beach/b__look.mp4"])
    assert "beach/b__look.mp4" in (tmp_path / "made_up" / "index.html").read_text()
    assert len(list((tmp_path / "made_up" / "thumbnails").iterdir())) == 5  # two of each source, and the look


# What goes wrong


def test_clip_without_any_face_fails_in_one_sentence_and_is_not_tried_again(place, beautygan, tmp_path):
    save(tmp_path / "wall.mp4", grey(4))
    place("look.jpg", "worn")
    for _ in range(2):
        status, out, err = beautygan("--no-makeup", "wall.mp4", "--ref", "look.jpg")
        assert (status, out) == (1, [])
        assert "no face found in wall.mp4, in none of its 4 frames; use a clip in which" in err
    assert [path.name for path in (tmp_path / "made_up").iterdir()] == [".beautygan.sqlite"]


def broken(kind, path, good):
    if kind == "text":
        path.write_text("this is no clip")
    elif kind == "cut off":
        path.write_bytes(good.read_bytes()[:3000])
    elif kind == "sound alone":
        ffmpeg("-loglevel", "error", "-i", good, "-map", "0:a", "-c", "copy", path)
    elif kind == "playlist":  # would make ffmpeg open other files
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{good}\n#EXT-X-ENDLIST\n")
    elif kind == "list":
        path.write_text(f"ffconcat version 1.0\nfile '{good}'\n")


@pytest.mark.parametrize("kind", ["text", "cut off", "sound alone", "playlist", "list"])
def test_broken_clip_fails_in_one_sentence(tmp_path, kind):
    good = save(tmp_path / "good.mp4", ramps(5))
    path = tmp_path / "bad.mp4"
    broken(kind, path, good)
    with pytest.raises(PhotoError, match=r"^\S*bad\.mp4 can't be read as a clip[^\n]*; save it anew as MP4\.$"):
        probe_clip(path)


def test_broken_clip_does_not_stop_the_rest(place, beautygan, tmp_path):
    (tmp_path / "bad.mp4").write_text("no clip")
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    status, out, err = beautygan("--no-makeup", "bad.mp4", "a.jpg", "--ref", "look.jpg")
    assert (status, out) == (1, ["made_up/a__look.jpg"]) and "bad.mp4 can't be read as a clip" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--crop"], "--crop does not take"), (["--max-pixels", 200_000], "over the limit of 200000")],
)
def test_what_clips_do_not_take_is_said(place, beautygan, tmp_path, options, words):
    save(tmp_path / "clip.mp4", ramps(2, height=480, width=640))
    place("look.jpg", "worn")
    status, out, err = beautygan("--no-makeup", "clip.mp4", "--ref", "look.jpg", *options)
    assert (status, out) == (1, []) and words in err


def test_without_the_extra_a_clip_says_how_to_install_it(place, beautygan, tmp_path, monkeypatch):
    save(tmp_path / "clip.mp4", ramps(2))
    place("selfies/a.jpg", "bare")
    save(tmp_path / "selfies" / "b.mp4", ramps(2))
    place("look.jpg", "worn")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as where it is not installed
    status, out, err = beautygan("--no-makeup", "clip.mp4", "--ref", "look.jpg")
    assert (status, out) == (1, [])
    assert "clip.mp4 is a clip, which takes one more package; run: pip install '.[video]'" in err
    status, out, err = beautygan("--no-makeup", "selfies", "--ref", "look.jpg")
    assert (status, out) == (0, ["made_up/a__look.jpg"])
    assert "clips in folders are left out (1); to make them up as well: pip install '.[video]'" in err


def test_failure_while_writing_leaves_nothing_behind(tmp_path):
    clip = probe_clip(save(tmp_path / "clip.mp4", ramps(4)))
    output = tmp_path / "out" / "clip__look.mp4"

    def fail_halfway():
        with whole(output, False) as file:  # noqa: SIM117
            with Encoder(clip, Path(file.name), output, "copy") as encoder:
                for number, frame in enumerate(read_frames(clip)):
                    encoder.write(frame)
                    1 / (2 - number)

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk_is_said_in_one_sentence(tmp_path):
    clip = probe_clip(save(tmp_path / "clip.mp4", ramps(4)))
    said = r"^\S*out\.mp4 can't be written as MP4 \(ffmpeg: [^\n]*\); free some space or choose another --out\.$"

    def write():
        with Encoder(clip, Path("/dev/full"), tmp_path / "out.mp4", "copy") as encoder:
            for frame in [*ramps(4)] * 50:
                encoder.write(frame)

    with pytest.raises(OutputError, match=said):
        write()


# In good order, or where that takes longer than a run may take to end.
STOPPED = re.compile(r"stopped(; the same command goes on from here| at once; the results so far are kept)")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_leaves_no_half_written_clip_and_the_same_command_goes_on(photos, place, model, tmp_path):
    save(tmp_path / "clip.mp4", [*shot(photos("bare", 0), 60, motion=barely)])
    place("look.jpg", "worn")
    command = [sys.executable, "-m", "beautygan_cli", "--no-makeup", "clip.mp4", "--ref", "look.jpg", "--model", model]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    out = tmp_path / "made_up"
    waited = time.monotonic()
    while not list(out.glob("*.part")) and time.monotonic() - waited < 120:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does it: to the whole group
    _, said = run.communicate(timeout=120)
    assert run.returncode == 130, said
    assert STOPPED.search(said) and "rror" not in said
    # Where the run was ended at once, the database keeps its journal beside it.
    assert [path.name for path in out.iterdir() if not path.name.startswith(".beautygan.sqlite")] == []
