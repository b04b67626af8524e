"""Audio packets on their way through a gvcodec file: copied, never decoded.

Their bytes are those of the `tracks` packets, one after another (specified in `gvcodec.bitstream`). Codec parameters travel
as the head of a Matroska file, which knows every codec; packets with their exact timestamps in a form of our own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError

_MAX_TRACKS = 64
_MAX_RATIO = 1 << 31


class _Pipe:
    """A write-only file object without seek, so that the muxer never goes back."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


class TrackCopier:
    """Collects packets of `streams`; `take` gives the bytes that came since the last call, first those of the head."""

    def __init__(self, streams: list[AudioStream]) -> None:
        """Raises `av.FFmpegError` or `ValueError` when Matroska cannot hold a codec."""
        pipe = _Pipe()
        with av.open(pipe, "w", format="matroska", options={"live": "1"}) as container:
            outputs = [container.add_stream_from_template(stream) for stream in streams]
            # A Matroska file without any packet is refused by FFmpeg.
            placeholder = av.Packet(b"\0")
            placeholder.pts = placeholder.dts = 0
            placeholder.stream = outputs[0]
            container.mux(placeholder)
        self._numbers = {stream.index: number for number, stream in enumerate(streams)}
        self._last = [0] * len(streams)
        self._ticks = [stream.time_base or Fraction(1, 1000) for stream in streams]
        self._data = bytearray(encode_var(len(streams)))
        for tick in self._ticks:
            self._data += encode_var(tick.numerator) + encode_var(tick.denominator)
        self._data += encode_var(len(pipe.data)) + pipe.data
        #: Packets copied so far.
        self.packets = 0

    def send(self, packet: av.Packet, shift: Fraction) -> None:
        """Copy a packet that has a timestamp, `shift` seconds earlier."""
        number = self._numbers[packet.stream.index]
        pts = (packet.pts or 0) - round(shift / self._ticks[number])
        data = bytes(packet)
        self._data += encode_var(number) + encode_svar(pts - self._last[number]) + encode_var(packet.duration or 0)
        self._data += encode_var(len(data)) + data
        self._last[number] = pts
        self.packets += 1

    @property
    def waiting(self) -> int:
        """Bytes that `take` would give."""
        return len(self._data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class Tracks:
    """Audio of a decoded stream, from the bytes of its `tracks` packets. Raises `DamagedStreamError`."""

    def __init__(self, data: bytes) -> None:
        self._cursor = Cursor(data, "tracks")
        count = self._cursor.var(_MAX_TRACKS)
        self._ticks: list[Fraction] = []
        for _ in range(count):
            numerator, denominator = self._cursor.var(_MAX_RATIO), self._cursor.var(_MAX_RATIO)
            if not numerator or not denominator:
                raise DamagedStreamError("tracks: time base of 0")
            self._ticks.append(Fraction(numerator, denominator))
        head = self._cursor.take(self._cursor.var())
        try:
            self._container = av.open(io.BytesIO(head), format="matroska")
        except (av.FFmpegError, ValueError) as error:
            raise DamagedStreamError("tracks: codec parameters cannot be read") from error
        #: Streams that serve as templates for output streams.
        self.streams = list(self._container.streams.audio)
        if len(self.streams) != count:
            raise DamagedStreamError("tracks: codec parameters of another number of tracks")

    def packets(self) -> Iterator[tuple[int, av.Packet]]:
        """Number of the track and packet, in the order of the source."""
        last = [0] * len(self._ticks)
        while len(self._cursor):
            number = self._cursor.var(len(self._ticks) - 1)
            last[number] += self._cursor.svar()
            duration = self._cursor.var()
            packet = av.Packet(self._cursor.take(self._cursor.var()))
            packet.time_base = self._ticks[number]
            packet.pts = packet.dts = last[number]
            packet.duration = duration
            packet.is_keyframe = True
            yield number, packet
