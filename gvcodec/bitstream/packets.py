"""One packet of the container: kinds, framing bytes, checksum (docs/spec/container.md).

Types unknown to this version: below 64 a decoder must understand them (`UNKNOWN`), from 64 on it
may skip them (`EXTRA`); types below 128 are copied with their GOP, 112…127 are private.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from gvcodec import _core
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError

MAX_PAYLOAD = 1 << 26
#: Of kinds with small packets only; their entries take more memory than bytes.
MAX_SIDE_PAYLOAD = 1 << 20
CHECKSUM_BYTES = 2
_LEAST_PACKET = 1 + CHECKSUM_BYTES
#: Bytes of the base hash, and of a model's id.
HASH_BYTES = 8
#: Of an `end` packet: head, type, hash, distance of the index, checksum.
END_BYTES = 2 + HASH_BYTES + 4 + CHECKSUM_BYTES
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
    ATTACHMENT = _FIRST_SKIPPABLE + 6


_KINDS = frozenset(int(kind) for kind in Kind)

#: Message for a truncated file.
ENDS_EARLY = "file ends early"


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet without its framing. `type`: its number, of kinds `UNKNOWN` and `EXTRA` alone."""

    kind: Kind
    payload: bytes
    type: int | None = None

    @staticmethod
    def of(number: int, payload: bytes) -> Packet:
        """`number`: of the kind, known or not."""
        if number in _KINDS:
            return Packet(Kind(number), payload)
        kind = Kind.EXTRA if number >= _FIRST_SKIPPABLE else Kind.UNKNOWN
        return Packet(kind, payload, number - EXTENDED_AT)

    @property
    def is_copied(self) -> bool:
        """Whether cutting, joining and repairing copy it with its GOP, known type or not."""
        if self.kind is Kind.LATENT:
            return False
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
    whole = read_sized(stream, _LEAST_PACKET, _core.packet_size, ENDS_EARLY)
    return Packet.of(*_core.parse_packet(whole)), whole


def read_sized(
    stream: Source, least: int, size_of: Callable[[bytes], int], ends_early: str
) -> bytes:
    """At least `least` bytes, as many as `size_of` finds in the first ones; it returns 0 if it
    needs more. No byte after them is read. Raises `DamagedStreamError` with `ends_early`."""
    data, size = b"", least
    while len(data) < size:
        more = stream.read(size - len(data))
        data += more
        size = size_of(data) or len(data) + 1
        if not more:
            raise DamagedStreamError(ends_early, code="truncated")
    return data


def _checksum(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0xFFFF).to_bytes(CHECKSUM_BYTES, "little")


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
        payloads = self._core.send(packet.kind is Kind.KEY, packet.payload)
        kinds = [packet.kind, *[Kind.INTER] * (len(payloads) - 1)]
        return [Packet(kind, payload) for kind, payload in zip(kinds, payloads, strict=True)]


def frames_in(bundle: bytes) -> int:
    """Frames of a bundle, without decoding it. Raises `DamagedStreamError`."""
    if not bundle or bundle[0] >= MOST_FRAMES:
        raise DamagedStreamError("bundle: number of frames", code="bundle")
    return bundle[0] + 1
