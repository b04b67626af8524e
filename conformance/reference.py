"""gvcodec as a decoder to be judged: `python -m conformance "python -m conformance.reference"`."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import read_fit
from gvcodec.base import open_decoder
from gvcodec.base.standard.captions import captions_in
from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
from gvcodec.bitstream.attachments import AttachmentReader
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import (
    DamagedStreamError,
    GvcodecError,
    LimitError,
    WrongModelError,
)
from gvcodec.gvc1d.base_codec import Gvc1dDecoder
from gvcodec.limits import DEFAULT, check
from gvcodec.models import find_model
from gvcodec.opening import open_source
from gvcodec.painter.model import Model, Strength
from gvcodec.painter.payload import BASE, split_extras
from gvcodec.painter.token_coding import unpack, values_of
from gvcodec.painter.unpainted_regions import unpack_regions
from gvcodec.retrieval.summary import VERSION, Summary
from gvcodec.tracks.packets import TrackReader
from gvcodec.types import Planes

MODELS = Path(__file__).parent / "models"


def answer(data: bytes) -> dict[str, Any]:
    """The answer of docs/spec/conformance.md for a stream or a file that holds one. Raises
    `GvcodecError`."""
    with open_source(data) as stream:
        data = stream.read()
    reader = Reader(io.BytesIO(data))
    gops = reader.gops()
    fields: dict[str, Any] = {"metadata": None, "tracks": []}
    tracks: TrackReader | None = None
    captions: list[str] = []
    attached = AttachmentReader()
    for packet in attached.watch(reader.packets()):
        if packet.is_frame and reader.header.base == "av1":
            captions.append(captions_in(packet.payload).hex())
        if packet.kind is Kind.METADATA and packet.payload and fields["metadata"] is None:
            fields["metadata"] = _metadata(Metadata.unpack(packet.payload))
        elif packet.kind is Kind.TRACKS and tracks is None:
            tracks = TrackReader(packet.payload)
            fields["tracks"] = _tracks(tracks)
        elif packet.kind is Kind.TRACKS and tracks is not None:
            tracks.send(packet.payload)
        while tracks is not None and tracks.waiting:
            copied = tracks.waiting.popleft()
            packet_fields = [
                copied.pts,
                copied.duration,
                *copied.hidden,
                copied.key,
                _sha256(copied.data),
            ]
            fields["tracks"][copied.track]["packets"].append(packet_fields)
    if any(captions):
        fields["captions"] = captions
    if complete := attached.finish():
        fields["attachments"] = [
            [a.name, a.media_type, a.is_cover, len(a.data), _sha256(a.data)] for a in complete
        ]
    assert reader.base_hash is not None
    fields["container"] = {
        **_header(reader.header),
        "gops": [[gop.frames, gop.size] for gop in gops],
        "base_hash": reader.base_hash.hex(),
    }
    in_force: Any = None
    fields["summary"], fields["fit"] = [], []
    for gop in gops:
        packets = list(reader.packets_of(gop))
        summary = next((p.payload for p in packets if p.kind is Kind.SUMMARY), b"")
        is_known = summary[:1] == bytes([VERSION])
        fields["summary"].append(
            Summary.unpack(summary, gop.frames).vectors.tolist() if is_known else None
        )
        fit = next((p.payload for p in reversed(packets) if p.kind is Kind.FIT), None)
        in_force = in_force if fit is None else _weights(reader, fit)
        fields["fit"].append(in_force)
    return fields | _frames(data) | _symbols(data)


def frames_of_damaged(data: bytes) -> dict[str, Any]:
    """The columns `base` and `painted` of a damaged one-file. Raises `GvcodecError`."""
    with open_source(data) as stream:
        return _frames(stream.read(), has_hash=False)


def _weights(reader: Reader, payload: bytes) -> Any:
    if payload == BASE or reader.header.painter_id is None:
        return None
    _, beside = split_extras(payload)
    try:
        path = find_model(reader.header.painter_id, "painter", [MODELS])
    except WrongModelError:
        return {**_strength(beside.strength), "deltas": None}
    model = Model.load(path)
    size = reader.header.format.height, reader.header.format.width
    contents = read_fit(payload, path.read_bytes(), size[1], size[0], reader.header.base_q)
    if contents is None:
        return "identity"
    by_name = {name: [exponent, values] for name, exponent, values in contents[3]}
    fields = {**_strength(beside.strength), "deltas": by_name}
    tokens = [] if beside.tokens is None else _steering(reader.header, model, beside.tokens)
    if any(tokens):
        fields["tokens"] = tokens
    if beside.unpainted_regions is not None:
        fields["unpainted"] = unpack_regions(beside.unpainted_regions, *size).astype(int).tolist()
    return fields


def _steering(header: SequenceHeader, model: Model, coded: bytes) -> list[list[int]]:
    """For each window its integers that are coded."""
    if model.tokens is None:
        raise DamagedStreamError("tokens for a painter that none can steer")
    size = header.format.height, header.format.width
    tokens = unpack(coded, model.tokens, header.base_q, *size)
    layout, values = values_of(tokens)
    columns = tokens.kinds.shape[1]
    windows = (layout.row >> layout.kind) * columns + (layout.column >> layout.kind)
    return [values[windows == n].ravel().tolist() for n in range(tokens.kinds.size)]


def _strength(strength: Strength) -> dict[str, Any]:
    factors = (
        {"factors": [*strength.gains, *strength.amplitudes]}
        if strength.has_strength_factors
        else {}
    )
    return {"noise": strength.noise, "keep": strength.keep, **factors}


def _header(header: SequenceHeader) -> dict[str, Any]:
    fmt, colour = header.format, header.format.colour
    return {
        "width": fmt.width,
        "height": fmt.height,
        "frame_rate": _ratio(fmt.frame_rate),
        "time_base": _ratio(fmt.time_base),
        "start": header.start_pts,
        "bit_depth": fmt.bit_depth,
        "primaries": colour.primaries,
        "transfer": colour.transfer,
        "matrix": colour.matrix,
        "full_range": colour.full_range,
        "chroma_location": colour.chroma_location,
        "sar": _ratio(fmt.sar),
        "base": header.base,
        "scale": str(header.scale),
        "q": header.base_q,
        "profile": header.profile,
        "level": header.level,
        "bundled": header.is_bundled,
        "painter_id": header.painter_id.hex() if header.painter_id else None,
    }


def _ratio(value: Any) -> str:
    return f"{value.numerator}/{value.denominator}"


def _metadata(metadata: Metadata) -> dict[str, Any]:
    names = {"names": [list(name) for name in metadata.names]} if metadata.names else {}
    return {
        "title": metadata.title,
        "chapters": [[c.begin, c.end - c.begin, c.title] for c in metadata.chapters],
        "mastering": list(metadata.mastering) if metadata.mastering else None,
        "light": list(metadata.light) if metadata.light else None,
        "tags": [list(tag) for tag in metadata.tags],
        "start": metadata.source_start,
        **names,
    }


def _tracks(reader: TrackReader) -> list[dict[str, Any]]:
    return [
        {
            "tick": _ratio(track.tick),
            "flags": track.flags,
            "language": track.language,
            "title": track.title,
            "head": _sha256(track.head),
            "packets": [],
        }
        for track in reader.tracks
    ]


def _frames(data: bytes, has_hash: bool = True) -> dict[str, Any]:
    reader = Reader(io.BytesIO(data))
    decoder = Decoder(reader.header, threads=1, models=[MODELS])
    base, painted, times = [], [], []
    for frame in decoder.frames_of(reader.packets()):
        base.append(_digest(frame.base_frame))
        painted.append(_digest(frame.planes))
        times.append(frame.pts)
    times.append(decoder.receive_end())
    decoder.verify(reader.base_hash if has_hash else None)
    fields: dict[str, Any] = {"times": times, "base": base}
    return fields | ({"painted": painted} if reader.header.painter_id else {})


def _symbols(data: bytes) -> dict[str, Any]:
    """Integers of frame packets of base gvc1d; none if its model is missing, or pictures need
    more memory than is usual."""
    reader = Reader(io.BytesIO(data))
    header, fields = reader.header, dict[str, Any]()
    decoder: Gvc1dDecoder | None = None
    try:
        check(header, header.is_painted, DEFAULT)
        if header.base == "gvc1d":
            decoder = cast(Any, open_decoder(header, 1, [MODELS]))
    except (WrongModelError, LimitError):
        pass
    if decoder is not None:
        fields["symbols"] = [_base_symbols(decoder, p) for p in reader.packets() if p.is_frame]
    return fields


def _base_symbols(decoder: Gvc1dDecoder, packet: Packet) -> dict[str, Any]:
    decoder.send(packet.payload, packet.kind is Kind.KEY)
    frame = decoder.latest
    assert frame is not None
    tokens = _hash_of(frame.tokens, "<i2")
    return {"rate": frame.rate, "lengths": frame.lengths.tolist(), "tokens": tokens}


def _hash_of(values: NDArray[Any], kind: str) -> str:
    """Hash of numbers in file order."""
    return _sha256(np.ascontiguousarray(values).astype(kind).tobytes())[:16]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest(planes: Planes) -> str:
    digest = hashlib.sha256()
    for plane in planes:
        digest.update(plane.astype("<u2").tobytes())
    return digest.digest()[:8].hex()


def main(path: str) -> int:
    try:
        print(json.dumps(answer(Path(path).read_bytes())))
    except GvcodecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1]))
