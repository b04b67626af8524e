"""FFmpeg's decoders of standard bitstreams, held to what the sequence header promises."""

from __future__ import annotations

import contextlib
from typing import Any

import av

from gvcodec.base.standard.bitstream_limits import check, pad
from gvcodec.base.standard.payloads import packet_of, restore
from gvcodec.bases import standard_of
from gvcodec.errors import DamagedStreamError

_DAV1D = "libdav1d"


def open_decoder(base: str, width: int, height: int, threads: int, low_delay: bool = False) -> Any:
    """A decoder of pictures of this size. The bitstream's own idea of its size does not decide
    about memory.

    Where its threads cannot be started it works in one. Raises `MemoryError`."""
    columns, rows = pad(width, height)
    name = standard_of(base).decoder
    options = {"max_pixels": str(columns * rows)}
    if low_delay and name == _DAV1D:
        options["max_frame_delay"] = "1"
    for count in (threads, 1):
        decoder = av.CodecContext.create(name, "r")
        decoder.thread_count = count
        decoder.options = dict(options)
        if low_delay and name != _DAV1D:
            decoder.thread_type = "SLICE"
        with contextlib.suppress(MemoryError, BlockingIOError):
            decoder.open()
            return decoder
    raise MemoryError("the base layer's decoder is out of memory")


def unit_of(base: str, payload: bytes, width: int, height: int) -> av.Packet:
    """A payload for a decoder. Raises `DamagedStreamError` where it claims more than a frame."""
    check(base, payload, width, height)
    return packet_of(restore(base, payload))


def decode(decoder: Any, packet: av.Packet | None) -> list[av.VideoFrame]:
    """Frames that come out, None = the last ones. Raises `DamagedStreamError`, `MemoryError`."""
    try:
        return list(decoder.decode(packet))
    except MemoryError:
        raise MemoryError("the base layer's decoder is out of memory") from None
    except (av.FFmpegError, ValueError) as error:
        raise DamagedStreamError("the base layer cannot be decoded") from error
