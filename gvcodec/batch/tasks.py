"""Tasks of workers: plan a file, encode a chunk, join the chunks; and the settings that they have.

A chunk is written as a stream, then its row of the table as JSON beside it. Chunks, cores and
threads depend on the video and the settings alone, so every engine and every number of jobs writes
the same bytes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import Any, BinaryIO

import gvcodec
from gvcodec.base import base_model_id, uses_network
from gvcodec.bitstream import Reader
from gvcodec.bitstream.packets import EXACT, make_quality
from gvcodec.codec.gops import GopSource, Splicer
from gvcodec.config import EncoderConfig
from gvcodec.edit.cat import check_compatible
from gvcodec.edit.replace import (
    ReplaceRules,
    check_source,
    find_earlier,
    open_waiting,
    replace_checked,
    target_path,
)
from gvcodec.errors import (
    MediaError,
    NoGainError,
    NotReplacedError,
    UsageError,
    WrongModelError,
)
from gvcodec.limits import NO_LIMITS
from gvcodec.media import playlist
from gvcodec.media.inputs import InputOptions
from gvcodec.media.metadata import Metadata
from gvcodec.media.reader import FrameMark, InexactSeekError, Span, VideoReader, add_mark
from gvcodec.one_file.write import check_one_file, tracks_in, write_one_file
from gvcodec.painter.open import has_torch, painter_id
from gvcodec.rate import one_pass
from gvcodec.rate.one_pass import Budget
from gvcodec.rate.quality import require_metric
from gvcodec.rate.size import encode_to_budget
from gvcodec.rate.target import Target, encode_to_target, has_targets, resolve_zones
from gvcodec.util import uris
from gvcodec.util.file_io import work_folder, write_atomically, write_bytes, write_json

#: Frames at the beginning of each chunk that are compared before chunks are trusted.
_COMPARED = 4
#: Frames of a chunk where keyframes are as far apart as they like.
_USUAL_CHUNK = 240


@dataclass(frozen=True, slots=True)
class Settings:
    """What a video is to be encoded with; it goes to workers and, as a hash, into names. `rate`:
    None = the q of `config`. `chunk`: frames. Ids of models in hexadecimal digits, "" without
    one. `least_gain`: the share of a source that its file has to save, None = any. `suffix`: the
    ending of the output, .gvc or one of `ONE_FILE`."""

    config: EncoderConfig
    rate: Budget | Target | None = None
    start: float = 0.0
    frames: int | None = None
    chunk: int = _USUAL_CHUNK
    input: InputOptions = field(default_factory=InputOptions)
    base_model: str = ""
    painter: str = ""
    least_gain: float | None = None
    suffix: str = ".gvc"
    version: str = gvcodec.__version__

    @property
    def is_whole(self) -> bool:
        """Whether all of a source is coded, not a part of it."""
        return self.start <= 0 and self.frames is None and self.input.until is None


def make_settings(
    config: EncoderConfig,
    rate: Budget | Target | None = None,
    start: float = 0.0,
    frames: int | None = None,
    chunk: int = 0,
    input_options: InputOptions | None = None,
    least_gain: float | None = None,
    suffix: str = ".gvc",
) -> Settings:
    """Models, and the judge of fitting, are those of this machine for all workers. `chunk` 0: the
    distance of keyframes. Raises `UsageError` for what cannot be encoded in chunks,
    `MissingWeightsError`."""
    if config.low_delay:
        raise UsageError("low delay is for streams that are made as they are sent, not for chunks")
    if config.maxrate:
        raise UsageError("maxrate holds from the first frame to the last, chunks cannot share it")
    if input_options is not None and input_options.fps is not None:
        raise UsageError("--fps looks at frames one after another, chunks do not know the last one")
    if isinstance(rate, Target):
        for one in rate.all:
            require_metric(one.metric)
    config = replace(config, zone_start=start if config.zones else 0.0)
    config.resolve()
    has_targets(config)
    check_one_file(f"OUT{suffix}", config.base)
    painter, _ = painter_id(config, uses_network(config))
    led_by = ""
    if config.uses_fitting and painter and has_torch():
        from gvcodec.perceptual import guide_network

        leader = guide_network(config.fit_by)
        led_by = leader[0] if leader else config.fit_by
    known, length = replace(config, threads=0, fit_by=led_by), config.keyint or _USUAL_CHUNK
    ids = base_model_id(config), painter
    base, drawn = (model.hex() if model else "" for model in ids)
    given = input_options or InputOptions()
    return Settings(
        known, rate, start, frames, chunk or length, given, base, drawn, least_gain, suffix
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """`frames` from number `first` on; `begin` and `check` as in `Span`."""

    first: int
    frames: int
    begin: int = 0
    check: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A video in chunks, cut at keyframes of the source, so that no frame is decoded for two of
    them, but for the few that follow a chunk's last frame in the file. `seconds`: how long the
    video is. One chunk is all of the file. `incomplete`: what the source lacks, where it was
    decoded for the plan."""

    width: int
    height: int
    rate: str
    seconds: float
    chunks: tuple[Chunk, ...]
    incomplete: str = ""

    @property
    def frames(self) -> int:
        return sum(chunk.frames for chunk in self.chunks)

    def span(self, number: int, seeks: bool = True) -> Span | None:
        """None for the first chunk, which begins as the video does."""
        chunk = self.chunks[number]
        return Span(chunk.begin, chunk.frames, chunk.check, seeks) if number else None

    def pack(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def unpack(data: dict[str, Any]) -> Plan:
        return Plan(**(data | {"chunks": tuple(Chunk(**chunk) for chunk in data["chunks"])}))


def make_plan(
    source: str,
    start: float,
    frames: int | None,
    length: int | None,
    input_options: InputOptions | None = None,
) -> Plan:
    """`source`: a path or URI; chunks have about `length` frames, None = there is one. Found by
    decoding the video once; where seeking does not lead to the same frames, there is one chunk, and
    each is checked again when it is encoded (`Span.check`). Raises `MediaError`."""
    with VideoReader(source, start, frames, input_options=input_options) as reader:
        fmt, shift, expected = reader.format, reader.shift, reader.expected_frames or 1
        reader.tracks = None
        marks = list(reader.marks()) if length and not reader.pictures else []
        incomplete = reader.incomplete
    size = fmt.width, fmt.height, str(fmt.frame_rate)
    if length is None or not marks:
        return Plan(*size, float(expected / fmt.frame_rate), (Chunk(0, expected),))
    starts = boundaries([mark.key for mark in marks], length)
    ends = [*starts[1:], len(marks)]
    chunks = [_chunk(marks, a, b, shift) for a, b in zip(starts, ends, strict=True)]
    try:
        for chunk in chunks[1:]:
            part = _chunk(marks, chunk.first, chunk.first + min(_COMPARED, chunk.frames), shift)
            span = Span(part.begin, part.frames, part.check)
            with VideoReader(source, start, span=span, input_options=input_options) as reader:
                list(reader.marks())
    except InexactSeekError:
        chunks = [Chunk(0, len(marks))]
    seconds = (marks[-1].pts - marks[0].pts) * reader.tick + 1 / fmt.frame_rate
    return Plan(*size, float(seconds), tuple(chunks), incomplete)


def _chunk(marks: Sequence[FrameMark], first: int, end: int, shift: int) -> Chunk:
    check = 0
    for mark in marks[first:end]:
        check = add_mark(check, mark.pts - shift, mark.samples)
    return Chunk(first, end - first, marks[first].pts, check)


def boundaries(keys: Sequence[bool], length: int) -> list[int]:
    """Numbers of the frames that chunks begin with. `keys`: whether a decoder can begin with a
    frame. Chunks have `length / 2` to `length` frames as far as there are keys for that, the last
    one up to a quarter more. Encoders set keyframes where scenes begin, earlier than their period
    asks for: of several the one that comes soonest after another is taken, of equal ones the
    last."""
    places = [number for number, key in enumerate(keys) if key and number]
    gaps = {b: b - a for a, b in zip([0, *places], places, strict=False)}
    starts, last = [0], len(keys) - length // 4
    while len(keys) - starts[-1] > length * 5 // 4:
        least, most = starts[-1] + (length + 1) // 2, starts[-1] + length
        inside = [p for p in places if least <= p <= most and p <= last]
        beyond = next((p for p in places if most < p <= last), None)
        if inside:
            starts.append(min(inside, key=lambda p: (gaps[p], -p)))
        elif beyond is not None:
            starts.append(beyond)
        else:
            break
    return starts


#: Frames.
_ALL = 1 << 40
#: Pixels above which a task has another core, and the most it has.
_A_CORE, _MOST_CORES = 2560 * 1440, 4


def plan(uri: str, settings: Settings) -> dict[str, Any]:
    """The chunks of a video and the `cores` that each takes; the version of the input: its `stamp`
    and a hash of its `content`. If zones have targets: `zones` with the qualities that reach them,
    and `notes`."""
    stamp = uris.version_stamp(uri)
    length = None if settings.rate is not None and settings.rate.is_global else settings.chunk
    plan = make_plan(uri, settings.start, settings.frames, length, settings.input)
    # One core, but more for a large picture, which takes the memory of several small ones.
    cores = min(_MOST_CORES, 1 + plan.width * plan.height // (_A_CORE + 1))
    content = uris.content_id(uri, stamp)
    planned = {"stamp": stamp, "content": content, "plan": plan.pack(), "cores": cores}
    if has_targets(settings.config):
        config, notes = resolve_zones(
            partial(_open_zone, uri, settings), settings.config, _frames, None
        )
        planned |= {"zones": config.zones, "notes": notes}
    return planned


def _open_zone(
    uri: str, settings: Settings, begin: float, end: float, whole: bool
) -> one_pass.SourceFactory:
    """Opens the frames from `begin` to `end` seconds; `whole`: at the source's size."""
    limit = settings.input.until
    until = min(end, math.inf if limit is None else limit)
    options = replace(settings.input, until=None if math.isinf(until) else until)
    if whole:
        options = replace(options, scale=None)
    start = max(begin, settings.start)
    return partial(_open, uri, replace(settings, start=start, frames=None, input=options))


def encode(
    uri: str,
    settings: Settings,
    plan: Plan,
    number: int,
    cores: int,
    output: str,
    root: str = "",
    header_q: int | None = None,
) -> dict[str, Any]:
    """Write a chunk as a stream to `output`, and its row next to it. `root`: a folder that has to
    exist. `header_q`: the q of its header. With a budget it is the whole file, with its sound."""
    began, spent = time.monotonic(), sum(os.times()[:4])
    config = replace(settings.config, threads=cores, header_q=header_q)
    try:
        coded = _code(uri, settings, config, plan, number)
    except InexactSeekError:
        coded = _code(uri, settings, config, plan, number, seeks=False)
    header = Reader(io.BytesIO(coded.data)).header
    ids = [i.hex() if i else "" for i in (header.base_model_id, header.painter_id)]
    if ids != [settings.base_model, settings.painter]:
        raise WrongModelError("this machine has other models than the one that ordered the work")
    write_bytes(output, coded.data, root)
    sound = [coded.track_bytes, coded.track_packets, coded.track_kinds]
    row = {
        "psnr_y": round(coded.psnr_y, 4) if math.isfinite(coded.psnr_y) else None,
        "first": plan.chunks[number].first,
        **_size_in(plan, len(coded.frame_bytes), len(coded.data), coded.track_bytes),
        "tracks": sound if coded.track_packets else None,
        "q": coded.base_q,
        "fitted": sum(map(len, set(coded.fit_payloads.values()))),
        "seconds": round(time.monotonic() - began, 3),
        "cpu": round(sum(os.times()[:4]) - spent, 3),
        "cores": cores,
        "notes": coded.notes,
        "incomplete": plan.incomplete or coded.incomplete,
    }
    write_json(f"{output}.json", row | {"hash": _hash_of(coded.data)}, root)
    return row


def find_coded(output: str) -> dict[str, Any] | None:
    """The row of a chunk that an earlier run coded; None where it, or its row, is missing or is not
    what was written, as after a power cut."""
    row, data = uris.read_json(f"{output}.json"), uris.read_bytes(output)
    is_whole = row and data is not None and row.pop("hash", None) == _hash_of(data)
    return row if is_whole else None


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code(
    uri: str, settings: Settings, config: EncoderConfig, plan: Plan, number: int, seeks: bool = True
) -> one_pass.EncodePass:
    rate = settings.rate

    def opened(wanted: Settings) -> one_pass.SourceFactory:
        if rate is not None and rate.is_global:
            return partial(_open, uri, wanted)
        return partial(_open_chunk, uri, wanted, plan, number, seeks)

    if isinstance(rate, Budget):
        return encode_to_budget(opened(settings), config, rate, _frames).encoded_pass
    if rate is not None:
        original = opened(replace(settings, input=replace(settings.input, scale=None)))
        return encode_to_target(
            opened(settings), config, rate, _frames, open_original=original
        ).encoded_pass
    # What is painted is hashed for the end of a stream, which does not come into the joined one.
    return one_pass.encode_pass(
        opened(settings), config, "encode", _frames, _ALL, writes_painted_hash=False
    )


def _size_in(plan: Plan, frames: int, size: int, tracks: int) -> dict[str, Any]:
    """Table columns of a stream of `size` bytes, `tracks` of them sound and subtitles."""
    bpp = 8 * (size - tracks) / (frames * plan.width * plan.height)
    return {"frames": frames, "bytes": size, "bpp": round(bpp, 6)}


def join(
    uri: str,
    settings: Settings,
    plan: Plan,
    chunks: list[str],
    cores: int,
    output: str,
    root: str = "",
) -> dict[str, Any]:
    """The chunks as one stream. If the file saves too little, nothing is written and the row has
    only "no gain", the reason. `root`: a folder that has to exist."""
    try:
        with write_atomically(output, root) as stream:
            if settings.suffix == ".gvc":
                row = _join_into(stream, uri, settings, plan, chunks, cores)
            else:
                row = _join_into_container(stream, uri, settings, plan, chunks, cores)
            source_bytes = playlist.size_of(uri) if settings.is_whole else None
            _check_gain(settings, row["bytes"], source_bytes)
    except NoGainError as error:
        return {"no gain": str(error)}
    return row | {"source_bytes": source_bytes}


def replace_source(uri: str, settings: Settings, coded: str, rules: ReplaceRules) -> dict[str, str]:
    """Put the coded file in the place of its source, once it is checked: its path as `output`, and
    `original`, a line on that; or the reason against it as `refused`."""
    options = settings.input
    kinds = options.sound != "none", not options.no_subtitles
    target = target_path(uri, settings.suffix)
    try:
        check_source(uri)
        with open_waiting(uri, settings.suffix) as waiting:
            if find_earlier(uri, settings.suffix):
                waiting = target
            else:
                shutil.copyfile(coded, waiting)
            checked, original = replace_checked(uri, waiting, settings.suffix, rules, *kinds)
    except (NotReplacedError, UsageError) as error:
        return {"refused": str(error)}
    except OSError as error:
        return {"refused": f"{uri}: not replaced: {error.strerror or error}"}
    with contextlib.suppress(OSError):
        os.unlink(coded)
    place = f"moved to {original}" if original else "deleted"
    return {"output": target, "original": f"{place}; {checked}"}


def _join_into_container(
    output: BinaryIO, uri: str, settings: Settings, plan: Plan, chunks: list[str], cores: int
) -> dict[str, Any]:
    """The same as AV1 that every player shows, with the packets for painting."""
    with tempfile.TemporaryFile() as spool, work_folder() as folder:
        row = _join_into(spool, uri, settings, plan, chunks, cores)  # type: ignore[arg-type]
        spool.seek(0)
        path = os.path.join(folder, f"whole{settings.suffix}")
        frames, notes = write_one_file(Reader(spool), path, False, NO_LIMITS)  # type: ignore[arg-type]
        with open(path, "rb") as file:
            shutil.copyfileobj(file, output)
        size, tracks = os.path.getsize(path), tracks_in(path)
    sizes = _size_in(plan, frames, size, tracks[0] if tracks else 0)
    return row | sizes | {"tracks": tracks, "notes": [*row["notes"], *notes]}


def _join_into(
    stream: BinaryIO, uri: str, settings: Settings, plan: Plan, chunks: list[str], cores: int
) -> dict[str, Any]:
    """With the tracks of the source; everything is decoded on the way. A file with a budget is its
    only chunk."""
    if settings.rate is not None and settings.rate.is_global:
        stream.write(_read_chunk_bytes(chunks[0]))
        row = find_coded(chunks[0])
        if row is None:
            raise MediaError(f"{chunks[0]}: the coded chunk has changed; the same command goes on")
        return row
    with _open(uri, settings) as video:
        splicer = _splice(chunks, video, stream, cores, not settings.is_whole)
    size, tracks = splicer.writer.size, splicer.writer.track_size
    return {
        **_size_in(plan, splicer.writer.frames, size, tracks),
        "tracks": [tracks, video.tracks.packets, video.tracks.kinds] if video.tracks else None,
        "notes": video.notes,
    }


def _check_gain(settings: Settings, size: int, source: int | None) -> None:
    """Raises `NoGainError` if the file saves a smaller share of its source than it has to."""
    if source is None or settings.least_gain is None:
        return
    if size > (1 - settings.least_gain) * source:
        raise NoGainError(
            f"{size} bytes of the source's {source} would save less than "
            f"{100 * settings.least_gain:g} %: nothing was written"
        )


def _open(uri: str, settings: Settings) -> VideoReader:
    return VideoReader(uri, settings.start, settings.frames, input_options=settings.input)


def _splice(
    chunks: list[str], video: VideoReader, stream: BinaryIO, threads: int, partial: bool
) -> Splicer:
    """`partial`: the video is a part of its file, and has that part of the sound."""
    splicer: Splicer | None = None
    #: PSNR-Y of chunks, once for each frame; an older release does not say it.
    qualities: list[float | None] = []
    for path in chunks:
        reader = _read_chunk(path)
        if splicer is None:
            head = reader.header
            splicer = Splicer(stream, head, threads, NO_LIMITS)
            splicer.tracks, splicer.metadata = video.tracks, video.metadata.pack()
        check_compatible(head, reader.header, reader.name)
        gops, count = GopSource(reader.header, reader.packets(), NO_LIMITS), 0
        for gop in gops:
            last = (gop.times[-1] + video.shift) * head.format.time_base
            end = last + 1 / head.format.frame_rate
            video.copy_tracks(end)
            splicer.write(gop)
            count += gop.frames
        qualities += [gops.psnr_y] * count
    assert splicer is not None
    video.copy_tracks(end if partial else None)
    if video.tracks:
        video.tracks.finish()
    known = [quality for quality in qualities if quality is not None]
    if len(known) == len(qualities):
        inexact = [quality for quality in known if quality < EXACT]
        splicer.writer.write(make_quality(fmean(inexact) if inexact else EXACT))
    splicer.finish(gops.end)
    return splicer


def _read_chunk(path: str) -> Reader:
    return Reader(io.BytesIO(_read_chunk_bytes(path)), path)


def _read_chunk_bytes(path: str) -> bytes:
    data = uris.read_bytes(path)
    if data is None:
        raise MediaError(f"{path}: the coded chunk was removed; the same command goes on")
    return data


@contextlib.contextmanager
def _open_chunk(
    uri: str, settings: Settings, plan: Plan, number: int, seeks: bool
) -> Iterator[VideoReader]:
    """Frames of a chunk; the first has metadata."""
    frames = settings.frames if len(plan.chunks) == 1 else plan.chunks[number].frames
    span = plan.span(number, seeks)
    with VideoReader(uri, settings.start, frames, span, settings.input) as reader:
        # They are copied when chunks are joined.
        reader.tracks = None
        if number:
            reader.metadata = Metadata()
        yield reader


def _frames(frames: Any, what: str, total: int | None) -> Any:
    return frames
