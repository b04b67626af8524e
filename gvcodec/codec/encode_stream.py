"""One encode, for the library, the command line and rate control: takes frames and tracks, writes a
stream, and paints meanwhile what it writes, for the hash in the `painted` packet.

    writer = encode_stream(encoder, output, ((planes, None) for planes in video))
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import BinaryIO

from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader, Writer
from gvcodec.bitstream.packets import make_quality
from gvcodec.bitstream.writer import HASH_BYTES
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.limits import UNLIMITED
from gvcodec.media.tracks import CHUNK, TrackCopier
from gvcodec.painter.open import paints_exactly
from gvcodec.types import Planes


def encode_stream(
    encoder: Encoder,
    output: BinaryIO,
    frames: Iterable[tuple[Planes, int | None] | tuple[Planes, int | None, bool]],
    metadata: bytes = b"",
    tracks: TrackCopier | None = None,
    paints: bool = True,
) -> Writer:
    """Encode all frames (planes, timestamp or None, whether a GOP has to begin) to `output`, which
    is flushed with every frame that made packets.

    `metadata` as for `Encoder.send_metadata`; `tracks` are copied in pieces of at least `CHUNK`
    bytes, in low delay frame by frame. Without `paints` there is no `painted` packet, for which all
    frames are painted. Gives the writer, which knows the sizes. Raises what the encoder and the
    source raise."""
    chunk = 0 if encoder.config.low_delay else CHUNK
    exact = paints and paints_exactly(encoder.header)

    def tell(frames: int) -> None:
        if encoder.flushed and encoder.progress is not None:
            encoder.progress.painted(frames, encoder.frames)

    painted = None
    if exact:
        painted = _Painted(encoder.header, encoder.config, tell)
    writer = Writer(output, encoder.header)

    def drain() -> None:
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
        encoder.send_tracks(tracks.take())
    for planes, pts, *new in frames:
        encoder.send_frame(planes, pts, *new)
        if tracks:
            encoder.send_tracks(tracks.take(chunk))
        drain()
    if tracks:
        encoder.send_tracks(tracks.take())
    for _ in encoder.flush_in_steps():
        drain()
    drain()
    writer.write(make_quality(encoder.psnr_y))
    if painted is not None:
        writer.write(painted.finish())
    writer.finish(encoder.base_hash)
    return writer


#: Bytes that the `painted` packet adds to a stream, with one by which the size of its GOP may grow.
PAINTED_BYTES = len(Packet(Kind.PAINTED, bytes(HASH_BYTES)).pack()) + 1


def add_painted(data: bytes, config: EncoderConfig, tell: Callable[[int], None]) -> bytes:
    """The stream that `encode_stream` would have made with `paints`. `tell` receives how many
    frames are painted."""
    reader, output = Reader(io.BytesIO(data)), io.BytesIO()
    if not paints_exactly(reader.header):
        return data
    writer, painted = Writer(output, reader.header), _Painted(reader.header, config, tell)
    for packet in reader.packets():
        writer.write(packet)
        painted.send(packet)
    writer.write(painted.finish())
    assert reader.base_hash is not None  # the end was read
    writer.finish(reader.base_hash)
    return output.getvalue()


class _Painted:
    """Paints what was written, for the `painted` packet at its end; `tell` receives how many frames
    are painted. Base frames are decoded again (5 of 510 ms a frame of 720p): fitted weights are
    known when all is coded, and memory does not hold the frames of a long video."""

    def __init__(
        self, header: SequenceHeader, config: EncoderConfig, tell: Callable[[int], None]
    ) -> None:
        self._decoder = Decoder(
            header,
            threads=config.threads,
            limits=UNLIMITED,
            device=config.device,
            read_only=True,
        )
        self._tell, self._frames = tell, 0

    def send(self, packet: Packet) -> None:
        if packet.is_frame or packet.kind in (Kind.FIT, Kind.TIMING):
            self._decoder.send_packet(packet)
        self._forget()

    def finish(self) -> Packet:
        self._decoder.flush()
        self._forget()
        painted = self._decoder.painted_hash
        assert painted is not None
        return Packet(Kind.PAINTED, painted)

    def _forget(self) -> None:
        while self._decoder.receive_frame() is not None:
            self._frames += 1
            self._tell(self._frames)
