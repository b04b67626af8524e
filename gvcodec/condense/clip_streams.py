"""Clips as GOPs of one AV1 stream, at a fast preset, since pictures are small and many."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream import Reader
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import LimitError
from gvcodec.planes import CENTRE, planes_from_rgb, rgb_from_planes, rgb_matrix
from gvcodec.types import Colour, VideoFormat

Pictures = NDArray[np.uint8]

_PRESET = 10
#: Pixels that a stream may have by default, three bytes each: 2^24, or 2^14 for each byte of the
#: stream. Moving blobs at q 63 have 25 a byte at 32×32, 320 at 128×128.
_MIN_LIMIT, _PIXELS_A_BYTE = 1 << 24, 1 << 14


def encode(clips: Sequence[Pictures], q: float) -> bytes:
    """A stream of clips (K, side, side, 3), which may differ in K; each begins with a keyframe."""
    height, width = clips[0].shape[1:3]
    colour = Colour(matrix=rgb_matrix(height), chroma_location=CENTRE)
    fmt = VideoFormat(width, height, Fraction(8), Fraction(1, 8), 8, colour)
    encoder = Encoder(fmt, EncoderConfig(base_q=q, keyint=0, fit=0, threads=1, preset=_PRESET))
    stream = io.BytesIO()
    writer = Writer(stream, encoder.header)
    for clip in clips:
        for number, picture in enumerate(clip):
            encoder.send_frame(planes_from_rgb(picture), force_key=number == 0)
    encoder.flush()
    while (packet := encoder.receive_packet()) is not None:
        writer.write(packet)
    writer.finish(encoder.base_hash)
    return stream.getvalue()


def decode(stream: bytes, max_pixels: int | None = None) -> list[Pictures]:
    """The clips of a stream. `max_pixels`: of all pictures together; by default as many as real
    clips have in a stream of this size. Raises `DamagedStreamError`, `VerificationError`,
    `LimitError`."""
    reader = Reader(io.BytesIO(stream))
    gops = reader.gops()
    fmt = reader.header.format
    pixels = fmt.width * fmt.height * sum(gop.frames for gop in gops)
    if pixels > (max_pixels or max(_MIN_LIMIT, _PIXELS_A_BYTE * len(stream))):
        raise LimitError(
            f"{pixels} pixels in {len(stream)} bytes (max_pixels={pixels} allows them)",
            code="limit-pixels",
        )
    decoder = Decoder(reader.header, fidelity=True, threads=1)
    frames = decoder.frames_of(reader.packets())
    clips = []
    for gop in gops:
        clip = np.zeros((gop.frames, fmt.height, fmt.width, 3), np.uint8)
        for picture, frame in zip(clip, frames, strict=False):
            picture[:] = rgb_from_planes(frame.planes, fmt.colour)
        clips.append(clip)
    for _ in frames:  # the end of the stream, which is checked too
        pass
    decoder.verify(reader.base_hash)
    return clips


def sizes(stream: bytes) -> NDArray[np.int64]:
    """Bytes of each clip: its GOP and about three bytes of the index."""
    return np.array([gop.size + 3 for gop in Reader(io.BytesIO(stream)).gops()])
