"""What a clip says of itself is kept, converted, said or refused; lines of `docs/formats.md`."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beautygan_cli.errors import PhotoError
from beautygan_cli.photos import clip as clips
from beautygan_cli.photos.clip import Encoder, probe_clip, read_frames, without_places

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")

says = pytest.mark.says
SIZE = "128x96"
COVER = ("-disposition:v:1", "attached_pic")


def ffmpeg(*arguments: object) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or arguments[0] == "-i", done.stderr[-800:]
    return done.stderr


def drawn(path: Path, *options: object, rate: int = 25, seconds: float = 0.4, source: str = "testsrc2") -> Path:
    ffmpeg("-f", "lavfi", "-i", f"{source}=size={SIZE}:rate={rate}:duration={seconds}", *options, path)
    return path


def through(source: Path, result: Path, *, strip_location: bool = False) -> str:
    """A clip read and written as a run does it; what ffmpeg says of the result."""
    clip = probe_clip(source)
    with Encoder(clip, result, result, "", strip_location=strip_location) as encoder:
        for frame in read_frames(clip):
            encoder.write(frame)
    return ffmpeg("-i", result)


def combing(frame: np.ndarray) -> float:
    """How much more a line differs from the next than from the next but one."""
    lines = frame.astype(float).mean(axis=-1)
    return np.abs(np.diff(lines, axis=0)).mean() / max(np.abs(lines[2:] - lines[:-2]).mean(), 1e-6)


@says("clips", "interlaced frames", "converted to whole ones (bwdif), and said")
def test_interlaced_frames_are_made_whole(tmp_path: Path) -> None:
    fields = ["-vf", "scroll=horizontal=0.05,tinterlace=interleave_top", "-c:v", "mpeg2video", "-q:v", "2"]
    fields += ["-flags", "+ilme+ildct", "-field_order", "tt"]
    source = drawn(tmp_path / "fields.mpg", *fields, rate=50, seconds=0.6)
    clip = probe_clip(source)
    assert clip.interlaced
    whole = [combing(frame) for frame in read_frames(clip)]
    as_it_is = [combing(frame) for frame in read_frames(replace(clip, interlaced=False))]
    assert np.mean(as_it_is) > 1.15 * np.mean(whole)
    assert not probe_clip(drawn(tmp_path / "plain.mp4", "-pix_fmt", "yuv420p")).interlaced


@says("clips", "chapters, and subtitles of text", "kept")
def test_subtitles_and_chapters_are_carried(tmp_path: Path) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:00,300\nOn the lid\n")
    chapters = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=300\ntitle=Lips\n"
    (tmp_path / "chapters.txt").write_text(chapters)
    options = ["-i", tmp_path / "words.srt", "-i", tmp_path / "chapters.txt", "-map_metadata", 2, "-map", 0, "-map", 1]
    said = through(drawn(tmp_path / "clip.mkv", *options), tmp_path / "made.mp4")
    assert re.search(r"Subtitle: mov_text", said)
    assert re.search(r"Chapter #0:0", said) and "Lips" in said
    ffmpeg("-i", tmp_path / "made.mp4", tmp_path / "again.srt")
    assert "On the lid" in (tmp_path / "again.srt").read_text()


@says("clips", "subtitles of pictures", "left out, and said")
def test_subtitles_that_mp4_can_not_hold_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:00,300\nOn the lid\n")
    source = drawn(tmp_path / "clip.mkv", "-i", tmp_path / "words.srt", "-map", 0, "-map", 1, "-c:s", "ass")
    monkeypatch.setattr(clips, "TEXT_SUBTITLES", ("subrip",))  # this ffmpeg has no encoder from text to pictures
    clip = probe_clip(source)
    assert clip.subtitles == ()
    assert clip.lost == ("subtitles that are pictures (ass) were left out, since MP4 can't hold them",)


@says("clips", "HDR (PQ, HLG)", "refused")
@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_an_hdr_clip_is_refused(tmp_path: Path, transfer: str, name: str) -> None:
    tags = f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc"
    source = drawn(tmp_path / "clip.mp4", "-vf", tags, "-pix_fmt", "yuv420p")
    with pytest.raises(PhotoError, match=rf"clip.mp4 is an HDR clip \({name}\); export it in SDR"):
        probe_clip(source)


@says(
    "clips", "HDR that lacks its transfer: mastering display without one; linear and logarithmic light; XYZ", "refused"
)
@pytest.mark.parametrize(
    ("transfer", "name"),
    [
        ("linear", "a clip in linear light"),
        ("log100", "a clip in logarithmic light"),
        ("log316", "a clip in logarithmic light"),
        ("smpte428", "a clip for cinemas (XYZ)"),
        ("unknown", "an HDR clip (of unknown transfer)"),
    ],
)
def test_a_transfer_that_is_not_shown_right_is_refused(tmp_path: Path, transfer: str, name: str) -> None:
    unsaid = transfer == "unknown"
    primaries, matrix = ("bt2020", "bt2020nc") if unsaid else ("bt709", "bt709")
    tags = f"scale=out_color_matrix=bt709,format=yuv420p,setparams=color_primaries={primaries}:color_trc={transfer}"
    options = ["-vf", f"{tags}:colorspace={matrix}"]
    mastered = ":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    encoder = ["-c:v", "libx265", "-x265-params", f"log-level=error{mastered}"] if unsaid else ["-c:v", "libx264"]
    source = drawn(tmp_path / "clip.mp4", *options, *encoder)
    with pytest.raises(PhotoError, match=rf"clip.mp4 is {re.escape(name)}; export it in SDR, as Rec. 709, first"):
        probe_clip(source)


def test_a_clip_in_dolby_vision_alone_is_refused() -> None:
    """Its pictures are of colours of its own, and say neither matrix nor transfer. This ffmpeg can't make any."""
    said = "    Side data:\n      DOVI configuration record: version: 1.0, profile: 5, level: 6, rpu flag: 1\n"
    assert clips._untagged(said, ("", "", "")) == "an HDR clip (Dolby Vision)"
    assert clips._untagged(said, ("bt709", "bt709", "bt709")) == ""


def test_what_masters_an_sdr_clip_is_no_hdr(tmp_path: Path) -> None:
    tags = "format=yuv420p,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    mastered = "log-level=error:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    source = drawn(tmp_path / "clip.mp4", "-vf", tags, "-c:v", "libx265", "-x265-params", mastered)
    assert probe_clip(source).colours == ("bt709", "bt709", "bt709")


@says("clips", "more than 8 bits a channel; 4:2:2, 4:4:4 and RGB", "converted to 8 bits in 4:2:0, and said")
@pytest.mark.parametrize(
    ("pixels", "bits", "fine"),
    [
        ("yuv420p", 8, False),
        ("yuvj420p", 8, False),
        ("gray", 8, False),
        ("gray10le", 10, False),
        ("yuv420p10le", 10, False),
        ("yuv422p", 8, True),
        ("yuv422p10le", 10, True),
        ("yuv444p12le", 12, True),
        ("gbrp16le", 16, True),
        ("yuv411p", 8, False),
    ],
)
def test_depth_and_fine_colours_that_go_are_told(tmp_path: Path, pixels: str, bits: int, fine: bool) -> None:
    source = drawn(tmp_path / "clip.mkv", "-c:v", "ffv1", "-pix_fmt", pixels)
    expected = [f"{bits} bits a channel became 8, which all players show"] if bits > 8 else []
    shown = pixels.replace("yuvj", "yuv")
    expected += [f"colours finer than 4:2:0 ({shown}) became 4:2:0, which all players show"] if fine else []
    assert list(probe_clip(source).notes) == expected
    through(source, tmp_path / "made.mp4")
    assert probe_clip(tmp_path / "made.mp4").notes == ()


def test_fine_colours_of_an_odd_size_are_kept_and_nothing_is_told(tmp_path: Path) -> None:
    source = drawn(tmp_path / "odd.mkv", "-vf", "crop=127:95:exact=1", "-c:v", "ffv1", "-pix_fmt", "yuv444p")
    assert probe_clip(source).notes == ()
    assert "yuv444p" in through(source, tmp_path / "made.mp4")


@says("clips", "transparency", "left out, and said")
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mov", ["-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le", "-alpha_bits", "16"]),
        ("clip.webm", ["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"]),
        ("clip.mkv", ["-c:v", "ffv1", "-pix_fmt", "bgra"]),
    ],
)
def test_transparency_that_goes_is_told(tmp_path: Path, name: str, codec: list[str]) -> None:
    half = "format=yuva444p,colorchannelmixer=aa=0.5"
    source = drawn(tmp_path / name, "-vf", half, *codec)
    assert "transparent parts became opaque, since MP4 has none" in probe_clip(source).notes


@says("clips", "further tracks of pictures, cover picture, attached files, tracks of data", "left out, and said")
def test_tracks_that_are_left_out_are_told(tmp_path: Path) -> None:
    plain = drawn(tmp_path / "plain.mp4", "-pix_fmt", "yuv420p")
    picture = tmp_path / "cover.jpg"
    ffmpeg("-i", plain, "-frames:v", 1, "-update", 1, picture)
    two = tmp_path / "two.mkv"
    ffmpeg("-i", plain, "-i", plain, "-map", 0, "-map", 1, "-c", "copy", two)
    said = "of several tracks of pictures the first was taken, and the others were left out"
    assert (probe_clip(two).lost, probe_clip(two).notes) == ((said,), ())
    covered = tmp_path / "covered.mp4"
    ffmpeg("-i", plain, "-i", picture, "-map", 0, "-map", 1, "-c", "copy", *COVER, covered)
    assert (probe_clip(covered).lost, probe_clip(covered).notes) == ((), ("the cover picture was left out",))
    (tmp_path / "font.ttf").write_bytes(b"font")
    attached = tmp_path / "attached.mkv"
    ffmpeg("-i", plain, "-c", "copy", "-attach", tmp_path / "font.ttf", "-metadata:s:t", "mimetype=font/ttf", attached)
    assert probe_clip(attached).notes == ("attached files were left out",)
    # A camera's track of where it was: as ffmpeg writes a timecode, and under another name.
    coded = tmp_path / "coded.mov"
    ffmpeg("-i", plain, "-c", "copy", "-timecode", "01:02:03:04", coded)
    coded.write_bytes(coded.read_bytes().replace(b"tmcd", b"gpmd"))
    assert probe_clip(coded).notes == ("tracks of data (gpmd) were left out",)
    both_eyes = tmp_path / "both_eyes.mkv"
    ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v", "stereo_mode=left_right", both_eyes)
    assert probe_clip(both_eyes).notes == ("what says that it is seen all around, or in 3D, was left out",)
    assert probe_clip(plain).notes == probe_clip(plain).lost == ()


def test_a_cover_is_not_taken_for_the_clip(tmp_path: Path) -> None:
    """A box of tags that stands before those of the tracks makes the cover the first stream."""
    plain = drawn(tmp_path / "plain.mp4", "-pix_fmt", "yuv420p")
    ffmpeg("-i", plain, "-frames:v", 1, "-vf", "scale=320:240", "-update", 1, tmp_path / "cover.jpg")
    covered = tmp_path / "covered.mp4"
    ffmpeg("-i", plain, "-i", tmp_path / "cover.jpg", "-map", 0, "-map", 1, "-c", "copy", *COVER, covered)
    content = covered.read_bytes()
    first, tags = content.index(b"trak") - 4, content.index(b"udta") - 4  # in `moov`, which is the last box
    assert content.index(b"mdat") < first < tags
    covered.write_bytes(content[:first] + content[tags:] + content[first:tags])
    assert re.search(r"Stream #0:0\S*: Video: mjpeg", ffmpeg("-i", covered))
    clip = probe_clip(covered)
    assert clip.size == (128, 96) and clip.notes == ("the cover picture was left out",)
    assert len([*read_frames(clip)]) == 10


@says("clips", "timecode", "kept; where MP4 can't hold it, left out and said")
def test_a_timecode_is_carried(tmp_path: Path) -> None:
    source = drawn(tmp_path / "clip.mov", "-pix_fmt", "yuv420p", "-timecode", "01:02:03:04")
    assert probe_clip(source).notes == ()
    assert re.search(r"timecode +: 01:02:03:04", through(source, tmp_path / "made.mp4"))
    dropping = drawn(tmp_path / "odd.mkv", "-pix_fmt", "yuv420p", "-metadata", "timecode=01:02:03;04")
    assert probe_clip(dropping).notes == (
        "the timecode was left out, since MP4 holds none like it at 25 frames a second",
    )
    assert not re.search(r"timecode +:", through(dropping, tmp_path / "odd.mp4"))


APPLE = {
    "make": "Apple",
    "model": "iPhone 15",
    "creationdate": "2020-01-02T04:04:05+0100",
    "location.ISO6709": "+48.1000+011.5000/",
    "location.name": "+48.1000 Munich",
    "location.accuracy.horizontal": "+48.1000",
    "direction.facing": "+48.1000",
}


@says("clips", "com.apple.quicktime.*: when, with which camera and where it was filmed", "kept; places go on demand")
@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
@pytest.mark.parametrize("stripped", [False, True])
def test_what_an_iphone_says_is_kept_and_places_go_on_demand(tmp_path: Path, suffix: str, stripped: bool) -> None:
    says_so = [part for name, value in APPLE.items() for part in ("-metadata", f"com.apple.quicktime.{name}={value}")]
    says_so += ["-metadata", "location-deu=+48.1000+011.5000/", "-metadata", "title=A day"]
    film = drawn(tmp_path / "film.mov", "-pix_fmt", "yuv420p", *says_so, "-movflags", "use_metadata_tags")
    source = tmp_path / f"clip{suffix}"
    ffmpeg("-i", film, "-c", "copy", "-movflags", "use_metadata_tags", source)
    said = through(source, tmp_path / "made.mp4", strip_location=stripped)
    kept = dict(re.findall(r"^ *com\.apple\.quicktime\.(\S+) *: (.*)$", said, re.MULTILINE))
    places = {name for name in APPLE if "location" in name or "direction" in name}
    assert kept == {name: value for name, value in APPLE.items() if not (stripped and name in places)}
    assert (b"+48.1" in (tmp_path / "made.mp4").read_bytes()) == (not stripped)
    assert re.search(r"(?i)title +: A day", said) and not re.search(r"major_brand +: .*;", said)


def test_what_a_clip_says_of_itself_is_read_as_it_is_and_fast(tmp_path: Path) -> None:
    """Whatever signs it holds, and however many of those that a slow search would go back for."""
    given = {"title": "a=b;c#d\\e\nf\n[STREAM]\ng", "comment": "\\\n" * 30_000, "artist": "[CHAPTER]"}
    says_so = [part for name, value in given.items() for part in ("-metadata", f"{name}={value}")]
    source = drawn(tmp_path / "clip.mkv", "-pix_fmt", "yuv420p", *says_so)
    began = time.monotonic()
    tags = {name.lower(): value for name, value in clips._tags(source)}
    assert time.monotonic() - began < 5
    assert {name: tags[name] for name in given} == given


def test_a_name_that_hides_a_place_is_not_carried(tmp_path: Path) -> None:
    """Names that can't be given to ffmpeg: with a sign that ends them, or bytes that are no text."""
    says_so = ["-metadata", "com.apple.quicktime.make=Apple", "-metadata", "locationXdeu=+48.1000+011.5000/"]
    film = drawn(tmp_path / "film.mov", "-pix_fmt", "yuv420p", *says_so, "-movflags", "use_metadata_tags")
    for sign in (b"=", b"\xff"):
        source = tmp_path / "clip.mov"
        source.write_bytes(film.read_bytes().replace(b"locationXdeu", b"location" + sign + b"deu"))
        through(source, tmp_path / "made.mp4", strip_location=True)
        assert b"+48.1" not in (tmp_path / "made.mp4").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_places_of_other_cameras_go_on_demand(tmp_path: Path, suffix: str) -> None:
    says_so = ["-metadata", "location=+48.1000+011.5000/", "-metadata", "location-deu=+48.1000+011.5000/"]
    source = drawn(tmp_path / f"clip{suffix}", "-pix_fmt", "yuv420p", *says_so, "-metadata", "title=A day")
    for stripped in (False, True):
        said = through(source, tmp_path / "made.mp4", strip_location=stripped)
        assert ("+48.1" in said) == (not stripped) and "A day" in said


@says("clips", "subtitles that tell the place, as drones write them", "kept; left out on demand, and said")
@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("F/2.8, SS 206.14, ISO 150, EV 0, GPS (11.5000, 48.1000, 15), D 24.4m", True),
        ("HOME(11.5000,48.1000) GPS(11.5000,48.1000,17) BAROMETER:1.9", True),
        ("[iso : 100] [latitude: 48.100000] [longtitude: 11.500000] [altitude: 20.0]", True),
        ("+48.1000+011.5000/", True),
        ("On the lid, 48.1 % of it", False),
    ],
)
def test_subtitles_that_tell_the_place_go_on_demand(tmp_path: Path, words: str, places: bool) -> None:
    (tmp_path / "words.srt").write_text(f"1\n00:00:00,000 --> 00:00:00,300\n{words}\n")
    options = ["-i", tmp_path / "words.srt", "-map", 0, "-map", 1, "-pix_fmt", "yuv420p", "-c:s", "mov_text"]
    clip = probe_clip(drawn(tmp_path / "clip.mp4", *options))
    assert clip.subtitles == (1,)
    stripped = without_places(clip)
    assert stripped.subtitles == (() if places else (1,))
    assert stripped.notes == (("subtitles that tell the place were left out",) if places else ())


@says("clips", "a length that one subtitle makes wrong", "told by the pictures")
@pytest.mark.parametrize("tagged", [True, False])
def test_the_length_is_that_of_the_pictures(tmp_path: Path, tagged: bool) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 90:00:00,300\nOn the lid\n")
    source = drawn(tmp_path / "clip.mkv", "-i", tmp_path / "words.srt", "-map", 0, "-map", 1, "-pix_fmt", "yuv420p")
    if not tagged:  # what ffmpeg and some other programs write for each stream
        source.write_bytes(source.read_bytes().replace(b"DURATION", b"-BECAUSE"))
    assert "Duration: 90:00:00" in ffmpeg("-i", source)
    clip = probe_clip(source)
    assert clip.frames in ([10] if tagged else [8, 9, 10]) and len([*read_frames(clip)]) == 10  # less what is reordered


@says("clips", "codecs that no camera, phone or editor writes", "refused")
def test_a_codec_out_of_the_list_is_refused(tmp_path: Path) -> None:
    source = drawn(tmp_path / "clip.mov", "-c:v", "png")
    with pytest.raises(PhotoError, match=r"clip.mov can't be read as a clip .*; save it anew as MP4"):
        probe_clip(source)


def test_the_reason_is_what_went_wrong_and_no_line_of_progress(tmp_path: Path) -> None:
    tags = "scale=out_color_matrix=bt709,format=yuv420p,setparams=colorspace=ycgco"
    source = drawn(tmp_path / "clip.mp4", "-vf", tags, "-c:v", "libx264")
    with pytest.raises(PhotoError, match=r"\(ffmpeg: Impossible to convert"):
        probe_clip(source)
    words = "[out#0/mp4 @ 0x1] Error writing trailer: No space left on device\n[out#0/mp4 @ 0x1] video:1KiB audio:0KiB"
    words += "\nframe=    0 fps=0.0 q=0.0 Lsize=       0KiB time=N/A bitrate=N/A\nConversion failed!\n"
    assert clips._last_words(words) == " (ffmpeg: Error writing trailer: No space left on device)"
    words = "[out#0/mp4 @ 0x1] Error opening output /full/a.mp4: Permission denied\n"
    words += "Error opening output file /full/a.mp4.\nError opening output files: Permission denied\n"
    assert clips._last_words(words) == " (ffmpeg: Error opening output /full/a.mp4: Permission denied)"


@says("clips", "length over 4 hours, frames that the file does not hold", "refused")
def test_a_small_file_that_asks_for_many_frames_is_refused(tmp_path: Path) -> None:
    long = drawn(tmp_path / "long.mkv", "-vf", "setpts='if(eq(N,0),0,20000/TB)'", "-fps_mode", "vfr", seconds=0.08)
    with pytest.raises(PhotoError, match=r"long.mkv lasts 5\.\d hours .* over the limit of 4 hours"):
        probe_clip(long)
    few = drawn(tmp_path / "few.mkv", "-vf", "setpts='if(eq(N,0),0,1000/TB)'", "-fps_mode", "vfr", seconds=0.08)
    with pytest.raises(PhotoError, match=r"few.mkv asks for more frames than it holds"):
        for _ in read_frames(probe_clip(few)):
            pass


# Bombs


@pytest.mark.promise("Hostile photos")
def test_frames_larger_than_any_cameras_are_refused_before_one_is_decoded(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=size=6400x6400:rate=25:duration=0.04", "-c:v", "mjpeg", tmp_path / "large.avi")
    with pytest.raises(PhotoError, match=r"^\S+ has 6400 x 6400 pixels, over the 35,651,584 [^.]+\.$"):
        probe_clip(tmp_path / "large.avi")


@pytest.mark.promise("Hostile photos")
def test_frames_that_so_short_a_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    """Two frames, and 60 a second between them for 50 seconds."""
    gap = ["-vf", "setpts=N*50/TB", "-fps_mode", "vfr", "-c:v", "libx264", "-frames:v", "2"]
    ffmpeg("-f", "lavfi", "-i", "color=size=1280x720:rate=25:duration=1", *gap, tmp_path / "gap.mkv")
    with pytest.raises(PhotoError, match=r"^\S+ claims [0-9,]+ frames of 1280 x 720 pixels, [^.]+\.$"):
        probe_clip(tmp_path / "gap.mkv")


@pytest.mark.promise("Hostile photos")
def test_no_more_pixels_are_decoded_than_a_files_bytes_can_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file says of its length may not be true."""
    source = drawn(tmp_path / "a.mp4", seconds=1)
    clip = probe_clip(source)
    monkeypatch.setattr(clips, "ANY_PIXELS", 0)
    monkeypatch.setattr(clips, "MOST_PIXELS_A_BYTE", 10 * 128 * 96 / source.stat().st_size)
    with pytest.raises(PhotoError, match="asks for more frames than it holds, over"):
        list(read_frames(clip))


@pytest.mark.promise("Hostile photos")
def test_a_still_picture_is_no_bomb(tmp_path: Path) -> None:
    """What takes fewest bytes a pixel of all that is recorded: nothing moves."""
    still = "smptebars=size=640x360:rate=60:duration=40"
    ffmpeg("-f", "lavfi", "-i", still, "-c:v", "libx264", "-preset", "veryfast", tmp_path / "still.mp4")
    clip = probe_clip(tmp_path / "still.mp4")
    assert clip.frames == 2400 and clips.ANY_PIXELS < 2400 * 640 * 360
