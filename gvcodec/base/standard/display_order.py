"""Display order of standard bitstreams, found by decoding: H.266 packets come in decode order,
all others as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from gvcodec.base.standard.ffmpeg import decode, open_decoder, unit_of
from gvcodec.bases import is_reordered


def numbers_shown(
    payloads: Sequence[bytes], base: str, size: tuple[int, int], flush: bool = True
) -> list[int]:
    """Numbers of the payloads whose frames come out, in display order; pictures have `size`. Raises
    `DamagedStreamError`."""
    decoder = open_decoder(base, *size, threads=1)
    order: list[int] = []
    for number, payload in enumerate([*payloads, None] if flush else payloads):
        packet = None
        if payload is not None:
            packet = unit_of(base, payload, *size)
            packet.pts = packet.dts = number
        order += [cast(int, frame.pts) for frame in decode(decoder, packet)]
    return order


def leading_frames(payloads: Sequence[bytes], base: str, size: tuple[int, int]) -> int:
    """How many packets from the start of an incomplete GOP hold just as many frames from its start
    in display order."""
    if not is_reordered(base):
        return len(payloads)
    # Without flush a decoder gives only frames that no later packet can come before.
    shown = numbers_shown(payloads, base, size, flush=False)
    highest, leading = -1, 0  # VVenC's key frame is shown after up to 31 others
    for count, number in enumerate(shown, 1):
        highest = max(highest, number)
        leading = count if highest == count - 1 else leading
    return leading
