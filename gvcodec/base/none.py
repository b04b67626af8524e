"""Base none: no pictures at all. Frames are latent tokens alone, as in GVC1D; packets of frames are
empty and only say where GOPs begin. Its base frames are grey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gvcodec.base import Coded, CodedFrame
from gvcodec.errors import DamagedStreamError
from gvcodec.types import Planes, VideoFormat

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import Settled

_GREY = 512


def grey_frame(fmt: VideoFormat) -> Planes:
    """The base frame of every frame, 10 bits."""
    half = (fmt.height + 1) // 2, (fmt.width + 1) // 2
    y, u, v = (np.full(shape, _GREY, np.uint16) for shape in ((fmt.height, fmt.width), half, half))
    return y, u, v


class NoneEncoder:
    """Encoder of the plug. `keyint` frames between keyframes, 0 = only the first. A scene that
    begins inside a GOP makes none: its tokens say so, and the memory lives on."""

    def __init__(self, fmt: VideoFormat, q: float, keyint: int = 0) -> None:
        self._fmt, self._q, self._keyint = fmt, round(q), keyint
        self._since = 0

    def send(self, planes: Planes, force_key: bool = False) -> Coded:
        key = force_key or not self._since or self._since == self._keyint
        self._since = 1 if key else self._since + 1
        return Coded([CodedFrame(b"", key, self._q)], [grey_frame(self._fmt)])

    def flush(self) -> Coded:
        return Coded()


class NoneDecoder:
    """Decoder of the plug."""

    def __init__(self, fmt: VideoFormat) -> None:
        self._fmt = fmt

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        if payload:
            raise DamagedStreamError("a frame of base none has no bytes")
        return [grey_frame(self._fmt)]

    def flush(self) -> list[Planes]:
        return []

    def abandon(self) -> None: ...


def base_encoder(fmt: VideoFormat, config: Settled) -> NoneEncoder:
    """See `gvcodec.layers`."""
    return NoneEncoder(fmt, config.base_q, config.keyint)


def base_decoder(header: SequenceHeader, *_: object) -> NoneDecoder:
    """See `gvcodec.layers`."""
    return NoneDecoder(header.format)
