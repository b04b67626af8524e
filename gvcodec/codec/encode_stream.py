"""Whole videos to streams: `encode_source`, `encode_stream`, and the hash of painted frames."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol

from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
from gvcodec.bitstream.attachments import PIECE, Attachment
from gvcodec.bitstream.metadata import Metadata
from gvcodec.bitstream.packets import HASH_BYTES, make_quality
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.limits import NO_LIMITS
from gvcodec.painter.video import paints_exactly
from gvcodec.tracks.copier import TrackCopier
from gvcodec.tracks.packets import CHUNK, with_attachments
from gvcodec.types import Planes, VideoFormat

if TYPE_CHECKING:
    from gvcodec.source.reader import Frame


class VideoSource(Protocol):
    """A video that can be read once; `gvcodec.source.reader.VideoReader` is one."""

    format: VideoFormat
    notes: list[str]
    incomplete: str
    tracks: TrackCopier | None
    metadata: Metadata
    attachments: Sequence[Attachment]

    @property
    def start_pts(self) -> int: ...

    @property
    def end(self) -> int | None: ...

    def __iter__(self) -> Iterator[Frame]: ...


def count_tracks(source: VideoSource) -> tuple[int, str]:
    """Packets of sound, subtitles and attachments of a source that was read, and their kinds."""
    tracks, attachments = source.tracks, source.attachments
    pieces = sum(-(-len(attachment.data) // PIECE) for attachment in attachments)
    kinds = with_attachments(tracks.kinds if tracks else "", bool(attachments))
    return pieces + (tracks.packets if tracks else 0), kinds


def encode_source(
    source: VideoSource,
    frames: Iterable[Frame],
    encoder: Encoder,
    output: BinaryIO,
    writes_painted_hash: bool = True,
) -> Writer:
    """`encode_stream` of a source with its tracks and metadata; `frames`: what iterating over it
    gives, seen by a progress bar or cut short."""

    def pieces() -> Iterator[tuple[Planes, int, bool, bytes]]:
        for frame in frames:
            yield frame.planes, frame.pts, frame.new_size, frame.captions
        encoder.send_end(source.end)

    encoder.send_attachments(source.attachments)
    return encode_stream(
        encoder, output, pieces(), source.metadata.pack(), source.tracks, writes_painted_hash
    )


def encode_stream(
    encoder: Encoder,
    output: BinaryIO,
    frames: Iterable[tuple[Planes, int | None] | tuple[Planes, int | None, bool, bytes]],
    metadata: bytes = b"",
    tracks: TrackCopier | None = None,
    writes_painted_hash: bool = True,
) -> Writer:
    """Encode all frames (planes, timestamp or None, whether a GOP has to begin, closed captions) to
    `output`, which is flushed with every frame that made packets.

    `metadata` as for `Encoder.send_metadata`; `tracks` are copied in pieces of at least `CHUNK`
    bytes, in low delay frame by frame. Without `writes_painted_hash` there is no
    `painted` packet, for which all frames are painted. Returns the writer, which knows the sizes.
    Raises errors of the encoder and the source."""
    painted: PaintedHash | None = None
    if writes_painted_hash and paints_exactly(encoder.header):
        painted = PaintedHash(encoder.header, encoder.config, encoder.report_painted)
    writer = Writer(output, encoder.header)
    chunk = 0 if encoder.config.low_delay else CHUNK

    def write_ready() -> None:
        before = writer.size
        while (packet := encoder.receive_packet()) is not None:
            writer.write(packet)
            if painted is not None:
                painted.send(packet)
        if writer.size > before:
            # Whoever reads a pipe wants a packet when it is there, not when a buffer is full.
            output.flush()

    encoder.send_metadata(metadata)
    if tracks:
        # A decoder that writes as it reads needs to know the tracks before the first frame.
        encoder.send_tracks(tracks.pop())
    for frame in frames:
        encoder.send_frame(*frame)
        if tracks:
            encoder.send_tracks(tracks.pop(chunk))
        write_ready()
    if tracks:
        encoder.send_tracks(tracks.pop())
    for _ in encoder.flush_in_steps():
        write_ready()
    write_ready()
    writer.write(make_quality(encoder.psnr_y))
    if painted is not None:
        writer.write(painted.finish())
    writer.finish(encoder.base_hash)
    return writer


class PaintedHash:
    """Decodes and paints the written stream, for the `painted` packet at its end; `report` receives
    the number of painted frames. Base frames are decoded again (a tenth of the time): strengths and
    weights are known when all is coded, and memory does not hold the frames of a long video."""

    def __init__(
        self, header: SequenceHeader, config: EncoderConfig, report: Callable[[int], None]
    ) -> None:
        self._decoder = Decoder(
            header,
            threads=config.threads,
            limits=NO_LIMITS,
            device=config.device,
            read_only=True,
            hashes_base=False,  # the encoder did
        )
        self._report, self._frames = report, 0

    def send(self, packet: Packet) -> None:
        """Take the next packet of the file."""
        if packet.is_frame or packet.kind in (Kind.FIT, Kind.TIMING):
            self._decoder.send_packet(packet)
        self._drop_frames()

    def finish(self) -> Packet:
        """The `painted` packet."""
        self._decoder.flush()
        self._drop_frames()
        painted = self._decoder.painted_hash
        assert painted is not None
        return Packet(Kind.PAINTED, painted)

    def _drop_frames(self) -> None:
        while self._decoder.receive_frame() is not None:
            self._frames += 1
            self._report(self._frames)


#: Bytes that the `painted` packet adds to a stream, with one by which the size of its GOP may grow.
PAINTED_BYTES = len(Packet(Kind.PAINTED, bytes(HASH_BYTES)).pack()) + 1


def add_painted(data: bytes, config: EncoderConfig, report: Callable[[int], None]) -> bytes:
    """The stream that `encode_stream` would have made with `writes_painted_hash`. `report` receives
    how many frames are painted."""
    reader, output = Reader(io.BytesIO(data)), io.BytesIO()
    if not paints_exactly(reader.header):
        return data
    writer, painted = Writer(output, reader.header), PaintedHash(reader.header, config, report)
    for packet in reader.packets():
        writer.write(packet)
        painted.send(packet)
    writer.write(painted.finish())
    assert reader.base_hash is not None  # the end was read
    writer.finish(reader.base_hash)
    return output.getvalue()
