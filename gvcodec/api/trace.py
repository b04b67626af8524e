"""Every field of every packet, in file order: `gvcodec info --trace`.

One dictionary a structure; numbers as they are coded, bytes in hexadecimal digits. Where the model
of a base or of latent tokens is here, frames have their integers too (`Symbols`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from gvcodec import layers
from gvcodec.base.gvc1d.decoder import Decoded, Gvc1dDecoder
from gvcodec.bitstream import Kind, Packet, SequenceHeader
from gvcodec.bitstream.bundles import Unbundler
from gvcodec.bitstream.header import NEEDS, PROFILES
from gvcodec.bitstream.metadata_obu import parse_obus
from gvcodec.bitstream.packets import read_packet
from gvcodec.bitstream.varint import Cursor
from gvcodec.container.opening import Source, open_source
from gvcodec.errors import DamagedStreamError, LimitError, WrongModelError
from gvcodec.gvc1d.codec import LatentReader, open_entropy_model
from gvcodec.gvc1d.files import find_pair
from gvcodec.gvc1d.payload import Latent, read_head
from gvcodec.limits import DEFAULT, check
from gvcodec.media.metadata import Metadata
from gvcodec.media.tracks import TrackReader
from gvcodec.models import find_model
from gvcodec.painter.model import Model
from gvcodec.painter.payload import read, split_strength
from gvcodec.retrieval.summary import Summary
from gvcodec.util.file_io import name_of

Fields = dict[str, Any]


class Symbols:
    """Integers in frame packets and latent tokens, by the names of docs/spec: what conformance
    files hold, too. Takes frame and `latent` packets (unbundled) in the order of a stream. Where a
    model is missing, or pictures need more memory than is usual, integers are left out. Raises
    `DamagedStreamError`.

    `base`: for each frame what its packet of base gvc1d holds. `tokens`: for each frame its latent
    tokens or None. Both are in display order."""

    def __init__(self, header: SequenceHeader, models: Sequence[str | Path] = ()) -> None:
        self._decoder: Gvc1dDecoder | None = None
        self._reader: LatentReader | None = None
        try:
            check(header, header.enhanced, DEFAULT)
            if header.base == "gvc1d":
                self._decoder = cast(Gvc1dDecoder, layers.open_decoder(header, 1, models))
            if header.gvc1d_id is not None:
                pair = find_pair(header.gvc1d_id, models)
                self._reader = LatentReader(open_entropy_model(header.format, True, pair))
        except (WrongModelError, LimitError):
            pass
        self._waiting: bytes | None = None
        self.base: list[Decoded] = []
        self.tokens: list[Latent | None] = []

    def send(self, packet: Packet) -> None:
        """Take the next packet; others than frames and tokens are passed over."""
        if packet.kind is Kind.LATENT:
            self._waiting = packet.payload
        if not packet.is_frame:
            return
        key = packet.kind is Kind.KEY
        if self._decoder is not None:
            self._decoder.send(packet.payload, key)
            assert self._decoder.latest is not None
            self.base.append(self._decoder.latest)
        if self._reader is not None:
            self.tokens.append(self._latent(self._reader, key))

    def _latent(self, reader: LatentReader, key: bool) -> Latent | None:
        payload, self._waiting = self._waiting, None
        if key:
            reader.start_gop()
        return None if payload is None else reader.read(payload)

    @property
    def has_base(self) -> bool:
        """Whether the base has integers that can be read here."""
        return self._decoder is not None

    @property
    def has_tokens(self) -> bool:
        """Whether there may be tokens, and they can be read here."""
        return self._reader is not None


def base_fields(found: Decoded, digest: bool) -> Fields:
    """Of one frame. `digest`: hashes of long lists of numbers instead of them."""
    vectors = found.known.vectors
    moved = None if vectors is None else vectors.reshape(-1, 2)
    return {
        "q": found.q,
        "reference": found.reference,
        "remember": int(found.remember),
        "vectors": moved
        if moved is None
        else (hash_of(moved, "<i2") if digest else moved.tolist()),
        "levels": found.levels.tolist(),
        "values": hash_of(found.values, "<i4") if digest else _ends(found.values),
    }


def token_fields(found: Latent | None, digest: bool) -> Fields | None:
    """Of the tokens of one frame."""
    if found is None:
        return None
    values = found.values.reshape(len(found.values), -1)
    return {
        "rate": found.rate,
        "run": found.run,
        "counts": found.counts.tolist(),
        "values": hash_of(values, "<i2") if digest else _ends(values),
    }


def hash_of(values: NDArray[Any], kind: str) -> str:
    """First 8 bytes of the SHA-256 of numbers in file order, hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(values).astype(kind).tobytes()).hexdigest()[:16]


def _ends(rows: NDArray[Any]) -> list[list[int]]:
    """Rows of numbers up to the last that is not 0."""
    return [row[: 1 + max(np.flatnonzero(row), default=-1)].tolist() for row in rows]


def trace(source: Source, models: Sequence[str | Path] = ()) -> Iterator[Fields]:
    """The header, then each packet of a stream; `models`: files and folders to look for its models
    in before the usual places. Raises `DamagedStreamError` at damage, after the packets before
    it."""
    with open_source(source) as stream:
        try:
            yield from _Trace(stream, models).structures()
        except DamagedStreamError as error:
            raise DamagedStreamError(f"{name_of(source)}: {error}") from error


def header_fields(header: SequenceHeader) -> Fields:
    """Fields of a header, as docs/spec/conformance.md names them."""
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
        "q": header.q,
        "profile": header.profile,
        "level": header.level,
        "bundled": header.bundled,
        "painter_id": header.painter_id.hex() if header.painter_id else None,
    }


def _ratio(value: Any) -> str:
    return f"{value.numerator}/{value.denominator}"


@dataclass(slots=True)
class _Gop:
    frames: int = 0
    summary: bytes | None = None
    found: list[Fields] = field(default_factory=list)


class _Trace:
    """Reads front to back; a `summary` needs the number of frames of its GOP, so structures are
    given out GOP by GOP."""

    def __init__(self, stream: BinaryIO, models: Sequence[str | Path]) -> None:
        self._stream, self._models = stream, models
        self._header, self._offset = SequenceHeader.read(stream)
        self._unbundler = Unbundler() if self._header.bundled else None
        self._tracks: TrackReader | None = None
        self._symbols = Symbols(self._header, models)

    def structures(self) -> Iterator[Fields]:
        header = self._header
        ids = {"base_model_id": header.base_model_id, "gvc1d_id": header.gvc1d_id}
        yield {
            "offset": 0,
            "structure": "header",
            "bytes": self._offset,
            **header_fields(header),
            "profile_name": PROFILES[header.profile],
            "needed": _dotted(NEEDS),
            **{name: value.hex() if value else None for name, value in ids.items()},
        }
        gop = _Gop()
        while True:
            try:
                packet, data = read_packet(self._stream)
                entry = self._entry(packet, data, gop)
            except DamagedStreamError:
                yield from gop.found  # what stands before
                raise
            gop.found.append(entry)
            if packet.kind in (Kind.GOP, Kind.END):
                self._add_vectors(gop)
                yield from gop.found
                gop = _Gop()
            if packet.kind is Kind.END:
                return

    def _entry(self, packet: Packet, data: bytes, gop: _Gop) -> Fields:
        entry = {
            "offset": self._offset,
            "structure": packet.kind.name.lower(),
            "type": packet.type,
            "bytes": len(data),
            "crc16": data[-2:].hex(),
        }
        self._offset += len(data)
        if packet.type is None:
            del entry["type"]
        return entry | self._fields(packet, gop)

    @staticmethod
    def _add_vectors(gop: _Gop) -> None:
        if gop.summary is not None and Summary.is_known(gop.summary):
            summary = Summary.unpack(gop.summary, gop.frames)
            where = next(e for e in gop.found if e["structure"] == "summary")
            where |= {"stride": summary.stride, "vectors": summary.vectors.tolist()}

    def _fields(self, packet: Packet, gop: _Gop) -> Fields:
        read = {
            Kind.GOP: self._gop,
            Kind.INDEX: self._index,
            Kind.END: self._end,
            Kind.TIMING: self._timing,
            Kind.METADATA: self._metadata,
            Kind.TRACKS: self._track_packets,
            Kind.FIT: self._fit,
            Kind.LATENT: self._latent,
        }.get(packet.kind)
        if packet.is_frame:
            return {"frames": self._frames(packet, gop)}
        if packet.kind is Kind.SUMMARY:
            gop.summary = packet.payload
            return {"embedder": packet.payload[1:9].hex()}
        return {"payload": _shown(packet.payload)} if read is None else read(packet.payload)

    def _frames(self, packet: Packet, gop: _Gop) -> list[Fields]:
        parts = [packet] if self._unbundler is None else self._unbundler.send(packet)
        gop.frames += len(parts)
        return [_frame(part.payload, self._header.base) | self._integers(part) for part in parts]

    def _integers(self, packet: Packet) -> Fields:
        """`symbols`: of base gvc1d, `tokens`: latent ones."""
        symbols = self._symbols
        symbols.send(packet)
        found: Fields = {}
        if symbols.has_base:
            found["symbols"] = base_fields(symbols.base[-1], digest=False)
        if symbols.has_tokens:
            found["tokens"] = token_fields(symbols.tokens[-1], digest=False)
        return found

    def _gop(self, payload: bytes) -> Fields:
        cursor = Cursor(payload, "gop")
        return {
            "crc32": cursor.take(4)[::-1].hex(),
            "frames": cursor.var() if len(cursor) else None,
        }

    def _index(self, payload: bytes) -> Fields:
        cursor = Cursor(payload, "index")
        frames, count = cursor.var(), cursor.var()
        entries = []
        while len(cursor):
            entries.append([cursor.var(), cursor.var(), cursor.uint(1)])
        return {"frames": frames, "gops": count, "entries": entries}

    def _end(self, payload: bytes) -> Fields:
        return {"base_hash": payload[:8].hex(), "distance": int.from_bytes(payload[8:], "little")}

    def _timing(self, payload: bytes) -> Fields:
        cursor, entries = Cursor(payload, "timing"), []
        while len(cursor):
            entry = {"skip": cursor.var(), "late": cursor.svar()}
            if entry["late"] == 0:
                entry |= {"frame": cursor.var(), "time": cursor.svar()}
            entries.append(entry)
        return {"entries": entries}

    def _metadata(self, payload: bytes) -> Fields:
        cursor, found = Cursor(payload, "metadata"), []
        while len(cursor):
            found.append([cursor.uint(1), _shown(cursor.take(cursor.var()))])
        return {"fields": found, **metadata_fields(Metadata.unpack(payload))}

    def _track_packets(self, payload: bytes) -> Fields:
        found: Fields = {}
        if self._tracks is None:
            self._tracks = TrackReader(payload)
            found["tracks"] = track_fields(self._tracks)
        else:
            self._tracks.send(payload)
        found["packets"] = [
            [packet.track, *packet_fields(packet)] for packet in self._tracks.waiting
        ]
        self._tracks.waiting.clear()
        return found

    def _fit(self, payload: bytes) -> Fields:
        rest, strength = split_strength(payload)
        found: Fields = {"noise": strength.noise, "keep": strength.keep, "kind": rest[0]}
        return found | {"deltas": fit_deltas(self._header, payload, self._models)}

    def _latent(self, payload: bytes) -> Fields:
        rate, count = read_head(payload)
        self._symbols.send(Packet(Kind.LATENT, payload))
        return {"rate": rate, "tokens": count, "payload": _shown(payload)}


def metadata_fields(found: Metadata) -> Fields:
    """As docs/spec/conformance.md has them."""
    return {
        "title": found.title,
        "chapters": [[c.begin, c.end - c.begin, c.title] for c in found.chapters],
        "mastering": list(found.mastering) if found.mastering else None,
        "light": list(found.light) if found.light else None,
        "tags": [list(tag) for tag in found.tags],
        "start": found.source_start,
    }


def track_fields(reader: TrackReader) -> list[Fields]:
    """What a stream says of its tracks."""
    return [
        {
            "tick": _ratio(track.tick),
            "flags": track.flags,
            "language": track.language,
            "title": track.title,
            "head": hashlib.sha256(track.head).hexdigest(),
        }
        for track in reader.tracks
    ]


def packet_fields(packet: Any) -> list[Any]:
    """Of a packet of a track."""
    digest = hashlib.sha256(packet.data).hexdigest()
    return [packet.pts, packet.duration, *packet.hidden, packet.key, digest]


def fit_deltas(header: SequenceHeader, payload: bytes, models: Sequence[str | Path] = ()) -> Any:
    """Deltas of a `fit` payload by tensor; "identity", or None where the painter is missing."""
    if header.painter_id is None:
        return None
    try:
        path = find_model(header.painter_id, "painter", models)
    except WrongModelError:
        return None
    deltas = read(payload, Model.load(path).sizes())
    if deltas is None:
        return "identity"
    return {delta.name: [delta.exponent, delta.values.tolist()] for delta in deltas}


def _frame(payload: bytes, base: str) -> Fields:
    found: Fields = {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    if base == "av1" and payload:
        found["obus"] = [[kind, len(body)] for kind, _, body in parse_obus(payload)]
    return found


def _shown(data: bytes) -> str:
    """Hexadecimal digits, of long data its beginning."""
    return data.hex() if len(data) <= _MOST_SHOWN else f"{data[:_MOST_SHOWN].hex()}…"


_MOST_SHOWN = 4096


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
