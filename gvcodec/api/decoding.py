"""`decode_file`: a stream to a video file, images or a pipe, with its sound and metadata.

By the index of a file only the GOPs are decoded that hold wanted frames; a pipe is read to its end
first where times say which. To ignore damage, the repaired stream is
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
from typing import TYPE_CHECKING, BinaryIO, Unpack, cast

from gvcodec.api.results import DecodeReport
from gvcodec.bitstream import ChangedStream, Kind, Packet, Reader
from gvcodec.bitstream.attachments import AttachmentReader, name_all
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.decoder import DecodedFrame, Decoder
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.opening import PathName, open_stream, unwrap
from gvcodec.painter.video import check_tokens_option
from gvcodec.planes import Scaler
from gvcodec.sink import writer as writers
from gvcodec.sink.output import VideoWriter
from gvcodec.tracks.packets import TrackReader
from gvcodec.types import VideoFormat
from gvcodec.util.deprecation import renamed_keywords
from gvcodec.util.file_io import (
    BorrowedFile,
    Readable,
    as_name,
    copy_time,
    name_of,
    protect_inputs,
)
from gvcodec.util.messages import count_noun
from gvcodec.util.options import (
    add_option_docs,
    integer,
    list_options,
    number,
    option,
    picture_size,
    seconds,
    split_options,
)
from gvcodec.util.progress import Mode, ProgressBar
from gvcodec.video import Video

if TYPE_CHECKING:
    from gvcodec.keywords import DecodeFileOptions

#: Bytes of a repaired stream that memory holds.
_SPOOL = 1 << 24
LOST_CAPTIONS = "closed captions left out: `gvcodec extract FILE film.mp4` keeps them"


@add_option_docs
@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """Input, output and settings of a decode: the options of one command."""

    input: str | Readable
    output: str | BinaryIO
    fidelity: bool = option(False, help="write the base frames: no painter, no restoration")
    look: int | None = option(
        None,
        integer(0, 100),
        "0…100",
        help="painting strength instead of the file's: 0 base frames, 50 as trained; disables the "
        "check of the painted hash",
    )
    tokens: str = option(
        "on",
        choices=("on", "off"),
        help="off: ignore the painter's tokens in the file, for comparison (on)",
    )
    format: str | None = option(
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
    start: float = option(0.0, seconds, group="time")
    end: float | None = option(None, seconds, group="time")
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
    sound: str = option(
        "copy", choices=("copy", "none"), group="sound", help="copy sound, or leave it out (copy)"
    )
    no_subtitles: bool = option(
        False, group="shown", help="leave subtitles and closed captions out"
    )
    low_delay: bool = option(
        False, group="shown", help="write every frame as soon as it is decoded"
    )
    ignore_errors: bool = option(
        False,
        group="shown",
        help="decode damaged streams: the last good frame is repeated until the next keyframe",
    )
    overwrite: bool = False
    threads: int = option(0, integer(0), group="own")
    models: Sequence[str | Path] = option((), group="models")
    device: str = option(
        "cpu",
        None,
        "NAME",
        group="device",
        help="accepted for scripts of 1.0: every base decodes on the processor",
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
        return self.start > 0 or self.has_end

    @property
    def has_end(self) -> bool:
        """Whether frames after the requested part are left out."""
        return self.frames is not None or self.end is not None


@list_options(DecodeRequest)
@renamed_keywords(hold="enforce_rlimit", form="format")
def decode_file(
    source: PathName | Readable,
    output: PathName | BinaryIO,
    *,
    progress: Mode = "none",
    verbose: bool = False,
    **options: Unpack[DecodeFileOptions],
) -> DecodeReport:
    """Decode a stream to a video, as `gvcodec decode` does: .mp4, .mkv, .mov, .webm, .avi, .ts,
    .gif, .y4m … or images like frame%05d.png by the name of `output`; an open binary file gets
    y4m, standard output ("-") as `format` says.

    `source` is a path or an open binary file. From `start` seconds on to `end`, at most `frames`;
    scaled by `scale`: a size (width, height) or a factor. `crf` is the quality of the encoder,
    `lossless` keeps the samples. With `ignore_errors` the frame before lost frames stays
    on screen. `progress` and `verbose` as for `encode_file`. `enforce_rlimit`: the system holds
    this process to the limit of memory meanwhile. Raises `LimitError`, `MediaError`,
    `MissingFileError`, `DamagedStreamError`, `WrongModelError`, `VerificationError`, `UsageError`.
    """
    source_name, output_name = as_name(source), as_name(output)
    (settings,) = split_options(options, DecodeRequest)
    request = DecodeRequest(
        source if source_name is None else source_name,  # type: ignore[arg-type]
        output if output_name is None else output_name,  # type: ignore[arg-type]
        **settings,
    )
    uses_tokens = check_tokens_option(request.tokens)
    is_still = writers.is_single_picture(request.target)
    if is_still and (request.frames or 1) > 1:
        raise UsageError(
            f"{request.target}: holds one frame: put a number like %05d into the name",
            code="output-name",
        )
    if is_still:
        request = replace(request, frames=1)
    with (
        protect_inputs([] if source_name is None else [source_name]),
        ProgressBar(progress, verbose=verbose) as bar,
        contextlib.ExitStack() as stack,
    ):
        name = name_of(source)
        stream = _open(request.input, name, stack)
        seekable_source: str | BinaryIO | None = None
        losses = [stream.change] if isinstance(stream, ChangedStream) else []
        if request.ignore_errors:
            stream, losses = _repair(stream, name, request, stack)
            seekable_source = stream
        elif source_name not in (None, "-") and stream.seekable():
            seekable_source = source_name
        elif request.start > 0 or request.end is not None:
            stream = seekable_source = _spool(stream, stack)
        reader = Reader(stream, name)
        is_painted = reader.header.is_painted and not request.fidelity
        decoder = Decoder(
            reader.header,
            not is_painted,
            request.threads,
            request.models,
            request.low_delay,
            request.device,
            request.limits,
            read_only=True,
            look=request.look,
            uses_tokens=uses_tokens,
        )
        stack.enter_context(
            memory_limit(reader.header, is_painted, request.limits, request.enforce_rlimit)
        )
        report = _FileDecoder(request, reader, decoder, losses, seekable_source).write(bar)
        if is_still and settings.get("frames") is None:
            note = "a number like %05d in the name writes all frames"
            report = replace(report, outcome=(*report.outcome, note))
        copy_time(source_name or "-", output_name or "-")
        return report


def _open(source: str | Readable, name: str, stack: contextlib.ExitStack) -> BinaryIO:
    if isinstance(source, str):
        return stack.enter_context(open_stream(source))
    return unwrap(io.BufferedReader(BorrowedFile(source)), name)


def _repair(
    stream: BinaryIO, name: str, request: DecodeRequest, stack: contextlib.ExitStack
) -> tuple[BinaryIO, list[str]]:
    """The repaired stream, and a line for each loss."""
    from gvcodec.edit.repair import repair_stream

    rest = _spool(None, stack)
    repaired = repair_stream(
        stream, name, rest, request.threads, request.models, request.limits, request.enforce_rlimit
    )
    rest.seek(0)
    return rest, repaired.losses


def _spool(stream: BinaryIO | None, stack: contextlib.ExitStack) -> BinaryIO:
    """A seekable copy of `stream`."""
    file = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 (the stack closes it)
    spool = cast(BinaryIO, stack.enter_context(file))
    if stream is not None:
        shutil.copyfileobj(stream, spool)
        spool.seek(0)
    return spool


class _FileDecoder:
    """A stream in decoding, from its first wanted frame on. `losses`: findings of `repair`;
    `seekable_source`: the stream at any place, None for a pipe."""

    def __init__(
        self,
        request: DecodeRequest,
        reader: Reader,
        decoder: Decoder,
        losses: list[str],
        seekable_source: str | BinaryIO | None,
    ) -> None:
        self._request, self._reader, self._decoder = request, reader, decoder
        self._header = reader.header
        self._keeps_tracks = writers.takes_tracks(request.target, request.format)
        self._losses = losses
        self._tracks: TrackReader | None = None
        self._attachments = AttachmentReader()
        #: How many frames there are, None when unknown; packets that are not read with them;
        #: whether the base hash is checked.
        self._count: int | None = None
        self._rest: Iterator[Packet] | None = None
        self._is_whole = True
        #: When the last picture goes that is cut off while it is on screen, in ticks.
        self._until: int | None = None
        self._from = Fraction(request.start).limit_denominator(1_000_000)
        end = None if request.end is None else Fraction(request.end)
        self._to = end and end.limit_denominator(1_000_000)
        self._indexed = seekable_source
        #: The requested frames, and the offset subtracted from their times; both from `_seek` on.
        self._frames: Iterator[DecodedFrame] = iter(())
        self._shift = 0
        #: When the last written frame ends, in seconds; packets of tracks that are not written.
        self._end = Fraction(0)
        self._dropped_packets = 0

    def write(self, bar: ProgressBar) -> DecodeReport:
        """Raises the errors of `Decoder`, `Reader` and `open_writer`."""
        self._seek()
        request, fmt = self._request, self._header.format
        scaler = Scaler(fmt, request.scale) if request.scale else None
        output_format = scaler.format if scaler else fmt
        bar.begin("decode", self._count)
        frame_count = painted = 0
        with self._open_writer(output_format) as writer:
            for frame in self._frames:
                self._drop_tracks()
                painted += self._header.is_painted and frame.planes is not frame.base_frame
                planes = scaler.apply(frame.planes) if scaler else frame.planes
                writer.write(planes, frame.pts - self._shift)
                frame_count += 1
                bar.coded(frame_count, 0)
                self._end = (frame.pts - self._shift) * fmt.time_base + 1 / fmt.frame_rate
            self._finish(writer, frame_count)
        self._drop_tracks()
        size = f"{output_format.width}×{output_format.height}"
        if request.fidelity or request.look == 0:
            painted = 0
        if 0 < painted < frame_count:
            frames = f"{count_noun(frame_count, 'frame')} {size}, {painted} of them painted"
        else:
            kind = "painted frame" if painted else "base frame"
            frames = f"{count_noun(frame_count, kind)} {size}"
        return DecodeReport(frame_count, (frames, *self._describe(writer)), tuple(self._losses))

    def _seek(self) -> None:
        """Finds the first requested frame and counts the rest. Raises `UsageError` where no frame
        is wanted."""
        request, seekable_source = self._request, self._indexed
        if seekable_source is None:
            self._frames = self._read_all()
        elif request.is_part:
            self._frames = self._read_part(seekable_source, self._reader)
        else:
            self._count = sum(gop.frames for gop in self._reader.gops())
            self._frames = self._read_all()
        first = next(self._frames, None)
        if first is None and request.is_part:
            since = f"{float(self._from):g} s after the first one or later"
            raise UsageError(f"{self._reader.name}: no frame is shown {since}", code="no-frames")
        self._shift = self._set_shift(first)
        self._frames = chain([first] if first else [], self._frames)

    def _read_part(self, source: str | BinaryIO, reader: Reader) -> Iterator[DecodedFrame]:
        """The frames of the part, by the index. Raises `UsageError`, `DamagedStreamError`."""
        video = Video(source, decoder=self._decoder, limits=self._request.limits)
        video.name = reader.name
        first, begin_tick, is_still = video.cut_at(self._from)
        first, stop = first - is_still, len(video)
        if first == stop:
            return iter(())
        if self._request.frames is not None:
            stop = min(stop, first + self._request.frames)
        end_tick = video.pts_of(stop)
        if self._to is not None:
            last, until, is_still = video.cut_at(self._to)
            if last <= stop:
                stop, end_tick, self._until = last, until, until if is_still else None
        if stop <= first:
            raise UsageError(f"{reader.name}: no frame begins in this part", code="no-frames")
        tick = self._header.format.time_base
        begin = begin_tick * tick if self._from > 0 else None
        end = None if end_tick == video.pts_of(len(video)) else end_tick * tick
        metadata, self._count, self._is_whole = b"", stop - first, False
        with self._name_errors():
            for packet in self._attachments.watch(reader.packets()):
                if packet.kind is Kind.METADATA:
                    metadata = metadata or packet.payload
                elif packet.kind is Kind.TRACKS and self._tracks is None and self._keeps_tracks:
                    self._tracks = TrackReader(packet.payload, self._request.limits)
                    self._leave_out(self._tracks)
                    self._tracks.keep(begin, end)
                elif packet.kind is Kind.TRACKS and self._tracks is not None:
                    self._tracks.send(packet.payload)
                elif packet.is_frame and self._tracks is None:
                    # Descriptions of tracks precede the first frame: there are none.
                    break
            self._metadata = Metadata.unpack(metadata)
        frames = video.decode_range(first, stop)
        first_frame = next(frames)
        return chain([replace(first_frame, pts=begin_tick)], frames)

    def _read_all(self) -> Iterator[DecodedFrame]:
        """The first frames of a stream that is read from its start, or all."""
        packets = self._reader.packets()
        frames = self._decode(packets)
        first = next(frames, None)
        # Descriptions of tracks precede the first frame.
        self._tracks = self._decoder.tracks
        if self._tracks:
            self._leave_out(self._tracks)
        self._metadata = Metadata.unpack(self._decoder.metadata)
        frames = chain([first] if first else [], frames)
        if self._request.frames is None:
            return frames
        # A pipe is not waited for.
        self._is_whole, self._rest = False, packets
        return islice(frames, self._request.frames)

    def _leave_out(self, tracks: TrackReader) -> None:
        """The tracks that are not wanted."""
        request = self._request
        unwanted = {"audio": request.sound == "none", "subtitle": request.no_subtitles}
        tracks.leave_out(*(kind for kind, is_unwanted in unwanted.items() if is_unwanted))

    def _set_shift(self, first: DecodedFrame | None) -> int:
        """Ticks to subtract from all timestamps; cuts metadata and tracks to the wanted part."""
        start, tick = self._header.start_pts, self._header.format.time_base
        if not self._request.is_part:
            # Earlier streams keep the clock of their source; files begin at 0.
            start_seconds = start * tick
            self._metadata = (
                self._metadata.during(start_seconds, None, -start_seconds)
                if start
                else self._metadata
            )
            if start and self._tracks:
                self._tracks.keep(start_seconds, None)
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
            yield from self._decoder.frames_of(self._attachments.watch(packets))
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
            tracks=self._tracks if self._keeps_tracks else None,
            metadata=self._metadata,
            attachments=self._attachments.finish(),
            threads=request.threads,
            form=request.format,
        )

    def _drop_tracks(self) -> None:
        """Drop packets of tracks that the output does not take, and count them."""
        tracks = self._decoder.tracks
        if tracks is None or (self._keeps_tracks and tracks is self._tracks):
            return
        self._dropped_packets += len(tracks.waiting)
        tracks.waiting.clear()

    def _finish(self, writer: VideoWriter, frame_count: int) -> None:
        """Say when the last frame ends, and hand on packets of tracks after it."""
        if frame_count and not self._request.has_end:
            with self._name_errors():
                writer.end(self._decoder.receive_end() - self._shift)
        elif self._until is not None:
            writer.end(self._until - self._shift)
            self._end = (self._until - self._shift) * self._header.format.time_base
        if self._tracks and self._keeps_tracks and self._rest is not None:
            # Packets of sound may follow the frames that they belong to.
            with self._name_errors():
                for packet in self._rest:
                    if packet.kind is Kind.TRACKS:
                        self._tracks.send(packet.payload)
                    self._tracks.drop(since=self._end)

    def _describe(self, writer: VideoWriter) -> list[str]:
        """The checks made, and losses in the output."""
        request = self._request
        is_whole = self._is_whole and not self._losses
        check_name = "base hash" if is_whole else "checksums"
        shows_file = request.look is None and request.tokens == "on" and not request.fidelity
        if is_whole and shows_file and self._decoder.expected_painted_hash is not None:
            check_name = "base hash and painted hash"
        part = "" if is_whole else " (hashes are of whole files)"
        lines = [f"{check_name} verified{part}", *writer.notes, *self._decoder.notes]
        if request.look is not None:
            lines.append(f"look {request.look}: the file's painted hash is for other pictures")
        elif request.tokens == "off":
            lines.append("tokens off: the file's painted hash is for other pictures")
        lines += self._attachments.losses
        if self._decoder.has_captions and not request.no_subtitles:
            lines.append(LOST_CAPTIONS)
        lost = [] if self._keeps_tracks else list(self._metadata.parts())
        if not self._keeps_tracks and (attachments := self._attachments.finish()):
            lost.append(name_all(attachments))
        if self._dropped_packets and self._tracks:
            lost.append(f"{count_noun(self._dropped_packets, 'packet')} of {self._tracks.kinds}")
        if lost:
            lines.append(f"{', '.join(lost)} left out: {request.target} cannot hold them")
        return lines

    @contextlib.contextmanager
    def _name_errors(self) -> Iterator[None]:
        try:
            yield
        except DamagedStreamError as error:
            raise self._reader.name_file(error) from error
