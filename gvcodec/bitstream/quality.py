"""The `quality` packet: PSNR-Y of the base frames, as the encoder measured it
(docs/spec/container.md). Decoders skip it; cutting and joining drop it."""

from __future__ import annotations

from gvcodec.bitstream.packets import Kind, Packet
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError

#: Decibels that stand for frames without any error.
EXACT = 100.0
_STEPS = 100


def make_quality(psnr_y: float) -> Packet:
    """`psnr_y`: mean over the base frames, dB; inf = all are exact."""
    return Packet(Kind.QUALITY, encode_var(round(_STEPS * min(max(psnr_y, 0.0), EXACT))))


def read_quality(packet: Packet) -> float | None:
    """What such a packet says, None for one that cannot be read."""
    try:
        return Cursor(packet.payload, "quality").var(round(_STEPS * EXACT)) / _STEPS
    except DamagedStreamError:
        return None
