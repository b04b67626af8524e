"""Display order of standard bitstreams, found by decoding: H.265 and H.266 packets come in decode order, all others as they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import av

from gvcodec.errors import DamagedStreamError
from gvcodec.structure.units import RESTORE, packet_of

#: Bases whose packets come in decode order.
_REORDERED = ("hevc", "vvc")


def numbers_shown(units: Sequence[bytes], codec: str, flush: bool = True) -> list[int]:
    """Numbers of the units whose frames come out, in display order. Raises `DamagedStreamError`."""
    decoder = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    order: list[int] = []
    for number, unit in enumerate([*units, None] if flush else units):
        packet = None
        if unit is not None:
            packet = packet_of(unit)
            packet.pts = packet.dts = number
        try:
            order += [frame.pts for frame in decoder.decode(packet)]
        except (av.FFmpegError, ValueError) as error:
            raise DamagedStreamError("the structure layer cannot be decoded") from error
    return order


def leading_frames(payloads: Sequence[bytes], base: str) -> int:
    """How many packets from the start of an incomplete GOP hold just as many frames from its start in display order."""
    if base not in _REORDERED:
        return len(payloads)
    # Without flush a decoder gives only frames that no later packet can come before.
    shown = numbers_shown([RESTORE[base](payload) for payload in payloads], base, flush=False)
    # In H.265 as coded here the key frame is the first of its GOP in both orders; VVenC's is shown after up to 31 others.
    highest, leading = -1, int(base == "hevc" and len(payloads) > 0)
    for count, number in enumerate(shown, 1):
        highest = max(highest, number)
        leading = count if highest == count - 1 else leading
    return leading
