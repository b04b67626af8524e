"""Cuts streams at keyframes without re-encoding: base and painted frames stay the same. An exact
cut re-encodes the cut parts of the first and the last GOP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from gvcodec.base import open_encoder
from gvcodec.base.standard.captions import captions_in, insert_captions
from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.gops import Gop, GopSource, Splicer, pairs_of_gops
from gvcodec.config import EncoderConfig
from gvcodec.edit.spliced_tracks import SplicedTracks
from gvcodec.errors import UsageError
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.models import find_model
from gvcodec.opening import PathName, Source, names_of, open_reader, open_sink
from gvcodec.types import time_in_part
from gvcodec.util.deprecation import renamed_keywords
from gvcodec.util.file_io import protect_inputs
from gvcodec.util.kinds import check_kind, checked_keywords
from gvcodec.util.progress import Mode, ProgressBar


@dataclass(frozen=True, slots=True)
class CutReport:
    """The part of the cut: frame numbers in the original and seconds since its first frame."""

    first: int
    frames: int
    begin: float
    end: float


@renamed_keywords(hold="enforce_rlimit")
@checked_keywords
def cut(
    source: Source,
    output: PathName | BinaryIO,
    start: float = 0.0,
    end: float | None = None,
    *,
    exact: bool = False,
    overwrite: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    progress: Mode = "none",
    enforce_rlimit: bool = False,
) -> CutReport:
    """Write the GOPs that are on screen between `start` and `end`, in seconds after the first frame
    (None = to the last), without re-encoding. `exact` re-encodes the first and last GOP, so that
    only frames of that time remain; `models` and `progress` as for `decode_file`. Raises
    `UsageError` if no frame remains, `DamagedStreamError`, `LimitError`, `MissingFileError`,
    `MediaError`, `WrongModelError`."""
    check_kind("start", start, "float")
    check_kind("end", end, "float | None")
    begin, until = _to_fraction(start), None if end is None else _to_fraction(end)
    if until is not None and until <= begin:
        raise UsageError("--to has to be later than --start", code="time")
    with (
        protect_inputs(names_of([source])),
        open_reader(source) as reader,
        open_sink(output, overwrite) as sink,
        memory_limit(reader.header, False, limits, enforce_rlimit),
        ProgressBar(progress if exact else "none") as bar,
    ):
        reader.require_unchanged()
        bar.begin("cut", None)
        return _cut(reader, sink, begin, until, threads, models, limits, exact, bar)


def _to_fraction(seconds: float) -> Fraction:
    """A time in decimal digits: a frame at exactly this time counts."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _cut(
    reader: Reader,
    output: BinaryIO,
    begin: Fraction,
    end: Fraction | None,
    threads: int,
    models: Sequence[str | Path],
    limits: Limits,
    exact: bool,
    bar: ProgressBar,
) -> CutReport:
    """The same with times as fractions. Timestamps begin at 0 unless the first frame is kept."""
    header = reader.header
    tick = header.format.time_base
    source = GopSource(header, reader.packets(), limits)
    splicer: Splicer | None = None
    tracks = SplicedTracks(limits)
    frame_count = first = start_tick = shift = end_tick = 0
    is_late = False
    span: tuple[Fraction | None, Fraction | None] = (None, None)
    for gop, following in pairs_of_gops(source):
        tracks.read(gop)
        stop = source.end if following is None else following.times[0]
        inside = _frames_in_part(gop, stop, begin, end, header)
        cut_short = False
        if exact and inside:
            inside, stop, cut_short = _trim_frames(gop, inside, stop, begin, end, header)
        if inside:
            pieces, starts = [gop], gop.times[0]
            if exact and len(inside) < gop.frames:
                starts, last = gop.times[inside[0]], inside[-1] + 1
                cut_short = cut_short or last < gop.frames
                stop = min(stop, gop.times[last]) if last < gop.frames else stop
                pieces = _reencode(gop, inside, header, threads, models, limits)
            if splicer is None:
                first, start_tick = pieces[0].first, starts
                is_late = start_tick > header.start_pts
                shift = -start_tick if is_late else 0
                new_header = replace(header, start_pts=start_tick + shift)
                splicer = Splicer(output, new_header, threads, limits, models)
                begin_seconds = start_tick * tick if is_late else None
                until = None if end is None else header.start_pts * tick + end
                metadata = Metadata.unpack(source.metadata).during(
                    begin_seconds, until, shift * tick
                )
                splicer.metadata, splicer.models = metadata.pack(), source.models
                splicer.attachments = source.attachments
            # Packets before the first frame and after the last belong to the piece with that frame.
            is_last = following is None and not cut_short
            span = (start_tick * tick if is_late else None, None if is_last else stop * tick)
            tracks.hand_on(splicer, *span, shift * tick)
            for piece in pieces:
                splicer.write(piece, shift)
            frame_count, end_tick = frame_count + sum(piece.frames for piece in pieces), stop
            bar.coded(frame_count, 0)
        elif splicer is not None:
            tracks.hand_on(splicer, *span, shift * tick)
        else:
            tracks.drop_before(gop.times[0] * tick)
    if splicer is None:
        raise UsageError(
            f"the stream ends at {float(_seconds(source.end, header)):g} s, nothing is left",
            code="no-frames",
        )
    splicer.finish(end_tick + shift)
    return CutReport(
        first, frame_count, float(_seconds(start_tick, header)), float(_seconds(end_tick, header))
    )


def _frames_in_part(
    gop: Gop, stop: int, begin: Fraction, end: Fraction | None, header: SequenceHeader
) -> list[int]:
    """Numbers within the GOP of its frames before `end`; none if the GOP ends before `begin`."""
    times = [] if _seconds(stop, header) <= begin else gop.times
    return [n for n, time in enumerate(times) if end is None or _seconds(time, header) < end]


def _trim_frames(
    gop: Gop,
    inside: list[int],
    stop: int,
    begin: Fraction,
    end: Fraction | None,
    header: SequenceHeader,
) -> tuple[list[int], int, bool]:
    """The frames of `inside` from `begin` on, the tick at which the last ends, and whether the cut
    shortens it. Frames on screen begin and end at the cut."""
    tick, period = header.format.time_base, header.format.period
    first = header.start_pts + begin / tick
    ends = [*gop.times[1:], stop]
    for number in inside:
        time = time_in_part(gop.times[number], ends[number], first, period)
        gop.times[number] = gop.times[number] if time is None else time
    inside = [number for number in inside if gop.times[number] >= first]
    if not inside or end is None:
        return inside, stop, False
    last, after = header.start_pts + end / tick, inside[-1]
    time = time_in_part(gop.times[after], ends[after], last, period)
    return inside, stop if time is None else time, time is not None


def _reencode(
    gop: Gop,
    inside: list[int],
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path],
    limits: Limits,
) -> list[Gop]:
    """GOPs of some frames of a GOP, re-encoded with the stream's index and weights."""
    decoder = Decoder(header, True, threads, models, limits=limits)
    pictures = [frame.planes for frame in decoder.frames_of(iter(gop.packets))]
    is_av1 = header.base == "av1"
    payloads = [packet.payload for packet in gop.packets if packet.is_frame]
    captions = [captions_in(payloads[number]) if is_av1 else b"" for number in inside]
    model_id, model = header.base_model_id, ""
    if model_id is not None:
        model = str(find_model(model_id, f"the model of the {header.base} base layer", models))
    config = EncoderConfig(
        base=header.base,
        base_q=header.base_q,
        scale=header.scale,
        model=model,
        fit=0,
        threads=threads,
    ).resolve()
    encoder = open_encoder(header.format, config)
    packets = [
        packet for number in inside for packet in encoder.send(pictures[number], False).packets
    ]
    packets += encoder.flush().packets
    gops: list[Gop] = []
    times = [gop.times[number] for number in inside]
    for packet, of_frame in zip(packets, captions, strict=True):
        if packet.keyframe:
            frames_done = sum(earlier.frames for earlier in gops)
            gops.append(Gop(gop.first + inside[0] + frames_done, gop.fit))
        payload = insert_captions(packet.payload, of_frame) if of_frame else packet.payload
        gops[-1].packets.append(Packet(Kind.KEY if packet.keyframe else Kind.INTER, payload))
    for new_gop in gops:
        new_gop.times, times = times[: new_gop.frames], times[new_gop.frames :]
    return gops


def _seconds(pts: int, header: SequenceHeader) -> Fraction:
    return (pts - header.start_pts) * header.format.time_base
