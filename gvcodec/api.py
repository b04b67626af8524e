"""Whole videos in memory: frames to the bytes of a file and back.

    data = gvcodec.encode(frames, frame_rate=30, q=40)        # frames: (H, W, 3) uint8 RGB, or Planes
    for image in gvcodec.decode(data): ...                    # (H, W, 3) uint8 RGB

Frame by frame: `Encoder` and `Decoder`; files: `gvcodec.media.reader` and `gvcodec.media.writer`.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream import Reader
from gvcodec.config import EncoderConfig
from gvcodec.decoder import Decoder
from gvcodec.decoding_limits import DEFAULT, Limits
from gvcodec.encoder import Encoder
from gvcodec.errors import UsageError
from gvcodec.media.planes import planes_from_rgb, rgb_from_planes, rgb_matrix
from gvcodec.media.siting import CENTRE
from gvcodec.session import run
from gvcodec.types import Colour, Planes, VideoFormat


def encode(
    frames: Iterable[NDArray[np.uint8] | Planes],
    *,
    frame_rate: Fraction | float = 30,
    format: VideoFormat | None = None,
    config: EncoderConfig | None = None,
    **options: object,
) -> bytes:
    """Encode frames, all of one size, to the bytes of a gvcodec file.

    `frames`: RGB arrays (H, W, 3) uint8, or `Planes`. `format` describes `Planes` (default: 8 bits,
    colour not specified). Either `config`, or fields of `EncoderConfig` by name (`q=40, base="av1",
    tune=0`). Raises `UsageError`.
    """
    if config is not None and options:
        raise UsageError("give either config or its fields")
    try:
        config = config or EncoderConfig(**options)  # type: ignore[arg-type]
    except TypeError as error:
        raise UsageError(str(error)) from None
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise UsageError("there is no frame to encode")
    encoder = Encoder(
        format or _format_of(first, Fraction(frame_rate).limit_denominator(1_000_000)), config
    )
    stream = io.BytesIO()
    run(
        encoder,
        stream,
        ((_planes_of(frame), None) for frame in itertools.chain([first], remaining)),
    )
    return stream.getvalue()


def decode(
    data: bytes | bytearray | memoryview,
    *,
    fidelity: bool = False,
    start: int = 0,
    threads: int = 0,
    limits: Limits = DEFAULT,
) -> Iterator[NDArray[np.uint8]]:
    """Frames of a gvcodec file as RGB arrays (H, W, 3) uint8, from frame `start` on.

    `data`: bytes, or anything that holds bytes. From 0 on the loop hash is checked at the end.
    `limits`: what the stream may ask for. Raises `LimitError`, `DamagedStreamError`,
    `WrongModelError`, `VerificationError`.
    """
    decoded = decode_planes(data, fidelity=fidelity, start=start, threads=threads, limits=limits)
    colour = Reader(io.BytesIO(data)).header.format.colour
    return (rgb_from_planes(planes, colour) for planes in decoded)


def decode_planes(
    data: bytes | bytearray | memoryview,
    *,
    fidelity: bool = False,
    start: int = 0,
    threads: int = 0,
    limits: Limits = DEFAULT,
) -> Iterator[Planes]:
    """Like `decode`, as `Planes`."""
    reader = Reader(io.BytesIO(data))
    decoder = Decoder(reader.header, fidelity, threads, limits=limits)
    number, packets = (0, reader.packets()) if start <= 0 else reader.seek(start)
    for frame in decoder.frames_of(packets):
        decoder.tracks.clear()
        if number >= start:
            yield frame.planes
        number += 1
    if start <= 0:
        decoder.verify(reader.loop_hash)


def _planes_of(frame: NDArray[np.uint8] | Planes) -> Planes:
    if not isinstance(frame, np.ndarray):
        return frame
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise UsageError(f"a frame is (H, W, 3) uint8, not {frame.shape} {frame.dtype}")
    return planes_from_rgb(frame)


def _format_of(frame: NDArray[np.uint8] | Planes, frame_rate: Fraction) -> VideoFormat:
    """Format of a video whose first frame this is."""
    if frame_rate <= 0:
        raise UsageError(f"a frame rate of {frame_rate} is not possible")
    height, width = (frame if isinstance(frame, np.ndarray) else frame[0]).shape[:2]
    rgb = isinstance(frame, np.ndarray)
    colour = Colour(matrix=rgb_matrix(height), chroma_location=CENTRE) if rgb else Colour()
    return VideoFormat(width, height, frame_rate, 1 / frame_rate, 8, colour)
