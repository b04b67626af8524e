"""Streams with right checksums, whatever their packets are and in whatever order."""

import zlib
from dataclasses import replace

from gvcodec.bitstream import Kind, Packet, SequenceHeader
from gvcodec.bitstream.header import MAGIC, VERSION
from gvcodec.bitstream.varint import encode_var

#: Values of a variable-length field: around every bound that the format has.
EXTREMES = (0, 1, 2, 15, 16, 63, 64, 255, 16383, 16384, 16385)
EXTREMES += (1 << 26, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 63) - 1)
_BESIDE = (Kind.SUMMARY, Kind.FIT, Kind.TIMING, Kind.TRACKS, Kind.METADATA)


def plain_header(header: SequenceHeader) -> bytes:
    """The header of a stream whose packets hold a frame each."""
    return replace(header, is_bundled=False).pack()


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
