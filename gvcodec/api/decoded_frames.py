"""Streams to frames: arrays, tensors, planes.

`decode` takes bytes and gives RGB pictures, (H, W, 3) or (3, H, W); `decode_planes` gives uint16
planes. Frame by frame: `Decoder`; at random: `gvcodec.open`. Raises the errors that they name.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import numpy as np

from gvcodec.bitstream import ChangedStream, Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import UsageError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.opening import Source, open_source, unwrap
from gvcodec.planes import Picture, rgb_reader
from gvcodec.types import Planes
from gvcodec.util.file_io import BorrowedFile
from gvcodec.util.kinds import checked_keywords
from gvcodec.video import Video

if TYPE_CHECKING:
    import torch

    from gvcodec.api.frames import Image


@checked_keywords
def decode(
    data: Source,
    *,
    fidelity: bool = False,
    start: int = 0,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    output: Literal["numpy", "torch"] = "numpy",
    device: str | torch.device = "cpu",
    dimension_order: Literal["NHWC", "NCHW"] = "NHWC",
    bit_depth: Literal[8, 10] = 8,
    limits: Limits = DEFAULT,
) -> Iterator[Image]:
    """Frames of a gvcodec file as RGB (H, W, 3) or (3, H, W) uint8, from frame `start` on.

    `data`: bytes, a path, or an open binary file. `output`: NumPy arrays, or tensors on `device`.
    `bit_depth` 10: uint16, 0…1023.
    From 0 on the base hash is checked at the end. `models` as for `decode_file`. `limits`: what the
    stream may ask for. Raises `LimitError`, `DamagedStreamError`, `WrongModelError`,
    `VerificationError`, `UsageError`.
    """
    if output not in ("numpy", "torch") or dimension_order not in ("NHWC", "NCHW"):
        raise UsageError(
            'output is "numpy" or "torch", dimension_order "NHWC" or "NCHW"', code="option-value"
        )
    picture = rgb_reader(bit_depth)
    stream = _open(data)
    colour = Reader(stream).header.format.colour
    stream.seek(0)
    decoded = _decode_frames(stream, fidelity, start, threads, models, str(device), limits)
    images = (picture(planes, colour) for planes in decoded)
    if dimension_order == "NCHW":
        images = (cast(Picture, np.ascontiguousarray(x.transpose(2, 0, 1))) for x in images)
    if output == "numpy":
        return images
    from gvcodec.util.tensors import as_tensor, open_device

    place = open_device(str(device))
    return (as_tensor(image, place) for image in images)


@checked_keywords
def decode_planes(
    data: Source,
    *,
    fidelity: bool = False,
    start: int = 0,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    device: str | torch.device = "cpu",
    limits: Limits = DEFAULT,
) -> Iterator[Planes]:
    """Like `decode`, as `Planes`."""
    return _decode_frames(_open(data), fidelity, start, threads, models, str(device), limits)


def _decode_frames(
    stream: BinaryIO,
    fidelity: bool,
    start: int,
    threads: int,
    models: Sequence[str | Path],
    device: str,
    limits: Limits,
) -> Iterator[Planes]:
    if start > 0:
        video = Video(
            stream, fidelity=fidelity, threads=threads, models=models, device=device, limits=limits
        )
        if start >= len(video):
            raise UsageError(f"{video.name}: has no frame {start}", code="frame-number")
        yield from (frame.planes for frame in video.decode_range(start, len(video)))
        return
    reader = Reader(stream)
    decoder = Decoder(reader.header, fidelity, threads, models, device=device, limits=limits)
    for frame in decoder.frames_of(reader.packets()):
        if decoder.tracks:
            decoder.tracks.waiting.clear()
        yield frame.planes
    decoder.verify(reader.base_hash)


def _open(data: Source) -> BinaryIO:
    """A stream to read. A named file is read at once."""
    if not isinstance(data, str | os.PathLike | bytes | bytearray | memoryview):
        return unwrap(io.BufferedReader(BorrowedFile(data)), "stream")
    with open_source(data) as stream:
        whole = io.BytesIO(stream.read())
        return ChangedStream(whole) if isinstance(stream, ChangedStream) else whole
