"""gvcodec as a decoder to be judged: `python -m conformance "python -m conformance.reference"`."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from gvcodec.api.trace import (
    Symbols,
    base_fields,
    fit_deltas,
    header_fields,
    metadata_fields,
    packet_fields,
    token_fields,
    track_fields,
)
from gvcodec.bitstream import Kind, Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.container.opening import open_source
from gvcodec.errors import GvcodecError
from gvcodec.media.metadata import Metadata
from gvcodec.media.tracks import TrackReader
from gvcodec.painter.payload import BASE, split_strength
from gvcodec.retrieval.summary import Summary
from gvcodec.types import Planes

MODELS = Path(__file__).parent / "models"


def answer(data: bytes) -> dict[str, Any]:
    """What docs/spec/conformance.md asks for, of a stream or of a file that holds one. Raises
    `GvcodecError`."""
    with open_source(data) as stream:
        data = stream.read()
    reader = Reader(io.BytesIO(data))
    gops = reader.gops()
    found: dict[str, Any] = {"metadata": None, "tracks": []}
    tracks: TrackReader | None = None
    for packet in reader.packets():
        if packet.kind is Kind.METADATA and packet.payload and found["metadata"] is None:
            found["metadata"] = metadata_fields(Metadata.unpack(packet.payload))
        elif packet.kind is Kind.TRACKS and tracks is None:
            tracks = TrackReader(packet.payload)
            found["tracks"] = [{**fields, "packets": []} for fields in track_fields(tracks)]
        elif packet.kind is Kind.TRACKS and tracks is not None:
            tracks.send(packet.payload)
        while tracks is not None and tracks.waiting:
            one = tracks.waiting.popleft()
            found["tracks"][one.track]["packets"].append(packet_fields(one))
    assert reader.base_hash is not None
    found["container"] = {
        **header_fields(reader.header),
        "gops": [[gop.frames, gop.size] for gop in gops],
        "base_hash": reader.base_hash.hex(),
    }
    in_force: Any = None
    found["summary"], found["fit"] = [], []
    for gop in gops:
        packets = list(reader.packets_of(gop))
        summary = next((p.payload for p in packets if p.kind is Kind.SUMMARY), b"")
        known = Summary.is_known(summary)
        found["summary"].append(
            Summary.unpack(summary, gop.frames).vectors.tolist() if known else None
        )
        fit = next((p.payload for p in reversed(packets) if p.kind is Kind.FIT), None)
        in_force = in_force if fit is None else _weights(reader, fit)
        found["fit"].append(in_force)
    return found | _frames(data) | _symbols(data)


def _weights(reader: Reader, payload: bytes) -> Any:
    if payload == BASE or reader.header.painter_id is None:
        return None
    _, strength = split_strength(payload)
    deltas = fit_deltas(reader.header, payload, [MODELS])
    if deltas == "identity":
        return deltas
    return {"noise": strength.noise, "keep": strength.keep, "deltas": deltas}


def _frames(data: bytes) -> dict[str, Any]:
    reader = Reader(io.BytesIO(data))
    header = dataclasses.replace(reader.header, gvc1d_id=None)
    decoder = Decoder(header, header.base == "gvc1d", threads=1, models=[MODELS])
    base, painted, times = [], [], []
    packets = (packet for packet in reader.packets() if packet.kind is not Kind.LATENT)
    for frame in decoder.frames_of(packets):
        base.append(_digest(frame.base_frame))
        painted.append(_digest(frame.planes))
        times.append(frame.pts)
    times.append(decoder.receive_end())
    decoder.verify(reader.base_hash)
    found: dict[str, Any] = {"times": times, "base": base}
    return found | ({"painted": painted} if reader.header.painter_id else {})


def _symbols(data: bytes) -> dict[str, Any]:
    """Integers of frame packets and tokens, and what is restored from these."""
    reader = Reader(io.BytesIO(data))
    symbols, found = Symbols(reader.header, [MODELS]), dict[str, Any]()
    for packet in reader.packets():
        symbols.send(packet)
    if symbols.has_base:
        found["symbols"] = [base_fields(one, digest=True) for one in symbols.base]
    if symbols.has_tokens:
        found["tokens"] = [token_fields(one, digest=True) for one in symbols.tokens]
        found["restored"] = _restored(data)
    return found


def _restored(data: bytes) -> list[str | None]:
    """Samples of each frame that is not as it was painted, base64."""
    reader, plain = Reader(io.BytesIO(data)), Reader(io.BytesIO(data))
    header = dataclasses.replace(plain.header, gvc1d_id=None)
    decoders = (
        Decoder(reader.header, threads=1, models=[MODELS]),
        Decoder(header, threads=1, models=[MODELS]),
    )
    shown = decoders[0].frames_of(reader.packets())
    packets = (packet for packet in plain.packets() if packet.kind is not Kind.LATENT)
    found: list[str | None] = []
    for one, other in zip(shown, decoders[1].frames_of(packets), strict=True):
        same = all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))
        whole = b"".join(plane.astype("<u2").tobytes() for plane in one.planes)
        found.append(None if same else base64.b64encode(whole).decode())
    return found


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
