"""One encode, for the library, the command line and rate control: frames and tracks in, a stream out.

    writer = run(encoder, output, ((planes, None) for planes in video))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, BinaryIO

from gvcodec.bitstream import Packet, Writer
from gvcodec.encoder import Encoder
from gvcodec.types import Planes

if TYPE_CHECKING:
    from gvcodec.media.tracks import TrackCopier


def run(
    encoder: Encoder,
    output: BinaryIO,
    frames: Iterable[tuple[Planes, int | None]],
    metadata: bytes = b"",
    tracks: TrackCopier | None = None,
    chunk: int = 0,
    written: Callable[[Packet], None] | None = None,
) -> Writer:
    """Encode all frames (planes, timestamp or None) to `output`, which is flushed with every frame that made packets.

    `metadata` as for `Encoder.send_metadata`; `tracks` are copied in pieces of at least `chunk` bytes. `written` is told of every
    packet. Gives the writer, which knows the sizes. Raises what the encoder and the source raise."""
    writer = Writer(output, encoder.header)

    def drain() -> None:
        before = writer.size
        while (packet := encoder.receive_packet()) is not None:
            writer.write(packet)
            if written is not None:
                written(packet)
        if writer.size > before:
            # Whoever reads a pipe wants a packet when it is there, not when a buffer is full.
            output.flush()

    encoder.send_metadata(metadata)
    if tracks:
        # A decoder that writes as it reads needs to know the tracks before the first frame.
        encoder.send_tracks(tracks.take())
    for planes, pts in frames:
        encoder.send_frame(planes, pts)
        if tracks:
            encoder.send_tracks(tracks.take(chunk))
        drain()
    if tracks:
        encoder.send_tracks(tracks.take())
    encoder.flush()
    drain()
    writer.finish(encoder.loop_hash)
    return writer
