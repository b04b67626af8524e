"""Answers of gvcodec."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from conformance.readers.answers import Answer, digest, digest_of_parts
from conformance.readers.inputs import MODELS, Input, pieces, small_painter
from gvcodec import _core
from gvcodec.base.standard.decoders import check_payload
from gvcodec.base.standard.payloads import restore_unit
from gvcodec.bitstream import Kind, Packet, PtsDecoder, Reader, SequenceHeader
from gvcodec.bitstream.header import MAGIC, VERSION
from gvcodec.bitstream.metadata import Metadata
from gvcodec.bitstream.metadata_obu import parse, parse_temporal_unit
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import (
    DamagedStreamError,
    FormatVersionError,
    GvcodecError,
    LimitError,
    MediaError,
    VerificationError,
    WrongModelError,
)
from gvcodec.limits import Limits
from gvcodec.opening import open_source
from gvcodec.retrieval.summary import Summary
from gvcodec.tracks.packets import TrackReader
from gvcodec.types import VideoFormat

_VERDICTS = {
    DamagedStreamError: "damaged",
    FormatVersionError: "newer",
    LimitError: "limit",
    VerificationError: "other hash",
    WrongModelError: "no model",
    MediaError: "no model",
}
FORMAT = VideoFormat(40, 24, Fraction(25), Fraction(1, 1000))
Q = 35


def answer(source: Input) -> Answer:
    """The answer for any input."""
    try:
        return {"verdict": "accepted", **PARSERS[source.parser](source.data)}
    except GvcodecError as error:
        kinds = [text for kind, text in _VERDICTS.items() if isinstance(error, kind)]
        return {"verdict": kinds[0] if kinds else type(error).__name__}


def header_text(header: SequenceHeader) -> str:
    """The fields as all readers write them."""
    fmt, colour = header.format, header.format.colour
    ids = [i.hex() if i else "-" for i in (header.base_model_id, header.painter_id)]
    ids.append(header.gvc1d_id.hex() if header.gvc1d_id else "-")
    numbers = (fmt.width, fmt.height, *fmt.frame_rate.as_integer_ratio())
    numbers += (*fmt.time_base.as_integer_ratio(), header.start_pts, fmt.bit_depth)
    numbers += (colour.primaries, colour.transfer, colour.matrix, int(colour.full_range))
    numbers += (colour.chroma_location, *fmt.sar.as_integer_ratio())
    rest = (header.base, str(header.scale), header.base_q, int(header.is_bundled))
    return " ".join(map(str, (*numbers, *rest, *ids)))


def frame_digest(planes: Iterable[np.ndarray]) -> bytes:
    """Bytes of the planes, as hashes count them."""
    return b"".join(plane.astype("<u2").tobytes() for plane in planes)


def _open(header: SequenceHeader) -> Decoder:
    """A decoder; of base frames where the painter is missing."""
    try:
        return Decoder(header, models=[MODELS], threads=1)
    except WrongModelError:
        return Decoder(header, fidelity=True, models=[MODELS], threads=1)


def _stream(data: bytes) -> dict[str, Any]:
    with open_source(data) as source:
        reader = Reader(source)
        fits: list[bytes | None] = []
        payloads: list[bytes] = []
        fit: bytes | None = None
        decoder = _open(reader.header)

        def packets() -> Iterable[Packet]:
            nonlocal fit
            for packet in reader.packets():
                fit = packet.payload if packet.kind is Kind.FIT else fit
                if packet.kind is Kind.KEY:
                    fits.append(fit)
                if packet.is_frame:
                    payloads.append(packet.payload)
                yield packet

        times, base, painted = [], [], []
        for frame in decoder.frames_of(packets()):
            times.append(frame.pts)
            base.append(digest(frame_digest(frame.base_frame)))
            painted.append(digest(frame_digest(frame.planes)))
        times.append(decoder.receive_end())
        decoder.verify(reader.base_hash)
    fields = {
        "header": digest(header_text(reader.header)),
        "payloads": digest_of_parts(payloads),
        "fits": digest_of_parts(fits),
        "times": digest(" ".join(map(str, times))),
        "frames": len(base),
    }
    fields["base"] = digest(" ".join(base))
    if decoder.painted_hash is not None:
        fields["painted"] = digest(" ".join(painted))
    return fields


def _header(data: bytes) -> dict[str, Any]:
    head = MAGIC + bytes(VERSION) + encode_var(len(data)) + data
    sealed = head + zlib.crc32(head).to_bytes(4, "little")
    return {"digest": digest(header_text(SequenceHeader.read(io.BytesIO(sealed))[0]))}


def _timing(data: bytes) -> dict[str, Any]:
    decoder = PtsDecoder(7, FORMAT.frame_rate, FORMAT.time_base)
    for payload in pieces(data):
        decoder.send(payload)
    times = [decoder.receive() for _ in range(12)]
    return {"digest": digest(" ".join(map(str, times)))}


def _metadata(data: bytes) -> dict[str, Any]:
    return {"digest": digest(Metadata.unpack(data).pack())}


def _tracks(data: bytes) -> dict[str, Any]:
    size = int.from_bytes(data[:2], "little")
    reader = TrackReader(data[2 : 2 + size], Limits(max_memory=64 << 20))
    for payload in pieces(data[2 + size :]):
        reader.send(payload)
    packets = [(p.track, p.pts, p.duration, *p.hidden, int(p.key)) for p in reader.waiting]
    return {"digest": digest(";".join(" ".join(map(str, packet)) for packet in packets))}


def fitted(data: bytes) -> dict[str, Any]:
    weights = _core.read_fit(data, small_painter(), FORMAT.width, FORMAT.height, Q)
    if weights is None:
        return {"digest": digest("identity")}
    noise, keep, factors, deltas, levels = weights
    text = " ".join(map(str, (noise, keep, *factors)))
    for name, exponent, values in deltas:
        text += f";{name} {exponent} " + " ".join(map(str, values))
    return {"digest": digest(text + (";" + " ".join(map(str, levels)) if levels else ""))}


def _summary(data: bytes) -> dict[str, Any]:
    if not data:
        return {"digest": digest("")}
    vectors = Summary.unpack(data[1:], data[0] + 1).vectors
    return {"digest": digest(np.ascontiguousarray(vectors).tobytes())}


def _standard(data: bytes) -> dict[str, Any]:
    if len(data) < 2:
        return {"digest": digest("")}
    base, side = ("av1", "vvc")[data[0] % 2], 8 * (data[1] + 1)
    check_payload(base, data[2:], side, side)
    return {"digest": digest(restore_unit(base, data[2:]))}


def _varint(data: bytes) -> dict[str, Any]:
    cursor, text = Cursor(data, "fuzz"), ""
    while len(cursor):
        kind = cursor.uint(1) % 4
        if kind == 2:
            text += cursor.take(cursor.var()).hex() + " "
        else:
            read: Callable[[], int] = cursor.svar if kind == 1 else cursor.var
            text += f"{cursor.uint(4) if kind == 3 else read()} "
    return {"digest": digest(text)}


def _units(data: bytes) -> dict[str, Any]:
    """The metadata OBU of each piece, and the input as a temporal unit."""
    text = ""
    for piece in pieces(data):
        inside = b"\x89GVC\1" + piece
        body = b"\x16" + inside + zlib.crc32(inside).to_bytes(4, "little") + b"\x80"
        try:
            entries = parse(body) or []
            text += ",".join(f"{int(e.what)}:{e.data.hex()}" for e in entries) + ";"
        except DamagedStreamError:
            text += "damaged;"
    unit = parse_temporal_unit(data)
    entries = list(unit.entries)
    text += ",".join(f"{int(e.what)}:{e.data.hex()}" for e in entries)
    return {"digest": digest(f"{text};{unit.payload.hex()};{int(bool(unit.damage))}")}


PARSERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "stream": _stream,
    "header": _header,
    "timing": _timing,
    "metadata": _metadata,
    "tracks": _tracks,
    "fitted": fitted,
    "summary": _summary,
    "standard": _standard,
    "varint": _varint,
    "units": _units,
}
