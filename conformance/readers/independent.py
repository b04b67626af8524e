"""Answers of the conformance decoder: of whole streams."""

from __future__ import annotations

from typing import Any

from conformance.decoder.container import Packet
from conformance.decoder.decode import Decoder
from conformance.decoder.decode import answer as decode
from conformance.decoder.header import Header
from conformance.decoder.wire import Newer, OtherHash, Refused
from conformance.readers.answers import Answer, digest, digest_of_parts
from conformance.readers.inputs import Input


def answer(source: Input) -> Answer | None:
    """The answer for a stream; None for other inputs."""
    if source.parser != "stream":
        return None
    payloads: list[bytes] = []

    class Recorder(Decoder):
        def frames_of(self, packet: Packet) -> list[bytes]:
            payloads.extend(frames := super().frames_of(packet))
            recorders[:] = [self]
            return frames

    recorders: list[Decoder] = []
    try:
        fields = decode(source.data, Recorder)
    except Refused as error:
        kinds = {Newer: "newer", OtherHash: "other hash"}
        verdict = next((text for kind, text in kinds.items() if isinstance(error, kind)), "damaged")
        return {"verdict": "no model" if "is not here" in str(error) else verdict}
    stream = recorders[0].stream
    in_force, fits = None, []
    for gop in stream.gops:
        in_force = gop.fit if gop.fit is not None else in_force
        fits.append(in_force)
    entry: dict[str, Any] = {
        "verdict": "accepted",
        "header": digest(_header_text(stream.header)),
        "payloads": digest_of_parts(payloads),
        "fits": digest_of_parts(fits),
        "times": digest(" ".join(map(str, fields["times"]))),
        "frames": len(fields["times"]) - 1,
    }
    entry |= {key: digest(" ".join(fields[key])) for key in ("base", "painted") if key in fields}
    return entry


def _header_text(header: Header) -> str:
    numbers = (header.width, header.height, *header.rate.as_integer_ratio())
    numbers += (*header.tick.as_integer_ratio(), header.start, 10 if header.bits & 2 else 8)
    numbers += (*header.colour, header.bits & 1, header.bits >> 2 & 7)
    numbers += header.sar.as_integer_ratio()
    rest = (header.base, str(header.scale), header.q, int(header.bundled))
    ids = [i or "-" for i in (header.base_id, header.painter_id, header.gvc1d_id)]
    return " ".join(map(str, (*numbers, *rest, *ids)))
