"""Damaged and made-up variants of a stream: `(kind, what was done, bytes)`.

Damage is what happens to files: bits flip, bytes are overwritten, vanish or come in between, the
end is missing. Made-up streams are right by all checksums and wrong by what they say: header fields
at their extremes, wrong sizes, strange payloads and orders.
"""

from __future__ import annotations

import binascii
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
from gvcodec.bitstream.header import MAGIC, VERSION
from gvcodec.bitstream.packets import read_packet
from gvcodec.bitstream.varint import MAX_BYTES, encode_var

DAMAGE = ("truncated", "bit flipped", "bytes overwritten", "bytes removed", "bytes inserted")
MADE_UP = ("header field at its extreme", "packet size wrong", "payload made up", "packets moved")

#: Values of a variable-length field: around every bound that the format has.
EXTREMES = (0, 1, 2, 15, 16, 63, 64, 255, 16383, 16384, 16385)
EXTREMES += (1 << 26, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 63) - 1)
_BYTES = (*range(10), 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 254, 255)
_BESIDE = (Kind.SUMMARY, Kind.FIT, Kind.TIMING, Kind.TRACKS, Kind.METADATA)
_FIELDS = ("width", "height", "rate_num", "rate_den", "tick_num", "tick_den", "pts")


@dataclass(frozen=True, slots=True)
class Mutation:
    kind: str
    what: str
    data: bytes


def truncations(data: bytes) -> Iterator[Mutation]:
    """The stream cut at every byte."""
    for size in range(len(data)):
        yield Mutation("truncated", f"at byte {size}", data[:size])


def damages(data: bytes, count: int, seed: int) -> Iterator[Mutation]:
    """`count` random bit flips, and a tenth as many of each other kind of damage."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        damaged = bytearray(data)
        at, bit = int(rng.integers(len(data))), int(rng.integers(8))
        damaged[at] ^= 1 << bit
        yield Mutation("bit flipped", f"bit {bit} of byte {at}", bytes(damaged))
        if number % 10:
            continue
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 64))
        noise = rng.bytes(size)
        before, after = data[:at], data[at + size :]
        what, over = f"{size} at {at}", noise[: len(data) - at]
        yield Mutation("bytes overwritten", what, before + over + after)
        yield Mutation("bytes removed", what, before + after)
        yield Mutation("bytes inserted", what, before + noise + data[at:])


def make_up(data: bytes, seed: int) -> Iterator[Mutation]:
    """Every header field at its extremes, every packet with wrong sizes and strange payloads,
    packets in another order."""
    yield from _headers(data)
    yield from _sizes(data)
    yield from _payloads(data, seed)


def _headers(data: bytes) -> Iterator[Mutation]:
    header, packets = _parts(data)
    fields, rest = header_fields(header), b"".join(packets)
    changes: dict[str, bytes] = {}
    for number in range(len(fields)):
        wide = number in range(1, 8) or number in (12, 13)
        name = _FIELDS[number - 1] if 0 < number < 8 else f"field {number}"
        for value in EXTREMES if wide else _BYTES:
            own = encode_var(value) if wide else bytes([value])
            body = b"".join([*fields[:number], own, *fields[number + 1 :]])
            changes[f"{name} {value}"] = header_of(body)
    body = b"".join(fields)
    for size in (0, 1, len(body) - 1, len(body) + 1, 256, 257, 1 << 30, (1 << 63) - 1):
        changes[f"size {size}"] = header_of(body, size)
    for version in ((0, 0), (0, 1), (0, 3), (1, 2), (255, 255)):
        changes[f"version {version}"] = header_of(body, version=version)
    for what, changed in changes.items():
        yield Mutation("header field at its extreme", what, changed + rest)


def _sizes(data: bytes) -> Iterator[Mutation]:
    """Each packet with another size in its head; checksum of the packet as it was, and right for
    the bytes it then covers."""
    header, packets = _parts(data)
    for number, packet in enumerate(packets):
        length = next(n for n, byte in enumerate(packet) if byte < 0x80) + 1
        head = int.from_bytes(packet[:1], "little") & 3
        size = len(packet) - length - (head == 3) - 2
        before, after = header + b"".join(packets[:number]), b"".join(packets[number + 1 :])
        near, far = {0, 1, size - 1, size + 1, 2 * size}, {4096, 1 << 20, 1 << 26, 1 << 60}
        for wrong in (near | far | {(1 << 26) + 1}) - {-1, size}:
            claimed = encode_var(wrong << 2 | head) + packet[length:]
            what = f"packet {number}: {wrong}"
            yield Mutation("packet size wrong", what, before + claimed + after)
            end = len(encode_var(wrong << 2)) + (head == 3) + min(wrong, 1 << 16)
            covered = (claimed[:-2] + after)[:end]
            sealed = covered + binascii.crc_hqx(covered, 0xFFFF).to_bytes(2, "little")
            yield Mutation("packet size wrong", f"{what}, sealed", before + sealed + after)
    over = encode_var((1 << 63) - 1) + b"\xff" * MAX_BYTES
    yield Mutation("packet size wrong", "endless number", header + over)


def _payloads(data: bytes, seed: int) -> Iterator[Mutation]:
    rng = np.random.default_rng(seed)
    packets = list(Reader(io.BytesIO(data)).packets())
    for number, packet in enumerate(packets):
        before, after = packets[:number], packets[number + 1 :]
        others = {
            what: Packet(packet.kind, payload) for what, payload in _strange(packet.payload, rng)
        }
        for kind in Kind:
            if kind >= 0 and kind not in (packet.kind, Kind.INDEX, Kind.END, Kind.GOP):
                others[kind.name] = Packet(kind, packet.payload)
        for what, other in others.items():
            sealed = sealed_stream(data, [*before, other, *after])
            yield Mutation("payload made up", f"packet {number}: {what}", sealed)
        place, rest = int(rng.integers(len(packets))), before + after
        orders = {
            "lost": rest,
            "twice": [*before, packet, packet, *after],
            f"moved to {place}": [*rest[:place], packet, *rest[place:]],
        }
        for what, order in orders.items():
            sealed = sealed_stream(data, order)
            yield Mutation("packets moved", f"packet {number}: {what}", sealed)
    for late in ((1 << 62) - 1, -(1 << 62), 1 << 50):
        timing = encode_var(0) + encode_var(late << 1 if late >= 0 else ~(late << 1))
        far = encode_var(0) * 2 + encode_var(1 << 40) + timing[1:]
        for payload in (timing, timing * 4, timing * 20000, far):
            sealed = sealed_stream(data, [Packet(Kind.TIMING, payload), *packets])
            yield Mutation("payload made up", f"timing {late}, {len(payload)} bytes", sealed)


def _strange(payload: bytes, rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """Payloads in place of one, by what was done."""
    noisy = bytearray(payload or b"\0")
    for _ in range(3):
        noisy[int(rng.integers(len(noisy)))] = int(rng.integers(256))
    return [
        ("empty", b""),
        ("zeros", bytes(len(payload))),
        ("ones", b"\xff" * len(payload)),
        ("half", payload[: len(payload) // 2]),
        ("double", payload * 2),
        ("noise", rng.bytes(len(payload) or 9)),
        ("three bytes changed", bytes(noisy)),
    ]


def sealed_stream(data: bytes, packets: list[Packet]) -> bytes:
    """These packets behind the header of a stream, and with its base hash."""
    reader = Reader(io.BytesIO(data))
    for _ in reader.packets():
        pass
    return sealed_packets(plain_header(reader.header), packets, reader.base_hash or b"")


def plain_header(header: SequenceHeader) -> bytes:
    """The header of a stream whose packets hold a frame each."""
    return replace(header, bundled=False).pack()


def sealed_packets(header: bytes, packets: list[Packet], base_hash: bytes) -> bytes:
    """A stream of these packets with right checksums, GOPs, index and end, in whatever order."""
    out = bytearray(header)
    index, frames, gop_frames, crc, begin, fitted = b"", 0, 0, 0, len(out), False
    gops = 0

    def close() -> None:
        nonlocal index, gop_frames, crc, begin, fitted, gops
        out.extend(Packet(Kind.GOP, crc.to_bytes(4, "little") + encode_var(frames)).pack())
        index += encode_var(gop_frames) + encode_var(len(out) - begin) + bytes([fitted])
        gop_frames, crc, begin, fitted, gops = 0, 0, len(out), False, gops + 1

    begin_at = _begins(packets)
    for number, packet in enumerate(packets):
        if number in begin_at and gop_frames:
            close()
        packed = packet.pack()
        out += packed
        crc = zlib.crc32(packed, crc)
        frames, gop_frames = frames + packet.is_frame, gop_frames + packet.is_frame
        fitted = fitted or packet.kind is Kind.FIT
    close()
    packed = Packet(Kind.INDEX, encode_var(frames) + encode_var(gops) + index).pack()
    out += packed + Packet(Kind.END, base_hash + len(packed).to_bytes(4, "little")).pack()
    return bytes(out)


def _begins(packets: list[Packet]) -> set[int]:
    """Packets that GOPs begin with: a keyframe, or what stands before it and is no frame."""
    found, last = set(), False
    for number, packet in reversed(list(enumerate(packets))):
        begins = packet.kind is Kind.KEY or (last and packet.kind in _BESIDE)
        if begins and packet.kind is not Kind.KEY:
            found.discard(number + 1)
        found |= {number} if begins else set()
        last = begins
    return found


def _parts(data: bytes) -> tuple[bytes, list[bytes]]:
    """Header and packets as they stand in the file."""
    stream = io.BytesIO(data)
    size = len(Reader(stream).header.pack())
    stream.seek(size)
    packets = []
    while stream.tell() < len(data):
        packets.append(read_packet(stream)[1])
    return data[:size], packets


def header_fields(header: bytes) -> list[bytes]:
    """The fields of a header as they are coded, flags first."""
    body = header[len(MAGIC) + 3 : -4]
    widths = ["u8", *["var"] * 7, *["u8"] * 4, *["var"] * 2, *["u8"] * 3]
    fields, at = [], 0
    for width in widths:
        end = at + 1
        while width == "var" and body[end - 1] >= 0x80:
            end += 1
        fields.append(body[at:end])
        at = end
    return [*fields, body[at:]] if at < len(body) else fields


def header_of(body: bytes, size: int | None = None, version: tuple[int, int] = VERSION) -> bytes:
    head = MAGIC + bytes(version) + encode_var(len(body) if size is None else size) + body
    return head + zlib.crc32(head).to_bytes(4, "little")
