"""A whole file: the answer of Conformance, as one dictionary."""

from __future__ import annotations

import hashlib
from typing import Any

from conformance.decoder.attachments import Attachments
from conformance.decoder.bases import Base, Planes, captions
from conformance.decoder.bundles import Unbundler
from conformance.decoder.container import Gop, Packet, Stream, read_stream
from conformance.decoder.fit import Fit, fitted, read_fit
from conformance.decoder.header import MAGIC
from conformance.decoder.models import (
    BASE,
    PAINTER,
    check_models,
    model_file,
    painter,
)
from conformance.decoder.network import NetworkBase
from conformance.decoder.one_file import stream_of
from conformance.decoder.painter import Painter
from conformance.decoder.region_tokens import base_shown, network_of
from conformance.decoder.tracks import Timeline, Tracks, read_metadata, read_summary
from conformance.decoder.wire import Newer, OtherHash


class Hash:
    """Hash of all frames and of each (Container: Hashes)."""

    def __init__(self, of: str) -> None:
        self._of, self._all, self.each = of, hashlib.sha256(), []

    def add(self, frames: list[Planes], counted: list[bytes] | None = None) -> None:
        """`counted`: bytes that the hash of all takes ahead of each frame's samples."""
        for n, frame in enumerate(frames):
            data = b"".join(plane.astype("<u2").tobytes() for plane in frame)
            self._all.update(counted[n] if counted else b"")
            self._all.update(data)
            self.each.append(hashlib.sha256(data).hexdigest()[:16])

    def digest(self) -> bytes:
        return self._all.digest()[:8]

    def check(self, expected: bytes | None) -> None:
        if expected is not None and self.digest() != expected:
            raise OtherHash(f"another hash of the {self._of} frames")


class Decoder:
    """Frames of a stream, and their metadata, times and tracks."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.header = stream, stream.header
        check_models(stream)
        self.timeline, self.tracks = Timeline(self.header), Tracks()
        self.attachments = Attachments()
        self.times: list[int] = []
        self.metadata: dict[str, Any] | None = None
        self.base = self._open_base()
        identity = self.header.painter_id
        self.painter = painter(self._model(PAINTER, identity)) if identity else None
        network_of(self.painter or {})
        self.unbundler = Unbundler() if self.header.bundled else None

    def _model(self, role: int, identity: str) -> bytes:
        data = model_file(self.stream, role, identity)
        if data is None:
            raise Newer(f"model {identity} is not here")
        return data

    def _open_base(self) -> Base | NetworkBase:
        if self.header.base == "gvc1d":
            data = self._model(BASE, self.header.base_id or "")
            return NetworkBase(self.header, data)
        return Base(self.header)

    def payloads(self, gop: Gop) -> list[bytes]:
        """Payloads of the frames of a GOP, in decode order; packets between them are read."""
        payloads: list[bytes] = []
        in_order = self.header.base != "vvc"
        for packet in gop.packets:
            if packet.name == "timing":
                self.timeline.send(packet.payload)
            elif packet.name == "tracks":
                self.tracks.send(packet.payload)
            elif packet.name == "attachment" and gop is self.stream.gops[0] and not payloads:
                self.attachments.send(packet.payload)
            elif packet.name == "metadata" and packet.payload and self.metadata is None:
                self.metadata = read_metadata(packet.payload)
            elif packet.name in ("key", "inter"):
                frames = self.frames_of(packet)
                payloads += frames
                self.release(len(frames) if in_order else 0)
        self.release(0 if in_order else len(payloads))
        return payloads

    def frames_of(self, packet: Packet) -> list[bytes]:
        if self.unbundler is None:
            return [packet.payload]
        return self.unbundler.payloads(packet.name == "key", packet.payload)

    def release(self, frames: int) -> None:
        self.times += [self.timeline.receive() for _ in range(frames)]

    def read_fits(self) -> list[Fit]:
        """The weights in force in each GOP."""
        fit, fits = Fit(changes=False), []
        for gop in self.stream.gops:
            if gop.fit is not None and self.painter is not None:
                fit = read_fit(gop.fit, self.painter, self.header)
            fits.append(fit)
        return fits

    def base_frames(self, payloads: list[bytes]) -> list[Planes]:
        return list(self.base.gop(payloads))

    def painted_frames(self, payloads: list[bytes], base: list[Planes], fit: Fit) -> list[Planes]:
        if fit.identity or self.painter is None:
            return base
        network = Painter(fitted(self.painter, fit), self.header, fit.tokens)
        in_order = self.header.base != "vvc"
        sizes = [len(payload) if in_order else 0 for payload in payloads]
        painted = [network.paint(planes, size) for planes, size in zip(base, sizes, strict=True)]
        if fit.unpainted is not None:
            for planes, base_frame in zip(painted, base, strict=True):
                base_shown(planes, base_frame, fit.unpainted)
        return painted


def answer(data: bytes, kind: type[Decoder] = Decoder) -> dict[str, Any]:
    """The answer for a file (Conformance). Raises `Refused`."""
    stream = read_stream(data if data.startswith(MAGIC) else stream_of(data))
    decoder = kind(stream)
    summaries = [read_summary(gop.summary or b"", gop.frames) for gop in stream.gops]
    payloads, fits = [decoder.payloads(gop) for gop in stream.gops], decoder.read_fits()
    decoder.release(1)
    base = [decoder.base_frames(gop) for gop in payloads]
    base_hash, painted_hash = Hash("base"), Hash("painted")
    counted = list(getattr(decoder.base, "counted", []))
    for gop in base:
        base_hash.add(gop, counted[: len(gop)])
        counted = counted[len(gop) :]
    base_hash.check(stream.base_hash)
    gops = [[gop.frames, gop.size] for gop in stream.gops]
    fields = {
        "container": stream.header.fields() | {"gops": gops, "base_hash": stream.base_hash.hex()},
        "times": decoder.times,
        "metadata": decoder.metadata,
        "tracks": decoder.tracks.tracks or [],
        "summary": summaries,
        "fit": [fit.answer() for fit in fits],
    }
    if attachments := decoder.attachments.complete:
        fields["attachments"] = attachments
    fields["base"] = base_hash.each
    painted = [decoder.painted_frames(*gop) for gop in zip(payloads, base, fits, strict=True)]
    for gop in painted:
        painted_hash.add(gop)
    painted_hash.check(stream.painted_hash if decoder.painter is not None else None)
    if decoder.header.base == "av1":
        triplets = [captions(payload) for gop in payloads for payload in gop]
        fields |= {"captions": triplets} if any(triplets) else {}
    if isinstance(decoder.base, NetworkBase):
        fields["symbols"] = decoder.base.symbols
    if decoder.painter is not None:
        fields["painted"] = painted_hash.each
    return fields
