"""Replaces a video by its coded file, without loss even if the process is killed.

    checked = check_copy(coded, source, rules)       # decoded in full, compared with the source
    replace_original(source, coded, target, rules)   # only a checked copy, after fsync

The order of a replacement, with `fsync` of files and folders after each step:

    1. the coded file gets the source's times, owner, mode and extended attributes
    2. with `keep`, the original gets a second name in that folder (on another disk: a checked copy)
    3. the coded file takes its place next to the original, or takes the original's name
    4. the original's name is removed

so at any time the original or the checked copy exists. Raises `NotReplacedError` for a copy that
fails a check; the original is unchanged then."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from gvcodec.base.standard.captions import captions_in
from gvcodec.bitstream import Kind, PtsDecoder
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.decoder import Decoder
from gvcodec.edit.verify import Originals, verify
from gvcodec.errors import GvcodecError, NotReplacedError, UsageError
from gvcodec.limits import NO_LIMITS
from gvcodec.opening import open_reader
from gvcodec.planes import rgb_from_planes
from gvcodec.rate.quality import require_metric, ssimulacra2
from gvcodec.source.reader import VideoReader
from gvcodec.tracks.packets import TrackReader
from gvcodec.tracks.tags import ANY_TEXT
from gvcodec.types import Colour, Planes
from gvcodec.util.messages import count_noun
from gvcodec.util.signals import OnAbort

#: PSNR-Y in dB below which a copy is another film: usual qualities have more.
FLOOR = "psnr=24"
_FLOORS = re.compile(r"(psnr|ssimulacra2)=(-?\d+(?:\.\d+)?)")
#: Distance in frames from one SSIMULACRA2 score to the next.
_SCORED = 8
_LANGUAGE = re.compile(r"-[a-z]{3}$")
#: Tags of cameras and people that a copy needs.
_PERSONAL = re.compile(
    r"location|creat\w*(time|date)|(^|[._])(make|model|artist|date)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ReplaceRules:
    """`keep`: folder for originals, "" = delete them. `floor`: least mean quality of the output,
    `psnr=…` (dB of luma) or `ssimulacra2=…`. `least_gain`: least share of the original's bytes that
    the copy saves."""

    keep: str = ""
    floor: str = FLOOR
    least_gain: float = 0.0

    def __post_init__(self) -> None:
        match = _FLOORS.fullmatch(self.floor)
        if match is None:
            raise UsageError(f"{self.floor!r} is no floor like psnr=30 or ssimulacra2=60")
        require_metric(match[1])

    @property
    def metric(self) -> str:
        return self.floor.partition("=")[0]

    @property
    def least_quality(self) -> float:
        return float(self.floor.partition("=")[2])


@dataclass(frozen=True, slots=True)
class CheckedCopy:
    """Measures of a copy that passed: `seconds` of its `frames`, kinds of its tracks, `quality` by
    the floor's metric, `gain` as a share; `left_out`: omitted tracks of other kinds."""

    frames: int
    seconds: float
    tracks: tuple[str, ...]
    metric: str
    quality: float
    gain: float
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        unit = " dB" if self.metric == "psnr" else ""
        parts = [
            "hashes right",
            count_noun(self.frames, "frame"),
            f"{self.seconds:.2f} s",
            count_noun(len(self.tracks), "track") + " of sound and subtitles",
            f"{self.metric} {self.quality:.2f}{unit}",
            f"{100 * self.gain:.1f} % smaller",
        ]
        if self.left_out:
            parts.append(f"without {', '.join(self.left_out)}")
        return ", ".join(parts)


def check_source(source: str) -> None:
    """Raise `UsageError` for a source that is not a plain file, or that is a gvcodec file."""
    try:
        status = os.lstat(source)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror or error}") from error
    if stat.S_ISLNK(status.st_mode):
        raise UsageError(f"{source}: is a link: name the file itself to replace it")
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{source}: only files can be replaced")
    if is_coded(source):
        raise UsageError(f"{source}: is a gvcodec file already")


def is_coded(path: str) -> bool:
    """Whether a file is a gvcodec stream, in any container."""
    with contextlib.suppress(GvcodecError, OSError), open_reader(path):
        return True
    return False


def check_copy(
    stream_path: str, source: str, rules: ReplaceRules, sound: bool = True, subtitles: bool = True
) -> CheckedCopy:
    """Decode a coded file in full, check its hashes, and compare it with its source: frames and
    their times, duration, tracks (with `sound` and `subtitles`), tags, quality, and size. Raises
    `NotReplacedError` with the reason."""
    try:
        return _check(stream_path, source, rules, sound, subtitles)
    except NotReplacedError:
        raise
    except GvcodecError as error:
        raise NotReplacedError(f"{source}: not replaced: {error}") from error


def _check(
    stream_path: str, source: str, rules: ReplaceRules, sound: bool, subtitles: bool
) -> CheckedCopy:
    def refuse(reason: str) -> NotReplacedError:
        return NotReplacedError(f"{source}: not replaced: {reason}")

    gain = 1 - os.path.getsize(stream_path) / os.path.getsize(source)
    if gain <= 0 or gain < rules.least_gain:
        least = f"at least {100 * rules.least_gain:g} %" if rules.least_gain else "more than 0 %"
        raise refuse(f"the coded file saves {100 * gain:.1f} %, and has to save {least}")
    report = verify(stream_path, source)
    frames, seconds, caption_bytes = _measure_source(source)
    if not report.frames == report.compared == frames:
        raise refuse(
            f"the coded file has {report.frames} frames, the original {frames}, of which "
            f"{report.compared} have the same times"
        )
    copy = _read_contents(stream_path)
    tick = seconds / frames
    if abs(copy.seconds - seconds) > max(tick, 0.01):
        raise refuse(f"the coded file is {copy.seconds:.3f} s long, the original {seconds:.3f} s")
    original = _read_container(source)
    for kind, expected in (("audio", sound), ("subtitle", subtitles)):
        ours, theirs = copy.tracks.count(kind), original.tracks.count(kind)
        if expected and ours != theirs:
            raise refuse(f"the coded file has {ours} of {count_noun(theirs, kind + ' track')}")
    if subtitles and copy.caption_bytes != caption_bytes:
        raise refuse(f"{copy.caption_bytes} of {caption_bytes} bytes of closed captions are kept")
    for name, text in original.tags.items():
        if text and copy.tags.get(name.lower()) != text:
            raise refuse(f"the coded file lacks the tag {name}")
    if original.chapters != copy.chapters:
        raise refuse(f"{copy.chapters} of {count_noun(original.chapters, 'chapter')} are kept")
    shown_psnr = report.painted_psnr or report.base_psnr
    assert shown_psnr is not None
    quality = shown_psnr[0] if rules.metric == "psnr" else _score(stream_path, source)
    if not quality >= rules.least_quality:
        raise refuse(f"its {rules.metric} is {quality:.2f}, below {rules.least_quality:g}")
    left_out = tuple(kind for kind in original.tracks if kind not in ("audio", "subtitle"))
    return CheckedCopy(frames, seconds, tuple(copy.tracks), rules.metric, quality, gain, left_out)


@dataclass(frozen=True, slots=True)
class _Contents:
    tracks: list[str]
    tags: dict[str, str]
    chapters: int
    seconds: float = math.nan
    caption_bytes: int = 0


def _measure_source(source: str) -> tuple[int, float, int]:
    """Number of frames of a video, by decoding it, seconds until the last one ends, and bytes of
    closed captions."""
    with VideoReader(source) as reader:
        reader.tracks = None
        marks = list(reader.marks())
        end = (marks[-1].pts - marks[0].pts) * reader.tick + 1 / reader.format.frame_rate
    return len(marks), float(end), sum(mark.caption_bytes for mark in marks)


def _read_contents(stream_path: str) -> _Contents:
    """Tracks, tags and times in the packets of a stream."""
    tracks, metadata, caption_bytes = list[str](), Metadata(), 0
    with open_reader(stream_path) as reader:
        header, fmt = reader.header, reader.header.format
        times = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, NO_LIMITS)
        for packet in reader.packets():
            if packet.kind is Kind.TRACKS and not tracks:
                tracks = [stream.type for stream in TrackReader(packet.payload).streams]
            elif packet.kind is Kind.METADATA and packet.payload:
                metadata = Metadata.unpack(packet.payload)
            elif packet.kind is Kind.TIMING:
                times.send(packet.payload)
            elif packet.is_frame:
                times.receive()
                if header.base == "av1":
                    caption_bytes += len(captions_in(packet.payload))
        # The time after the last frame is its end.
        seconds = (times.receive() - header.start_pts) * fmt.time_base
    tags = {name.lower(): text for name, text in metadata.tags}
    return _Contents(tracks, tags, len(metadata.chapters), float(seconds), caption_bytes)


def _read_container(source: str) -> _Contents:
    """Kinds of tracks other than the video, personal tags, and chapters, read by FFmpeg."""
    with av.open(source, "r", **ANY_TEXT) as container:
        video = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        others = [str(s.type) for s in container.streams if s not in video[:1]]
        tags = {}
        for name, text in container.metadata.items():
            plain = _LANGUAGE.sub("", name)
            # FFmpeg repeats a text under its language: location and location-eng.
            is_repeated = plain != name and container.metadata.get(plain) == text
            if _PERSONAL.search(name) and not is_repeated:
                tags[name] = text
        chapters = len(container.chapters())
    return _Contents(others, tags, chapters)


def _score(stream_path: str, source: str) -> float:
    """Mean SSIMULACRA2 of every eighth output frame."""
    scores = []
    with open_reader(stream_path) as reader, VideoReader(source) as video:
        decoder = Decoder(reader.header, reader.header.is_painted)
        originals = Originals(video, reader.header)
        colour = video.format.colour
        for number, frame in enumerate(decoder.frames_of(reader.packets())):
            if decoder.tracks:
                decoder.tracks.waiting.clear()
            theirs = originals.at(frame.pts, decoder.metadata)
            if number % _SCORED == 0 and theirs is not None:
                ours = originals.as_large(frame.planes)
                scores.append(ssimulacra2(_picture(ours, colour), _picture(theirs, colour)))
    return fmean(scores)


def _picture(planes: Planes, colour: Colour) -> NDArray[np.float32]:
    """(3, H, W) in [0, 1]."""
    rgb = rgb_from_planes(planes, colour).transpose(2, 0, 1)
    return rgb.astype(np.float32) / np.float32(255)


@contextlib.contextmanager
def open_waiting(source: str, suffix: str) -> Iterator[str]:
    """The name of a coded file before its check: in a hidden folder next to the source, which is
    removed afterwards, also after a killed call."""
    mark = hashlib.sha256(os.fsencode(os.path.basename(source))).hexdigest()[:12]
    folder = os.path.join(os.path.dirname(source), f".gvcodec-{mark}")
    abort = OnAbort(partial(shutil.rmtree, folder, ignore_errors=True))
    shutil.rmtree(folder, ignore_errors=True)
    try:
        os.mkdir(folder)
        yield os.path.join(folder, f"new{suffix}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        abort.cancel()


def target_path(source: str, suffix: str) -> str:
    """The source's name with another suffix."""
    return os.path.splitext(source)[0] + suffix


def replace_checked(
    source: str,
    stream_path: str,
    suffix: str,
    rules: ReplaceRules,
    sound: bool = True,
    subtitles: bool = True,
) -> tuple[CheckedCopy, str]:
    """Check a coded file and replace its source; return its measures and the original's place, "" =
    deleted. `coded`: a file on the disk of the source. Raises `NotReplacedError`, `OSError`."""
    before = os.stat(source)
    checked = check_copy(stream_path, source, rules, sound, subtitles)
    now = os.stat(source)
    version, new_version = ((s.st_size, s.st_mtime_ns, s.st_ino) for s in (before, now))
    if new_version != version:
        raise NotReplacedError(f"{source}: not replaced: it changed meanwhile")
    return checked, replace_original(source, stream_path, target_path(source, suffix), rules)


def find_earlier(source: str, suffix: str) -> bool:
    """Whether an earlier call, killed before its last step, left the target next to the source.
    Raises `NotReplacedError` if another file is there."""
    target = target_path(source, suffix)
    if target == source or not os.path.lexists(target):
        return False
    if not is_coded(target):
        raise NotReplacedError(f"{source}: not replaced: {target} exists")
    return True


def replace_original(source: str, stream_path: str, target: str, rules: ReplaceRules) -> str:
    """Replace a source by its checked copy, in the module's order, and return the original's place,
    "" = deleted. `coded`: a file on the disk of `target`, which it becomes; `target` is in the
    folder of `source`, and may be `source`. Raises `NotReplacedError`, `OSError`."""
    folder = os.path.dirname(os.path.abspath(source))
    if stream_path != target and target != source and os.path.lexists(target):
        raise NotReplacedError(f"{source}: not replaced: {target} exists")
    copy_attributes(source, stream_path)
    _sync(stream_path)
    original = _keep(source, rules.keep) if rules.keep else ""
    if stream_path != target:
        if target == source:
            os.replace(stream_path, target)
        else:
            # Unlike a rename, this never overwrites a file that appeared meanwhile.
            _rename_new(stream_path, target)
        _sync(folder)
    if target != source:
        os.unlink(source)
        _sync(folder)
    return original


def copy_attributes(source: str, stream_path: str) -> None:
    """Give a file the times, owner, mode and extended attributes of another; on macOS and Windows
    also the time of its birth. An owner that may not be set is not changed."""
    status = os.stat(source)
    with contextlib.suppress(OSError, AttributeError):
        os.chown(stream_path, status.st_uid, status.st_gid)
    if sys.platform == "darwin":
        # A file is never younger than its change: macOS moves the birth back.
        os.utime(stream_path, (status.st_birthtime, status.st_birthtime))
    shutil.copystat(source, stream_path)
    if sys.platform == "win32":
        _copy_birth_time(stream_path, status.st_ctime_ns)


def _copy_birth_time(path: str, nanoseconds: int) -> None:
    """On Windows: set the time of creation."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        ticks = nanoseconds // 100 + 116_444_736_000_000_000
        time = wintypes.FILETIME(ticks & 0xFFFFFFFF, ticks >> 32)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateFileW.restype = wintypes.HANDLE
        handle = kernel.CreateFileW(path, 0x100, 7, None, 3, 0x02000000, None)
        kernel.SetFileTime(wintypes.HANDLE(handle), ctypes.byref(time), None, None)
        kernel.CloseHandle(wintypes.HANDLE(handle))


def _keep(source: str, folder: str) -> str:
    """Give the original a second name in a folder, durably; on another disk or without links, a
    copy that is read back. An existing one stays; a name in use gets a number. Raises `OSError`."""
    os.makedirs(folder, exist_ok=True)
    stem, ending = os.path.splitext(os.path.basename(source))
    number = 0
    while True:
        name = f"{stem}{f'~{number}' if number else ''}{ending}"
        place = os.path.join(folder, name)
        if not os.path.lexists(place):
            break
        if os.path.samefile(place, source) or _hash_of(place) == _hash_of(source):
            return place
        number += 1
    try:
        os.link(source, place)
    except OSError:
        partial = os.path.join(folder, f".{name}.part")
        shutil.copy2(source, partial)
        _sync(partial)
        if _hash_of(partial) != _hash_of(source):
            os.unlink(partial)
            raise NotReplacedError(f"{source}: not replaced: its copy {place} differs") from None
        copy_attributes(source, partial)
        _rename_new(partial, place)
    _sync(place)
    _sync(folder)
    return place


def _rename_new(path: str, new: str) -> None:
    """Rename a file unless the new name exists. Raises `OSError`."""
    try:
        os.link(path, new)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        if os.path.lexists(new):
            raise
        os.rename(path, new)
        return
    os.unlink(path)


def _hash_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _sync(path: str) -> None:
    """Wait until a file or folder is on the disk."""
    if os.path.isdir(path) and sys.platform == "win32":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
