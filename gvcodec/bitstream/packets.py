"""One packet of the container: kinds, framing bytes, checksum (docs/spec/container.md).

Types unknown to this version: below 64 a decoder must understand them (`UNKNOWN`), from 64 on it
may skip them (`EXTRA`); those below 128 are copied with their GOP, 112…127 are private.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from gvcodec import _core
from gvcodec.bitstream.varint import MAX_BYTES, Cursor, encode_var
from gvcodec.errors import DamagedStreamError

MAX_PAYLOAD = 1 << 26
#: Kinds with small packets only; their entries take more memory than bytes.
MAX_SIDE_PAYLOAD = 1 << 20
CHECKSUM_BYTES = 2
#: Bytes of the base hash, and of a model's id.
HASH_BYTES = 8
#: Frames that a bundle holds at most.
MOST_FRAMES = 32

EXTENDED_BITS = 3
#: Kinds of packets from `Kind.END` on are `EXTENDED_AT + type`; `EXTENDED_AT` itself is `END`, type
#: 0.
EXTENDED_AT = 16
_FIRST_SKIPPABLE = EXTENDED_AT + 64
#: Types from here on depend on the whole file: cutting and joining drop them.
_FIRST_UNSAFE = 128


class Source(Protocol):
    """Source of packets: returns the next bytes, fewer only at its end."""

    def read(self, size: int, /) -> bytes: ...


class Kind(IntEnum):
    """Kind of a packet. Below 16: the two bits in the packet's head; from 16 on: 16 + the type
    byte.

    `UNKNOWN` means all types that this version does not know and that a painted picture may need,
    `EXTRA` those that it may skip.
    """

    EXTRA = -2
    UNKNOWN = -1
    INTER = 0
    KEY = 1
    GOP = 2
    END = EXTENDED_AT
    INDEX = EXTENDED_AT + 1
    FIT = EXTENDED_AT + 2
    TIMING = EXTENDED_AT + 3
    TRACKS = EXTENDED_AT + 4
    LATENT = EXTENDED_AT + 5
    SUMMARY = _FIRST_SKIPPABLE
    SCORE = _FIRST_SKIPPABLE + 1
    METADATA = _FIRST_SKIPPABLE + 2
    PAINTED = _FIRST_SKIPPABLE + 3
    MODEL = _FIRST_SKIPPABLE + 4
    QUALITY = _FIRST_SKIPPABLE + 5


_KNOWN = frozenset(int(kind) for kind in Kind)
_SMALL = (Kind.FIT, Kind.TIMING, Kind.LATENT, Kind.GOP, Kind.SUMMARY)
#: Most bytes of a payload, if not `MAX_PAYLOAD`.
_MOST = {
    **dict.fromkeys(map(int, _SMALL), MAX_SIDE_PAYLOAD),
    int(Kind.METADATA): 1 << 16,
    int(Kind.MODEL): 1 << 24,
}

#: Message for a truncated file.
ENDS_EARLY = "file ends early"


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet without its framing. `type`: its number, of kinds `UNKNOWN` and `EXTRA` alone."""

    kind: Kind
    payload: bytes
    type: int | None = None

    @property
    def is_copied(self) -> bool:
        """Whether cutting, joining and repairing copy it with its GOP, known type or not."""
        return self.type is None or _FIRST_SKIPPABLE <= EXTENDED_AT + self.type < (
            EXTENDED_AT + _FIRST_UNSAFE
        )

    @property
    def is_frame(self) -> bool:
        return self.kind in (Kind.INTER, Kind.KEY)

    def pack(self) -> bytes:
        """Bytes in the file: head, payload, CRC-16. An inter packet below 512 KiB adds at most 5
        bytes to its payload."""
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(self.payload)} bytes is above {MAX_PAYLOAD}")
        kind = self.kind if self.type is None else EXTENDED_AT + self.type
        if kind < 0:
            raise ValueError("a packet of unknown type cannot be written")
        extended = kind >= EXTENDED_AT
        head = encode_var(len(self.payload) << 2 | (EXTENDED_BITS if extended else kind))
        if extended:
            head += bytes([kind - EXTENDED_AT])
        body = head + self.payload
        return body + _checksum(body)


def read_packet(stream: Source) -> tuple[Packet, bytes]:
    """A packet and its bytes. Raises `DamagedStreamError`."""
    head = bytearray()
    while not head or head[-1] >= 0x80 and len(head) < MAX_BYTES:
        head += _read(stream, 1)
    number, size = parse_head(bytes(head))
    if number == EXTENDED_BITS:
        head += _read(stream, 1)
        number = EXTENDED_AT + head[-1]
    if size > _MOST.get(number, MAX_PAYLOAD):
        raise DamagedStreamError(f"head: {size} is above {_MOST[number]}", code="packet-size")
    payload = _read(stream, size)
    body = bytes(head) + payload
    checksum = _read(stream, CHECKSUM_BYTES)
    if checksum != _checksum(body):
        raise DamagedStreamError("checksum mismatch", code="packet-checksum")
    whole = body + checksum
    if number not in _KNOWN:
        kind = Kind.EXTRA if number >= _FIRST_SKIPPABLE else Kind.UNKNOWN
        return Packet(kind, payload, number - EXTENDED_AT), whole
    return Packet(Kind(number), payload), whole


def parse_head(head: bytes) -> tuple[int, int]:
    """Kind bits and payload size of a packet's first number. Raises `DamagedStreamError`."""
    value = Cursor(head, "head").var(MAX_PAYLOAD << 2 | 3)
    return value & 3, value >> 2


def _checksum(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0xFFFF).to_bytes(CHECKSUM_BYTES, "little")


def _read(stream: Source, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise DamagedStreamError(ENDS_EARLY, code="truncated")
    return data


#: Decibels that represent frames without error.
EXACT = 100.0
_STEPS = 100


def make_quality(psnr_y: float) -> Packet:
    """`psnr_y`: mean over the base frames, dB; inf = all are exact."""
    return Packet(Kind.QUALITY, encode_var(round(_STEPS * min(max(psnr_y, 0.0), EXACT))))


def read_quality(packet: Packet) -> float | None:
    """PSNR-Y in dB, None for a packet that cannot be read."""
    try:
        return Cursor(packet.payload, "quality").var(round(_STEPS * EXACT)) / _STEPS
    except DamagedStreamError:
        return None


class Unbundler:
    """Bundles (`gvcodec.bitstream.bundles`) to frame packets, in the order of a stream; the code is
    C++ (csrc/format)."""

    def __init__(self) -> None:
        self._core = _core.Unbundler()

    def send(self, packet: Packet) -> list[Packet]:
        """The frames of a bundle. Raises `DamagedStreamError`."""
        try:
            payloads = self._core.send(packet.kind is Kind.KEY, packet.payload)
        except DamagedStreamError as error:
            raise DamagedStreamError(str(error), code="bundle") from None
        kinds = [packet.kind, *[Kind.INTER] * (len(payloads) - 1)]
        return [Packet(kind, payload) for kind, payload in zip(kinds, payloads, strict=True)]


def frames_in(bundle: bytes) -> int:
    """Frames of a bundle, without decoding it. Raises `DamagedStreamError`."""
    if not bundle or bundle[0] >= MOST_FRAMES:
        raise DamagedStreamError("bundle: number of frames", code="bundle")
    return bundle[0] + 1
