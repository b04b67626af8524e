"""A whole file: what Conformance asks for, as one dictionary."""

from __future__ import annotations

import hashlib
from typing import Any

from conformance.decoder.bases import Base, Planes
from conformance.decoder.bundles import Unbundler
from conformance.decoder.container import Gop, Stream, read_stream
from conformance.decoder.fit import Fit, fitted, read_fit
from conformance.decoder.models import BASE, PAINTER, model_file, painter
from conformance.decoder.motion import MotionBase
from conformance.decoder.networks import IntegerNetwork
from conformance.decoder.painter import Painter
from conformance.decoder.tracks import Timeline, Tracks, read_metadata, read_summary
from conformance.decoder.wire import Newer, OtherHash


class Hash:
    """Hash of all frames, and of each (Container: Hashes)."""

    def __init__(self) -> None:
        self._all, self.each = hashlib.sha256(), []

    def add(self, planes: Planes) -> None:
        data = b"".join(plane.astype("<u2").tobytes() for plane in planes)
        self._all.update(data)
        self.each.append(hashlib.sha256(data).hexdigest()[:16])

    def check(self, wanted: bytes, of: str) -> None:
        if self._all.digest()[:8] != wanted:
            raise OtherHash(f"another hash of the {of} frames")


class Decoder:
    """Frames of a stream, GOP by GOP, and what goes with them."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.header = stream, stream.header
        self.timeline, self.tracks = Timeline(self.header), Tracks()
        self.times: list[int] = []
        self.metadata: dict[str, Any] | None = None
        self.base = self._open_base()
        self.unbundler = Unbundler() if self.header.bundled else None
        self.base_frames, self.painted_frames = Hash(), Hash()
        wanted = self.header.painter_id
        data = model_file(stream, PAINTER, wanted) if wanted else None
        if wanted and data is None:
            raise Newer(f"painter {wanted} is not here")
        self.painter = painter(data) if data is not None else None
        self.fit, self.fits = Fit(changes=False), []

    def _open_base(self) -> Base | MotionBase:
        if self.header.base != "motion":
            return Base(self.header)
        wanted = self.header.base_id or ""
        data = model_file(self.stream, BASE, wanted)
        if data is None:
            raise Newer(f"model {wanted} is not here")
        return MotionBase(self.header, IntegerNetwork(data, "3", 36))

    def gop(self, gop: Gop) -> None:
        if gop.fit is not None and self.painter is not None:
            self.fit = read_fit(gop.fit, self.painter)
        self.fits.append(self.fit.answer())
        payloads = self._payloads(gop)
        paint = self.painter is not None and not self.fit.identity
        made = Painter(fitted(self.painter, self.fit), self.header) if paint else None
        for payload, planes in zip(payloads, self.base.gop(payloads), strict=True):
            self.base_frames.add(planes)
            size = len(payload) if self.header.base != "vvc" else 0
            self.painted_frames.add(made.paint(planes, size) if made else planes)

    def _payloads(self, gop: Gop) -> list[bytes]:
        """Payloads of the frames of a GOP, in decode order; what stands between them is read."""
        payloads: list[bytes] = []
        in_order = self.header.base != "vvc"
        for packet in gop.packets:
            if packet.name == "timing":
                self.timeline.send(packet.payload)
            elif packet.name == "tracks":
                self.tracks.send(packet.payload)
            elif packet.name == "metadata" and self.metadata is None:
                self.metadata = read_metadata(packet.payload)
            elif packet.name in ("key", "inter"):
                frames = [packet.payload]
                if self.unbundler is not None:
                    frames = self.unbundler.payloads(packet.name == "key", packet.payload)
                payloads += frames
                self._release(len(frames) if in_order else 0)
        self._release(0 if in_order else len(payloads))
        return payloads

    def _release(self, frames: int) -> None:
        self.times += [self.timeline.receive() for _ in range(frames)]

    def end(self) -> None:
        self._release(1)
        self.base_frames.check(self.stream.base_hash, "base")
        wanted = self.stream.painted_hash
        if wanted is not None and self.painter is not None:
            self.painted_frames.check(wanted, "painted")


def answer(data: bytes) -> dict[str, Any]:
    """What Conformance asks for. Raises `Refused`."""
    stream = read_stream(data)
    decoder = Decoder(stream)
    summaries = [
        None if gop.summary is None else read_summary(gop.summary, gop.frames)
        for gop in stream.gops
    ]
    for gop in stream.gops:
        decoder.gop(gop)
    decoder.end()
    gops = [[gop.frames, gop.size] for gop in stream.gops]
    found = {
        "container": stream.header.fields() | {"gops": gops, "base_hash": stream.base_hash.hex()},
        "times": decoder.times,
        "metadata": decoder.metadata,
        "tracks": decoder.tracks.found or [],
        "summary": summaries,
        "fit": decoder.fits,
        "base": decoder.base_frames.each,
    }
    return found | ({"painted": decoder.painted_frames.each} if decoder.painter else {})
