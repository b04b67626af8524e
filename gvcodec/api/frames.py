"""Frames to streams and back: arrays, tensors, pictures, planes.

`encode` and `decode` take and give bytes, `VideoEncoder(frames).to_file(path)` writes a file. Frame
by frame: `Encoder` and `Decoder`; at random: `gvcodec.open`.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from gvcodec.api.arrays import Frame, frames_of, planes_of
from gvcodec.api.keywords import list_options, make_config
from gvcodec.api.results import Encoded
from gvcodec.api.sources import PathName, Source, open_sink, open_source
from gvcodec.av1_mux.files import unwrap
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.media.planes import rgb_from_planes, rgb_matrix
from gvcodec.media.siting import CENTRE
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.file_io import Borrowed

if TYPE_CHECKING:
    import torch

    from gvcodec.api.arrays import Image


class VideoEncoder:
    """Frames to be written as a stream: `VideoEncoder(frames, frame_rate=25).to_file("a.gvc",
    q=40)`.

    `frames`, `frame_rate` and `format` as for `encode`. An iterator can be written once, arrays and
    lists as often as wanted.
    """

    def __init__(
        self,
        frames: Image | Iterable[Image | Planes],
        *,
        frame_rate: Fraction | float = 30,
        format: VideoFormat | None = None,
    ) -> None:
        self._frames = frames
        self._frame_rate = _rate(frame_rate)
        self._format = format

    def __repr__(self) -> str:
        shape = getattr(self._frames, "shape", None)
        what = f"frames {tuple(shape)}" if shape is not None else type(self._frames).__name__
        return f"VideoEncoder({what}, frame_rate={float(self._frame_rate):g})"

    @list_options(EncoderConfig)
    def to_file(
        self,
        output: PathName | BinaryIO,
        *,
        overwrite: bool = False,
        config: EncoderConfig | None = None,
        **options: Any,
    ) -> Encoded:
        """Write the stream to a path, complete or not at all, or to an open binary file. Raises
        `UsageError`, `MediaError`."""
        settings = make_config(config, options)
        with open_sink(output, overwrite) as stream:
            return self._run(stream, settings)

    @list_options(EncoderConfig)
    def to_bytes(self, *, config: EncoderConfig | None = None, **options: Any) -> bytes:
        """The stream as bytes. Raises `UsageError`."""
        stream = io.BytesIO()
        self._run(stream, make_config(config, options))
        return stream.getvalue()

    def _run(self, stream: BinaryIO, config: EncoderConfig) -> Encoded:
        remaining = frames_of(self._frames)
        first = next(remaining, None)
        if first is None:
            raise UsageError("there is no frame to encode")
        fmt = self._format or _format_of(first, self._frame_rate)
        encoder = Encoder(fmt, config)
        frames = ((planes_of(frame), None) for frame in itertools.chain([first], remaining))
        writer = encode_stream(encoder, stream, frames)
        return Encoded(
            writer.frames,
            writer.size,
            tuple(encoder.notes),
            fmt,
            encoder.psnr_y,
            seconds=encoder.seconds,
        )


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

    `frames`: RGB pictures (H, W, 3) or (3, H, W), uint8 or floats 0…1, as arrays, tensors on any
    device or pictures of PIL, or `Planes`; one, several, or an array (T, H, W, 3), (T, 3, H, W) or
    (3, T, H, W). `format` describes `Planes`
    (default: 8 bits, colour not specified). Either `config`, or fields of `EncoderConfig` by name
    (`q=40, base="av1", fit=0`). Raises `UsageError`.
    """
    made = VideoEncoder(frames, frame_rate=frame_rate, format=format)
    return made.to_bytes(config=config, **options)


def decode(
    data: Source,
    *,
    fidelity: bool = False,
    start: int = 0,
    threads: int = 0,
    output: Literal["numpy", "torch"] = "numpy",
    device: str | torch.device = "cpu",
    dimension_order: Literal["NHWC", "NCHW"] = "NHWC",
    limits: Limits = DEFAULT,
) -> Iterator[Image]:
    """Frames of a gvcodec file as RGB (H, W, 3) or (3, H, W) uint8, from frame `start` on.

    `data`: bytes, a path, or an open binary file. `output`: NumPy arrays, or tensors on `device`.
    From 0 on the base hash is checked at the end. `limits`: what the
    stream may ask for. Raises `LimitError`, `DamagedStreamError`, `WrongModelError`,
    `VerificationError`, `UsageError`.
    """
    if output not in ("numpy", "torch") or dimension_order not in ("NHWC", "NCHW"):
        raise UsageError('output is "numpy" or "torch", dimension_order "NHWC" or "NCHW"')
    stream = _open(data)
    colour = Reader(stream).header.format.colour
    stream.seek(0)
    decoded = _decode_frames(stream, fidelity, start, threads, str(device), limits)
    first = dimension_order == "NCHW"
    images = (_to_channels_last(rgb_from_planes(planes, colour), first) for planes in decoded)
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
    reader = Reader(stream)
    decoder = Decoder(reader.header, fidelity, threads, device=device, limits=limits)
    number, packets = (0, reader.packets()) if start <= 0 else reader.seek(start)
    for frame in decoder.frames_of(packets):
        decoder.tracks.clear()
        if number >= start:
            yield frame.planes
        number += 1
    if start <= 0:
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


def _to_channels_last(image: NDArray[np.uint8], channels_first: bool) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image.transpose(2, 0, 1)) if channels_first else image


def _format_of(frame: Frame, frame_rate: Fraction) -> VideoFormat:
    """Format of a video whose first frame this is."""
    if frame_rate <= 0:
        raise UsageError(f"a frame rate of {frame_rate} is not possible")
    height, width = (frame if isinstance(frame, np.ndarray) else frame[0]).shape[:2]
    rgb = isinstance(frame, np.ndarray)
    colour = Colour(matrix=rgb_matrix(height), chroma_location=CENTRE) if rgb else Colour()
    return VideoFormat(width, height, frame_rate, 1 / frame_rate, 8, colour)
