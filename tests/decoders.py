"""Decoders of the `klt` layer side by side: the core's and the Python reference."""

from __future__ import annotations

from pathlib import Path

from conftest import planes_equal
from oracle.klt import ReferenceDecoder

from gvcodec.errors import DamagedStreamError
from gvcodec.structure import Coded
from gvcodec.structure.klt.codec import KltDecoder
from gvcodec.types import Planes


def follow(coded: Coded, *decoders: KltDecoder | ReferenceDecoder) -> None:
    """Every decoder gives the loop frame of the one frame that was coded."""
    packet, loop = coded.packets[0], coded.loops[0]
    for decoder in decoders:
        assert planes_equal(decoder.send(packet.payload, packet.keyframe)[0], loop)


def outcomes(
    decoder: KltDecoder | ReferenceDecoder, payloads: list[bytes], keyframes: list[bool]
) -> list[Planes | None]:
    """What a decoder makes of each frame, None where it refuses."""
    frames: list[Planes | None] = []
    for payload, keyframe in zip(payloads, keyframes, strict=True):
        try:
            frames.append(decoder.send(payload, keyframe)[0])
        except DamagedStreamError:
            frames.append(None)
    return frames


def fare_alike(
    payloads: list[bytes], keyframes: list[bool], width: int, height: int, model: Path | None = None
) -> int:
    """Both decoders refuse, or both give the same frames; how many were refused."""
    core, python = KltDecoder(width, height, 1, model), ReferenceDecoder(width, height, model)
    refused = 0
    for a, b in zip(
        outcomes(core, payloads, keyframes), outcomes(python, payloads, keyframes), strict=True
    ):
        assert (a is None) == (b is None)
        assert a is None or b is None or planes_equal(a, b)
        refused += a is None
    return refused
