"""What a clip says of itself is kept, converted, said or refused; lines of `docs/formats.md`."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beautygan_cli.errors import PhotoError
from beautygan_cli.photos import clip as clips
from beautygan_cli.photos.clip import Encoder, probe_clip, read_frames

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")

says = pytest.mark.says
SIZE = "128x96"


def ffmpeg(*arguments: object) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or arguments[0] == "-i", done.stderr[-800:]
    return done.stderr


def drawn(path: Path, *options: object, rate: int = 25, seconds: float = 0.4, source: str = "testsrc2") -> Path:
    ffmpeg("-f", "lavfi", "-i", f"{source}=size={SIZE}:rate={rate}:duration={seconds}", *options, path)
    return path


def through(source: Path, result: Path) -> str:
    """A clip read and written as a run does it; what ffmpeg says of the result."""
    clip = probe_clip(source)
    with Encoder(clip, result, result, "") as encoder:
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


@says("clips", "codecs that no camera, phone or editor writes", "refused")
def test_a_codec_out_of_the_list_is_refused(tmp_path: Path) -> None:
    source = drawn(tmp_path / "clip.mov", "-c:v", "png")
    with pytest.raises(PhotoError, match=r"clip.mov can't be read as a clip .*; save it anew as MP4"):
        probe_clip(source)


@says("clips", "length over 4 hours, frames that the file does not hold", "refused")
def test_a_small_file_that_asks_for_many_frames_is_refused(tmp_path: Path) -> None:
    long = drawn(tmp_path / "long.mkv", "-vf", "setpts='if(eq(N,0),0,20000/TB)'", "-fps_mode", "vfr", seconds=0.08)
    with pytest.raises(PhotoError, match=r"long.mkv lasts 5\.\d hours .* over the limit of 4 hours"):
        probe_clip(long)
    few = drawn(tmp_path / "few.mkv", "-vf", "setpts='if(eq(N,0),0,2000/TB)'", "-fps_mode", "vfr", seconds=0.08)
    with pytest.raises(PhotoError, match=r"few.mkv asks for more frames than it holds"):
        for _ in read_frames(probe_clip(few)):
            pass
