"""Frames to streams and back: arrays, tensors, pictures, planes.

`encode` and `decode` take and give bytes. Frame by frame: `Encoder` and `Decoder`; at random:
`gvcodec.open`.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import numpy as np

from gvcodec.api.arrays import Frame, frames_of, planes_of
from gvcodec.api.keywords import list_options, make_config
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.container.opening import Source, open_source, unwrap
from gvcodec.errors import UsageError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.media.planes import Picture, rgb_matrix, rgb_reader
from gvcodec.media.siting import CENTRE
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.file_io import Borrowed
from gvcodec.video import Video

if TYPE_CHECKING:
    import torch

    from gvcodec.api.arrays import Image


@list_options(EncoderConfig)
def encode(
    frames: Image | Iterable[Image | Planes],
    *,
    frame_rate: Fraction | float = 30,
    format: VideoFormat | None = None,
    config: EncoderConfig | None = None,
    **options: Any,
) -> bytes:
    """Encode frames, all of one size, to the bytes of a gvcodec file.

    `frames`: RGB pictures (H, W, 3) or (3, H, W), uint8, uint16 of 10 bits (0…1023) or floats
    0…1, as arrays, tensors on any device or pictures of PIL, or `Planes`; one, several, or an array
    (T, H, W, 3), (T, 3, H, W) or (3, T, H, W). `format` says more of them: bits and colour of
    `Planes` (default: 8 bits, colour not specified), and which colour pictures are coded in, as
    `Colour(9, 16, 9)` for HDR. Either `config`, or fields of `EncoderConfig` by name
    (`q=40, base="av1", fit=0`). Raises `UsageError`.
    """
    settings, rate = make_config(config, options), _rate(frame_rate)
    remaining = frames_of(frames)
    first = next(remaining, None)
    if first is None:
        raise UsageError("there is no frame to encode")
    fmt, stream = format or _format_of(first, rate), io.BytesIO()
    planes = (planes_of(frame, fmt) for frame in itertools.chain([first], remaining))
    encode_stream(Encoder(fmt, settings), stream, ((frame, None) for frame in planes))
    return stream.getvalue()


def decode(
    data: Source,
    *,
    fidelity: bool = False,
    start: int = 0,
    threads: int = 0,
    output: Literal["numpy", "torch"] = "numpy",
    device: str | torch.device = "cpu",
    dimension_order: Literal["NHWC", "NCHW"] = "NHWC",
    bit_depth: Literal[8, 10] = 8,
    limits: Limits = DEFAULT,
) -> Iterator[Image]:
    """Frames of a gvcodec file as RGB (H, W, 3) or (3, H, W) uint8, from frame `start` on.

    `data`: bytes, a path, or an open binary file. `output`: NumPy arrays, or tensors on `device`.
    `bit_depth` 10: uint16, 0…1023.
    From 0 on the base hash is checked at the end. `limits`: what the
    stream may ask for. Raises `LimitError`, `DamagedStreamError`, `WrongModelError`,
    `VerificationError`, `UsageError`.
    """
    if output not in ("numpy", "torch") or dimension_order not in ("NHWC", "NCHW"):
        raise UsageError('output is "numpy" or "torch", dimension_order "NHWC" or "NCHW"')
    picture = rgb_reader(bit_depth)
    stream = _open(data)
    colour = Reader(stream).header.format.colour
    stream.seek(0)
    decoded = _decode_frames(stream, fidelity, start, threads, str(device), limits)
    first = dimension_order == "NCHW"
    images = (_to_channels_last(picture(planes, colour), first) for planes in decoded)
    if output == "numpy":
        return images
    from gvcodec.painter.tensors import as_tensor, open_device

    place = open_device(str(device))
    return (as_tensor(image, place) for image in images)


def decode_planes(
    data: Source,
    *,
    fidelity: bool = False,
    start: int = 0,
    threads: int = 0,
    device: str | torch.device = "cpu",
    limits: Limits = DEFAULT,
) -> Iterator[Planes]:
    """Like `decode`, as `Planes`."""
    return _decode_frames(_open(data), fidelity, start, threads, str(device), limits)


def _decode_frames(
    stream: BinaryIO,
    fidelity: bool,
    start: int,
    threads: int,
    device: str,
    limits: Limits,
) -> Iterator[Planes]:
    if start > 0:
        video = Video(stream, fidelity=fidelity, threads=threads, device=device, limits=limits)
        if start >= len(video):
            raise UsageError(f"{video.name}: has no frame {start}")
        yield from (frame.planes for frame in video.decode_range(start, len(video)))
        return
    reader = Reader(stream)
    decoder = Decoder(reader.header, fidelity, threads, device=device, limits=limits)
    for frame in decoder.frames_of(reader.packets()):
        if decoder.tracks:
            decoder.tracks.waiting.clear()
        yield frame.planes
    decoder.verify(reader.base_hash)


def _open(data: Source) -> BinaryIO:
    """A stream to read. What has a name is read at once: it is as small as videos get."""
    if not isinstance(data, str | os.PathLike | bytes | bytearray | memoryview):
        return unwrap(io.BufferedReader(Borrowed(data)), "stream")
    with open_source(data) as stream:
        return io.BytesIO(stream.read())


def _rate(frame_rate: Fraction | float) -> Fraction:
    try:
        return Fraction(frame_rate).limit_denominator(1_000_000)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"a frame rate of {frame_rate} is not possible") from None


def _to_channels_last(image: Picture, channels_first: bool) -> Picture:
    return (
        cast(Picture, np.ascontiguousarray(image.transpose(2, 0, 1))) if channels_first else image
    )


def _format_of(frame: Frame, frame_rate: Fraction) -> VideoFormat:
    if frame_rate <= 0:
        raise UsageError(f"a frame rate of {frame_rate} is not possible")
    height, width = (frame if isinstance(frame, np.ndarray) else frame[0]).shape[:2]
    rgb = isinstance(frame, np.ndarray)
    colour = Colour(matrix=rgb_matrix(height), chroma_location=CENTRE) if rgb else Colour()
    ten_bits = isinstance(frame, np.ndarray) and frame.dtype == np.uint16
    return VideoFormat(width, height, frame_rate, 1 / frame_rate, 10 if ten_bits else 8, colour)
