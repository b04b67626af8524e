"""Audio packets on their way through a gvcodec file: copied, never decoded.

They travel as a Matroska stream, which holds every codec with its parameters and exact timestamps; the container cuts
that stream into `tracks` packets.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream


class _Pipe:
    """A write-only file object without seek, so that the muxer never goes back."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


class TrackCopier:
    """Collects packets of `streams`; `take` gives the next bytes of the Matroska stream."""

    def __init__(self, streams: list[AudioStream]) -> None:
        """Raises `av.FFmpegError` or `ValueError` when Matroska cannot hold a codec."""
        self._pipe = _Pipe()
        self._container = av.open(self._pipe, "w", format="matroska", options={"live": "1"})
        self._outputs = {stream.index: self._container.add_stream_from_template(stream) for stream in streams}
        self._container.start_encoding()
        #: Packets copied so far.
        self.packets = 0

    def send(self, packet: av.Packet, shift: Fraction) -> None:
        """Copy a packet, `shift` seconds earlier."""
        ticks = round(shift / packet.time_base)
        packet.pts -= ticks
        packet.dts = packet.pts if packet.dts is None else packet.dts - ticks
        packet.stream = self._outputs[packet.stream.index]
        self._container.mux(packet)
        self.packets += 1

    def take(self) -> bytes:
        data = bytes(self._pipe.data)
        self._pipe.data.clear()
        return data

    def close(self) -> bytes:
        """The last bytes."""
        self._container.close()
        return self.take()


class Tracks:
    """Audio packets of a decoded stream, read back from the bytes of its `tracks` packets."""

    def __init__(self, data: bytes) -> None:
        """Raises `av.FFmpegError` when the bytes are no Matroska stream."""
        self._container = av.open(io.BytesIO(data), format="matroska")
        self.streams = list(self._container.streams.audio)

    def packets(self) -> Iterator[av.Packet]:
        """In the order of the source."""
        for packet in self._container.demux(self.streams):
            if packet.pts is not None:
                yield packet

    def close(self) -> None:
        self._container.close()
