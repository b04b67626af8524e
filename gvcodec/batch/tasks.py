"""What workers do: plan a file, encode a chunk, measure one for rate control, join the chunks. All
take and give JSON.

Each writes what it comes to itself, chunks as streams, results as JSON at `keep`, the latter last:
where that is, everything is."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from gvcodec.batch import costs, store
from gvcodec.batch.plan import Plan, make_plan
from gvcodec.batch.settings import Settings
from gvcodec.batch.worker import cpu_seconds
from gvcodec.bitstream import Reader
from gvcodec.codec.gops import GopSource, Splicer
from gvcodec.config import EncoderConfig
from gvcodec.errors import WrongModelError
from gvcodec.limits import UNLIMITED
from gvcodec.media.metadata import Metadata
from gvcodec.media.reader import VideoReader
from gvcodec.rate import one_pass
from gvcodec.rate.budget import Budget
from gvcodec.rate.size import encode_to
from gvcodec.rate.target import Target, encode_for, lpips_of
from gvcodec.streams.cat import check_alike, tokens_of

_ALL = 1 << 40
#: Presets that tell which chunks cost more than others.
_QUICK = {"av1": 8, "vvc": 4}


def plan(uri: str, settings: dict[str, Any], keep: str) -> dict[str, Any]:
    """The chunks of a video and the key of the work on it."""
    chosen = Settings.unpack(settings)
    stamp = store.stamp(uri)
    found = make_plan(uri, chosen.start, chosen.frames, chosen.chunk, chosen.input)
    counted = {"size", "bitrate"} & set(chosen.rate)
    side = _side_bytes(uri, chosen) if counted else 0
    record = {
        "uri": uri,
        "stamp": stamp,
        "key": chosen.key(store.content_id(uri, stamp)),
        "plan": found.pack(),
        "cores": costs.cores_of(found),
        "memory": costs.memory_of(chosen, found),
        "side": side,
    }
    store.write_json(keep, record)
    return record


def _side_bytes(uri: str, settings: Settings) -> int:
    """Bytes of copied tracks, about."""
    with VideoReader(uri, settings.start, settings.frames, said=settings.input) as video:
        return video.measure_tracks()


def encode(
    uri: str,
    settings: dict[str, Any],
    plan: dict[str, Any],
    number: int,
    cores: int,
    output: str,
    keep: str,
    header_q: int | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """A chunk, as a stream at `output`. `limit`: the bytes that it may have; `header_q`: what its
    header says."""
    began, spent = time.monotonic(), cpu_seconds()
    chosen, cut = Settings.unpack(settings), Plan.unpack(plan)
    opened = _Chunk(uri, chosen, cut, number)
    coded = _code(opened, chosen, chosen.encoder_config(cores, header_q=header_q), limit)
    header = Reader(io.BytesIO(coded.data)).header
    ids = [i.hex() if i else "" for i in (header.base_model_id, header.painter_id)]
    tokens = header.gvc1d_id is None or header.gvc1d_id.hex() == chosen.gvc1d
    if ids != [chosen.base_model, chosen.painter] or not tokens:
        raise WrongModelError(
            "this machine has other models than the one that the work was ordered on"
        )
    row = _measure(coded, opened, chosen)
    store.write_bytes(output, coded.data)
    frames = len(coded.frame_bytes)
    row |= {
        "first": cut.chunks[number].first,
        "frames": frames,
        "bytes": len(coded.data),
        "bpp": round(8 * len(coded.data) / (frames * cut.width * cut.height), 6),
        "q": coded.base_q,
        "fitted": sum(map(len, set(coded.fitted.values()))),
        "seconds": round(time.monotonic() - began, 3),
        "cpu": round(cpu_seconds() - spent, 3),
        "cores": cores,
        "notes": coded.notes,
    }
    store.write_json(keep, row)
    return row


def measure(
    uri: str,
    settings: dict[str, Any],
    plan: dict[str, Any],
    number: int,
    cores: int,
    qs: list[float],
    keep: str,
) -> dict[str, Any]:
    """What a chunk costs at each of these indices of quality, by a fast preset where there is
    one."""
    chosen, cut = Settings.unpack(settings), Plan.unpack(plan)
    sizes = []
    opened = _Chunk(uri, chosen, cut, number)
    quick = _QUICK.get(chosen.base, chosen.config["preset"])
    for q in qs:
        config = chosen.encoder_config(cores, base_q=q, fit=0.0, preset=quick)
        coded = one_pass.run(opened, config, "trial", _frames, _ALL, paints=False)
        sizes.append(len(coded.data))
    found = {"sizes": sizes, "frames": len(coded.frame_bytes)}
    store.write_json(keep, found)
    return found


def join(
    uri: str,
    settings: dict[str, Any],
    plan: dict[str, Any],
    chunks: list[str],
    cores: int,
    output: str,
    allowed: int | None = None,
) -> dict[str, Any]:
    """The chunks as one stream, with the tracks of the source. Everything is decoded on the way. A
    stream that has more than `allowed` bytes besides its tracks does not appear; its `excess` is
    returned."""
    chosen, cut = Settings.unpack(settings), Plan.unpack(plan)
    with VideoReader(uri, chosen.start, chosen.frames, said=chosen.input) as video:
        try:
            with store.write_whole(output) as stream:
                partial = chosen.frames is not None or chosen.input.until is not None
                splicer = _splice(chunks, video, stream, cores, partial)
                size, tracks = splicer.writer.size, splicer.writer.track_size
                excess = 0 if allowed is None else size - tracks - allowed
                if excess > 0:
                    raise _TooLargeError
        except _TooLargeError:
            return {"excess": excess}
    frames = splicer.writer.frames
    return {
        "frames": frames,
        "bytes": size,
        "bpp": round(8 * (size - tracks) / (frames * cut.width * cut.height), 6),
        "tracks": [tracks, video.tracks.packets, video.tracks.kinds] if video.tracks else None,
        "excess": 0,
        "notes": video.notes,
    }


class _TooLargeError(Exception):
    """What was written is dropped."""


def _splice(
    chunks: list[str], video: VideoReader, stream: BinaryIO, threads: int, partial: bool
) -> Splicer:
    """`partial`: the video is a part of its file, and has that part of the sound."""
    splicer: Splicer | None = None
    tokens = tokens_of(_read_chunk(path).header for path in chunks)
    for path in chunks:
        reader = _read_chunk(path)
        if splicer is None:
            head = replace(reader.header, gvc1d_id=tokens)
            splicer = Splicer(stream, head, threads, UNLIMITED)
            splicer.tracks, splicer.metadata = video.tracks, video.metadata.pack()
        check_alike(head, reader)
        gops = GopSource(reader.header, reader.packets(), UNLIMITED)
        for gop in gops:
            last = (gop.times[-1] + video.shift) * head.format.time_base
            end = last + 1 / head.format.frame_rate
            video.copy_tracks(end)
            splicer.write(gop)
    assert splicer is not None
    video.copy_tracks(end if partial else None)
    if video.tracks:
        video.tracks.finish()
    splicer.finish(gops.end)
    return splicer


def _read_chunk(path: str) -> Reader:
    return Reader(io.BytesIO(store.read_bytes(path) or b""), path)


class _Chunk:
    """Opens the frames of a chunk, as often as rate control wants; the first one has the metadata
    of the whole."""

    def __init__(self, uri: str, settings: Settings, plan: Plan, number: int) -> None:
        self._uri, self._settings, self._plan, self._number = uri, settings, plan, number

    @contextlib.contextmanager
    def __call__(self) -> Iterator[VideoReader]:
        settings, span = self._settings, self._plan.span(self._number)
        start, frames = (settings.start, settings.frames) if span is None else (0.0, None)
        with VideoReader(self._uri, start, frames, span, settings.input) as reader:
            # They are copied when chunks are joined.
            reader.tracks = None
            if self._number:
                reader.metadata = Metadata()
            yield reader


def _frames(frames: Any, what: str, total: int | None) -> Any:
    return frames


def _code(
    opened: _Chunk, settings: Settings, config: EncoderConfig, limit: int | None
) -> one_pass.Pass:
    if "target" in settings.rate:
        return encode_for(opened, config, Target(*settings.rate["target"]), _frames).coded
    if limit is not None:
        return encode_to(opened, config, Budget(size=limit), _frames).coded
    # What is painted is hashed for the end of a stream, which does not come into the joined one.
    return one_pass.run(opened, config, "encode", _frames, _ALL, paints=False)


def _measure(coded: one_pass.Pass, opened: _Chunk, settings: Settings) -> dict[str, Any]:
    """Quality of a chunk."""
    row: dict[str, Any] = {
        "psnr_y": round(coded.psnr_y, 4) if math.isfinite(coded.psnr_y) else None
    }
    if "lpips" in settings.metrics:
        extent = one_pass.Extent(coded.format, len(coded.frame_bytes), 0)
        row["lpips"] = round(lpips_of(coded, opened, extent), 5)
    return row
