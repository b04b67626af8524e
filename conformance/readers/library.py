"""Answers of libgvc, through `gvcodec._core`; FFmpeg decodes AV1."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np

from conformance.readers.answers import Answer, digest, digest_of_parts
from conformance.readers.inputs import MODELS, REPOSITORY, Input, pieces
from conformance.readers.python import FORMAT, fitted, frame_digest
from gvcodec import _core
from gvcodec.base.standard.decoders import decode_unit, open_decoder
from gvcodec.base.standard.payloads import packet_of
from gvcodec.bitstream import SequenceHeader
from gvcodec.bitstream.varint import encode_var
from gvcodec.errors import (
    DamagedStreamError,
    FormatVersionError,
    GvcodecError,
    LimitError,
    UsageError,
    VerificationError,
    WrongModelError,
)

_VERDICTS = {
    DamagedStreamError: "damaged",
    FormatVersionError: "newer",
    LimitError: "limit",
    VerificationError: "other hash",
    WrongModelError: "no model",
    UsageError: "unsupported",
}
_OK, _AGAIN, _END = 0, 1, 2
#: Bytes of a piece: prime, so that packets are cut everywhere.
_PIECE = 997
_SCALES = ("1", "3/4", "1/2")
_BASES = {1: "av1", 3: "vvc", 7: "gvc1d"}


def answer(source: Input) -> Answer | None:
    """None of inputs that the library has no parser for."""
    if source.parser not in PARSERS:
        return None
    parse = _one_file if source.name.endswith((".mkv", ".mp4")) else PARSERS[source.parser]
    try:
        fields = parse(source.data)
    except GvcodecError as error:
        return {"verdict": next(v for kind, v in _VERDICTS.items() if isinstance(error, kind))}
    return None if fields is None else {"verdict": "accepted", **fields}


class Host:
    """Drives a decoder of the library as a player would. `at`: where each piece comes from."""

    def __init__(self, data: bytes, base_only: bool = False) -> None:
        self.data = data
        self.decoder = _core.StreamDecoder(base_only, True, 1, len(data))
        self.base: list[str] = []
        self.painted: list[str] = []
        self.times: list[int] = []
        self.payloads: list[bytes] = []
        self._av1: Any = None

    def run(self) -> int:
        """Frames up to the end; the code of the hashes. Raises `GvcodecError`."""
        while True:
            code, unit, _frame, _key = self.decoder.next_unit()
            if code == _AGAIN:
                self._send()
            elif code == _OK:
                self._open()
                self.payloads.append(_payload_of(unit))
                self._give(packet_of(unit))
            else:
                break
        if self._av1 is not None:
            self._give(None)
        return self.decoder.hashes()[0]

    def _send(self) -> None:
        at = self.decoder.offset()
        piece = self.data[at : at + _PIECE]
        if piece:
            self.decoder.send(piece)
        else:
            self.decoder.flush()

    def _open(self) -> None:
        if self._av1 is None:
            size = self.decoder.size()
            assert size is not None
            self._size = size[2:4]
            self._av1 = open_decoder("av1", *self._size, threads=1)
            if (identity := self.decoder.missing_model()) is not None:
                self.decoder.set_model(model_of(identity))

    def _give(self, packet: av.Packet | None) -> None:
        for frame in decode_unit(self._av1, packet):
            planes = _planes(frame)
            self.decoder.send_base(*planes)
            y, u, v, _number, pts, _painted = self.decoder.picture()
            self.painted.append(digest(frame_digest((y, u, v))))
            self.times.append(pts)


class UnitHost(Host):
    """Drives a decoder by the units of a one-file."""

    def __init__(self, data: bytes, base_only: bool = False) -> None:
        super().__init__(b"", base_only)
        with av.open(io.BytesIO(data)) as container:
            packets = container.demux(video=0)
            self._units = [bytes(packet) for packet in packets if packet.size]

    def _send(self) -> None:
        if self._units:
            assert self.decoder.send_unit(self._units.pop(0)) == _OK
        else:
            self.decoder.flush()


def model_of(identity: bytes) -> bytes:
    """Raises `WrongModelError`."""
    import hashlib

    for folder in (MODELS, REPOSITORY / "checkpoints"):
        for path in sorted(folder.glob("*.safetensors")):
            if hashlib.sha256(data := path.read_bytes()).digest()[:8] == identity:
                return data
    raise WrongModelError("a painter is missing")


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Planes of 10 bits."""
    formats = {"yuv420p": 8, "yuv420p10le": 10}
    if frame.format.name not in formats:
        raise DamagedStreamError("the base layer is no 4:2:0 of 8 or 10 bits")
    planes = []
    for plane in frame.planes:
        bytes_ = 1 if formats[frame.format.name] == 8 else 2
        lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        row = np.ascontiguousarray(lines[:, : bytes_ * plane.width])
        planes.append(row.astype(np.uint16) << 2 if bytes_ == 1 else row.view(np.uint16))
    return planes


def _payload_of(unit: bytes) -> bytes:
    """The payload that a temporal unit was made of, where its last OBU had no size."""
    obus = _core.parse_obus(unit)[1:]
    parts = [head + encode_var(len(body)) + body for _, head, body in obus]
    _, head, body = obus[-1]
    return b"".join(parts[:-1]) + bytes([head[0] & ~2]) + head[1:] + body


def _stream(data: bytes) -> dict[str, Any] | None:
    try:
        host = Host(data)
        host.run()
    except WrongModelError:
        host = Host(data, base_only=True)
        host.run()
    base_host = Host(data, base_only=True)
    base_host.run()
    _, size = SequenceHeader.read(io.BytesIO(data))
    fields = {
        "header": digest(header_text(_core.header_fields(data[:size]))),
        "payloads": digest_of_parts(host.payloads),
        "times": digest(" ".join(map(str, [*host.times, host.decoder.hashes()[2]]))),
        "frames": len(host.painted),
        "base": digest(" ".join(base_host.painted)),
    }
    if host.decoder.hashes()[4] is not None:
        fields["painted"] = digest(" ".join(host.painted))
    return fields


def _one_file(data: bytes) -> dict[str, Any]:
    host, base_host = UnitHost(data), UnitHost(data, base_only=True)
    host.run()
    base_host.run()
    return {
        "payloads": digest_of_parts(host.payloads),
        "frames": len(host.painted),
        "base": digest(" ".join(base_host.painted)),
        "painted": digest(" ".join(host.painted)),
    }


def header_text(fields: dict[str, Any]) -> str:
    """See `python.header_text`."""
    names = ("primaries", "transfer", "matrix", "full_range", "chroma_location")
    ratios = {name: Fraction(*fields[name]).as_integer_ratio() for name in ("rate", "tick", "sar")}
    numbers = (fields["width"], fields["height"], *ratios["rate"], *ratios["tick"])
    numbers += (fields["start"], fields["bits"], *(int(fields[name]) for name in names))
    numbers += ratios["sar"]
    rest = (_BASES[fields["base"]], _SCALES[fields["scale"]], fields["q"], int(fields["bundled"]))
    ids = [
        fields[name].hex() if fields[name] else "-" for name in ("base_model", "painter", "gvc1d")
    ]
    return " ".join(map(str, (*numbers, *rest, *ids)))


def _header(data: bytes) -> dict[str, Any]:
    head = b"\x89GVC\1\1" + encode_var(len(data)) + data
    sealed = head + zlib.crc32(head).to_bytes(4, "little")
    return {"digest": digest(header_text(_core.header_fields(sealed)))}


def _timing(data: bytes) -> dict[str, Any]:
    rate, tick = FORMAT.frame_rate.as_integer_ratio(), FORMAT.time_base.as_integer_ratio()
    timeline = _core.Timeline(7, rate, tick, 1 << 32)
    for payload in pieces(data):
        timeline.send(payload)
    times = [timeline.receive() for _ in range(12)]
    return {"digest": digest(" ".join(map(str, times)))}


def _standard(data: bytes) -> dict[str, Any] | None:
    if len(data) < 2:
        return {"digest": digest("")}
    if data[0] % 2:
        return None
    _core.check_av1(data[2:])
    return {"digest": digest(_core.restore_av1(data[2:]))}


def _varint(data: bytes) -> dict[str, Any]:
    numbers = _core.numbers_of(data)
    text = "".join(f"{n.hex() if isinstance(n, bytes) else n} " for n in numbers)
    return {"digest": digest(text)}


def _units(data: bytes) -> dict[str, Any]:
    def listed(entries: list[tuple[int, bytes]]) -> str:
        return ",".join(f"{what}:{inside.hex()}" for what, inside in entries)

    text = ""
    for piece in pieces(data):
        inside = b"\x89GVC\1" + piece
        body = b"\x16" + inside + zlib.crc32(inside).to_bytes(4, "little") + b"\x80"
        try:
            text += listed(_core.metadata_entries(body)) + ";"
        except DamagedStreamError:
            text += "damaged;"
    payload, entries, damage = _core.unit_parts(data)
    return {"digest": digest(f"{text}{listed(entries)};{payload.hex()};{int(bool(damage))}")}


PARSERS: dict[str, Callable[[bytes], dict[str, Any] | None]] = {
    "stream": _stream,
    "header": _header,
    "timing": _timing,
    "fitted": fitted,
    "standard": _standard,
    "varint": _varint,
    "units": _units,
}
