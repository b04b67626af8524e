"""Tasks of workers: plan a file, encode a chunk, join the chunks; and the settings that they have.

A chunk is written as a stream, then its row of the table as JSON next to it. Chunks, cores and
threads depend on the video and the settings alone, so every engine and every number of jobs writes
the same bytes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import gvcodec
from gvcodec.base import base_model_id
from gvcodec.bitstream import Reader
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.painter_stage import painter_id
from gvcodec.config import EncoderConfig
from gvcodec.errors import (
    UsageError,
    WrongModelError,
)
from gvcodec.input_options import InputOptions
from gvcodec.one_file.write import ONE_FILE, check_one_file, container_size
from gvcodec.opening import refuse_stream
from gvcodec.rate import one_pass
from gvcodec.rate.one_pass import Budget
from gvcodec.rate.quality import require_metric
from gvcodec.rate.size import encode_to_budget
from gvcodec.rate.target import Target, encode_to_target, has_targets, resolve_zones
from gvcodec.source.frame_range import add_mark
from gvcodec.source.frame_reader import InexactSeekError, Span
from gvcodec.source.opening import Source
from gvcodec.source.reader import FrameMark, VideoReader
from gvcodec.util import uris
from gvcodec.util.file_io import write_bytes, write_json

#: Frames at the beginning of each chunk that are compared before chunks are trusted.
_COMPARED = 4
#: Frames of a chunk where keyframes are as far apart as they like.
_USUAL_CHUNK = 240


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a video's encode; they go to workers and, as a hash, into names. `rate`:
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
    """Models, and the metric of fitting, are those of this machine for all workers. `chunk` 0: the
    distance of keyframes. Raises `UsageError` for settings that exclude chunks,
    `MissingWeightsError`."""
    if config.low_delay:
        raise UsageError("low delay is for live streams, not for chunks")
    if config.maxrate:
        raise UsageError("maxrate holds from the first frame to the last, chunks cannot share it")
    if input_options is not None and input_options.fps is not None:
        raise UsageError("--fps looks at frames one after another, chunks do not know the last one")
    if isinstance(rate, Target):
        for target in rate.all:
            require_metric(target.metric)
    config = replace(config, zone_start=start if config.zones else 0.0)
    config.resolve()
    has_targets(config)
    check_one_file(f"OUT{suffix}", config.base)
    painter, _ = painter_id(config)
    shared, length = replace(config, threads=0), config.keyint or _USUAL_CHUNK
    ids = base_model_id(config), painter
    base, painted_by = (model.hex() if model else "" for model in ids)
    options = input_options or InputOptions()
    return Settings(
        shared, rate, start, frames, chunk or length, options, base, painted_by, least_gain, suffix
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
    them, except for the few that follow a chunk's last frame in the file. `seconds`: how long the
    video is. One chunk is all of the file. `incomplete`: losses of the source, where it was
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
    one up to a quarter more. Encoders set keyframes where scenes begin, earlier than their period:
    of several the keyframe nearest to the previous one is taken, of equal ones the last."""
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
    with Source.open(uri) as source:
        refuse_stream(source.name, source.head)
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
    return partial(open_video, uri, replace(settings, start=start, frames=None, input=options))


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
        **size_row(plan, len(coded.frame_bytes), len(coded.data), coded.track_bytes),
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
    """The row of a chunk that an earlier run coded; None if it or its row is missing or
    corrupted, for example after a power failure."""
    row, data = uris.read_json(f"{output}.json"), uris.read_bytes(output)
    is_whole = row and data is not None and row.pop("hash", None) == _hash_of(data)
    return row if is_whole else None


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code(
    uri: str, settings: Settings, config: EncoderConfig, plan: Plan, number: int, seeks: bool = True
) -> one_pass.EncodePass:
    rate = settings.rate

    def open_frames(settings: Settings) -> one_pass.SourceFactory:
        if rate is not None and rate.is_global:
            return partial(open_video, uri, settings)
        return partial(_open_chunk, uri, settings, plan, number, seeks)

    container: one_pass.ContainerSize | None = None
    if rate is not None and rate.bounds_file and settings.suffix in ONE_FILE:
        container = partial(container_size, suffix=settings.suffix)
    if isinstance(rate, Budget):
        return encode_to_budget(
            open_frames(settings), config, rate, _frames, container=container
        ).encoded_pass
    if rate is not None:
        original = open_frames(replace(settings, input=replace(settings.input, scale=None)))
        return encode_to_target(
            open_frames(settings), config, rate, _frames, None, original, container
        ).encoded_pass
    # The painted hash of a chunk does not go into the joined stream.
    return one_pass.encode_pass(
        open_frames(settings), config, "encode", _frames, _ALL, writes_painted_hash=False
    )


def size_row(plan: Plan, frames: int, size: int, tracks: int) -> dict[str, Any]:
    """Table columns of a stream of `size` bytes, `tracks` of them sound and subtitles."""
    bpp = 8 * (size - tracks) / (frames * plan.width * plan.height)
    return {"frames": frames, "bytes": size, "bpp": round(bpp, 6)}


def open_video(uri: str, settings: Settings) -> VideoReader:
    return VideoReader(uri, settings.start, settings.frames, input_options=settings.input)


@contextlib.contextmanager
def _open_chunk(
    uri: str, settings: Settings, plan: Plan, number: int, seeks: bool
) -> Iterator[VideoReader]:
    """Frames of a chunk; the first has metadata."""
    frames = settings.frames if len(plan.chunks) == 1 else plan.chunks[number].frames
    span = plan.span(number, seeks)
    with VideoReader(uri, settings.start, frames, span, settings.input) as reader:
        # They are copied when chunks are joined.
        reader.tracks, reader.attachments = None, []
        if number:
            reader.metadata = Metadata()
        yield reader


def _frames(frames: Any, what: str, total: int | None) -> Any:
    return frames
