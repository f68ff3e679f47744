"""Clips in and out, by ffmpeg.

ffmpeg does all that has to do with files: it turns frames upright, brings variable frame rates to a constant one,
encodes the result as H.264 in MP4 and copies the sound. It comes with the package imageio-ffmpeg, an extra of ours.
A clip is data from a stranger: ffmpeg may open nothing but the file itself, and only as one of a few formats.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from beautygan_cli.errors import OutputError, PhotoError
from beautygan_cli.photos import icc
from beautygan_cli.photos.files import opened, printable
from beautygan_cli.photos.leftovers import beginning, taken_away_by
from beautygan_cli.photos.photo import MAX_PIXELS
from beautygan_cli.photos.xmp import NEW_XMP
from beautygan_cli.types import UInt8Array

INSTALL_CLIPS = "pip install '.[video]'"
CLIP_SUFFIX = ".mp4"
CONTAINERS = "mov,matroska,avi,mpeg,mpegts"  # ffmpeg's names of the containers that are read
CODECS = (  # ffmpeg's names of the decoders that are used: of pictures, of sound, of subtitles
    "h264,hevc,av1,libdav1d,vp8,vp9,libvpx,libvpx-vp9,mpeg4,msmpeg4v2,msmpeg4,mpeg1video,mpeg2video,h263,mjpeg,prores,"
    "dnxhd,dvvideo,ffv1,rawvideo,vc1,wmv3,"
    "aac,aac_latm,mp1float,mp2,mp2float,mp3,mp3float,ac3,eac3,dca,opus,libopus,vorbis,libvorbis,flac,alac,amrnb,amrwb,"
    "pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_alaw,"
    "pcm_mulaw,pcm_dvd,pcm_bluray,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_swf,wmav1,wmav2,wmapro,"
    "subrip,srt,ass,ssa,webvtt,mov_text,text"
)
TEXT_SUBTITLES = ("subrip", "ass", "ssa", "webvtt", "mov_text", "text")  # that become the kind that MP4 holds
UNSHOWN = {  # ffmpeg's names of transfers that are not shown right as what photos are, and what to call such clips
    "smpte2084": "an HDR clip (PQ)",
    "arib-std-b67": "an HDR clip (HLG)",
    "linear": "a clip in linear light",
    "log100": "a clip in logarithmic light",
    "log316": "a clip in logarithmic light",
    "smpte428": "a clip for cinemas (XYZ)",
}
PICTURE = "0:V:0"  # the first stream of pictures that is no cover
COVER = "(attached pic)"
LONGEST = 4 * 3600  # seconds of a clip
MOST_FRAMES = 1_000_000
LEAST_FRAME = 4  # bytes of the file to a frame: less than any codec takes for one, and so it is filled in
LARGEST_FRAME = 8192 * 4352  # pixels: the most of H.264's and HEVC's highest level, 6.2
# A still picture is what takes least: at 1280 x 720 and 60 frames a second x264, x265 and libvpx-vp9 gave a still
# portrait 3,000 to 6,000 pixels a byte, and bars of a test picture, without a face, 12,000 to 16,000.
MOST_PIXELS_A_BYTE = 20_000
ANY_PIXELS = 500_000_000  # of all frames together, that the shortest file may claim: four seconds in full HD
USUAL_RATE = 60  # frames a second: a clip that claims more than this and than it has is brought to it
LOCATION_TAGS = ("location", "location-eng", "com.apple.quicktime.location.ISO6709")
MOST_TAGS = 200  # names and values that are gone through; more than any camera writes
LONGEST_TAG = 1000  # characters of a value that is given to ffmpeg
LAST_WORDS = 200  # characters of ffmpeg's message that are passed on
_MATRICES = ("bt709", "smpte170m", "bt470bg", "bt2020nc", "fcc", "smpte240m")
_WIDE_PRIMARIES = {"smpte431": 11, "smpte432": 12, "bt2020": 9}  # numbers of ITU-T H.273 by ffmpeg's names
# Lines of ffmpeg after the one that says what is wrong: its details, what else came to an end, and progress.
_SAYS_NOTHING = re.compile(
    r"frame=|size=|video:|Conversion failed|Error opening (in|out)put files?\b|Terminating thread|Task finished with"
    r"|Error reinitializing filters|Failed to configure output pad|Error while filtering"
    r"|Link '|Color |Pixel formats|src: |dst: |Could not open encoder before EOF|Nothing was written into output file"
)
_APPLE = "com.apple.quicktime."
_PLACE = re.compile(
    r"location|gps|latitude|longitude|altitude|city|country|place|address|direction|xyz|geo|iso6709", re.IGNORECASE
)
_COORDINATES = re.compile(r"\bgps\b|latitude|longt?itude|[+-]\d\d\.\d+[+-]\d{3}\.\d+", re.IGNORECASE)
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # the UUID of XMP in MP4, XMP specification part 3


def clips_readable() -> bool:
    """Whether the extra that clips need is installed."""
    return importlib.util.find_spec("imageio_ffmpeg") is not None


@dataclass(frozen=True)
class Clip:
    """What is known of a clip before its frames are read.

    size: width and height upright; rate: frames a second at which its frames are read; frames: how many there will be,
    None where the file doesn't say; sound: whether it has any; colours: of its frames by ffmpeg's names ("" unknown);
    aspect: width to height of a pixel; interlaced: whether its frames are made of two fields; subtitles: the numbers of
    its streams that MP4 can hold as text; lost: phrases on what MP4 can't hold; notes: on what comes otherwise or not
    along; tags: names and values of what it says of itself; timecode: of its first frame, or ""; picture_at, sound_at:
    seconds by which each begins after the other, where ffmpeg loses that, see `_starts`.
    """

    path: Path
    size: tuple[int, int]
    rate: Fraction
    frames: int | None
    sound: bool
    colours: tuple[str, str, str] = ("", "", "")  # matrix, primaries, transfer
    full_range: bool = False
    aspect: Fraction = Fraction(1)
    interlaced: bool = False
    subtitles: tuple[int, ...] = ()
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    timecode: str = ""
    picture_at: float = 0.0
    sound_at: float = 0.0

    @property
    def matrix(self) -> str:
        """The matrix between RGB and YUV; of a clip that doesn't say, the one that players take for its size."""
        large = self.size[0] > 1024 or self.size[1] > 576
        return self.colours[0] or ("bt709" if large else "smpte170m")

    @property
    def profile(self) -> bytes | None:
        """An ICC profile of its colour space; None for that of nearly all clips, which players show like sRGB."""
        primaries = _WIDE_PRIMARIES.get(self.colours[1])
        return None if primaries is None else icc.matrix_profile(icc.PRIMARIES[primaries], None)

    def time_of(self, number: int) -> float:
        """Seconds from the start at which a frame, counted from 0, is shown."""
        return float(number / self.rate)


def probe_clip(path: Path, max_pixels: int = MAX_PIXELS) -> Clip:
    """Look at a clip, and decode its first frame.

    path: the clip's file; max_pixels: of a frame. Returns what is known of the clip. PhotoError where that can't be
    done or ffmpeg is missing, for frames larger than any camera's, and for more pixels than the file's bytes can hold.
    """
    name = printable(path)
    if not clips_readable():
        raise PhotoError(f"{name} is a clip, which takes one more package; run: {INSTALL_CLIPS}")
    with opened(path):  # a folder, a pipe, an empty file: said as of a photo
        pass
    asked = [*_input(path), "-map", PICTURE, "-frames:v", "1", "-fps_mode", "cfr"]
    found = _ffmpeg([*asked, "-c:v", "rawvideo", "-pix_fmt", "rgb24", "-f", "framecrc", "-"], words="info")
    about = dict(re.findall(r"^#(\w+) 0: (\S+)$", found.stdout, re.MULTILINE))
    frame = re.search(r"^0,", found.stdout, re.MULTILINE)
    said, _, of_first = found.stderr.partition("\nStream mapping:")
    streams = _streams(said)
    described = next((about for _, kind, about in streams if kind == "Video" and COVER not in about), "")
    colours = _colours(described)
    unshown = UNSHOWN.get(colours[2]) or _untagged(said + of_first, colours)
    if unshown:  # ffmpeg can't read all of these
        raise PhotoError(f"{name} is {unshown}; export it in SDR, as Rec. 709, first.")
    larger = re.search(r"\bPicture size (\d+)x(\d+) exceeds", found.stderr)  # than what ffmpeg was told to decode
    if larger and (found.returncode or not frame):
        raise PhotoError(
            f"{name} has {larger[1]} x {larger[2]} pixels, over the {LARGEST_FRAME:,} that a clip's frames may have;"
            " make it smaller."
        )
    if found.returncode or not frame or not described or not {"tb", "dimensions"} <= about.keys():
        raise PhotoError(f"{name} can't be read as a clip{_last_words(found.stderr, path)}; save it anew as MP4.")
    width, height = (int(side) for side in about["dimensions"].split("x"))
    if width * height > max_pixels:
        raise PhotoError(
            f"{name} has {width} x {height} pixels, over the limit of {max_pixels}; make it smaller or raise"
            " --max-pixels."
        )
    average = re.search(r"([\d.]+)(k?) fps", described)
    rate = _rate(1 / Fraction(about["tb"]), float(average[1]) * (1000 if average[2] else 1) if average else 0.0)
    seconds = _length(path, said, rate)
    if _is_long(seconds, rate):
        raise PhotoError(
            f"{name} lasts {seconds / 3600:.1f} hours at {float(rate):.0f} frames a second, over the limit of"
            f" {LONGEST // 3600} hours and {MOST_FRAMES:,} frames; cut it into parts first."
        )
    if seconds * rate * width * height > _most_pixels(path):
        raise PhotoError(
            f"{name} claims {seconds * float(rate):,.0f} frames of {width} x {height} pixels, which so short a file"
            " can't hold; save it anew as MP4, with fewer frames a second."
        )
    text = tuple(number for number, kind, about in streams if _subtitles(kind, about) in TEXT_SUBTITLES)
    notes = _notes(said, streams, described, whole=not (width % 2 or height % 2))
    timecode = re.search(r"^ *timecode *: (\d\d:\d\d:\d\d[:;.]\d\d)$", said, re.MULTILINE | re.IGNORECASE)
    if _is_mpeg(said):  # where it stands in the frames, and encoders put what they like
        timecode = None
    if timecode and not _holds_timecode(timecode[1], rate):
        notes.append(f"the timecode was left out, since MP4 holds none like it at {float(rate):.5g} frames a second")
        timecode = None
    picture_at, sound_at = _starts(said, streams)
    aspect = Fraction(about.get("sar", "1/1").replace(":", "/")) if not about.get("sar", "1/1").startswith("0") else 0
    return Clip(
        path,
        (width, height),
        rate,
        frames=max(1, round(seconds * rate)) if seconds else None,
        sound=any(kind == "Audio" for _, kind, _ in streams),
        colours=colours,
        full_range=bool(re.search(r"\(pc\b|yuvj", described)),
        aspect=Fraction(aspect or 1),
        interlaced=bool(re.search(r"\b(top|bottom)( coded)? first\b", described)),
        subtitles=text,
        lost=tuple(_lost(streams)),
        notes=tuple(notes),
        tags=_tags(path),
        timecode=timecode[1] if timecode else "",
        picture_at=picture_at,
        sound_at=sound_at,
    )


def _untagged(said: str, colours: tuple[str, str, str]) -> str:
    """What to call a clip that has no transfer, and by other signs more light than SDR; "" of any other.

    said: what ffmpeg says of the clip and of its first frame.
    """
    if not colours[2] and re.search(r"^ *DOVI configuration record:", said, re.MULTILINE):
        return "an HDR clip (Dolby Vision)"
    mastered = re.search(r"^ *(Mastering display|Content light level) metadata:", said, re.MULTILINE)
    return "an HDR clip (of unknown transfer)" if not colours[2] and colours[1] in ("", "bt2020") and mastered else ""


def _seconds(before: str, said: str) -> float:
    """A time that ffmpeg says, as "00:00:01.5", the last one after what a pattern matches; 0 where there is none."""
    found = re.findall(before + r"(\d+):(\d+):([\d.]+)", said, re.MULTILINE)
    return sum(float(part) * unit for part, unit in zip(found[-1], (3600, 60, 1), strict=True)) if found else 0.0


def _length(path: Path, said: str, rate: Fraction) -> float:
    """How long a clip's pictures last, in seconds, by what ffmpeg says of the clip; 0 where that is unknown."""
    whole = _seconds(r"^ *Duration: ", said)
    first = r"^ *Stream #0:\d+\S* ?.*?: Video: (?!.*attached pic).*\n(?: {4,}(?! *Stream).*\n)*"
    own = re.search(first, said, re.MULTILINE)
    seconds = _seconds(r"^ *DURATION *: ", own[0] if own else "") or whole
    if not _is_long(seconds, rate):
        return seconds
    # It may be that of other streams, such as of one subtitle: what the pictures have is counted.
    played = _ffmpeg([*_input(path), "-map", PICTURE, "-c", "copy", "-f", "null", "-"], words="info").stderr
    return _seconds(r"^.* time=", played) or seconds


def _most_pixels(path: Path) -> int:
    """How many pixels all frames of a clip may have together, by the length of its file."""
    return max(ANY_PIXELS, MOST_PIXELS_A_BYTE * path.stat().st_size)


def _is_long(seconds: float, rate: Fraction) -> bool:
    """Whether a clip is over the limit of time or of frames."""
    return seconds > LONGEST or seconds * rate > MOST_FRAMES


Stream = tuple[int, str, str]  # a stream's number, "Video", "Audio", "Subtitle", "Data" or "Attachment", and the rest


def _streams(said: str) -> list[Stream]:
    """The streams of a clip by what ffmpeg says of it."""
    found = re.findall(r"^ *Stream #0:(\d+)\S* ?.*?: (\w+): (.*)$", said, re.MULTILINE)
    # One that belongs to several groups may be told of several times, and one of a programme before those of others.
    return sorted((int(number), *told) for number, told in {number: told for number, *told in found}.items())


def _subtitles(kind: str, about: str) -> str:
    """The name that ffmpeg has for a stream's subtitles, "" of other streams."""
    return (re.match(r"\w*", about) or [""])[0] if kind == "Subtitle" else ""


def _is_mpeg(said: str) -> bool:
    """Whether a clip is an MPEG stream: a programme's or a transport one."""
    return bool(re.search(r"^Input #0, mpeg", said, re.MULTILINE))


def _starts(said: str, streams: Sequence[Stream]) -> tuple[float, float]:
    """Seconds by which picture and sound begin after the other, by what ffmpeg says of a clip.

    Only of a clip where both, which are read in runs of their own, would come to begin at once: of MPEG streams ffmpeg
    takes the start of what a run reads for 0, of other kinds that of the whole clip.
    """
    if not _is_mpeg(said):
        return 0.0, 0.0
    whole = re.search(r"^ *Duration: .*?, start: (-?[\d.]+)", said, re.MULTILINE)
    unsaid = whole is not None and float(whole[1]) <= 0  # a start of 0 is not said
    kinds: dict[str, list[float]] = {"Video": [], "Audio": []}
    for _, kind, about in streams:
        start = re.search(r", start (-?[\d.]+)", about)
        if (kind == "Audio" or (kind == "Video" and not kinds[kind])) and (start or unsaid):
            kinds[kind].append(float(start[1]) if start else 0.0)
    first = min((start for starts in kinds.values() for start in starts), default=0.0)
    picture, sound = (min(starts, default=first) - first for starts in kinds.values())
    return picture, sound


def _lost(streams: Sequence[Stream]) -> list[str]:
    """Phrases on what one sees in a clip and not in an MP4 file that is made of it."""
    names = {_subtitles(kind, about) for _, kind, about in streams} - {"", *TEXT_SUBTITLES}
    lost = [f"subtitles that are pictures ({name}) were left out, since MP4 can't hold them" for name in sorted(names)]
    if len([kind for _, kind, about in streams if kind == "Video" and COVER not in about]) > 1:
        lost.append("of several tracks of pictures the first was taken, and the others were left out")
    return lost


def _notes(said: str, streams: Sequence[Stream], described: str, *, whole: bool) -> list[str]:
    """Phrases on what of a clip comes otherwise or not along.

    described: what ffmpeg says of its pictures; whole: whether colours will be at half the size, see `Encoder`.
    """
    notes = []
    names = re.sub(r"\([^()]*\)", "", described).split(", ")
    pixels = _pixel_formats().get(names[1].strip()) if len(names) > 1 else None
    if pixels is not None:
        bits = max(pixels.bits)
        if bits > 8:
            notes.append(f"{bits} bits a channel became 8, which all players show")
        if pixels.fine and whole:
            notes.append(f"colours finer than 4:2:0 ({names[1].strip()}) became 4:2:0, which all players show")
    if (pixels is not None and pixels.alpha) or re.search(r"^ *alpha_mode *: 1$", said, re.MULTILINE | re.IGNORECASE):
        notes.append("transparent parts became opaque, since MP4 has none")
    if any(kind == "Video" and COVER in about for _, kind, about in streams):
        notes.append("the cover picture was left out")
    if any(kind == "Attachment" for _, kind, _ in streams):
        notes.append("attached files were left out")
    # A timecode comes along by itself; of MPEG streams these are tables of the broadcast or disc.
    data = [] if _is_mpeg(said) else [about for _, kind, about in streams if kind == "Data"]
    others = sorted({re.sub(r"^.*?\((\w+) /.*|\W.*$", r"\1", about) for about in data} - {"tmcd"})
    if others:
        notes.append(f"tracks of data ({', '.join(others)}) were left out")
    if re.search(r"^ *(spherical( mapping)?|stereo ?3d): (?!2D)", said, re.MULTILINE | re.IGNORECASE):
        notes.append("what says that it is seen all around, or in 3D, was left out")
    return notes


def without_places(clip: Clip) -> Clip:
    """A clip without subtitles that tell where it was filmed, as drones write them, and with a note if it has any."""
    kept = tuple(number for number in clip.subtitles if not _tells_place(clip.path, number))
    notes = () if kept == clip.subtitles else ("subtitles that tell the place were left out",)
    return replace(clip, subtitles=kept, notes=(*clip.notes, *notes))


def _tells_place(path: Path, number: int) -> bool:
    """Whether the text of a stream of subtitles has coordinates, or speaks of them."""
    text = _ffmpeg([*_input(path), "-map", f"0:{number}", "-f", "srt", "-"]).stdout
    return bool(_COORDINATES.search(text))


def _holds_timecode(timecode: str, rate: Fraction) -> bool:
    """Whether MP4 can hold a timecode: frames are counted in a byte; only NTSC's rates leave numbers out."""
    return rate <= 255 and (timecode[-3] == ":" or rate in (Fraction(30000, 1001), Fraction(60000, 1001)))


@dataclass(frozen=True)
class _Pixels:
    """bits: of each channel; fine: whether colours have more than a quarter of the places; alpha: transparency."""

    bits: tuple[int, ...]
    fine: bool
    alpha: bool


@functools.cache
def _pixel_formats() -> dict[str, _Pixels]:
    """The list that ffmpeg has of the pixel formats that it knows, by their names."""
    formats = {}
    listed = re.findall(r"^\S{5} (\w+) +(\d+) +(\d+) +([\d-]+)$", _ffmpeg(["-pix_fmts"]).stdout, re.MULTILINE)
    for name, channels, size, depths in listed:
        bits = tuple(int(depth) for depth in depths.split("-"))
        alpha = channels in ("2", "4")
        colours = (int(size) - alpha * bits[-1]) / (max(bits) or 1)  # of each channel's values to a pixel, together
        formats[name] = _Pixels(bits, int(channels) > 2 and colours > 1.5, alpha)
    return formats


def _tags(path: Path) -> tuple[tuple[str, str], ...]:
    """Names and values of what a clip says of itself as a whole, such as when and with which camera it was filmed."""
    listed = _ffmpeg([*_input(path), "-t", "0", "-f", "ffmetadata", "-"]).stdout.partition("\n")[2]
    tags = []
    # A line each, in which a backslash takes what follows for no more than itself, line ends too.
    for line in re.findall(r"(?:[^\\\n]|\\[\s\S]?)+", listed):
        if line in ("[STREAM]", "[CHAPTER]", "[PROGRAM]"):
            break
        name = re.match(r"(?:[^\\=]|\\[\s\S])*", line)
        if name and name.end() < len(line):
            tags.append((_unescaped(name[0]), _unescaped(line[name.end() + 1 :])))
    return tuple(tags)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\s\S])", r"\1", text)


def _rate(claimed: Fraction, average: float) -> Fraction:
    """The constant rate for a clip, by the lowest one that has a place for each frame and the one it has on average.

    A recording of a screen may have 8 frames a second, each at some whole millisecond: a rate of 1000 would be right,
    and 60 shows each frame within 8 ms of its time.
    """
    most = max(Fraction(USUAL_RATE), Fraction(1.1 * average).limit_denominator(1001))
    return claimed if claimed <= most else max(Fraction(USUAL_RATE), Fraction(round(average)))


def _colours(described: str) -> tuple[str, str, str]:
    """Matrix, primaries and transfer from what ffmpeg says of a stream: "h264, yuv420p(tv, bt709/bt709/unknown)"."""
    for item in (item for part in re.findall(r"\(([^()]*)\)", described) for item in part.split(", ")):
        names = ["" if name == "unknown" else name for name in item.split("/")]
        if len(names) == 3 and " " not in item:
            return names[0] if names[0] in _MATRICES else "", names[1], names[2]
        if item in _MATRICES:
            return item, item, item
    return "", "", ""


def read_frames(clip: Clip) -> Generator[UInt8Array, None, None]:
    """The frames of a clip one by one, (H, W, 3) uint8 RGB, upright, deinterlaced, at its constant rate. PhotoError."""
    width, height = clip.size
    by_length = min(clip.path.stat().st_size // LEAST_FRAME, _most_pixels(clip.path) // (width * height))
    most = max(1, min(MOST_FRAMES, int(LONGEST * clip.rate), by_length))
    name = printable(clip.path)
    scale = f"scale=in_color_matrix={clip.matrix}:in_range={'pc' if clip.full_range else 'tv'}"
    fields = "bwdif=mode=send_frame:deint=all," if clip.interlaced else ""
    # The filter fps goes by the frames' times alone; -fps_mode cfr goes by their durations too, which are those of
    # other frames where some are stored out of turn. It fills what is before the first frame, where the sound may have
    # begun; that one's time is made a whole number of frames, so that no others are halfway between two.
    even = f"setpts=round(PTS-STARTPTS+round(STARTPTS*TB*{clip.rate})/({clip.rate})/TB),fps={clip.rate}:start_time=0"
    filters = f"{fields}{scale}:{_CAREFUL},format=rgb24,{even}"
    command = [*_input(clip.path, clip.picture_at), "-map", PICTURE, "-vf", filters]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    with tempfile.TemporaryFile() as words:
        killed = contextlib.ExitStack()
        process = _start(command, killed, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words)
        try:
            assert process.stdout is not None
            number = 0
            while _fill(process.stdout, frame := np.empty((height, width, 3), np.uint8)):
                number += 1
                if number > most:
                    raise PhotoError(f"{name} asks for more frames than it holds, over {most:,}; save it anew as MP4.")
                yield frame
            if process.wait():
                raise PhotoError(
                    f"{name} can't be read beyond frame {number}{_said(words, clip.path)}; save it anew as MP4."
                )
        finally:
            _end(process)
            killed.close()


def _fill(stream: IO[bytes], frame: UInt8Array) -> bool:
    """Fill a frame with what comes out of a stream; False where the stream ends before that."""
    view = memoryview(frame.data).cast("B")
    while view:
        count = stream.readinto(view)  # type: ignore[attr-defined]
        if not count:
            return False
        view = view[count:]
    return True


class Encoder:
    """Writes frames, and a clip's sound beside them, to an MP4 file. A context manager; OutputError.

    file: what is written to; name: what the messages call it; sound: "copy", "aac" or "". quality: 1 to 100;
    strip_location: leave out where it was filmed.
    """

    def __init__(
        self, clip: Clip, file: Path, name: Path, sound: str, *, quality: int = 95, strip_location: bool = False
    ) -> None:
        self.name = printable(name)
        self._files = (clip.path, file)
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, closed on exit
        width, height = clip.size
        command = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width}x{height}"]
        command += ["-framerate", str(clip.rate), "-i", "pipe:0", *_input(clip.path, clip.sound_at), "-map", "0:v:0"]
        command += ["-map", "1:a?", "-c:a", sound] if sound else []
        # Halved chroma can't be had of an odd side; H.264 without halving is played by fewer players.
        pixels = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        level = "pc" if clip.full_range else "tv"
        matrix, primaries, transfer = (name or "unknown" for name in clip.colours)
        filters = [
            f"scale=out_color_matrix={clip.matrix}:out_range={level}:{_CAREFUL}",
            f"format={pixels}",
            f"setparams=range={level}:colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}",
            f"setsar={clip.aspect}:max=10000",
        ]
        command += ["-vf", ",".join(filters), "-c:v", "libx264", "-crf", str(_crf(quality))]
        for number in clip.subtitles:
            command += ["-map", f"1:{number}", "-c:s", "mov_text"]
        command += ["-map_metadata", "1", "-map_chapters", "1", *_tagged(clip, strip_location)]
        command += ["-f", "mp4", "-y", _file(file)]
        self._killed = contextlib.ExitStack()
        self._process = _start(
            command, self._killed, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._words
        )

    def write(self, frame: UInt8Array) -> None:
        """Write the next frame, (H, W, 3) uint8 RGB."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(memoryview(np.ascontiguousarray(frame).data).cast("B"))
        except OSError as error:
            self._process.wait()
            raise self._trouble() from error

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None:
                assert self._process.stdin is not None
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
                if self._process.wait():
                    raise self._trouble()
        finally:
            _end(self._process)
            self._killed.close()
            self._words.close()

    def _trouble(self) -> OutputError:
        why = _said(self._words, *self._files)
        return OutputError(f"{self.name} can't be written as MP4{why}; free some space or choose another --out.")


def _tagged(clip: Clip, strip_location: bool) -> list[str]:
    """The options by which a result says of itself what its clip does, without the place it was filmed at on demand."""
    given = dict.fromkeys(LOCATION_TAGS, "") if strip_location else {}
    keyed = [name for name, _ in clip.tags if name.lower().startswith(_APPLE)]
    # Such names stand in a list that may hold any, in which many players don't look for the usual ones. A clip with
    # names that can't be given to ffmpeg, and so not be taken away, gets no such list.
    strange = len(clip.tags) > MOST_TAGS or any(re.search("[=\ufffd]", name) for name, _ in clip.tags)
    listed = bool(keyed) and not strange
    if listed:
        given |= dict.fromkeys(("major_brand", "minor_version", "compatible_brands"), "")
        for name, value in clip.tags:
            if strip_location and _PLACE.search(name):
                given[name] = ""
            elif name.isupper() and name in keyed and len(value) <= LONGEST_TAG:  # as Matroska writes them
                given[name.lower().replace("iso6709", "ISO6709")] = value
    options = [option for name, value in given.items() for option in ("-metadata", f"{name}={value}")]
    if clip.timecode:
        options += ["-metadata:s:v:0", f"timecode={clip.timecode}"]
    return [*options, "-movflags", "+faststart+use_metadata_tags" if listed else "+faststart"]


def _crf(quality: int) -> int:
    """x264's constant rate factor for --quality: 17, where losses can't be seen, at 95; 40 at 1."""
    return round(40.25 - 0.2425 * quality)


def sound_for_mp4(clip: Clip) -> str:
    """How the clip's sound comes into MP4, tried on its first second: "copy", "aac" or, where neither can be, ""."""
    for way in ("copy", "aac") if clip.sound else ():
        tried = [*_input(clip.path), "-map", "0:a", "-c", way, "-t", "1", "-f", "mp4", "-movflags", "frag_keyframe"]
        if not _ffmpeg([*tried, "-y", os.devnull]).returncode:
            return way
    return ""


def clip_mark() -> bytes:
    """The mark of a clip that a trained model altered, for the end of an MP4 file."""
    return _box(_XMP_BOX + NEW_XMP)


def _box(content: bytes) -> bytes:
    """A box of an MP4 file whose kind is given by a UUID."""
    return (len(content) + 8).to_bytes(4, "big") + b"uuid" + content


_CAREFUL = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"  # so that there and back is the same again


def _input(path: Path, later: float = 0.0) -> list[str]:
    """The options by which ffmpeg reads a clip as one of the known kinds; `later`: seconds that its times are moved."""
    return [
        "-itsoffset",
        f"{later:.6f}",
        "-protocol_whitelist",
        "file",
        "-format_whitelist",
        CONTAINERS,
        "-codec_whitelist",
        CODECS,
        "-max_pixels",
        str(LARGEST_FRAME),
        "-i",
        _file(path),
    ]


def _file(path: Path) -> str:
    """A path such that ffmpeg takes it for nothing else."""
    return f"file:{path.absolute()}"


def _command(arguments: Sequence[str], words: str) -> list[str]:
    import imageio_ffmpeg

    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise PhotoError(f"there is no ffmpeg for this machine, which clips take; run: {INSTALL_CLIPS}") from error
    return [program, "-hide_banner", "-nostats", "-loglevel", words, *arguments]


def _ffmpeg(arguments: Sequence[str], *, words: str = "error") -> subprocess.CompletedProcess[str]:
    """Run ffmpeg to its end."""
    return subprocess.run(
        _command(["-nostdin", *arguments], words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        **_APART,
    )


def _start(arguments: Sequence[str], killed: contextlib.ExitStack, **pipes: Any) -> subprocess.Popen[bytes]:
    """Start ffmpeg, which ends with this process until `killed` is closed."""
    with beginning:
        process = subprocess.Popen(_command(arguments, "error"), **pipes, **_APART)
        killed.enter_context(taken_away_by(process.kill))
    return process


# A process of its own group is not reached by Ctrl-C: it is for us to say when ffmpeg ends.
_APART: dict[str, Any] = (
    {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
)


def _end(process: subprocess.Popen[bytes]) -> None:
    """See to it that a process is gone and its pipes are closed."""
    if process.poll() is None:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def _said(words: IO[bytes], *paths: Path) -> str:
    words.seek(0)
    return _last_words(words.read().decode("utf-8", "replace"), *paths)


def _last_words(text: str, *paths: Path) -> str:
    """The last line that ffmpeg wrote, in brackets, without its own addresses, and with the files by name alone."""
    for path in paths:
        text = text.replace(_file(path), path.name)
    lines = [re.sub(r"^(\[[^]]* @ \w+\] *)+", "", line).strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not _SAYS_NOTHING.match(line)]
    return f" (ffmpeg: {printable(telling[-1])[:LAST_WORDS].rstrip('.')})" if telling else ""
