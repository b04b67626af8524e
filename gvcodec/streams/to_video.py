"""A stream to a video file, images or a pipe, with its sound and metadata."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import BinaryIO

from gvcodec.av1_mux.files import open_stream, unwrap
from gvcodec.bitstream import Kind, Packet, Reader, Salvage
from gvcodec.codec.decoder import DecodedFrame, Decoder
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.media.metadata import Metadata
from gvcodec.media.planes import Scaler
from gvcodec.media.tracks import TrackReader
from gvcodec.media.writer import (
    VideoWriter,
    Y4mWriter,
    open_writer,
    takes_tracks,
    visually_lossless,
)
from gvcodec.streams.excerpt import Piece, find_piece
from gvcodec.types import VideoFormat
from gvcodec.util.file_io import Borrowed, Readable, name_of
from gvcodec.util.messages import count_noun
from gvcodec.util.options import documented, integer, number, option, picture_size
from gvcodec.util.progress import ProgressBar


@documented
@dataclass(frozen=True, slots=True)
class Request:
    """What is to be decoded, where to, and how: the options of one command, so many fields.

    `input` may be an open binary file, `output` one that gets y4m. From `start` seconds on to
    `end`. `hold`: the system holds this process to the limit of memory meanwhile."""

    input: str | Readable
    output: str | BinaryIO
    fidelity: bool = option(False, help="base frames, without the painter")
    form: str | None = option(
        None,
        None,
        "NAME",
        "of standard output: y4m, or matroska, which keeps colour tags and sound (y4m)",
        flags="-f --format",
        choices=("y4m", "matroska"),
    )
    crf: float | None = option(
        None,
        number,
        "N",
        ".mp4, .mkv, .mov: quality of x264 or x265, .webm: of VP9 (visually lossless)",
        group="quality",
    )
    lossless: bool = option(
        False,
        help=".mp4, .mkv and .mov: exact samples; large, and few players show them",
        group="quality",
    )
    start: float = 0.0
    end: float | None = None
    frames: int | None = option(
        None, integer(1), "N", "number of frames to write (all)", group="shown"
    )
    scale: tuple[int, int] | Fraction | None = option(
        None,
        picture_size,
        "WxH|1/2",
        "write pictures of this size, or so many times as large",
        group="shown",
    )
    low_delay: bool = option(False, help="give every frame out as soon as it can be", group="shown")
    follow: float | None = option(
        None,
        number,
        "SECONDS",
        "IN is still being written: at its end wait so long for more",
        group="shown",
    )
    ignore_errors: bool = option(
        False, help="where frames are lost show the last one until the next keyframe", group="shown"
    )
    overwrite: bool = False
    threads: int = 0
    models: Sequence[str | Path] = option((), flags="--model")
    device: str = option(
        "cpu",
        None,
        "NAME",
        "where the networks of tokens run: cpu, cuda, cuda:1 (cpu)",
        group="device",
    )
    limits: Limits = DEFAULT
    hold: bool = False

    @property
    def target(self) -> str:
        """How messages call the output, "-" a file object."""
        return self.output if isinstance(self.output, str) else "-"


@dataclass(frozen=True, slots=True)
class Done:
    """`frames` written, in words in `summary`; `losses`: a line each."""

    frames: int
    summary: list[str]
    losses: list[str]


def to_video(options: Request, bar: ProgressBar | None = None) -> Done:
    """Decode a stream to a video. Raises what `Decoder`, `Reader` and `open_writer` raise."""
    with contextlib.ExitStack() as stack:
        video = _open_input(options, stack)
        decoder, tracks, fmt = video.decoder, video.tracks, video.reader.header.format
        scaler = Scaler(fmt, options.scale) if options.scale else None
        shown = scaler.format if scaler else fmt
        keeps = takes_tracks(options.target, options.form)
        # How sound begins is known before the first frame is written.
        video.hand_on_tracks()
        crf = None if options.lossless else options.crf
        if crf is None and not options.lossless:
            crf = visually_lossless(options.target, shown)
        writer = stack.enter_context(
            _writer(options, shown, crf, tracks if keeps else None, video.metadata)
        )
        written = left_out = 0
        end = Fraction(0)
        if bar:
            bar.begin("decode", video.count)
        for frame in video.frames:
            video.hand_on_tracks()
            if tracks and not keeps:
                left_out += len(tracks.waiting)
                tracks.waiting.clear()
            planes = scaler.apply(frame.planes) if scaler else frame.planes
            writer.write(planes, frame.pts - video.shift)
            written += 1
            if bar:
                bar.coded(written, 0)
            end = (frame.pts - video.shift) * fmt.time_base + 1 / fmt.frame_rate
        if not piece_ends(options) and written:
            with _despite(decoder, video.reader):
                writer.end(decoder.receive_end() - video.shift)
        if tracks and keeps and video.rest is not None:
            # Packets of sound may follow the frames that they belong to.
            for packet in video.rest:
                decoder.tracks += [packet.payload] if packet.kind is Kind.TRACKS else []
                video.hand_on_tracks()
                tracks.drop(since=end)
        video.hand_on_tracks()
    left_out += len(tracks.waiting) if tracks and not keeps else 0
    summary = [f"{count_noun(written, f'{video.kind} frame')} {shown.width}×{shown.height}"]
    summary += [_outcome(decoder, video.whole), *writer.notes, *decoder.notes]
    if video.metadata and not keeps:
        summary.append(
            f"{', '.join(video.metadata.parts())} left out: {options.target} cannot hold them"
        )
    if tracks and left_out:
        summary.append(
            f"{count_noun(left_out, 'packet')} of {tracks.kinds} left out: {options.target} cannot "
            f"hold them"
        )
    return Done(written, summary, decoder.losses)


def piece_ends(options: Request) -> bool:
    """Whether frames after those that are wanted are left out."""
    return options.frames is not None or options.end is not None


def _writer(
    options: Request,
    fmt: VideoFormat,
    crf: float | None,
    tracks: TrackReader | None,
    metadata: Metadata,
) -> VideoWriter:
    if not isinstance(options.output, str):
        return Y4mWriter(options.output, fmt, None)
    return open_writer(
        options.output,
        fmt,
        crf=crf,
        overwrite=options.overwrite,
        tracks=tracks,
        metadata=metadata,
        threads=options.threads,
        form=options.form,
    )


@dataclass(slots=True)
class _Input:
    """A stream in decoding.

    `frames`: those to write, `count`: how many, None when unknown, `kind`: see `_kind`,
    `shift`: ticks that go from all timestamps, `whole`: the base hash is checked, `rest`: what is
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


def _open_input(options: Request, stack: contextlib.ExitStack) -> _Input:
    """The stream, and the frames of it that are wanted; the first one is decoded."""
    name = name_of(options.input)
    if isinstance(options.input, str):
        source = stack.enter_context(open_stream(options.input, options.follow))
    else:
        source = unwrap(io.BufferedReader(Borrowed(options.input)), name)
    reader = Salvage(source, name) if options.ignore_errors else Reader(source, name)
    header = reader.header
    painted = header.enhanced and not options.fidelity
    if header.base == "none" and options.fidelity:
        raise UsageError(f"{name}: a stream of base none has no base frames")
    most = options.limits
    decoder = Decoder(
        header,
        not painted,
        options.threads,
        options.models,
        options.low_delay,
        options.device,
        most,
        read_only=True,
    )
    stack.enter_context(memory_limit(header, painted, most, options.hold))
    # Older streams keep the clock of their source; files begin at 0.
    video = _Input(reader, decoder, _kind(decoder, painted), shift=header.start_pts)
    piece = Piece(
        Fraction(options.start).limit_denominator(1_000_000),
        options.frames,
        None if options.end is None else Fraction(options.end).limit_denominator(1_000_000),
    )
    file = isinstance(options.input, str) and options.input != "-" and options.follow is None
    indexed = reader if file and isinstance(reader, Reader) and source.seekable() else None
    if piece and indexed is not None and isinstance(options.input, str):
        keeps = takes_tracks(options.target, options.form)
        found = find_piece(piece, options.input, indexed, decoder, keeps, most)
        first = next(found.frames, None)
        video.frames, video.count, video.tracks = found.frames, found.count, found.tracks
        video.metadata, video.whole = found.metadata, False
    else:
        video.count = sum(gop.frames for gop in indexed.gops()) if indexed else None
        first = _read_on(video, piece, most)
        video.metadata = Metadata.unpack(decoder.metadata)
    if piece and first is None:
        raise UsageError(
            f"{name}: no frame is shown {float(piece.start):g} s after the first one or later"
        )
    if not piece and header.start_pts:
        begun = header.start_pts * header.format.time_base
        video.metadata = video.metadata.during(begun, None, -begun)
        if video.tracks:
            video.tracks.keep(begun, None)
    if piece and first is not None:
        begin = first.pts * header.format.time_base if piece.start else None
        length = None if piece.frames is None else piece.frames / header.format.frame_rate
        ends = [] if length is None else [(begin or Fraction(0)) + length]
        if piece.end is not None:
            ends.append(header.start_pts * header.format.time_base + piece.end)
        end = min(ends, default=None)
        video.shift = first.pts if piece.start else header.start_pts
        video.metadata = video.metadata.during(begin, end, -(begin or Fraction(0)))
    video.frames = chain([first] if first else [], video.frames)
    return video


def _kind(decoder: Decoder, enhanced: bool) -> str:
    """What frames are called."""
    if not enhanced:
        return "base"
    return "painted" if decoder.latents is None or decoder.notes else "restored"


def _read_on(video: _Input, piece: Piece, most: Limits) -> DecodedFrame | None:
    """Read a stream from its start to the first frame of the piece, which is given back; None when
    there is none."""
    decoder, reader = video.decoder, video.reader
    tick, start = reader.header.format.time_base, reader.header.start_pts
    packets = reader.packets() if isinstance(reader, Reader) else iter(())
    every = _frames(decoder, reader, packets)
    first = next(every, None)
    # What describes the tracks precedes the first frame.
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
    if piece.frames is not None or piece.end is not None:
        # Damage after the piece is reported, too; otherwise a pipe is not waited for.
        rest = every if isinstance(reader, Salvage) else iter(())
        least = None if piece.end is None else start + piece.end / tick
        video.frames = _first_of(every, piece.frames, least, rest)
        video.whole, video.rest = isinstance(reader, Salvage), packets
    return first


def _first_of(
    frames: Iterator[DecodedFrame],
    count: int | None,
    end: Fraction | None,
    rest: Iterator[DecodedFrame],
) -> Iterator[DecodedFrame]:
    """At most `count` frames with the one that was taken out already, before timestamp `end`;
    `rest` is decoded for nothing then."""
    found = islice(frames, None if count is None else count - 1)
    yield from found if end is None else takewhile(lambda frame: frame.pts < end, found)
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
        raise reader.name_file(error) from error
    decoder.verify(reader.base_hash)


@contextlib.contextmanager
def _despite(decoder: Decoder, reader: Reader | Salvage) -> Iterator[None]:
    """Damage to what goes beside the frames counts as a loss when it is to be ignored."""
    try:
        yield
    except DamagedStreamError as error:
        if isinstance(reader, Reader):
            raise reader.name_file(error) from error
        decoder.losses.append(str(error))


def _outcome(decoder: Decoder, whole: bool) -> str:
    """Whether the frames are the encoder's."""
    if not decoder.losses:
        return "base hash verified" if whole else "checksums verified"
    shown = sum(count for _, count in decoder.concealed)
    places = ", ".join(
        f"{first}…{first + count - 1}" if count > 1 else f"{first}"
        for first, count in decoder.concealed
    )
    return f"damaged: {count_noun(shown, 'frame')} concealed" + (f" ({places})" if places else "")
