"""Packets, GOPs, index and end (Container: Grammar, Packets)."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.decoder.header import Header, read_header
from conformance.decoder.wire import Bytes, Newer, crc16, crc32, require

KINDS = {0: "inter", 1: "key", 2: "gop"}
TYPES = {
    0: "end",
    1: "index",
    2: "fit",
    3: "timing",
    4: "tracks",
    5: "latent",
    64: "summary",
    65: "score",
    66: "metadata",
    67: "painted",
    68: "model",
    70: "attachment",
}
LIMITS = {
    "gop": 2**20,
    "fit": 2**20,
    "timing": 2**20,
    "latent": 2**20,
    "summary": 2**20,
    "metadata": 2**16,
    "model": 2**24,
}
FIRST_SKIPPED = 64
MODELS = 8  # that are read


@dataclass
class Packet:
    name: str
    payload: bytes
    begin: int
    end: int
    frames: int = 0  # frames that it holds: a bundle has up to 32


@dataclass
class Gop:
    begin: int
    packets: list[Packet] = field(default_factory=list)
    frames: int = 0
    size: int = 0
    fit: bytes | None = None
    summary: bytes | None = None


@dataclass
class Stream:
    header: Header
    models: list[bytes]
    gops: list[Gop]
    base_hash: bytes = b""
    painted_hash: bytes | None = None  # where no frame packet follows it


def read_packet(read: Bytes) -> Packet:
    begin = read.at
    head = read.var()
    size, kind = head >> 2, head & 3
    number = read.number(1) if kind == 3 else 0
    other = "unknown" if number < FIRST_SKIPPED else "skipped"
    name = TYPES.get(number, other) if kind == 3 else KINDS[kind]
    require(size <= LIMITS.get(name, 2**26), f"{name} packet of {size} bytes")
    payload = read.take(size)
    checked = read.data[begin : read.at]
    require(read.number(2) == crc16(checked), f"checksum of {name} packet")
    return Packet(name, payload, begin, read.at)


def read_stream(data: bytes) -> Stream:
    """The whole file, checked except the content of its payloads."""
    header = read_header(data)
    stream = Stream(header, [], [])
    read = Bytes(data, header.size)
    packet = read_packet(read)
    while header.models and packet.name == "model":
        stream.models.append(packet.payload)
        packet = read_packet(read)
    stream.models = [model for model in stream.models[:MODELS] if model]
    begin, total = header.size, 0
    while packet.name != "index":
        gop = _read_gop(stream, read, packet, begin)
        total += gop.frames
        stream.gops.append(gop)
        _close(gop, data, total)
        begin, packet = read.at, read_packet(read)
    require(len(stream.gops) > 0, "no frame")
    _check_index(stream, packet.payload)
    end = read_packet(read)
    require(end.name == "end" and len(end.payload) == 12, "no end")
    require(read.remaining == 0, "bytes after the end")
    fields = Bytes(end.payload)
    stream.base_hash = fields.take(8)
    require(fields.number(4) == end.begin - packet.begin, "distance of end and index")
    return stream


def _read_gop(stream: Stream, read: Bytes, packet: Packet, begin: int) -> Gop:
    """One GOP, up to its `gop` packet."""
    gop, latent = Gop(begin), False
    while packet.name != "gop":
        name = packet.name
        require(name not in ("index", "end"), "a GOP is not closed")
        if name in ("key", "inter"):
            require((name == "key") == (gop.frames == 0), "a GOP has one key, first")
            packet.frames = _frames(stream.header, packet.payload)
            gop.frames += packet.frames
            latent, stream.painted_hash = False, None
        elif name == "fit":
            require(gop.frames == 0, "fit inside of a GOP")
            gop.fit = packet.payload
        elif name == "summary" and gop.summary is None:
            gop.summary = packet.payload
        elif name == "latent":
            require(stream.header.gvc1d_id is not None and not latent, "latent packet")
            latent = True
        elif name == "painted":
            stream.painted_hash = packet.payload
        elif name == "unknown" and stream.header.painter_id:
            raise Newer("a packet that changes painted frames")
        gop.packets.append(packet)
        packet = read_packet(read)
    require(gop.frames > 0 and not latent, "a GOP without its frames")
    gop.packets.append(packet)
    gop.size = packet.end - begin
    return gop


def _frames(header: Header, payload: bytes) -> int:
    if not header.bundled:
        return 1
    frames = Bytes(payload).number(1) + 1
    require(frames <= 32, "frames of a bundle")
    return frames


def _close(gop: Gop, data: bytes, total: int) -> None:
    packet = gop.packets.pop()
    fields = Bytes(packet.payload)
    require(fields.number(4) == crc32(data[gop.begin : packet.begin]), "checksum of a GOP")
    if fields.remaining:
        require(fields.var() == total and not fields.remaining, "frames up to a GOP's end")


def _check_index(stream: Stream, payload: bytes) -> None:
    read = Bytes(payload)
    frames, count = read.var(), read.var()
    require(count == len(stream.gops), "GOPs of the index")
    require(frames == sum(gop.frames for gop in stream.gops), "frames of the index")
    for gop in stream.gops:
        require((read.var(1), read.var()) == (gop.frames, gop.size), "index")
        require(read.number(1) & 1 == (gop.fit is not None), "fitted GOPs of the index")
    require(read.remaining == 0, "bytes after the index")
