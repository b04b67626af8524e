"""Whole videos: frames or files to gvcodec and back, in memory or in files.

>>> import numpy as np, gvcodec
>>> frames = np.zeros((3, 48, 64, 3), np.uint8) + np.arange(64, dtype=np.uint8)[:, None]
>>> data = gvcodec.encode(frames, frame_rate=25, preset=10, fit=0)
>>> [image.shape for image in gvcodec.decode(data)]
[(48, 64, 3), (48, 64, 3), (48, 64, 3)]
>>> next(gvcodec.decode(data, output="torch", dimension_order="NCHW", start=2)).shape
torch.Size([3, 48, 64])

`encode_file` and `decode_file` do it with video files, `VideoEncoder(frames).to_file(path)` writes
frames to a stream. Frame by frame: `Encoder` and `Decoder`; at random: `gvcodec.open`.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray

from gvcodec.bases import AUTO
from gvcodec.bitstream import Reader, Writer
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig, EncoderOptions
from gvcodec.errors import UsageError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.media.inputs import InputOptions
from gvcodec.media.planes import planes_from_rgb, rgb_from_planes, rgb_matrix
from gvcodec.media.siting import CENTRE
from gvcodec.one_file.files import create_stream, open_stream, unwrap
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.file_io import Borrowed, Readable, protected

if TYPE_CHECKING:
    import torch

    Image: TypeAlias = NDArray[np.uint8] | torch.Tensor

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


@dataclass(frozen=True, slots=True)
class Encoded:
    """What `encode_file` and `VideoEncoder.to_file` wrote: `size` in bytes, `notes` a line each."""

    frames: int
    size: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoded:
    """What `decode_file` wrote; `notes` in words, `losses` a line each (with `ignore_errors`)."""

    frames: int
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


class VideoEncoder:
    """Frames to be written as a stream: `VideoEncoder(frames, frame_rate=25).to_file("a.gvc",
    q=40)`.

    `frames`, `frame_rate` and `format` as for `encode`. An iterator can be written once, arrays and
    lists as often as wanted.
    """

    def __init__(
        self,
        frames: Iterable[Image | Planes],
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

    def to_file(
        self,
        output: str | os.PathLike[str] | BinaryIO,
        *,
        overwrite: bool = False,
        config: EncoderConfig | None = None,
        **options: Unpack[EncoderOptions],
    ) -> Encoded:
        """Write the stream to a path, complete or not at all, or to an open binary file. Raises
        `UsageError`, `MediaError`."""
        settings = _config(config, options)
        if not isinstance(output, str | os.PathLike):
            return self._run(output, settings)
        with create_stream(os.fspath(output), overwrite) as stream:
            return self._run(stream, settings)

    def to_bytes(
        self, *, config: EncoderConfig | None = None, **options: Unpack[EncoderOptions]
    ) -> bytes:
        """The stream as bytes. Raises `UsageError`."""
        stream = io.BytesIO()
        self._run(stream, _config(config, options))
        return stream.getvalue()

    def _run(self, stream: BinaryIO, config: EncoderConfig) -> Encoded:
        remaining = iter(self._frames)
        first = next(remaining, None)
        if first is None:
            raise UsageError("there is no frame to encode")
        first = _array(first)
        encoder = Encoder(self._format or _format_of(first, self._frame_rate), config)
        frames = itertools.chain([first], remaining)
        writer = encode_stream(encoder, stream, ((_planes_of(frame), None) for frame in frames))
        return _describe_encoded(writer, encoder)


def encode(
    frames: Iterable[Image | Planes],
    *,
    frame_rate: Fraction | float = 30,
    format: VideoFormat | None = None,
    config: EncoderConfig | None = None,
    **options: Unpack[EncoderOptions],
) -> bytes:
    """Encode frames, all of one size, to the bytes of a gvcodec file.

    `frames`: RGB uint8, NumPy arrays (H, W, 3) or torch tensors (H, W, 3) or (3, H, W) on any
    device, or an array of N of these, pictures of PIL, or `Planes`. `format` describes `Planes`
    (default: 8 bits, colour not specified). Either `config`, or fields of `EncoderConfig` by name
    (`q=40, base="av1", fit=0`). Raises `UsageError`.
    """
    made = VideoEncoder(frames, frame_rate=frame_rate, format=format)
    return made.to_bytes(config=config, **options)


def encode_file(
    source: str | os.PathLike[str] | BinaryIO,
    output: str | os.PathLike[str] | BinaryIO,
    *,
    start: float = 0.0,
    frames: int | None = None,
    overwrite: bool = False,
    said: InputOptions | None = None,
    config: EncoderConfig | None = None,
    **options: Unpack[EncoderOptions],
) -> Encoded:
    """Encode a video file, with its sound, subtitles and metadata, as `gvcodec encode` does.

    `source` and `output` are paths or open binary files, that of `source` can seek; `source` may be
    a URI, a folder of numbered pictures or raw samples too. From `start` seconds on, at most
    `frames`. `said`: what the input does not say itself (frame rate, colour). Raises `UsageError`,
    `MediaError`.
    """
    from gvcodec.media.reader import VideoReader
    from gvcodec.media.tracks import CHUNK

    settings = _config(config, options)
    if settings.base == AUTO and isinstance(source, str | os.PathLike):
        settings = _choose_base(source, output, settings, start, frames, said)
    if not isinstance(output, str | os.PathLike):
        with VideoReader(source, start, frames, said=said) as reader:
            encoder = Encoder(reader.format, settings, reader.start_pts)
            chunk = 0 if settings.low_delay else CHUNK
            given = ((frame.planes, frame.pts, frame.new_size) for frame in reader)
            writer = encode_stream(
                encoder, output, given, reader.metadata.pack(), reader.tracks, chunk
            )
            encoded = _describe_encoded(writer, encoder)
        return Encoded(encoded.frames, encoded.size, (*reader.notes, *encoded.notes))
    named = [os.fspath(source)] if isinstance(source, str | os.PathLike) else []
    with protected(named), create_stream(os.fspath(output), overwrite) as stream:
        return encode_file(source, stream, start=start, frames=frames, said=said, config=settings)


def _choose_base(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | BinaryIO,
    config: EncoderConfig,
    start: float,
    frames: int | None,
    said: InputOptions | None,
) -> EncoderConfig:
    from gvcodec.one_file.write import ONE_FILE
    from gvcodec.rate.auto import choose_base

    if isinstance(output, str | os.PathLike) and Path(output).suffix.lower() in ONE_FILE:
        return replace(config, base="av1")
    return choose_base(os.fspath(source), config, start, frames, said).config


def decode_file(
    source: str | os.PathLike[str] | Readable,
    output: str | os.PathLike[str] | BinaryIO,
    *,
    fidelity: bool = False,
    start: float = 0.0,
    frames: int | None = None,
    crf: float | None = None,
    lossless: bool = False,
    ignore_errors: bool = False,
    overwrite: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    device: str | torch.device = "cpu",
    limits: Limits = DEFAULT,
) -> Decoded:
    """Decode a stream to a video, as `gvcodec decode` does: .mp4, .mkv, .mov, .y4m or images like
    frame%05d.png by the name of `output`; an open binary file gets y4m.

    `source` is a path or an open binary file. With `ignore_errors` frames that are lost are shown
    by those before them. Raises `LimitError`, `MediaError`, `DamagedStreamError`,
    `WrongModelError`, `VerificationError`, `UsageError`.
    """
    from gvcodec.streams.to_video import Request, to_video

    request = Request(
        os.fspath(source) if isinstance(source, str | os.PathLike) else source,
        os.fspath(output) if isinstance(output, str | os.PathLike) else output,
        fidelity=fidelity,
        start=start,
        frames=frames,
        crf=crf,
        lossless=lossless,
        ignore_errors=ignore_errors,
        overwrite=overwrite,
        threads=threads,
        models=models,
        device=str(device),
        limits=limits,
    )
    with protected([request.input] if isinstance(request.input, str) else []):
        done = to_video(request)
    return Decoded(done.frames, tuple(done.summary), tuple(done.losses))


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

    `data`: bytes, a path, or an open binary file. `output`: NumPy arrays, or tensors on `device`,
    where painting is done too. From 0 on the base hash is checked at the end. `limits`: what the
    stream may ask for. Raises `LimitError`, `DamagedStreamError`, `WrongModelError`,
    `VerificationError`, `UsageError`.
    """
    if output not in ("numpy", "torch") or dimension_order not in ("NHWC", "NCHW"):
        raise UsageError('output is "numpy" or "torch", dimension_order "NHWC" or "NCHW"')
    stream = _open_source(data)
    colour = Reader(stream).header.format.colour
    stream.seek(0)
    tensors, place = output == "torch", str(device)
    decoded = _decode_frames(stream, fidelity, start, threads, place, limits, tensors)
    first = dimension_order == "NCHW"
    if not tensors:
        return (_to_channels_last(rgb_from_planes(planes, colour), first) for planes in decoded)
    from gvcodec.painter.pictures import picture

    shown = (picture(planes, colour, place) for planes in decoded)
    return (image.permute(2, 0, 1).contiguous() if first else image for image in shown)


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
    return _decode_frames(_open_source(data), fidelity, start, threads, str(device), limits, False)


def _decode_frames(
    stream: BinaryIO,
    fidelity: bool,
    start: int,
    threads: int,
    device: str,
    limits: Limits,
    tensors: bool,
) -> Iterator[Planes]:
    reader = Reader(stream)
    decoder = Decoder(
        reader.header, fidelity, threads, device=device, limits=limits, tensors=tensors
    )
    number, packets = (0, reader.packets()) if start <= 0 else reader.seek(start)
    for frame in decoder.frames_of(packets):
        decoder.tracks.clear()
        if number >= start:
            yield frame.planes
        number += 1
    if start <= 0:
        decoder.verify(reader.base_hash)


def _open_source(data: Source) -> BinaryIO:
    """A stream to read. What has a name is read at once: it is as small as videos get."""
    if isinstance(data, bytes | bytearray | memoryview):
        return unwrap(io.BytesIO(data), "stream")
    if isinstance(data, str | os.PathLike):
        with open_stream(os.fspath(data)) as found:
            return io.BytesIO(found.read())
    return unwrap(io.BufferedReader(Borrowed(data)), "stream")


def _describe_encoded(writer: Writer, encoder: Encoder) -> Encoded:
    return Encoded(writer.frames, writer.size, tuple(encoder.notes))


def _config(config: EncoderConfig | None, options: EncoderOptions) -> EncoderConfig:
    if config is not None and options:
        raise UsageError("give either config or its fields")
    try:
        return config or EncoderConfig(**options)
    except TypeError as error:
        raise UsageError(str(error)) from None


def _rate(frame_rate: Fraction | float) -> Fraction:
    try:
        return Fraction(frame_rate).limit_denominator(1_000_000)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"a frame rate of {frame_rate} is not possible") from None


def _to_channels_last(image: NDArray[np.uint8], channels_first: bool) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image.transpose(2, 0, 1)) if channels_first else image


def _array(frame: Any) -> NDArray[np.uint8] | Planes:
    """Tensors and PIL pictures as arrays, channels last."""
    if type(frame).__module__.startswith("PIL."):
        return np.asarray(frame.convert("RGB"))
    if isinstance(frame, np.ndarray) or (isinstance(frame, tuple | list) and len(frame) == 3):
        return frame  # type: ignore[return-value]
    if not type(frame).__module__.startswith("torch"):
        raise UsageError(
            f"a frame is an array (H, W, 3) uint8, a tensor, a picture of PIL or three planes, "
            f"not {type(frame).__name__}"
        )
    array = frame.detach().cpu().numpy()
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    return np.ascontiguousarray(array)


def _planes_of(given: Image | Planes) -> Planes:
    frame = _array(given)
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
