"""Models inside a file: `model` packets directly after the header.

payload = u8 role  a safetensors file        role 0: painter, 1: model of the base
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from gvcodec.bitstream.header import SequenceHeader
from gvcodec.bitstream.packets import Kind, Packet, read_packet
from gvcodec.errors import DamagedStreamError
from gvcodec.models import find_model, load_embedded_model

PAINTER, BASE_MODEL = 0, 1
#: Packets of models that one file may have.
_MOST = 8


def model_packets(header: SequenceHeader) -> Iterator[Packet]:
    """The models of a header, as packets. Raises `WrongModelError` for one that is not
    installed."""
    for role, identity in _model_ids(header).items():
        if identity is not None:
            data = find_model(identity, "the model").read_bytes()
            yield Packet(Kind.MODEL, bytes([role]) + data)


def load_embedded_models(stream: BinaryIO, header: SequenceHeader) -> BinaryIO:
    """Read the embedded models of a stream positioned after its header; returns one at that place.
    Raises `DamagedStreamError` for models that the header does not name."""
    if not header.embeds_models:
        return stream
    seekable = stream.seekable()
    begin = stream.tell() if seekable else 0
    consumed = bytearray()
    for _ in range(_MOST):
        recorder = _RecordingStream(stream)
        try:
            packet, _data = read_packet(recorder)
        except DamagedStreamError:
            consumed += recorder.data
            break  # the next reader reports the place
        consumed += recorder.data
        if packet.kind is not Kind.MODEL:
            break
        role, model_ids = packet.payload[:1], _model_ids(header)
        if role and role[0] in model_ids:
            load_embedded_model(packet.payload[1:], model_ids[role[0]])
    if seekable:
        stream.seek(begin)
        return stream
    return cast(BinaryIO, io.BufferedReader(_ReplayStream(bytes(consumed), stream)))


def _model_ids(header: SequenceHeader) -> dict[int, bytes | None]:
    return {PAINTER: header.painter_id, BASE_MODEL: header.base_model_id}


class _RecordingStream:
    """A source that records the bytes read from it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.data = bytearray()

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self.data += data
        return data


class _ReplayStream(io.RawIOBase):
    """Recorded bytes, then the rest of a pipe."""

    def __init__(self, data: bytes, rest: BinaryIO) -> None:
        self._data, self._rest = io.BytesIO(data), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._data.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
