"""Hostile streams with right checksums: heads of `tracks` that open files, and bombs."""

import io
from collections.abc import Callable

import av
import numpy as np

from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.bitstream.varint import encode_var
from gvcodec.tracks.codec_parameters import make_head
from tests.fuzz.robustness.sealed import (
    EXTREMES,
    header_fields,
    header_of,
    plain_header,
    sealed_packets,
)
from tests.fuzz.robustness.streams import streams

#: A file that some heads name; nobody may open it.
FOREIGN = "foreign.wav"
MEGABYTE = 1 << 20


def tracks_payload(head: bytes, count: int = 1) -> bytes:
    """Of `count` tracks of 1/1000 s with this head, without flags, language and title."""
    track = encode_var(1) + encode_var(1000) + bytes(3) + encode_var(len(head)) + head
    return encode_var(count) + track * count


def audio_stream(codec: str = "ac3") -> av.AudioStream:
    return av.open(io.BytesIO(), "w", format="matroska").add_stream(codec, rate=48000)


def picture_head() -> bytes:
    """A Matroska file with a large picture in a few bytes."""
    data = io.BytesIO()
    with av.open(data, "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 4000, 4000, "yuvj420p"
        container.mux([*stream.encode(av.VideoFrame(4000, 4000, "yuvj420p")), *stream.encode(None)])
    return data.getvalue()


def packed_head() -> bytes:
    """A Matroska head whose codec parameters are marked as packed by zlib."""
    head = make_head("matroska", [audio_stream()])
    # TrackEntry (64 bytes) gets ContentEncodings { ContentEncoding { ContentCompression } }.
    at = head.index(b"\xae\xc0") if b"\xae\xc0" in head else head.index(b"\xae")
    size = head[at + 1] & 0x7F
    packed = bytes.fromhex("6d808762408450348100")
    tracks = head.index(bytes.fromhex("1654ae6b")) + 4
    longer = bytearray(head[: at + 2 + size] + packed + head[at + 2 + size :])
    longer[at + 1] += len(packed)
    longer[tracks] += len(packed)
    return bytes(longer)


def counting_head() -> bytes:
    """An MP4 head with 2^27 samples of one byte: FFmpeg would make a table of 3 GB of them."""
    head = bytearray(make_head("mp4", [audio_stream("libmp3lame")]))
    at = head.index(b"stsz") + 8
    head[at : at + 8] = (1).to_bytes(4) + (1 << 27).to_bytes(4)
    return bytes(head)


SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 239.1.2.3\r\n"
    b"t=0 0\r\nm=audio 40004 RTP/AVP 0\r\n"
)
HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nforeign.wav\n#EXT-X-ENDLIST\n"
HEADS: dict[str, Callable[[], bytes]] = {
    "sdp": lambda: SDP,
    "ffconcat": lambda: b"ffconcat version 1.0\nfile foreign.wav\n",
    "hls": lambda: HLS,
    "picture": picture_head,
    "packed": packed_head,
    "samples": counting_head,
    "empty": lambda: b"",
    "garbage": lambda: b"\x1a\x45\xdf\xa3" + bytes(range(256)),
}


def with_packets(stream: bytes, *before: Packet) -> bytes:
    reader = Reader(io.BytesIO(stream))
    packets = [*before, *reader.packets()]
    return sealed_packets(plain_header(reader.header), packets, reader.base_hash or b"")


def openers() -> dict[str, bytes]:
    """Streams whose `tracks` ask for sockets, other files, or a lot of memory."""
    plain = streams()["av1"]
    payloads = {kind: tracks_payload(head()) for kind, head in HEADS.items()}
    found = {
        f"head {kind}": with_packets(plain, Packet(Kind.TRACKS, payload))
        for kind, payload in payloads.items()
    }
    names = (FOREIGN.encode(), f"../{FOREIGN}".encode(), b"/etc/passwd", b"concat:" + HLS)
    files = [attachment(n, 3, name, b"abc", n % 2) for n, name in enumerate(names)]
    return found | {"attachment names": with_packets(plain, *files)}


def attachment(number: int, total: int, name: bytes, piece: bytes, role: int = 0) -> Packet:
    """The first packet of an attachment that says to have `total` bytes."""
    texts = (encode_var(len(text)) + text for text in (name, b"image/jpeg"))
    head = encode_var(total) + bytes([role]) + b"".join(texts)
    payload = encode_var(number) + encode_var(0) + encode_var(len(head)) + head + piece
    return Packet(Kind.ATTACHMENT, payload)


def bombs(seed: int) -> dict[str, bytes]:
    """Streams of up to a megabyte that try to be expensive, right by all checksums."""
    rng = np.random.default_rng(seed)
    found: dict[str, bytes] = {}
    for name in ("av1", "rich"):
        reader = Reader(io.BytesIO(streams()[name]))
        packets = list(reader.packets())
        header = plain_header(reader.header)
        fields = header_fields(header)
        for field in (1, 4):
            changed = list(fields)
            changed[field] = encode_var(int(rng.choice(EXTREMES)))
            found[f"{name}-header-{field}"] = sealed_packets(
                header_of(b"".join(changed)), packets, bytes(8)
            )
        many = MEGABYTE // 16 // (sum(len(p.payload) + 5 for p in packets) + 1)
        found[f"{name}-repeated"] = sealed_packets(header, packets * many, bytes(8))
        noise = Packet(Kind.KEY, rng.bytes(MEGABYTE - 4096))
        found[f"{name}-noise"] = sealed_packets(header, [noise, *packets], bytes(8))
        found[f"{name}-empty"] = sealed_packets(header, [Packet(Kind.INTER, b"")] * 9000, bytes(8))
    reader = Reader(io.BytesIO(streams()["rich"]))
    rich, head = list(reader.packets()), plain_header(reader.header)
    nothing = b"\0\0\0"  # track 0, at the same time, for no time, of no bytes
    times = b"".join(encode_var(0) + encode_var(2) for _ in range(MEGABYTE // 4))
    summary = b"\1" + bytes(8) + encode_var(4096) + b"\1"
    for what, kind, payload in (
        ("tracks-nothing", Kind.TRACKS, nothing * (MEGABYTE // 3 - 3000)),
        ("tracks-in-pieces", Kind.TRACKS, nothing * 1000),
        ("timing", Kind.TIMING, times[:MEGABYTE - 8000]),
        ("metadata", Kind.METADATA, b"\2\2\0\0" * (MEGABYTE // 4 - 2000)),
        ("fit", Kind.FIT, b"\1\xff" + b"\x28" * (MEGABYTE - 8000)),
        ("summary", Kind.SUMMARY, summary + bytes(MEGABYTE - 8000)),
    ):  # fmt: skip
        count = 200 if what.endswith("pieces") else 1
        first = next(i for i, p in enumerate(rich) if p.is_frame)
        changed = [*rich[:first], *[Packet(kind, payload)] * count, *rich[first:]]
        found[what] = sealed_packets(head, changed, reader.base_hash or b"")
    claims = [attachment(n, 1 << 26, b"x", bytes(10), n % 2) for n in range(512)]
    found["attachment-claims"] = sealed_packets(head, [*claims, *rich], reader.base_hash or b"")
    small = [attachment(n, 1, b"x", b"x", 1) for n in range(512)]
    found["attachments-small"] = sealed_packets(head, [*small, *rich], reader.base_hash or b"")
    assert max(map(len, found.values())) <= MEGABYTE + (1 << 18)
    return found
