"""FFmpeg's decoders of standard bitstreams, held to what the sequence header promises."""

from __future__ import annotations

from typing import Any

import av

from gvcodec.errors import DamagedStreamError
from gvcodec.structure.claims import check, padded
from gvcodec.structure.units import RESTORE, packet_of

#: By structure layer.
DECODERS = {"av1": "libdav1d", "hevc": "hevc", "vvc": "vvc"}


def open_decoder(base: str, width: int, height: int, threads: int, options: dict[str, str] | None = None) -> Any:
    """A decoder of pictures of this size. The bitstream's own idea of its size does not decide about memory."""
    decoder = av.CodecContext.create(DECODERS[base], "r")
    decoder.thread_count = threads
    columns, rows = padded(width, height)
    decoder.options = {"max_pixels": str(columns * rows)} | (options or {})
    return decoder


def unit_of(base: str, payload: bytes, width: int, height: int) -> av.Packet:
    """The payload of a packet for a decoder. Raises `DamagedStreamError` when it claims more than one picture of this size."""
    check(base, payload, width, height)
    return packet_of(RESTORE[base](payload))


def decoded(decoder: Any, packet: av.Packet | None) -> list[av.VideoFrame]:
    """Frames that come out, None = the last ones. Raises `DamagedStreamError`, `MemoryError`."""
    try:
        return list(decoder.decode(packet))
    except MemoryError:
        raise MemoryError("the structure layer's decoder is out of memory") from None
    except (av.FFmpegError, ValueError) as error:
        raise DamagedStreamError("the structure layer cannot be decoded") from error
