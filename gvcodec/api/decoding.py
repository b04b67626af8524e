"""`decode_file`: a stream to a video file, images or a pipe, with its sound and metadata.

By the index of a file only the GOPs are decoded that hold wanted frames; a pipe is read to its end
first where times say which. Where damage is to be ignored, what `repair` leaves of the stream is
decoded.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from gvcodec.api.results import Decoded
from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.codec.decoder import DecodedFrame, Decoder
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.media import writer as writers
from gvcodec.media.metadata import Metadata
from gvcodec.media.output import VideoWriter
from gvcodec.media.planes import Scaler
from gvcodec.media.tracks import TrackReader
from gvcodec.opening import PathName, open_stream, unwrap
from gvcodec.painter.tokens import check_shown
from gvcodec.types import VideoFormat
from gvcodec.util.file_io import BorrowedFile, Readable, as_name, name_of, protect_inputs
from gvcodec.util.messages import count_noun
from gvcodec.util.options import (
    add_option_docs,
    integer,
    list_options,
    number,
    option,
    picture_size,
    split_options,
)
from gvcodec.util.progress import Mode, ProgressBar
from gvcodec.video import Video

#: Bytes of a repaired stream that memory holds.
_SPOOL = 1 << 24


@add_option_docs
@dataclass(frozen=True, slots=True)
class Request:
    """What to decode, where to write it, and how: the options of one command."""

    input: str | Readable
    output: str | BinaryIO
    fidelity: bool = option(False, help="write the base frames: no painter, no restoration")
    look: int | None = option(
        None,
        integer(0, 100),
        "0…100",
        help="paint so boldly, 0 base frames … 50 as trained … 100, whatever the file says: "
        "for viewing, the painted hash is not checked",
    )
    tokens: str = option(
        "on",
        choices=("on", "off"),
        help="off: paint without the tokens of the file, for comparing (on)",
    )
    form: str | None = option(
        None,
        None,
        "NAME",
        flags="-f --format",
        choices=("y4m", "matroska"),
        help="format of standard output: y4m, or matroska, which keeps colour tags and sound (y4m)",
    )
    crf: float | None = option(
        None,
        number,
        "N",
        group="quality",
        help=".mp4, .mkv, .mov: quality of x264 or x265, .webm: of VP9 (visually lossless)",
    )
    lossless: bool = option(
        False,
        group="quality",
        help=".mp4, .mkv and .mov: exact samples; large, and few players show them",
    )
    start: float = 0.0
    end: float | None = None
    frames: int | None = option(
        None, integer(1), "N", group="shown", help="number of frames to write (all)"
    )
    scale: tuple[int, int] | Fraction | None = option(
        None,
        picture_size,
        "WxH|1/2",
        group="shown",
        help="size of the written pictures, or a factor of the stream's",
    )
    low_delay: bool = option(
        False, group="shown", help="write every frame as soon as it is decoded"
    )
    ignore_errors: bool = option(
        False,
        group="shown",
        help="decode what is left of a damaged stream: the last good frame stays until the "
        "next keyframe",
    )
    overwrite: bool = False
    threads: int = 0
    models: Sequence[str | Path] = option((), group="models")
    device: str = option(
        "cpu",
        None,
        "NAME",
        group="device",
        help="device for the networks of gvc1d: cpu, cuda, cuda:1 (cpu)",
    )
    limits: Limits = DEFAULT
    enforce_rlimit: bool = False

    @property
    def target(self) -> str:
        """How messages call the output, "-" a file object."""
        return self.output if isinstance(self.output, str) else "-"

    @property
    def is_part(self) -> bool:
        """Whether frames are left out."""
        return self.start > 0 or self.ends

    @property
    def ends(self) -> bool:
        """Whether frames after those that are wanted are left out."""
        return self.frames is not None or self.end is not None


@list_options(Request)
def decode_file(
    source: PathName | Readable,
    output: PathName | BinaryIO,
    *,
    progress: Mode = "none",
    verbose: bool = False,
    **options: Any,
) -> Decoded:
    """Decode a stream to a video, as `gvcodec decode` does: .mp4, .mkv, .mov, .webm, .avi, .ts,
    .gif, .y4m … or images like frame%05d.png by the name of `output`; an open binary file gets
    y4m, standard output ("-") what `form` says.

    `source` is a path or an open binary file. From `start` seconds on to `end`, at most `frames`;
    scaled by `scale`: a size (width, height) or a factor. `crf` is the quality of the encoder,
    `lossless` keeps the samples. With `ignore_errors` the frame before those that are lost stays
    on screen. `progress` and `verbose` as for `encode_file`. `enforce_rlimit`: the system holds
    this process to the limit of memory meanwhile. Raises `LimitError`, `MediaError`,
    `MissingFileError`, `DamagedStreamError`, `WrongModelError`, `VerificationError`, `UsageError`.
    """
    named, written = as_name(source), as_name(output)
    (settings,) = split_options(options, Request)
    request = Request(
        source if named is None else named,  # type: ignore[arg-type]
        output if written is None else written,  # type: ignore[arg-type]
        **settings,
    )
    steers = check_shown(request.tokens)
    with (
        protect_inputs([] if named is None else [named]),
        ProgressBar(progress, verbose=verbose) as bar,
        contextlib.ExitStack() as stack,
    ):
        name = name_of(source)
        stream = _open(request.input, name, stack)
        indexed: str | BinaryIO | None = None
        losses: list[str] = []
        if request.ignore_errors:
            stream, losses = _repair(stream, name, request, stack)
            indexed = stream
        elif named not in (None, "-") and stream.seekable():
            indexed = named
        elif request.start > 0 or request.end is not None:
            stream = indexed = _spool(stream, stack)
        reader = Reader(stream, name)
        painted = reader.header.enhanced and not request.fidelity
        decoder = Decoder(
            reader.header,
            not painted,
            request.threads,
            request.models,
            request.low_delay,
            request.device,
            request.limits,
            read_only=True,
            look=request.look,
            steers=steers,
        )
        stack.enter_context(
            memory_limit(reader.header, painted, request.limits, request.enforce_rlimit)
        )
        return _Decoding(request, reader, decoder, losses, indexed).write(bar)


def _open(source: str | Readable, name: str, stack: contextlib.ExitStack) -> BinaryIO:
    if isinstance(source, str):
        return stack.enter_context(open_stream(source))
    return unwrap(io.BufferedReader(BorrowedFile(source)), name)


def _repair(
    stream: BinaryIO, name: str, request: Request, stack: contextlib.ExitStack
) -> tuple[BinaryIO, list[str]]:
    """What `repair` leaves of a stream, and a line for each loss."""
    from gvcodec.edit.repair import repair_stream

    rest = _spool(None, stack)
    repaired = repair_stream(
        stream, name, rest, request.threads, request.models, request.limits, request.enforce_rlimit
    )
    rest.seek(0)
    return rest, repaired.losses


def _spool(stream: BinaryIO | None, stack: contextlib.ExitStack) -> BinaryIO:
    """A file to read and write at any place, with what `stream` holds."""
    made = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 (the stack closes it)
    spooled = cast(BinaryIO, stack.enter_context(made))
    if stream is not None:
        shutil.copyfileobj(stream, spooled)
        spooled.seek(0)
    return spooled


class _Decoding:
    """A stream in decoding, from its first wanted frame on. `losses`: what `repair` found;
    `indexed`: the stream at any place, None for a pipe."""

    def __init__(
        self,
        request: Request,
        reader: Reader,
        decoder: Decoder,
        losses: list[str],
        indexed: str | BinaryIO | None,
    ) -> None:
        self._request, self._reader, self._decoder = request, reader, decoder
        self._header = reader.header
        self._keeps = writers.takes_tracks(request.target, request.form)
        self._losses = losses
        self._tracks: TrackReader | None = None
        #: How many frames there are, None when unknown; packets that are not read with them;
        #: whether the base hash is checked.
        self._count: int | None = None
        self._rest: Iterator[Packet] | None = None
        self._whole = True
        #: When the last picture goes that is cut off while it stands on screen, in ticks.
        self._until: int | None = None
        self._from = Fraction(request.start).limit_denominator(1_000_000)
        end = None if request.end is None else Fraction(request.end)
        self._to = end and end.limit_denominator(1_000_000)
        self._indexed = indexed
        #: The wanted frames, and what is taken off their times; both from `_seek` on.
        self._frames: Iterator[DecodedFrame] = iter(())
        self._shift = 0
        #: When the last written frame ends, in seconds; packets of tracks that are not written.
        self._end = Fraction(0)
        self._left_out = 0

    def write(self, bar: ProgressBar) -> Decoded:
        """Raises what `Decoder`, `Reader` and `open_writer` raise."""
        self._seek()
        request, fmt = self._request, self._header.format
        scaler = Scaler(fmt, request.scale) if request.scale else None
        shown = scaler.format if scaler else fmt
        bar.begin("decode", self._count)
        written = 0
        with self._open_writer(shown) as writer:
            for frame in self._frames:
                self._leave_out()
                planes = scaler.apply(frame.planes) if scaler else frame.planes
                writer.write(planes, frame.pts - self._shift)
                written += 1
                bar.coded(written, 0)
                self._end = (frame.pts - self._shift) * fmt.time_base + 1 / fmt.frame_rate
            self._finish(writer, written)
        self._leave_out()
        frames = f"{count_noun(written, f'{self._kind} frame')} {shown.width}×{shown.height}"
        return Decoded(written, (frames, *self._describe(writer)), tuple(self._losses))

    def _seek(self) -> None:
        """Finds the first wanted frame and counts what follows. Raises `UsageError` where no frame
        is wanted."""
        request, indexed = self._request, self._indexed
        if indexed is None:
            self._frames = self._read_on()
        elif request.is_part:
            self._frames = self._find(indexed, self._reader)
        else:
            self._count = sum(gop.frames for gop in self._reader.gops())
            self._frames = self._read_on()
        first = next(self._frames, None)
        if first is None and request.is_part:
            since = f"{float(self._from):g} s after the first one or later"
            raise UsageError(f"{self._reader.name}: no frame is shown {since}")
        self._shift = self._place(first)
        self._frames = chain([first] if first else [], self._frames)

    def _find(self, source: str | BinaryIO, reader: Reader) -> Iterator[DecodedFrame]:
        """The frames of the part, by the index. Raises `UsageError`, `DamagedStreamError`."""
        video = Video(source, decoder=self._decoder, limits=self._request.limits)
        video.name = reader.name
        first, begins, stands = video.cut_at(self._from)
        first, stop = first - stands, len(video)
        if first == stop:
            return iter(())
        if self._request.frames is not None:
            stop = min(stop, first + self._request.frames)
        ends = video.pts_of(stop)
        if self._to is not None:
            last, until, stands = video.cut_at(self._to)
            if last <= stop:
                stop, ends, self._until = last, until, until if stands else None
        if stop <= first:
            raise UsageError(f"{reader.name}: no frame begins in the part that is wanted")
        tick = self._header.format.time_base
        begin = begins * tick if self._from > 0 else None
        end = None if ends == video.pts_of(len(video)) else ends * tick
        described, self._count, self._whole = b"", stop - first, False
        with self._name_errors():
            for packet in reader.packets():
                if packet.kind is Kind.METADATA:
                    described = described or packet.payload
                elif packet.kind is Kind.TRACKS and self._tracks is None and self._keeps:
                    self._tracks = TrackReader(packet.payload, self._request.limits)
                    self._tracks.keep(begin, end)
                elif packet.kind is Kind.TRACKS and self._tracks is not None:
                    self._tracks.send(packet.payload)
                elif packet.is_frame and self._tracks is None:
                    # What describes the tracks precedes the first frame: there are none.
                    break
            self._metadata = Metadata.unpack(described)
        frames = video.decode_range(first, stop)
        shown = next(frames)
        return chain([replace(shown, pts=begins)], frames)

    def _read_on(self) -> Iterator[DecodedFrame]:
        """The first frames of a stream that is read from its start, or all."""
        packets = self._reader.packets()
        frames = self._decode(packets)
        first = next(frames, None)
        # What describes the tracks precedes the first frame.
        self._tracks = self._decoder.tracks
        self._metadata = Metadata.unpack(self._decoder.metadata)
        frames = chain([first] if first else [], frames)
        if self._request.frames is None:
            return frames
        # A pipe is not waited for.
        self._whole, self._rest = False, packets
        return islice(frames, self._request.frames)

    def _place(self, first: DecodedFrame | None) -> int:
        """Ticks to subtract from all timestamps; cuts metadata and tracks to the wanted part."""
        start, tick = self._header.start_pts, self._header.format.time_base
        if not self._request.is_part:
            # Streams of before keep the clock of their source; files begin at 0.
            begun = start * tick
            self._metadata = self._metadata.during(begun, None, -begun) if start else self._metadata
            if start and self._tracks:
                self._tracks.keep(begun, None)
            return start
        assert first is not None
        begin = first.pts * tick if self._from else None
        ends = [] if self._to is None else [start * tick + self._to]
        if self._request.frames is not None:
            length = self._request.frames / self._header.format.frame_rate
            ends.append((begin or Fraction(0)) + length)
        end = min(ends, default=None)
        self._metadata = self._metadata.during(begin, end, -(begin or Fraction(0)))
        return first.pts if self._from else start

    def _decode(self, packets: Iterator[Packet]) -> Iterator[DecodedFrame]:
        """All frames of a stream; errors say where. Raises `VerificationError` at its end."""
        with self._name_errors():
            yield from self._decoder.frames_of(packets)
        self._decoder.verify(self._reader.base_hash)

    def _open_writer(self, fmt: VideoFormat) -> VideoWriter:
        request = self._request
        if not isinstance(request.output, str):
            return writers.Y4mWriter(request.output, fmt, None)
        crf = None if request.lossless else request.crf
        if crf is None and not request.lossless:
            crf = writers.visually_lossless(request.output, fmt)
        return writers.open_writer(
            request.output,
            fmt,
            crf=crf,
            overwrite=request.overwrite,
            tracks=self._tracks if self._keeps else None,
            metadata=self._metadata,
            threads=request.threads,
            form=request.form,
        )

    def _leave_out(self) -> None:
        """Drop packets of tracks that the output does not take, and count them."""
        tracks = self._decoder.tracks
        if tracks is None or (self._keeps and tracks is self._tracks):
            return
        self._left_out += len(tracks.waiting)
        tracks.waiting.clear()

    def _finish(self, writer: VideoWriter, written: int) -> None:
        """Say when the last frame ends, and hand on packets of tracks after it."""
        if written and not self._request.ends:
            with self._name_errors():
                writer.end(self._decoder.receive_end() - self._shift)
        elif self._until is not None:
            writer.end(self._until - self._shift)
            self._end = (self._until - self._shift) * self._header.format.time_base
        if self._tracks and self._keeps and self._rest is not None:
            # Packets of sound may follow the frames that they belong to.
            with self._name_errors():
                for packet in self._rest:
                    if packet.kind is Kind.TRACKS:
                        self._tracks.send(packet.payload)
                    self._tracks.drop(since=self._end)

    def _describe(self, writer: VideoWriter) -> list[str]:
        """What was checked, and what the output does not hold."""
        request = self._request
        checked = "base hash" if self._whole and not self._losses else "checksums"
        lines = [f"{checked} verified", *writer.notes, *self._decoder.notes]
        if request.look is not None:
            lines.append(f"look {request.look}: not what the file's painted hash is of")
        elif request.tokens == "off":
            lines.append("tokens off: not what the file's painted hash is of")
        lost = [] if self._keeps else list(self._metadata.parts())
        if self._left_out and self._tracks:
            lost.append(f"{count_noun(self._left_out, 'packet')} of {self._tracks.kinds}")
        if lost:
            lines.append(f"{', '.join(lost)} left out: {request.target} cannot hold them")
        return lines

    @property
    def _kind(self) -> str:
        """What is shown."""
        if self._request.fidelity or not self._header.enhanced:
            return "base"
        return "painted"

    @contextlib.contextmanager
    def _name_errors(self) -> Iterator[None]:
        try:
            yield
        except DamagedStreamError as error:
            raise self._reader.name_file(error) from error
