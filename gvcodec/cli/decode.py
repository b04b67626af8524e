"""`gvcodec decode IN OUT`: a stream to a video file, images or a pipe."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice

from gvcodec.bitstream import Kind, Packet, Reader, Salvage
from gvcodec.cli._arguments import (
    add_limits,
    add_model,
    add_overwrite,
    add_threads,
    integer,
    limits_of,
    number,
    picture_size,
    seconds,
)
from gvcodec.decoder import DecodedFrame, Decoder
from gvcodec.decoding_limits import Limits, held
from gvcodec.errors import DamagedStreamError, UsageError, WrongModelError
from gvcodec.factory import NO_TORCH, can_paint
from gvcodec.file_io import open_input, shown_name
from gvcodec.media.metadata import Metadata
from gvcodec.media.planes import Scaler
from gvcodec.media.tracks import TrackReader
from gvcodec.media.writer import open_writer, takes_tracks, visually_lossless
from gvcodec.messages import counted, say
from gvcodec.progress import ProgressBar
from gvcodec.streams.excerpt import Piece, indexed

HELP = "gvcodec stream to video"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="stream, - = standard input")
    parser.add_argument(
        "output",
        metavar="OUT",
        help=".mp4, .mkv, .mov, .y4m, frame%%05d.png, or - = y4m on standard output",
    )
    parser.add_argument(
        "--fidelity", action="store_true", help="loop frames, without the appearance layer"
    )
    quality = parser.add_mutually_exclusive_group()
    quality.add_argument(
        "--crf",
        type=number,
        metavar="N",
        help=".mp4, .mkv and .mov: quality of x264 or x265 (visually lossless)",
    )
    quality.add_argument(
        "--lossless",
        action="store_true",
        help=".mp4, .mkv and .mov: exact samples; large, and few players show them",
    )
    parser.add_argument(
        "--start", type=seconds, default=0.0, metavar="T", help="leave out what is shown before T"
    )
    parser.add_argument(
        "--frames", type=integer(1), metavar="N", help="number of frames to write (all)"
    )
    parser.add_argument(
        "--scale",
        type=picture_size,
        metavar="WxH|1/2",
        help="write pictures of this size, or so many times as large",
    )
    parser.add_argument(
        "--low-delay", action="store_true", help="give every frame out as soon as it can be"
    )
    parser.add_argument(
        "--follow",
        type=number,
        metavar="SECONDS",
        help="IN is still being written: at its end wait so long for more",
    )
    parser.add_argument(
        "--ignore-errors",
        action="store_true",
        help="where frames are lost show the last one until the next keyframe",
    )
    add_limits(parser)
    parser.add_argument(
        "--device", default="cpu", metavar="NAME", help="where to paint: cpu, cuda, cuda:1 (cpu)"
    )
    add_model(parser)
    add_threads(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        video = _opened(options, stack)
        decoder, tracks, fmt = video.decoder, video.tracks, video.reader.header.format
        scaler = Scaler(fmt, options.scale) if options.scale else None
        shown = scaler.format if scaler else fmt
        keeps = takes_tracks(options.output)
        crf = None if options.lossless else options.crf
        if crf is None and not options.lossless:
            crf = visually_lossless(options.output, shown)
        writer = stack.enter_context(
            open_writer(
                options.output,
                shown,
                crf=crf,
                overwrite=options.overwrite,
                tracks=tracks if keeps else None,
                metadata=video.metadata,
                threads=options.threads,
            )
        )
        written = left_out = 0
        end = Fraction(0)
        with ProgressBar(["code"]) as bar:
            bar.begin("decode", video.count)
            for frame in video.frames:
                video.hand_on_tracks()
                if tracks and not keeps:
                    left_out += len(tracks.waiting)
                    tracks.waiting.clear()
                writer.write(
                    scaler.apply(frame.planes) if scaler else frame.planes, frame.pts - video.shift
                )
                written += 1
                bar.coded(written, 0)
                end = (frame.pts - video.shift) * fmt.time_base + 1 / fmt.frame_rate
        if tracks and keeps and video.rest is not None:
            # Packets of sound may stand behind the frames that they belong to.
            for packet in video.rest:
                decoder.tracks += [packet.payload] if packet.kind is Kind.TRACKS else []
                video.hand_on_tracks()
                tracks.drop(since=end)
        video.hand_on_tracks()
    left_out += len(tracks.waiting) if tracks and not keeps else 0
    for line in decoder.losses:
        say(f"{shown_name(options.input)}: {line}")
    summary = [f"{counted(written, f'{video.kind} frame')} {shown.width}×{shown.height}"]
    summary += [_outcome(decoder, video.whole), *writer.notes]
    if video.metadata and not keeps:
        summary.append(
            f"{', '.join(video.metadata.parts())} left out: {options.output} cannot hold them"
        )
    if left_out:
        summary.append(
            f"{counted(left_out, 'audio packet')} left out: {options.output} cannot hold them"
        )
    say(f"{options.output}: {', '.join(summary)}, {time.monotonic() - began:.1f} s")
    if decoder.losses:
        raise DamagedStreamError(
            f"{shown_name(options.input)}: damaged, {options.output} holds what is left of it"
        )


@dataclass(slots=True)
class _Input:
    """A stream in decoding.

    `frames`: those to write, `count`: how many, None when unknown, `kind`: "painted" or "loop",
    `shift`: ticks that go from all timestamps, `whole`: the loop hash is checked, `rest`: what is
    not read once `frames` came to their end, None for nothing.
    """

    reader: Reader | Salvage
    decoder: Decoder
    kind: str
    frames: Iterator[DecodedFrame] = field(default_factory=lambda: iter(()))
    count: int | None = None
    tracks: TrackReader | None = None
    metadata: Metadata = field(default_factory=Metadata)
    shift: int = 0
    whole: bool = True
    rest: Iterator[Packet] | None = None

    def hand_on_tracks(self) -> None:
        """Payloads of `tracks` packets go on to their reader."""
        with _despite(self.decoder, self.reader):
            while self.decoder.tracks:
                payload = self.decoder.tracks.popleft()
                if self.tracks is not None:
                    self.tracks.send(payload)


def _opened(options: argparse.Namespace, stack: contextlib.ExitStack) -> _Input:
    """The stream, and the frames of it that are wanted; the first one is decoded."""
    source = stack.enter_context(open_input(options.input, options.follow))
    name = shown_name(options.input)
    reader = Salvage(source, name) if options.ignore_errors else Reader(source, name)
    header = reader.header
    painted = header.appearance_id is not None and not options.fidelity
    if painted and not can_paint():
        raise WrongModelError(f"{name}: {NO_TORCH} (--fidelity gives the loop frames)")
    most = limits_of(options)
    decoder = Decoder(
        header, not painted, options.threads, options.model, options.low_delay, options.device, most
    )
    stack.enter_context(held(header, painted, most))
    video = _Input(reader, decoder, "painted" if painted else "loop")
    piece = Piece(Fraction(options.start).limit_denominator(1_000_000), options.frames)
    seeks = (
        isinstance(reader, Reader)
        and options.input != "-"
        and options.follow is None
        and source.seekable()
    )
    if piece and seeks:
        found = indexed(piece, options.input, reader, decoder, takes_tracks(options.output), most)
        first = next(found.frames, None)
        video.frames, video.count, video.tracks, video.whole = (
            found.frames,
            found.count,
            found.tracks,
            False,
        )
        video.metadata = found.metadata
    else:
        video.count = sum(gop.frames for gop in reader.gops()) if seeks else None
        first = _read_on(video, piece, most)
        video.metadata = Metadata.unpack(decoder.metadata)
    if piece and first is None:
        raise UsageError(
            f"{name}: no frame is shown {float(piece.start):g} s after the first one or later"
        )
    if piece and first is not None:
        begin = first.pts * header.format.time_base if piece.start else None
        length = None if piece.frames is None else piece.frames / header.format.frame_rate
        end = None if length is None else (begin or Fraction(0)) + length
        video.shift = first.pts if piece.start else 0
        video.metadata = video.metadata.during(begin, end, -(begin or Fraction(0)))
    video.frames = chain([first] if first else [], video.frames)
    return video


def _read_on(video: _Input, piece: Piece, most: Limits) -> DecodedFrame | None:
    """Read a stream from its start to the first frame of the piece, which is given back; None when
    there is none."""
    decoder, reader = video.decoder, video.reader
    tick, start = reader.header.format.time_base, reader.header.start_pts
    packets = reader.packets() if isinstance(reader, Reader) else iter(())
    every = _frames(decoder, reader, packets)
    first = next(every, None)
    # What describes the tracks stands before the first frame.
    with _despite(decoder, reader):
        video.tracks = TrackReader(decoder.tracks.popleft(), most) if decoder.tracks else None
    while piece.start and first is not None and (first.pts - start) * tick < piece.start:
        video.hand_on_tracks()
        if video.tracks:
            video.tracks.drop(before=first.pts * tick)
        first = next(every, None)
    if piece.start and video.tracks and first is not None:
        video.tracks.keep(first.pts * tick, None)
    video.frames = every
    if piece.frames is not None:
        # Damage behind the piece is told, too; otherwise a pipe is not waited for.
        rest = every if isinstance(reader, Salvage) else iter(())
        video.frames = _first_of(every, piece.frames - 1, rest)
        video.whole, video.rest = isinstance(reader, Salvage), packets
    return first


def _first_of(
    frames: Iterator[DecodedFrame], count: int, rest: Iterator[DecodedFrame]
) -> Iterator[DecodedFrame]:
    """So many frames; `rest` is decoded for nothing then."""
    yield from islice(frames, count)
    deque(rest, 0)


def _frames(
    decoder: Decoder, reader: Reader | Salvage, packets: Iterator[Packet]
) -> Iterator[DecodedFrame]:
    """All frames of a stream, or what is left of it; errors say where. Raises `VerificationError`
    at the end of a whole one."""
    if isinstance(reader, Salvage):
        yield from decoder.frames_despite(reader)
        return
    try:
        yield from decoder.frames_of(packets)
    except DamagedStreamError as error:
        raise reader.named(error) from error
    decoder.verify(reader.loop_hash)


@contextlib.contextmanager
def _despite(decoder: Decoder, reader: Reader | Salvage) -> Iterator[None]:
    """Damage to what goes beside the frames counts as a loss when it is to be ignored."""
    try:
        yield
    except DamagedStreamError as error:
        if isinstance(reader, Reader):
            raise reader.named(error) from error
        decoder.losses.append(str(error))


def _outcome(decoder: Decoder, whole: bool) -> str:
    """Whether the frames are the encoder's."""
    if not decoder.losses:
        return "loop hash verified" if whole else "checksums verified"
    shown = sum(count for _, count in decoder.concealed)
    places = ", ".join(
        f"{first}…{first + count - 1}" if count > 1 else f"{first}"
        for first, count in decoder.concealed
    )
    return f"damaged: {counted(shown, 'frame')} concealed" + (f" ({places})" if places else "")
