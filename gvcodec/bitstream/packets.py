"""One packet of the container: kinds, framing bytes, checksum. The layout is specified in the package docstring."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

from gvcodec.bitstream.varint import MAX_BYTES, Cursor, encode_var
from gvcodec.errors import DamagedStreamError

MAX_PAYLOAD = 1 << 26
CHECKSUM_BYTES = 2

_EXTENDED = 3
#: Kinds of packets from `Kind.END` on are `EXTENDED_AT + type`; `EXTENDED_AT` itself is `END`, type 0.
_EXTENDED_AT = 16
_FIRST_SKIPPABLE = _EXTENDED_AT + 64


class Kind(IntEnum):
    """What a packet is. Below 16: the two bits in the packet's head; from 16 on: 16 + the type byte."""

    INTER = 0
    KEY = 1
    GOP = 2
    END = _EXTENDED_AT
    INDEX = _EXTENDED_AT + 1
    TUNE = _EXTENDED_AT + 2
    TIMING = _EXTENDED_AT + 3
    TRACKS = _EXTENDED_AT + 4
    TOKENS = _EXTENDED_AT + 5
    SUMMARY = _FIRST_SKIPPABLE
    SCORE = _FIRST_SKIPPABLE + 1


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet without its framing."""

    kind: Kind
    payload: bytes

    @property
    def is_frame(self) -> bool:
        return self.kind in (Kind.INTER, Kind.KEY)

    def pack(self) -> bytes:
        """Bytes in the file: head, payload, CRC-16. An inter packet below 512 KiB takes at most 5 bytes besides its payload."""
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(self.payload)} bytes is above {MAX_PAYLOAD}")
        extended = self.kind >= _EXTENDED_AT
        head = encode_var(len(self.payload) << 2 | (_EXTENDED if extended else self.kind))
        if extended:
            head += bytes([self.kind - _EXTENDED_AT])
        body = head + self.payload
        return body + _checksum(body)


def read_packet(stream: BinaryIO) -> tuple[Packet | None, bytes]:
    """Read one packet: the packet (None for a kind that may be skipped) and its bytes. Raises `DamagedStreamError`."""
    head = bytearray()
    while not head or head[-1] >= 0x80 and len(head) < MAX_BYTES:
        head += _read(stream, 1)
    value = Cursor(bytes(head), "head").var(MAX_PAYLOAD << 2 | 3)
    number, size = value & 3, value >> 2
    if number == _EXTENDED:
        head += _read(stream, 1)
        number = _EXTENDED_AT + head[-1]
    payload = _read(stream, size)
    body = bytes(head) + payload
    checksum = _read(stream, CHECKSUM_BYTES)
    if checksum != _checksum(body):
        raise DamagedStreamError("checksum differs")
    whole = body + checksum
    try:
        kind = Kind(number)
    except ValueError:
        if number >= _FIRST_SKIPPABLE:
            return None, whole
        raise DamagedStreamError(f"type {number - _EXTENDED_AT} is unknown to this version") from None
    return Packet(kind, payload), whole


def _checksum(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0xFFFF).to_bytes(CHECKSUM_BYTES, "little")


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise DamagedStreamError("file ends early")
    return data
